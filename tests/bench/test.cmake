# What ./run bench needs beside keyline itself, and one promise about the wire.
add_executable(make_images ${CMAKE_CURRENT_LIST_DIR}/make_images.c)
target_link_libraries(make_images PRIVATE kl_options kl_test_support)
add_executable(profile ${CMAKE_CURRENT_LIST_DIR}/profile.c)
target_link_libraries(profile PRIVATE kl_options kl_test_support)
add_test(NAME bench.nvs_wire COMMAND ${CMAKE_CURRENT_LIST_DIR}/nvs_wire.sh $<TARGET_FILE:profile> $<TARGET_FILE:keyline>)
set_tests_properties(bench.nvs_wire PROPERTIES LABELS e2e TIMEOUT 300)

# What ./run bench needs beside keyline itself; nothing here is a test.
add_executable(make_images ${CMAKE_CURRENT_LIST_DIR}/make_images.c)
target_link_libraries(make_images PRIVATE kl_options kl_test_support)
add_executable(profile ${CMAKE_CURRENT_LIST_DIR}/profile.c)
target_link_libraries(profile PRIVATE kl_options kl_test_support)

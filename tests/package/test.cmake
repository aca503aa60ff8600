# What a system gets; label `e2e`. The packages themselves: ./run test-package.
add_test(NAME package.unit COMMAND ${CMAKE_CURRENT_LIST_DIR}/unit.sh $<TARGET_FILE:keyline>)
set_tests_properties(package.unit PROPERTIES LABELS e2e TIMEOUT 60 SKIP_RETURN_CODE 77)

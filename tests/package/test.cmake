# What a system gets; label `e2e`. The packages themselves: ./run test-package.
foreach(name unit hooks)
  add_test(NAME package.${name} COMMAND ${CMAKE_CURRENT_LIST_DIR}/${name}.sh $<TARGET_FILE:keyline>)
  set_tests_properties(package.${name} PROPERTIES LABELS e2e TIMEOUT 600 SKIP_RETURN_CODE 77)
endforeach()

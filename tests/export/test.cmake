# Exports: what the networks read, the program as typed, and what minisign makes of it; label `e2e`.
add_test(NAME export.golden COMMAND ${CMAKE_CURRENT_LIST_DIR}/golden.sh)
set_tests_properties(export.golden PROPERTIES LABELS "golden;unit" TIMEOUT 600 SKIP_RETURN_CODE 77)
foreach(name export minisign)
  add_test(NAME export.${name} COMMAND ${CMAKE_CURRENT_LIST_DIR}/${name}.sh $<TARGET_FILE:keyline>)
  set_tests_properties(export.${name} PROPERTIES LABELS e2e TIMEOUT 600 SKIP_RETURN_CODE 77)
endforeach()
# A sanitizer's shadow is too large to be read.
if(NOT KEYLINE_SANITIZE)
  add_test(NAME export.memory COMMAND ${CMAKE_CURRENT_LIST_DIR}/memory.py $<TARGET_FILE:keyline>)
  set_tests_properties(export.memory PROPERTIES LABELS custody TIMEOUT 600 SKIP_RETURN_CODE 77)
endif()

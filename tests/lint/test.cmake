# What a machine can judge about the sources: lint.sh, one case per check. Label `lint`.
foreach(check layers core libraries text sizes calls rooms headers format scripts docs arm tidy cppcheck)
  add_test(NAME lint.${check}
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/lint.sh ${check} ${PROJECT_BINARY_DIR})
  set_tests_properties(lint.${check} PROPERTIES LABELS lint TIMEOUT 1800 SKIP_RETURN_CODE 77
    ENVIRONMENT "CC=${CMAKE_C_COMPILER}")
endforeach()
# These start as many jobs as there are processors.
set_tests_properties(lint.arm lint.tidy lint.cppcheck PROPERTIES RUN_SERIAL ON)

# The corpus of images and folders: make.py writes one folder a case, inputs judges it and starts a
# virtual board with it. Label `unit`.
add_executable(inputs ${CMAKE_CURRENT_LIST_DIR}/inputs.c)
target_link_libraries(inputs PRIVATE kl_options kl_test_support)

find_program(INPUTS_PYTHON NAMES python3)
set(inputs_make ${CMAKE_CURRENT_LIST_DIR}/make.py)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${inputs_make})
if(INPUTS_PYTHON)
  execute_process(COMMAND ${INPUTS_PYTHON} -B ${inputs_make} --list
    OUTPUT_VARIABLE cases OUTPUT_STRIP_TRAILING_WHITESPACE)
  string(REPLACE "\n" ";" cases "${cases}")
  set(corpus ${CMAKE_CURRENT_BINARY_DIR}/inputs-corpus)
  add_test(NAME inputs COMMAND ${INPUTS_PYTHON} -B ${inputs_make} ${corpus})
  set_tests_properties(inputs PROPERTIES LABELS unit FIXTURES_SETUP inputs_corpus TIMEOUT 300)
  foreach(case ${cases})
    add_test(NAME inputs.${case} COMMAND inputs ${corpus}/${case})
    set_tests_properties(inputs.${case} PROPERTIES LABELS unit FIXTURES_REQUIRED inputs_corpus
      TIMEOUT 300)
  endforeach()
else()
  add_test(NAME inputs COMMAND ${CMAKE_COMMAND} -E echo "SKIPPED: python3 is not installed")
  set_tests_properties(inputs PROPERTIES SKIP_REGULAR_EXPRESSION SKIPPED)
endif()

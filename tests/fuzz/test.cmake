# Every fuzz_*.c is built twice: always with replay.c, which plays the kept inputs and some mutations
# of them as a test, and with -DKEYLINE_FUZZ=ON as a libFuzzer program too.
file(GLOB fuzzers CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/fuzz_*.c)
foreach(source ${fuzzers})
  get_filename_component(name ${source} NAME_WE)
  add_executable(replay_${name} ${source} ${CMAKE_CURRENT_LIST_DIR}/replay.c)
  target_link_libraries(replay_${name} PRIVATE kl_options kl_test_support)
  if(KEYLINE_FUZZ)
    # replay.c's main stands in for libFuzzer's; the instrumentation needs its runtime all the same.
    target_link_options(replay_${name} PRIVATE -fsanitize=fuzzer-no-link)
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE kl_options kl_test_support)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  endif()
  add_test(NAME fuzz.${name} COMMAND replay_${name} ${CMAKE_CURRENT_LIST_DIR}/corpus/${name}
    ${CMAKE_CURRENT_LIST_DIR}/regression/${name})
  set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 600)
endforeach()

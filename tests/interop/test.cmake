# The links against servers that other people wrote; skipped, by name, where they are not installed.
add_executable(test_interop ${CMAKE_CURRENT_LIST_DIR}/test_interop.c)
target_link_libraries(test_interop PRIVATE kl_options kl_test_support)

find_program(SER2NET ser2net PATHS /usr/sbin /sbin)
if(SER2NET)
  add_test(NAME interop.ser2net COMMAND test_interop ser2net ${SER2NET})
else()
  add_test(NAME interop.ser2net COMMAND ${CMAKE_COMMAND} -E echo "SKIPPED: ser2net is not installed")
  set_tests_properties(interop.ser2net PROPERTIES SKIP_REGULAR_EXPRESSION SKIPPED)
endif()

# Debian's Python has Debian's pyserial; another one first in PATH may not.
foreach(python /usr/bin/python3 python3)
  execute_process(COMMAND ${python} -c "import serial.rfc2217, sys; print(sys.executable)"
    OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE missing ERROR_QUIET)
  if(missing EQUAL 0 AND NOT pyserial_python)
    set(pyserial_python ${found})
  endif()
endforeach()
if(pyserial_python)
  add_test(NAME interop.pyserial COMMAND test_interop pyserial ${pyserial_python}
    ${CMAKE_CURRENT_LIST_DIR}/pyserial_server.py)
else()
  add_test(NAME interop.pyserial COMMAND ${CMAKE_COMMAND} -E echo
    "SKIPPED: python3-serial is not installed")
  set_tests_properties(interop.pyserial PROPERTIES SKIP_REGULAR_EXPRESSION SKIPPED)
endif()
set_tests_properties(interop.ser2net interop.pyserial PROPERTIES LABELS interop TIMEOUT 600)

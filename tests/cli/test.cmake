# The program as typed: habits, completion, manual; label `e2e`.
foreach(name habits service held_port completion man metrics nvs nvs_port nvs_long nvs_delivery exam)
  add_test(NAME cli.${name} COMMAND ${CMAKE_CURRENT_LIST_DIR}/${name}.sh $<TARGET_FILE:keyline>)
  set_tests_properties(cli.${name} PROPERTIES LABELS e2e TIMEOUT 600 SKIP_RETURN_CODE 77)
endforeach()
set_tests_properties(cli.exam PROPERTIES TIMEOUT 600) # many stations, one after the other

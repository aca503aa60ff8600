# The dashboard in a real terminal emulator, over virtual boards; label `e2e`. Each case is a
# function of dashboard.sh.
add_executable(write_images ${CMAKE_CURRENT_LIST_DIR}/write_images.c)
target_link_libraries(write_images PRIVATE kl_options kl_test_support)

set(dashboard_cases
  opens keys attach read_only resize killed closed stalled_dashboard stalled_terminal
  stalled_client terminals
  hostile_board stop demo traffic pasted pasted_in_pieces says_what_goes_on report
  unknown_terminal restart stations locked in_doubt scanned)
foreach(case ${dashboard_cases})
  add_test(NAME dashboard.${case} COMMAND ${CMAKE_CURRENT_LIST_DIR}/dashboard.sh ${case}
    $<TARGET_FILE:keyline> $<TARGET_FILE:write_images>)
  set_tests_properties(dashboard.${case} PROPERTIES LABELS e2e TIMEOUT 600
    SKIP_RETURN_CODE 77)
endforeach()
set_tests_properties(dashboard.pasted_in_pieces PROPERTIES COST 80)

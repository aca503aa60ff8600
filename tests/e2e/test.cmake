# The whole program over virtual boards in a process of their own; label `e2e`.
file(GLOB e2e_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.c)
add_executable(e2e ${e2e_sources})
target_link_libraries(e2e PRIVATE kl_options kl_test_support)
target_compile_definitions(e2e PRIVATE KEYLINE="$<TARGET_FILE:keyline>")
add_dependencies(e2e keyline)

foreach(case one rom_loader eight_at_once sixty_four_at_once staggered erased_first every_chip
    original_firmware nearly_the_protocol not_the_protocol digests one_field_and_many acknowledged_only
    again count usage all_at_once no_csv bad_csv
    no_firmware truncated_images another_chip flash_too_small refused_port second_station
    ledger_unwritable ledger_gone full_disk no_keys_left added_rows_that_conflict added_rows_are_asked_about csv_saved_over csv_replaced_again_and_again faults dead_boards shared_mac
    unplugged_and_back stopped_while_flashing
    stopped_twice hang_up_is_ignored killed_while_sending released_while_running rows_added
    on_result on_result_fails power_hook log_folder events_to_a_full_disk events_to_standard_output
    socket_commands watchers_see_the_end ports_come_and_go doubts_on_a_quiet_bench operators_are_recorded ports_by_command
    stalled_watchers demo merged_image chip_shown secured_boards)
  add_test(NAME e2e.${case} COMMAND e2e ${case})
  set_tests_properties(e2e.${case} PROPERTIES LABELS e2e TIMEOUT 600)
endforeach()

# These wait longest: they begin early.
set_tests_properties(e2e.power_hook e2e.faults e2e.dead_boards PROPERTIES COST 90)

add_test(NAME e2e.installed COMMAND ${CMAKE_CURRENT_LIST_DIR}/installed.sh ${PROJECT_BINARY_DIR}
  ${KEYLINE_STUB_DIR})
set_tests_properties(e2e.installed PROPERTIES LABELS e2e TIMEOUT 600)

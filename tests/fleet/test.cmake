# A shared pool in a private PostgreSQL; label `fleet`. Skipped where PostgreSQL is not installed.
add_executable(fleet_probe fleet/probe.c)
target_link_libraries(fleet_probe PRIVATE kl_options kl_test_support)
foreach(name calls crash failover hostile ill owner races screen station tls)
  add_test(NAME fleet.${name} COMMAND ${CMAKE_CURRENT_LIST_DIR}/${name}.sh $<TARGET_FILE:keyline>
    $<TARGET_FILE:fleet_probe>)
  set_tests_properties(fleet.${name} PROPERTIES LABELS fleet TIMEOUT 300 SKIP_RETURN_CODE 77)
endforeach()
add_test(NAME fleet.show COMMAND ${CMAKE_CURRENT_LIST_DIR}/show.sh $<TARGET_FILE:keyline> auto)
set_tests_properties(fleet.show PROPERTIES LABELS fleet TIMEOUT 180 SKIP_RETURN_CODE 77)

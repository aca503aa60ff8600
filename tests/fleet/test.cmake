# A shared pool in a private PostgreSQL; label `fleet`. Skipped where PostgreSQL is not installed.
add_executable(fleet_probe fleet/probe.c)
target_link_libraries(fleet_probe PRIVATE kl_options kl_test_support)
add_executable(fleet_scale fleet/scale.c)
target_link_libraries(fleet_scale PRIVATE kl_options kl_test_support)
add_test(NAME fleet.scale COMMAND ${CMAKE_CURRENT_LIST_DIR}/scale.sh $<TARGET_FILE:keyline> $<TARGET_FILE:fleet_scale>)
set_tests_properties(fleet.scale PROPERTIES LABELS fleet TIMEOUT 120 SKIP_RETURN_CODE 77)
foreach(name calls crash failover hostile ill owner races screen station tls)
  add_test(NAME fleet.${name} COMMAND ${CMAKE_CURRENT_LIST_DIR}/${name}.sh $<TARGET_FILE:keyline>
    $<TARGET_FILE:fleet_probe>)
  set_tests_properties(fleet.${name} PROPERTIES LABELS fleet TIMEOUT 900 COST 20 SKIP_RETURN_CODE 77)
endforeach()
add_test(NAME fleet.show COMMAND ${CMAKE_CURRENT_LIST_DIR}/show.sh $<TARGET_FILE:keyline> auto)
set_tests_properties(fleet.show PROPERTIES LABELS fleet TIMEOUT 600 SKIP_RETURN_CODE 77)

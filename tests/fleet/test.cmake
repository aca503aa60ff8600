# A shared pool in a private PostgreSQL; label `fleet`. Skipped where PostgreSQL is not installed.
add_executable(fleet_probe fleet/probe.c)
target_link_libraries(fleet_probe PRIVATE kl_options kl_test_support)

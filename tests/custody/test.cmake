# Power cuts and disk faults at every durable step of the store, and races for it; label `custody`.
add_executable(store_crash custody/store_crash.c custody/scenario.c)
target_link_libraries(store_crash PRIVATE kl_options kl_test_support)
add_test(NAME custody.crash COMMAND store_crash crash)
add_test(NAME custody.twice COMMAND store_crash twice 5)
add_test(NAME custody.faults COMMAND store_crash faults 3)

add_executable(store_race custody/store_race.c)
target_link_libraries(store_race PRIVATE kl_options kl_test_support)
add_test(NAME custody.race COMMAND store_race)

set_tests_properties(custody.crash custody.twice custody.faults custody.race PROPERTIES
  LABELS custody TIMEOUT 300)

# The whole program on that disk; for tests that crash a station.
add_executable(keyline_crash custody/keyline_crash.c)
target_link_libraries(keyline_crash PRIVATE kl_options kl_test_support)

# In turns with the original Python tool on one CSV; skips itself without python3.
add_executable(store_original_tool custody/original_tool.c)
target_link_libraries(store_original_tool PRIVATE kl_options kl_test_support)
add_test(NAME custody.original_tool COMMAND store_original_tool)
set_tests_properties(custody.original_tool PROPERTIES LABELS custody TIMEOUT 60)

# Power cuts and disk faults at every durable step of the store, and races for it; label `custody`.
add_executable(store_crash custody/store_crash.c custody/scenario.c)
target_link_libraries(store_crash PRIVATE kl_options kl_test_support)
add_test(NAME custody.crash COMMAND store_crash crash)
add_test(NAME custody.twice COMMAND store_crash twice 13)
add_test(NAME custody.faults COMMAND store_crash faults 7)

add_executable(store_race custody/store_race.c)
target_link_libraries(store_race PRIVATE kl_options kl_test_support)
add_test(NAME custody.race COMMAND store_race)

# Ledger and journal, each lost or put back to any earlier state.
add_executable(store_rollback custody/store_rollback.c)
target_link_libraries(store_rollback PRIVATE kl_options kl_test_support)
add_test(NAME custody.rollback COMMAND store_rollback)

set_tests_properties(custody.crash custody.twice custody.faults custody.race custody.rollback PROPERTIES
  LABELS custody TIMEOUT 1200)

# The whole program on that disk; for tests that crash a station.
add_executable(keyline_crash custody/keyline_crash.c)
target_link_libraries(keyline_crash PRIVATE kl_options kl_test_support)

# In turns with the original Python tool on one CSV; skips itself without python3.
add_executable(store_original_tool custody/original_tool.c)
target_link_libraries(store_original_tool PRIVATE kl_options kl_test_support)
add_test(NAME custody.original_tool COMMAND store_original_tool)
set_tests_properties(custody.original_tool PROPERTIES LABELS custody TIMEOUT 300)

# Whole stations over virtual boards; the checker shares no code with them.
add_executable(custody_checker custody/checker.c)
target_link_libraries(custody_checker PRIVATE kl_options PkgConfig::SQLITE PkgConfig::MD)
target_compile_definitions(custody_checker PRIVATE _GNU_SOURCE)
add_executable(station_crash custody/station_crash.c)
target_link_libraries(station_crash PRIVATE kl_options kl_test_support)
foreach(mode crash twice kill faults race frozen nvs_crash nvs_twice nvs_kill)
  set(stride 1)
  if(mode MATCHES "twice|faults")
    set(stride 3)
  endif()
  add_test(NAME custody.station_${mode} COMMAND station_crash $<TARGET_FILE:keyline>
    $<TARGET_FILE:keyline_crash> $<TARGET_FILE:custody_checker> ${mode} ${stride})
  set_tests_properties(custody.station_${mode} PROPERTIES LABELS custody TIMEOUT 900
    PROCESSORS 2 COST 40)
endforeach()

add_executable(store_speed custody/store_speed.c)
target_link_libraries(store_speed PRIVATE kl_options kl_test_support)
add_test(NAME custody.speed COMMAND store_speed $<TARGET_FILE:keyline> 100 1000000)
set_tests_properties(custody.speed PROPERTIES LABELS custody TIMEOUT 600)

add_executable(station_memory custody/station_memory.c e2e/process.c)
target_link_libraries(station_memory PRIVATE kl_options kl_test_support)
add_test(NAME custody.memory COMMAND station_memory $<TARGET_FILE:keyline>)
set_tests_properties(custody.memory PROPERTIES LABELS custody TIMEOUT 300)

# No field but the label anywhere, whatever the boards print.
add_executable(secrets custody/secrets.c custody/needles.c e2e/bench.c e2e/process.c)
target_link_libraries(secrets PRIVATE kl_options kl_test_support)
target_compile_definitions(secrets PRIVATE KEYLINE="$<TARGET_FILE:keyline>")
add_dependencies(secrets keyline)
foreach(where output dialects memory nvs nvs_memory)
  add_test(NAME custody.secrets_${where} COMMAND secrets ${where})
  set_tests_properties(custody.secrets_${where} PROPERTIES LABELS custody TIMEOUT 1200
    COST 50 SKIP_RETURN_CODE 77)
endforeach()

# What people do with files, against a real store.
add_executable(people custody/people.c)
target_link_libraries(people PRIVATE kl_options kl_test_support)
add_test(NAME custody.people COMMAND people 8 7)
set_tests_properties(custody.people PROPERTIES LABELS custody TIMEOUT 600)

# … and with whole files: folders, ledgers, journals, also while a bench works on them.
set(person)
foreach(part acts world runs bench)
  list(APPEND person ${CMAKE_CURRENT_LIST_DIR}/copies_${part}.c)
endforeach()
set(person_clock -Wl,--wrap=clock_gettime,--wrap=nanosleep
  -Wl,--wrap=kl_process_self,--wrap=kl_process_lives)
add_executable(copies custody/copies.c ${person})
target_link_libraries(copies PRIVATE kl_options kl_test_support ${person_clock})
add_test(NAME custody.copies COMMAND copies 300 60)
set_tests_properties(custody.copies PROPERTIES LABELS custody TIMEOUT 600 PROCESSORS 2)

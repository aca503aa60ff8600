# The bench in virtual time (world.h). CI plays fresh seeds and all kept ones; ./run simulate goes on.
set(world)
foreach(part life world boards disk oracle images coverage)
  list(APPEND world ${CMAKE_CURRENT_LIST_DIR}/${part}.c)
endforeach()
add_executable(simulation ${CMAKE_CURRENT_LIST_DIR}/simulation.c ${CMAKE_CURRENT_LIST_DIR}/people.c
  ${world} ${person})
target_link_libraries(simulation PRIVATE kl_options kl_test_support ${person_clock})
# The same world without chance: what the station decides, one rule after the other.
foreach(part station beds station_pool held_port exam)
  add_executable(test_${part} ${CMAKE_CURRENT_LIST_DIR}/test_${part}.c ${world})
  target_link_libraries(test_${part} PRIVATE kl_options kl_test_support)
  add_test(NAME simulation.${part} COMMAND test_${part})
  set_tests_properties(simulation.${part} PROPERTIES LABELS "unit;simulation" TIMEOUT 600)
endforeach()
foreach(part station beds station_pool held_port)
  target_sources(test_${part} PRIVATE ${CMAKE_CURRENT_LIST_DIR}/on_bench.c)
endforeach()
set(KEYLINE_SIMULATION_LIVES 100000 CACHE STRING "board lives that the test plays over fresh seeds")
add_test(NAME simulation.kept COMMAND simulation --kept ${CMAKE_CURRENT_LIST_DIR}/seeds.txt)
# With so many lives everything that can happen must have happened.
if(KEYLINE_SIMULATION_LIVES GREATER_EQUAL 100000)
  set(covered --covered)
endif()
add_test(NAME simulation.fresh COMMAND ${CMAKE_CURRENT_LIST_DIR}/fresh.sh
  $<TARGET_FILE:simulation> ${KEYLINE_SIMULATION_LIVES} ${covered})
# The same bench between people, over real stores: the seeds are fixed, and each plays the same again.
set(people 100)
if(KEYLINE_SANITIZE)
  set(people 20)
endif()
add_test(NAME simulation.people COMMAND simulation --people ${people} --from 1)
set_tests_properties(simulation.people PROPERTIES PROCESSORS 2)
set_tests_properties(simulation.kept simulation.fresh simulation.people
  PROPERTIES LABELS simulation TIMEOUT 1200)
set_tests_properties(simulation.fresh PROPERTIES COST 100)
if(NOT KEYLINE_SANITIZE)
  add_test(NAME simulation.mutations
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/mutations.sh ${PROJECT_BINARY_DIR})
  set_tests_properties(simulation.mutations PROPERTIES LABELS simulation TIMEOUT 1800 COST 900)
endif()

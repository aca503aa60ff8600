# The bench in virtual time (world.h). CI plays fresh seeds and all kept ones; ./run simulate goes on.
set(world)
foreach(part life world boards disk oracle images coverage)
  list(APPEND world ${CMAKE_CURRENT_LIST_DIR}/${part}.c)
endforeach()
add_executable(simulation ${CMAKE_CURRENT_LIST_DIR}/simulation.c ${CMAKE_CURRENT_LIST_DIR}/people.c
  ${world} ${person})
target_link_libraries(simulation PRIVATE kl_options kl_test_support ${person_clock})
# The same world without chance: what the station decides, one rule after the other.
add_executable(test_station ${CMAKE_CURRENT_LIST_DIR}/test_station.c ${world})
target_link_libraries(test_station PRIVATE kl_options kl_test_support)
add_test(NAME simulation.station COMMAND test_station)
add_executable(test_station_pool ${CMAKE_CURRENT_LIST_DIR}/test_station_pool.c ${world})
target_link_libraries(test_station_pool PRIVATE kl_options kl_test_support)
add_test(NAME simulation.station_pool COMMAND test_station_pool)
add_executable(test_exam ${CMAKE_CURRENT_LIST_DIR}/test_exam.c ${world})
target_link_libraries(test_exam PRIVATE kl_options kl_test_support)
add_test(NAME simulation.exam COMMAND test_exam)
set_tests_properties(simulation.station simulation.station_pool simulation.exam
  PROPERTIES LABELS "unit;simulation" TIMEOUT 120)
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
if(NOT KEYLINE_SANITIZE)
  add_test(NAME simulation.mutations
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/mutations.sh ${PROJECT_BINARY_DIR})
  set_tests_properties(simulation.mutations PROPERTIES LABELS simulation TIMEOUT 1200)
endif()

# The bench in virtual time (world.h). CI plays fresh seeds and all kept ones; ./run simulate goes on.
add_executable(simulation
  ${CMAKE_CURRENT_LIST_DIR}/simulation.c ${CMAKE_CURRENT_LIST_DIR}/life.c
  ${CMAKE_CURRENT_LIST_DIR}/world.c ${CMAKE_CURRENT_LIST_DIR}/boards.c
  ${CMAKE_CURRENT_LIST_DIR}/disk.c ${CMAKE_CURRENT_LIST_DIR}/oracle.c
  ${CMAKE_CURRENT_LIST_DIR}/coverage.c)
target_link_libraries(simulation PRIVATE kl_options kl_test_support)
set(KEYLINE_SIMULATION_LIVES 100000 CACHE STRING "board lives that the test plays over fresh seeds")
add_test(NAME simulation.kept COMMAND simulation --kept ${CMAKE_CURRENT_LIST_DIR}/seeds.txt)
add_test(NAME simulation.fresh COMMAND ${CMAKE_CURRENT_LIST_DIR}/fresh.sh
  $<TARGET_FILE:simulation> ${KEYLINE_SIMULATION_LIVES})
set_tests_properties(simulation.kept simulation.fresh PROPERTIES LABELS simulation TIMEOUT 1200)
if(NOT KEYLINE_SANITIZE)
  add_test(NAME simulation.mutations
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/mutations.sh ${PROJECT_BINARY_DIR})
  set_tests_properties(simulation.mutations PROPERTIES LABELS simulation TIMEOUT 1200)
endif()

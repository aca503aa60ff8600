# Fleets at random, over the core of a station's side of a shared pool (docs/fleet.md).
file(GLOB fleetsim_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.c)
add_executable(fleetsim ${fleetsim_sources})
target_link_libraries(fleetsim PRIVATE kl_options kl_core)
add_test(NAME simulation.fleets COMMAND fleetsim 10000)
set_tests_properties(simulation.fleets PROPERTIES LABELS simulation TIMEOUT 300)
add_test(NAME simulation.fleet_mutations COMMAND ${CMAKE_CURRENT_LIST_DIR}/mutations.sh)
set_tests_properties(simulation.fleet_mutations PROPERTIES LABELS simulation TIMEOUT 900)

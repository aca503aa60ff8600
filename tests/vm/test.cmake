# keyline on a real kernel's USB serial drivers, in an emulated machine (docs/serial.md).
file(GLOB vm_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.c)
add_executable(usbbench ${vm_sources})
target_compile_definitions(usbbench PRIVATE _GNU_SOURCE)
target_link_libraries(usbbench PRIVATE kl_options kl_virtual kl_adapters)

# Two machines side by side, and nothing else: what is in them has its own idea of time. They skip
# themselves where QEMU or the kernel's package can't be had, and begin first, since they take longest.
include(ProcessorCount)
ProcessorCount(vm_slots) # of twice as many: see ./run
foreach(group "boards dashboard,moments,many,check"
    "host hub,held,denied,mute,frozen,jtag,lines,doctor")
  separate_arguments(words UNIX_COMMAND "${group}")
  list(GET words 0 name)
  list(GET words 1 scenarios)
  add_test(NAME vm.${name} COMMAND ${CMAKE_CURRENT_LIST_DIR}/run.sh
    $<TARGET_FILE:keyline> $<TARGET_FILE:usbbench> ${scenarios})
  set_tests_properties(vm.${name} PROPERTIES LABELS vm TIMEOUT 1800 COST 1000
    PROCESSORS ${vm_slots} SKIP_RETURN_CODE 77)
endforeach()

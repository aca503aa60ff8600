# keyline on a real kernel's USB serial drivers, in an emulated machine (docs/serial.md).
add_executable(usbbench vm/usbbench.c vm/adapter.c)
target_compile_definitions(usbbench PRIVATE _GNU_SOURCE)
target_link_libraries(usbbench PRIVATE kl_options kl_virtual)

# Skips itself where QEMU or the kernel's package can't be had.
add_test(NAME vm.usb COMMAND ${PROJECT_SOURCE_DIR}/tests/vm/run.sh --programs
  $<TARGET_FILE:keyline> $<TARGET_FILE:usbbench>)
set_tests_properties(vm.usb PROPERTIES LABELS vm TIMEOUT 600 SKIP_RETURN_CODE 77)

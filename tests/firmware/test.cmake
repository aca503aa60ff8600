# The board's half on other machines than this one: cross-compiled with its size bounded; and what
# surrounds it on Arduino and ESP-IDF, compiled and run against stand-in headers (world.h).
set(firmware ${PROJECT_SOURCE_DIR}/firmware)
set(here ${CMAKE_CURRENT_LIST_DIR})

add_test(NAME firmware.cross.riscv32 COMMAND ${here}/cross.sh 4096 riscv64-unknown-elf-gcc
  -march=rv32imc -mabi=ilp32)
add_test(NAME firmware.cross.xtensa COMMAND ${here}/cross.sh 4096 xtensa-lx106-elf-gcc)
set_tests_properties(firmware.cross.riscv32 firmware.cross.xtensa PROPERTIES
  SKIP_RETURN_CODE 77 LABELS firmware TIMEOUT 300)
add_test(NAME firmware.documented COMMAND ${here}/documented.sh)
set_tests_properties(firmware.documented PROPERTIES LABELS firmware TIMEOUT 120)

function(firmware_glue name)
  target_include_directories(${name} PRIVATE ${here})
  target_link_libraries(${name} PRIVATE kl_provisioning PkgConfig::CMOCKA PkgConfig::MD)
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
  string(REPLACE "firmware_" "firmware." test ${name})
  add_test(NAME ${test} COMMAND ${name})
  set_tests_properties(${test} PROPERTIES LABELS firmware TIMEOUT 300)
endfunction()

set(component ${firmware}/esp-idf/components/keyline_provisioning)
foreach(console UART USB_SERIAL_JTAG)
  string(TOLOWER firmware_esp_idf_${console} name)
  add_executable(${name} ${here}/glue_test.c ${here}/world.c ${here}/program_esp_idf.c
    ${firmware}/esp-idf/example/main/main.c ${component}/kl_esp.c ${component}/kl_esp_console.c
    ${component}/kl_esp_store.c)
  target_compile_definitions(${name} PRIVATE CONFIG_ESP_CONSOLE_${console}=1)
  target_include_directories(${name} PRIVATE ${component}/include)
  target_include_directories(${name} SYSTEM PRIVATE ${here}/stand-in/esp-idf)
  set_source_files_properties(${firmware}/esp-idf/example/main/main.c PROPERTIES
    COMPILE_OPTIONS -Wno-missing-prototypes) # app_main is declared by ESP-IDF only
  target_link_libraries(${name} PRIVATE kl_options)
  firmware_glue(${name})
endforeach()

include(CheckLanguage)
check_language(CXX)
if(CMAKE_CXX_COMPILER)
  enable_language(CXX)
  add_executable(firmware_arduino ${here}/glue_test.c ${here}/world.c ${here}/program_arduino.cpp
    ${firmware}/arduino/provisioned_board/board_provisioning.cpp)
  # Linked as C: the C++ compiler may be another one, with sanitizers of its own.
  set_target_properties(firmware_arduino PROPERTIES CXX_STANDARD 11 CXX_STANDARD_REQUIRED ON
    LINKER_LANGUAGE C)
  target_compile_definitions(firmware_arduino PRIVATE GLUE_IS_ARDUINO)
  target_include_directories(firmware_arduino PRIVATE ${firmware}/arduino/provisioned_board)
  target_include_directories(firmware_arduino SYSTEM PRIVATE ${here}/stand-in/arduino)
  target_compile_options(firmware_arduino PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow
    -Wconversion -Wno-sign-conversion -fno-exceptions -fno-rtti
    $<$<BOOL:${KEYLINE_WERROR}>:-Werror>>)
  if(KEYLINE_SANITIZE)
    target_link_options(firmware_arduino PRIVATE -fsanitize=${KEYLINE_SANITIZE})
    if(CMAKE_CXX_COMPILER_ID STREQUAL CMAKE_C_COMPILER_ID)
      target_compile_options(firmware_arduino PRIVATE -fsanitize=${KEYLINE_SANITIZE}
        -fno-sanitize-recover=all)
    endif()
  endif()
  firmware_glue(firmware_arduino)
else()
  add_test(NAME firmware.arduino COMMAND sh -c "echo 'skipped: no C++ compiler'; exit 77")
  set_tests_properties(firmware.arduino PROPERTIES SKIP_RETURN_CODE 77 LABELS firmware)
endif()

# Golden screens: each line is a scenario and the sizes it is drawn at. The expected screen is
# NAME.ROWSxCOLS.screen; `./golden.sh --write` (see there) makes them anew, to be read before they
# are committed.
add_executable(golden ${CMAKE_CURRENT_LIST_DIR}/golden.c)
target_link_libraries(golden PRIVATE kl_options kl_test_support)

set(golden_cases
  four:24x80 four:40x120 four:10x40 four:4x20 four:3x10
  trouble:24x80 trouble:12x60
  many:24x80 many:60x200 many:10x40 many:10x30 no-panes:24x80 stale:10x40
  asks:8x90 asks:6x30 asks:5x20 ask-accept:16x80 ask-accept:12x30 accepted:6x60 csv-trouble:8x90 pool-few:8x90 kept-back:12x100 volatile:24x120 volatile:12x80 volatile:10x30 volatile:4x20 volatile-wall:24x80
  ask-erase:16x80 ask-port:16x80 keys-pressed:12x80 doubt:14x90 doubts:10x40 doubts:24x80 help:32x80 help:24x80 zoom:24x80 ascii:24x80
  locked:10x80 compact:10x110 lines:24x80 wall:24x80 wall:30x100 stats:24x80 stats:12x60 filter:24x80
  testing:24x80 testing:10x110 bind:14x80 bind:12x40 ask-erase:12x40 empty:16x80 console:24x80)
foreach(case ${golden_cases})
  string(REPLACE ":" ";" parts ${case})
  list(GET parts 0 name)
  list(GET parts 1 size)
  add_test(NAME golden.${name}.${size}
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/golden.sh $<TARGET_FILE:golden> ${name} ${size})
  set_tests_properties(golden.${name}.${size} PROPERTIES LABELS "golden;unit" TIMEOUT 120)
endforeach()
add_test(NAME golden.keys COMMAND ${CMAKE_CURRENT_LIST_DIR}/keys.sh $<TARGET_FILE:golden>
  ${PROJECT_SOURCE_DIR}/docs/operating.md)
set_tests_properties(golden.keys PROPERTIES LABELS "golden;unit" TIMEOUT 120)

# What the documents say is tried; label `e2e`.
add_test(NAME docs.blocks COMMAND ${CMAKE_CURRENT_LIST_DIR}/blocks.sh $<TARGET_FILE:keyline>)
set_tests_properties(docs.blocks PROPERTIES LABELS e2e TIMEOUT 900 COST 80 SKIP_RETURN_CODE 77)

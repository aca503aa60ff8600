#!/bin/sh
# valgrind.sh PROGRAM…: under valgrind; an error or a definite leak is a failure. 77: there is none.
command -v valgrind >/dev/null || { echo "SKIPPED: valgrind is not installed"; exit 77; }
export UNDER_VALGRIND=1
exec valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
    --child-silent-after-fork=yes "$@"

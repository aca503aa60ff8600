# tidy.awk: what scdoc writes, as mandoc -T lint wants it: no paragraphs without text, short lines, a
# title in capitals.
function put(line, rest, at) {
    while (!literal && length(line) > 79 && line !~ /^[.]/) {
        for (at = 79; at > 1 && substr(line, at, 1) != " "; at--) {
        }
        if (at == 1)
            break
        rest = substr(line, at + 1)
        print substr(line, 1, at - 1)
        line = rest ~ /^[.']/ ? "\\&" rest : rest
    }
    print line
}
/^\.TH / { $2 = toupper($2) }
/^\.nf/ { literal = 1 }
/^\.fi/ { literal = 0 }
/^\.PP?$/ { waiting = 1; next }
{
    if (waiting && !heading && !/^\.(SH|SS|RS|RE|PP|TP)/)
        print ".PP"
    waiting = 0
    heading = /^\.(SH|SS)/
    put($0)
}

# Structs with more than 24 direct members or 6 flags.
function strip(s) { gsub(/\/\*[^*]*\*\//, "", s); return s }
FNR == 1 { inside = 0; comment = 0 }
{
    line = $0
    if (comment) { if (!sub(/^.*\*\//, "", line)) next; comment = 0 }
    line = strip(line)
    if (line ~ /\/\*/) { sub(/\/\*.*/, "", line); comment = 1 }
}
!inside && line ~ /^struct [a-z_0-9]+ \{/ { split(line, w, " "); name = w[2]; inside = depth = 1; members = flags = 0; held = ""; next }
inside {
    before = depth
    opens = gsub(/\{/, "{", line); closes = gsub(/\}/, "}", line)
    depth += opens - closes
    if (depth <= 0) {
        if (members > 24) print FILENAME ": struct " name " has " members " members"
        if (flags > 6) print FILENAME ": struct " name " has " flags " flags"
        inside = 0; next
    }
    if (depth == 1) {
        if (before > 1) { if (line ~ /;/) members++; next }
        held = held " " line
        if (held ~ /;/) {
            plain = held; gsub(/\([^()]*\)/, "", plain); gsub(/\([^()]*\)/, "", plain)
            n = gsub(/,/, ",", plain) + 1
            members += n
            if (held ~ /^ *bool /) flags += n
            held = ""
        }
    }
}

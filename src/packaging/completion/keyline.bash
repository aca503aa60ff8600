# bash completion for keyline. keyline itself knows its words: keyline complete -- WORD … LAST
_keyline() {
    local before=${COMP_LINE:0:COMP_POINT} last='' candidate words
    read -ra words <<<"$before"
    case $before in
    *[[:space:]]) ;;
    *)
        last=${words[-1]}
        unset 'words[-1]'
        ;;
    esac
    COMPREPLY=()
    while IFS= read -r candidate; do
        case $candidate in
        :files | :folders)
            compopt -o filenames
            [ "$candidate" = :files ] && compopt -o plusdirs
            mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(
                if [ "$candidate" = :files ]; then compgen -f -- "${last#*=}"; else compgen -d -- "${last#*=}"; fi
            )
            ;;
        *)
            candidate=${candidate%%$'\t'*}
            # bash replaces only what stands behind the last '=' or ':'.
            case $last in *[=:]*) candidate=${candidate#"${last%"${last##*[=:]}"}"} ;; esac
            COMPREPLY+=("$candidate")
            ;;
        esac
    done < <("${words[0]}" complete -- "${words[@]:1}" "$last" 2>/dev/null)
}
complete -F _keyline keyline

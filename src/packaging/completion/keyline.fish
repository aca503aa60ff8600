# fish completion for keyline. keyline itself knows its words: keyline complete -- WORD … LAST
function __keyline_complete
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    for candidate in ($words[1] complete -- $words[2..-1] "$last" 2>/dev/null)
        switch $candidate
            case :files
                __fish_complete_path (string replace -r '^--[^=]*=' '' -- "$last")
            case :folders
                __fish_complete_directories (string replace -r '^--[^=]*=' '' -- "$last")
            case '*'
                echo $candidate
        end
    end
end
complete -c keyline -f -a '(__keyline_complete)'

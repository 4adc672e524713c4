# fish completion of edged: goes to /usr/share/fish/vendor_completions.d/edged.fish, or:  edged completion fish | source
# SPDX-License-Identifier: Apache-2.0
function __edged_complete
    set -l typed (commandline -opc)
    set -l current (commandline -ct)
    set -l found ($typed[1] completion fish -- $typed[2..-1] "$current" 2>/dev/null)
    switch "$found[1]"
        case :files
            __fish_complete_path "$current"
        case :directories
            __fish_complete_directories "$current"
        case '*'
            test -n "$found"; and printf '%s\n' $found
    end
end
complete -c edged -f -a '(__edged_complete)'

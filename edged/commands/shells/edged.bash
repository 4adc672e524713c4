# bash completion of edged: goes to /usr/share/bash-completion/completions/edged, or:  source <(edged completion bash)
# SPDX-License-Identifier: Apache-2.0
_edged() {
    local found
    # the whole line: bash cuts words at colons, of which MAC and IPv6 addresses are full
    mapfile -t found < <("$1" completion bash -- "${COMP_LINE:0:COMP_POINT}" "${COMP_WORDS[COMP_CWORD]}" 2>/dev/null)
    case ${found[0]} in
        :files) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}") ;;
        :directories) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "${COMP_WORDS[COMP_CWORD]}") ;;
        *) COMPREPLY=("${found[@]}") ;;
    esac
}
complete -F _edged edged

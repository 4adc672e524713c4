#compdef edged
# zsh completion of edged: goes into a folder of $fpath as _edged, or:  source <(edged completion zsh)
# SPDX-License-Identifier: Apache-2.0
_edged() {
    local -a found shown
    local line
    found=("${(@f)$("${words[1]}" completion zsh -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    case ${found[1]} in
        :files) _files; return ;;
        :directories) _files -/; return ;;
    esac
    for line in "${found[@]}"; do
        [[ -n $line ]] && shown+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    (( $#shown )) && _describe edged shown
}
if [[ $funcstack[1] == _edged ]]; then
    _edged "$@"
else
    compdef _edged edged
fi

# bash completion for shoestring: click answers with the words.
_shoestring() {
  local IFS=$'\n' kind word
  while IFS=, read -r kind word; do
    [ "$kind" = plain ] && COMPREPLY+=("$word")
  done < <(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD _SHOESTRING_COMPLETE=bash_complete shoestring 2>/dev/null)
}
complete -o nosort -F _shoestring shoestring

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** Exit code of `fettle __complete` that leaves the word to the shell's own completion of file names. */
export const COMPLETE_FILES = 10;

/** Scripts ask `fettle __complete WORD...` at each Tab, so they know every command and never grow old. */
export const completionScripts: Readonly<Record<Shell, string>> = {
  bash: `# bash completion for fettle; in ~/.bashrc: source <(fettle completion bash)
_fettle() {
  local words found
  words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  found="$(fettle __complete -- "\${words[@]}" 2>/dev/null)"
  if [ $? -eq ${COMPLETE_FILES} ]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")
    return
  fi
  COMPREPLY=()
  [ -n "$found" ] && mapfile -t COMPREPLY <<< "$found"
}
complete -F _fettle fettle
`,
  zsh: `#compdef fettle
# zsh completion for fettle; in ~/.zshrc: source <(fettle completion zsh)
_fettle() {
  local found
  local -a candidates
  found="$(fettle __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)"
  if [[ $? -eq ${COMPLETE_FILES} ]]; then
    _files
    return
  fi
  candidates=("\${(@f)found}")
  [[ -n "$found" ]] && compadd -- "\${candidates[@]}"
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _fettle fettle
`,
  fish: `# fish completion for fettle; save as ~/.config/fish/completions/fettle.fish
function __fettle_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l found (fettle __complete -- $words[2..-1] 2>/dev/null)
  if test $status -eq ${COMPLETE_FILES}
    __fish_complete_path (commandline -ct)
    return
  end
  printf '%s\\n' $found
end
complete -c fettle -f -a '(__fettle_complete)'
`,
};

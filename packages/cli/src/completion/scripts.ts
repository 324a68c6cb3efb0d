export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

/**
 * The script that gives a shell completion for a program of this name. `command` is what asks: the program itself, or hull for another
 * name. What it prints: a line that says what paths to offer ("none", "files" or "directories"), then the candidates, each with what it is
 * behind a tab.
 */
export function completionScript(shell: Shell, name: string): string {
  switch (shell) {
    case "bash":
      return bash(name);
    case "zsh":
      return zsh(name);
    case "fish":
      return fish(name);
  }
}

const functionName = (name: string): string => `_${name.replace(/[^a-zA-Z0-9]/g, "_")}_complete`;

const bash = (name: string): string => `# bash completion for ${name}; load it with: source <(hull completion bash)
${functionName(name)}() {
    local paths candidate
    COMPREPLY=()
    {
        IFS= read -r paths
        while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done
    } < <("$1" __complete line "\${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
    case $paths in
        files) compopt -o default 2>/dev/null ;;
        directories) compopt -o dirnames 2>/dev/null ;;
    esac
    # What ends so is followed by a value in the same word.
    if [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *= ]]; then compopt -o nospace 2>/dev/null; fi
}
complete -F ${functionName(name)} ${name}
`;

const zsh = (name: string): string => `#compdef ${name}
# zsh completion for ${name}; load it with: source <(hull completion zsh), or as a file _${name} in a directory of $fpath
${functionName(name)}() {
    local -a lines plain
    local paths line
    lines=("\${(@f)$("\${words[1]}" __complete words -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
    paths=\${lines[1]}
    for line in "\${(@)lines[2,-1]}"; do
        # A colon divides the word from what it is.
        plain+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
    done
    (( \${#plain} )) && _describe -V '${name}' plain
    case $paths in
        files) _files ;;
        directories) _files -/ ;;
    esac
}
if [[ "\${funcstack[1]}" = "_${name}" ]]; then
    ${functionName(name)} "$@"
else
    compdef ${functionName(name)} ${name}
fi
`;

const fish = (name: string): string => `# fish completion for ${name}; load it with: hull completion fish | source
function _${functionName(name)}
    set -l words (commandline -opc)
    set -l lines ($words[1] __complete words -- $words[2..-1] (commandline -ct) 2>/dev/null)
    switch $lines[1]
        case files
            __fish_complete_path (commandline -ct)
        case directories
            __fish_complete_directories (commandline -ct)
    end
    for line in $lines[2..-1]
        echo $line
    end
end
complete -c ${name} -f -a '(_${functionName(name)})'
`;

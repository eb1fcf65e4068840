# Becomes the session's shell: the user's own if it is one that is known here, or else sh. It reads what it is to do, unit after unit,
# from descriptor 0, and reports on descriptor 9, which neither reaches the commands that it runs. `mode` is set in front of this, and `reads`
# where nobody types.
#
# A shell that reads units as its program text goes on with the next one whatever happens in one of them: there is no loop that an
# interrupt could leave. The terminal, if there is one, is descriptors 1 and 2, and 7 as what commands read.
shell=${SHELL:-/bin/sh}
[ -x "$shell" ] || shell=/bin/sh
kind=${shell##*/}
case $kind in
    bash | zsh | sh | dash | ash | busybox | ksh | mksh) ;;
    *) shell=/bin/sh kind=sh ;;
esac

# who: which shell this is, and whose; new SERIAL UNIT: whether the unit was not begun before; was STATUS: what $? is to be; say STATUS: the report; keep TEXT: for `history`;
# names: what it knows by name, for completion
__telex_boot='unset __telex_boot
    __telex_who() { $__telex_by printf "K%s\n%s\n%s\n%s\n%s\0" "$__telex_status" "$__telex_kind" "${SHELL##*/}" "${LOGNAME-}" "${HOME-}" >&9; }
    __telex_serial=0 __telex_unit=0 __telex_status=0
    __telex_new() { __telex_serial=$1; [ "$2" -gt "$__telex_unit" ] && __telex_unit=$2; }
    __telex_was() { return "$1"; }
    __telex_say() { $__telex_by printf "P%s %s %s %s\0" "$__telex_serial" "$__telex_unit" "$1" "$PWD" >&9; }
'
case $kind in
    bash)
        __telex_boot=$__telex_boot'
            __telex_names() {
                builtin printf "NP%s\0" "$PATH"
                { builtin compgen -P NC -A function -abk; builtin compgen -P NV -v; } | command tr "\n" "\0"
                builtin printf "NE\0"
            } >&9
'
        ;;
    zsh)
        __telex_boot=$__telex_boot'
            __telex_names() {
                builtin emulate -L zsh
                builtin print -rN -- "NP$PATH" NC${^${(k)functions}} NC${^${(k)aliases}} NC${^${(k)builtins}} NC${^${(k)reswords}} \
                    NV${^${(k)parameters}} NE
            } >&9
'
        ;;
    *)
        __telex_boot=$__telex_boot'
            __telex_names() {
                command printf "NP%s\0" "$PATH"
                command printf "NC%s\0" alias bg break case cd command continue do done elif else esac eval exec exit export false fg fi \
                    for getopts hash if in jobs kill local printf pwd read readonly return set shift test then times trap true type \
                    ulimit umask unalias unset until wait while
                {
                    alias | command sed -n "s/^\(alias \)\{0,1\}\([^= ]*\)=.*/NC\2/p"
                    set | command sed -n "s/^\([A-Za-z_][A-Za-z_0-9]*\)=.*/NV\1/p"
                } | command tr "\n" "\0"
                command printf "NE\0"
            } >&9
'
        ;;
esac
# What the user has given such a name to is not what is meant.
case $kind in
    bash | zsh) __telex_boot="__telex_by=builtin; $__telex_boot" ;;
    *) __telex_boot="__telex_by=command; $__telex_boot" ;;
esac
__telex_boot="__telex_kind=$kind; $__telex_boot
    __telex_who"
case $mode/$kind in
    terminal/bash)
        __telex_boot=$__telex_boot'
            __telex_keep() { builtin history -s -- "$1"; }
            __telex_prompt() { __telex_say "$?"; PS1= PS2= PS0=; }
            __telex_end() { set -- "$?"; __telex_status=$1; unset PROMPT_COMMAND; PROMPT_COMMAND=__telex_prompt; return "$1"; }
            set +o history +H
            __telex_end'
        set -- --noediting -l -i
        ;;
    terminal/zsh)
        __telex_boot=$__telex_boot'
            __telex_keep() { builtin print -rs -- "$1"; }
            __telex_prompt() { __telex_say "$?"; PS1= PS2= RPS1=; }
            __telex_end() { set -- "$?"; __telex_status=$1; precmd_functions=(${precmd_functions:#__telex_prompt} __telex_prompt); return "$1"; }
            typeset -ga precmd_functions
            unsetopt zle promptsp promptcr banghist
            setopt histignorespace interactivecomments
            __telex_end'
        set -- +Z -l -i
        ;;
    terminal/*)
        # The prompt runs in a shell of its own, which finds the status of the one before it.
        __telex_boot=$__telex_boot'
            __telex_keep() { :; }
            __telex_end() { set -- "$?"; __telex_status=$1; PS1="\$(__telex_say \"\$?\")" PS2=; return "$1"; }
            __telex_end'
        set -- -l -i
        [ "$kind" != busybox ] || set -- ash -l -i
        ;;
    script/bash)
        __telex_boot=$__telex_boot'
            shopt -s expand_aliases
            __telex_say 0'
        set --
        ;;
    script/zsh)
        __telex_boot=$__telex_boot'
            setopt aliases
            __telex_say 0'
        set --
        ;;
    *)
        __telex_boot=$__telex_boot'
            __telex_say 0'
        set --
        [ "$kind" != busybox ] || set -- ash
        ;;
esac
[ "$mode" != terminal ] || __telex_boot="exec 7<${reads:-&2}; $__telex_boot"
export __telex_boot
exec "$shell" "$@"

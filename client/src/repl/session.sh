# Runs one line of the REPL: puts back the directory and the exported variables of the line before, runs the line,
# and keeps its own for the next one. Any POSIX shell; no process is started for any of it.
__telex_state=$TELEX_STATE __telex_line=$TELEX_LINE __telex_status=$TELEX_STATUS
__telex_job=${TELEX_JOB_ID-}
unset TELEX_STATE TELEX_LINE TELEX_STATUS

__telex_save() {
    # A signal must not cut the file in half.
    trap '' HUP INT QUIT TERM
    export PWD OLDPWD
    {
        export -p >"$__telex_state/variables" && printf '%s' "$PWD" >"$__telex_state/directory"
    } || echo 'the directory and the variables could not be kept for the next line' >&2
}
__telex_return() { return "$1"; }
# What `exit` comes to: in a script, the lines behind a failed check must not run. A subshell's exit stays its own.
__telex_exit() { __telex_status=$? __telex_left=1; exit "${1-$__telex_status}"; }
__telex_end() {
    __telex_save
    # No command's own end looks like this one; the REPL then looks for the file.
    [ -z "${__telex_left-}" ] || { printf '%s\n' "$1" >"$__telex_state/left" && kill -VTALRM $$; }
}

if [ -s "$__telex_state/variables" ]; then
    # What the line before had unset must not come back with the new shell.
    unset HOME USER LOGNAME SHELL PATH LANG OLDPWD
    . "$__telex_state/variables"
    # Each line is a job of its own, and is found by its id.
    [ -z "$__telex_job" ] || TELEX_JOB_ID=$__telex_job
    __telex_old=${OLDPWD-}
    if ! cd -- "$PWD" 2>/dev/null; then
        printf 'the directory %s is gone: the line was not run, and the next one runs in the home directory\n' "$PWD" >&2
        cd || cd /
        __telex_save
        exit 1
    fi
    OLDPWD=$__telex_old
    [ -n "$OLDPWD" ] || unset OLDPWD
fi

trap '__telex_end "$?"' EXIT
trap '__telex_save; trap - INT EXIT; kill -INT $$' INT
alias exit=__telex_exit
__telex_return "$__telex_status"
eval "$__telex_line"

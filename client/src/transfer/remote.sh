# What the client's transfers have a server's shell do: any POSIX shell, with find, and the stat, readlink, ln and mv of
# GNU, BusyBox or toybox. What is to be done is appended. A program and its names come by stdin, so that nobody sees them in a
# list of processes and none is too long.
umask 077

if command -v openssl >/dev/null; then digest='openssl dgst -sha256 -r' # three times as fast
elif command -v sha256sum >/dev/null; then digest=sha256sum
elif command -v shasum >/dev/null; then digest='shasum -a 256'
else digest=
fi

# Lists: docs in listing.rs. Names begin with a point, so none is an option.
describe='printf "%s\0" "$@" && printf "\0" && stat -c "%f %s" "$@" || exit
for f do if [ -L "$f" ]; then readlink -n "$f" && printf "\0" || exit; fi; done'
summarize='printf "%s\0" "$@" && printf "\0" && exec '"$digest"' "$@"'

# The tree at $1: what is in it.
list() {
    if [ -d "$1" ]; then
        (cd "$1" && exec find . -exec sh -c "$describe" sh {} +) || exit
    else
        printf '.\0\0' && stat -L -c '%f %s' "$1" || exit
    fi
    printf '\0'
}

# The tree at $1: the hashes of its files.
hashes() {
    if [ -d "$1" ]; then
        (cd "$1" && exec find . -type f -exec sh -c "$summarize" sh {} +) || exit
    else
        printf '.\0\0' && $digest "$1" || exit
    fi
    printf '\0'
}

# The hash of the first $3 bytes of the file $1, as that of $2.
beginning() {
    printf '%s\0\0' "$2" && head -c "$3" "$1" | $digest || exit
}

# What stands at $1.
standing() {
    if [ -d "$1" ]; then echo Directory
    elif [ -L "$1" ] || [ -f "$1" ]; then echo File
    elif [ -e "$1" ]; then echo Other
    else echo Nothing
    fi
}

# Makes the file or directory $1 (-f, -d: $2) where a transfer is kept until it is whole, or finds the one of an earlier try. In a
# directory where others can write, theirs is not taken for ours, and none but ours is written to; one with two names is a
# target, from which only this name was not taken away yet.
prepare() {
    if [ -e "$1" ] || [ -L "$1" ]; then
        if [ -L "$1" ] || [ ! -O "$1" ] || [ ! "$2" "$1" ] || { [ -f "$1" ] && [ "$(stat -c %h "$1")" != 1 ]; }; then
            rm -rf "$1" || exit
        else
            chmod -R u+rwX "$1" || exit
        fi
    fi
    case $2 in
    -d) [ -d "$1" ] || mkdir "$1" || exit ;;
    # Only if there is none.
    -f) [ -f "$1" ] || (set -C && : >"$1") || exit ;;
    esac
}

# Writes a small file: what printf makes of $2. When it cannot, cat knows why: not every shell's printf says.
write() {
    printf "$2" >"$1" 2>/dev/null || { echo | cat >>"$1"; exit 1; }
}

# Gives what is whole its name. Says whether it has got it: `taken` if somebody else has meanwhile.
finish() {
    if ! ln -T "$1" "$2" 2>/dev/null; then
        # A directory, or a file system without second names.
        reason=$(mv -nT "$1" "$2" 2>&1)
        [ -e "$1" ] || { echo done; return; }
        if [ -e "$2" ] || [ -L "$2" ]; then echo taken; return; fi
        echo "$reason" >&2
        exit 1
    fi
    rm -f "$1"
    echo done
}

# Lists what begins with $beginning: files where it runs, with a slash behind directories, or the programs in $path; each with a
# NUL. Names are bytes, and stay in this shell.
LC_ALL=C
case $kind in
files)
    for file in "$beginning"*; do
        if [ -d "$file" ]; then printf '%s/\0' "$file"
        elif [ -e "$file" ] || [ -L "$file" ]; then printf '%s\0' "$file"
        fi
    done
    ;;
programs)
    IFS=:
    set -f
    set -- $path
    set +f
    for directory do
        for file in "${directory:-.}/$beginning"*; do
            [ -f "$file" ] && [ -x "$file" ] && printf '%s\0' "${file##*/}"
        done
    done
    ;;
esac

# Keeps the REPL's private directory on the server for as long as the REPL lives, and removes it however that ends:
# its stdin ends, or the server ends the job because the connection is gone.
d=$(mktemp -d) || exit
trap 'rm -rf -- "$d"' EXIT
trap 'exit 1' HUP INT QUIT TERM
printf '%s\n%s\n' "$d" "$PWD"
read -r _
exit 0

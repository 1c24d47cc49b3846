# Read by bash before every `cmd` (BASH_ENV). Case = directory: `cmd` is run in an empty directory with a state of its own;
# `stdout`, `stderr` and `exit` are what it gives (missing: nothing, 0). UPDATE=1 rewrites them.
umask 022

# show COMMAND...: the command as it stands, what it prints, its exit code when it is not 0.
show() {
  local status=0
  printf '$ %s\n' "$*"
  printf '$ %s\n' "$*" >&2
  "$@" || status=$?
  [ "$status" = 0 ] || printf '[exit %d]\n' "$status"
  return 0
}

# hello: a Dockerfile of one COPY and its context.
hello() {
  printf 'FROM scratch\nCOPY hello /\nCMD ["/hello"]\n' > Dockerfile
  printf 'hello\n' > hello
  touch -d @1700000000 hello
}

# quiet COMMAND...: nothing of its progress; it must succeed.
quiet() {
  "$@" 2>quiet.err >/dev/null || { cat quiet.err >&2; exit 99; }
  rm quiet.err
}

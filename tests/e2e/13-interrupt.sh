#!/usr/bin/env bash
# Ctrl-C, SIGTERM, SIGKILL and a lost terminal in the middle of a RUN: the end comes within a second, and nothing stays.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# sleeping COUNT: so many processes of this scenario sleep.
sleeping() {
  local pid count=0
  for pid in $(marked); do
    # The program's own command line holds these words, too.
    if tr '\0' ' ' 2>/dev/null < "/proc/$pid/cmdline" | grep -v "^$WORK/crossdock " | grep -q 'sleep 86399'; then count=$((count + 1)); fi
  done
  [ "$count" -ge "$1" ]
}
now_ms() { date +%s%3N; }

# interrupted WHAT SIGNAL EXPECTED_EXIT SLEEPERS ARGS...: starts crossdock, sends the signal when the steps sleep.
interrupted() {
  local what=$1 signal=$2 wanted=$3 sleepers=$4 pid status=0 start took
  shift 4
  (cd "$T" && exec "${C[@]}" "$@") </dev/null >"$WORK/out" 2>"$WORK/err" &
  pid=$!
  LAST="crossdock $*, then kill -$signal"
  if ! until_true 60 sleeping "$sleepers"; then
    failed "$what: the step began" "$(tail -n 10 "$WORK/err")"
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" || true
    return 0
  fi
  start=$(now_ms)
  kill "-$signal" "$pid"
  # A program that does not listen must not hang the suite.
  (sleep 10 & trap 'kill "$!"' TERM; wait "$!" && kill -KILL "$pid") >/dev/null 2>&1 &
  local guard=$!
  # The shell's own word about a killed job is no news.
  wait "$pid" 2>/dev/null || status=$?
  took=$(($(now_ms) - start))
  kill "$guard" 2>/dev/null || true
  check "$what: exit code" "$wanted" "$status"
  [ "$status" = "$wanted" ] || tail -n 5 "$WORK/err"
  check_true "$what: over within a second ($took ms)" test "$took" -lt 1000
  check_hasnt "$what: no panic" "panicked at" "$(cat "$WORK/err")"
  nothing_left "$what"
}

scenario() {
  dockerfile "$T/native" 'FROM busybox' 'RUN sleep 86399'
  dockerfile "$T/children" 'FROM busybox' 'RUN trap "" INT TERM HUP; (sleep 86399 & sleep 86399 & wait) & sleep 86399'
  interrupted "Ctrl-C in a build" INT 130 1 build native
  check_has "Ctrl-C in a build: it says so" canceled "$(cat "$WORK/err")"
  interrupted "SIGTERM in a build" TERM 130 1 build native
  interrupted "Ctrl-C with children that ignore it" INT 130 3 build children
  interrupted "Ctrl-C in two platforms, one emulated" INT 130 2 build --platform linux/amd64,linux/arm64 native
  interrupted "SIGKILL in a build" KILL 137 1 build native
  interrupted "SIGKILL in two platforms" KILL 137 2 build --platform linux/amd64,linux/arm64 native
  interrupted "Ctrl-C in run" INT 130 1 run busybox sleep 86399
  interrupted "SIGTERM in run" TERM 143 1 run busybox sleep 86399
  interrupted "SIGKILL in an emulated run" KILL 137 1 run --platform linux/arm64 busybox sleep 86399

  # A real Ctrl-C: the terminal sends it to the whole foreground group.
  local start took
  (until_true 60 sleeping 1; sleep 0.2; now_ms > "$WORK/pressed"; printf '\003') |
    (cd "$T" && timeout 90 script -qec "$(printf '%q ' "${RUN_AS[@]}" TERM=xterm "$WORK/crossdock" build --progress tty native)"' ; echo "exit $?"' "$WORK/typescript") >/dev/null 2>&1 || true
  start=$(cat "$WORK/pressed")
  took=$(($(now_ms) - start))
  check_match "Ctrl-C at a terminal: exit code" '^exit 130' "$(tr -d '\r' < "$WORK/typescript")"
  check_true "Ctrl-C at a terminal: over within two seconds ($took ms)" test "$took" -lt 2000
  nothing_left "Ctrl-C at a terminal"

  # The same build, when nobody interrupts, from what is left.
  dockerfile "$T/native" 'FROM busybox' 'RUN sleep 0.1; echo done > /end' 'CMD ["cat", "/end"]'
  x build -t native:1 native
  ok "a build after all the interrupted ones"
  x run native:1
  check "and its image" "done" "$OUT"
  check_store "after all the interrupted builds"
}

emulators
busybox_registry
each_user scenario root sub nosub

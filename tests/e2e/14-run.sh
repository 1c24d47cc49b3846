#!/usr/bin/env bash
# `run`: exit codes, environment, volumes, working directory, user, entrypoint, standard input, a terminal, the network.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

exit_codes() {
  x run --rm=true --platform= --tty=false busybox uname -m
  check "run: an empty platform is none, switches take values" "$(uname -m)" "$OUT"
  x run busybox sh -c 'exit 7'
  check "the program's exit code" 7 "$RC"
  x run busybox true
  check "no exit code" 0 "$RC"
  x run busybox no-such-program
  check "a program that is not there" 127 "$RC"
  check_has "a program that is not there: the message" no-such-program "$ERR"
  x run busybox /etc/passwd
  check "a file that is no program" 126 "$RC"
  x run busybox sh -c 'kill -9 $$'
  check "a program that is killed" 137 "$RC"
  x run busybox sh -c 'echo out; echo err >&2'
  check "standard output is only the program's" out "$OUT"
  check_has "standard error is passed on" err "$ERR"
}

settings() {
  x FROM_HOST=outside run -e A=b -e FROM_HOST -e UNSET_THERE busybox env
  check_match "-e NAME=VALUE" '^A=b$' "$OUT"
  check_match "-e NAME takes it from the environment" '^FROM_HOST=outside$' "$OUT"
  check_hasnt "-e NAME that is not set" UNSET_THERE "$OUT"
  check_match "PATH is the image's" '^PATH=/usr/local/sbin' "$OUT"
  check_hasnt "the host's environment stays outside" CROSSDOCK_STATE_DIR "$OUT"
  x run -w /usr/bin busybox pwd
  check "-w" /usr/bin "$OUT"
  x run -w /made/here busybox pwd
  check "-w makes the directory" /made/here "$OUT"
  x run --entrypoint /bin/echo busybox one two
  check "--entrypoint" "one two" "$OUT"
  x run --hostname here busybox hostname
  check "--hostname" here "$OUT"
  x run --hostname foo.bar busybox sh -c 'cat /etc/hostname; echo $HOSTNAME'
  check "/etc/hostname and HOSTNAME" "foo.bar foo.bar" "$(tr '\n' ' ' <<<"$OUT" | sed 's/ $//')"
  x run --cidfile named busybox sh -c 'echo $HOSTNAME; cat /etc/hostname'
  check "without a name both are the ID" "$(cut -c1-12 "$T/named") $(cut -c1-12 "$T/named")" "$(tr '\n' ' ' <<<"$OUT" | sed 's/ $//')"
  dockerfile "$T/nameless" 'FROM busybox' 'RUN test -z "$(env | grep ^HOSTNAME)" && test ! -e /etc/hostname'
  x build nameless
  ok "steps of a build have neither"
  x run -w rel busybox pwd
  fails "-w of a relative path" "the working directory 'rel' is invalid, it needs to be an absolute path"
  check "-w of a relative path: exit 125" 125 "$RC"
  x run --network none busybox sh -c 'ls /sys/class/net; cat /proc/net/dev | grep -c :'
  ok "--network none"
  check_hasnt "--network none has no interface but lo" eth "$OUT"
  dockerfile "$T/entry" 'FROM busybox' 'ENTRYPOINT ["echo", "entry"]' 'CMD ["default"]' 'ENV A=image' 'WORKDIR /work'
  x build -t entry:1 entry
  x run entry:1
  check "ENTRYPOINT and CMD" "entry default" "$OUT"
  x run entry:1 other
  check "ENTRYPOINT with arguments" "entry other" "$OUT"
  x run --entrypoint sh entry:1 -c 'echo $A $PWD'
  check "ENV and WORKDIR of the image" "image /work" "$OUT"
  x run busybox sh -c 'cat /proc/1/comm >/dev/null; ls /proc | grep -c "^[0-9]"'
  check_true "processes of the host are not seen ($OUT)" test "$OUT" -lt 8
}

users() {
  x run busybox id -u
  check "the default user" 0 "$OUT"
  if [ "$WHO" = nosub ]; then
    x run -u 1000 busybox id -u
    fails "-u without sub-ids names the fix" subuid
    return
  fi
  x run -u 1000 busybox id -u
  check "-u NUMBER" 1000 "$OUT"
  x run -u www-data busybox sh -c 'id -u; id -g'
  check "-u NAME" "33 33" "$(tr '\n' ' ' <<<"$OUT" | sed 's/ $//')"
  x run -u 5:7 busybox sh -c 'id -u; id -g'
  check "-u USER:GROUP" "5 7" "$(tr '\n' ' ' <<<"$OUT" | sed 's/ $//')"
  x run -u nobody-here busybox true
  fails "-u with an unknown name" nobody-here
}

volumes() {
  mkdir -p "$T/shared"
  echo "from outside" > "$T/shared/in"
  mine "$T/shared"
  x run -v "$T/shared:/data" busybox sh -c 'cat /data/in; echo "from inside" > /data/out'
  ok "-v"
  check "-v: reads" "from outside" "$OUT"
  check "-v: writes" "from inside" "$(cat "$T/shared/out")"
  check "-v: the file belongs to the caller" "$LOGIN" "$(stat -c %U "$T/shared/out")"
  x run -v "$T/shared:/data:ro" busybox sh -c 'echo x > /data/no'
  check_true "-v …:ro cannot be written ($RC)" test "$RC" != 0
  check_true "and was not" test ! -e "$T/shared/no"
  x run -v "$T/shared/in:/etc/one-file:ro" busybox cat /etc/one-file
  check "-v of one file" "from outside" "$OUT"
  x run -v "$T/nowhere:/data" busybox true
  fails "-v of nothing" nowhere
  x run -v /etc -v /only/inside busybox sh -c 'touch /only/inside/f; ls /etc/passwd /only/inside'
  check "-v of the container's path alone: a directory, with what the image has there" "/etc/passwd /only/inside: f" "$(tr -s '\n' ' ' <<<"$OUT" | sed 's/ $//')"
  x run --read-only -v /only/inside busybox sh -c 'echo x > /only/inside/f && cat /only/inside/f; touch /no'
  check "which can be written to in a read-only root" "x 1" "$OUT $RC"
  x run -v / busybox true
  fails "-v of the root" "can't be '/'"
  x run --tmpfs /t:mode=700,size=1m,exec busybox sh -c 'stat -c %a /t; grep " /t " /proc/mounts'
  check_match "--tmpfs: mode" '^700$' "$OUT"
  check_match "--tmpfs: size, exec" ' rw,nosuid,nodev,relatime,size=1024k,mode=700' "$OUT"
  x run --tmpfs /t busybox grep ' /t ' /proc/mounts
  check_match "--tmpfs: what is forbidden by default" ' rw,nosuid,nodev,noexec,relatime' "$OUT"
  x run --tmpfs /root busybox stat -c %a /root
  check "--tmpfs over a directory has its mode" 700 "$OUT"
  x run --mount type=tmpfs,target=/t,tmpfs-mode=0711 busybox stat -c %a /t
  check "--mount type=tmpfs,…,tmpfs-mode" 711 "$OUT"
  x run --tmpfs /t:what busybox true
  fails "--tmpfs with an unknown option" 'invalid tmpfs option "what"'
  x run busybox sh -c 'echo gone > /gone'
  x run busybox cat /gone
  check "what a run writes is thrown away" 1 "$RC"
}

streams() {
  printf 'one\ntwo\n' > "$WORK/lines"
  IN=$WORK/lines x run -i busybox cat
  check "-i passes standard input on" "one two" "$(tr '\n' ' ' <<<"$OUT" | sed 's/ $//')"
  IN=$WORK/lines x run busybox cat
  check "without -i there is none" "" "$OUT"
  head -c 5000000 /dev/zero > "$WORK/zeros"
  IN=$WORK/zeros x run -i busybox wc -c
  check "5 MB through standard input" 5000000 "$OUT"
  x run busybox sh -c 'head -c 3000000 /dev/zero'
  check "3 MB through standard output" 3000000 "$(stat -c %s "$WORK/out")"
  terminal run -t busybox sh -c 'tty; echo "$TERM"; test -t 0 && test -t 1 && test -t 2 && echo all three'
  check_match "-t gives a terminal" '^/dev/' "$TYPED"
  check_match "-t: all three streams" '^all three' "$TYPED"
  terminal run -t busybox sh -c 'stty size'
  check_match "-t: its size is the caller's" '^33 77' "$TYPED"
  terminal run -t busybox sh -c 'exit 9'
  check_match "-t: the exit code" '^exit 9' "$TYPED"
  TYPE='echo typed-$((6*7)); exit 3' terminal run -it busybox sh
  check_match "-it: what is typed is run" '^typed-42' "$TYPED"
  check_match "-it: the exit code" '^exit 3' "$TYPED"
  check_match "the caller's terminal is as it was" '^echo on' "$TYPED"
  x run -a stdout busybox sh -c 'echo out; echo err >&2'
  check "-a stdout" "out " "$OUT $ERR"
  x run --rm -a STDERR busybox sh -c 'echo out; echo err >&2'
  check "-a stderr" " err" "$OUT $ERR"
  x run -a bogus busybox true
  fails "-a of no stream" 'valid streams are STDIN, STDOUT and STDERR'
  x create -a bogus busybox true
  fails "-a of no stream, of create" 'valid streams are STDIN, STDOUT and STDERR'
  x run -it busybox true
  check "-it without a terminal" "1 the input device is not a TTY" "$RC $ERR"
  x run -d -a stdout busybox true
  check "-d -a" "1 conflicting options: cannot specify both --attach and --detach" "$RC $ERR"
  x run -t busybox echo plain
  check "-t without a terminal outside" plain "$(tr -d '\r' <<<"$OUT")"
}

# signalled SIGNALS ARGS...: run ARGS, to whose client the signals are sent once the program said "up"; leaves RC, OUT, ERR.
signalled() {
  local signals=$1 pid one
  shift
  LAST="crossdock run $*, then kill -$signals"
  : > "$WORK/out"
  (cd "$T" && exec "${C[@]}" run "$@") </dev/null >"$WORK/out" 2>"$WORK/err" &
  pid=$!
  until_true 30 grep -q up "$WORK/out" || true
  for one in $signals; do
    kill "-$one" "$pid" 2>/dev/null || true
    sleep 0.3
  done
  RC=0
  wait "$pid" 2>/dev/null || RC=$?
  OUT=$(cat "$WORK/out")
  ERR=$(cat "$WORK/err")
}

# What the client is told without a terminal is for the program.
signals() {
  x ps -aq
  local line known=$OUT traps='trap "echo T; exit 5" TERM; trap "exit 6" INT; trap "exit 7" HUP; trap "exit 8" USR1; trap "exit 9" QUIT; echo up; while :; do sleep 0.1; done'
  for line in TERM=5 INT=6 HUP=7 USR1=8 QUIT=9; do
    signalled "${line%=*}" --rm busybox sh -c "$traps"
    check "${line%=*} reaches the program" "${line#*=}" "$RC"
  done
  signalled TERM --rm --name hears busybox sh -c "$traps"
  check "and what it says is seen" "up T" "$(tr '\n' ' ' <<<"$OUT" | sed 's/ $//')"
  signalled TERM --rm busybox sh -c 'echo up; exec sleep 100'
  check "without a trap it ends of it" 143 "$RC"
  signalled "INT INT INT" --rm --name deaf busybox sh -c 'trap "" INT; echo up; sleep 100 & wait'
  check "a program that does not listen ends with the third Ctrl-C" 1 "$RC"
  check_has "which is said" 'got 3 SIGTERM/SIGINTs, forcefully exiting' "$ERR"
  signalled TERM --rm --sig-proxy=false busybox sh -c "$traps"
  check "--sig-proxy=false: the program is ended" "130 up" "$RC $OUT"
  x ps -aq
  check "no container stays" "$known" "$OUT"
}

# terminal ARGS...: crossdock at a terminal of 77 columns and 33 lines; leaves what it showed in TYPED. TYPE is typed in at the
# shell's prompt.
terminal() {
  LAST="crossdock $* (at a terminal)"
  rm -f "$WORK/ended"
  : > "$WORK/typed"
  ([ -z "${TYPE:-}" ] || { until_true 30 grep -q '# ' "$WORK/typed"; printf '%s\n' "$TYPE"; }; until_true 20 test -e "$WORK/ended" || true) | {
    (cd "$T" && timeout 60 script -qec "stty cols 77 rows 33; $(printf '%q ' "${RUN_AS[@]}" TERM=xterm "$WORK/crossdock" "$@")"'; echo "exit $?"; stty -a | grep -q " echo " && echo echo on' /dev/null) >"$WORK/typed" 2>&1 || true
    touch "$WORK/ended"
  }
  TYPED=$(tr -d '\r' < "$WORK/typed")
}

scenario() {
  x run busybox true
  must "run pulls what is missing"
  exit_codes
  settings
  users
  volumes
  streams
  signals
  check_store "after all runs"
  nothing_left "run"
}

busybox_registry
each_user scenario root sub nosub

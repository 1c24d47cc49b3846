#!/usr/bin/env bash
# Three means of emulation (private, trace, the host's table) for three foreign architectures (one of them big-endian): shells, children,
# scripts with #!, set-id programs, chroots, many processes; the same layer bytes by every means; crashes named; nothing left behind.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
private_mounts "$0" "$@"

TABLE=/proc/sys/fs/binfmt_misc
ALL=linux/arm64,linux/arm/v7,linux/s390x
LE_MASK='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
BE_MASK='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff'
ZEROS='\x00\x00\x00\x00\x00\x00\x00\x00'

# register NAME MAGIC MASK INTERPRETER FLAGS: an entry of the host's table, gone again at the end.
register() { printf ':crossdock-e2e17-%s:M::\\x7fELF%s:%s:%s:%s' "$@" > "$TABLE/register"; }
register_all() { # DIR FLAGS
  register arm64 '\x02\x01\x01\x00'"$ZEROS"'\x02\x00\xb7\x00' "$LE_MASK" "$1/qemu-aarch64-static" "$2"
  register arm '\x01\x01\x01\x00'"$ZEROS"'\x02\x00\x28\x00' "$LE_MASK" "$1/qemu-arm-static" "$2"
  register s390x '\x02\x02\x01\x00'"$ZEROS"'\x00\x02\x00\x16' "$BE_MASK" "$1/qemu-s390x-static" "$2"
}
empty_table() {
  local file
  for file in "$TABLE"/crossdock-e2e17-*; do [ ! -e "$file" ] || echo -1 > "$file"; done
}
on_exit() { ! is_rootish || empty_table; }
# What crossdock or this test could have put there; others may change theirs meanwhile.
names() { local file; for file in "$TABLE"/*crossdock*; do [ ! -e "$file" ] || echo "${file##*/}"; done; }

# foreign_layout: busybox for the three architectures, made once from Debian's packages.
foreign_layout() {
  local dir=$CACHE/busybox
  if [ ! -d "$dir/layout-foreign" ]; then
    "$REPO/scripts/busybox-roots" "$dir" arm64 arm s390x
    rm -rf "$dir/layout-foreign.part"
    "$E2E/oci-image" "$dir/layout-foreign.part" latest linux/arm64="$dir/root-arm64.tar" linux/arm/v7="$dir/root-arm.tar" linux/s390x="$dir/root-s390x.tar"
    mv "$dir/layout-foreign.part" "$dir/layout-foreign"
  fi
  echo "$dir/layout-foreign"
}

# write_context USER-LINE UID COMMAND: the steps, the last one as that user. Each fails when what it ran was not what it should be, so that a build that succeeds has run everything.
write_context() {
  mkdir -p "$T/steps"
  cat > "$T/steps/nested" <<'S'
#!/usr/local/bin/outer an argument
S
  cat > "$T/steps/outer" <<'S'
#!/bin/sh -e
test "$#" = 3 && test "$1" = "an argument" && echo "$0 $1 $2 $3"
S
  cat > "$T/steps/shell" <<'S'
#!/bin/sh
set -e
test "$(uname -m)" = "$MACHINE"
uname -m > /arch
/bin/sh -c '/bin/uname -m' | cat | /bin/cat > /children
test "$(env -i /bin/uname -m)" = "$MACHINE"
test "$(echo a b c | xargs -n 1 /bin/busybox echo | wc -l)" = 3
mkdir -p /tmp/d && cp /bin/busybox /tmp/d/ && cd /tmp/d
find . -type f -exec ./busybox basename {} \; > /found && ./busybox cmp /bin/busybox busybox
test "$(seq 20000 | xargs /bin/busybox echo | wc -w)" = 20000
test "$(/bin/busybox echo "$(seq 20000)" | wc -l)" = 20000
test "$(seq 3000 | xargs -n 3000 /bin/busybox echo | wc -w)" = 3000
nested last > /nested && test "$(cat /nested)" = "/usr/local/bin/outer an argument /usr/local/bin/nested last"
printf 'echo text $0\n' > text && chmod +x text && ./text > /text
cp /bin/busybox no && chmod 644 no && ! ./no 2>/dev/null
test "$(A=1 B='two words' env -u HOME /bin/busybox env | grep -c '^[AB]=')" = 2
i=0; while [ $i -lt 150 ]; do /bin/busybox true; i=$((i + 1)); done
i=0; while [ $i -lt 200 ]; do (/bin/busybox echo $i) & i=$((i + 1)); done > all; wait
test "$(sort -n all | tail -n 1)" = 199 && test "$(wc -l < all)" = 200
sh -c 'kill -TERM $$' || test $? = 143
sh -c 'exit 7' || test $? = 7
mkdir -p /new/bin /new/dev && cp /bin/busybox /new/bin/sh && cp /bin/busybox /new/bin/uname && touch /new/dev/null
test "$(chroot /new /bin/sh -c '/bin/uname -m && /bin/uname -m')" = "$(printf '%s\n%s' "$MACHINE" "$MACHINE")"
cd / && rm -rf /tmp/d
S
  cat > "$T/steps/rooted" <<'S'
#!/bin/sh
set -e
test "$(id -u):$(id -g)" = 0:0
/bin/busybox touch /by-root && /bin/uname -m > /by-root-machine
S
  chmod 755 "$T"/steps/*
  dockerfile "$T/steps" <<D
FROM foreign
ARG TARGETARCH
COPY nested outer shell rooted /usr/local/bin/
RUN case \$TARGETARCH in arm64) m=aarch64;; arm) m=armv7l;; *) m=\$TARGETARCH;; esac; MACHINE=\$m shell
RUN echo root::0:0:root:/root:/bin/sh > /etc/passwd && echo ann::1000:1000:ann:/tmp:/bin/sh >> /etc/passwd && \
  echo root::0:0:99999:7::: > /etc/shadow && rm /bin/su && cp /bin/busybox /bin/su && chmod 4755 /bin/su
$1
RUN test "\$(id -u)" = $2 && $3 && test "\$(cat /by-root-machine)" = "\$(uname -m)"
CMD ["sh", "-c", "uname -m; /bin/uname -m"]
D
}

# by MEANS: the whole build by one means, with no other possible.
by() {
  local means=$1 start=$SECONDS platform wanted emulators=$CACHE/emulators
  [ "$means" != host ] || emulators=$T/none
  x SOURCE_DATE_EPOCH=1700000000 "CROSSDOCK_EMULATION=$means" CROSSDOCK_EMULATORS="$emulators" \
    build --no-cache --platform "$ALL" -t "steps:$means" -o "type=oci,dest=$means.tar" steps
  ok "$means: shell, children, scripts, chroot, 200 children, set-id su for three architectures ($((SECONDS - start)) s)"
  [ "$RC" = 0 ] || return 0
  for platform in linux/arm64 linux/arm/v7 linux/s390x; do
    manifest_of "$T/$means.tar" "$platform" | jq -c '[.layers[].digest]'
  done > "$WORK/layers-$WHO-$means"
  if [ ! -e "$WORK/layers-$WHO" ]; then
    cp "$WORK/layers-$WHO-$means" "$WORK/layers-$WHO"
  else
    check "$means: the same layer bytes as by the first means" "$(cat "$WORK/layers-$WHO")" "$(cat "$WORK/layers-$WHO-$means")"
  fi
  check_hasnt "$means: no emulator in the image" .crossdock "$(tree "$T/$means.tar" linux/arm64)"
  x build --platform "$ALL" -t "run:$means" steps
  while read -r platform wanted; do
    x "CROSSDOCK_EMULATION=$means" CROSSDOCK_EMULATORS="$emulators" run --platform "$platform" "run:$means"
    check "$means: run $platform" "$wanted $wanted" "$(tr '\n' ' ' <<<"$OUT" | sed 's/ $//')"
  done <<<"linux/arm64 aarch64
linux/arm/v7 armv7l
linux/s390x s390x"
}

scenario() {
  local before trace_only
  before=$(names)
  # With one id there is no other user, and su may not even set root's groups.
  if [ "$WHO" = nosub ]; then write_context '' 0 rooted; else write_context 'USER 1000' 1000 "test \"\$(/bin/su -c 'id -u')\" = 0 && /bin/su -c rooted"; fi
  by private
  by trace

  if is_rootish && [ -e "$TABLE/register" ]; then
    mkdir -p "$WORK/emulators"
    cp -u "$CACHE"/emulators/qemu-{aarch64,arm,s390x}-static "$WORK/emulators/"
    register_all "$WORK/emulators" POCF
    by host
    empty_table
    # Entries that lead nowhere inside an image: trace comes before the kernel looks at them.
    register_all /nonexistent ''
    x CROSSDOCK_EMULATION=trace build --no-cache --platform linux/s390x steps
    ok "trace beside entries that lead nowhere"
    empty_table
  else
    skipped "means host: the table can only be filled by root"
  fi
  check "the host's table has what it had of ours" "$before" "$(names)"

  # What a step dies of, by every means of our own.
  dockerfile "$T/crash" 'FROM foreign' 'RUN kill -SEGV $$'
  dockerfile "$T/child" 'FROM foreign' "RUN sh -c 'kill -ABRT \$\$' | cat; exit 3"
  dockerfile "$T/plain" 'FROM foreign' 'RUN exit 3'
  for means in private trace; do
    x "CROSSDOCK_EMULATION=$means" build --no-cache --platform linux/arm64 crash
    fails "$means: a crash names the emulator" "exit code: 139" "the emulator crashed (SIGSEGV)" "$CACHE/emulators/qemu-aarch64-static (QEMU " CROSSDOCK_EMULATORS
    x "CROSSDOCK_EMULATION=$means" build --no-cache --platform linux/arm64 child
    fails "$means: a child's crash, too" "exit code: 3" "the emulator crashed"
    x "CROSSDOCK_EMULATION=$means" build --no-cache --platform linux/arm64 plain
    check_hasnt "$means: a plain failure is none" "crashed" "$ERR"
  done

  # Refusals say what is missing.
  x CROSSDOCK_EMULATION=trace CROSSDOCK_EMULATORS="$T/none" build --no-cache --platform linux/s390x plain
  if [ -e /usr/bin/qemu-s390x-static ]; then skipped "trace without an emulator: the host has one"; else
    fails "trace without an emulator" "no static qemu-s390x" "$T/none"
  fi
  x CROSSDOCK_EMULATION=ptrace build --platform linux/s390x plain
  fails "an unknown means" "CROSSDOCK_EMULATION=ptrace" "private, host, trace or off"

  # Interrupted in the middle of many processes.
  dockerfile "$T/long" 'FROM foreign' 'RUN i=0; while [ $i -lt 30 ]; do /bin/sleep 600 & i=$((i + 1)); done; while true; do /bin/busybox true; done'
  (cd "$T" && exec "${RUN_AS[@]}" CROSSDOCK_EMULATION=trace "$WORK/crossdock" build --platform linux/arm64 long) >/dev/null 2>"$WORK/long.err" &
  local pid=$!
  PIDS+=("$pid")
  until_true 60 pgrep_sleep || failed "the long step did not start" "$(tail -n 5 "$WORK/long.err")"
  kill -INT "$pid"
  local status=0 start=$SECONDS
  wait "$pid" || status=$?
  check_true "an interrupted step ends the program" [ "$status" -ne 0 ]
  check_true "within seconds" [ $((SECONDS - start)) -lt 5 ]
  check_store "after means of emulation"
  nothing_left "means of emulation"
}

# pgrep_sleep: a sleeper of the long step runs.
pgrep_sleep() { local pid; for pid in $(marked); do tr '\0' ' ' < "/proc/$pid/cmdline" 2>/dev/null | grep -q ' 600 $' && return 0; done; return 1; }

if is_rootish && ! [ -e "$TABLE/register" ]; then mount -t binfmt_misc binfmt_misc "$TABLE" 2>/dev/null || true; fi
emulators
start_registry
push_layout "$(foreign_layout):latest" library/foreign:latest
printf '[registry."docker.io"]\n  mirrors = ["%s"]\n' "$REGISTRY" > "$WORK/config.toml"
each_user scenario root sub nosub

#!/usr/bin/env bash
# RUN --mount in all types: binds, caches shared in three ways (by processes, too), tmpfs, secrets as files and variables, forwarded
# ssh agents; --network, --security, --add-host, --ulimit, --shm-size. A secret's value is nowhere afterwards.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

built() { # WHAT ARGS...: builds app as image m:1 for amd64
  local what=$1
  shift
  x build --platform linux/amd64 -t m:1 "$@" app
  ok "$what"
}

in_image() { # WHAT EXPECTED COMMAND...
  local what=$1 wanted=$2
  shift 2
  x run m:1 "$@"
  check "$what" "$wanted" "$OUT"
}

binds() {
  mkdir -p "$T/app/src/deep"
  echo one > "$T/app/src/one"
  echo two > "$T/app/src/deep/two"
  dockerfile "$T/app" <<'D'
FROM busybox AS other
RUN mkdir /made && echo made > /made/file
FROM busybox
WORKDIR /w
RUN --mount=target=. cat src/one > /copied && ls -a > /names
RUN --mount=type=bind,source=src,target=/mnt,rw echo x > /mnt/new && ls /mnt | sort > /seen
RUN --mount=type=bind,source=src,target=/mnt ! touch /mnt/no 2>/dev/null
RUN --mount=type=bind,from=other,source=/made,target=/mnt cat /mnt/file > /from
RUN --mount=type=bind,from=other,source=/made/file,target=/mnt/one.txt cat /mnt/one.txt >> /from
RUN --mount=type=bind,source=src/one,target=/mnt/a,ro --mount=type=bind,source=src/deep,target=/mnt/b cat /mnt/a /mnt/b/two > /both
RUN ls -a / > /after
D
  built "bind mounts: builds"
  in_image "bind: the context" one cat /copied
  in_image "bind: what is written is seen by that step" "deep new one" sh -c 'echo $(cat /seen)'
  in_image "bind: from a stage, a directory and a file" "made made" sh -c 'echo $(cat /from)'
  in_image "bind: two of them" "one two" sh -c 'echo $(cat /both)'
  in_image "bind: nothing stays of the mount points" no sh -c 'test -e /mnt && echo yes || echo no'
  check "bind: the context is as before" "deep one" "$(cd "$T/app/src" && echo *)"
  echo changed > "$T/app/src/one"
  mine "$T/app"
  built "bind mounts: a changed file"
  in_image "bind: the change is seen" changed cat /copied
}

caches() {
  local pid_a pid_b
  dockerfile "$T/app" <<'D'
FROM busybox
ARG N
RUN --mount=type=cache,target=/cache echo $N >> /cache/log && cp /cache/log /log
RUN --mount=type=cache,id=/cache,target=/other,readonly cat /other/log > /same; ! touch /other/x 2>/dev/null
RUN --mount=type=cache,target=/owned,uid=1000,gid=1001,mode=0750 stat -c '%u:%g %a' /owned > /owner
RUN test ! -e /cache && test ! -e /other
D
  built "caches: the first build" --build-arg N=1
  built "caches: the second build" --build-arg N=2
  in_image "cache: what is written stays" "1 2" sh -c 'echo $(cat /log)'
  in_image "cache: its id is its target" "1 2" sh -c 'echo $(cat /same)'
  if [ "$WHO" != nosub ]; then in_image "cache: owner and mode" "1000:1001 750" cat /owner; else skipped "cache: owners need sub-ids"; fi
  built "caches: a build without cache" --build-arg N=3 --no-cache
  in_image "cache: a build without cache begins with empty ones" "3" sh -c 'echo $(cat /log)'

  # Two processes at once: shared sees the other, locked waits for it, private does not see it.
  local how
  for how in shared locked private; do
    dockerfile "$T/$how" <<D
FROM busybox
ARG N
RUN --mount=type=cache,id=$how,target=/c,sharing=$how : $how; echo begin >> /c/log; i=0; while [ \$i -lt 30 ] && [ "\$(grep -c begin /c/log)" -lt 2 ]; do sleep 0.1; i=\$((i + 1)); done; grep -c begin /c/log > /seen; sleep 0.3
D
    (cd "$T" && exec "${RUN_AS[@]}" "$WORK/crossdock" build -q --platform linux/amd64 --build-arg N=a -t "a:$how" "$how") >/dev/null 2>"$WORK/a.err" &
    pid_a=$!
    (cd "$T" && exec "${RUN_AS[@]}" "$WORK/crossdock" build -q --platform linux/amd64 --build-arg N=b -t "b:$how" "$how") >/dev/null 2>"$WORK/b.err" &
    pid_b=$!
    wait "$pid_a" || failed "cache $how: the first of two builds" "$(cat "$WORK/a.err")"
    wait "$pid_b" || failed "cache $how: the second of two builds" "$(cat "$WORK/b.err")"
    x run "a:$how" cat /seen
    local seen=$OUT
    x run "b:$how" cat /seen
    seen=$(printf '%s\n%s\n' "$seen" "$OUT" | sort | tr '\n' ' ')
    case $how in
      shared) check "cache: two steps share one" "2 2 " "$seen" ;;
      locked) check "cache: of a locked one the second waits" "1 2 " "$seen" ;;
      private) check "cache: private ones are apart" "1 1 " "$seen" ;;
    esac
  done

  dockerfile "$T/app" <<'D'
FROM busybox AS seed
RUN mkdir -p /s/deep && echo seed > /s/deep/file
FROM busybox
ARG N
RUN --mount=type=cache,id=seeded,target=/c,from=seed,source=/s cat /c/deep/file > /first; echo $N >> /c/deep/file
D
  built "caches: with first files" --build-arg N=1
  built "caches: with first files, again" --build-arg N=2
  in_image "cache: begins with the files of a stage and keeps what was added" "seed 1" sh -c 'echo $(cat /first)'
}

memory() {
  dockerfile "$T/app" <<'D'
FROM busybox
RUN --mount=type=tmpfs,target=/t,size=1m df -k /t | awk 'NR == 2 {print $2}' > /size; echo x > /t/x
RUN test ! -e /t
RUN df -k /dev/shm | awk 'NR == 2 {print $2}' > /shm
RUN ulimit -n > /files
RUN grep box.test /etc/hosts | tr -s '\t ' ' ' > /hosts
D
  built "tmpfs and limits: builds" --shm-size 3m --ulimit nofile=77:88 --add-host box.test:10.9.8.7
  in_image "tmpfs: its size" 1024 cat /size
  in_image "--shm-size" 3072 cat /shm
  in_image "--ulimit" 77 cat /files
  in_image "--add-host" "10.9.8.7 box.test" cat /hosts
}

secrets() {
  local value="s3cret-$RANDOM$RANDOM-of-$WHO" other="0ther-$RANDOM$RANDOM-of-$WHO"
  mkdir -p "$T/keys"
  printf '%s' "$value" > "$T/keys/token"
  mine "$T/keys"
  dockerfile "$T/app" <<'D'
FROM busybox
RUN --mount=type=secret,id=token,required sha256sum < /run/secrets/token > /sum && stat -c '%a %u' /run/secrets/token > /mode
RUN --mount=type=secret,id=token,target=/etc/deep/er/conf,mode=0444,uid=5 stat -c '%a %u' /etc/deep/er/conf >> /mode
RUN --mount=type=secret,id=token,env=TOKEN printf %s "$TOKEN" | sha256sum >> /sum
RUN --mount=type=secret,id=token (echo x > /run/secrets/token) 2>/dev/null || echo refused > /written
RUN --mount=type=secret,id=other,env=OTHER --mount=type=secret,id=gone test -n "$OTHER" && test ! -e /run/secrets/gone
RUN --mount=type=secret,id=token echo "ps:"; ps -o args | grep -c -F "$(cat /run/secrets/token)" > /ps || true
RUN test ! -e /run/secrets && test ! -e /etc/deep
D
  x OTHER="$other" build --platform linux/amd64 -t m:1 --progress=plain --metadata-file meta.json \
    --secret id=token,src=keys/token --secret id=other,env=OTHER app
  ok "secrets: builds"
  printf '%s\n%s\n' "$OUT" "$ERR" > "$T/log"
  local sum
  sum=$(printf %s "$value" | sha256sum)
  in_image "secret: as file and as variable" "$(printf '%s\n%s' "$sum" "$sum")" cat /sum
  if [ "$WHO" != nosub ]; then in_image "secret: modes and owners" "400 0
444 5" cat /mode; else in_image "secret: its mode" "400 0" head -n 1 /mode; fi
  in_image "secret: its file cannot be written" refused cat /written
  in_image "secret: in no argument of a process" 0 cat /ps
  x OTHER="$other" build --platform linux/amd64 --progress=rawjson --secret id=token,src=keys/token --secret id=other,env=OTHER app
  ok "secrets: again"
  printf '%s\n%s\n' "$OUT" "$ERR" >> "$T/log"
  x save -o image.tar m:1
  ok "secrets: saved"
  mkdir -p "$T/unpacked" && tar -xf "$T/image.tar" -C "$T/unpacked"
  find "$T/unpacked" -type f -print0 | while IFS= read -r -d '' file; do zcat -f "$file" 2>/dev/null || cat "$file"; done > "$T/layers"
  for one in "$value" "$other"; do
    check "secret: nowhere in layers and configs" "" "$(grep -c -F "$one" "$T/layers" | grep -v '^0$' || true)"
    check "secret: nowhere in the state directory" "" "$(grep -rlaF "$one" "$STATE" || true)"
    check "secret: nowhere in logs and metadata" "" "$(grep -lF "$one" "$T/log" "$T/meta.json" || true)"
    check "secret: nowhere in temporary files" "" "$(find "${TMPDIR:-/tmp}" -maxdepth 2 -newer "$T/keys/token" -user "$LOGIN" -type f ! -path "$WORK/*" -exec grep -lF "$one" {} + 2>/dev/null || true)"
  done
  printf 'another value' > "$T/keys/token"
  x OTHER="$other" build --platform linux/amd64 --progress=plain -t m:1 --secret id=token,src=keys/token --secret id=other,env=OTHER app
  ok "secrets: a changed one"
  check "secret: its value is no part of a key" "" "$(instructions "$ERR" | grep -v ^CACHED || true)"

  dockerfile "$T/bad" 'FROM busybox' 'RUN --mount=type=secret,id=must,required true'
  x build --platform linux/amd64 bad
  fails "a missing secret is named with what to give" 'secret must: not found' "--secret id=must" "Dockerfile:2"
  x build --platform linux/amd64 --secret id=must,src=keys/gone bad
  fails "a secret's file that is not there" "keys/gone"
  head -c 600000 /dev/zero > "$T/keys/large"
  mine "$T/keys"
  x build --platform linux/amd64 --secret id=must,src=keys/large bad
  fails "a secret that is too large" "larger than 512000 bytes"
  x build --platform linux/amd64 --secret src=keys/large bad
  fails "a secret without an id" "it has no id"
}

agents() {
  local agent=$T/agent.sock user=1000
  # Without sub-ids there is no other user.
  [ "$WHO" != nosub ] || user=0
  dockerfile "$T/app" <<D
FROM busybox
RUN --mount=type=ssh echo "\$SSH_AUTH_SOCK" > /where && test -S "\$SSH_AUTH_SOCK" && stat -c "%F %a %u" "\$SSH_AUTH_SOCK" > /kind
RUN --mount=type=ssh,id=other,target=/tmp/own test -e /tmp/own && echo yes > /own || echo no > /own
RUN test ! -e /run/buildkit && test ! -e /tmp/own
USER $user
RUN --mount=type=ssh,mode=0666,required test -w "\$SSH_AUTH_SOCK"
D
  rm -f "$T/key" "$T/key.pub"
  ssh-keygen -q -t ed25519 -N '' -f "$T/key"
  mine "$T/key" "$T/key.pub"
  "${RUN_AS[@]}" ssh-agent -D -a "$agent" >/dev/null 2>&1 &
  local pid=$!
  PIDS+=("$pid")
  until_true 5 test -S "$agent"
  x SSH_AUTH_SOCK="$agent" build --platform linux/amd64 -t m:1 --ssh default app
  ok "ssh: an agent's socket"
  in_image "ssh: SSH_AUTH_SOCK" /run/buildkit/ssh_agent.0 cat /where
  in_image "ssh: it is a socket" "socket 600 0" cat /kind
  in_image "ssh: an optional one that was not given" no cat /own
  x build --platform linux/amd64 -t m:1 --no-cache --ssh default=key --ssh other="$agent" app
  ok "ssh: keys of files, and a second agent"
  in_image "ssh: the second one" yes cat /own
  dockerfile "$T/must" 'FROM busybox' 'RUN --mount=type=ssh,required true'
  x build --platform linux/amd64 must
  fails "a missing agent is named" 'no SSH key "default" forwarded from the client' "--ssh default"
  x build --platform linux/amd64 --ssh default app
  fails "no agent runs" "SSH_AUTH_SOCK"
  echo nonsense > "$T/nokey"
  mine "$T/nokey"
  x build --platform linux/amd64 --ssh default=nokey app
  fails "a file that is no key" nokey
  kill "$pid"
  # With the client's programs in the image the whole way is walked: the key is listed by an ssh-add inside of a step.
  if [ -x /usr/bin/ssh-add ]; then
    mkdir -p "$T/tools/root"
    for file in /usr/bin/ssh-add $(ldd /usr/bin/ssh-add | grep -o '/[^ ]*'); do cp -L --parents "$file" "$T/tools/root/"; done
    dockerfile "$T/tools" 'FROM scratch' 'COPY root/ /' 'RUN --mount=type=ssh ["/usr/bin/ssh-add", "-l"]'
    x build --platform linux/amd64 --progress=plain --ssh default=key tools
    ok "ssh: ssh-add in a step"
    check_has "ssh: the step sees the key" "$(ssh-keygen -lf "$T/key.pub" | cut -d' ' -f2)" "$ERR"
  fi
}

permissions() {
  dockerfile "$T/app" 'FROM busybox' 'RUN --network=none ip -o link show > /links' 'RUN --network=default true'
  built "--network=none"
  in_image "--network=none has no other interface" 1 sh -c 'wc -l < /links'
  dockerfile "$T/app" 'FROM busybox' 'RUN ip -o link show > /links'
  built "--network none for all steps" --network none
  in_image "--network none for all steps" 1 sh -c 'wc -l < /links'
  dockerfile "$T/app" 'FROM busybox' 'RUN --network=host true'
  x build --platform linux/amd64 app
  fails "network.host must be allowed" "network.host is not allowed" "--allow network.host" "Dockerfile:2"
  built "network.host allowed" --allow network.host
  built "--network host allows it" --network host
  dockerfile "$T/app" 'FROM busybox' "RUN --security=insecure grep CapEff /proc/self/status | cut -f2 > /caps"
  x build --platform linux/amd64 app
  fails "security.insecure must be allowed" "security.insecure is not allowed" "Dockerfile:2"
  built "security.insecure allowed" --allow security.insecure
  x run m:1 cat /caps
  # CAP_SYS_ADMIN is bit 21, CAP_NET_ADMIN bit 12.
  check "insecure steps have the capabilities of an administrator" yes "$([ $((0x${OUT:-0} & 0x201000)) = $((0x201000)) ] && echo yes || echo "$OUT")"
  dockerfile "$T/app" 'FROM busybox' 'RUN --device=vendor.com/gpu=all,required true'
  x build --platform linux/amd64 app
  fails "a required device" "vendor.com/gpu=all" "Dockerfile:2"
  x build --allow root app
  fails "an unknown entitlement" "invalid entitlement"
  x build --network bridge app
  fails "an unknown network" "not supported"
}

scenario() {
  binds
  caches
  memory
  secrets
  agents
  permissions
  x prune -a -f
  ok "prune"
  check "prune takes the caches away" "" "$(find "$STATE/caches" -mindepth 3 2>/dev/null | head -n 3)"
  nothing_left "mounts"
  check_store "mounts"
}

busybox_registry
emulators
each_user scenario root sub nosub

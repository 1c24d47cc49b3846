#!/usr/bin/env bash
# Builders: made, chosen, shown and removed; in one configuration with real buildx 0.29 (of the root of scripts/peers), in both
# directions. Real buildx runs as the same user, straight from that root: it needs nothing but a C library.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

PEERS=${PEERS:-/var/tmp/crossdock-peers}
BUILDX=$PEERS/usr/libexec/docker/cli-plugins/docker-buildx
# Where no engine answers, whatever this machine runs.
NOBODY=tcp://127.0.0.1:1

# real ARGS...: real buildx as the user in the same configuration; leaves RC, OUT, ERR as x does.
real() {
  LAST="(real) buildx $*"
  RC=0
  (cd "$T" && exec timeout -k 5 60 "${RUN_AS[@]}" DOCKER_HOST="$NOBODY" "$WORK/docker-buildx" "$@") </dev/null >"$WORK/out" 2>"$WORK/err" || RC=$?
  OUT=$(<"$WORK/out")
  ERR=$(<"$WORK/err")
}
# b ARGS...: our `buildx`, where no engine answers.
b() { x DOCKER_HOST="$NOBODY" buildx "$@"; }

alone() {
  b create --use --name mybuilder
  must "create --use --name (B1)"
  check "create prints the name" mybuilder "$OUT"
  check "the directories are the owner's alone" 700 "$(stat -c %a "$T/docker/buildx")"
  check "the file is the owner's alone" 600 "$(stat -c %a "$T/docker/buildx/crossdock/instances/mybuilder")"
  b ls
  ok "ls"
  check_match "the builder in use has a star (B9)" '^mybuilder\* +embedded +$' "$OUT"
  check_match "its node runs" '^ \\_ mybuilder0 +\\_ local +running +crossdock-[0-9.]+ +linux/' "$OUT"
  b create --use
  ok "create without a name (B3)"
  check_match "two words" '^[a-z]+_[a-z]+$' "$OUT"
  local random=$OUT
  b inspect
  check_match "and it is the one in use" "^Name: +$random$" "$OUT"
  b inspect mybuilder --bootstrap
  ok "inspect --bootstrap behind the name (B6)"
  check_has "booting is a step" "#1 [internal] booting buildkit" "$ERR"
  check_match "driver" '^Driver: +embedded$' "$OUT"
  check_match "last activity in Go's words" '^Last Activity: 20[0-9-]+ [0-9:]+ \+0000 UTC$' "$OUT"
  check_match "status" '^Status: +running$' "$OUT"
  b inspect --bootstrap mybuilder
  ok "inspect --bootstrap before the name (B7)"
  b use mybuilder
  ok "use (B10)"
  check "use says nothing" "" "$OUT$ERR"
  b rm "$random" nope
  fails "rm of one that is not there" "$random removed" 'failed to remove nope: no builder "nope" found' "ERROR: failed to remove one or more builders"
  b use nope
  fails "use of one that is not there" 'failed to find instance "nope": open ' "/instances/nope: no such file or directory"
  b inspect nope
  fails "inspect of one that is not there" 'ERROR: no builder "nope" found'
  b stop mybuilder
  ok "stop"
}

builds() {
  dockerfile "$T/ctx" 'FROM scratch' 'COPY Dockerfile /'
  b build -q "$T/ctx"
  ok "a build with the builder in use"
  x DOCKER_HOST="$NOBODY" build --progress plain "$T/ctx"
  check_has "its name stands in the progress" '#0 building with "mybuilder" instance using embedded driver' "$ERR"
  x DOCKER_HOST="$NOBODY" build --builder nope "$T/ctx"
  fails "a builder that is not there" 'no builder "nope" found'
  x DOCKER_HOST="$NOBODY" BUILDX_BUILDER=nope build "$T/ctx"
  fails "BUILDX_BUILDER" 'no builder "nope" found'
  b create --name multi-builder --driver docker-container --platform linux/amd64
  ok "driver docker-container without an engine (B4)"
  check_has "says who does the work" "the embedded engine does" "$ERR"
  x DOCKER_HOST="$NOBODY" build --builder multi-builder --progress plain "$T/ctx"
  ok "a build with it"
  check_has "says who does the work, too" "no engine answers at $NOBODY: the embedded engine does its work" "$ERR"
  x DOCKER_HOST=tcp://127.0.0.1:2 buildx create --name multi-builder --append --node remote-builder
  ok "append with DOCKER_HOST (B5)"
  check_has "says what remote nodes cannot do yet" "comes with remote nodes" "$ERR"
  b inspect multi-builder
  check_match "its endpoint is DOCKER_HOST" '^Endpoint: +tcp://127.0.0.1:2$' "$OUT"
  check_match "the fixed platform has a star (B12)" '^Platforms: +linux/amd64\*, ' "$OUT"
}

interop() {
  real ls
  ok "real buildx lists what we wrote"
  check_match "docker-container" '^multi-builder +docker-container' "$OUT"
  check_match "both nodes" '_ remote-builder +\\_ tcp://127.0.0.1:2 ' "$OUT"
  check_hasnt "and does not see embedded builders" mybuilder "$OUT"
  check_match "one of them in use is nothing to it: it takes the context's" '^default\* ' "$OUT"
  real inspect multi-builder
  ok "real buildx inspects it"
  b create --name ours --driver remote --platform linux/arm64,linux/amd64 --driver-opt default-load=true tcp://127.0.0.1:3
  ok "create --driver remote"
  real inspect ours
  local theirs=$OUT
  b inspect ours
  check "both show the same of it" "$theirs" "$OUT"
  real use ours
  ok "real buildx uses it"
  b ls
  check_match "which we see" '^ours\* +remote' "$OUT"
  x DOCKER_HOST="$NOBODY" build "$T/ctx"
  fails "and cannot build with" 'builder "ours" (driver remote) works at tcp://127.0.0.1:3' "comes with remote nodes"
  real create --name their --driver remote --use tcp://127.0.0.1:4
  ok "real buildx makes a builder"
  real create --name their --append --driver remote --node second tcp://127.0.0.1:5
  b inspect
  ok "we inspect it, which it has put to use"
  check_match "name" '^Name: +their$' "$OUT"
  check_match "second node" '^Name: +second$' "$OUT"
  local ours
  ours=$(b ls --format '{{.Name}} {{.DriverEndpoint}} {{.Status}} {{.Platforms}}' && grep -E '^(their|ours|second)' <<<"$OUT")
  real ls --format '{{.Name}} {{.DriverEndpoint}} {{.Status}} {{.Platforms}}'
  check "ls of both says the same of remote builders" "$(grep -E '^(their|ours|second)' <<<"$OUT")" "$ours"
  b create --name their --leave --node second
  ok "we take a node out"
  real inspect their
  check_hasnt "real buildx sees it gone" second "$OUT"
  b rm their
  real inspect their
  check_has "real buildx sees the builder gone" 'no builder "their" found' "$ERR"
  b use mybuilder
  real rm ours
  check_has "and removes ours" "ours removed" "$ERR"
  b inspect ours
  fails "which we see" 'no builder "ours" found'
}

trouble() {
  local number pids=() wrong=''
  b create --name many --node n0 --driver remote tcp://127.0.0.1:100
  for number in 1 2 3 4 5 6 7 8; do
    (cd "$T" && exec "${RUN_AS[@]}" DOCKER_HOST="$NOBODY" "$WORK/crossdock" buildx create --name many --append --node "n$number" --driver remote "tcp://127.0.0.1:10$number") >/dev/null 2>&1 &
    pids+=($!)
  done
  for number in "${pids[@]}"; do wait "$number" || wrong+="$number "; done
  check "eight at once: all succeed" "" "$wrong"
  b inspect many
  check "and all nodes are there" 9 "$(grep -c '^Endpoint:' <<<"$OUT")"
  printf '{broken' > "$T/docker/buildx/instances/brk" && mine "$T/docker"
  b ls
  ok "ls beside a broken file"
  check_has "the file is named" "$T/docker/buildx/instances/brk is not a builder's file" "$ERR"
  check_match "the others are listed" '^mybuilder' "$OUT"
  b inspect brk
  fails "a broken builder" "$T/docker/buildx/instances/brk"
  rm "$T/docker/buildx/instances/brk"
  mkdir -p "$T/closed/buildx" && printf x > "$T/closed/file" && mine "$T/closed"
  x BUILDX_CONFIG="$T/closed/file/buildx" DOCKER_HOST="$NOBODY" buildx create --name a
  fails "a directory that cannot be made" "$T/closed/file/buildx" "set BUILDX_CONFIG"
  if [ "$WHO" = root ]; then
    skipped "root may write to every directory"
  else
    chmod 500 "$T/closed/buildx"
    x BUILDX_CONFIG="$T/closed/buildx" DOCKER_HOST="$NOBODY" buildx create --name a
    fails "a directory that may only be read" "$T/closed/buildx" "set BUILDX_CONFIG"
    x BUILDX_CONFIG="$T/closed/buildx" DOCKER_HOST="$NOBODY" buildx ls
    ok "and ls of it"
    chmod 700 "$T/closed/buildx"
  fi
  b rm --all-inactive -f
  ok "rm --all-inactive"
  check_has "the remote one goes" "many removed" "$ERR"
  check_hasnt "the embedded one stays" "mybuilder removed" "$ERR"
  b rm
  check_has "rm without a name: the one in use" "mybuilder removed" "$ERR"
}

scenario() {
  alone
  builds
  if [ -x "$WORK/docker-buildx" ]; then interop; else skipped "no real buildx: scripts/peers makes one"; fi
  b use mybuilder
  trouble
  nothing_left builders
}

! is_rootish || [ -x "$BUILDX" ] || "$REPO/scripts/peers" "$PEERS"
if [ -x "$BUILDX" ] && "$BUILDX" version >/dev/null 2>&1; then install -m 755 "$BUILDX" "$WORK/docker-buildx"; fi
each_user scenario root sub nosub

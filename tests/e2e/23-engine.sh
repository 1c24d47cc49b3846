#!/usr/bin/env bash
# Beside a Docker engine (architecture decision 17): results of builds are in the engine, by the shortest way, with both of its image stores.
# The engine, its client and our plugin run in the root of scripts/peers, each engine with a data root and a socket of its own.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
PEERS=${PEERS:-/var/tmp/crossdock-peers}

# inside STORE: what is done beside an engine; every line `name: text` is checked outside.
write_inside() {
  cat > "$T/share/inside" <<'X'
exec 2>&1
containerd=$1
export HOME=/run/home DOCKER_CONFIG=/run/home/.docker CROSSDOCK_STATE_DIR=/share/state-$containerd CROSSDOCK_CONFIG=/share/config.toml BUILDKIT_PROGRESS=plain
unset DOCKER_BUILDKIT
work=/share/engine-$containerd
mkdir -p $HOME $work
cd $work
pids=()
# engine NAME PREFIX...: an engine of its own behind /run/NAME.sock
engine() {
  local name=$1
  shift
  mkdir -p /run/$name
  printf '{"features":{"containerd-snapshotter":%s},"iptables":false,"ip6tables":false,"bridge":"none","ip-forward":false}' $containerd > /run/$name/daemon.json
  "$@" dockerd --config-file /run/$name/daemon.json --data-root $work/$name --exec-root /run/$name/exec -p /run/$name/pid \
    -H unix:///run/$name.sock ${EXTRA:-} > $work/$name.log 2>&1 &
  pids+=($!)
  for try in $(seq 300); do docker -H unix:///run/$name.sock version >/dev/null 2>&1 && return; sleep 0.1; done
  echo "engine $name did not start: $(tail -n 3 $work/$name.log | tr '\n' ' ')"
}
line() { echo "$1: $(tr '\r\n' '  ' <<<"$2" | sed 's/ *$//')"; }
try() { # NAME COMMAND...: its last line, and its exit code when it fails
  local name=$1 status=0
  shift
  "$@" >last 2>&1 || status=$?
  if [ $status = 0 ]; then line "$name" "$(tail -n 1 last)"; else line "$name" "exit $status $(tail -n 4 last)"; fi
}
# moved NAME COMMAND...: which words of its life the engine has for what the command did.
moved() {
  local name=$1 since until
  shift
  sleep 1.1
  since=$(date +%s)
  "$@" >last 2>&1 || line "$name" "FAILED $(tail -n 4 last)"
  sleep 1.1
  until=$(date +%s)
  line "$name" "$(docker events --since $since --until $until --filter type=image --format '{{.Action}}' | sort -u)"
}
quietly() { "$@" >last 2>&1; }

/share/crossdock install >/dev/null
export DOCKER_HOST=unix:///run/one.sock
EXTRA="-H tcp://127.0.0.1:$2 -H unix:///var/run/docker.sock" engine one
line store "$(docker info --format '{{.DriverStatus}}' 2>/dev/null | grep -o io.containerd.snapshotter || echo graph)"

moved first docker build -t app:1 /share/app
line first-said "$(grep -c 'importing to docker' last)"
try run docker run --rm --network none app:1
moved second docker buildx build --load -t app:1 /share/app
line second-said "$(grep -c 'already there' last)"
moved other-name docker buildx build --load -t app:2 /share/app
try other-name-run docker run --rm --network none app:2
# A name that a process left which was killed long ago goes with the next pull; one of now stays.
docker tag app:1 127.0.0.1:1/crossdock-load/5-0123:latest
docker tag app:1 127.0.0.1:1/crossdock-load/$(printf %x $(date +%s))-0123:latest
# One layer more: what the engine has does not move.
moved one-layer docker build -t app:3 --build-arg MORE=yes /share/app
line one-layer-big "$(grep -cE 'layer [0-9a-f]{12} .*MB' last)"
line one-layer-said "$(grep -E 'layer [0-9a-f]{12}' last | grep -c 'already there')"
line left-over "$(docker images --format '{{.Repository}}' | grep -c crossdock-load)"
docker images --format '{{.Repository}}:{{.Tag}}' | grep crossdock-load | xargs docker rmi >/dev/null 2>&1
try one-layer-run docker run --rm --network none app:3

# A base that only its registry has whole; two loads at once.
moved lazy docker build -t lazy:1 /share/lazy
try lazy-run docker run --rm --network none lazy:1 cat /lazy
docker build -q -t at-once:1 --build-arg MORE=first /share/app >/dev/null 2>&1 &
docker build -q -t at-once:2 --build-arg MORE=second /share/app >/dev/null 2>&1 &
wait %+ %-
try at-once-1 docker run --rm --network none at-once:1
try at-once-2 docker run --rm --network none at-once:2
try zstd sh -c 'docker buildx build -q -o type=image,compression=zstd,force-compression=true -t zstd:1 /share/app >/dev/null && docker run --rm --network none zstd:1'

moved several docker buildx build --platform linux/amd64,linux/arm64 -t multi:1 --load /share/plain
line several-said "$(grep -F 'loaded linux/amd64' last)"
try several-run docker run --rm --network none multi:1 cat /arch
moved several-again docker buildx build --platform linux/amd64,linux/arm64 -t multi:1 --load /share/plain
try foreign docker buildx build --platform linux/arm64 -t foreign:1 --load /share/plain
try foreign-arch docker image inspect --format '{{.Architecture}}' foreign:1

# A base that only the engine has, and another one under its name.
docker tag app:1 onlyhere:1
try base sh -c 'docker build -q -t based:1 /share/based >/dev/null && docker run --rm --network none based:1'
docker build -t based:1 /share/based >last 2>&1
line base-again "$(grep -cE '^#[0-9]+ CACHED' last)"
docker tag multi:1 onlyhere:1
try base-moved sh -c 'docker build -q -t based:2 /share/based >/dev/null && docker run --rm --network none based:2 cat /based /arch'
try base-nowhere docker build -t based:3 --build-arg BASE=nowhere:1 /share/based

try nameless sh -c 'docker run --rm --network none $(docker build -q --build-arg MORE=nameless /share/app)'
moved nameless-again docker build -q --build-arg MORE=nameless /share/app
try iid sh -c 'docker build -q --iidfile iid --build-arg MORE=iid /share/app >/dev/null && docker run --rm --network none $(cat iid)'
try builder sh -c 'docker builder build -q -t viabuilder:1 /share/app >/dev/null && docker run --rm --network none viabuilder:1'
try image-build sh -c 'docker image build -q -t viaimage:1 /share/app >/dev/null && docker run --rm --network none viaimage:1'
try type-docker sh -c 'docker buildx build -o type=docker -t typed:1 /share/plain && docker run --rm --network none typed:1 cat /arch'
quietly docker buildx build -o files -t local:1 /share/plain
try local-output docker image inspect local:1
BUILDX_NO_DEFAULT_LOAD=1 quietly docker buildx build -t unloaded:1 /share/plain
try no-default-load docker image inspect unloaded:1
try no-default-load-asked sh -c 'BUILDX_NO_DEFAULT_LOAD=1 docker buildx build -q --load -t loaded:1 /share/plain >/dev/null && docker image inspect --format x loaded:1'

docker buildx create --name mine --driver embedded >/dev/null 2>&1
quietly docker buildx build --builder mine -t embedded:1 /share/plain
try embedded docker image inspect embedded:1
try embedded-load sh -c 'docker buildx build -q --builder mine --load -t embedded:2 /share/plain >/dev/null && docker run --rm --network none embedded:2 cat /arch'

try tcp sh -c "DOCKER_HOST=tcp://127.0.0.1:$2 docker buildx build -q -t tcp:1 --build-arg MORE=tcp /share/app >/dev/null && docker run --rm --network none tcp:1"
DOCKER_HOST=unix:///run/nobody.sock quietly docker buildx build --load -t nobody:1 /share/plain
line nobody-load "$? $(tail -n 1 last)"
DOCKER_HOST=unix:///run/nobody.sock quietly docker buildx build -t nobody:1 /share/plain
line nobody "$? $(grep WARNING last)"

# Somebody who may not use the engine keeps the result, and hears of it.
mkdir -p /share/denied-$containerd && chown 4711 /share/denied-$containerd
env -u DOCKER_HOST HOME=/share/denied-$containerd CROSSDOCK_STATE_DIR=/share/denied-$containerd/state DOCKER_CONFIG=/share/denied-$containerd/docker \
  setpriv --reuid 4711 --regid 4711 --clear-groups /share/crossdock build --load -t denied:1 /share/plain >last 2>&1
line denied "$? $(grep WARNING last)"

# An engine that says nothing can be given up.
kill -STOP ${pids[0]}
timeout --preserve-status -s INT -k 20 3 /share/crossdock build --load -t silent:1 /share/plain >last 2>&1
line silent "$? $(tail -n 1 last)"
kill -CONT ${pids[0]}

# An engine in another network cannot pull from us: it is sent an archive. It is reached by a context.
engine two unshare --net
docker context create far --docker host=unix:///run/two.sock >/dev/null
unset DOCKER_HOST
try far docker --context far build -t far:1 /share/app
try far-run docker --context far run --rm --network none far:1
try far-how docker --context far images --format '{{.Repository}}:{{.Tag}}' far
docker --context far build -t far:1 /share/app >last 2>&1
line far-again "$(grep -c 'already there' last)"
try far-not-here docker -H unix:///run/one.sock image inspect far:1
docker context use far >/dev/null 2>&1
try far-current sh -c 'docker build -q -t far:2 /share/plain >/dev/null && docker run --rm --network none far:2 cat /arch'
docker context use default >/dev/null 2>&1
try far-several docker --context far buildx build --platform linux/amd64,linux/arm64 -t farmulti:1 --load /share/plain
try far-several-run docker --context far run --rm --network none farmulti:1 cat /arch

export DOCKER_HOST=unix:///run/one.sock
line names "$(docker images -a --digests --format '{{.Repository}}:{{.Tag}} {{.Digest}}' | grep -cE '127.0.0.1|crossdock-load')"
try check-store /share/crossdock check-store
for pid in "${pids[@]}"; do kill $pid; done
for pid in "${pids[@]}"; do wait $pid; done
X
}

# expect NAME REGEX
expect() { check_match "$1 ($STORE)" "^$1: $2\$" "$(grep "^$1:" <<<"$SEEN" || true)"; }

beside() { # true|false
  STORE=$([ "$1" = true ] && echo containerd || echo graph)
  LAST="beside an engine with its $STORE store"
  "$REPO/scripts/in-peers" "$PEERS" "$T/share" "bash /share/inside $1 $(free_port)" > "$T/seen-$STORE" 2>&1 || true
  SEEN=$(cat "$T/seen-$STORE")
  [ "${E2E_VERBOSE:-}" != 1 ] || printf '%s\n' "$SEEN"
  expect store "$([ "$1" = true ] && echo io.containerd.snapshotter || echo graph)"
  expect first 'pull tag untag'
  expect first-said '[12]'
  expect run 'app on x86_64'
  expect second ''
  expect second-said '[12]'
  expect other-name 'tag'
  expect other-name-run 'app on x86_64'
  expect one-layer 'pull tag untag'
  expect one-layer-big 0
  # Only the older store tells of layers it has.
  [ "$1" = true ] || expect one-layer-said '[1-9]'
  expect left-over 1
  expect one-layer-run 'app on x86_64 and yes'
  expect lazy 'pull tag untag'
  expect lazy-run 'from a registry'
  expect at-once-1 'app on x86_64 and first'
  expect at-once-2 'app on x86_64 and second'
  expect zstd 'app on x86_64'
  expect several 'pull tag untag'
  expect several-said 'loaded linux/amd64 into unix:///run/one.sock; linux/arm64 stay in the local store .*'
  expect several-run 'amd64'
  expect several-again ''
  expect foreign-arch 'arm64'
  expect base 'based'
  expect base-again '[1-9]'
  expect base-moved 'amd64'
  expect base-nowhere 'exit 1 .*nowhere.*'
  expect nameless 'app on x86_64 and nameless'
  expect nameless-again ''
  expect iid 'app on x86_64 and iid'
  expect builder 'app on x86_64'
  expect image-build 'app on x86_64'
  expect type-docker 'amd64'
  expect local-output 'exit 1 .*[Nn]o such image.*'
  expect no-default-load 'exit 1 .*[Nn]o such image.*'
  expect no-default-load-asked 'x'
  expect embedded 'exit 1 .*[Nn]o such image.*'
  expect embedded-load 'amd64'
  expect tcp 'app on x86_64 and tcp'
  expect nobody-load '1 ERROR: failed to load into the engine at unix:///run/nobody.sock: .*'
  expect nobody '0 WARNING: .*unix:///run/nobody.sock.*kept in the local store'
  expect denied '0 WARNING: .*[Pp]ermission denied.*kept in the local store'
  expect silent '130 ERROR: .*context canceled'
  expect far 'kept sha256:[0-9a-f]* \(far:1\)'
  expect far-run 'app on x86_64'
  expect far-how 'far:1'
  expect far-again '[12]'
  expect far-not-here 'exit 1 .*[Nn]o such image.*'
  expect far-current 'amd64'
  expect far-several 'loaded linux/amd64 into unix:///run/two.sock; .*'
  expect far-several-run 'amd64'
  expect names '0'
  expect check-store '.*'
  check_hasnt "check-store finds nothing ($STORE)" "check-store: exit" "$SEEN"
}

scenario() {
  local arch
  mkdir -p "$T/share/app" "$T/share/plain"
  busybox_registry
  cp "$WORK/crossdock" "$WORK/config.toml" "$T/share/"
  mkdir "$T/share/lazy" "$T/share/based"
  printf 'ARG BASE=onlyhere:1\nFROM $BASE\nRUN echo based > /based\nCMD ["cat", "/based"]\n' > "$T/share/based/Dockerfile"
  printf 'FROM busybox\nCOPY --link lazy /lazy\n' > "$T/share/lazy/Dockerfile"
  printf 'from a registry\n' > "$T/share/lazy/lazy"
  for arch in amd64 arm64; do
    cp "$CACHE/busybox/root-$arch.tar" "$T/share/plain/"
  done
  cp "$CACHE/busybox/root-amd64.tar" "$T/share/app/root.tar"
  cat > "$T/share/app/Dockerfile" <<'D'
FROM scratch
ADD root.tar /
ARG MORE
RUN if [ -n "$MORE" ]; then printf ' and %s' "$MORE" > /more; fi
CMD ["/bin/sh", "-c", "echo app on $(uname -m)$(cat /more 2>/dev/null)"]
D
  cat > "$T/share/plain/Dockerfile" <<'D'
FROM scratch
ARG TARGETARCH
ADD root-$TARGETARCH.tar /
COPY --chmod=644 <<EOF /arch
$TARGETARCH
EOF
D
  write_inside
  beside true
  beside false
}

if ! is_rootish; then
  echo "$NAME: skipped: the engine needs root"
  exit 0
fi
"$REPO/scripts/peers" "$PEERS"
each_user scenario root

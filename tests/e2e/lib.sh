# shellcheck shell=bash
# lib.sh: what every end-to-end test stands on; sourced by the files NN-*.sh. Each of them can be run alone:
#   tests/e2e/NN-name.sh [root|sub|nosub|self ...]
# Users: root; sub = an ordinary user with sub-ids; nosub = an ordinary user without; self = whoever calls (when that is not root).
# CROSSDOCK names the binary, CROSSDOCK_TEST_CACHE the directory of downloads, PEERS the root made by scripts/peers,
# E2E_RESULTS a file that gets one line `FILE USER PASSED FAILED SKIPPED` for each user.
# Everything else lives in one temporary directory; every process started here is ended by its pid.

E2E=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPO=$(cd "$E2E/../.." && pwd)
NAME=$(basename "$0" .sh)
CACHE=${CROSSDOCK_TEST_CACHE:-/var/tmp/crossdock-test-cache}
BINARY=${CROSSDOCK:-${CARGO_TARGET_DIR:-$REPO/target}/release/crossdock}
[ -x "$BINARY" ] || { echo "$NAME: no binary at $BINARY: cargo build --release, or set CROSSDOCK" >&2; exit 1; }
umask 022
# What `script` runs its line with; dash would die of a Ctrl-C that the program in front of it lives through.
export SHELL=/bin/bash

WORK=$(mktemp -d "${TMPDIR:-/tmp}/crossdock-e2e.XXXXXX")
chmod 755 "$WORK"
# A copy that every user may execute, and that a rebuild does not change under the test.
cp "$(readlink -f "$BINARY")" "$WORK/crossdock"
chmod 755 "$WORK/crossdock"
PIDS=()

# ---- the end of everything ----

cleanup() {
  local status=$?
  trap - EXIT
  [ "$(type -t on_exit)" = function ] && on_exit
  local pid
  for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${PIDS[@]}"; do wait "$pid" 2>/dev/null || true; done
  if [ "${E2E_KEEP:-}" = 1 ]; then
    echo "$NAME: kept $WORK"
  elif ! rm -rf "$WORK" 2>/dev/null; then
    # Without root, what steps wrote belongs to the user's sub-ids.
    unshare --map-root-user --map-auto rm -rf "$WORK" || true
  fi
  exit "$status"
}
trap cleanup EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

# ---- users ----

# The mark that finds every process of a scenario again, whatever became of its environment and its parent: a limit that is
# inherited over every exec and that nothing here uses.
MARK=$((700000 + $$ % 90000))

need_user() { # NAME with|without
  if ! id "$1" >/dev/null 2>&1; then
    if [ "$2" = with ]; then useradd --no-create-home --shell /bin/sh "$1"; else useradd --system --no-create-home --shell /bin/sh "$1"; fi
  fi
  if [ "$2" = with ] && ! grep -q "^$1:" /etc/subuid; then
    usermod --add-subuids 1000000-1065535 --add-subgids 1000000-1065535 "$1"
  elif [ "$2" = without ] && grep -q "^$1:" /etc/subuid /etc/subgid; then
    echo "$NAME: $1 must have no lines in /etc/subuid and /etc/subgid" >&2
    return 1
  fi
}

# become WHO: everything below runs as this user, in a directory of its own.
become() {
  WHO=$1
  T=$WORK/$WHO
  AS=()
  case $WHO in
    root | self) LOGIN=$(id -un) ;;
    sub) LOGIN=crossdock-sub && need_user "$LOGIN" with ;;
    nosub) LOGIN=crossdock-nosub && need_user "$LOGIN" without ;;
    *) echo "$NAME: unknown user $WHO" >&2 && return 1 ;;
  esac
  case $WHO in
    sub | nosub) AS=(setpriv --reuid "$(id -u "$LOGIN")" --regid "$(id -g "$LOGIN")" --clear-groups --inh-caps=-all) ;;
  esac
  OWNER="$(id -u "$LOGIN"):$(id -g "$LOGIN")"
  STATE=$T/state
  mkdir -p "$T/home" "$T/docker"
  [ -f "$WORK/config.toml" ] || : > "$WORK/config.toml"
  ENVIRONMENT=(HOME="$T/home" USER="$LOGIN" CROSSDOCK_STATE_DIR="$STATE" CROSSDOCK_CONFIG="$WORK/config.toml"
    CROSSDOCK_EMULATORS="$CACHE/emulators" DOCKER_CONFIG="$T/docker" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    TMPDIR="${TMPDIR:-/tmp}" BUILDKIT_PROGRESS=plain BUILDX_NO_DEFAULT_LOAD=1)
  # The last one: an engine of this machine is nobody's business here.
  # Words in front of every command: each only replaces itself by the next, so that $! is the program's own pid.
  RUN_AS=(prlimit "--msgqueue=$MARK:" "${AS[@]}" env -i --default-signal=INT,QUIT,TERM "${ENVIRONMENT[@]}")
  C=("${RUN_AS[@]}" "$WORK/crossdock")
  mine "$T"
}

# mine PATH...: gives files made by the test to the user.
mine() { [ "$WHO" = self ] || chown -R "$OWNER" "$@"; }

is_rootish() { [ "$(id -u)" = 0 ]; }

# ---- checks ----

say() { printf '%s\n' "$*"; }
passed() { echo passed >> "$COUNTS"; [ "${E2E_VERBOSE:-}" != 1 ] || say "    ok: $1"; }
failed() {
  echo failed >> "$COUNTS"
  say "  FAILED [$NAME as ${WHO:-?}]: $1"
  shift
  local line
  for line in "$@"; do printf '%s\n' "$line" | sed 's/^/      /' | head -n 40; done
}
skipped() { echo skipped >> "$COUNTS"; say "  skipped [as ${WHO:-?}]: $1"; }

check() { # WHAT EXPECTED GOT
  if [ "$2" = "$3" ]; then passed "$1"; else failed "$1" "command:  ${LAST:-}" "expected: $2" "got:      $3"; fi
}
check_has() { # WHAT NEEDLE TEXT
  if [[ $3 == *"$2"* ]]; then passed "$1"; else failed "$1" "command:  ${LAST:-}" "expected, somewhere: $2" "got: $(tail -n 25 <<<"$3")"; fi
}
check_hasnt() { # WHAT NEEDLE TEXT
  if [[ $3 != *"$2"* ]]; then passed "$1"; else failed "$1" "command:  ${LAST:-}" "expected nowhere: $2" "got: $(grep -F -m 5 -- "$2" <<<"$3")"; fi
}
check_match() { # WHAT REGEX TEXT
  if grep -Eq -- "$2" <<<"$3"; then passed "$1"; else failed "$1" "command:  ${LAST:-}" "expected a line like: $2" "got: $(tail -n 25 <<<"$3")"; fi
}
check_true() { # WHAT COMMAND...
  local what=$1
  shift
  if "$@" >/dev/null 2>&1; then passed "$what"; else failed "$what" "this must be true: $*"; fi
}

# x [NAME=VALUE...] ARGS...: runs crossdock ARGS as the user; leaves RC, OUT, ERR. IN names a file for standard input.
x() {
  local extra=()
  while [[ ${1:-} == [A-Z]*=* ]]; do
    extra+=("$1")
    shift
  done
  LAST="${extra[*]:+${extra[*]} }crossdock $*"
  RC=0
  (cd "$T" && exec timeout -k 5 "${LIMIT:-240}" "${RUN_AS[@]}" "${extra[@]}" "$WORK/crossdock" "$@") \
    <"${IN:-/dev/null}" >"$WORK/out" 2>"$WORK/err" || RC=$?
  OUT=$(tr -d '\0' <"$WORK/out")
  ERR=$(tr -d '\0' <"$WORK/err")
}

# ok WHAT: the last command succeeded. must WHAT: likewise, and without it the scenario has no point.
ok() {
  if [ "$RC" = 0 ]; then passed "$1"; return 0; fi
  failed "$1" "command:  $LAST" "expected: exit 0" "got:      exit $RC" "$(tail -n 25 <<<"$ERR")"
  return 0
}
must() {
  ok "$1"
  [ "$RC" = 0 ] || { say "  the rest of $NAME as $WHO needs that: left out"; exit 0; }
}

# fails WHAT NEEDLE...: the last command failed as a program that knows why, and its words hold every needle.
fails() {
  local what=$1 needle
  shift
  if [ "$RC" = 0 ] || [ "$RC" -ge 124 ] && [ "$RC" != 125 ]; then
    failed "$what" "command:  $LAST" "expected: a failure with a message" "got:      exit $RC" "$(tail -n 15 <<<"$ERR")"
    return 0
  fi
  passed "$what: exit $RC"
  check_hasnt "$what: no panic" "panicked at" "$ERR"
  for needle in "$@"; do check_has "$what" "$needle" "$ERR"; done
}

# ---- what must not stay ----

# marked: pids of this scenario's processes. Those that have ended and only wait for their parent are none.
marked() {
  local pid
  for pid in $(grep -lsE "^Max msgqueue size +$MARK " /proc/[0-9]*/limits | cut -d/ -f3); do
    ! grep -Eqs '^State:[[:space:]]*[^ZX]' "/proc/$pid/status" || echo "$pid"
  done
}

# nothing_left WHAT: no process of the scenario lives, nothing is mounted. After a kill the kernel may need a moment to
# take mounts apart, more so while the disk is busy.
nothing_left() {
  local what=$1 left try names
  for ((try = 0; try < 25; try++)); do
    left=$(marked)
    [ -n "$left" ] || break
    sleep 0.2
  done
  names=$(for try in $left; do
    printf '%s (%s) %s; ' "$try" "$(sed -n 's/^State:[[:space:]]*//p' "/proc/$try/status" 2>/dev/null)" "$(tr '\0' ' ' 2>/dev/null < "/proc/$try/cmdline" || true)"
  done)
  check "$what: nothing is left running" "" "$names"
  check "$what: nothing is left mounted" "" "$(grep -F "$WORK" /proc/self/mountinfo | grep -Fv "${KEEP_MOUNTED:-$WORK/none}" || true)"
}

# until SECONDS COMMAND...: waits for something to become true.
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.05
  done
}

check_store() { # WHAT
  x check-store
  ok "$1: check-store finds nothing"
}

# ---- progress ----

# steps TEXT: from plain progress, one line a step: `CACHED|DONE|ERROR|CANCELED NAME`.
steps() {
  awk '/^#[0-9]+ / {
      id = $1; rest = substr($0, length(id) + 2)
      if (!(id in name)) { name[id] = rest; order[++count] = id }
      else if (rest == "CACHED" || rest == "CANCELED") state[id] = rest
      else if (rest ~ /^DONE /) state[id] = "DONE"
      else if (rest ~ /^ERROR/) state[id] = "ERROR"
    }
    END { for (i = 1; i <= count; i++) print state[order[i]], name[order[i]] }' <<<"$1"
}
# instructions TEXT: steps of the Dockerfile that do something (not FROM, not internal ones).
instructions() { steps "$1" | grep -E '^[A-Z]* \[[^]]*[0-9]+/[0-9]+\] (RUN|COPY|ADD|WORKDIR)' || true; }

# ---- registries and images ----

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# start_registry [auth] [tls]: a Docker registry on loopback. Sets REGISTRY (host:port) and REGISTRY_LOG (one line a request).
# Its only user is tester, password "open sesame"; its CA is $WORK/ca.pem.
start_registry() {
  local port config dir auth='' tls='' scheme=http
  port=$(free_port)
  dir=$WORK/registry-$port
  config=$dir.yml
  if [[ " $* " == *" auth "* ]]; then
    # shellcheck disable=SC2016  # a bcrypt hash
    printf 'tester:$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy\n' > "$dir.htpasswd"
    auth="auth: {htpasswd: {realm: tests, path: $dir.htpasswd}}"
  fi
  if [[ " $* " == *" tls "* ]]; then
    make_certificate
    tls=", tls: {certificate: $WORK/server.pem, key: $WORK/server.key}"
    scheme=https
  fi
  cat > "$config" <<Y
version: 0.1
storage: {filesystem: {rootdirectory: $dir}, delete: {enabled: true}}
http: {addr: "127.0.0.1:$port"$tls}
log: {level: error}
$auth
Y
  docker-registry serve "$config" > "$dir.log" 2>"$dir.err" &
  PIDS+=($!)
  REGISTRY=127.0.0.1:$port
  REGISTRY_LOG=$dir.log
  until_true 20 curl -skf -o /dev/null -u "tester:open sesame" "$scheme://$REGISTRY/v2/" || { echo "$NAME: docker-registry did not start: $(cat "$dir.err")" >&2; exit 1; }
}

make_certificate() {
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=crossdock tests' -keyout "$WORK/ca.key" -out "$WORK/ca.pem" 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout "$WORK/server.key" -out "$WORK/server.csr" 2>/dev/null
  openssl x509 -req -days 2 -in "$WORK/server.csr" -CA "$WORK/ca.pem" -CAkey "$WORK/ca.key" -CAcreateserial -out "$WORK/server.pem" \
    -extfile <(printf 'subjectAltName=IP:127.0.0.1') 2>/dev/null
}

# requests_since LINE: the registry's requests behind this line of its log; requests_count: how many there are.
requests_count() { wc -l < "$REGISTRY_LOG"; }
requests_since() { tail -n +"$(($1 + 1))" "$REGISTRY_LOG" | grep -Eo '"(GET|HEAD|PUT|POST|PATCH|DELETE) [^"]*" [0-9]+' || true; }

# skopeo_ ARGS...: skopeo without trust policy.
skopeo_() { skopeo --insecure-policy "$@"; }
push_layout() { # LAYOUT:TAG NAME
  skopeo_ copy -q --all --dest-tls-verify=false "oci:$1" "docker://$REGISTRY/$2"
}
registry_digest() { # NAME[:TAG] in REGISTRY
  skopeo_ inspect --raw --tls-verify=false "docker://$REGISTRY/$1" | sha256sum | sed 's/^\([0-9a-f]*\).*/sha256:\1/'
}

# busybox_layout: the layout of a three-platform busybox, made once from Debian's packages.
busybox_layout() {
  local dir=$CACHE/busybox
  if [ ! -d "$dir/layout" ]; then
    "$REPO/scripts/busybox-roots" "$dir"
    rm -rf "$dir/layout.part"
    "$E2E/oci-image" "$dir/layout.part" latest linux/amd64="$dir/root-amd64.tar" linux/arm64="$dir/root-arm64.tar" linux/arm/v7="$dir/root-arm.tar"
    mv "$dir/layout.part" "$dir/layout"
  fi
  echo "$dir/layout"
}

# busybox_registry: a registry that serves busybox and stands in for Docker Hub.
busybox_registry() {
  start_registry
  push_layout "$(busybox_layout):latest" library/busybox:latest
  printf '[registry."docker.io"]\n  mirrors = ["%s"]\n' "$REGISTRY" > "$WORK/config.toml"
}

# emulators: QEMU taken out of its package, once.
emulators() {
  "$REPO/scripts/emulators" "$CACHE/emulators" >/dev/null
  chmod -R a+rX "$CACHE/emulators"
}

# dockerfile DIR [LINE...]: a context with this Dockerfile (from standard input without lines), readable by the user.
dockerfile() {
  local dir=$1
  shift
  mkdir -p "$dir"
  if [ $# -gt 0 ]; then printf '%s\n' "$@" > "$dir/Dockerfile"; else cat > "$dir/Dockerfile"; fi
  mine "$dir"
}

# tree ARCHIVE [PLATFORM]: what is in an image, in a form that can be compared.
tree() { "$REPO/scripts/image-tree" "$@"; }
# blob_of ARCHIVE DIGEST: a blob of an OCI archive.
blob_of() { tar -xOf "$1" "blobs/${2/://}"; }
# manifest_of ARCHIVE [PLATFORM]: the manifest behind the archive's only index entry.
manifest_of() {
  python3 - "$@" <<'P'
import json, sys, tarfile
tar = tarfile.open(sys.argv[1])
blob = lambda digest: json.load(tar.extractfile("blobs/" + digest.replace(":", "/")))
found = json.load(tar.extractfile("index.json"))["manifests"]
while True:
    if len(found) > 1 and len(sys.argv) > 2 and found[0].get("platform"):
        name = lambda m: "/".join(m["platform"][k] for k in ("os", "architecture", "variant") if m["platform"].get(k))
        found = [m for m in found if name(m) == sys.argv[2]]
    document = blob(found[0]["digest"])
    if "layers" in document:
        print(json.dumps(document))
        break
    found = document["manifests"]
P
}

# ---- the run ----

# private_mounts "$0" "$@": goes on in a mount namespace of its own, so that nothing the test mounts is seen outside.
private_mounts() {
  [ "${E2E_PRIVATE:-}" = 1 ] && return 0
  is_rootish || return 0
  rm -rf "$WORK"
  trap - EXIT
  E2E_PRIVATE=1 exec unshare --mount --propagation private "$@"
}

# each_user SCENARIO USER...: runs the function for those of the users that were asked for, counts, and sums up.
each_user() {
  local scenario=$1 who wanted status start total_failed=0
  shift
  wanted=${E2E_USERS:-root sub nosub self}
  for who in "$@" self; do
    [[ " $wanted " == *" $who "* ]] || continue
    if is_rootish; then [ "$who" != self ] || continue; else [ "$who" = self ] || continue; fi
    COUNTS=$WORK/counts-$who
    : > "$COUNTS"
    start=$SECONDS
    set +e
    (
      set -e
      # A scenario that breaks off is a failure: the line tells where.
      # Inside of a command substitution it is only that command's failure.
      level=$BASH_SUBSHELL
      trap 'if [ "$BASH_SUBSHELL" = "$level" ]; then failed "the scenario broke off at $(basename "${BASH_SOURCE[0]}") line $LINENO" "$BASH_COMMAND"; exit 0; fi' ERR
      set -E
      # What a scenario starts itself ends with it.
      before=${#PIDS[@]}
      trap 'for pid in "${PIDS[@]:$before}"; do kill "$pid" 2>/dev/null || true; done' EXIT
      become "$who"
      "$scenario"
    )
    status=$?
    set -e
    WHO=$who
    [ "$status" = 0 ] || failed "the scenario ended with $status"
    local good bad left
    good=$(grep -c passed "$COUNTS" || true)
    bad=$(grep -c failed "$COUNTS" || true)
    left=$(grep -c skipped "$COUNTS" || true)
    say "$NAME as $who: $good passed, $bad failed, $left skipped ($((SECONDS - start)) s)"
    [ -z "${E2E_RESULTS:-}" ] || echo "$NAME $who $good $bad $left" >> "$E2E_RESULTS"
    total_failed=$((total_failed + bad))
  done
  [ "$total_failed" = 0 ]
}

[ $# -eq 0 ] || E2E_USERS="$*"
export E2E_USERS="${E2E_USERS:-root sub nosub self}"

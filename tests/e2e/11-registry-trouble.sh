#!/usr/bin/env bash
# Registries that are unknown, closed, broken, or lie; passwords right and wrong; certificates known and unknown.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

login() { printf '{"auths": {"%s": {"auth": "%s"}}}\n' "$1" "$(printf '%s' "$2" | base64 -w0)" > "$T/docker/config.json"; mine "$T/docker"; }

unknown() {
  dockerfile "$T/bad" 'FROM no-such-registry.invalid/x:1'
  LIMIT=60 x build bad
  fails "an unknown registry" no-such-registry.invalid 'Dockerfile:1'
  dockerfile "$T/bad" 'FROM 127.0.0.1:1/x:1'
  LIMIT=60 x build bad
  fails "a registry nobody answers for" 127.0.0.1:1
  dockerfile "$T/bad" "FROM $PLAIN/no/such:1"
  x build bad
  fails "an image the registry lacks" no/such:1 'not found'
  dockerfile "$T/good" 'FROM scratch' 'COPY Dockerfile /'
  LIMIT=60 x build -t 127.0.0.1:1/x:1 --push good
  fails "push to a registry nobody answers for" 127.0.0.1:1
}

passwords() {
  dockerfile "$T/closed" "FROM $CLOSED/base:1" 'COPY Dockerfile /'
  x build closed
  fails "no password" "$CLOSED"
  login "$CLOSED" 'tester:wrong'
  x build closed
  fails "a wrong password" "$CLOSED"
  check_hasnt "the password is not printed" "tester:wrong" "$ERR$OUT"
  x build -t "$CLOSED/$WHO/app:1" --push good
  fails "push with a wrong password" "$CLOSED"
  login "$CLOSED" 'tester:open sesame'
  x build -t "$CLOSED/$WHO/app:1" --push closed
  ok "the right password pulls and pushes"
  check_hasnt "nor is the right one" "open sesame" "$ERR$OUT"
  # A credential helper, as Docker calls it.
  mkdir -p "$T/bin"
  printf '#!/bin/sh\n[ "$1" = get ] && host=$(cat) && printf \x27{"ServerURL":"%%s","Username":"tester","Secret":"open sesame"}\x27 "$host"\n' > "$T/bin/docker-credential-e2e"
  chmod 755 "$T/bin/docker-credential-e2e"
  printf '{"credHelpers": {"%s": "e2e"}}\n' "$CLOSED" > "$T/docker/config.json"
  mine "$T/docker" "$T/bin"
  x PATH="$T/bin:/usr/bin:/bin" build -t "$CLOSED/$WHO/app:2" --push good
  ok "a credential helper"
  rm "$T/docker/config.json"
}

certificates() {
  dockerfile "$T/tls" "FROM $SECURE/base:1" 'COPY Dockerfile /'
  printf '[registry."%s"]\n  insecure = false\n' "$SECURE" > "$T/strict.toml"
  x CROSSDOCK_CONFIG="$T/strict.toml" build tls
  fails "an unknown certificate authority" "$SECURE"
  cp "$WORK/ca.pem" "$T/ca.pem"
  printf '[registry."%s"]\n  ca = ["ca.pem"]\n' "$SECURE" > "$T/ca.toml"
  chmod a+r "$T/ca.pem"
  x CROSSDOCK_CONFIG="$T/ca.toml" build -t "$SECURE/$WHO/app:1" --push tls
  ok "a certificate authority of one's own"
  printf '[registry."%s"]\n  http = true\n' "$PLAIN" > "$T/http.toml"
  dockerfile "$T/plain" "FROM $PLAIN/base:1" 'COPY Dockerfile /'
  x CROSSDOCK_CONFIG="$T/http.toml" build -t "$PLAIN/$WHO/http:1" --push plain
  ok "plain HTTP by configuration"
  printf '[registry."docker.io"]\n  mirrors = ["127.0.0.1:1", "%s"]\n' "$PLAIN" > "$T/mirrors.toml"
  dockerfile "$T/mirrored" 'FROM base:1' 'COPY Dockerfile /'
  x CROSSDOCK_CONFIG="$T/mirrors.toml" build mirrored
  ok "the second mirror, where the first one does not answer"
}

lies() {
  local lie
  dockerfile "$T/lie" "FROM $LIAR/honest/base:1" 'COPY Dockerfile /opt/'
  x build -o type=oci,dest=honest.tar lie
  ok "the same registry, honest"
  for lie in wrong-bytes truncated short long; do
    # Another state directory: nothing of the honest answer is known there.
    dockerfile "$T/lie" "FROM $LIAR/$lie/base:1" 'COPY Dockerfile /opt/'
    LIMIT=120 x CROSSDOCK_STATE_DIR="$T/state-$lie" build -o type=oci,dest=lie.tar lie
    case $lie in
      wrong-bytes) fails "a layer with another byte" 'digest mismatch' "$LIAR" sha256: ;;
      truncated | short) fails "a $lie layer" truncated "$LIAR" sha256: ;;
      long) fails "a layer that is too long" 'too long' "$LIAR" sha256: ;;
    esac
    check_true "$lie: nothing was written" test ! -e "$T/lie.tar"
    x CROSSDOCK_STATE_DIR="$T/state-$lie" check-store
    ok "$lie: the store is clean"
    dockerfile "$T/lie" "FROM $LIAR/honest/base:1" 'COPY Dockerfile /opt/'
    x CROSSDOCK_STATE_DIR="$T/state-$lie" build -o type=oci,dest=again.tar lie
    ok "$lie: a good build works right behind it"
    check "$lie: and is right" "$(tree "$T/honest.tar" | grep '^tree')" "$(tree "$T/again.tar" | grep '^tree')"
    rm -f "$T/again.tar"
  done
  dockerfile "$T/lie" "FROM $LIAR/wrong-manifest/base:1" 'COPY Dockerfile /opt/'
  x CROSSDOCK_STATE_DIR="$T/state-manifest" build lie
  fails "another manifest than was asked for" 'digest mismatch' "$LIAR"
  x CROSSDOCK_STATE_DIR="$T/state-pull" pull "$LIAR/wrong-bytes/base:1"
  fails "pull from a lying registry" 'digest mismatch'
}

# The first layer is unpacked while the last one is still on its way.
late() {
  local pid status=0
  dockerfile "$T/late" "FROM $LATE/late/base:1" 'RUN cat /second > /read'
  rm -f "$LATE_LAYOUT/now"
  (cd "$T" && exec "${C[@]}" build --platform linux/amd64 -o type=local,dest=late.out late) </dev/null >"$WORK/out" 2>"$WORK/err" &
  pid=$!
  LAST="crossdock build late"
  check_true "a layer is unpacked while another comes" until_true 30 grep -Eq '^#[0-9]+ extracting sha256:[0-9a-f]+ [0-9.]*s? ?done' "$WORK/err"
  touch "$LATE_LAYOUT/now"
  wait "$pid" || status=$?
  check "and the build ends well" 0 "$status"
  check "with both" second "$(cat "$T/late.out/read" 2>/dev/null || true)"
}

# The jobs of a matrix push their tags to one repository at the same time. docker-registry answers 500 or "blob unknown" to one of
# them now and then, while another one's blob is being written; that passes.
at_once() {
  local round tag pid pids wrong=0
  dockerfile "$T/matrix" "FROM $PLAIN/base:1" 'COPY Dockerfile /'
  x build --platform linux/amd64,linux/arm64,linux/arm/v7 -t "matrix:1" matrix
  ok "the image of the matrix"
  for round in 1 2 3 4 5 6 7 8; do
    pids=()
    for tag in a b c d; do x tag matrix:1 "$PLAIN/$WHO/matrix-$round:$tag"; done
    for tag in a b c d; do
      timeout -k 5 120 "${C[@]}" push -q "$PLAIN/$WHO/matrix-$round:$tag" </dev/null >"$WORK/push-$tag" 2>&1 &
      pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || wrong=$((wrong + 1)); done
  done
  check "32 pushes, four at a time to one repository" "0 failed" "$wrong failed"
  check "and all tags are one image" 1 "$(for tag in a b c d; do REGISTRY=$PLAIN registry_digest "$WHO/matrix-8:$tag"; done | sort -u | wc -l)"
}

scenario() {
  unknown
  at_once
  passwords
  certificates
  lies
  late
  check_store "after all that trouble"
  nothing_left "registry trouble"
}

layout=$(busybox_layout)
start_registry
PLAIN=$REGISTRY
push_layout "$layout:latest" base:1
push_layout "$layout:latest" library/base:1
start_registry auth
CLOSED=$REGISTRY
skopeo_ copy -q --all --dest-tls-verify=false --dest-creds 'tester:open sesame' "oci:$layout:latest" "docker://$CLOSED/base:1"
start_registry tls
SECURE=$REGISTRY
push_layout "$layout:latest" base:1
port=$(free_port)
LIAR=127.0.0.1:$port
"$E2E/lying-registry" "$layout" "$port" &
PIDS+=($!)
until_true 10 curl -sf -o /dev/null "http://$LIAR/v2/"
mkdir "$WORK/second"
echo second > "$WORK/second/second"
tar -C "$WORK/second" -cf "$WORK/second.tar" --owner=0 --group=0 second
LATE_LAYOUT=$WORK/late-layout
"$E2E/oci-image" "$LATE_LAYOUT" latest linux/amd64="$(dirname "$layout")/root-amd64.tar,$WORK/second.tar"
port=$(free_port)
LATE=127.0.0.1:$port
"$E2E/lying-registry" "$LATE_LAYOUT" "$port" &
PIDS+=($!)
until_true 10 curl -sf -o /dev/null "http://$LATE/v2/"
each_user scenario root sub nosub

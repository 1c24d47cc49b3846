#!/usr/bin/env bash
# Every Dockerfile of tests/differential/cases, built by Crossdock alone: tree, config, history, warnings and errors are those in the case's
# `expected.txt`, which tests/differential/expected took from BuildKit's results. A new case is a new folder.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
DIFFERENTIAL=$REPO/tests/differential
CASES_MIN=250
MARKERS=(args fails no-buildah no-buildkit known-buildkit known-buildah expected.txt)

# The base the expectations stand on: busybox as scripts/busybox-image makes it.
base_image() {
  local roots=$WORK/roots
  mkdir -p "$roots"
  "$REPO/scripts/busybox-roots" "$CACHE/busybox" amd64
  cp "$CACHE/busybox/root-amd64.tar" "$roots/"
  CROSSDOCK=$WORK/crossdock CROSSDOCK_STATE_DIR=$WORK/base-state PLATFORMS=linux/amd64 BUSYBOX_ROOTS=$roots \
    "$REPO/scripts/busybox-image" -o "type=oci,dest=$WORK/busybox.tar" >/dev/null
  start_registry
  skopeo_ copy -q --dest-tls-verify=false "oci-archive:$WORK/busybox.tar" "docker://$REGISTRY/library/busybox:latest"
  printf '[registry."docker.io"]\n  mirrors = ["%s"]\n' "$REGISTRY" > "$WORK/config.toml"
}

# contexts: the user's own copies of the cases, without what only the tests read, with the modes of a fresh clone.
contexts() {
  local name marker
  cp -a "$DIFFERENTIAL/cases" "$T/cases"
  chmod -R u=rwX,go=rX "$T/cases"
  mine "$T/cases"
  for name in "${CASES[@]}"; do
    if [ -f "$T/cases/$name/prepare.sh" ]; then
      (cd "$T/cases/$name" && "${RUN_AS[@]}" bash -eu ./prepare.sh)
      rm "$T/cases/$name/prepare.sh"
    fi
    mkdir -p "$T/about/$name"
    for marker in "${MARKERS[@]}"; do
      [ ! -e "$T/cases/$name/$marker" ] || mv "$T/cases/$name/$marker" "$T/about/$name/"
    done
  done
  mkdir -p "$T/built"
}

build_one() { # NAME
  local args=() status=0
  [ ! -f "$T/about/$1/args" ] || mapfile -t args < "$T/about/$1/args"
  timeout -k 5 120 "${C[@]}" build --progress=plain -o "type=oci,dest=$T/built/$1.tar" "${args[@]}" "$T/cases/$1" > "$T/built/$1.log" 2>&1 </dev/null || status=$?
  echo "$status" > "$T/built/$1.status"
}

scenario() {
  local at=0 pids=() pid worker
  contexts
  mine "$T/built"
  # Three at a time: every build is a process of its own, and they share one state directory.
  for worker in 0 1 2; do
    (for ((at = worker; at < ${#CASES[@]}; at += 3)); do build_one "${CASES[at]}"; done) &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
  local answer
  answer=$("$DIFFERENTIAL/expected" "$WORK/busybox.tar" "$T/built" "${CASES[@]}" || true)
  check "${#CASES[@]} cases give what is written beside them" "expected: ${#CASES[@]} cases, 0 of them otherwise than written beside them" "$answer"
  nothing_left "executed cases"
}

mapfile -t CASES < <(cd "$DIFFERENTIAL/cases" && ls)
[ "${#CASES[@]}" -ge "$CASES_MIN" ] || { echo "$NAME: only ${#CASES[@]} cases" >&2; exit 1; }
base_image
each_user scenario root sub

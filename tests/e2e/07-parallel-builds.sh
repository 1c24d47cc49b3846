#!/usr/bin/env bash
# Four processes build different Dockerfiles in one state directory at the same time; then four build the same one.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# four NAME...: builds contexts NAME at the same time; checks that each ends well.
four() {
  local pids=() name at=0
  for name in "$@"; do
    at=$((at + 1))
    (cd "$T" && exec timeout -k 5 240 "${C[@]}" build --platform linux/amd64,linux/arm64 -t "${name%/*}:1" "${name%/*}") </dev/null >"$WORK/$WHO-log-$at" 2>&1 &
    pids+=($!)
  done
  at=0
  for name in "$@"; do
    if wait "${pids[$at]}"; then passed "$name beside three others"; else failed "$name beside three others" "$(tail -n 15 "$WORK/$WHO-log-$((at + 1))")"; fi
    at=$((at + 1))
  done
}

scenario() {
  local name
  for name in a b c d; do
    mkdir -p "$T/$name"
    seq 20000 > "$T/$name/numbers"
    echo "$name" > "$T/$name/name"
    dockerfile "$T/$name" 'FROM busybox AS make' 'COPY numbers /numbers' "RUN sort -rn /numbers > /sorted && echo $name > /who && uname -m > /machine" \
      'FROM busybox' 'COPY --from=make /sorted /who /machine /out/' 'COPY name /out/' 'RUN md5sum /out/sorted > /out/sum'
  done
  four a b c d
  for name in a b c d; do
    x run --rm --platform linux/arm64 "$name:1" cat /out/name /out/who /out/machine
    check "$name: its own files, of its own platform" "$name $name aarch64" "$(tr '\n' ' ' <<<"$OUT" | sed 's/ $//')"
  done
  check_store "after four builds at once"

  dockerfile "$T/same" 'FROM busybox' 'RUN sleep 0.3; date +%N > /a' 'RUN sleep 0.2; date +%N > /b'
  four same/1 same/2 same/3 same/4
  x build -q --platform linux/amd64,linux/arm64 -t same:1 same
  ok "the same build once more"
  x images same:1
  check "one image stays" 2 "$(wc -l <<<"$OUT")"
  check_store "after four equal builds at once"

  # Builds, collections and removals beside each other.
  local pids=() at
  for at in 1 2 3; do
    dockerfile "$T/mix$at" 'FROM busybox' "RUN sleep 0.$at; echo $at > /at"
    (cd "$T" && exec timeout -k 5 240 "${C[@]}" build -t "mix$at:1" "mix$at") </dev/null >"$WORK/$WHO-mix-$at" 2>&1 &
    pids+=($!)
  done
  x prune -f
  ok "prune beside builds"
  x rmi a:1
  ok "rmi beside builds"
  x prune -a -f
  ok "prune -a beside builds"
  for at in 1 2 3; do
    if wait "${pids[$((at - 1))]}"; then passed "a build beside prune"; else failed "a build beside prune" "$(tail -n 15 "$WORK/$WHO-mix-$at")"; fi
    x run --rm "mix$at:1" cat /at
    check "and its image is whole" "$at" "$OUT"
  done
  check_store "after builds beside prune"
  nothing_left "parallel builds"
}

emulators
busybox_registry
each_user scenario root sub nosub

#!/usr/bin/env bash
# A state directory on a full disk: the build says so, nothing is lost, and a smaller build works right behind it.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
private_mounts "$0" "$@"

scenario() {
  if ! is_rootish; then
    skipped "a small disk is mounted by root"
    return
  fi
  KEEP_MOUNTED=$STATE
  mkdir -p "$STATE"
  mount -t tmpfs -o size=12m,mode=700 tmpfs "$STATE"
  mine "$STATE"
  mkdir -p "$T/app"
  echo small > "$T/app/small"
  head -c 30000000 /dev/urandom > "$T/app/large"
  dockerfile "$T/app" 'FROM busybox' 'COPY small /small' 'RUN cat /small > /copy' 'CMD ["cat", "/copy"]'
  x build -t small:1 app
  must "a small build on a small disk"

  printf 'FROM busybox\nCOPY large /large\n' > "$T/app/large.Dockerfile"
  mine "$T/app"
  x build -f app/large.Dockerfile -t large:1 app
  fails "COPY onto a full disk" 'o space left on device'
  printf 'FROM busybox\nRUN dd if=/dev/urandom of=/large bs=1M count=30\n' > "$T/app/run.Dockerfile"
  x build -f app/run.Dockerfile -t large:1 app
  fails "RUN onto a full disk" 'full'
  x run small:1
  check "what was built before still runs" small "$OUT"
  check_store "after a full disk"

  dockerfile "$T/app" 'FROM busybox' 'COPY small /other' 'RUN cat /other > /copy' 'CMD ["cat", "/copy"]'
  x build -t small:2 app
  ok "a small build right behind it"
  x run small:2
  check "and it runs" small "$OUT"
  x images large:1
  check_hasnt "no image of a failed build" large "$OUT"

  # Full to the last byte: what frees space must still work.
  head -c 12000000 /dev/zero > "$STATE/filler" 2>/dev/null || true
  x build --no-cache -t small:3 app
  fails "a disk without a byte left" 'disk full' 'crossdock prune'
  check "it left nothing" "" "$(ls "$STATE/ingest" 2>/dev/null)"
  x prune -a -f
  ok "prune on a full disk"
  rm -f "$STATE/filler"
  x build -t small:3 app
  ok "a build with space again"
  check_store "at the end"
  nothing_left "full disk"
  umount "$STATE"
}

busybox_registry
each_user scenario root sub nosub

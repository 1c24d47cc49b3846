#!/usr/bin/env bash
# The host's binfmt_misc table, empty, filled or holding broken entries: builds succeed, and the table is the same afterwards.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
private_mounts "$0" "$@"

TABLE=/proc/sys/fs/binfmt_misc
ARM64_MAGIC='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
ARM_MAGIC='\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x28\x00'
MASK='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'

listing() { (cd "$TABLE" && for file in *; do [ "$file" = register ] || { echo "== $file" && cat "$file"; }; done); }
register() { printf '%s' "$1" > "$TABLE/register"; }
# empty_table: takes away what this test registered, nothing else.
empty_table() {
  local file
  for file in "$TABLE"/crossdock-e2e-*; do [ ! -e "$file" ] || echo -1 > "$file"; done
}
on_exit() { empty_table; }

# builds NAME: a build and a run for three platforms, with the table as it is now.
builds() {
  local before
  before=$(listing)
  dockerfile "$T/$1" 'FROM busybox' "RUN echo $1 && uname -m > /m" 'CMD ["cat", "/m"]'
  x build --platform linux/amd64,linux/arm64,linux/arm/v7 -t "$1:1" "$1"
  ok "table $1: builds"
  local platform wanted
  for platform in linux/amd64=x86_64 linux/arm64=aarch64 linux/arm/v7=armv7l; do
    wanted=${platform#*=}
    x run --platform "${platform%=*}" "$1:1"
    check "table $1: ${platform%=*}" "$wanted" "$OUT"
  done
  check "table $1: the same after as before" "$before" "$(listing)"
}

scenario() {
  if ! is_rootish; then
    skipped "the table can only be filled by root"
    return
  fi
  empty_table
  if [ -n "$(listing | grep -v '^== status$' | grep -v '^enabled$' || true)" ]; then
    skipped "an empty table: the host's own has entries"
  else
    builds empty
    x CROSSDOCK_EMULATION=host build --no-cache --platform linux/arm64 empty
    fails "means host with an empty table" arm64
  fi

  local qemu=$WORK/emulators
  mkdir -p "$qemu"
  cp "$CACHE"/emulators/qemu-a* "$qemu/"
  register ":crossdock-e2e-arm64:M::$ARM64_MAGIC:$MASK:$qemu/qemu-aarch64-static:OCF"
  register ":crossdock-e2e-arm:M::$ARM_MAGIC:$MASK:$qemu/qemu-arm-static:OCF"
  builds filled
  dockerfile "$T/host" 'FROM busybox' 'RUN uname -m > /means-host' 'CMD ["cat", "/means-host"]'
  x CROSSDOCK_EMULATION=host CROSSDOCK_EMULATORS="$T/none" build --platform linux/arm64 -t host:1 host
  ok "means host with a filled table and no other emulator"
  x CROSSDOCK_EMULATION=host CROSSDOCK_EMULATORS="$T/none" run --platform linux/arm64 host:1
  check "means host: it was emulated" aarch64 "$OUT"

  empty_table
  register ":crossdock-e2e-arm64:M::$ARM64_MAGIC:$MASK:/nonexistent/qemu-aarch64:"
  register ":crossdock-e2e-arm:M::$ARM_MAGIC:$MASK:/bin/false:"
  builds broken
  x CROSSDOCK_EMULATION=host build --no-cache --platform linux/arm64 broken
  fails "means host with a broken entry" arm64
  empty_table
  nothing_left "binfmt tables"
}

if is_rootish && ! [ -e "$TABLE/register" ] && ! mount -t binfmt_misc binfmt_misc "$TABLE" 2>/dev/null; then
  echo "$NAME: skipped: this kernel has no binfmt_misc"
  exit 0
fi
emulators
busybox_registry
each_user scenario root sub nosub

#!/usr/bin/env bash
# powercut.sh [COUNT] [SEED] [USER...]: the state directory lies on an ext4 file system in an image file. At COUNT random moments of a build the
# power goes: ext4 is shut down without flushing its journal (EXT4_IOC_SHUTDOWN, NOLOGFLUSH), so that nothing more reaches the image, neither data
# in the page cache nor the running transaction. Then the image file is copied, the copy is checked (e2fsck replays the journal, as a boot does)
# and mounted through another loop device, and the same build runs on it: it must succeed and give the reference image, and check-store must be clean.
# What this does not show: a disk that loses writes it has acknowledged as flushed, and a disk that reorders unflushed writes: what ext4 had handed
# to the loop device before the cut is all in the image. A plain copy of a live image would be no power cut but a torn read that no disk gives.
# Needs root; the build runs as root and as ordinary users. Prints seed, count, failures.
set -euo pipefail
ARGS=("$@")
COUNT=${1:-4}
SEED=${2:-$RANDOM}
shift $(($# > 2 ? 2 : $#))
# shellcheck source=../e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
# shellcheck source=build.sh
. "$(dirname "$0")/build.sh"
private_mounts "$0" "${ARGS[@]}"

DEVICES=()
on_exit() {
  local device
  for device in "$WORK"/*/disk "$WORK"/*/copied; do umount "$device" 2>/dev/null || true; done
  for device in "${DEVICES[@]}"; do losetup --detach "$device" 2>/dev/null || true; done
}
# attach IMAGE DIRECTORY: mounts the image through the first free loop device; sets DEVICE.
attach() {
  DEVICE=$(losetup --find --show "$1")
  DEVICES+=("$DEVICE")
  mkdir -p "$2"
  mount -t ext4 "$DEVICE" "$2"
}
detach() { # DEVICE DIRECTORY
  umount "$2"
  losetup --detach "$1"
}
cut_power() { perl -e 'open F, "<", $ARGV[0] or die $!; my $how = pack("L", 2); ioctl(F, 0x8004587d, $how) or die $!' "$1"; }

scenario() {
  if ! is_rootish; then
    skipped "loop devices need root"
    return
  fi
  local round pid moment whole began status first failures
  soak_context "$T/app"
  began=$(date +%s%3N)
  soak_build "$T/state-reference" reference.tar
  must "the reference build"
  whole=$(($(date +%s%3N) - began))
  soak_tree "$T/reference.tar" > "$T/reference.txt"
  truncate -s 400M "$T/image"
  mkfs.ext4 -q -F "$T/image"

  RANDOM=$SEED
  for round in $(seq "$COUNT"); do
    attach "$T/image" "$T/disk"
    first=$DEVICE
    STATE=$T/disk/state
    mkdir -p "$STATE"
    mine "$STATE"
    # Every third round begins with nothing, the others with what the last power cut and the build behind it left.
    [ $((round % 3)) != 1 ] || rm -rf "${STATE:?}"/*
    # What the machine had before the build is on the disk.
    sync -f "$T/disk"
    soak_vary "$T/app" "$round"
    moment=$((RANDOM * 32768 + RANDOM))
    moment=$((moment % whole))
    (cd "$T" && exec "${RUN_AS[@]}" CROSSDOCK_STATE_DIR="$STATE" "$WORK/crossdock" build "${SOAK_FLAGS[@]}" -o type=oci,dest=cut.tar app) </dev/null >"$WORK/cut.log" 2>&1 &
    pid=$!
    sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
    cut_power "$T/disk"
    status=0
    cp --sparse=always "$T/image" "$T/copy"
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || status=$?
    KEEP_MOUNTED=$T/disk nothing_left "round $round, cut after $moment ms"
    # The first device stays taken until the copy has another one: another boot sees another disk, too.
    status=0
    e2fsck -p "$T/copy" >"$WORK/fsck" 2>&1 || status=$?
    check_true "round $round: e2fsck -p repairs what is left after $moment ms (exit $status)" test "$status" -le 1
    status=0
    e2fsck -fn "$T/copy" >"$WORK/fsck" 2>&1 || status=$?
    check "round $round: the file system is whole: $(tail -n 3 "$WORK/fsck")" 0 "$status"
    attach "$T/copy" "$T/copied"
    x CROSSDOCK_STATE_DIR="$T/copied/state" check-store
    ok "round $round: check-store right after the cut at $moment ms"
    soak_verify "round $round, cut after $moment ms" "$T/copied/state" "$round"
    detach "$first" "$T/disk"
    detach "$DEVICE" "$T/copied"
    DEVICES=()
    mv "$T/copy" "$T/image"
  done
  failures=$(grep -c failed "$COUNTS" || true)
  say "powercut as $WHO: seed $SEED, $COUNT rounds within $whole ms, $failures failures"
}

emulators
busybox_registry
each_user scenario root sub

#!/usr/bin/env bash
# kill9.sh [COUNT] [SEED] [USER...]: kills a build with SIGKILL at COUNT random moments, then runs the same build again: it must succeed and
# give the reference image, check-store must find nothing, and nothing may be left mounted or running. Prints seed, count, failures.
# As root and as ordinary users (see tests/e2e/lib.sh), COUNT times each.
set -euo pipefail
COUNT=${1:-12}
SEED=${2:-$RANDOM}
shift $(($# > 2 ? 2 : $#))
# shellcheck source=../e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
# shellcheck source=build.sh
. "$(dirname "$0")/build.sh"

scenario() {
  local round failures=0 pid moment whole status alive=0 began ended
  soak_context "$T/app"
  # How long a build from nothing takes says where the moments lie.
  began=$(date +%s%3N)
  soak_build "$T/state-reference" reference.tar
  must "the reference build"
  whole=$(($(date +%s%3N) - began))
  soak_tree "$T/reference.tar" > "$T/reference.txt"

  RANDOM=$SEED
  for round in $(seq "$COUNT"); do
    # Every fourth round begins with an empty state directory, the others with what the one before left behind.
    [ $((round % 4)) != 1 ] || rm -rf "$STATE"
    # What runs in the step is new in each round: something is always left to do.
    soak_vary "$T/app" "$round"
    moment=$((RANDOM * 32768 + RANDOM))
    moment=$((moment % whole))
    (cd "$T" && exec "${C[@]}" build "${SOAK_FLAGS[@]}" -o type=oci,dest=killed.tar app) </dev/null >"$WORK/killed.log" 2>&1 &
    pid=$!
    sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
    ended=0
    kill -KILL "$pid" 2>/dev/null || ended=1
    status=0
    wait "$pid" 2>/dev/null || status=$?
    # A build that was over before its moment must have ended well: anything else would pass for a kill.
    if [ "$ended" = 1 ] || [ "$status" != 137 ]; then
      check "round $round: the build that was faster than the kill at $moment ms" 0 "$status"
      [ "$status" = 0 ] || tail -n 5 "$WORK/killed.log"
    else
      alive=$((alive + 1))
    fi
    nothing_left "round $round, killed after $moment ms"
    x check-store
    ok "round $round: check-store right after the kill at $moment ms"
    soak_verify "round $round, killed after $moment ms" "$STATE" "$round"
    nothing_left "round $round, built again"
  done
  failures=$(grep -c failed "$COUNTS" || true)
  say "kill9 as $WHO: seed $SEED, $COUNT rounds ($alive killed alive, within $whole ms), $failures failures"
  # The moments follow the reference's time; on a machine that became faster since, some builds end before theirs.
  check_true "at least one build in six was alive when it was killed ($alive of $COUNT)" test $((alive * 6)) -ge "$COUNT"
}

emulators
busybox_registry
each_user scenario root sub nosub

# shellcheck shell=bash
# build.sh: the build that the soaks interrupt, and how its result is judged. Sourced behind tests/e2e/lib.sh.

# Two platforms, stages, file ops, steps with output of some size; its result depends on nothing but its inputs.
SOAK_FLAGS=(--platform "linux/amd64,linux/arm64" -t soak:1)

soak_context() { # DIR
  mkdir -p "$1/dir/deep"
  seq 200000 > "$1/numbers"
  head -c 2000000 /dev/zero | tr '\0' 'z' > "$1/dir/deep/zeros"
  echo start > "$1/varies"
  dockerfile "$1" <<'D'
FROM busybox AS make
COPY varies /varies
COPY numbers /numbers
RUN sort -rn /numbers > /sorted && mkdir -p /tree && for i in $(seq 200); do echo $i > /tree/$i; done
RUN ln /sorted /hard && ln -s sorted /soft && rm /tree/7 && chmod 4755 /tree/8
FROM busybox
WORKDIR /work
COPY --from=make /sorted /hard /soft ./
COPY --from=make /tree /tree
COPY varies /varies
RUN cat /varies > /varied && rm -rf /tree && mkdir /tree && md5sum /work/* > /tree/sums
COPY --link dir /dir
D
}

soak_vary() { # DIR ROUND
  echo "round $2" > "$1/varies"
  mine "$1"
}

soak_build() { # STATE ARCHIVE
  x CROSSDOCK_STATE_DIR="$1" build "${SOAK_FLAGS[@]}" -o "type=oci,dest=$2" app
}

# soak_tree ARCHIVE: both platforms' trees and configs.
soak_tree() {
  local platform
  for platform in linux/amd64 linux/arm64; do
    echo "== $platform"
    tree "$1" "$platform"
  done
}

# soak_verify WHAT STATE ROUND: the same build now gives the right image, and the store is clean. The reference was built from an
# untouched state directory with the context of round 0: only the files that vary differ from it.
soak_verify() {
  local what=$1 state=$2 round=$3
  rm -f "$T/again.tar"
  soak_build "$state" again.tar
  ok "$what: the same build succeeds"
  [ "$RC" = 0 ] || return 0
  check "$what: the image is the reference" "$(grep -Ev "$SOAK_VARIES" "$T/reference.txt")" "$(soak_tree "$T/again.tar" | grep -Ev "$SOAK_VARIES")"
  x CROSSDOCK_STATE_DIR="$state" run soak:1 cat /varies /varied
  check "$what: what varies is of this round" "round $round round $round" "$(tr '\n' ' ' <<<"$OUT" | sed 's/ $//')"
  x CROSSDOCK_STATE_DIR="$state" check-store
  ok "$what: check-store finds nothing"
}
SOAK_VARIES='^tree /(varies|varied) '

#!/usr/bin/env bash
# Three platforms from one Dockerfile, with nothing registered: every step runs as its platform, and every image runs afterwards.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

emulators
busybox_registry
ALL=linux/amd64,linux/arm64,linux/arm/v7

scenario() {
  dockerfile "$T/arch" 'FROM busybox' 'ARG TARGETARCH' 'ARG TARGETVARIANT' \
    'RUN echo "built for $TARGETARCH$TARGETVARIANT" > /arch.txt' 'CMD ["cat", "/arch.txt"]'
  x build --platform "$ALL" -t arch:1 arch
  must "ARG TARGETARCH and RUN echo build for three platforms"
  local platform wanted
  while read -r platform wanted; do
    x run --rm --platform "$platform" arch:1
    ok "run --platform $platform"
    check "$platform: the image says what it was built for" "built for $wanted" "$OUT"
  done <<<"linux/amd64 amd64
linux/arm64 arm64
linux/arm/v7 armv7"

  dockerfile "$T/os" 'FROM busybox' 'RUN uname -a > /os.txt' 'CMD ["cat", "/os.txt"]'
  x build --platform "$ALL" -t os:1 os
  must "RUN uname -a builds for three platforms"
  while read -r platform wanted; do
    x run --rm --platform "$platform" os:1
    ok "run --platform $platform"
    check_match "$platform: machine of the step" "^Linux .* $wanted( |\$)" "$OUT"
    check_match "$platform: host name of the step" "^Linux buildkitsandbox " "$OUT"
    x run --rm --platform "$platform" os:1 uname -m
    check "$platform: machine of the run" "$wanted" "$OUT"
  done <<<"linux/amd64 x86_64
linux/arm64 aarch64
linux/arm/v7 armv7l"

  x images os:1
  ok "images"
  check_has "images names the platforms" "linux/amd64,linux/arm64,linux/arm/v7" "$OUT"

  # Aliases, repeated flags, flags behind the path.
  x build arch --platform aarch64 --platform x86_64,armhf -t alias:1
  ok "aliases of platforms, flags behind PATH"
  x run --platform arm64 alias:1
  check "an alias means the same platform" "built for arm64" "$OUT"

  # A child process of an emulated one, a script with #!, a pipe: all of them emulated.
  dockerfile "$T/deep" <<'D'
FROM busybox
COPY --chmod=755 <<"EOF" /usr/bin/say
#!/bin/sh
sh -c 'uname -m' | cat
EOF
RUN say > /deep.txt && env say >> /deep.txt
CMD ["sh", "-c", "cat /deep.txt; say"]
D
  x build --platform linux/arm64 -t deep:1 deep
  ok "scripts and their children are emulated in RUN"
  x run --platform linux/arm64 deep:1
  check "and in run" "aarch64 aarch64 aarch64" "$(tr '\n' ' ' <<<"$OUT" | sed 's/ $//')"
  check_store "after all of it"
  nothing_left "three platforms"
}

each_user scenario root sub nosub

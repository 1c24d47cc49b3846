#!/usr/bin/env bash
# Programs for another architecture: a build that could not start fails, other programs are warned of; `verify` says the same of any image.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

busybox_registry
ROOTS=$(dirname "$(busybox_layout)")
mkdir -p "$WORK/bin"
for arch in amd64 arm64; do
  # All names of busybox are links to this one.
  tar -xOf "$ROOTS/root-$arch.tar" './bin/[' > "$WORK/bin/$arch"
  chmod 755 "$WORK/bin/$arch"
done
# A program that names a loader, made of a head alone.
dynamic() { # MACHINE
  python3 -c '
import struct, sys
loader = b"/lib/ld.so\0"
head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, int(sys.argv[1]), 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
sys.stdout.buffer.write(head + struct.pack("<IIQQQQQQ", 3, 4, 120, 0, 0, len(loader), len(loader), 1) + loader)' "$1"
}
dynamic 62 > "$WORK/bin/dynamic-amd64"
chmod 755 "$WORK"/bin/*

context() { # NAME: a context with all programs; the Dockerfile from standard input
  mkdir -p "$T/$1"
  cp "$WORK"/bin/* "$T/$1/"
  dockerfile "$T/$1"
}

scenario() {
  context entry <<<$'FROM busybox\nCOPY arm64 /usr/bin/app\nENTRYPOINT ["app"]'
  x build --platform linux/amd64 -t bad:1 entry
  fails "a foreign entrypoint fails the build" "/usr/bin/app is a program for arm64"
  check_has "with what to do" "CROSSDOCK_ARCH_CHECK=warn" "$ERR"
  x images -q bad:1
  check "and nothing is kept" "" "$OUT"
  x CROSSDOCK_ARCH_CHECK=warn build --platform linux/amd64 -t warned:1 entry
  ok "as a warning"
  check_has "it is said" "ArchitectureMismatch: linux/amd64 cannot start this image: /usr/bin/app is for arm64" "$ERR"
  x CROSSDOCK_ARCH_CHECK=off build --platform linux/amd64 -t off:1 entry
  ok "switched off"
  check_hasnt "it is silent" ArchitectureMismatch "$ERR"
  x CROSSDOCK_ARCH_CHECK=maybe build entry
  fails "another word" "off, warn and fail"
  # From the note of the layers, with nothing built.
  x build --platform linux/amd64 entry
  fails "from the cache, too" "/usr/bin/app is a program for arm64"

  context other <<<$'FROM busybox\nCOPY arm64 /opt/tool\nCOPY arm64 /opt/tool-aarch64'
  x build --platform linux/amd64 -t other:1 other
  ok "another foreign program builds"
  check_has "with a warning" "ArchitectureMismatch: a program of linux/amd64 is for arm64: /opt/tool" "$ERR"
  check_hasnt "whose path says what it is for is meant" tool-aarch64 "$(grep Mismatch <<<"$ERR")"

  context cross <<<$'FROM scratch\nARG TARGETARCH\nCOPY ${TARGETARCH} /app\nENTRYPOINT ["/app"]'
  x build --platform linux/amd64,linux/arm64 -t cross:1 cross
  ok "cross-compiled"
  check_hasnt "nothing is said" ArchitectureMismatch "$ERR"

  context script <<'D'
FROM scratch
COPY arm64 /bin/busybox
COPY --chmod=755 <<"EOF" /start
#!/bin/busybox sh
EOF
CMD ["/start"]
D
  x build --platform linux/amd64 script
  fails "the interpreter of a script" "/bin/busybox, which starts /start, is a program for arm64"
  context loader <<<$'FROM scratch\nCOPY dynamic-amd64 /app\nCOPY arm64 /lib/ld.so\nENTRYPOINT ["/app"]'
  x build --platform linux/amd64 loader
  fails "the loader of a program" "/lib/ld.so, which starts /app, is a program for arm64"
  context empty <<<$'FROM scratch\nCOPY Dockerfile /'
  x build --platform linux/amd64 empty
  ok "no entrypoint at all"

  x verify cross:1
  ok "verify of an image kept here"
  check_match "one line for each platform" '^linux/arm64 +/app +ELF arm64.* fits$' "$OUT"
  # One wrong platform of an index, in a registry.
  context wrong <<<$'FROM scratch\nCOPY amd64 /app\nENTRYPOINT ["/app"]'
  x CROSSDOCK_ARCH_CHECK=off build --platform linux/amd64,linux/arm64 -t "$REGISTRY/$WHO/wrong:1" --push wrong
  must "pushed"
  x rmi "$REGISTRY/$WHO/wrong:1"
  x prune -af
  x verify "$REGISTRY/$WHO/wrong:1"
  check "verify ends with 1" 1 "$RC"
  check_match "amd64 fits" '^linux/amd64 +/app +ELF amd64.* fits$' "$OUT"
  check_match "arm64 does not" '^linux/arm64 +/app +ELF amd64.* does not fit$' "$OUT"
  check_has "in words" "linux/arm64: /app is for amd64" "$ERR"
  x verify --platform linux/amd64 --format json "$REGISTRY/$WHO/wrong:1"
  ok "the right one alone"
  check "as JSON" "true linux/amd64 amd64" "$(jq -r '[.fits, .platforms[0].platform, .platforms[0].starts[0].architecture] | join(" ")' <<<"$OUT")"
  x images "$REGISTRY/$WHO/wrong:1" -q
  check "nothing is kept" "" "$OUT"
  x verify "$REGISTRY/$WHO/nothing:1"
  check "an image that is not there ends with 2" 2 "$RC"
  nothing_left "verify"
}

each_user scenario root sub nosub

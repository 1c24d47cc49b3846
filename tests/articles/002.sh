#!/usr/bin/env bash
# Article 002: buildx on Alpine, emulators, bare architectures, no output, --push, --load.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
enter "$@"

begins() {
  run buildx
  ok "docker buildx alone"
  local verb
  for verb in build create inspect ls use imagetools; do check_match "its help names $verb" "^ +$verb( |\*|$)" "$OUT$ERR"; done
  run create
  ok "create --use"
  check_match "a name of two words is made up" '^[a-z]+_[a-z]+$' "$OUT"
  local name=$OUT
  shell 'docker buildx inspect'
  check_match "it is the current builder" "^Name: +$name\$" "$OUT"
}

# emulators_installed: the row that changes the kernel's table, where the table is another one than the host's.
emulators_installed() {
  TABLE=1 engine run binfmt
  ok "binfmt --install all"
  check_match "each architecture is told" '^installing: arm64 OK$' "$ERR"
  check "standard output is JSON" true "$(jq 'has("supported") and has("emulators")' <<<"$OUT" 2>/dev/null || echo no)"
  check_has "JSON: what is supported" linux/arm64 "$(jq -r '.supported[]' <<<"$OUT" 2>/dev/null || true)"
  check_has "JSON: the emulators" qemu-aarch64 "$(jq -r '.emulators[]' <<<"$OUT" 2>/dev/null || true)"
  TABLE=1 shell 'cat /proc/sys/fs/binfmt_misc/qemu-arm'
  check_match "the kernel has the entry" '^enabled$' "$OUT"
  mkdir -p "$WORK/arm64" && tar -C "$WORK/arm64" -xf "$CACHE/busybox/root-arm64.tar" ./bin
  TABLE=1 shell "$WORK/arm64/bin/busybox uname -m"
  check "the kernel runs a program of arm64 by it" aarch64 "$OUT"
}

builds() {
  local base line platform word
  base=$(digest_of docker.io/library/busybox:uclibc)
  write Dockerfile dockerfile
  run build
  ok "bare architectures, no output"
  check_has "the progress names the base by its digest" "FROM docker.io/library/busybox:uclibc@$base" "$ERR"
  also C12 D14
  for line in amd64=linux/amd64 arm=linux/arm/v7 arm64=linux/arm64; do
    platform=${line#*=} word=${line%%=*}
    check_has "$platform: its step, numbered, with the argument's value" "[$platform 2/2] RUN echo \"I'm building for $word\"" "$ERR"
    check_has "$platform: its base" "[$platform 1/2] FROM docker.io/library/busybox:uclibc@$base" "$ERR"
    check_match "$platform: what the step wrote" "^#[0-9]+ [0-9.]+ I'm building for $word\$" "$ERR"
  done
  check_has "the definition is loaded" "[internal] load build definition from Dockerfile" "$ERR"
  check_match "its size is told" '^#[0-9]+ transferring dockerfile: [0-9]+B' "$ERR"
  check_match "the base's metadata are loaded" '^#[0-9]+ \[(linux/[a-z0-9/]+ )?internal\] load metadata for docker.io/library/busybox:uclibc$' "$ERR"
  check_match "the base is resolved to its digest" "^#[0-9]+ resolve docker.io/library/busybox:uclibc@$base" "$ERR"
  check_match "its layers are unpacked" '^#[0-9]+ extracting sha256:[0-9a-f]{64}' "$ERR"
  check_has "and .dockerignore" "[internal] load .dockerignore" "$ERR"
  rows C11
  # Nothing is lost by a result nobody asked for, and nothing has to be warned of.
  check_has "where the result is" arch:latest "$ERR"
  for line in amd64=x86_64 arm=armv7l arm64=aarch64; do
    engine shell "docker run --rm --platform linux/${line%=*} arch uname -m"
    check "the result is kept: ${line%=*}" "${line#*=}" "$OUT"
  done
  run build
  check "again: every step is cached" "" "$(instructions "$ERR" | grep -v '^CACHED' || true)"
}

pushes() {
  run push
  rows C13
  fails "a push that nobody logged in for" library/arch
  check "nothing was pushed" no "$(raw docker.io/library/arch:latest >/dev/null 2>&1 && echo yes || echo no)"
  shell 'docker login -u tester --password-stdin <<<"open sesame"'
  ok "logged in"
  run push
  ok "the same push"
  check "the index in the registry has the platforms, in their order" "linux/amd64 linux/arm/v7 linux/arm64" "$(platforms_of docker.io/library/arch:latest)"
  check_match "an entry has the step's config" '^config architecture "arm64"' "$(tree_of docker.io/library/arch:latest linux/arm64)"
  run load
  ok "--load"
  engine shell 'docker image inspect --format "{{.Architecture}}" arch && docker run --rm arch uname -m'
  ok "the image is in the local store, and runs"
  check "it is the platform that was asked for" $'amd64\nx86_64' "$OUT"
}

followed() {
  # What the steps write is looked at: nothing is to come from the other face's cache.
  rows -
  x prune --all --force
  begins
  with_own_table emulators_installed G1
  builds
  pushes
}

article followed root sub nosub

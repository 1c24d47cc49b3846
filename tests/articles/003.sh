#!/usr/bin/env bash
# Article 003: a list put together by hand, and one that buildx builds by cross-compilation.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
enter "$@"

# Docker Hub needs a login before anything can be pushed.
logs_in() {
  AT=terminal
  TYPE=(ername: tester assword: 'open sesame')
  if [ "$FACE" = shim ]; then
    run login
    ok "docker login asks, and takes the answers"
    check_has "it says so" "Login Succeeded" "$OUT"
    check_hasnt "the password is not shown" "open sesame" "$OUT"
    unset AT TYPE
  else
    # Without a user's name Docker's client would open Hub's web page.
    unset AT TYPE
    EDIT='s/login$/login -u tester --password-stdin <<<"open sesame"/' run login
    ok "docker login"
  fi
  TYPE=()
  check "the key of Docker Hub" https://index.docker.io/v1/ "$(jq -r '.auths | keys[]' "$HOME_DIR/.docker/config.json")"
  check "the credential" "tester:open sesame" "$(jq -r '.auths[].auth' "$HOME_DIR/.docker/config.json" | base64 -d)"
}

# parts: two images that stand in for the project's etcd, one for each architecture.
parts() {
  local arch
  rows -
  for arch in amd64 arm64; do
    text Dockerfile <<'D'
FROM alpine
ARG TARGETARCH
RUN echo "etcd for $TARGETARCH on $(uname -m)" > /etcd
CMD ["cat", "/etcd"]
D
    shell "docker buildx build --platform linux/$arch --push -t lixd96/etcd:3.5.5-$arch ."
    must "lixd96/etcd:3.5.5-$arch is in the registry"
  done
}

by_hand() {
  local list=$HOME_DIR/.docker/manifests/docker.io_lixd96_etcd-3.5.5
  run usage
  check "placeholders are no names" no "$([ "$RC" = 0 ] && echo yes || echo no)"
  check "and nothing was made" no "$(compgen -G "$HOME_DIR/.docker/manifests/*" >/dev/null && echo yes || echo no)"
  shell 'docker manifest create --help'
  check_has "its help has this line as usage" "docker manifest create MANIFEST_LIST MANIFEST [MANIFEST...]" "$OUT$ERR"
  rows E11
  shell 'docker manifest create lixd96/etcd:3.5.5 lixd96/etcd:not-pushed'
  fails "a part that is in no registry" lixd96/etcd:not-pushed
  run create
  ok "manifest create"
  check_has "it names the list" docker.io/lixd96/etcd:3.5.5 "$OUT"
  check "the list is in Docker's own directory, a file for each part" "docker.io_lixd96_etcd-3.5.5-amd64 docker.io_lixd96_etcd-3.5.5-arm64" "$(cd "$list" && echo *)"
  run push
  ok "manifest push"
  check_has "it prints the list's digest" "$(digest_of docker.io/lixd96/etcd:3.5.5)" "$OUT"
  check "the list in the registry" "linux/amd64 linux/arm64" "$(platforms_of docker.io/lixd96/etcd:3.5.5)"
  check "its entry is the part" "$(digest_of docker.io/lixd96/etcd:3.5.5-arm64)" "$(digest_for docker.io/lixd96/etcd:3.5.5 linux/arm64)"
  run rm
  ok "manifest rm"
  check "the list is gone here" no "$([ -e "$list" ] && echo yes || echo no)"
  check "and stays in the registry" "linux/amd64 linux/arm64" "$(platforms_of docker.io/lixd96/etcd:3.5.5)"
  run rm
  fails "a list that is not there" "No such manifest"
  # The other way, without anything kept here.
  rows F5
  shell 'docker buildx imagetools create -t lixd96/etcd:made lixd96/etcd:3.5.5-amd64 lixd96/etcd:3.5.5-arm64'
  ok "imagetools create"
  check "it made the list in the registry" "linux/amd64 linux/arm64" "$(platforms_of docker.io/lixd96/etcd:made)"
  check "and nothing here" "" "$(ls "$HOME_DIR/.docker/manifests" 2>/dev/null || true)"
}

pulls() {
  local arch machine pair
  for pair in arm64=aarch64 amd64=x86_64; do
    arch=${pair%=*} machine=${pair#*=}
    engine run "pull-$arch"
    ok "pull --platform $arch"
    check_match "pull: the digest" "^Digest: $(digest_of docker.io/lixd96/etcd:3.5.5)\$" "$OUT"
    check_match "pull: the status" '^Status: ' "$OUT"
    engine shell "docker run --rm --pull never --platform linux/$arch lixd96/etcd:3.5.5"
    check "the right variant was pulled" "etcd for $arch on $machine" "$OUT"
  done
}

emulators_installed() {
  TABLE=1 engine run binfmt
  ok "binfmt --install all"
  TABLE=1 shell 'cat /proc/sys/fs/binfmt_misc/qemu-aarch64'
  check_match "the kernel has the entry" '^flags: P?OCF' "$OUT"
}

cross() {
  text main.go <<'G'
package main

import (
	"fmt"
	"runtime"
)

func main() { fmt.Println("made for", runtime.GOOS+"/"+runtime.GOARCH) }
G
  write Dockerfile dockerfile
  run build
  rows C15 D15 D16 D17 D18 D19
  ok "builds and pushes for two platforms"
  check "the index" "linux/amd64 linux/arm64" "$(platforms_of docker.io/lixd96/test:0.0.1)"
  check_match "the compiler for arm64 runs here, and its step says so" '\[linux/amd64->arm64 build [0-9]/[0-9]\] RUN CGO_ENABLED=0' "$ERR"
  check_hasnt "nothing is emulated" "emulated by" "$ERR"
  local pair arch word
  for pair in amd64=x86-64 arm64=aarch64; do
    arch=${pair%=*} word=${pair#*=}
    file_of docker.io/lixd96/test:0.0.1 "linux/$arch" /root/main > "$WORK/main"
    check_has "$arch: a program for it, not linked to a C library" "$word" "$(file -b "$WORK/main")"
    check_has "$arch: static" "statically linked" "$(file -b "$WORK/main")"
    engine shell "docker run --rm --platform linux/$arch lixd96/test:0.0.1"
    check "$arch: its entry point, a relative one, runs" "made for linux/$arch" "$OUT"
  done
  check_match "WORKDIR is kept" '^config WorkingDir "/root"' "$(tree_of docker.io/lixd96/test:0.0.1 linux/arm64)"
}

followed() {
  logs_in
  parts
  by_hand
  pulls
  with_own_table emulators_installed G1
  cross
}

article followed root sub nosub

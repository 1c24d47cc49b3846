#!/usr/bin/env bash
# A cross-compiling Go Dockerfile: the build stage runs natively once for each target, and nothing is emulated.
# Its base stands in for golang:1.19: a Debian root with golang-1.19-go, made once by mmdebstrap.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

golang_layout() {
  local dir=$CACHE/golang mirror
  [ ! -d "$dir/layout" ] || return 0
  mkdir -p "$dir"
  mirror=$(awk '$1 == "URIs:" { print $2; exit }' /etc/apt/sources.list.d/*.sources 2>/dev/null || true)
  [ -n "$mirror" ] || mirror=$(awk '$1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /^http/) { print $i; exit } }' /etc/apt/sources.list)
  mmdebstrap --quiet --variant=minbase --include=golang-1.19-go \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/go-1.19/test/*' --dpkgopt='path-exclude=/usr/lib/go-1.19/pkg/*_race/*' \
    bookworm "$dir/root.tar" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm main"
  rm -rf "$dir/layout.part"
  "$E2E/oci-image" "$dir/layout.part" latest --env PATH=/usr/lib/go-1.19/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    linux/amd64="$dir/root.tar"
  rm "$dir/root.tar"
  mv "$dir/layout.part" "$dir/layout"
}

scenario() {
  mkdir -p "$T/go"
  cat > "$T/go/main.go" <<'G'
package main

import (
	"runtime"
	"syscall"
)

func main() { syscall.Write(1, []byte("go says "+runtime.GOOS+"/"+runtime.GOARCH+"\n")) }
G
  dockerfile "$T/go" <<'D'
FROM --platform=${BUILDPLATFORM} golang:1.19 as build
ARG TARGETOS
ARG TARGETARCH
WORKDIR /gobuild
COPY main.go .
RUN CGO_ENABLED=0 GO111MODULE=off GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build -o main main.go && uname -m > machine

FROM busybox
WORKDIR /root
COPY --from=build /gobuild/main /gobuild/machine ./
CMD ["/root/main"]
D
  # No emulator anywhere: what would need one fails.
  x CROSSDOCK_EMULATION=off CROSSDOCK_EMULATORS="$T/none" build --platform linux/amd64,linux/arm64,linux/arm/v7 -t go:1 \
    -o type=oci,dest=go.tar -o type=image go
  must "cross-compiles for three platforms without any emulator"
  local lines platform arch word
  lines=$(instructions "$ERR")
  check "the compiler ran once for each target" 3 "$(grep -c 'build .*RUN .*go build' <<<"$lines" || true)"
  check "its sources were copied once for all" 1 "$(grep -c 'build .*COPY main.go' <<<"$lines" || true)"
  check "WORKDIR of the build stage ran once for all" 1 "$(grep -c 'build .*WORKDIR' <<<"$lines" || true)"
  check "every step of the build stage ran on the build platform" "" "$(grep ' build ' <<<"$lines" | grep -v '\[linux/amd64' || true)"
  check_match "a step for another target says so" 'linux/amd64->arm64 build' "$lines"
  check_hasnt "no step was emulated" emulated "$ERR"

  for platform in linux/amd64=amd64=x86-64 linux/arm64=arm64=aarch64 linux/arm/v7=arm=ARM; do
    IFS='=' read -r platform arch word <<<"$platform"
    x build --platform "$platform" -o "type=local,dest=out-$arch" go
    ok "files for $platform"
    check_has "the program is one for $platform" "$word" "$(file -b "$T/out-$arch/root/main")"
    check "it was compiled on the build platform" x86_64 "$(cat "$T/out-$arch/root/machine")"
    x run --platform "$platform" go:1
    check "it runs on $platform" "go says linux/$arch" "$OUT"
  done

  # The base is a Debian root with a merged /usr: a plain COPY below /bin leaves the symlink as it is.
  printf 'tool\n' > "$T/go/tool"
  dockerfile "$T/go" 'FROM golang:1.19' 'COPY tool /bin/tool' 'COPY --link tool /opt/tool'
  x build -o type=oci,dest=usr.tar go
  ok "COPY to /bin of a Debian root"
  local all
  all=$(tree "$T/usr.tar")
  check_match "/bin is still a symlink" '^tree /bin .*to=usr/bin.*type=symlink' "$all"
  check_match "the file is behind it" '^tree /usr/bin/tool ' "$all"
  check_match "and the rest is still there" '^tree /usr/bin/dpkg ' "$all"
  nothing_left "go"
}

if [ ! -d "$CACHE/golang/layout" ] && ! is_rootish; then
  echo "$NAME: skipped: the base image is made by root"
  exit 0
fi
golang_layout
emulators
busybox_registry
push_layout "$CACHE/golang/layout:latest" library/golang:1.19
each_user scenario root sub nosub

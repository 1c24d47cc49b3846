#!/usr/bin/env bash
# Article 004: buildx from source, emulators, a Go program compiled under emulation for three platforms.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
enter "$@"

begins() {
  run experimental buildx-version
  ok "the variable is taken, the plugin answers"
  check "three words: package, version, revision" 3 "$(wc -w <<<"$OUT")"
  rows H7
  check "no command has a prompt in front" "" "$(grep -nvP '^[\x00-\x7f]*$' "$ARTICLES/004.commands" || true)"
}

# from_source: git:// and no .git at its end; the result takes the plugin's place.
from_source() {
  run build-buildx
  ok "builds the plugin from a git:// address, for this machine, into this directory"
  check_has "the file was moved to the plugins" ELF "$(file -bL "$HOME_DIR/.docker/cli-plugins/docker-buildx")"
  shell "$HOME_DIR/.docker/cli-plugins/docker-buildx docker-cli-plugin-metadata"
  check "it is a plugin" "made from git" "$(jq -r .ShortDescription <<<"$OUT" 2>/dev/null || true)"
  if [ "$FACE" = cli ]; then
    shell 'docker buildx'
    check_has "Docker's client runs what was built" "made-from-git v0.0.1 linux/amd64" "$OUT"
  fi
  new_home
}

table_rows() {
  local name
  TABLE=1 engine run binfmt
  ok "binfmt --install all"
  TABLE=1 run table
  for name in qemu-aarch64 qemu-arm qemu-ppc64le qemu-s390x register status; do
    check_match "the kernel's table has $name" " $name\$" "$OUT"
  done
  TABLE=1 run entry
  check_match "the entry is on" '^enabled$' "$OUT"
  check_match "its interpreter" '^interpreter /.*qemu-aarch64' "$OUT"
  check_match "its flags" '^flags: P?OCF$' "$OUT"
  check_match "its magic is that of arm64" '^magic 7f454c460201010000000000000000000200b7(00)?$' "$OUT"
  rows G13
  TABLE=1 shell 'docker buildx inspect default'
  check_has "the builder's platforms grew" linux/arm64 "$OUT"
}

builders() {
  run create
  ok "create --use --name"
  check "create prints the name" mybuilder "$OUT"
  run inspect
  ok "inspect NAME --bootstrap"
  check_match "inspect: its node" '^Name: +mybuilder0$' "$OUT"
  check_match "inspect: it is up" '^Status: +running$' "$OUT"
  run ls
  ok "ls"
  check_match "ls: the current builder is marked" '^mybuilder ?\*' "$OUT"
  rows B13
  shell 'docker buildx inspect default'
  check_match "the default builder has the native platforms, 386 among them" '^Platforms: +linux/amd64.*linux/386' "$OUT"
}

program() {
  write hello.go hello
  write Dockerfile dockerfile
  printf 'module hello\n\ngo 1.19\n' | text go.mod
  run cat-hello cat-dockerfile
  rows H5
  check "plain shell" "$(block hello)"$'\n'"$(block dockerfile)" "$OUT"
  run login
  shell 'docker login -u tester --password-stdin <<<"open sesame"'
  rows A14
  ok "docker login"
  check "the credential" "tester:open sesame" "$(jq -r '.auths["https://index.docker.io/v1/"].auth' "$HOME_DIR/.docker/config.json" | base64 -d)"
  local ref=docker.io/yangchuansheng/hello-arch:latest line platform word digest
  run build
  also D20
  ok "builds and pushes for three platforms"
  check "the index in the registry" "linux/arm/v7 linux/arm64 linux/amd64" "$(platforms_of "$ref")"
  # Of the second face these steps are in the first one's cache.
  check_match "the compiler of arm ran under emulation" 'emulated by qemu-arm|^CACHED \[linux/arm/v7 builder .* RUN go build' "$ERR"$'\n'"$(steps "$ERR")"
  for line in linux/arm/v7=ARM linux/arm64=aarch64 linux/amd64=x86-64; do
    file_of "$ref" "${line%=*}" /app/hello > "$WORK/hello"
    check_has "${line%=*}: a program for it" "${line#*=}" "$(file -b "$WORK/hello")"
  done
  run imagetools
  ok "imagetools inspect"
  same_listing "$ref"
  for line in linux/arm/v7=arm linux/arm64=arm64 linux/amd64=amd64; do
    platform=${line%=*} word=${line#*=}
    digest=$(digest_for "$ref" "$platform")
    # The digest of the article is that of its author's image.
    EDIT="s/@sha256:[0-9a-f]*/@$digest/" engine run "run-$word"
    check "$platform: name:tag@digest runs" "Hello, $word!" "$OUT"
  done
  skopeo_ copy -q --all --src-creds "tester:open sesame" --dest-creds "tester:open sesame" "docker://$ref" docker://docker.io/mirailabs/hello-arch:latest
  engine run pull
  ok "pull without a platform"
  engine shell 'docker run --rm mirailabs/hello-arch'
  check "this machine's variant was chosen" "Hello, amd64!" "$OUT"
}

local_images() {
  local line
  run builds-docker
  ok "three builds of one name with -o type=docker"
  engine shell 'docker run --rm yangchuansheng/hello-arch'
  check "the last one has the name" "Hello, amd64!" "$OUT"
  for line in arm arm64; do
    EDIT="/linux\/$line /!d" run builds-docker
    ok "$line alone"
    engine shell "docker image inspect --format '{{.Architecture}}' yangchuansheng/hello-arch && docker run --rm yangchuansheng/hello-arch"
    check "$line: the image has the platform, and runs" "$line"$'\n'"Hello, $line!" "$OUT"
  done
  rows C18
  shell 'docker buildx build -t several --platform=linux/arm64,linux/amd64 -o type=docker .'
  ok "several platforms with type=docker, which the article says cannot be"
  for line in amd64 arm64; do
    engine shell "docker run --rm --platform linux/$line several"
    check "several: $line" "Hello, $line!" "$OUT"
  done
}

followed() {
  begins
  from_source
  with_own_table table_rows G1 G3 G4 G13
  builders
  program
  local_images
}

article followed root sub nosub

#!/usr/bin/env bash
# The Dockerfiles of testdata/projects, as they are, built for amd64 and arm64 and run. Their bases come from a local registry: busybox
# with a tool that stands in for compilers and package managers (stand-in-tool), and Debian's Go. What must come out is told by the
# file `built` beside a Dockerfile, one word and a text a line; a project without it is only lowered (by a test of the frontend):
#   args FLAG          a flag of the build; `@/` is the project's folder
#   says REGEX         the image is run without arguments on both platforms and says this; @ARCH@, @MACHINE@, @TRIPLE@ stand for the platform
#   run WORD...        the arguments of the run of the next `says`
#   tree REGEX         a line of scripts/image-tree, on both platforms
#   no-tree REGEX      no line of it
#   native             with this word no step may be emulated
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
PROJECTS=$REPO/testdata/projects
BUILT_MIN=25
TOOLS=(apk apt-get apt-mark xx-apk debconf-set-selections ldconfig dpkg useradd groupadd adduser addgroup install gosu npm pnpm corepack node uv uvx pip poetry python
  cargo rustup mvn java jlink gradle dotnet cmake ctest make composer docker-php-ext-install php-fpm bundle mix nginx tini xx-clang xx-verify)
NAMES=(library/alpine:3.19 library/busybox:musl library/busybox:1.36 library/debian:bookworm library/debian:bookworm-slim
  library/debian:bookworm-20240130-slim library/ubuntu:22.04 library/ubuntu:jammy library/ubuntu:20.04 library/rust:1.76-slim
  library/node:20.11-alpine library/node:20-slim library/node:18-alpine library/node:20-alpine library/python:3.12-slim library/python:3.11-slim
  library/maven:3.9-temurin-21 library/eclipse-temurin:21-jre library/eclipse-temurin:21-jdk library/gradle:8.6-jdk21 dotnet/aspnet:8.0 dotnet/sdk:8.0
  library/composer:2 library/php:8.3-fpm-alpine library/ruby:3.3.0-slim library/nginx:1.25-alpine shelf/uv:0.4 shelf/linux-busybox:glibc
  shelf/elixir:1.16.1-erlang-26.2-debian-bookworm-20240130-slim)

# stand_in: one image for every name: busybox, the tool under all its names, and the users such images have.
stand_in() {
  local root=$WORK/tools name arch
  busybox_layout >/dev/null
  mkdir -p "$root"/{etc/apt/preferences.d,etc/apt/sources.list.d,etc/apt/apt.conf.d,usr/local/bin,usr/bin,var/log,var/lib/apt/lists,tmp}
  chmod 1777 "$root/tmp"
  install -m 755 "$E2E/stand-in-tool" "$root/usr/local/bin/stand-in-tool"
  for name in "${TOOLS[@]}"; do ln -s stand-in-tool "$root/usr/local/bin/$name"; done
  ln -s ../../bin/awk "$root/usr/bin/awk"
  # The shell of busybox prefers its own applet to this one, but not to its path.
  ln -s ../local/bin/stand-in-tool "$root/usr/bin/dpkg"
  tar -xOf "$CACHE/busybox/root-amd64.tar" ./etc/passwd > "$root/etc/passwd"
  printf 'node:x:1000:1000:node:/home/node:/bin/sh\ngradle:x:1000:1000:gradle:/home/gradle:/bin/sh\n' >> "$root/etc/passwd"
  tar -xOf "$CACHE/busybox/root-amd64.tar" ./etc/group > "$root/etc/group"
  printf 'node:x:1000:\ngradle:x:1000:\n' >> "$root/etc/group"
  mkdir -p "$root/bin"
  printf '#!/bin/sh\nexec /bin/sh "$@"\n' > "$root/bin/bash"
  chmod 755 "$root/bin/bash"
  tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1700000000 -cf "$WORK/tools.tar" .
  local platforms=()
  for arch in amd64 arm64; do platforms+=("linux/$arch=$CACHE/busybox/root-$arch.tar,$WORK/tools.tar"); done
  "$E2E/oci-image" "$WORK/stand-in" latest --env JAVA_HOME=/usr/local --env PHPIZE_DEPS=autoconf "${platforms[@]}"
  start_registry
  # One after another: docker-registry answers 500 to who asks for a blob that another push is bringing to the same repository.
  for name in "${NAMES[@]}"; do push_layout "$WORK/stand-in:latest" "$name"; done
  push_layout "$(busybox_layout):latest" library/busybox:latest
  for name in docker.io quay.io ghcr.io mcr.microsoft.com; do printf '[registry."%s"]\n  mirrors = ["%s"]\n' "$name" "$REGISTRY"; done > "$WORK/config.toml"
}

# for_platform TEXT ARCH: the text with its words for the platform.
for_platform() {
  local machine=x86_64
  [ "$2" = amd64 ] || machine=aarch64
  sed "s/@ARCH@/$2/g; s/@MACHINE@/$machine/g; s/@TRIPLE@/$machine-unknown-linux-musl/g" <<<"$1"
}

one_project() { # NAME
  local name=$1 dir=$T/projects/$1 word text flags=() arch native=no arguments=()
  while read -r word text; do
    case $word in
      args) flags+=("${text//@\//$dir/}") ;;
      native) native=yes ;;
    esac
  done < "$dir/built"
  x build --platform linux/amd64,linux/arm64 -f "$dir/Dockerfile" -t "$name:built" -o "type=oci,dest=$name.tar" -o type=image "${flags[@]}" "$dir/context"
  ok "$name builds for amd64 and arm64"
  [ "$RC" = 0 ] || return 0
  [ "$native" = no ] || check_hasnt "$name: no step was emulated" "emulated" "$ERR"
  for arch in amd64 arm64; do
    tree "$T/$name.tar" "linux/$arch" > "$T/$name.txt"
    while read -r word text; do
      text=$(for_platform "$text" "$arch")
      case $word in
        tree) check_match "$name on $arch has it" "$text" "$(cat "$T/$name.txt")" ;;
        no-tree) check "$name on $arch has nothing like $text" "" "$(grep -E "$text" "$T/$name.txt" || true)" ;;
        run) read -ra arguments <<<"$text" ;;
        says)
          x run --rm --platform "linux/$arch" "$name:built" "${arguments[@]}"
          check_match "$name says it on $arch" "$text" "$OUT$ERR"
          arguments=() ;;
      esac
    done < "$dir/built"
  done
}

scenario() {
  local name count=0
  cp -a "$PROJECTS" "$T/projects"
  chmod -R u=rwX,go=rX "$T/projects"
  mine "$T/projects"
  for name in "${BUILT[@]}"; do
    # Without sub-ids a step has only one user: few projects can be built there.
    if [ "$WHO" = nosub ] && [[ " ${ONE_USER[*]} " != *" $name "* ]]; then continue; fi
    if [ "$name" = go-service ] && [ ! -d "$CACHE/golang/layout" ]; then
      skipped "go-service: 03-go-cross.sh makes its base"
      continue
    fi
    one_project "$name"
    count=$((count + 1))
    # The base whose triggers the next project pulls.
    if [ "$name" = onbuild-base ] && [ "$RC" = 0 ]; then
      skopeo_ copy -q --all --dest-tls-verify=false "oci-archive:$T/onbuild-base.tar" "docker://$REGISTRY/shelf/webapp-onbuild:1"
    fi
  done
  say "  $count projects as $WHO"
  nothing_left "projects"
}

ONE_USER=(go-private-modules heredoc-scripts cpp-cross-triples c-cmake multi-target-variants escape-backtick)
# onbuild-base stands before what needs it.
mapfile -t BUILT < <(cd "$PROJECTS" && ls -d onbuild-base && for one in */built; do one=${one%/built}; [ "$one" = onbuild-base ] || echo "$one"; done)
[ "${#BUILT[@]}" -ge "$BUILT_MIN" ] || { echo "$NAME: only ${#BUILT[@]} projects" >&2; exit 1; }
[ -z "${ONLY:-}" ] || read -ra BUILT <<<"$ONLY"
stand_in
emulators
[ ! -d "$CACHE/golang/layout" ] || push_layout "$CACHE/golang/layout:latest" library/golang:1.19
each_user scenario root sub nosub

#!/usr/bin/env bash
# Article 000: from the version to an image for two platforms on Docker Hub.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
enter "$@"

versions() {
  run docker-version
  ok "docker -v"
  check_match "docker -v: the words of a version" '^Docker version [0-9]+\.[0-9]+[^ ,]*, build [^ ]+$' "$OUT"
  local version
  version=$(sed -E 's/^Docker version ([0-9]+)\.([0-9]+).*/\1 \2/' <<<"$OUT")
  rows A12
  check "the version is 19.03 or later" yes "$(awk '{ print ($1 > 19 || $1 == 19 && $2 >= 3) ? "yes" : "no: " $0 }' <<<"$version")"
  run experimental buildx-version
  rows A2 A3
  ok "the variable is taken, the plugin answers"
  check "three words: package, version, revision" 3 "$(wc -w <<<"$OUT")"
  check "one line" 1 "$(wc -l <<<"$OUT")"
  shell 'docker buildx version'
  check "it answers without the variable, too" 0 "$RC"
}

builders() {
  run create
  ok "create --use --name"
  check "create prints the name" mybuilder "$OUT"
  shell 'docker buildx inspect'
  check_match "the new builder is the current one" '^Name: +mybuilder$' "$OUT"
  run inspect
  ok "inspect NAME --bootstrap"
  check_match "inspect: the builder" '^Name: +mybuilder$' "$OUT"
  check_match "inspect: its node" '^Name: +mybuilder0$' "$OUT"
  check_match "inspect: it is up" '^Status: +running$' "$OUT"
  check_match "inspect: it builds for the article's platforms" '^Platforms: .*linux/arm64' "$OUT"
  # A context of Docker, as Docker's client writes it, is a builder without being made.
  local id
  id=$(printf desktop-linux | sha256sum | cut -d' ' -f1)
  mkdir -p "$HOME_DIR/.docker/contexts/meta/$id"
  printf '{"Name":"desktop-linux","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///nowhere/docker.sock","SkipTLSVerify":false}}}' \
    > "$HOME_DIR/.docker/contexts/meta/$id/meta.json"
  mine "$HOME_DIR/.docker/contexts"
  run ls
  ok "ls"
  check_match "ls: the columns" '^NAME/NODE +DRIVER/ENDPOINT +STATUS +.*PLATFORMS' "$OUT"
  check_match "ls: the current builder is marked" '^mybuilder ?\*' "$OUT"
  check_match "ls: its node" 'mybuilder0 .* running ' "$OUT"
  rows B11
  check_match "ls: the default builder" '^default' "$OUT"
  check_match "ls: a builder for the other context" '^desktop-linux' "$OUT"
  check "ls: builders of contexts come after those that were made" "mybuilder" "$(grep -oE '^(mybuilder|default|desktop-linux)' <<<"$OUT" | head -n 1)"
  rows G13
  shell 'docker buildx ls --format json'
  ok "ls --format json"
  check_has "nothing was registered, and yet the builder has foreign platforms" linux/arm64 "$(jq -r 'select(.Name == "mybuilder")' <<<"$OUT")"
}

image() {
  text Dockerfile <<'D'
FROM alpine
ARG TARGETARCH
COPY app /app
RUN echo "$TARGETARCH $(uname -m)" > /made-for
CMD ["cat", "/made-for"]
D
  echo app | text app
  shell 'docker login -u tester --password-stdin <<<"open sesame"'
  run build
  ok "build for two platforms with --push behind the context"
  rows C1 H6
  check "the index in the registry has both, in the order that was asked for" "linux/arm64 linux/amd64" "$(platforms_of docker.io/eryajf/go-ldap-admin:latest)"
  check "arm64: made there" "arm64 aarch64" "$(file_of docker.io/eryajf/go-ldap-admin:latest linux/arm64 /made-for)"
  check "amd64: made there" "amd64 x86_64" "$(file_of docker.io/eryajf/go-ldap-admin:latest linux/amd64 /made-for)"
  run imagetools
  ok "imagetools inspect"
  same_listing docker.io/eryajf/go-ldap-admin:latest
}

followed() {
  versions
  builders
  image
}

article followed root sub nosub

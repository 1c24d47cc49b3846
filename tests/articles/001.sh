#!/usr/bin/env bash
# Article 001: three methods: a list put together by hand, two nodes of one builder, emulation.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
enter "$@"

OVN=harbor.yusur.tech/yusur_ovn/ovn-daemonset-f

prepares() {
  run experimental
  rows A2
  ok "the variable is taken"
  rows -
  shell 'docker login -u tester --password-stdin harbor.yusur.tech <<<"open sesame"'
  must "logged in at the private registry, which has a CA of its own"
  # The article does not show the project's file; this one uses what the build arguments are for.
  text Dockerfile.fedora <<'D'
FROM --platform=$BUILDPLATFORM alpine AS build
ARG BUILDPLATFORM TARGETPLATFORM
RUN echo "built on $BUILDPLATFORM ($(uname -m)) for $TARGETPLATFORM" > /built
FROM --platform=$TARGETPLATFORM alpine
COPY --from=build /built /
RUN uname -m > /machine
CMD cat /built /machine
D
}

# first: one image on each machine, then the list.
first() {
  local amd64=$OVN:second-cni-amd64 arm64=$OVN:second-cni-aarch64 text
  rm -f "$PLACE/Dockerfile"
  run image-amd64 build-amd64
  also D21 C17
  ok "the build on the amd64 machine"
  engine run image-amd64 push
  ok "push"
  check_has "its last line has the digest" "second-cni-amd64: digest: $(digest_of "$amd64") size: " "$(tail -n 1 <<<"$OUT")"
  check "one manifest, no index" true "$(raw "$amd64" | jq 'has("layers")')"
  text=$(tree_of "$amd64")
  rows C2 D21
  check_match "the arguments stand above the automatic ones" '^config architecture "amd64"' "$text"
  # An arm machine's own platform is linux/arm64: the setting that makes it the default stands in for the machine.
  run DOCKER_DEFAULT_PLATFORM=linux/arm64 image-aarch64 build-aarch64
  ok "the build on the arm machine"
  engine run image-aarch64 push
  ok "push"
  rows C3
  check_match "aarch64 is arm64" '^config architecture "arm64"' "$(tree_of "$arm64")"
  engine shell "docker run --rm $arm64"
  check "it was built as aarch64 says" $'built on linux/aarch64 (aarch64) for linux/aarch64\naarch64' "$OUT"

  run images manifest-create
  ok "manifest create"
  check_has "it names the list" "$OVN:second-cni" "$OUT"
  run images manifest-push
  ok "manifest push"
  check_has "it prints the list's digest" "$(digest_of "$OVN:second-cni")" "$OUT"
  check "the list in the registry holds both" "linux/amd64 linux/arm64" "$(platforms_of "$OVN:second-cni" | tr ' ' '\n' | sort | tr '\n' ' ' | sed 's/ $//')"
  run images manifest-inspect
  ok "manifest inspect"
  check "every byte is what the registry's manifests make it" "$(list_of "$amd64=linux/amd64" "$arm64=linux/arm64")" "$OUT"
  annotates
  rows E4
  shell "$(block images)"$'\n'"docker manifest create \$OVN_IMAGE \$OVN_IMAGE_AMD64"
  fails "the list is there already" amend
  shell "$(block images)"$'\n'"docker manifest create --amend \$OVN_IMAGE \$OVN_IMAGE_AMD64 && docker manifest create -a \$OVN_IMAGE \$OVN_IMAGE_ARM64"
  ok "--amend and -a"
}

annotates() {
  local amd64=$OVN:second-cni-amd64 arm64=$OVN:second-cni-aarch64
  run images annotate-amd64
  rows E6 E8
  if [ "$FACE" = cli ]; then
    # Docker's own client knows no x86_64; Crossdock does it on the list this client made.
    check "Docker's client refuses x86_64" 1 "$RC"
    VIA=shim run images annotate-amd64
    rows E6 E8
    VIA=shim ok "annotate --arch x86_64, after the push, on a list of Docker's client"
  else
    ok "annotate --arch x86_64, after the push"
  fi
  run images annotate-arm64
  rows E7
  ok "annotate --variant v8"
  run images manifest-inspect
  rows E6 E7 E9
  check "the entries are amd64, and arm64 with its variant" "$(list_of "$amd64=linux/amd64" "$arm64=linux/arm64/v8")" "$OUT"
}

# list_of REF=PLATFORM...: the list Docker's format makes of these images, from what the registry holds.
list_of() {
  local one ref
  for one in "$@"; do
    ref=${one%=*}
    raw "$ref"
    printf '\n%s\n' "${one#*=}"
  done | "$ARTICLES/docker-list"
}

# second: the plugin, and a builder of two machines.
second() {
  run build-buildx
  rows A7
  ok "builds the plugin from a https:// address, for this machine, into this directory"
  check_has "the file was moved to the plugins" ELF "$(file -bL "$HOME_DIR/.docker/cli-plugins/docker-buildx")"
  shell "$HOME_DIR/.docker/cli-plugins/docker-buildx docker-cli-plugin-metadata"
  check "it is a plugin" "made from git" "$(jq -r .ShortDescription <<<"$OUT" 2>/dev/null || true)"
  # A downloaded file, renamed and made executable.
  rows A6
  new_home
  rm -f "$HOME_DIR/.docker/cli-plugins/docker-buildx"
  shell "cp $WORK/crossdock ~/downloaded && mkdir -p ~/.docker/cli-plugins && mv ~/downloaded ~/.docker/cli-plugins/docker-buildx && chmod +x ~/.docker/cli-plugins/docker-buildx && docker buildx version"
  ok "a plain file is found"
  check_match "and answers" '^[^ ]+ v[^ ]+ [^ ]+$' "$OUT"
  shell "$HOME_DIR/.docker/cli-plugins/docker-buildx docker-cli-plugin-metadata"
  check "by the protocol" 0.1.0 "$(jq -r .SchemaVersion <<<"$OUT")"
  run info
  ok "docker info names the plugin"
  check_match "its name and description" '^ *buildx: ' "$OUT"
  shell 'docker login -u tester --password-stdin harbor.yusur.tech <<<"open sesame"'

  printf 'FROM alpine\nCOPY Dockerfile /\n' | text Dockerfile
  run typo
  check "no such program" 127 "$RC"
  EDIT='s/^c//' run typo
  ok "without the slip it builds"
  check_match "its step was done" 'COPY Dockerfile /' "$(instructions "$ERR")"
  nodes
}

nodes() {
  run create-fixed
  ok "create --driver docker-container --platform"
  check "create prints the name" multi-builder "$OUT"
  also B12
  check "real buildx reads the node and its platform" "multi-builder0 linux/amd64" \
    "$(real_buildx ls --format json | jq -r 'select(.Name == "multi-builder") | .Nodes[] | .Name + " " + (.Platforms | join(" "))')"
  shell 'docker buildx inspect multi-builder'
  check_match "the fixed platform is marked, the native ones follow" '^Platforms: +linux/amd64\*.*linux/386' "$OUT"
  # Nobody answers at the far address: the node is kept, and until remote nodes come its work is done here, which is said.
  run append
  ok "create --append --node with an engine elsewhere"
  check "create prints the name" multi-builder "$OUT"
  check "the state file has the second node" tcp://192.168.100.2:2375 "$(jq -r '.Nodes[1].Endpoint' "$HOME_DIR/.docker/buildx/instances/multi-builder")"
  check "real buildx reads it" "multi-builder0 remote-builder" \
    "$(real_buildx ls --format json | jq -r 'select(.Name == "multi-builder") | [.Nodes[].Name] | join(" ")')"
  run inspect-nodes
  ok "inspect --bootstrap NAME"
  check "both nodes, each with its endpoint" "multi-builder0 unix:///var/run/docker.sock remote-builder tcp://192.168.100.2:2375" \
    "$(awk '/^Nodes:/ { on = 1 } on && /^(Name|Endpoint):/ { printf "%s%s", sep, $2; sep = " " }' <<<"$OUT")"
  check_match "who does the far node's work is said" '192\.168\.100\.2.*(embedded|here)' "$ERR"
  run ls
  ok "ls"
  check_match "ls: the builder" '^multi-builder' "$OUT"
  run use
  ok "use"
  check "it is silent" "" "$OUT$ERR"
  shell 'docker buildx inspect'
  check_match "it is the current builder" '^Name: +multi-builder$' "$OUT"
  check "real buildx takes it as the current one" multi-builder "$(real_buildx ls --format json | jq -r 'select(.Current) | .Name' | head -n 1)"

  run image-aarch64 build-arm
  ok "-o type=docker for arm64"
  engine shell "docker run --rm $OVN:second-cni-aarch64"
  check "the image is here, and runs" $'built on linux/aarch64 (aarch64) for linux/aarch64\naarch64' "$OUT"
  run image-amd64 build-amd
  ok "-o type=docker for amd64"
  engine shell "docker run --rm $OVN:second-cni-amd64"
  check "the image is here, and runs" $'built on linux/amd64 (x86_64) for linux/amd64\nx86_64' "$OUT"
  run image build-both
  ok "--push for both"
  check "the index in the registry" "linux/arm64 linux/amd64" "$(platforms_of "$OVN:second-cni")"
  check "arm64 was made there" aarch64 "$(file_of "$OVN:second-cni" linux/arm64 /machine)"
  rows B14
  shell 'docker buildx build --builder default --platform linux/arm64,linux/amd64 -f Dockerfile.fedora -t default-builder .'
  ok "the default builder takes several platforms, too"
  demo
}

real_buildx() { timeout 60 "${RUN_AS[@]}" "$WORLD/cli/real-buildx" "$@" 2>/dev/null; }

demo() {
  local ref=harbor.yusur.tech/leid/demo:latest line config
  run demo demo-dockerfile
  rows H5 D13
  ok "the files are written by the shell"
  check "the file begins with a comment" '# Build the manager binary' "$(head -n 1 "$PLACE/Dockerfile")"
  run build-demo
  ok "builds and pushes"
  check "the index in the private registry" "linux/arm64 linux/amd64" "$(platforms_of "$ref")"
  check_match "lower-case as is told" 'FromAsCasing' "$ERR"
  check_match "MAINTAINER is told" 'MaintainerDeprecated' "$ERR"
  config=$(tree_of "$ref" linux/arm64)
  # It stands in the first stage, which is no part of the result.
  shell 'docker buildx build --platform linux/amd64 --target builder -o type=oci,dest=builder.tar .'
  rows D2
  ok "the stage of the compiler alone"
  check "MAINTAINER is the author" leid "$(blob_of "$PLACE/builder.tar" "$(manifest_of "$PLACE/builder.tar" | jq -r .config.digest)" | jq -r .author)"
  rm -f "$PLACE/builder.tar"
  rows D1 D6 D7 D9 D13 C8
  for line in linux/arm64=aarch64 linux/amd64=x86-64; do
    file_of "$ref" "${line%=*}" /demo > "$WORK/demo"
    check_has "${line%=*}: a program for it, copied from the other stage" "${line#*=}" "$(file -b "$WORK/demo")"
  done
  rows D8
  check_match "the port" '^config ExposedPorts .*"8080/tcp"' "$config"
  check_match "the entry point" '^config Entrypoint \["/demo"\]' "$config"
  rows D3
  check_match "WORKDIR / is kept" '^config WorkingDir "/"' "$config"
  check_hasnt "the other stage's directory is not in the image" "tree /workspace" "$config"
  rows D4 D5
  block demo-dockerfile | sed -n '/^FROM golang/,/^ENV GOPROXY/p' > "$PLACE/Dockerfile.env"
  mkdir -p "$PLACE/packed" && echo packed > "$PLACE/packed/file"
  tar -C "$PLACE" -cf "$PLACE/packed.tar" packed
  printf 'RUN env > /env && pwd > /pwd && ls > /ls\nFROM scratch\nCOPY --from=builder /env /pwd /ls /\n' >> "$PLACE/Dockerfile.env"
  mine "$PLACE"
  shell 'docker buildx build -q -f Dockerfile.env -o out .'
  ok "its first lines, looked into"
  check "quotes are taken away" $'GO111MODULE=on\nGOPROXY=https://goproxy.io' "$(grep -E '^(GO111|GOPROXY)' "$PLACE/out/env" | sort)"
  check "ADD . ./ copies into the working directory" "demo.go" "$(grep -x demo.go "$PLACE/out/ls")"
  check "WORKDIR" /workspace "$(cat "$PLACE/out/pwd")"
  rm -rf "$PLACE/out" "$PLACE/packed"*
  run imagetools-demo
  ok "imagetools inspect"
  same_listing "$ref"
  # The program listens: a request from outside of the container is answered.
  rows C8 D8
  serves "$ref"
}

# serves REF: the program answers a request.
serves() {
  local pid
  (cd "$PLACE" && exec "${RUN_AS[@]}" PATH="$SHIM_PATH" docker run --rm "$1" >/dev/null 2>"$WORK/serving") &
  pid=$!
  until_true 20 curl -sf http://127.0.0.1:8080/ || true
  check "the program answers" "hello world" "$(curl -s http://127.0.0.1:8080/ || cat "$WORK/serving")"
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}

# third: emulation, by the kernel's table where it may be changed.
third() {
  with_own_table table_rows G2 G3 G4 G5 G6 G11 G13
  dummy
  shell 'docker buildx rm -f multi-builder'
  run create-use
  ok "create --use --name"
  check "create prints the name" multi-builder "$OUT"
  run inspect
  ok "inspect NAME --bootstrap"
  check_match "it is up" '^Status: +running$' "$OUT"
  check_match "its platforms, with amd64/v2" '^Platforms: +linux/amd64.*linux/amd64/v2.*linux/arm64' "$OUT"
  run ls
  check_match "ls: the current builder" '^multi-builder ?\*' "$OUT"
  os
}

table_rows() {
  local name
  TABLE=1 engine run binfmt
  ok "docker/binfmt"
  check "it is silent" "" "$OUT"
  TABLE=1 run table
  for name in qemu-aarch64 qemu-arm qemu-ppc64le qemu-riscv64 qemu-s390x register status; do
    check_match "the kernel's table has $name" " $name\$" "$OUT"
  done
  check_match "register can only be written" '^--w-------.* register$' "$OUT"
  TABLE=1 run entry
  check_match "the entry is on" '^enabled$' "$OUT"
  check_match "its interpreter" '^interpreter /.*qemu-aarch64' "$OUT"
  check_match "its flags" '^flags: P?OCF$' "$OUT"
  check_match "its magic is that of arm64" '^magic 7f454c460201010000000000000000000200b7(00)?$' "$OUT"
  check_match "its mask" '^mask ffffffffffffff00fffffffffffffffffeffff(ff)?$' "$OUT"
  rows G13
  TABLE=1 shell 'docker buildx inspect default'
  check_has "the builder's platforms grew" linux/arm64 "$OUT"
  TABLE=1 engine run register
  ok "multiarch/qemu-user-static:register --reset"
  check_match "each architecture is told" '^Setting /usr/bin/qemu-aarch64-static as binfmt interpreter for aarch64$' "$OUT$ERR"
  TABLE=1 run entry
  rows G6
  check_match "the entry's interpreter" '^interpreter /usr/bin/qemu-aarch64-static$' "$OUT"
  check_match "no flags" '^flags: *$' "$OUT"
  check_match "the whole magic" '^magic 7f454c460201010000000000000000000200b700$' "$OUT"
  check_match "the whole mask" '^mask ffffffffffffff00fffffffffffffffffeffffff$' "$OUT"
  rows G11
  cp "$CACHE/emulators/qemu-aarch64-static" "$PLACE/"
  TABLE=1 AT=terminal engine run run-ubuntu
  check "the mounted emulator is the one the entry names" aarch64 "$(tail -n 1 <<<"$OUT")"
  rm "$PLACE/qemu-aarch64-static"
  rows G5
}

# dummy: a file taken out of a container that never runs.
dummy() {
  engine run create-dummy
  ok "create -it --name"
  check_match "the container's id" '^[0-9a-f]{64}$' "$OUT"
  local id=${OUT:0:12}
  engine run containers
  ok "container ls -a"
  check_match "ls: the columns" '^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES' "$OUT"
  check_match "ls: the row" "^$id +multiarch/qemu-user-static:x86_64-aarch64 +\"bash\" .* Created +dummy\$" "$OUT"
  engine run cp
  ok "cp from a container that is not running"
  check "the file's bytes" "$(sha256sum < "$CACHE/emulators/qemu-aarch64-static")" "$(sha256sum < "$PLACE/qemu-aarch64-static")"
  run ls-file
  check "the file is here" qemu-aarch64-static "$OUT"
  check_true "and may be executed" test -x "$PLACE/qemu-aarch64-static"
  engine run rm-dummy
  check "rm -f prints the name" dummy "$OUT"
  engine run containers
  check "no container is left" 1 "$(wc -l <<<"$OUT")"
  # Emulation without a table: the image runs for everybody.
  AT=terminal engine run run-ubuntu
  check "an image of arm64 runs" aarch64 "$(tail -n 1 <<<"$OUT")"
  rm -f "$PLACE/qemu-aarch64-static"
}

os() {
  local ref=docker.io/flftuu/demo:latest line
  write Dockerfile os-dockerfile
  login
  run build-os
  ok "builds and pushes for three platforms"
  check "the index: arm is arm/v7" "linux/arm/v7 linux/arm64 linux/amd64" "$(platforms_of "$ref")"
  rows D10 D11
  for line in linux/arm/v7=armv7l linux/arm64=aarch64 linux/amd64=x86_64; do
    check_match "${line%=*}: the sandbox's name, the kernel's version, the machine" "^Linux buildkitsandbox $(uname -r) .* ${line#*=} GNU/Linux\$|^Linux buildkitsandbox $(uname -r) .* ${line#*=} Linux\$" "$(file_of "$ref" "${line%=*}" /os.txt)"
  done
  check_match "a needless --platform is told" RedundantTargetPlatform "$ERR"
  rows D12
  check_match "CMD as a shell's text" '^config Cmd \["/bin/sh", "-c", "cat /os.txt"\]' "$(tree_of "$ref" linux/arm64)"
  run imagetools-os
  ok "imagetools inspect"
  same_listing "$ref"
  run hello-builds
  ok "three builds with -o type=docker"
  for line in arm=armv7l arm64=aarch64 amd64=x86_64; do
    AT=terminal engine run "hello-${line%=*}"
    check_match "${line%=*}: what the build wrote" "^Linux buildkitsandbox $(uname -r) .* ${line#*=} (GNU/)?Linux\$" "$OUT"
  done
  rows C18
  shell 'docker buildx build -t several --platform=linux/arm64,linux/amd64 -o type=docker .'
  ok "several platforms with type=docker, which the article says cannot be"
  engine shell "docker run --rm --platform linux/arm64 several"
  check_match "several: arm64" ' aarch64 ' "$OUT"
}

login() {
  if [ "$FACE" = shim ]; then
    TYPE=(ername: tester assword: 'open sesame')
    AT=terminal run login
    TYPE=()
  else
    # Without a user's name Docker's client would open Hub's web page.
    EDIT='s/login$/login -u tester --password-stdin <<<"open sesame"/' run login
  fi
  ok "docker login"
  check "the credential" "tester:open sesame" "$(jq -r '.auths["https://index.docker.io/v1/"].auth' "$HOME_DIR/.docker/config.json" | base64 -d)"
}

followed() {
  prepares
  first
  second
  third
}

article followed root sub nosub

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

# put_blob FILE: into the forged repository; put_manifest TAG FILE: likewise, with the type the file names. Both say its digest.
put_blob() {
  local digest place
  digest=sha256:$(sha256sum < "$1" | cut -d' ' -f1)
  place=$(curl -sf -o /dev/null -D - -X POST "http://$REGISTRY/v2/$WHO/forged/blobs/uploads/" | tr -d '\r' | sed -n 's/^Location: //Ip')
  curl -sf -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$1" "$place&digest=$digest" && echo "$digest"
}
put_manifest() {
  curl -sf -X PUT -H "Content-Type: $(jq -r .mediaType "$2")" --data-binary "@$2" "http://$REGISTRY/v2/$WHO/forged/manifests/$1" && echo "sha256:$(sha256sum < "$2" | cut -d' ' -f1)"
}
# forge TAG CONFIG_EDIT MANIFEST_EDIT: the good image again, its config and its manifest edited by jq. Says its manifest's digest.
forge() {
  local config
  jq -c "$2" < "$T/config.json" > "$T/forged-config.json"
  config=$(put_blob "$T/forged-config.json")
  jq -c --arg digest "$config" --argjson size "$(stat -c %s "$T/forged-config.json")" '.config.digest = $digest | .config.size = $size | '"$3" < "$T/manifest.json" > "$T/forged.json"
  put_manifest "$1" "$T/forged.json"
}
# refused WHAT TAG PROBLEM: verify, in a state directory that has nothing of it, ends with 1 and names the problem, as JSON too.
refused() {
  x CROSSDOCK_STATE_DIR="$T/elsewhere" verify "$REGISTRY/$WHO/forged:$2"
  check "$1: verify ends with 1" 1 "$RC"
  check_has "$1: in words" "$3" "$ERR"
  x CROSSDOCK_STATE_DIR="$T/elsewhere" verify --format json "$REGISTRY/$WHO/forged:$2"
  check "$1: as JSON" "false 1" "$(jq -r '[.fits, ([.platforms[].problems[]] | length)] | join(" ")' <<<"$OUT")"
}

# Images whose documents and bytes do not belong together, made by hand in the registry.
forged() {
  local layer diff digest name=$WHO/forged
  context good <<<$'FROM scratch\nCOPY amd64 /app\nENTRYPOINT ["/app"]'
  x build --platform linux/amd64 -t "$REGISTRY/$name:good" --push good
  must "a good image is pushed"
  skopeo_ inspect --raw --tls-verify=false "docker://$REGISTRY/$name:good" > "$T/manifest.json"
  if [ "$(jq -r '.manifests | length' "$T/manifest.json")" != 0 ]; then
    skopeo_ inspect --raw --tls-verify=false "docker://$REGISTRY/$name@$(jq -r '.manifests[0].digest' "$T/manifest.json")" > "$T/manifest.json"
  fi
  curl -sf "http://$REGISTRY/v2/$name/blobs/$(jq -r .config.digest "$T/manifest.json")" > "$T/config.json"
  layer=$(jq -r '.layers[0].digest' "$T/manifest.json")
  diff=$(jq -r '.rootfs.diff_ids[0]' "$T/config.json")
  x rmi "$REGISTRY/$name:good"
  x prune -af
  x verify "$REGISTRY/$name:good"
  ok "the good one fits"

  digest=$(forge same . .)
  cp "$T/forged.json" "$T/same.json"
  x verify --format json "$REGISTRY/$name:same"
  check "and edited by nobody, too" "true $digest" "$(jq -r '[.fits, .platforms[0].digest] | join(" ")' <<<"$OUT")"
  forge diff ".rootfs.diff_ids[0] = \"sha256:$(printf '%064d' 7)\"" . >/dev/null
  refused "another diffID" diff "layer $layer unpacks to $diff, the config says sha256:$(printf '%064d' 7)"
  forge more ".rootfs.diff_ids += [\"$diff\"]" . >/dev/null
  refused "a diffID more" more "the manifest names 1 layers, the config 2"
  forge size . '.layers[0].size += 1' >/dev/null
  refused "another size" size "$layer"
  jq -c --arg digest "$digest" --argjson size "$(stat -c %s "$T/same.json")" -n '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [{mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $digest, size: $size, platform: {os: "linux", architecture: "arm64"}}]}' > "$T/index.json"
  put_manifest platform "$T/index.json" >/dev/null
  x verify "$REGISTRY/$name:platform"
  check "another platform in the index: verify ends with 1" 1 "$RC"
  check_has "it says which" "the index says linux/arm64, the config linux/amd64" "$ERR"
  check_has "and what does not start there" "/app is for amd64" "$ERR"
  # Bytes that rot in the registry: the same size, other contents.
  python3 - "$WORK/registry-${REGISTRY##*:}/docker/registry/v2/blobs/sha256/${layer:7:2}/${layer:7}/data" <<'P'
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(200)
    byte = file.read(1)[0]
    file.seek(200)
    file.write(bytes([byte ^ 1]))
P
  refused "a damaged layer" same "$layer"
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
  forged
  nothing_left "verify"
}

each_user scenario root sub nosub

#!/usr/bin/env bash
# Every way out: archives, directories, streams, compressions, media types, annotations, files about the result; several at once.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# types ARCHIVE: media types of the manifest's layers, each once.
types() { manifest_of "$1" linux/amd64 | jq -r '.layers[].mediaType' | sort -u | tr '\n' ' ' | sed 's/ $//'; }
OCI=application/vnd.oci.image.layer.v1

archives() {
  x build -t out:1 -t out:2 -o type=oci,dest=a.oci.tar -o type=docker,dest=a.docker.tar -o type=tar,dest=a.files.tar -o type=local,dest=a.files app
  must "four outputs at once"
  check "oci: a layout" '1.0.0' "$(tar -xOf "$T/a.oci.tar" oci-layout | jq -r .imageLayoutVersion)"
  check "docker: names for docker load" 'out:1 out:2' "$(tar -xOf "$T/a.docker.tar" manifest.json | jq -r '.[0].RepoTags | join(" ")' | sed 's,docker.io/library/,,g')"
  check "docker: Docker's media types" application/vnd.docker.distribution.manifest.v2+json "$(manifest_of "$T/a.docker.tar" | jq -r .mediaType)"
  check "oci and docker hold the same tree" "$(tree "$T/a.oci.tar")" "$(tree "$T/a.docker.tar")"
  check "tar and local hold the same files" "$(tar -tf "$T/a.files.tar" | sed 's,^\./,,; s,/$,,' | grep -v '^$' | sort)" "$(cd "$T/a.files" && find . -mindepth 1 | sed 's,^\./,,' | sort)"
  check "local: the bytes" "payload" "$(cat "$T/a.files/opt/file")"
  check "local: the files belong to the caller" "$LOGIN" "$(stat -c %U "$T/a.files/opt/file")"
  x build -o - app
  ok "a tar to standard output"
  check "the stream is that tar" "$(tar -tf "$T/a.files.tar" | sort | md5sum)" "$(tar -tf "$WORK/out" | sort | md5sum)"
  x build -o type=docker,dest=- -t out:3 app
  ok "a docker archive to standard output"
  check "which is one" 'out:3' "$(tar -xOf "$WORK/out" manifest.json | jq -r '.[0].RepoTags[0]' | sed 's,docker.io/library/,,')"
  x build -o plain app
  ok "-o DIR means files"
  check "and they are there" payload "$(cat "$T/plain/opt/file")"
  x build -o type=oci,dest=layout,tar=false app
  ok "tar=false"
  check "writes a directory" 1.0.0 "$(jq -r .imageLayoutVersion "$T/layout/oci-layout")"
}

platforms() {
  x build --platform linux/amd64,linux/arm64 -o type=local,dest=split -o type=tar,dest=split.tar -o type=oci,dest=split.oci.tar app
  ok "two platforms at once"
  check "local: a directory for each" "linux_amd64 linux_arm64" "$(cd "$T/split" && find . -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tr '\n' ' ' | sed 's/ $//')"
  check "tar: likewise" "linux_amd64 linux_arm64" "$(tar -tf "$T/split.tar" | sed 's,^\./,,; s,/.*,,' | sort -u | tr '\n' ' ' | sed 's/ $//; s/^ //')"
  check "oci: an index of real platforms only" "linux/amd64 linux/arm64" \
    "$(blob_of "$T/split.oci.tar" "$(tar -xOf "$T/split.oci.tar" index.json | jq -r '.manifests[0].digest')" | jq -r '[.manifests[].platform | .os + "/" + .architecture] | join(" ")')"
  x build --platform linux/amd64 -o type=local,dest=forced,platform-split=true app
  check "platform-split=true with one platform" linux_amd64 "$(ls "$T/forced")"
  x build --platform linux/amd64,linux/arm64 -o type=docker,dest=no.tar app
  fails "two platforms in a docker archive" "docker exporter does not support exporting manifest lists"
}

compressions() {
  local sizes='' level
  x build -o type=oci,dest=zstd.tar,compression=zstd,force-compression=true app
  ok "compression=zstd,force-compression=true"
  check "every layer is zstd" "$OCI.tar+zstd" "$(types "$T/zstd.tar")"
  x build -o type=oci,dest=mixed.tar,compression=zstd app
  ok "compression=zstd"
  check "inherited layers keep their blobs" "$OCI.tar+gzip $OCI.tar+zstd" "$(types "$T/mixed.tar")"
  x build -o type=oci,dest=plain.tar,compression=uncompressed,force-compression=true app
  ok "compression=uncompressed,force-compression=true"
  check "every layer is plain" "$OCI.tar" "$(types "$T/plain.tar")"
  x build -o type=oci,dest=gzip.tar app
  check "gzip is the default" "$OCI.tar+gzip" "$(types "$T/gzip.tar")"
  for level in zstd mixed plain; do
    check "$level: the same tree" "$(tree "$T/gzip.tar")" "$(tree "$T/$level.tar")"
  done
  for level in 1 9; do
    x build -o "type=oci,dest=level-$level.tar,compression=gzip,compression-level=$level" app
    ok "gzip level $level"
    sizes="$sizes $(manifest_of "$T/level-$level.tar" | jq '.layers[-1].size')"
  done
  # shellcheck disable=SC2086  # two numbers
  set -- $sizes
  check_true "gzip level 9 is smaller than level 1 ($1, $2)" test "$2" -lt "$1"
  x build -o type=oci,dest=no.tar,compression=gzip,compression-level=99 app
  fails "gzip level 99" compression-level 99
  x build -o type=oci,dest=no.tar,compression=lzma app
  fails "an unknown compression" lzma
  check_true "nothing was written for them" test ! -e "$T/no.tar"

  x build -o type=oci,dest=d.tar,oci-mediatypes=false,force-compression=true app
  ok "oci-mediatypes=false"
  check "Docker's layer types" application/vnd.docker.image.rootfs.diff.tar.gzip "$(types "$T/d.tar")"
  check "Docker's manifest type" application/vnd.docker.distribution.manifest.v2+json "$(manifest_of "$T/d.tar" | jq -r .mediaType)"
  x build -o type=oci,dest=again.tar app
  check "the same build gives the same archive" "$(md5sum < "$T/gzip.tar")" "$(md5sum < "$T/again.tar")"
}

files_about_it() {
  x build -t about:1 --iidfile iid --metadata-file meta.json -o type=oci,dest=about.tar app
  ok "--iidfile and --metadata-file"
  check "iidfile: the config's digest" "$(manifest_of "$T/about.tar" | jq -r .config.digest)" "$(cat "$T/iid")"
  check "metadata: digest of the manifest" "$(tar -xOf "$T/about.tar" index.json | jq -r '.manifests[0].digest')" "$(jq -r '."containerimage.digest"' "$T/meta.json")"
  check "metadata: descriptor" "$(jq -r '."containerimage.digest"' "$T/meta.json")" "$(jq -r '."containerimage.descriptor".digest' "$T/meta.json")"
  check_has "metadata: name" about:1 "$(jq -r '."image.name"' "$T/meta.json")"
  x build --iidfile iid -f nowhere app
  fails "a build that fails" nowhere
  check_true "leaves no old iidfile" test ! -e "$T/iid"

  x build --platform linux/amd64,linux/arm64 -t notes:1 --annotation a=manifest --annotation index:b=index --annotation 'manifest[linux/arm64]:c=arm' \
    --annotation 'index,manifest-descriptor:d=both' -o type=oci,dest=notes.tar,annotation-index.e=attr app
  ok "annotations"
  local index
  index=$(blob_of "$T/notes.tar" "$(tar -xOf "$T/notes.tar" index.json | jq -r '.manifests[0].digest')")
  check "annotations of the index" '{"b":"index","d":"both","e":"attr"}' "$(jq -cS .annotations <<<"$index")"
  check "annotations of descriptors" '["both","both"]' "$(jq -c '[.manifests[].annotations.d]' <<<"$index")"
  check "annotations of one manifest" '{"a":"manifest"}' "$(manifest_of "$T/notes.tar" linux/amd64 | jq -cS .annotations)"
  check "annotations of the other" '{"a":"manifest","c":"arm"}' "$(manifest_of "$T/notes.tar" linux/arm64 | jq -cS .annotations)"

  x build -o type=cacheonly app
  ok "type=cacheonly"
  x build -o "type=image,name=$REGISTRY/$WHO/named:1,push=true" app
  ok "type=image,name=…,push=true"
  check_match "pushed" '^sha256:' "$(registry_digest "$WHO/named:1")"
  x build -t "$REGISTRY/$WHO/kind:1" -o type=registry,compression=zstd app
  ok "type=registry"
  check "with its compression" "$OCI.tar+zstd" "$(skopeo_ inspect --raw --tls-verify=false "docker://$REGISTRY/$WHO/kind:1" | jq -r '.layers[-1].mediaType')"
  x build --progress rawjson app
  ok "--progress rawjson"
  check "rawjson: every line is an object" object "$(jq -rs 'map(type) | unique | join(" ")' < "$WORK/err")"
  x build --print-llb app
  ok "--print-llb"
  check_true "prints JSON" jq -e . "$WORK/out"
}

scenario() {
  mkdir -p "$T/app"
  echo payload > "$T/app/file"
  cp "$(command -v bash)" "$T/app/numbers"
  dockerfile "$T/app" 'FROM busybox' 'COPY file numbers /opt/' 'RUN ln -s file /opt/link && ln /opt/file /opt/second && chmod 600 /opt/numbers' 'LABEL k=v'
  archives
  platforms
  compressions
  files_about_it
  check_store "after all outputs"
  nothing_left "outputs"
}

emulators
busybox_registry
each_user scenario root sub nosub

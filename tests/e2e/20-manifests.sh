#!/usr/bin/env bash
# Lists of images: `manifest …` on Docker's own directory and `imagetools …`, with what Docker's CLI 28, buildx 0.29 and skopeo
# make of them (seeds E1-E11, F1-F5).
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
PEERS=${PEERS:-/var/tmp/crossdock-peers}

layout() { # DIR KIND [ARCH [SALT]]: made once, readable by everybody
  [ -d "$WORK/$1" ] || "$E2E/attested-layout" "$WORK/$1" "${@:2}"
}
put_image() { # LAYOUT NAME
  skopeo_ copy -q --all --dest-tls-verify=false "oci:$WORK/$1:t" "docker://$R/$2"
}
raw() { skopeo_ inspect --raw --tls-verify=false "docker://$R/$1"; } # what skopeo reads
platforms_of() { raw "$1" | jq -r '[.manifests[].platform | [.os, .architecture, .variant // empty] | join("/")] | join(" ")'; }
layer_of() { raw "$1" | jq -r '.layers[0].digest'; }

images() {
  layout single single
  layout index index
  layout plain plain
  layout arm64 manifest arm64
  layout arm64-new manifest arm64 new
  layout riscv64 manifest riscv64
  layout artifact artifact
  put_image single "$WHO/etcd:1-amd64"
  put_image arm64 "$WHO/etcd:1-aarch64"
  put_image riscv64 "$WHO/other:riscv64"
  put_image index "$WHO/multi:1"
  put_image single "$WHO/single:1"
  put_image arm64 "$WHO/one:1"
  skopeo_ copy -q --all -f v2s2 --dest-tls-verify=false "oci:$WORK/plain:t" "docker://$R/$WHO/docker:1"
}

# Articles 001 and 003: the list of two images, one of them an index with an attestation as today's builders push it.
article() {
  local list=$R/$WHO/etcd:1 before digest
  x manifest create "$list" "$R/$WHO/etcd:1-amd64" "$R/$WHO/etcd:1-aarch64"
  ok "E1 create unwraps an image with an attestation"
  check "E1 words" "Created manifest list $list" "$OUT"
  x manifest create "$list" "$R/$WHO/etcd:1-amd64"
  fails "E4 a list that is there" "refusing to amend an existing manifest list with no --amend flag"
  x manifest inspect "$list"
  ok "E9 inspect"
  check "E9 order of file names, platforms from the configs" "arm64 amd64" "$(jq -r '[.manifests[].platform.architecture] | join(" ")' <<<"$OUT")"
  check_has "E9 three blanks" '   "schemaVersion": 2,' "$OUT"
  x manifest push "$list"
  ok "E5 push"
  digest=$OUT
  check_match "E5 the digest on one line" '^sha256:[0-9a-f]{64}$' "$OUT"
  check "E5 the registry has it" "$digest" "$(registry_digest "$WHO/etcd:1")"
  x manifest annotate "$list" "$R/$WHO/etcd:1-amd64" --os linux --arch x86_64
  ok "E6 x86_64"
  check "E6 says nothing, because nothing changed" "" "$OUT$ERR"
  x manifest annotate "$list" "$R/$WHO/etcd:1-aarch64" --os linux --arch arm64 --variant v8
  ok "E7 arm64 v8"
  check_has "E8 annotated after it was pushed: a warning" "has changed here since" "$ERR"
  check_has "E8 the warning says how to push" "docker manifest push $list" "$ERR"
  x manifest ls
  check_match "ls knows it" "^$list +linux/arm64/v8, linux/amd64 +an older one$" "$OUT"
  x manifest push "$list"
  ok "push again"
  check "skopeo reads the list" "linux/arm64/v8 linux/amd64" "$(platforms_of "$WHO/etcd:1")"
  # A child that was pushed again.
  before=$(raw "$WHO/etcd:1-aarch64" | sha256sum | cut -c1-64)
  put_image arm64-new "$WHO/etcd:1-aarch64"
  x manifest create --amend "$list" "$R/$WHO/etcd:1-aarch64"
  ok "create -a after a child moved"
  check_has "and a warning, because the list was pushed" "has changed here since" "$ERR"
  x manifest inspect "$list"
  check_hasnt "takes the new digest" "$before" "$OUT"
  check_has "takes the new digest" "$(raw "$WHO/etcd:1-aarch64" | sha256sum | cut -c1-64)" "$OUT"
  x manifest push --purge "$list"
  ok "push --purge"
  x manifest rm "$list"
  fails "E10 a list that is gone" "No such manifest: $list"
  x manifest inspect "$list"
  ok "inspect of the registry's"
}

words() {
  local list=$R/$WHO/words:1
  x manifest create "$list" "$R/$WHO/nope:1"
  fails "E11 a source that is nowhere" "no such manifest: $R/$WHO/nope:1" "docker push $R/$WHO/nope:1"
  check_true "nothing is left of a list that could not be made" test ! -e "$T/docker/manifests/${list//[:\/]/_}"
  x manifest inspect "$R/$WHO/nope:1"
  fails "inspect of nothing" "no such manifest: $R/$WHO/nope:1"
  x manifest create "$list" "$R/$WHO/one:1"
  must "a list of one"
  x manifest annotate "$list" "$R/$WHO/nope:1" --arch arm64
  fails "an image that is not in it" "manifest for image $R/$WHO/nope:1 does not exist in $list"
  x manifest annotate "$list" "$R/$WHO/one:1" --os linux --arch arn64
  fails "nonsense" "unsupported os/arch combination: linux/arn64" "linux/arm64"
  local pair
  for pair in armv7l=arm/v7 aarch64=arm64 mips64el=mips64le loong64=loong64 x86_64=amd64; do
    x manifest create --amend "$list" "$R/$WHO/one:1"
    x manifest annotate "$list" "$R/$WHO/one:1" --os linux --arch "${pair%=*}"
    ok "annotate --arch ${pair%=*}"
    x manifest inspect "$list"
    check "${pair%=*} is ${pair#*=}" "${pair#*=}" "$(jq -r '.manifests[0].platform | [.architecture, .variant // empty] | join("/")' <<<"$OUT")"
  done
  x manifest annotate "$list" "$R/$WHO/one:1" --os-version 10 --os-features a,b --os-features a
  x manifest inspect "$list"
  check "os.version and os.features" '["10",["a","b"]]' "$(jq -c '.manifests[0].platform | [."os.version", ."os.features"]' <<<"$OUT")"
  x manifest rm "$R/$WHO/gone:1" "$list" "$R/$WHO/gone:2"
  fails "rm goes on over errors" "No such manifest: $R/$WHO/gone:1" "No such manifest: $R/$WHO/gone:2"
  check_true "the list in between is gone" test ! -e "$T/docker/manifests/$(sed 's/:/-/g; s,/,_,g' <<<"$list")"
  x manifest create BAD "$R/$WHO/one:1"
  fails "a bad name" "error parsing name for manifest list BAD"
}

# An index stands for all its images; when it moves, its old images go.
flattened() {
  local list=$R/$WHO/flat:1
  x manifest create "$list" "$R/$WHO/multi:1" "$R/$WHO/other:riscv64"
  must "an index as a source"
  x manifest inspect "$list"
  check "its images, without attestations" "amd64 arm arm64 riscv64" "$(jq -r '[.manifests[].platform.architecture] | sort | join(" ")' <<<"$OUT")"
  x manifest annotate "$list" "$R/$WHO/multi:1" --variant v8
  fails "which of them" "stands for several images" "$R/$WHO/multi:1@sha256:"
  local before
  before=$(requests_count)
  x manifest push "$list"
  ok "push to another repository of the registry"
  check "Pushed ref lines" 4 "$(grep -c "^Pushed ref $R/$WHO/flat@sha256:.* with digest: sha256:" <<<"$OUT")"
  check "layers are mounted, none is fetched" "" "$(requests_since "$before" | grep -F "GET" | grep -F "$(layer_of "$WHO/other:riscv64")" || true)"
  check_match "layers are mounted" 'POST .*mount=sha256.* 201' "$(requests_since "$before")"
  check "skopeo reads it" 4 "$(platforms_of "$WHO/flat:1" | wc -w)"
  skopeo_ copy -q --all --src-tls-verify=false "docker://$R/$WHO/flat:1" "dir:$WORK/flat-$WHO" && passed "skopeo copies every image of it"
  put_image single "$WHO/multi:1"
  x manifest create -a "$list" "$R/$WHO/multi:1"
  ok "create -a after the index moved"
  x manifest inspect "$list"
  check "images it no longer has are gone" "amd64 riscv64" "$(jq -r '[.manifests[].platform.architecture] | sort | join(" ")' <<<"$OUT")"
  put_image index "$WHO/multi:1"
}

# What is in no registry is pushed, too; what is in another registry is copied.
elsewhere() {
  local list=$R/$WHO/mix:1
  x pull -q --platform linux/riscv64 "$R/$WHO/other:riscv64"
  must "an image of the local store"
  x tag "$R/$WHO/other:riscv64" "$R/$WHO/never-pushed:1"
  x manifest create "$list" "$R/$WHO/never-pushed:1" "oci-layout://$WORK/arm64:t" "$WORK/single"
  ok "sources of the local store and of layouts"
  check "an image that is nowhere else is said" "$R/$WHO/never-pushed:1 is in the local store only: \`docker manifest push\` brings it along" "$ERR"
  x manifest push "$list"
  ok "all of them are pushed"
  check "skopeo reads them" "amd64 arm64 riscv64" "$(raw "$WHO/mix:1" | jq -r '[.manifests[].platform.architecture] | sort | join(" ")')"
  rm -rf "$WORK/mix-$WHO"
  skopeo_ copy -q --all --src-tls-verify=false "docker://$R/$WHO/mix:1" "oci:$WORK/mix-$WHO:1" && passed "skopeo copies every image of it"
  x manifest create "$list.bad" "oci-layout://$WORK/arm64:nope"
  fails "a tag the layout does not have" 'no image has the tag "nope"' "there are: t"
  # The second registry asks for a password and has a certificate of its own.
  x login -u tester -p "open sesame" "$SECURE"
  must "login to the other registry"
  x manifest create "$SECURE/$WHO/copied:1" "$R/$WHO/one:1" "$R/$WHO/single:1"
  x manifest push "$SECURE/$WHO/copied:1"
  ok "images of another registry are copied"
  check "two of them" 2 "$(grep -c '^Pushed ref ' <<<"$OUT")"
  skopeo_ copy -q --all --src-creds "tester:open sesame" --src-tls-verify=false "docker://$SECURE/$WHO/copied:1" "dir:$WORK/copied-$WHO" && passed "skopeo reads them there"
  x manifest rm "$SECURE/$WHO/copied:1"
  x CROSSDOCK_CONFIG="$WORK/wrong-ca.toml" manifest inspect "$SECURE/$WHO/copied:1"
  fails "a certificate nobody vouches for" "certificate"
  x CROSSDOCK_CONFIG="$WORK/wrong-ca.toml" manifest inspect --insecure "$SECURE/$WHO/copied:1"
  ok "--insecure takes it"
  x logout "$SECURE"
  x manifest create "$SECURE/$WHO/copied:2" "$R/$WHO/one:1"
  x manifest push "$SECURE/$WHO/copied:2"
  fails "without a login" "$SECURE"
}

lists() {
  local all
  x manifest ls
  ok "ls"
  all=$OUT
  check_match "pushed" "^$R/$WHO/mix:1 .* yes$" "$all"
  x manifest prune
  ok "prune"
  check_has "what was pushed goes" "Deleted: $R/$WHO/mix:1" "$OUT"
  x manifest ls
  check_hasnt "and is gone" "$R/$WHO/mix:1" "$OUT"
  x manifest create "$R/$WHO/kept:1" "$R/$WHO/one:1"
  x manifest prune
  x manifest ls
  check_match "what was not pushed stays" "^$R/$WHO/kept:1 +linux/arm64 +no$" "$OUT"
  x manifest prune --all
  x manifest ls
  check "prune --all" "1" "$(wc -l <<<"$OUT")"
}

create_index() {
  local index=$R/$WHO/it:1 digest before
  x imagetools create -t "$index" "$R/$WHO/one:1" "$R/$WHO/docker:1"
  ok "imagetools create"
  check_match "progress: copying" "^#1 0\.[0-9]+ copying sha256:[0-9a-f]{64} from $R/$WHO/one:1 to $R/$WHO/it$" "$ERR"
  check_match "progress: pushing" "^#1 [0-9.]+ pushing sha256:[0-9a-f]{64} to $index$" "$ERR"
  check_has "progress: the step" "#1 [internal] pushing $R/$WHO/it" "$ERR"
  check "mixed types are an OCI index" application/vnd.oci.image.index.v1+json "$(raw "$WHO/it:1" | jq -r .mediaType)"
  check_true "F5 nothing is kept here" test ! -e "$T/docker/manifests/$(sed 's/:/-/g; s,/,_,g' <<<"$index")"
  x imagetools create --append -t "$index" "$R/$WHO/other:riscv64"
  ok "--append"
  check "one more" 5 "$(raw "$WHO/it:1" | jq '.manifests | length')"
  x imagetools create --append -t "$index" "$R/$WHO/other:riscv64"
  check "not twice" 5 "$(raw "$WHO/it:1" | jq '.manifests | length')"
  before=$(requests_count)
  x imagetools create --dry-run -t "$index" "$R/$WHO/one:1" "$R/$WHO/multi:1"
  ok "--dry-run"
  check "nothing is pushed" "" "$(requests_since "$before" | grep -E '"(PUT|POST)' || true)"
  check "attestations are kept, the image both have stands there once" 6 "$(jq '.manifests | length' <<<"$OUT")"
  # A single index is copied as it is, to two repositories, one of them in another registry.
  x login -u tester -p "open sesame" "$SECURE"
  x imagetools create -t "$R/$WHO/copy:1" -t "$R/$WHO/copy:2" -t "$SECURE/$WHO/copy:1" --metadata-file "$T/metadata.json" "$R/$WHO/multi:1"
  ok "several tags, several registries"
  digest=$(registry_digest "$WHO/multi:1")
  check "the same digest" "$digest $digest" "$(registry_digest "$WHO/copy:1") $(registry_digest "$WHO/copy:2")"
  check "in the other registry, too" "$digest" "$(skopeo_ inspect --raw --creds "tester:open sesame" --tls-verify=false "docker://$SECURE/$WHO/copy:1" | sha256sum | sed 's/^\([0-9a-f]*\).*/sha256:\1/')"
  check "metadata file" "$digest" "$(jq -r '."containerimage.descriptor".digest' "$T/metadata.json")"
  x imagetools create -t "$R/$WHO/few:1" --platform linux/arm64 --platform linux/arm/v7 "$R/$WHO/multi:1"
  ok "--platform"
  check "these and their attestations" "arm arm64 unknown unknown" "$(raw "$WHO/few:1" | jq -r '[.manifests[].platform.architecture] | join(" ")')"
  x imagetools create -t "$R/$WHO/few:1" --platform linux/s390x "$R/$WHO/multi:1"
  fails "a platform there is none of" "linux/s390x" "linux/arm/v7"
  x imagetools create -t "$R/$WHO/notes:1" --annotation index:a=b --annotation "manifest-descriptor[linux/arm64]:x=y" "$R/$WHO/multi:1"
  ok "--annotation"
  check "index and descriptor" '"b" ["y"]' "$(raw "$WHO/notes:1" | jq -c '.annotations.a, [.manifests[].annotations.x // empty]' | paste -sd' ')"
  x imagetools create --dry-run --annotation a=b "$R/$WHO/multi:1"
  fails "a manifest's annotation" '"manifest" annotations are not supported yet'
  x imagetools create -t "$R/$WHO/carbon:1" --prefer-index=false "$R/$WHO/one:1"
  ok "--prefer-index=false"
  check "the manifest as it is" "$(registry_digest "$WHO/one:1")" "$(registry_digest "$WHO/carbon:1")"
  printf '{"digest":"%s","platform":{"os":"linux","architecture":"arm64","variant":"v9"},"annotations":{"q":"r"}}\n' "$(registry_digest "$WHO/one:1")" > "$T/descriptor.json"
  x imagetools create --dry-run -t "$R/$WHO/one:x" -f "$T/descriptor.json"
  ok "-f with a descriptor"
  check "what it says counts" "v9 r" "$(jq -r '.manifests[0] | .platform.variant + " " + .annotations.q' <<<"$OUT")"
  x imagetools create -t "$R/$WHO/layout:1" "oci-layout://$WORK/index"
  ok "a layout as a source"
  check "as it is" "$digest" "$(registry_digest "$WHO/layout:1")"
  x imagetools create -t "$index"
  fails "no sources" "no sources specified"
  x imagetools create "$index"
  fails "no tags" "can't push with no tags specified"
  x imagetools create --dry-run "$R/$WHO/nope:1"
  fails "nothing there" "$R/$WHO/nope:1: not found"
}

inspect_index() {
  x imagetools inspect "$R/$WHO/multi:1"
  ok "F1 imagetools inspect"
  check_has "name" "Name:      $R/$WHO/multi:1" "$OUT"
  check_has "platforms" "  Platform:    linux/arm/v7" "$OUT"
  check_has "annotations" "    vnd.docker.reference.type:   attestation-manifest" "$OUT"
  x imagetools inspect --raw "$R/$WHO/multi:1"
  check "--raw: the bytes" "$(registry_digest "$WHO/multi:1")" "sha256:$(sha256sum "$WORK/out" | cut -c1-64)"
  skopeo_ copy -q --all --src-tls-verify=false --dest-tls-verify=false "docker://$R/$WHO/multi:1" "docker://$R/$WHO/multi:latest"
  x imagetools inspect --format '{{.Name}} {{json .Name}}' "$R/$WHO/multi"
  check "inspect --format: the name as it was written" "$R/$WHO/multi \"$R/$WHO/multi\"" "$OUT"
  x imagetools inspect "$R/$WHO/multi"
  check_match "inspect: the text has the tag" "^Name: +$R/$WHO/multi:latest$" "$OUT"
  x buildx imagetools inspect --builder nosuch "$R/$WHO/multi"
  fails "inspect with a builder that is not there" 'ERROR: no builder "nosuch" found'
  x BUILDX_BUILDER=nosuch buildx imagetools create --dry-run "$R/$WHO/multi"
  fails "create with a builder that is not there" 'ERROR: no builder "nosuch" found'
  x imagetools inspect --format '{{json (index .Image "linux/arm64").Config.Volumes}} {{(index .Image "linux/arm64").Config.Volumes}}' "$R/$WHO/multi:1"
  check "inspect --format: what the config does not have" "null map[]" "$OUT"
  x imagetools inspect --format '{{.Manifest.Digest}}' "$R/$WHO/multi:1"
  check "a field of the manifest" "$(registry_digest "$WHO/multi:1")" "$OUT"
  x imagetools inspect --format '{{range .Manifest.Manifests}}{{.Platform.OS}}/{{.Platform.Architecture}} {{end}}' "$R/$WHO/multi:1"
  check "range" "linux/amd64 linux/arm linux/arm64 unknown/unknown unknown/unknown unknown/unknown " "$OUT"
  x imagetools inspect --format '{{(index .Image "linux/arm64").Config.Cmd}} {{json (index .SBOM "linux/amd64").SPDX.name}}' "$R/$WHO/multi:1"
  check "configs and SBOMs" '[sh] "n"' "$OUT"
  # What is no image has a name, a type and a digest, too.
  skopeo_ copy -q --dest-tls-verify=false "oci:$WORK/artifact:t" "docker://$R/$WHO/artifact:1"
  x imagetools inspect "$R/$WHO/artifact:1"
  check "an artifact" "Name:      $R/$WHO/artifact:1
MediaType: application/vnd.oci.image.manifest.v1+json
Digest:    $(registry_digest "$WHO/artifact:1")" "$OUT"
  x manifest inspect "$R/$WHO/artifact:1"
  check "an artifact's manifest" application/x-test "$(jq -r .artifactType <<<"$OUT")"
  x imagetools inspect --raw --format x "$R/$WHO/multi:1"
  fails "not both" "format and raw cannot be used together"
  x imagetools inspect "$R/$WHO/nope:1"
  fails "nothing there" "$R/$WHO/nope:1: not found"
}

# peers_say FILE: runs the lines of FILE (`NAME<tab>COMMAND`) in the peers' root; output of each goes to share/theirs/NAME.
peers_say() {
  mkdir -p "$T/share/theirs"
  cp "$1" "$T/share/lines"
  cat > "$T/share/script" <<'X'
export DOCKER_CONFIG=/share/config HOME=/share
while IFS=$'\t' read -r name command; do bash -c "$command" > "/share/theirs/$name" 2>&1 </dev/null || true; done < /share/lines
X
  "$REPO/scripts/in-peers" "$PEERS" "$T/share" 'bash /share/script' > "$T/share/log" 2>&1 || failed "the peers' root" "$(tail -n 5 "$T/share/log")"
}
same() { # WHAT NAME: what they said is what we said last
  check "$1" "$(cat "$T/share/theirs/$2")" "$OUT"
}

# The Docker CLI 28 and buildx 0.29: one directory of lists, the same words.
peers() {
  if ! is_rootish || [ ! -e "$PEERS/usr/bin/docker" ]; then
    skipped "Docker's CLI needs root and the root made by scripts/peers (PEERS)"
    return 0
  fi
  local r=$R/$WHO kind format pinned
  pinned=$r/docker@$(raw "$WHO/docker:1" | jq -r '.manifests[0].digest')
  mkdir -p "$T/share/config" "$T/share/home"
  tab() { printf '%s\t%s\n' "$@"; }
  {
    tab create-1 "docker manifest create --insecure $r/theirs:1 $r/one:1 $r/other:riscv64"
    tab create-2 "docker manifest create --insecure $r/theirs:2 $pinned $r/one:1"
    tab annotate "docker manifest annotate $r/theirs:1 $r/one:1 --arch arm64 --variant v8 --os-features a,b --os-version 10"
    for kind in 1 2; do
      tab "list-$kind" "docker manifest inspect $r/theirs:$kind"
      tab "list-v-$kind" "docker manifest inspect -v $r/theirs:$kind"
      tab "two-$kind" "docker manifest inspect $r/theirs:$kind $r/one:1"
      tab "two-v-$kind" "docker manifest inspect -v $r/theirs:$kind $r/one:1"
    done
    for kind in multi docker one single; do
      tab "remote-$kind" "docker manifest inspect --insecure $r/$kind:1"
      tab "remote-v-$kind" "docker manifest inspect --insecure -v $r/$kind:1"
      tab "text-$kind" "docker buildx imagetools inspect $r/$kind:1"
      tab "raw-$kind" "docker buildx imagetools inspect --raw $r/$kind:1"
      for format in . .Manifest .Image .SBOM .Provenance; do tab "json$format-$kind" "docker buildx imagetools inspect --format '{{json $format}}' $r/$kind:1"; done
      tab "name-$kind" "docker buildx imagetools inspect --format '{{.Name}}' $r/$kind:1"
    done
    tab dry-join "docker buildx imagetools create --dry-run $r/one:1 $r/docker:1 $r/multi:1"
    tab dry-notes "docker buildx imagetools create --dry-run --annotation 'index:a=b<c' --annotation 'manifest-descriptor[linux/arm64]:x=y' $r/multi:1 $r/one:1"
  } > "$WORK/lines"
  peers_say "$WORK/lines"
  check "Docker's CLI made its list" "Created manifest list $r/theirs:1" "$(cat "$T/share/theirs/create-1")"
  mine "$T/share/config"
  local config=DOCKER_CONFIG=$T/share/config
  for kind in 1 2; do
    x "$config" manifest inspect "$r/theirs:$kind" && same "Docker's list $kind: inspect" "list-$kind"
    x "$config" manifest inspect -v "$r/theirs:$kind" && same "Docker's list $kind: inspect -v" "list-v-$kind"
    x "$config" manifest inspect "$r/theirs:$kind" "$r/one:1" && same "Docker's list $kind: one of its images" "two-$kind"
    x "$config" manifest inspect -v "$r/theirs:$kind" "$r/one:1" && same "Docker's list $kind: one of its images, -v" "two-v-$kind"
  done
  for kind in multi docker one single; do
    x manifest inspect "$r/$kind:1" && same "inspect of $kind in the registry" "remote-$kind"
    x manifest inspect -v "$r/$kind:1" && same "inspect -v of $kind in the registry" "remote-v-$kind"
    x imagetools inspect "$r/$kind:1"
    # buildx prints annotations in any order.
    check "imagetools inspect of $kind" "$(sort "$T/share/theirs/text-$kind")" "$(sort <<<"$OUT")"
    x imagetools inspect --raw "$r/$kind:1" && same "imagetools inspect --raw of $kind" "raw-$kind"
    for format in . .Manifest .Image .SBOM .Provenance; do
      x imagetools inspect --format "{{json $format}}" "$r/$kind:1" && same "imagetools inspect of $kind: {{json $format}}" "json$format-$kind"
    done
    x imagetools inspect --format '{{.Name}}' "$r/$kind:1" && same "imagetools inspect of $kind: {{.Name}}" "name-$kind"
  done
  x imagetools create --dry-run "$r/one:1" "$r/docker:1" "$r/multi:1" && same "imagetools create: the same index" dry-join
  x imagetools create --dry-run --annotation 'index:a=b<c' --annotation 'manifest-descriptor[linux/arm64]:x=y' "$r/multi:1" "$r/one:1" && same "imagetools create: the same annotations" dry-notes
  # The reverse: ours, in the same directory and file by file.
  x "$config" manifest create "$r/ours:1" "$r/one:1" "$r/other:riscv64"
  x "$config" manifest annotate "$r/ours:1" "$r/one:1" --arch aarch64 --variant v8 --os-features a,b --os-version 10
  x "$config" manifest create "$r/ours:2" "$r/multi:1" "$r/single:1"
  check "the files are Docker's, byte for byte" "" "$(diff -r "$T/share/config/manifests/$(sed 's/:/-/g; s,/,_,g' <<<"$r/theirs:1")" "$T/share/config/manifests/$(sed 's/:/-/g; s,/,_,g' <<<"$r/ours:1")" 2>&1 || true)"
  {
    tab ours-1 "docker manifest inspect $r/ours:1"
    tab ours-2 "docker manifest inspect -v $r/ours:2"
    tab amend "docker manifest create --insecure --amend $r/ours:1 $r/one:1"
    tab push-1 "docker manifest push --insecure $r/ours:1"
    tab push-2 "docker manifest push --insecure $r/ours:2"
    tab rm "docker manifest rm $r/theirs:2"
  } > "$WORK/lines"
  peers_say "$WORK/lines"
  mine "$T/share/config"
  x "$config" manifest inspect "$r/ours:1" && same "our list, read by Docker's CLI" ours-1
  x "$config" manifest inspect -v "$r/ours:2" && same "our list of an index, read by Docker's CLI" ours-2
  check "Docker's CLI pushes our list" "$(registry_digest "$WHO/ours:1")" "$(tail -n 1 "$T/share/theirs/push-1")"
  check "Docker's CLI pushes our list of an index" "$(registry_digest "$WHO/ours:2")" "$(tail -n 1 "$T/share/theirs/push-2")"
  x "$config" manifest push "$r/ours:2"
  check "and it is what we push" "$(tail -n 1 "$T/share/theirs/push-2")" "$(tail -n 1 <<<"$OUT")"
  x "$config" manifest rm "$r/theirs:2"
  fails "a list Docker's CLI removed" "No such manifest: $r/theirs:2"
  # What we pushed, read by them.
  x imagetools create -t "$r/made:1" "$r/one:1" "$r/multi:1"
  {
    tab made "docker manifest inspect --insecure $r/made:1"
    tab made-text "docker buildx imagetools inspect $r/made:1"
    tab flat "docker manifest inspect --insecure $r/flat:1"
  } > "$WORK/lines"
  peers_say "$WORK/lines"
  x manifest inspect "$r/made:1" && same "our index, read by Docker's CLI" made
  x imagetools inspect "$r/made:1"
  check "our index, read by buildx" "$(sort "$T/share/theirs/made-text")" "$(sort <<<"$OUT")"
  x manifest rm "$r/flat:1"
  x manifest inspect "$r/flat:1" && same "our pushed list, read by Docker's CLI" flat
}

scenario() {
  images
  article
  words
  flattened
  elsewhere
  lists
  create_index
  inspect_index
  peers
  nothing_left "lists"
}

start_registry auth tls
SECURE=$REGISTRY
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=somebody else' -keyout "$WORK/wrong.key" -out "$WORK/wrong.pem" 2>/dev/null
start_registry
R=$REGISTRY
printf '[registry."%s"]\n  ca = ["%s"]\n' "$SECURE" "$WORK/ca.pem" > "$WORK/config.toml"
printf '[registry."%s"]\n  ca = ["%s"]\n' "$SECURE" "$WORK/wrong.pem" > "$WORK/wrong-ca.toml"
chmod 644 "$WORK/ca.pem" "$WORK/wrong.pem"
each_user scenario root sub nosub

#!/usr/bin/env bash
# Images as Docker's client handles them: pull, push, images, inspect, history, rmi; archives of ours read by others and the reverse.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
PEERS=${PEERS:-/var/tmp/crossdock-peers}

# docker ARGS...: the same program by the name of Docker's client.
as_docker() {
  ln -sf crossdock "$WORK/docker"
  LAST="docker $*"
  RC=0
  (cd "$T" && exec timeout 120 "${RUN_AS[@]}" "$WORK/docker" "$@") </dev/null >"$WORK/out" 2>"$WORK/err" || RC=$?
  OUT=$(cat "$WORK/out") ERR=$(cat "$WORK/err")
}

# Rows H1, H2 of the articles.
pulling() {
  local index layer
  index=$(registry_digest library/busybox:latest)
  layer=$(skopeo_ inspect --tls-verify=false --override-arch arm64 "docker://$REGISTRY/library/busybox:latest" | jq -r '.Layers[0]')
  x pull --platform arm64 busybox
  must "pull --platform with an architecture alone"
  check "Docker's lines" "Using default tag: latest
latest: Pulling from library/busybox
${layer:7:12}: Pulling fs layer
${layer:7:12}: Download complete
${layer:7:12}: Pull complete
Digest: $index
Status: Downloaded newer image for busybox:latest
docker.io/library/busybox:latest" "$OUT"
  check "nothing else is said" "" "$ERR"
  x run --rm --platform arm64 busybox uname -m
  check "the right variant" aarch64 "$OUT"
  x pull busybox
  check_has "pull without --platform: the host's own" 'Pull complete' "$OUT"
  x run --rm busybox uname -m
  check "it runs" "$(uname -m)" "$OUT"
  x pull busybox:latest
  check "pull again" "latest: Pulling from library/busybox
$(skopeo_ inspect --tls-verify=false "docker://$REGISTRY/library/busybox:latest" | jq -r '.Layers[0]' | cut -c8-19): Already exists
Digest: $index
Status: Image is up to date for busybox:latest
docker.io/library/busybox:latest" "$OUT"
  x pull -q busybox
  check "pull -q" docker.io/library/busybox:latest "$OUT"
  x pull --platform riscv64 busybox
  fails "a platform it does not have" riscv64 linux/arm64
  x pull busybox:nowhere
  fails "a tag that is not there" 'not found'
  skopeo_ copy -q --all --src-tls-verify=false --dest-tls-verify=false "docker://$REGISTRY/library/busybox:latest" "docker://$REGISTRY/many/app:1"
  skopeo_ copy -q --all --src-tls-verify=false --dest-tls-verify=false "docker://$REGISTRY/library/busybox:latest" "docker://$REGISTRY/many/app:2"
  x pull -a "$REGISTRY/many/app"
  ok "pull -a"
  x images --format '{{.Tag}}' "$REGISTRY/many/app"
  check "pull -a: every tag" "1 2" "$(sort <<<"$OUT" | tr '\n' ' ' | sed 's/ $//')"
  x pull -a "$REGISTRY/many/app:1"
  fails "pull -a with a tag" "tag can't be used with --all-tags"
  x rmi "$REGISTRY/many/app:1" "$REGISTRY/many/app:2"
  ok "rmi of two"
}

# Row C4: what push prints.
pushing() {
  dockerfile "$T/app" 'FROM busybox' 'COPY data /data' 'LABEL kind=app' 'CMD ["cat", "/data"]'
  head -c 200000 /dev/urandom > "$T/app/data"
  mine "$T/app"
  x build -q -t "$REGISTRY/$WHO/pushed:1" app
  must "build"
  x push "$REGISTRY/$WHO/pushed:1"
  ok "push"
  check "push: the first line" "The push refers to repository [$REGISTRY/$WHO/pushed]" "$(head -n 1 <<<"$OUT")"
  check_match "push: layers" '^[0-9a-f]{12}: (Pushed|Mounted from another repository|Layer already exists)$' "$OUT"
  check_match "push: the last line" '^1: digest: sha256:[0-9a-f]{64} size: [0-9]+$' "$(tail -n 1 <<<"$OUT")"
  check "it is what the registry has" "$(registry_digest "$WHO/pushed:1")" "$(tail -n 1 <<<"$OUT" | cut -d' ' -f3)"
  x push "$REGISTRY/$WHO/pushed:1"
  check "push again: nothing moves" 0 "$(grep -c Pushed <<<"$OUT")"
  x push -q "$REGISTRY/$WHO/pushed:1"
  check "push -q" "$REGISTRY/$WHO/pushed:1" "$OUT"
  x push never/built:1
  fails "push of nothing" 'An image does not exist locally with the tag: docker.io/never/built:1'
  x tag "$REGISTRY/$WHO/pushed:1" "$REGISTRY/$WHO/pushed:2"
  x push -a "$REGISTRY/$WHO/pushed"
  ok "push -a"
  check_true "push -a: the other tag" registry_digest "$WHO/pushed:2"
  x rmi "$REGISTRY/$WHO/pushed:2"
  x push "$REGISTRY/$WHO/elsewhere@$(registry_digest "$WHO/pushed:1")"
  fails "push of a name with a digest" 'cannot push a digest reference'
  # Of the index only one platform was pulled.
  x tag busybox "$REGISTRY/$WHO/part:1"
  x push "$REGISTRY/$WHO/part:1"
  ok "push of an index of which one platform is here"
  check_has "says that it is not all" 'only the available single-platform image was pushed' "$OUT"
  check "and which two digests those are" "$(registry_digest library/busybox) -> $(registry_digest "$WHO/part:1")" "$(tail -n 1 <<<"$OUT" | sed 's/^ *//')"
  x pull -q --platform linux/amd64,linux/arm64 "$REGISTRY/library/busybox"
  x tag "$REGISTRY/library/busybox" "$REGISTRY/$WHO/parts:1"
  x push "$REGISTRY/$WHO/parts:1"
  fails "push of an index of which platforms are missing" 'crossdock pull --all-platforms' 'crossdock push --platform'
  x push --platform "linux/$(dpkg --print-architecture)" "$REGISTRY/$WHO/part:1"
  ok "push --platform"
  x images -q -f dangling=true
  check "push --platform leaves no image without a name" "" "$OUT"
  x image inspect --format '{{.Descriptor.MediaType}}' "$REGISTRY/$WHO/part:1"
  check "push --platform: the name still stands for the index" "$(skopeo_ inspect --raw --tls-verify=false "docker://$REGISTRY/library/busybox:latest" | jq -r .mediaType)" "$OUT"
  x rmi "$REGISTRY/$WHO/part:1"
}

# A digest means the image that has it, not an index with that image in it.
digests() {
  local digest
  dockerfile "$T/dig" 'FROM busybox' 'COPY Dockerfile /f' 'CMD ["echo", "hello"]'
  x build -q --platform linux/amd64,linux/arm64 -t inside:multi dig
  must "build for two platforms"
  x build -q dig
  digest=$OUT
  check_has "the manifest is in the index, too" "${digest:7}" "$("${C[@]}" image inspect --platform "linux/$(dpkg --print-architecture)" inside:multi)"
  x run --rm "$digest"
  check "run of a digest that is also in an index" hello "$OUT"
  x image inspect --format '{{.Id}}' "${digest:7:12}"
  check "inspect of it" "$digest" "$OUT"
  x images -q -f dangling=true
  x rmi "$OUT"
  ok "rmi of what images -q shows"
  x run --rm "${digest:7:12}"
  check "without it the index is found by what it contains" hello "$OUT"
  x rmi inside:multi
}

# What Docker's client says of the same image (seen with Engine 28).
inspecting() {
  local id format want
  dockerfile "$T/insp" 'FROM busybox' 'VOLUME /data' 'EXPOSE 80' 'ENV A="x<y"' 'HEALTHCHECK --interval=90s CMD true' 'CMD ["sh"]'
  x build -q -t inspected:1 insp
  must "build"
  id=$OUT
  while IFS='|' read -r format want; do
    as_docker image inspect -f "$format" inspected:1
    check "image inspect -f '$format'" "$want" "$OUT"
  done <<'L'
{{.Config.Labels}}{{.Config.WorkingDir}}{{.Config.Entrypoint}}{{.Config.StopSignal}}{{.Config.OnBuild}}|map[][][]
{{json .Config.Labels}} {{json .Config.Entrypoint}} {{json .Config.User}}|null null ""
{{index .Config.Labels "x"}}{{if .Config.Labels}}y{{else}}n{{end}}|n
{{.Config.Volumes}} {{.Config.ExposedPorts}} {{json .Config.Volumes}}|map[/data:{}] map[80/tcp:{}] {"/data":{}}
{{.Config.Healthcheck}}|{[CMD-SHELL true] 1m30s 0s 0s 0s 0}
{{json .Config.Healthcheck}}|{"Test":["CMD-SHELL","true"],"Interval":90000000000}
{{.Comment}}{{.Parent}}{{.DockerVersion}}{{.Author}}{{.Container}} {{.GraphDriver}} {{.RootFS.Type}}|buildkit.dockerfile.v0 {map[] overlayfs} layers
L
  as_docker image inspect -f '{{.ID}} {{.Id}} {{.Descriptor.Digest}}' inspected:1
  fails "image inspect: a field of the type beside a key of the JSON" 'map has no entry for key "ID"'
  as_docker image inspect -f '{{.ID}} {{.Descriptor.Digest}}' inspected:1
  check "image inspect: fields of the type" "$id $id" "$OUT"
  as_docker image inspect -f '{{.Metadata.LastTagTime}}' inspected:1
  check_match "image inspect: a time" '^20[0-9-]+ [0-9:.]+ \+0000 UTC$' "$OUT"
  as_docker image inspect inspected:1
  check "image inspect: keys that are always there" '[null,null,null,"","","","","","overlayfs"]' \
    "$(jq -c '.[0] | [.Config.Labels, .Config.Entrypoint, .Config.OnBuild, .Config.User, .Config.WorkingDir, .Parent, .DockerVersion, .Author, .GraphDriver.Name]' <<<"$OUT")"
  check_has "image inspect: as Go's encoder writes it" 'A=x\u003cy' "$OUT"
  for format in '{{.Config.Nosuch}}' '{{.Nosuch}}'; do
    as_docker image inspect -f "$format" inspected:1
    fails "image inspect -f '$format'" "map has no entry for key \"Nosuch\""
  done
  as_docker image inspect nothing:here inspected:1 nor:this
  fails "image inspect of some that are not there" nothing:here nor:this
  check "image inspect: what is there is shown" "$id" "$(jq -r '.[].Id' <<<"$OUT")"
  as_docker image inspect nothing:here
  check "image inspect of nothing" '[]' "$OUT"
  as_docker image inspect -f json inspected:1
  check "image inspect -f json" "1 $id" "$(wc -l <<<"$OUT") $(jq -r '.[0].Id' <<<"$OUT")"
  x rmi inspected:1
}

# Ages are those of the images, not of their pull.
ages() {
  local digest
  as_docker images --format '{{.CreatedAt}}|{{.Size}}' busybox
  check "images: when it was made" "$(skopeo_ inspect --config --tls-verify=false "docker://$REGISTRY/library/busybox:latest" | jq -r .created | tr TZ '  ' | sed 's/ *$//') +0000 UTC" "${OUT%%|*}"
  check_match "images: no zeros behind the point" '^[0-9]+(\.[0-9]*[1-9])?[kM]?B$' "${OUT##*|}"
  dockerfile "$T/young" 'FROM busybox' 'COPY Dockerfile /f'
  x build -q -t young:1 young
  x pull -q busybox
  x images --format '{{.Repository}}'
  check "images: the youngest first, whenever it was pulled" young "$(grep -E '^(young|busybox)$' <<<"$OUT" | head -n 1)"
  as_docker history --format '{{.CreatedAt}}' busybox
  check_match "history: CreatedAt" '^[0-9-]+T[0-9:]+Z$' "$(head -n 1 <<<"$OUT")"
  as_docker history --human=false --format '{{.CreatedAt}} {{.CreatedSince}} {{.Size}}' young:1
  check_match "history --human=false" '^[0-9-]+T[0-9:]+Z [0-9-]+T[0-9:]+Z [0-9]+$' "$(head -n 1 <<<"$OUT")"
  as_docker history --format json young:1
  check_has "history --format json, as Go's encoder writes it" '"\u003cmissing\u003e"' "$OUT"
  digest=$(registry_digest library/busybox:latest)
  x pull -q "busybox@$digest"
  as_docker images busybox
  check "images: a digest beside its tag has no row" 2 "$(wc -l <<<"$OUT")"
  x rmi busybox:latest
  as_docker images --format '{{.Tag}}' busybox
  check "images: without the tag it has one" '<none>' "$OUT"
  x pull -q busybox
  x rmi young:1 "busybox@$digest"
}

listing() {
  local id
  x tag "$REGISTRY/$WHO/pushed:1" listed:1
  as_docker images listed
  check "images: Docker's columns" 'REPOSITORY TAG IMAGE ID CREATED SIZE' "$(head -n 1 <<<"$OUT" | tr -s ' ')"
  check_match "images: a row" '^listed       1         [0-9a-f]{12}   .* ago +[0-9.]+[kM]?B$' "$OUT"
  x images listed
  check_has "crossdock images shows platforms" PLATFORMS "$OUT"
  x images -q --no-trunc listed
  check_match "images -q --no-trunc" '^sha256:[0-9a-f]{64}$' "$OUT"
  id=$OUT
  as_docker images --digests listed
  check_has "images --digests" "$id" "$OUT"
  x images -f 'reference=list*' --format '{{.Repository}}:{{.Tag}}'
  check "images -f reference=" listed:1 "$OUT"
  x images -f label=kind=app -f reference=listed --format '{{.ID}}'
  check "images -f label=" "${id:7:12}" "$OUT"
  x images -f label=kind=other -q
  check "images -f label= of none" "" "$OUT"
  x images -f 'what=x'
  fails "images -f of nothing" 'invalid filter'
  x images --format json listed
  check "images --format json" "listed 1" "$(jq -r '.Repository + " " + .Tag' <<<"$OUT")"
  x images --format 'table {{.Repository}}\t{{.Tag}}' listed
  check "images --format table" 'REPOSITORY TAG|listed 1' "$(tr -s ' ' <<<"$OUT" | paste -sd '|')"
  x image inspect --format '{{.Architecture}} {{index .Config.Labels "kind"}} {{join .Config.Cmd ","}}' listed:1
  check_has "image inspect --format" " app cat,/data" "$OUT"
  x inspect listed:1
  check "inspect finds images" "$id" "$(jq -r '.[0].Id' <<<"$OUT")"
  x inspect --type container listed:1
  fails "inspect --type" 'No such object: listed:1'
  x history listed:1
  check "history: Docker's columns" 'IMAGE CREATED CREATED BY SIZE COMMENT' "$(head -n 1 <<<"$OUT" | tr -s ' ' | sed 's/ $//')"
  check_match "history: the youngest step first" "^${id:7:12} .*CMD " "$(sed -n 2p <<<"$OUT")"
  check_match "history: other steps" '^<missing> .*COPY data /data' "$OUT"
  x history --format '{{.CreatedBy}}' --no-trunc listed:1
  check_has "history --format --no-trunc" 'COPY data /data # buildkit' "$OUT"
  x history -q listed:1
  check "history -q" "${id:7:12}" "$(head -n 1 <<<"$OUT")"
  x tag listed:1 "listed@$id"
  fails "tag with a digest" digest
  x rmi "${id:7:12}"
  fails "rmi by ID of several repositories" 'must be forced' 'multiple repositories'
  x rmi listed:1
  check "rmi of one name" "Untagged: listed:1" "$OUT"
  x rmi nothing:here neither:that
  fails "rmi of nothing: each is named" nothing:here neither:that
}

archives() {
  local digest
  dockerfile "$T/arch" 'FROM busybox' 'COPY data /data' 'CMD ["cat", "/data"]'
  echo "from the archive" > "$T/arch/data"
  mine "$T/arch"
  x build -q --platform linux/amd64,linux/arm64 -t saved:1 arch
  must "build for two platforms"
  digest=$OUT
  x save -o all.tar saved:1
  ok "save"
  check "save: nothing is said" "" "$OUT$ERR"
  check "save: an OCI layout" "$digest" "$(tar -xOf "$T/all.tar" index.json | jq -r '.manifests[0].digest')"
  check "save: its name" docker.io/library/saved:1 "$(tar -xOf "$T/all.tar" index.json | jq -r '.manifests[0].annotations["io.containerd.image.name"]')"
  check "save: and what docker load reads" saved:1 "$(tar -xOf "$T/all.tar" manifest.json | jq -r '.[0].RepoTags[0]')"
  (cd "$T" && "${C[@]}" save saved:1) > "$WORK/stdout.tar"
  check_true "save to standard output: the same bytes" cmp "$WORK/stdout.tar" "$T/all.tar"
  # A base that was never pulled whole is fetched for the archive.
  x CROSSDOCK_STATE_DIR="$T/lazy" build -q -t lazy:1 arch
  x CROSSDOCK_STATE_DIR="$T/lazy" save -o lazy.tar lazy:1
  ok "save of an image whose base is still in its registry"
  check_true "the archive has every layer" python3 - "$T/lazy.tar" <<'P'
import json, sys, tarfile
tar = tarfile.open(sys.argv[1])
names = set(tar.getnames())
[sys.exit("missing " + layer) for entry in json.load(tar.extractfile("manifest.json")) for layer in entry["Layers"] if layer not in names]
P
  x save --platform linux/arm64 -o arm.tar saved:1
  ok "save --platform"
  check "save --platform: one manifest" arm64 "$(skopeo_ inspect --config "oci-archive:$T/arm.tar" | jq -r .architecture)"
  x save --platform riscv64 -o no.tar saved:1
  fails "save of a platform it does not have" riscv64
  check_true "and no file is left" test ! -e "$T/no.tar"
  x save -o nowhere/no.tar saved:1
  fails "save into a directory that is not there" 'nowhere/no.tar: No such file'
  check_hasnt "save: no name of our own in the error" .part "$ERR"
  x save -o "$T" saved:1
  fails "save into a directory" directory
  x save -o no.tar nothing:here
  fails "save of nothing" nothing:here
  x tag saved:1 other:2
  x save -o two.tar saved:1 other:2
  check "two names" "other:2 saved:1" "$(tar -xOf "$T/two.tar" manifest.json | jq -r '.[].RepoTags[]' | sort | paste -sd ' ')"

  # What skopeo and umoci read of it.
  skopeo_ copy -q "docker-archive:$T/all.tar" "dir:$WORK/from-docker-$WHO"
  passed "skopeo reads it as a docker-archive"
  skopeo_ copy -q --all "oci-archive:$T/all.tar" "oci:$WORK/from-oci-$WHO:1"
  check "skopeo reads it as an oci-archive, with every platform" "$digest" "$(jq -r '.manifests[0].digest' "$WORK/from-oci-$WHO/index.json")"
  mkdir -p "$WORK/unpacked-$WHO" && tar -xf "$T/all.tar" -C "$WORK/unpacked-$WHO"

  x rmi saved:1 other:2
  x load -i two.tar
  check "load: Docker's words" "Loaded image: other:2 Loaded image: saved:1" "$(sort <<<"$OUT" | paste -sd ' ')"
  x images -q --no-trunc saved:1
  check "load: the digest as before" "$digest" "$OUT"
  for arch in amd64 arm64; do
    x run --rm --platform $arch saved:1
    check "load: $arch runs" "from the archive" "$OUT"
  done
  loading "$digest"
}

# reload WHAT EXPECTED ARGS...: after load the image runs.
reload() {
  local what=$1 expected=$2
  shift 2
  "${C[@]}" rmi -f saved:1 from:skopeo >/dev/null 2>&1 || true
  x load "$@"
  ok "load of $what"
  check "load of $what: what it says" "Loaded image: $expected" "$OUT"
  x run --rm "$expected"
  check "load of $what: it runs" "from the archive" "$OUT"
}

loading() {
  gzip -kf "$T/all.tar"
  zstd -qf "$T/all.tar" -o "$T/all.tar.zst"
  mine "$T"
  reload "a gzip" saved:1 -i all.tar.gz
  reload "a zstd" saved:1 -i all.tar.zst
  cp -r "$WORK/unpacked-$WHO" "$T/dir" && mine "$T/dir"
  reload "a directory" saved:1 -i dir
  IN=$T/all.tar reload "standard input" saved:1
  skopeo_ copy -q "oci-archive:$T/all.tar" "docker-archive:$T/skopeo.tar:from:skopeo"
  mine "$T/skopeo.tar"
  check_true "skopeo writes one without an index" sh -c "! tar -tf '$T/skopeo.tar' | grep -q index.json"
  reload "skopeo's docker-archive" from:skopeo -i skopeo.tar
  skopeo_ copy -q --all "oci-archive:$T/all.tar" "oci-archive:$T/skopeo-oci.tar:from:skopeo"
  mine "$T/skopeo-oci.tar"
  reload "skopeo's oci-archive" from:skopeo -i skopeo-oci.tar
  x load --platform linux/arm64 -i all.tar
  ok "load --platform"
  x run --rm saved:1 sh -c 'uname -m'
  check "load --platform: that one alone" aarch64 "$OUT"
  x load --platform riscv64 -i all.tar
  fails "load of a platform it does not have" riscv64 linux/arm64
  hostile
}

# Archives made to harm, or damaged on their way.
hostile() {
  python3 - "$T/all.tar" "$T/bad" <<'P'
import hashlib, io, json, os, sys, tarfile
source, out = sys.argv[1], sys.argv[2]
os.makedirs(out, exist_ok=True)
files = {m.name: tarfile.open(source).extractfile(m.name).read() for m in tarfile.open(source) if m.isfile()}
def write(name, files, links=()):
    with tarfile.open(f"{out}/{name}.tar", "w") as tar:
        for path, data in files.items():
            member = tarfile.TarInfo(path); member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for path, target in links:
            member = tarfile.TarInfo(path); member.type = tarfile.SYMTYPE; member.linkname = target
            tar.addfile(member)
layer = json.loads(files["manifest.json"])[0]["Layers"][-1]
manifest = next(p for p, d in files.items() if p.startswith("blobs/") and b'"layers"' in d and layer.split("/")[-1].encode() in d)
write("wrong-digest", {**files, layer: b"something else"})
write("layer-missing", {p: d for p, d in files.items() if p != layer})
write("manifest-missing", {p: d for p, d in files.items() if not (p.startswith("blobs/") and b'"layers"' in d)})
write("no-image", {"hello": b"world"})
write("not-json", {**files, "index.json": b"{ not json"})
write("huge-document", {**files, "index.json": b" " * (5 << 20)})
config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}}).encode()
entry = lambda **more: json.dumps([{"Config": "config.json", "RepoTags": ["bad:1"], "Layers": ["layer.tar"], **more}]).encode()
write("outside", {"manifest.json": entry(Config="../../../../etc/passwd"), "config.json": config})
write("link-outside", {"manifest.json": entry()}, [("config.json", "/etc/passwd"), ("layer.tar", "../../../etc/passwd")])
write("link-circle", {"manifest.json": entry()}, [("config.json", "layer.tar"), ("layer.tar", "config.json")])
write("wrong-layer", {"manifest.json": entry(), "config.json": config, "layer.tar": b"\0" * 1024})
write("too-many-layers", {"manifest.json": entry(Layers=["layer.tar"] * 3), "config.json": config, "layer.tar": b"\0" * 1024})
write("bad-name", {"manifest.json": entry(RepoTags=["../../x"]), "config.json": config, "layer.tar": b"\0" * 1024})
data = open(source, "rb").read()
open(f"{out}/cut.tar", "wb").write(data[: len(data) * 2 // 3])
open(f"{out}/text.tar", "wb").write(b"this is no archive at all, but it is longer than one block\n" * 40)
P
  mine "$T/bad"
  "${C[@]}" rmi -f saved:1 other:2 from:skopeo >/dev/null 2>&1 || true
  "${C[@]}" prune -a -f >/dev/null
  local name words
  while read -r name words; do
    # What an earlier one left in the store would complete the next.
    "${C[@]}" prune -f >/dev/null
    x load -i "bad/$name.tar"
    fails "load of a bad archive ($name)" "bad/$name.tar" "$words"
  done <<'L'
wrong-digest damaged
layer-missing incomplete
manifest-missing incomplete
no-image holds no image
not-json index.json
huge-document too many
outside holds no image
link-outside holds no image
link-circle holds no image
wrong-layer damaged
too-many-layers it has 1 layers
bad-name manifest.json
cut cut short
text not a tar
L
  x images -q
  check "nothing of them is kept" "" "$("${C[@]}" images -f 'reference=bad*' -q)"
  # What a failed load brought is gone again; a directory without an image is not read at all.
  mkdir -p "$T/much" && head -c 8000000 /dev/zero | tr '\0' x > "$T/much/file" && tar -cf "$T/much.tar" -C "$T/much" . && mine "$T"
  x prune -a -f
  for name in much much.tar; do
    x load -i "$name"
    fails "load of $name" 'holds no image'
    check "load of $name leaves nothing" "" "$(find "$STATE/blobs" "$STATE/ingest" "$STATE/trash" -size +7000k)"
  done
  x load -i nowhere.tar
  fails "load of nothing" nowhere.tar
  x prune -a -f
  check_store "after bad archives"
}

# Docker's engine and podman write what we read, and read what we write.
engines() {
  if [ "$WHO" != root ] || [ ! -d "$PEERS/usr" ]; then
    skipped "Docker's engine and podman: needs root, and scripts/peers at $PEERS"
    return 0
  fi
  mkdir -p "$T/share"
  x load -i all.tar
  x save -o share/ours.tar saved:1
  cat > "$T/share/script" <<'X'
exec 2>&1
mkdir -p /etc/containers
printf '{"default":[{"type":"insecureAcceptAnything"}]}' > /etc/containers/policy.json
limits="--rm --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --network none"
for store in true false; do
  mkdir -p /run/$store
  printf '{"features":{"containerd-snapshotter":%s},"iptables":false,"ip6tables":false,"bridge":"none","ip-forward":false}' $store > /run/$store/daemon.json
  dockerd --config-file /run/$store/daemon.json --data-root /share/docker-$store --exec-root /run/$store/exec -p /run/$store/pid -H unix:///run/$store.sock > /share/dockerd-$store.log 2>&1 &
  pid=$!
  export DOCKER_HOST=unix:///run/$store.sock
  for i in $(seq 300); do docker version >/dev/null 2>&1 && break; sleep 0.1; done
  echo "load-$store: $(docker load -i /share/ours.tar 2>&1 | tail -n 1)"
  echo "run-$store: $(docker run $limits saved:1 2>&1 | tail -n 1)"
  docker tag saved:1 docker-$store:1
  docker save -o /share/docker-$store.tar docker-$store:1 saved:1
  docker image rm -f saved:1 docker-$store:1 >/dev/null 2>&1
  kill $pid; wait $pid
done
podman="podman --root /share/podman --runroot /run/podman-e2e --storage-driver vfs --runtime runc --cgroup-manager cgroupfs"
echo "podman-load: $($podman load -q -i /share/ours.tar 2>&1 | tail -n 1)"
$podman tag docker.io/library/saved:1 localhost/podman:1
for format in docker-archive oci-archive; do $podman save -q --format $format -o /share/podman-$format.tar localhost/podman:1 >/share/podman.log 2>&1 || cat /share/podman.log; done
chmod a+r /share/*.tar
X
  LAST="in-peers: docker and podman"
  timeout 300 "$REPO/scripts/in-peers" "$PEERS" "$T/share" 'bash /share/script' > "$WORK/engines" 2>&1 || true
  local store format
  for store in true false; do
    check_has "docker load (containerd store: $store)" "load-$store: Loaded image: saved:1" "$(cat "$WORK/engines")"
    check_has "docker run of it (containerd store: $store)" "run-$store: from the archive" "$(cat "$WORK/engines")"
    x rmi -f saved:1
    x load -i "share/docker-$store.tar"
    check "load of docker save (containerd store: $store)" "Loaded image: docker-$store:1 Loaded image: saved:1" "$(sort <<<"$OUT" | paste -sd ' ')"
    x run --rm "docker-$store:1"
    check "it runs" "from the archive" "$OUT"
  done
  check_has "podman load" 'docker.io/library/saved:1' "$(grep podman-load "$WORK/engines")"
  for format in docker-archive oci-archive; do
    x load -i "share/podman-$format.tar"
    check "load of podman save --format $format" 'Loaded image: localhost/podman:1' "$OUT"
    x run --rm localhost/podman:1
    check "it runs" "from the archive" "$OUT"
  done
  rm -rf "$T/share"
}

scenario() {
  pulling
  pushing
  listing
  digests
  inspecting
  ages
  archives
  engines
  check_store "after all"
  nothing_left "images"
}

emulators
! is_rootish || "$REPO/scripts/peers" "$PEERS"
busybox_registry
each_user scenario root sub nosub

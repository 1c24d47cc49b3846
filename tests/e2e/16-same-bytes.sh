#!/usr/bin/env bash
# Root, a user with sub-ids and a user without make the same layers; a new state directory makes the same image.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

contents() { # makes the same context for everybody
  mkdir -p "$T/app/dir/deep"
  seq 50000 > "$T/app/numbers"
  echo hello > "$T/app/dir/deep/file"
  ln -sf deep/file "$T/app/dir/link"
  chmod 750 "$T/app/dir/deep"
  find "$T/app" -exec touch -h -d @1600000000 {} +
}

# times ARCHIVE: the times of all entries of its first image's layers but the base's, one a line.
times() {
  local layer
  for layer in $(manifest_of "$1" linux/amd64 | jq -r '.layers[1:][].digest'); do
    blob_of "$1" "$layer" | python3 -c 'import sys, tarfile; [print(int(m.mtime), m.name) for m in tarfile.open(fileobj=sys.stdin.buffer, mode="r|*")]'
  done
}

scenario() {
  local way digests
  contents
  dockerfile "$T/app" <<'D'
FROM busybox AS make
COPY numbers dir /src/
RUN sort -r /src/numbers > /sorted && rm /src/numbers && mkdir -p /out/a && ln -s ../x /out/a/link && ln /sorted /out/hard && chmod 2755 /out/a
FROM busybox
WORKDIR /w
COPY --from=make /out /sorted /res/
COPY --chown=12:34 --chmod=640 dir /owned
ADD numbers /numbers
RUN rm -rf /res/a && mkdir /res/a && echo new > /res/a/file && rm /etc/shadow
D
  x SOURCE_DATE_EPOCH=1700000000 build --platform linux/amd64,linux/arm64 -o type=oci,dest=image.tar app
  must "builds with SOURCE_DATE_EPOCH"
  digests=$(tar -xOf "$T/image.tar" index.json | jq -r '.manifests[0].digest')
  x SOURCE_DATE_EPOCH=1700000000 CROSSDOCK_STATE_DIR="$T/second" build --no-cache --platform linux/arm64,linux/amd64 -o type=oci,dest=second.tar app
  ok "and again in a new state directory"
  check "the trees are the same" "$(tree "$T/image.tar" linux/arm64)" "$(tree "$T/second.tar" linux/arm64)"
  for way in linux/amd64 linux/arm64; do
    check "$way: the same layers from a new state directory" "$(manifest_of "$T/image.tar" "$way" | jq -c '[.layers[].digest]')" "$(manifest_of "$T/second.tar" "$way" | jq -c '[.layers[].digest]')"
  done
  for way in linux/amd64 linux/arm64; do
    digests=$(manifest_of "$T/image.tar" "$way" | jq -c '[.layers[].digest]')
    tree "$T/image.tar" "$way" > "$WORK/tree-$WHO-${way#*/}"
    if [ -f "$WORK/first-${way#*/}" ]; then
      check "$way: the same tree as for $(cat "$WORK/first-who")" "$(cat "$WORK/tree-$(cat "$WORK/first-who")-${way#*/}")" "$(cat "$WORK/tree-$WHO-${way#*/}")"
      check "$way: the same layers as for $(cat "$WORK/first-who")" "$(cat "$WORK/first-${way#*/}")" "$digests"
    else
      echo "$digests" > "$WORK/first-${way#*/}"
    fi
  done
  [ -f "$WORK/first-who" ] || echo "$WHO" > "$WORK/first-who"
  # Asked for by name, as BuildKit wants it, it is the same; no file of our layers is younger than the time.
  x SOURCE_DATE_EPOCH=1500000000 build --platform linux/amd64 -o type=oci,dest=asked.tar,rewrite-timestamp=true app
  ok "rewrite-timestamp"
  x SOURCE_DATE_EPOCH=1500000000 build --platform linux/amd64 -o type=oci,dest=not-asked.tar app
  check "gives what comes without it" "$(manifest_of "$T/not-asked.tar")" "$(manifest_of "$T/asked.tar")"
  check "no time is later" "" "$(times "$T/asked.tar" | awk '$1 > 1500000000')"
  check_true "of files that were younger" test "$(times "$T/image.tar" | awk '$1 > 1500000000' | wc -l)" -gt 10
  x build -o type=oci,dest=asked.tar,rewrite-timestamp=maybe app
  fails "another word" "rewrite-timestamp"
  # Nobody wrote a history of this base: its layer has an entry all the same, and is none of those made here.
  dockerfile "$T/bare" 'FROM bare:1' 'WORKDIR /w' 'ENV A=b' 'RUN echo x > /x'
  x SOURCE_DATE_EPOCH=1 build --platform linux/amd64 -o type=oci,dest=bare.tar bare
  ok "a base without a history"
  check "every layer has an entry, in their order" "pulled from docker.io/library/bare:1@$BARE
pulled from docker.io/library/bare:1@$BARE
WORKDIR /w
RUN /bin/sh -c echo x > /x # buildkit" "$(blob_of "$T/bare.tar" "$(manifest_of "$T/bare.tar" linux/amd64 | jq -r .config.digest)" | jq -r '.history[] | select(.empty_layer | not) | .created_by')"
  check "the base's layers stay as they are" "$BARE_LAYERS" "$(manifest_of "$T/bare.tar" linux/amd64 | jq -r '.layers[:2][].digest')"
  check_match "a hard link named from the root" '^tree /hard2 .*links=/hard1 ' "$(tree "$T/bare.tar" linux/amd64)"
  nothing_left "same bytes"
}

emulators
busybox_registry
# Old tools wrote the targets of hard links from the root.
python3 - "$WORK/links.tar" <<'P'
import io, sys, tarfile
with tarfile.open(sys.argv[1], "w") as tar:
    for name, target in (("hard1", ""), ("hard2", "/hard1")):
        member = tarfile.TarInfo(name)
        member.type, member.linkname, member.size = (tarfile.LNKTYPE, target, 0) if target else (tarfile.REGTYPE, "", 3)
        tar.addfile(member, io.BytesIO(b"x" * member.size))
P
"$E2E/oci-image" "$WORK/bare" 1 --no-history linux/amd64="$CACHE/busybox/root-amd64.tar,$WORK/links.tar"
skopeo_ copy -q --dest-tls-verify=false "oci:$WORK/bare:1" "docker://$REGISTRY/library/bare:1"
BARE=$(registry_digest library/bare:1)
BARE_LAYERS=$(skopeo_ inspect --raw --tls-verify=false "docker://$REGISTRY/library/bare:1" | jq -r '.layers[].digest')
each_user scenario root sub nosub

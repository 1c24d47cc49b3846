#!/usr/bin/env bash
# Images whose steps only copy are built and pushed without downloading their base; and COPY respects the base's symlinks.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# The layers of the base, as the registry names them.
base_layers() { skopeo_ inspect --raw --tls-verify=false "docker://$REGISTRY/base/big:1" | jq -r '.layers[].digest'; }
# downloads LINE: requests since then that fetched a layer of the base.
downloads() {
  local digest
  for digest in $LAYERS; do requests_since "$1" | grep -E "\"GET [^\"]*/blobs/$digest" || true; done
}
# forget_layers: takes the base's blobs out of the local store, as if they had never been fetched. Rows are hints: that is allowed.
forget_layers() {
  local digest
  for digest in $LAYERS; do rm -f "$STATE"/blobs/sha256/"${digest#sha256:}" "$STATE"/blobs/sha256/*/"${digest#sha256:}"; done
}

scenario() {
  local before name
  mkdir -p "$T/app"
  echo payload > "$T/app/file"
  name=$REGISTRY/$WHO/link:1
  dockerfile "$T/app" "FROM $REGISTRY/base/big:1" 'COPY --link file /opt/file' 'ENV A=b'
  before=$(requests_count)
  x build -t "$name" --push app
  ok "COPY --link onto a base of 100 MB, pushed beside it"
  check "nothing of the base was downloaded" "" "$(downloads "$before")"
  check_match "its layers were mounted in the registry" '"POST /v2/[^"]*mount=sha256[^"]*" 201' "$(requests_since "$before")"
  check "the pushed image has all layers" "3" "$(skopeo_ inspect --raw --tls-verify=false "docker://$REGISTRY/$WHO/link:1" | jq '.layers | length')"
  check "and begins with the base's own" "$(tr '\n' ' ' <<<"$LAYERS")" "$(skopeo_ inspect --raw --tls-verify=false "docker://$REGISTRY/$WHO/link:1" | jq -r '.layers[:2][].digest' | tr '\n' ' ')"
  check "the state directory stays small" "" "$(find "$STATE" -type f -size +10M)"

  # Plain COPY asks the base for its listing, once.
  dockerfile "$T/app" "FROM $REGISTRY/base/big:1" 'COPY file /opt/one/file'
  x build -t "$REGISTRY/$WHO/plain:1" --push app
  ok "plain COPY onto the base for the first time"
  forget_layers
  dockerfile "$T/app" "FROM $REGISTRY/base/big:1" 'WORKDIR /srv/deep' 'COPY --chown=daemon:mail file /opt/two/file' 'COPY file ./'
  before=$(requests_count)
  x build -t "$REGISTRY/$WHO/plain:2" --push app
  ok "plain COPY onto a base whose listing is stored"
  check "with a stored listing nothing of the base is downloaded" "" "$(downloads "$before")"
  skopeo_ copy -q --src-tls-verify=false "docker://$REGISTRY/$WHO/plain:2" "oci:$WORK/$WHO-plain:1"
  local all
  all=$(tree "$WORK/$WHO-plain")
  check_match "names of users were looked up in the base" '^tree /opt/two/file .*owner=1:8 ' "$all"
  check_match "the base's files are all there" '^tree /big/random .*size=104857600' "$all"
  check_match "WORKDIR was made" '^tree /srv/deep/file ' "$all"

  # What needs the files fetches them, whenever that is.
  x run "$REGISTRY/$WHO/plain:2" sh -c 'cat /opt/two/file && wc -c < /big/random'
  ok "a lazy image runs"
  check "with the base's files" "payload 104857600" "$(tr '\n' ' ' <<<"$OUT" | sed 's/ $//')"
  x build -t local:1 -o type=oci,dest=whole.tar app
  ok "and is written out whole"
  check_match "with all files" '^tree /big/random .*size=104857600' "$(tree "$T/whole.tar")"

  # Symlinks of the base.
  dockerfile "$T/app" "FROM $REGISTRY/base/usr:1" 'COPY file /bin/x' 'COPY file /lib/deep/y' 'COPY file /abs/z' 'COPY file /loop-free' 'ADD file /sbin/'
  x build -o type=oci,dest=usr.tar app
  ok "COPY through symlinks of the base"
  all=$(tree "$T/usr.tar")
  local line
  for line in '/bin .*to=usr/bin .*type=symlink' '/usr/bin/x ' '/usr/bin/sh ' '/lib .*type=symlink' '/usr/lib/deep/y ' '/abs .*type=symlink' '/usr/share/z ' '/usr/sbin/file '; do
    check_match "after COPY: $line" "^tree $line" "$all"
  done
  check "no file stands where a symlink was" "" "$(grep -E '^tree /(bin|lib|abs|sbin)/' <<<"$all" || true)"

  # A layer whose first name leads through a link of the base that the same layer replaces then.
  dockerfile "$T/app" "FROM $REGISTRY/base/odd:1 AS odd" 'FROM scratch' 'COPY --from=odd / /'
  x build -o type=local,dest=odd app
  ok "COPY of all of a base whose listings alone do not say what it is"
  check "it is what umoci makes of it" "$ODD" "$(cd "$T/odd" && find . -mindepth 1 -printf '%y %p %l\n' | sort)"
  check_store "after lazy builds"
  nothing_left "lazy base"
}

busybox_registry
mkdir -p "$WORK/big/big" "$WORK/usr"/{usr/bin,usr/lib,usr/sbin,usr/share}
head -c 104857600 /dev/urandom > "$WORK/big/big/random"
tar -C "$WORK/big" --owner=0 --group=0 -cf "$WORK/big.tar" .
rm -rf "$WORK/big"
ln -s usr/bin "$WORK/usr/bin"
ln -s usr/lib "$WORK/usr/lib"
ln -s usr/sbin "$WORK/usr/sbin"
ln -s /usr/share "$WORK/usr/abs"
echo shell > "$WORK/usr/usr/bin/sh"
tar -C "$WORK/usr" --owner=0 --group=0 -cf "$WORK/usr.tar" .
"$E2E/oci-image" "$WORK/big-layout" 1 linux/amd64="$CACHE/busybox/root-amd64.tar,$WORK/big.tar"
"$E2E/oci-image" "$WORK/usr-layout" 1 linux/amd64="$WORK/usr.tar"
push_layout "$WORK/big-layout:1" base/big:1
push_layout "$WORK/usr-layout:1" base/usr:1
python3 - "$WORK/odd-1.tar" "$WORK/odd-2.tar" <<'P'
import io, sys, tarfile
def member(tar, name, kind, text=""):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname = kind, 0o755, text if kind == tarfile.SYMTYPE else ""
    tar.addfile(info, io.BytesIO())
with tarfile.open(sys.argv[1], "w") as tar:
    member(tar, "b", tarfile.SYMTYPE, "/etc")
    member(tar, "etc", tarfile.SYMTYPE, "a/b")
with tarfile.open(sys.argv[2], "w") as tar:
    member(tar, "b/x", tarfile.REGTYPE)
    member(tar, "etc", tarfile.DIRTYPE)
    member(tar, "etc/y", tarfile.REGTYPE)
P
"$E2E/oci-image" "$WORK/odd-layout" 1 linux/amd64="$WORK/odd-1.tar,$WORK/odd-2.tar"
push_layout "$WORK/odd-layout:1" base/odd:1
umoci unpack --rootless --image "$WORK/odd-layout:1" "$WORK/odd"
ODD=$(cd "$WORK/odd/rootfs" && find . -mindepth 1 -printf '%y %p %l\n' | sort)
[[ $ODD == *"/a/b/x"* ]] || { echo "$NAME: umoci made of the odd base: $ODD" >&2; exit 1; }
rm -rf "$WORK"/big-layout "$WORK"/*.tar
LAYERS=$(base_layers)
each_user scenario root sub nosub

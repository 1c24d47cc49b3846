#!/usr/bin/env bash
# The local store: images, tag, rmi, prune, pull, push, registry serve, imagetools, image inspect, binfmt, version.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

blobs_bytes() { du -sb "$STATE/blobs" 2>/dev/null | cut -f1; }

names() {
  local digest
  mkdir -p "$T/app"
  head -c 3000000 /dev/urandom > "$T/app/noise"
  dockerfile "$T/app" 'FROM busybox' 'COPY noise /noise' 'RUN md5sum /noise > /sum' 'LABEL what=app' 'USER 0:0' 'CMD ["cat", "/sum"]'
  x build -q -t app:1 app
  must "builds"
  digest=$OUT
  x tag app:1 "$REGISTRY/$WHO/app:2"
  ok "tag"
  x images
  check_match "images shows both names" "^app +1 " "$OUT"
  check_match "images shows both names" "^$REGISTRY/$WHO/app +2 " "$OUT"
  x images -q app:1
  check_has "images -q" "${digest:7:12}" "$OUT"
  x run --rm "$digest" true
  ok "run by digest"
  x run --rm "${digest:7:12}" true
  ok "run by the beginning of the digest"
  x image inspect app:1
  ok "image inspect"
  check "image inspect: label" app "$(jq -r '.[0].Config.Labels.what' <<<"$OUT")"
  check "image inspect: user" 0:0 "$(jq -r '.[0].Config.User' <<<"$OUT")"
  check "image inspect: architecture" amd64 "$(jq -r '.[0].Architecture' <<<"$OUT")"
  check "image inspect: layers" 3 "$(jq '.[0].RootFS.Layers | length' <<<"$OUT")"
  x rmi app:1
  ok "rmi"
  check_has "rmi says what it did" 'Untagged: app:1' "$OUT"
  x images app:1
  check_hasnt "the name is gone" 'app   ' "$OUT"
  x run --rm "$REGISTRY/$WHO/app:2" true
  ok "under its other name the image is still there"

  # FROM an image of the store, and COPY --from it.
  x tag "$REGISTRY/$WHO/app:2" local-only:1
  dockerfile "$T/next" 'FROM local-only:1' 'RUN test -s /sum' 'COPY --from=local-only:1 /sum /sum2'
  x build -t next:1 next
  ok "FROM and COPY --from of an image that only the store has"
  x rmi next:1 local-only:1
}

pruning() {
  local before after
  before=$(blobs_bytes)
  x prune -f
  ok "prune -f"
  x build app -t "$REGISTRY/$WHO/app:2"
  check "prune -f leaves the cache of images that are kept" "" "$(instructions "$ERR" | grep -v '^CACHED' || true)"
  x rmi "$REGISTRY/$WHO/app:2"
  x prune
  fails "prune without -f and nobody to ask" -f
  x prune -a -f
  ok "prune -a -f"
  after=$(blobs_bytes)
  check_true "prune -a -f frees space ($before, then $after bytes)" test "$after" -lt $((before - 2000000))
  check_store "after prune"
  x build -t app:1 app
  ok "a build from an empty cache"
  check "which runs every step" "" "$(instructions "$ERR" | grep '^CACHED' || true)"
}

pulling() {
  local index arm name
  index=$(registry_digest library/busybox:latest)
  arm=$(skopeo_ inspect --raw --tls-verify=false "docker://$REGISTRY/library/busybox:latest" | jq -r '.manifests[] | select(.platform.architecture == "arm64") | .digest')
  name=$REGISTRY/library/busybox
  x pull "$name"
  ok "pull by tag"
  check_has "pull prints the digest" "$index" "$OUT"
  x pull "$name:latest"
  check_has "pull again: nothing to do" 'up to date' "$OUT"
  x pull "$name@$index"
  ok "pull by digest of the index"
  x pull --platform linux/arm64 "$name"
  ok "pull --platform"
  x run --rm --platform linux/arm64 "$name" uname -m
  check "and it runs" aarch64 "$OUT"
  x pull "$name@$arm"
  ok "pull by digest of one manifest"
  x pull "$name:nowhere"
  fails "pull of a tag that is not there" nowhere 'not found'
  x pull "$name@sha256:$(printf '0%.0s' {1..64})"
  fails "pull of a digest that is not there" 'not found'
  x pull -q "$name"
  check "pull -q prints the name" "$name:latest" "$OUT"
}

serving() {
  local port pid address
  port=$(free_port)
  address=127.0.0.1:$port
  x build --platform linux/amd64,linux/arm64 -q -t served:1 app
  local digest=$OUT
  (cd "$T" && exec "${C[@]}" registry serve --addr "$address") </dev/null >"$WORK/serve" 2>&1 &
  pid=$!
  PIDS+=("$pid")
  LAST="crossdock registry serve --addr $address"
  if ! until_true 20 curl -sf -o /dev/null "http://$address/v2/"; then
    failed "registry serve answers" "$(cat "$WORK/serve")"
    return 0
  fi
  if skopeo_ copy -q --all --src-tls-verify=false "docker://$address/library/served:1" "oci:$WORK/served-$WHO:1" 2>"$WORK/skopeo.log" ||
    skopeo_ copy -q --all --src-tls-verify=false "docker://$address/served:1" "oci:$WORK/served-$WHO:1" 2>>"$WORK/skopeo.log"; then
    check "skopeo copies from registry serve" "$digest" "$(jq -r '.manifests[0].digest' "$WORK/served-$WHO/index.json")"
  else
    failed "skopeo copies from registry serve" "$(cat "$WORK/skopeo.log")"
  fi
  x CROSSDOCK_STATE_DIR="$T/other-state" build -t "$address/pushed/app:1" --push app
  ok "another store pushes to it"
  x images "$address/pushed/app:1"
  local status=0
  kill -INT "$pid"
  wait "$pid" || status=$?
  check "registry serve ends with an interrupt ($status)" 1 "$([ "$status" = 0 ] || [ "$status" = 130 ] && echo 1 || echo "$status")"
}

indexes() {
  local amd64 arm64 raw
  for raw in amd64 arm64; do
    x build --platform "linux/$raw" -t "$REGISTRY/$WHO/part:$raw" --push app
    ok "one part of an index: $raw"
  done
  amd64=$(registry_digest "$WHO/part:amd64")
  arm64=$(registry_digest "$WHO/part:arm64")
  x imagetools create -t "$REGISTRY/$WHO/part:all" "$REGISTRY/$WHO/part:amd64" "$REGISTRY/$WHO/part@$arm64"
  ok "imagetools create"
  x imagetools inspect --raw "$REGISTRY/$WHO/part:all"
  check "imagetools inspect --raw: the parts" "$amd64 $arm64" "$(jq -r '[.manifests[].digest] | join(" ")' <<<"$OUT")"
  check "imagetools create keeps platforms" "amd64 arm64" "$(jq -r '[.manifests[].platform.architecture] | join(" ")' <<<"$OUT")"
  x imagetools inspect "$REGISTRY/$WHO/part:all"
  check_match "imagetools inspect" "^Digest: +$(registry_digest "$WHO/part:all")" "$OUT"
  check_match "imagetools inspect: platforms" '^  Platform: +linux/arm64' "$OUT"
  x imagetools create -t "$REGISTRY/$WHO/joined:1" "$REGISTRY/$WHO/part:all"
  ok "imagetools create into another repository"
  x run --rm --platform linux/arm64 "$REGISTRY/$WHO/joined:1"
  ok "whose layers are there"
  x imagetools create --dry-run -t "$REGISTRY/$WHO/part:dry" "$REGISTRY/$WHO/part:arm64"
  check "imagetools create --dry-run prints" "$arm64" "$(jq -r '.manifests[0].digest' <<<"$OUT")"
  x imagetools inspect "$REGISTRY/$WHO/part:dry"
  fails "and makes nothing" 'not found'
  x imagetools create --append -t "$REGISTRY/$WHO/part:arm64" "$REGISTRY/$WHO/part:amd64"
  ok "imagetools create --append"
  x imagetools inspect --raw "$REGISTRY/$WHO/part:arm64"
  check "has both" 2 "$(jq '.manifests | length' <<<"$OUT")"
  x imagetools inspect "$REGISTRY/$WHO/nowhere:1"
  fails "imagetools inspect of nothing" 'not found'
}

scenario() {
  names
  pruning
  pulling
  serving
  indexes
  x version
  check_match "version" '^crossdock [0-9]+\.[0-9]+' "$OUT"
  x binfmt
  ok "binfmt"
  check_has "binfmt names platforms" linux/arm64 "$OUT"
  x CROSSDOCK_STATE_DIR="$T/new-state" images
  ok "images of a new state directory"
  x CROSSDOCK_STATE_DIR="$T/new-state" check-store
  ok "check-store of a new state directory"
  # Damage is found, and healed by building again.
  local blob
  blob=$(find "$STATE/blobs" -type f -size +1000k | head -n 1)
  if [ -n "$blob" ]; then
    printf 'x' | dd of="$blob" conv=notrunc status=none
    x check-store
    fails "check-store finds a changed byte" damaged
    check_has "check-store names the blob" "$(basename "$blob")" "$OUT"
  else
    failed "a blob to damage was found"
  fi
  x prune -a -f
  x build --no-cache -t app:1 app
  ok "a build after damage"
  nothing_left "store"
}

emulators
busybox_registry
each_user scenario root sub nosub

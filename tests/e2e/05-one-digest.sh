#!/usr/bin/env bash
# One digest: after the build, in `images`, in the registry after `push`, and after a rebuild from the cache. Pushed twice: nothing moves.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

scenario() {
  local name=$REGISTRY/$WHO/one:1 digest before again
  mkdir -p "$T/one"
  printf 'payload\n' > "$T/one/file"
  dockerfile "$T/one" 'FROM busybox' 'RUN date > /now' 'COPY file /file' 'ENV A=b'
  x build -q --platform linux/amd64,linux/arm64 -t "$name" --metadata-file meta.json one
  must "builds quietly"
  digest=$OUT
  check_match "build -q prints one digest and nothing else" '^sha256:[0-9a-f]{64}$' "$digest"
  check "the metadata file has it" "$digest" "$(jq -r '."containerimage.digest"' "$T/meta.json")"
  x images --digests --no-trunc "$name"
  check_has "images --digests has it" "$digest" "$OUT"
  x image inspect "$name"
  check "image inspect has it" "$digest" "$(jq -r '.[0].Descriptor.digest' <<<"$OUT")"

  before=$(requests_count)
  x push "$name"
  ok "push"
  check_has "push prints it" "$digest" "$OUT"
  check "the registry has it" "$digest" "$(registry_digest "$WHO/one:1")"
  check_match "the first push uploaded something" '"(PUT|POST|PATCH)' "$(requests_since "$before")"

  before=$(requests_count)
  x push "$name"
  ok "push again"
  check_has "the second push prints it" "$digest" "$OUT"
  check "the second push uploads nothing" "" "$(requests_since "$before" | grep -E '"(PUT|POST|PATCH)' || true)"

  sleep 1.1
  x build -q --platform linux/amd64,linux/arm64 -t "$name" one
  ok "rebuild from the cache"
  check "the rebuild has the same digest" "$digest" "$OUT"
  before=$(requests_count)
  x build -q --platform linux/amd64,linux/arm64 -t "$name" --push one
  check "so has a rebuild that pushes" "$digest" "$OUT"
  check "which uploads nothing" "" "$(requests_since "$before" | grep -E '"(PUT|POST|PATCH)' || true)"

  # Another tag in the same repository is one manifest; another repository mounts the layers.
  before=$(requests_count)
  x push "$name" "$REGISTRY/$WHO/one:2"
  ok "push under another tag"
  check "another tag uploads no blob" "" "$(requests_since "$before" | grep -E '"(PATCH|PUT [^"]*/blobs/)' || true)"
  before=$(requests_count)
  x push "$name" "$REGISTRY/$WHO/two:1"
  ok "push to another repository"
  check_match "another repository mounts what the registry has" '"POST /v2/[^"]*mount=sha256[^"]*" 201' "$(requests_since "$before")"
  check "the digest is the same there" "$digest" "$(registry_digest "$WHO/two:1")"

  # One platform gives a plain manifest.
  x build -q --platform linux/amd64 -t "$REGISTRY/$WHO/plain:1" --push one
  ok "one platform"
  check "one platform is no index" "application/vnd.oci.image.manifest.v1+json" \
    "$(skopeo_ inspect --raw --tls-verify=false "docker://$REGISTRY/$WHO/plain:1" | jq -r .mediaType)"
  again=$(registry_digest "$WHO/plain:1")
  check "and has one digest, too" "$OUT" "$again"

  # A new start: another state directory, everything pulled, the same digest.
  x CROSSDOCK_STATE_DIR="$T/elsewhere" pull --all-platforms "$name"
  ok "pull elsewhere"
  x CROSSDOCK_STATE_DIR="$T/elsewhere" images --digests --no-trunc "$name"
  check_has "pulled elsewhere it has the same digest" "$digest" "$OUT"
  x CROSSDOCK_STATE_DIR="$T/elsewhere" push "$name" "$REGISTRY/$WHO/three:1"
  ok "pushed from there"
  check "and is the same again" "$digest" "$(registry_digest "$WHO/three:1")"
  check_store "after the pushes"
  nothing_left "one digest"
}

emulators
busybox_registry
each_user scenario root sub nosub

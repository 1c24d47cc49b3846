#!/usr/bin/env bash
# What others make of our images: a registry, skopeo, umoci, podman, and today's Docker engine (in the root of scripts/peers).
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
PEERS=${PEERS:-/var/tmp/crossdock-peers}

# The file every consumer must find in the image, with its mode and owner, and what the image says when it runs.
WANTED='-rwsr-x--- 1000:1000 /data/tool'

layouts() {
  local kind
  skopeo_ copy -q --all --src-tls-verify=false "docker://$REGISTRY/$WHO/app:1" "oci:$T/all:1"
  skopeo_ copy -q --src-tls-verify=false "docker://$REGISTRY/$WHO/app:1" "oci:$T/one:1"
  check "skopeo copy: the layout has the index as it was" "$1" "$(jq -r '.manifests[0].digest' "$T/all/index.json")"
  skopeo_ inspect --tls-verify=false "docker://$REGISTRY/$WHO/app:1" > "$WORK/inspected"
  check "skopeo inspect reads the config" "app" "$(jq -r '.Labels.title' "$WORK/inspected")"
  for kind in root rootless; do
    local flags=() as=()
    if [ "$kind" = rootless ]; then
      flags=(--rootless)
      need_user crossdock-nosub without
      as=(setpriv --reuid "$(id -u crossdock-nosub)" --regid "$(id -g crossdock-nosub)" --clear-groups env "HOME=$WORK")
      rm -rf "$WORK/umoci" && mkdir "$WORK/umoci" && cp -r "$T/one" "$WORK/umoci/one" && chown -R crossdock-nosub "$WORK/umoci"
    elif ! is_rootish; then
      continue
    else
      rm -rf "$WORK/umoci" && mkdir "$WORK/umoci" && cp -r "$T/one" "$WORK/umoci/one"
    fi
    if ! "${as[@]}" umoci unpack "${flags[@]}" --image "$WORK/umoci/one:1" "$WORK/umoci/bundle" > "$WORK/umoci.log" 2>&1; then
      failed "umoci unpack as $kind" "$(tail -n 5 "$WORK/umoci.log")"
      continue
    fi
    passed "umoci unpack as $kind"
    check "umoci as $kind: the file's text" "tool of app" "$(cat "$WORK/umoci/bundle/rootfs/data/tool")"
    [ "$kind" = rootless ] || check "umoci: mode and owner" "$WANTED" "$(stat -c '%A %u:%g' "$WORK/umoci/bundle/rootfs/data/tool") /data/tool"
    check "umoci as $kind: a deleted file is gone" "" "$(ls "$WORK/umoci/bundle/rootfs/etc/group" 2>/dev/null || true)"
  done
}

# engines DIGEST: podman and Docker in the peers' root; what they say is left in $T/share.
engines() {
  mkdir -p "$T/share"
  cp "$T/app-docker.tar" "$T/app-oci.tar" "$T/share/"
  cat > "$T/share/script" <<'X'
exec 2>&1
image=$1
other=$2
say() { echo "$1: $(tail -n 1 /share/last | tr -d '\r')"; }
try() { # NAME COMMAND...
  local name=$1
  shift
  if "$@" >/share/last 2>&1; then say "$name"; else echo "$name FAILED: $(tail -n 3 /share/last | tr '\n' ' ')"; fi
}
mkdir -p /etc/containers
printf '{"default":[{"type":"insecureAcceptAnything"}]}' > /etc/containers/policy.json
# Storage of its own: what other suites left in the root is nobody else's business.
podman="podman --root /share/podman --runroot /run/podman-e2e --storage-driver vfs --runtime runc --cgroup-manager cgroupfs"
limits="--rm --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --network none"
try podman-pull $podman pull -q --tls-verify=false "$image"
try podman-run $podman run $limits "$image"
try podman-stat $podman run $limits --entrypoint /bin/sh "$image" -c 'ls -ln /data/tool'
try podman-load $podman load -q -i /share/app-docker.tar
try docker-pull docker pull -q "$image"
try docker-run docker run --rm --network none "$image"
try docker-stat docker run --rm --network none --entrypoint /bin/sh "$image" -c 'ls -ln /data/tool'
try docker-digest docker image inspect --format '{{.Id}}' "$image"
try docker-pull-arm64 docker pull -q --platform linux/arm64 "$image"
docker image rm -f "$image" >/dev/null 2>&1
try docker-load docker load -q -i /share/app-docker.tar
try docker-load-run docker run --rm --network none "$other"
docker image rm -f "$other" >/dev/null 2>&1
try docker-load-oci docker load -q -i /share/app-oci.tar
$podman image rm -a -f >/dev/null 2>&1
docker image prune -a -f >/dev/null 2>&1
true
X
  DOCKERD=1 "$REPO/scripts/in-peers" "$PEERS" "$T/share" "bash /share/script $REGISTRY/$WHO/app:1 $WHO/archive:1" > "$T/engines" 2>&1 || true
  local engine
  engine=$(cat "$T/engines")
  LAST="$(basename "$PEERS"): podman and docker on $REGISTRY/$WHO/app:1"
  for name in podman-pull podman-load docker-pull docker-pull-arm64 docker-load docker-load-oci; do
    check_match "$name" "^$name: " "$engine"
  done
  for name in podman-run docker-run docker-load-run; do
    check_match "$name" "^$name: app on amd64 in /data as 1000\$" "$engine"
  done
  for name in podman-stat docker-stat; do
    check_match "$name: mode and owner" "^$name: -rwsr-x--- +1 1000 +1000 .* /data/tool\$" "$engine"
  done
  check_match "docker knows the image by our digest" "^docker-digest: $1\$" "$engine"
}

scenario() {
  mkdir -p "$T/app"
  printf 'tool of app\n' > "$T/app/tool"
  dockerfile "$T/app" <<'D'
FROM busybox
ARG TARGETARCH
LABEL title=app
ENV ARCH=$TARGETARCH
RUN adduser -D -u 1000 one 2>/dev/null || echo 'one:x:1000:1000::/data:/bin/sh' >> /etc/passwd
RUN rm /etc/group && mkdir -p /data/deep && ln -s ../tool /data/deep/link && echo a > /data/a && ln /data/a /data/b
COPY --chown=1000:1000 --chmod=4750 tool /data/tool
WORKDIR /data
USER 1000
EXPOSE 8080/tcp
VOLUME /data/volume
CMD echo "app on $ARCH in $(pwd) as $(id -u)"
D
  x build --platform linux/amd64,linux/arm64,linux/arm/v7 -t "$REGISTRY/$WHO/app:1" --push app
  must "builds and pushes three platforms"
  x images --digests --no-trunc "$REGISTRY/$WHO/app:1"
  local digest
  digest=$(grep -o 'sha256:[0-9a-f]*' <<<"$OUT" | head -n 1)
  check "skopeo inspect --raw: the bytes have the digest that was built" "$digest" "$(registry_digest "$WHO/app:1")"
  layouts "$digest"
  x build --platform linux/amd64 -t "$WHO/archive:1" -o type=docker,dest=app-docker.tar -o type=oci,dest=app-oci.tar app
  ok "a docker and an oci archive of it"
  local from
  for from in docker-archive:app-docker.tar oci-archive:app-docker.tar oci-archive:app-oci.tar; do
    if skopeo_ copy -q "${from%%:*}:$T/${from#*:}" "dir:$WORK/dir" >"$WORK/skopeo.log" 2>&1; then passed "skopeo reads $from"; else failed "skopeo reads $from" "$(cat "$WORK/skopeo.log")"; fi
    rm -rf "$WORK/dir"
  done
  if is_rootish; then
    engines "$digest"
  else
    skipped "podman and Docker: their root needs root"
  fi
  nothing_left "peers"
}

! is_rootish || "$REPO/scripts/peers" "$PEERS"
emulators
busybox_registry
each_user scenario root sub

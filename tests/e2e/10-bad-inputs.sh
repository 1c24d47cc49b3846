#!/usr/bin/env bash
# Bad Dockerfiles, contexts, flags and hosts: each ends with a message that says what, where and what to do; nothing is lost.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# good WHAT: an ordinary build works, as before.
good() {
  dockerfile "$T/good" 'FROM busybox' 'COPY file /file' 'RUN cat /file > /again' 'CMD ["cat", "/again"]'
  echo fine > "$T/good/file"
  x build -t good:1 good
  ok "a good build $1"
  x run good:1
  check "a good image $1" fine "$OUT"
}

dockerfiles() {
  dockerfile "$T/bad" 'FROM busybox' 'RUN true' 'RNU false'
  x build bad
  fails "an unknown instruction" 'unknown instruction: RNU' 'Dockerfile:3' '>>> RNU false' 'did you mean RUN?'
  dockerfile "$T/bad" ''
  x build bad
  fails "an empty Dockerfile" Dockerfile
  rm "$T/bad/Dockerfile"
  x build bad
  fails "no Dockerfile" 'Dockerfile' 'no such file'
  dockerfile "$T/bad" 'RUN true'
  x build bad
  fails "no FROM" FROM
  dockerfile "$T/bad" 'FROM busybox AS first' 'COPY --from=later / /' 'FROM busybox AS later'
  x build --target first bad
  fails "a stage that comes later" later
  x build --target nowhere good
  fails "an unknown target" nowhere
  dockerfile "$T/bad" 'FROM busybox' 'RUN echo before && exit 7'
  x build bad
  fails "a failing RUN" 'exit code: 7' '>>> RUN echo before' before
  dockerfile "$T/bad" 'FROM busybox' 'RUN --mount=type=warp true'
  x build bad
  fails "an unknown mount" warp 'Dockerfile:2'
  x build missing-directory
  fails "no context" missing-directory 'not found'
  x build
  fails "no PATH" 'requires 1 argument'
}

contexts() {
  mkdir -p "$T/ctx"
  echo log > "$T/ctx/app.log"
  printf '# logs stay out\n*.log\n' > "$T/ctx/.dockerignore"
  dockerfile "$T/ctx" 'FROM busybox' 'COPY nope /x'
  x build ctx
  fails "COPY of a missing file" '"/nope": not found' 'Dockerfile:2' '>>> COPY nope /x'
  dockerfile "$T/ctx" 'FROM busybox' 'COPY app.log /x'
  x build ctx
  fails "COPY of an ignored file names the pattern" app.log '*.log' .dockerignore
  dockerfile "$T/ctx" 'FROM busybox' 'COPY ../secret /x'
  echo secret > "$T/secret"
  x build ctx
  fails "COPY from outside of the context" secret
  check_hasnt "and nothing of it is read" "secret
" "$OUT"
  if [ "$WHO" = root ]; then
    skipped "an unreadable file: root reads everything"
  else
    dockerfile "$T/locked" 'FROM busybox' 'COPY . /x'
    echo hidden > "$T/locked/private"
    mine "$T/locked"
    chmod 000 "$T/locked/private"
    x build locked
    fails "an unreadable file in the context" private 'ermission denied'
    printf 'private\n' > "$T/locked/.dockerignore"
    x build locked
    ok "an unreadable file that is ignored"
    rm "$T/locked/.dockerignore"
    chmod 644 "$T/locked/private"
    mkdir "$T/locked/closed"
    mine "$T/locked"
    chmod 000 "$T/locked/closed"
    x build locked
    fails "an unreadable directory in the context" closed 'ermission denied'
    chmod 755 "$T/locked/closed"
    x build locked
    ok "and readable again"
  fi
}

archives() {
  # Tars that try to leave: `..`, an absolute name, a symlink to somewhere else with a file behind it, a hard link out.
  mkdir -p "$T/tars"
  python3 - "$T/tars" "$T/outside" <<'P'
import io, sys, tarfile
where, outside = sys.argv[1:]
def write(name, *members):
    with tarfile.open(f"{where}/{name}.tar", "w") as tar:
        for path, kind, target in members:
            info = tarfile.TarInfo(path)
            info.type, info.linkname = kind, target
            data = b"evil" if kind == tarfile.REGTYPE else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
R, S, H = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
write("dots", ("../evil", R, ""))
write("deep-dots", ("a/../../../evil", R, ""))
write("absolute-link", ("link", S, outside), ("link/evil", R, ""))
write("relative-link", ("link", S, "../../../../../../../../.." + outside), ("link/evil", R, ""))
write("hard-link", ("link", H, "../../../../etc/passwd"))
write("absolute-name", ("/evil-absolute", R, ""))
write("root-link", ("link", S, "/"), ("ok", R, ""))
P
  mkdir -p "$T/outside"
  mine "$T/outside"
  local name
  # As in BuildKit: these are refused, the others stay inside.
  for name in dots deep-dots hard-link; do
    dockerfile "$T/tars" 'FROM busybox' "ADD $name.tar /x/"
    x build tars
    fails "ADD of a tar with $name" "$name.tar" '..'
  done
  for name in absolute-link relative-link absolute-name root-link; do
    dockerfile "$T/tars" 'FROM busybox' "ADD $name.tar /x/"
    x build -o "type=oci,dest=$name.oci.tar" tars
    if [ "$RC" = 0 ]; then
      check "ADD of a tar with $name: the image is well-formed" 0 "$(tree "$T/$name.oci.tar" >/dev/null 2>&1; echo $?)"
    else
      fails "ADD of a tar with $name" "$name.tar"
    fi
  done
  x build -o type=local,dest=files tars
  ok "a symlink to / in a tar is only a symlink"
  check_match "a file behind an absolute symlink stays inside" '^tree /x/evil-absolute ' "$(tree "$T/absolute-name.oci.tar")"
  check "ADD never writes outside" "" "$(ls -A "$T/outside"; ls -d /evil* "$T"/evil* "$STATE"/evil* 2>/dev/null || true)"
  head -c 600 /dev/urandom > "$T/tars/broken.tar.gz"
  printf '\x1f\x8b\x08\x00' | dd of="$T/tars/broken.tar.gz" conv=notrunc status=none
  dockerfile "$T/tars" 'FROM busybox' 'ADD broken.tar.gz /x/'
  x build tars
  if [ "$RC" = 0 ]; then passed "ADD of a file that only looks like gzip copies it"; else fails "ADD of a broken archive" broken.tar.gz; fi
}

flags() {
  x build --no-such-flag good
  fails "an unknown flag" 'unknown flag: --no-such-flag'
  check "an unknown flag: exit code" 125 "$RC"
  x biuld good
  fails "an unknown command" biuld
  x build --attest type=sbom good
  fails "a flag that is not honoured yet" --attest 'not supported yet'
  x build --platform linux/warp9000x/v1/v2 good
  fails "a platform that is none" warp9000x
  x build -t 'UPPER/Case:1' good
  fails "a name in capitals" 'UPPER/Case' 'lower'
  x build -o type=warp good
  fails "an unknown output" warp
  x build -o type=oci,dset=x good
  fails "an unknown attribute" dset
  x build --progress fancy good
  fails "an unknown kind of progress" fancy
  x build --push good
  fails "push without a name" 'tag is needed'
  x run no-such-image-here:1
  fails "run of an image nobody has" no-such-image-here
  x push no-such-image-here:1
  fails "push of an image nobody has" no-such-image-here
  x rmi no-such-image-here:1
  fails "rmi of an image nobody has" no-such-image-here
  x tag no-such-image-here:1 other:1
  fails "tag of an image nobody has" no-such-image-here
  printf '[registry."x"\n' > "$T/broken.toml"
  x CROSSDOCK_CONFIG="$T/broken.toml" build good
  fails "a configuration file that is none" broken.toml
  x CROSSDOCK_CONFIG="$T/nowhere.toml" build good
  fails "a configuration file that is not there" nowhere.toml
}

platforms() {
  dockerfile "$T/bad" "FROM $REGISTRY/only/two:1" 'RUN true'
  x build --platform linux/amd64,linux/arm64,linux/s390x bad
  fails "a base without the platform names those it has" linux/arm64 linux/s390x linux/amd64 linux/arm/v7 only/two
  check "and no step ran" "" "$(instructions "$ERR" | grep '^DONE.*RUN' || true)"
  x pull --platform linux/s390x "$REGISTRY/only/two:1"
  fails "pull of a platform the index lacks" linux/s390x linux/amd64
  # A plain manifest of another platform is used, with BuildKit's warning.
  dockerfile "$T/bad" "FROM $REGISTRY/only/amd64:1" 'COPY Dockerfile /x'
  x build --platform linux/arm64 bad
  ok "a plain manifest of another platform"
  check_has "is used with a warning" 'InvalidBaseImagePlatform' "$ERR"
  x pull --platform linux/arm64 "$REGISTRY/only/amd64:1"
  fails "pull of a platform it lacks" linux/arm64 linux/amd64

  dockerfile "$T/bad" 'FROM busybox' 'RUN uname -m' 'CMD ["true"]'
  x CROSSDOCK_EMULATION=off build --platform linux/arm64 bad
  fails "emulation switched off" linux/arm64 CROSSDOCK_EMULATION
  local found
  found=$(ls /usr/bin/qemu-aarch64* /usr/lib/crossdock/emulators/qemu-aarch64* 2>/dev/null || true)
  if [ -n "$found" ] || [ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ]; then
    skipped "no QEMU: this host has one: $found"
  else
    x CROSSDOCK_EMULATORS="$T/none" build --platform linux/arm64 bad
    fails "no QEMU for the platform names the places and the fix" linux/arm64 qemu-aarch64 "$T/none" qemu-user-static
    x CROSSDOCK_EMULATORS="$T/none" run --platform linux/arm64 busybox uname -m
    fails "likewise for run" linux/arm64 qemu-aarch64
  fi
  dockerfile "$T/bad" 'FROM busybox' 'COPY Dockerfile /x'
  x CROSSDOCK_EMULATION=off build --platform linux/arm64 bad
  ok "steps that run nothing need no emulator"
}

blocked() {
  if [ "$WHO" = root ]; then
    skipped "blocked user namespaces: root needs none for native steps"
    return
  fi
  # In a namespace of its own, with the same id, the limit is set to 0, and every right is given away again.
  dockerfile "$T/bad" 'FROM busybox' 'RUN echo blocked'
  LAST="crossdock build with user.max_user_namespaces=0"
  RC=0
  (cd "$T" && exec timeout 60 "${AS[@]}" unshare --user --map-current-user --keep-caps sh -c 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"' sh \
    setpriv --bounding-set=-all --ambient-caps=-all --inh-caps=-all env -i "${ENVIRONMENT[@]}" "$WORK/crossdock" build bad) >"$WORK/out" 2>"$WORK/err" </dev/null || RC=$?
  OUT=$(cat "$WORK/out")
  ERR=$(cat "$WORK/err")
  fails "blocked user namespaces name the fix" 'user namespaces' 'sysctl -w user.max_user_namespaces'
}

scenario() {
  good "before the bad ones"
  dockerfiles
  contexts
  archives
  flags
  platforms
  blocked
  good "behind all the bad ones"
  check_store "behind all the bad ones"
  nothing_left "bad inputs"
}

emulators
busybox_registry
"$E2E/oci-image" "$WORK/only" 1 linux/amd64="$CACHE/busybox/root-amd64.tar"
push_layout "$WORK/only:1" only/amd64:1
"$E2E/oci-image" "$WORK/two" 1 linux/amd64="$CACHE/busybox/root-amd64.tar" linux/arm/v7="$CACHE/busybox/root-arm.tar"
push_layout "$WORK/two:1" only/two:1
each_user scenario root sub nosub

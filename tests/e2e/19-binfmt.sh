#!/usr/bin/env bash
# `binfmt` and the images that register emulators: entries are made, run foreign programs, and are removed. Most of it happens in a
# user namespace with a table of its own, as any user; the host's table is touched by root alone, snapshot before and compared after.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
private_mounts "$0" "$@"

TABLE=/proc/sys/fs/binfmt_misc
ARM64_MAGIC=7f454c460201010000000000000000000200b700
ARM64_MASK=ffffffffffffff00fffffffffffffffffeffffff

# ---- a namespace with an own table ----

# enter_namespace: starts one that lives until leave_namespace.
enter_namespace() {
  rm -f "$T/ready"
  "${RUN_AS[@]}" unshare --user --map-root-user --mount sh -c \
    "mount -t binfmt_misc binfmt_misc $TABLE && touch $T/ready && exec sleep 600" 2>"$WORK/namespace.err" &
  NAMESPACE=$!
  echo "$NAMESPACE" >> "$WORK/pids"
  until_true 5 test -e "$T/ready"
}
leave_namespace() {
  kill "$NAMESPACE" 2>/dev/null || true
  wait "$NAMESPACE" 2>/dev/null || true
}
# there COMMAND...: a command as root of the namespace; leaves RC, OUT, ERR.
there() {
  LAST="(namespace) $*"
  RC=0
  # No registry but the test's can be reached: what real registries hold today must not decide.
  (cd "$T" && exec timeout -k 5 120 "${RUN_AS[@]}" HTTPS_PROXY=http://127.0.0.1:1 nsenter --user --mount --preserve-credentials --target "$NAMESPACE" "$@") \
    </dev/null >"$WORK/out" 2>"$WORK/err" || RC=$?
  OUT=$(tr -d '\0' <"$WORK/out")
  ERR=$(tr -d '\0' <"$WORK/err")
}
crossdock_there() { there "$WORK/crossdock" "$@"; LAST="(namespace) crossdock $*"; }
entries() { there ls "$TABLE" && tr '\n' ' ' <<<"$OUT"; }
entry() { there cat "$TABLE/$1" && echo "$OUT"; }
empty_namespace() { there sh -c "for file in $TABLE/*; do case \$file in */status | */register) ;; *) echo -1 > \$file ;; esac; done"; }
# foreign ARCH: busybox of another machine, run in a root of its own where no emulator lies.
foreign() { there chroot "$T/root-$1" /bin/uname -m; }

# ---- install, uninstall, status ----

installing() {
  crossdock_there binfmt --install linux/arm64,arm/v7,tomato,linux/amd64
  check "--install: one word is wrong: the exit code" 1 "$RC"
  check "--install: one line for each word, in their order" \
    "installing: arm64 OK
installing: arm OK
installing: tomato unsupported architecture: tomato
installing: amd64 runs on this machine by itself: nothing is registered over it" "$ERR"
  check_has "--install: the JSON of tonistiigi/binfmt" '{
  "supported": [
    "linux/amd64",' "$OUT"
  check_has "--install: its second key" '"emulators": [
    "qemu-aarch64",
    "qemu-arm"
  ]
}' "$OUT"
  check_has "--install: arm64 is supported now" '"linux/arm64"' "$OUT"
  check "the entry" "enabled
interpreter $CACHE/emulators/qemu-aarch64-static
flags: POCF
offset 0
magic $ARM64_MAGIC
mask $ARM64_MASK" "$(entry qemu-aarch64)"
  foreign arm64
  check "a program of arm64 runs where no emulator lies" aarch64 "$OUT"
  foreign arm
  check "a program of arm runs" armv7l "$OUT"
  crossdock_there binfmt --install aarch64
  check "--install of what is there: the message" "installing: arm64 qemu-aarch64 already registered" "$ERR"
  check "--install of what is there: the exit code" 0 "$RC"
  crossdock_there binfmt --install all
  check "--install all: the exit code" 0 "$RC"
  check "--install all: only what is missing, in the table's order" \
    "$(for arch in 386=i386 riscv64=riscv64 ppc64le=ppc64le s390x=s390x mips64le=mips64el; do
      [ ! -x "$CACHE/emulators/qemu-${arch#*=}-static" ] || [ "${arch%=*}" = 386 ] || echo "installing: ${arch%=*} OK"
    done)" "$ERR"
  crossdock_there binfmt --install all
  check "--install all again: nothing to say" "0:" "$RC:$ERR"
}

broken() {
  there sh -c "echo -1 > $TABLE/qemu-aarch64; printf ':qemu-aarch64:M:0:\\\\x7fELF\\\\x02\\\\x01\\\\x01\\\\x00\\\\x00\\\\x00\\\\x00\\\\x00\\\\x00\\\\x00\\\\x00\\\\x00\\\\x02\\\\x00\\\\xb7\\\\x00::/nowhere/qemu:' > $TABLE/register"
  ok "an entry that is of no use"
  crossdock_there binfmt --install arm64
  check "--install over an entry that is of no use: the exit code" 1 "$RC"
  check_has "--install over an entry that is of no use" "qemu-aarch64 already registered, but programs do not run: the entry lacks the flag F" "$ERR"
  check_has "--install over an entry that is of no use: the fix" "crossdock binfmt --uninstall qemu-aarch64" "$ERR"
  x CROSSDOCK_EMULATION=host binfmt --mount "$T" --json
  ok "the status of a directory that is no table"
  crossdock_there binfmt --uninstall qemu-aarch64 --install arm64
  check "--uninstall and --install in one" "uninstalling: qemu-aarch64 OK
installing: arm64 OK" "$ERR"
  mkdir -p "$T/long/$(printf 'a%.0s' {1..120})"
  cp "$CACHE/emulators/qemu-aarch64-static" "$T"/long/*/
  mine "$T/long"
  crossdock_there binfmt --uninstall arm64 --install arm64 --emulators "$(echo "$T"/long/*)"
  check "a path the kernel cannot keep: the exit code" 1 "$RC"
  check_has "a path the kernel cannot keep" "longer than the 127 bytes" "$ERR"
  check_has "one failure leaves the others" '"qemu-arm"' "$OUT"
  crossdock_there binfmt --install loong64,arm64 --emulators "$T/none"
  check "no emulator: the exit code" 1 "$RC"
  check_has "no emulator: where was looked" "installing: loong64 no static qemu-loongarch64 was found ($T/none is no directory)" "$ERR"
  check_has "no emulator: the image was tried" "WARNING: tonistiigi/binfmt cannot be had" "$ERR"
  crossdock_there binfmt --install all --emulators "$T/none"
  check "no emulator at all: the exit code" 1 "$RC"
  check_has "no emulator at all: what to do" "sudo apt-get install qemu-user-static" "$ERR"
}

showing() {
  crossdock_there binfmt --install all
  crossdock_there binfmt
  ok "binfmt"
  check_match "binfmt: the machine's own" '^linux/amd64 +native +- +- +- +- +ok' "$OUT"
  check_match "binfmt: emulated, with version, entry and flags" "^linux/arm64 +private +$CACHE/emulators/qemu-aarch64-static +[0-9.]+ +qemu-aarch64 +POCF +ok" "$OUT"
  check_match "binfmt: what nothing runs" '^Nothing runs .*linux/loong64' "$OUT"
  there env CROSSDOCK_EMULATION=host "$WORK/crossdock" binfmt
  check_match "binfmt: by the host's table" "^linux/arm64 +registered +.* +qemu-aarch64 +POCF +ok" "$OUT"
  there env CROSSDOCK_EMULATION=trace "$WORK/crossdock" binfmt
  check_match "binfmt: followed" "^linux/arm64 +trace +.* +ok" "$OUT"
  crossdock_there binfmt --json
  check "binfmt --json" "linux/arm64 private True qemu-aarch64 POCF" "$(python3 -c '
import json, sys
status = json.load(sys.stdin)
assert status["supported"][0] == "linux/amd64" and "linux/arm/v7" in status["supported"], status
row = [p for p in status["platforms"] if p["platform"] == "linux/arm64"][0]
print(row["platform"], row["how"], row["runs"], row["entry"], row["flags"])' <<<"$OUT")"
  x binfmt --emulators "$T/none" --json
  ok "binfmt without a table and without emulators"
  check_has "binfmt without a table" '"how": "none"' "$OUT"
}

removing() {
  there sh -c "printf ':python3.11:M::\\\\xcb\\\\x0d\\\\x0d\\\\x0a::/usr/bin/python3:' > $TABLE/register"
  crossdock_there binfmt --uninstall qemu-s390x
  check "--uninstall NAME" "uninstalling: qemu-s390x OK" "$ERR"
  check_hasnt "--uninstall NAME: the JSON" s390x "$OUT"
  crossdock_there binfmt --uninstall qemu-s390x
  check "--uninstall of what is not there" "uninstalling: qemu-s390x not found" "$ERR"
  check "--uninstall of what is not there: the exit code" 1 "$RC"
  crossdock_there binfmt --uninstall linux/arm64,riscv64
  check "--uninstall PLATFORM" "uninstalling: linux/arm64 OK
uninstalling: riscv64 OK" "$ERR"
  foreign arm64
  check_true "a program of arm64 runs no longer" test "$RC" != 0
  crossdock_there binfmt --uninstall 'qemu-*'
  ok "--uninstall PATTERN"
  check_has "--uninstall PATTERN: one line for each entry" "uninstalling: qemu-arm OK
uninstalling: qemu-mips64el OK" "$ERR"
  check "nothing else was touched" "python3.11 register status " "$(entries)"
  check_has "the others are listed" '"emulators": [
    "python3.11"
  ]' "$OUT"
  empty_namespace
  crossdock_there binfmt --uninstall 'qemu-*'
  check_has "no entry at all" '"emulators": null' "$OUT"
}

persistent() {
  crossdock_there binfmt --install arm64,arm --persistent --etc "$T/etc/binfmt.d"
  ok "--persistent"
  check_has "--persistent says its files" "written: $T/etc/binfmt.d/crossdock-qemu-aarch64.conf" "$ERR"
  check "--persistent: its files" "crossdock-qemu-aarch64.conf crossdock-qemu-arm.conf " "$(cd "$T/etc/binfmt.d" && printf '%s ' *)"
  local before
  before=$(entry qemu-aarch64)
  empty_namespace
  # What systemd does at the next start: every line that is no comment is written to the table.
  there sh -c "grep -hv '^#' $T/etc/binfmt.d/*.conf | while read -r line; do printf '%s' \"\$line\" > $TABLE/register; done"
  ok "the files are what systemd writes to the table"
  check "the same entry after the next start" "$before" "$(entry qemu-aarch64)"
  foreign arm64
  check "and it runs programs" aarch64 "$OUT"
  crossdock_there binfmt --uninstall arm64 --persistent --etc "$T/etc/binfmt.d"
  check_has "--uninstall --persistent" "removed: $T/etc/binfmt.d/crossdock-qemu-aarch64.conf" "$ERR"
  check "--uninstall --persistent: its files" "crossdock-qemu-arm.conf" "$(ls "$T/etc/binfmt.d")"
  empty_namespace
}

# ---- images of emulators ----

helper_images() {
  crossdock_there run --privileged --rm tonistiigi/binfmt --install all
  ok "tonistiigi/binfmt: row G1"
  check_has "tonistiigi/binfmt: one line says who does it" "WARNING: tonistiigi/binfmt cannot be pulled" "$ERR"
  check_match "tonistiigi/binfmt: its lines" '^installing: arm64 OK$' "$ERR"
  check_has "tonistiigi/binfmt: its JSON" '"emulators": [
    "qemu-aarch64",' "$OUT"
  check "tonistiigi/binfmt: the entry as of the original" "enabled
interpreter /usr/bin/qemu-aarch64
flags: POCF
offset 0
magic $ARM64_MAGIC
mask $ARM64_MASK" "$(entry qemu-aarch64)"
  foreign arm64
  check "tonistiigi/binfmt: a program of arm64 runs" aarch64 "$OUT"
  crossdock_there run --rm --privileged tonistiigi/binfmt --uninstall 'qemu-*'
  check_match "tonistiigi/binfmt --uninstall" '^uninstalling: qemu-aarch64 OK$' "$ERR"
  crossdock_there run --rm --privileged tonistiigi/binfmt -tomato
  fails "tonistiigi/binfmt: an unknown flag" "flag provided but not defined: -tomato"

  crossdock_there run --rm --privileged docker/binfmt:a7996909642ee92942dcd6cff44b9b95f08dad64
  ok "docker/binfmt: row G2"
  check "docker/binfmt: silent" "" "$OUT"
  check_match "docker/binfmt: one line says who does it" '^WARNING: docker/binfmt:a79.* cannot be pulled .* crossdock registers the emulators itself$' "$ERR"
  check "docker/binfmt: one line and no more" 1 "$(wc -l <<<"$ERR")"
  there ls -al "$TABLE/"
  check_match "docker/binfmt: row G3" '^-rw-r--r-- 1 root +root +0 .* qemu-aarch64$' "$OUT"
  check_match "docker/binfmt: row G3" '^--w------- 1 root +root +0 .* register$' "$OUT"
  check "docker/binfmt: five entries" "qemu-aarch64 qemu-arm qemu-ppc64le qemu-riscv64 qemu-s390x register status " "$(entries)"
  check "docker/binfmt: row G4" "enabled
interpreter /usr/bin/qemu-aarch64
flags: OCF
offset 0
magic ${ARM64_MAGIC%00}
mask ${ARM64_MASK%ff}" "$(entry qemu-aarch64)"
  foreign arm64
  check "docker/binfmt: a program of arm64 runs" aarch64 "$OUT"
  crossdock_there run --rm --privileged docker/binfmt:a7996909642ee92942dcd6cff44b9b95f08dad64
  check "docker/binfmt again: entries are replaced" 0 "$RC"

  crossdock_there run --rm --privileged multiarch/qemu-user-static:register --reset
  ok "qemu-user-static:register --reset: row G5"
  check_match "qemu-user-static: its lines" '^Setting /usr/bin/qemu-aarch64-static as binfmt interpreter for aarch64$' "$OUT"
  check "qemu-user-static: all CPUs but the machine's family" 31 "$(wc -l <<<"$OUT")"
  check "qemu-user-static: row G6" "enabled
interpreter /usr/bin/qemu-aarch64-static
flags: 
offset 0
magic $ARM64_MAGIC
mask $ARM64_MASK" "$(entry qemu-aarch64)"
  crossdock_there run --rm --privileged multiarch/qemu-user-static:register
  check "qemu-user-static without --reset: the exit code" 1 "$RC"
  check_match "qemu-user-static without --reset" '^sh: write error: File exists$' "$ERR"
  foreign arm64
  check_true "without the flag F programs need the emulator in their root" test "$RC" != 0
  mkdir -p "$T/root-arm64/usr/bin"
  cp "$CACHE/emulators/qemu-aarch64-static" "$T/root-arm64/usr/bin/"
  foreign arm64
  check "and run with it" aarch64 "$OUT"
  rm "$T/root-arm64/usr/bin/qemu-aarch64-static"
  crossdock_there run --rm --privileged multiarch/qemu-user-static --reset -p yes
  ok "qemu-user-static --reset -p yes"
  check_match "qemu-user-static -p yes: the flag" '^flags: F$' "$(entry qemu-aarch64)"
  foreign arm64
  check "qemu-user-static -p yes: a program of arm64 runs" aarch64 "$OUT"
  empty_namespace
}

# Images that hold one emulator, and emulators out of an image.
emulator_images() {
  x HTTPS_PROXY=http://127.0.0.1:1 run multiarch/qemu-user-static:x86_64-aarch64 /usr/bin/qemu-aarch64-static --version
  ok "an image with one emulator is made when it cannot be pulled"
  check_has "its emulator runs" "qemu-aarch64 version" "$OUT"
  check_has "one line says so" "WARNING: multiarch/qemu-user-static:x86_64-aarch64 cannot be pulled" "$ERR"
  x images
  check_match "it is kept" '^multiarch/qemu-user-static +x86_64-aarch64 ' "$OUT"
  x HTTPS_PROXY=http://127.0.0.1:1 CROSSDOCK_EMULATORS="$T/none" run multiarch/qemu-user-static:x86_64-hexagon true
  fails "an image of an emulator that is not here" "no static qemu-hexagon is here"

  x rmi multiarch/qemu-user-static:x86_64-aarch64
  x HTTPS_PROXY=http://127.0.0.1:1 create -it --name dummy multiarch/qemu-user-static:x86_64-aarch64 bash
  ok "create: row G7"
  check_match "create prints the ID" '^[0-9a-f]{64}$' "$OUT"
  x container ls -a
  check_match "container ls -a: row G8" '^[0-9a-f]{12} +multiarch/qemu-user-static:x86_64-aarch64 +"bash" .* Created +dummy$' "$OUT"
  x cp dummy:/usr/bin/qemu-aarch64-static qemu-aarch64-static
  ok "cp out of a container that never ran: row G9"
  check_true "its file is the emulator" cmp "$T/qemu-aarch64-static" "$CACHE/emulators/qemu-aarch64-static"
  check_true "and executable" test -x "$T/qemu-aarch64-static"
  x rm -f dummy
  check "rm -f: row G10" dummy "$OUT"
  x HTTPS_PROXY=http://127.0.0.1:1 create --privileged tonistiigi/binfmt --install all
  fails "create of an image that registers, and that cannot be pulled" '`run` does the work of tonistiigi/binfmt without the image'
  skopeo_ --override-arch arm64 copy -q --dest-tls-verify=false "oci:$(busybox_layout):latest" "docker://$REGISTRY/arm64v8/ubuntu:latest"
  x run --rm -t -v "$T/qemu-aarch64-static:/usr/bin/qemu-aarch64-static" arm64v8/ubuntu uname -m
  check "run with the emulator as a volume: row G11" aarch64 "$(tr -d '\r' <<<"$OUT")"

  dockerfile "$T/qemu" 'FROM scratch' 'COPY old new /usr/bin/' 'COPY changed /usr/bin/' 'CMD ["/usr/bin/none"]'
  mkdir -p "$T"/qemu/{old,new,changed}
  printf 'no program\n' > "$T/qemu/old/qemu-text"
  printf 'replaced\n' > "$T/qemu/old/qemu-aarch64"
  cp "$CACHE/emulators/qemu-arm-static" "$T/qemu/new/qemu-arm"
  cp "$CACHE/emulators/qemu-aarch64-static" "$T/qemu/changed/qemu-aarch64"
  chmod 755 "$T"/qemu/*/qemu-*
  mine "$T/qemu"
  x build -t "$REGISTRY/tonistiigi/binfmt:latest" --push qemu
  must "an image like tonistiigi/binfmt"
  x binfmt --from tonistiigi/binfmt --emulators "$T/taken"
  ok "--from takes emulators out of an image"
  check "--from: what runs here, and nothing else" "qemu-aarch64 qemu-arm " "$(cd "$T/taken" && printf '%s ' *)"
  check_true "--from: the upper layer's" cmp "$T/taken/qemu-aarch64" "$CACHE/emulators/qemu-aarch64-static"
  check_match "--from: it is used" "^linux/arm64 +private +$T/taken/qemu-aarch64 " "$OUT"
  x binfmt --from busybox --emulators "$T/taken-none"
  fails "--from an image without emulators" "busybox holds no static QEMU"
}

# The image that was pushed is found where tonistiigi/binfmt is looked for.
from_in_namespace() {
  crossdock_there binfmt --install arm64 --emulators "$T/empty"
  ok "without an emulator they come out of the image"
  check_has "and that is said" "no static qemu-aarch64 is here: taken out of the image tonistiigi/binfmt" "$ERR"
  foreign arm64
  check "the emulator of the image runs programs" aarch64 "$OUT"
  empty_namespace
}

# real_image CPU: in the registry the image's program says that it ran, and registers the emulator of its image.
real_image() {
  local magic mask
  # shellcheck disable=SC2001  # older shells have no & in replacements
  magic=$(sed 's/../\\x&/g' <<<"$ARM64_MAGIC")
  # shellcheck disable=SC2001
  mask=$(sed 's/../\\x&/g' <<<"$ARM64_MASK")
  dockerfile "$T/real" 'FROM busybox' 'COPY qemu-aarch64 binfmt /usr/bin/' 'ENTRYPOINT ["/usr/bin/binfmt"]' 'VOLUME /made/here'
  cp "$CACHE/emulators/qemu-aarch64-static" "$T/real/qemu-aarch64"
  cat > "$T/real/binfmt" <<S
#!/bin/sh
[ -d /made/here ] && echo "the real one: \$*"
[ "\$1" != --install ] || printf '%s' ':qemu-aarch64:M::$magic:$mask:/usr/bin/qemu-aarch64:CF' > $TABLE/register
S
  chmod 755 "$T/real/binfmt"
  mine "$T/real"
  x build -t "$REGISTRY/tonistiigi/binfmt:latest" --push real
  must "a stand-in for the real image"
  x rmi -f tonistiigi/binfmt
  x run --rm tonistiigi/binfmt --version
  check "the real image is run when it can be pulled" "the real one: --version" "$OUT"
}

# ---- the host's table ----

without_rights() {
  x binfmt --install all
  fails "--install without rights" "This takes root: sudo " "binfmt --install all" "Builds and runs need no registration"
  x run --privileged --rm tonistiigi/binfmt --install all
  fails "tonistiigi/binfmt without rights" "This takes root: sudo " "run --privileged --rm tonistiigi/binfmt --install all"
  x run --rm --privileged docker/binfmt:a7996909642ee92942dcd6cff44b9b95f08dad64
  fails "docker/binfmt without rights" "This takes root: sudo "
  x binfmt
  ok "the status needs none"
}

host_listing() { (cd "$TABLE" && for file in *; do [ "$file" = register ] || { echo "== $file" && cat "$file"; }; done) 2>/dev/null || true; }

host_table() {
  local mounted=no before arch cpu candidate=
  [ ! -e "$TABLE/status" ] || mounted=yes
  before=$(host_listing)
  for arch in riscv64=riscv64 s390x=s390x ppc64le=ppc64le mips64le=mips64el; do
    [ -e "$TABLE/qemu-${arch#*=}" ] || candidate=$arch
  done
  [ -n "$candidate" ] || { skipped "the host's table has entries for everything"; return; }
  arch=${candidate%=*} cpu=${candidate#*=}
  HOST_ENTRY=$TABLE/qemu-$cpu
  echo "$HOST_ENTRY" > "$WORK/host-entry"
  x binfmt --install "$arch"
  ok "the host's table: --install"
  check "the host's table: the line" "installing: $arch OK" "$(head -n 1 <<<"$ERR")"
  check_true "the host's table: it is mounted and has the entry" test -e "$HOST_ENTRY"
  [ "$mounted" = yes ] || check_has "the host's table: that it stays mounted is said" "stays so" "$ERR"
  x binfmt --uninstall "$arch"
  ok "the host's table: --uninstall"
  if [ "$mounted" = yes ]; then
    check "the host's table: the same after as before" "$before" "$(host_listing)"
  else
    check "the host's table: the same after as before" "" "$(host_listing | grep -v -e '^== status$' -e '^enabled$' || true)"
    umount "$TABLE"
    x binfmt --uninstall nothing-of-this-name
    check "a table mounted for nothing is unmounted" "1 no" "$RC $([ -e "$TABLE/status" ] && echo yes || echo no)"
  fi
}
# A privileged container changes the host's table, and what it registers lives on.
host_real_image() {
  if [ -e "$TABLE/qemu-aarch64" ]; then
    skipped "the real image on the host's table: it has an entry for arm64"
    return
  fi
  local mounted=no
  [ ! -e "$TABLE/status" ] || mounted=yes
  echo "$TABLE/qemu-aarch64" > "$WORK/host-entry"
  x run --privileged --rm tonistiigi/binfmt --install all
  ok "the real image, privileged"
  check "the real image, privileged: its words" "the real one: --install all" "$OUT"
  check_match "the real image, privileged: the host has the entry" '^interpreter /usr/bin/qemu-aarch64$' "$(cat "$TABLE/qemu-aarch64" 2>&1)"
  check "the real image, privileged: programs run on the host" aarch64 "$(chroot "$T/root-arm64" /bin/uname -m 2>&1)"
  x binfmt --uninstall qemu-aarch64
  ok "the real image's entry is removed"
  [ "$mounted" = yes ] || umount "$TABLE"
}
# Scenarios run in subshells: what must be ended and removed is written down.
on_exit() {
  local entry
  [ ! -e "$WORK/host-entry" ] || { entry=$(cat "$WORK/host-entry") && [ ! -e "$entry" ] || echo -1 > "$entry"; }
  [ ! -e "$WORK/pids" ] || xargs -r kill 2>/dev/null < "$WORK/pids" || true
}

scenario() {
  local arch
  # A registry for each user: the image that one pushes must not be there for the next.
  busybox_registry
  printf '%s\n' "${PIDS[@]}" >> "$WORK/pids"
  for arch in arm64 arm; do
    mkdir -p "$T/root-$arch"
    tar -xf "$CACHE/busybox/root-$arch.tar" -C "$T/root-$arch" --no-same-owner
  done
  mine "$T"
  if enter_namespace; then
    installing
    broken
    empty_namespace
    showing
    removing
    persistent
    helper_images
  else
    skipped "a table of its own: $(cat "$WORK/namespace.err")"
  fi
  emulator_images
  if [ -e "$T/ready" ]; then
    from_in_namespace
    leave_namespace
  fi
  real_image
  if [ "$WHO" = root ]; then
    host_table
    host_real_image
  else
    without_rights
  fi
  check_store "after all of it"
  nothing_left "binfmt"
}

emulators
each_user scenario root sub nosub

# shellcheck shell=bash
# lib.sh: the world in which the five articles are followed, on top of ../e2e/lib.sh; sourced by NNN.sh. Each of them can be run alone:
#   tests/articles/NNN.sh [root|sub|nosub ...]        ARTICLE_FACES=shim|cli leaves the other face out
# The commands are in NNN.commands, word for word; rows.txt says which rows of the list an article has.
#
# The world is a network namespace of its own with nothing in it but loopback: registry-1.docker.io with the token service auth.docker.io
# (whoever asks may pull, who is logged in may push) and harbor.yusur.tech are local registries, known by a hosts file and an own CA;
# 192.168.100.2 is an address nobody listens at; git's addresses of docker/buildx lead to a local bare repository.
#
# Faces: shim = `docker` is a link to Crossdock, made by `crossdock install --shim`, and there is no other; cli = `docker` is the real
# client of the peers' root, no engine reachable, with the plugin made by `crossdock install`.

ARTICLES=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PEERS=${PEERS:-/var/tmp/crossdock-peers}
# shellcheck source=../e2e/lib.sh
. "$ARTICLES/../e2e/lib.sh"
ARTICLE=$NAME
NAME=article-$ARTICLE
WORLD=$WORK/world
KEEP_MOUNTED=$WORLD

# ---- the world ----

# enter "$@": fetches what is missing, then goes on in namespaces of its own.
enter() {
  if ! is_rootish; then
    echo "$NAME: skipped: a network of one's own, with its names and port 443, needs root"
    exit 0
  fi
  if [ "${ARTICLE_WORLD:-}" != 1 ]; then
    emulators
    busybox_layout >/dev/null
    "$ARTICLES/stand-ins" "$CACHE/articles"
    chmod -R a+rX "$CACHE/articles"
    "$REPO/scripts/peers" "$PEERS"
    rm -rf "$WORK"
    trap - EXIT
    ARTICLE_WORLD=1 exec unshare --net --mount --propagation private "$0" "$@"
  fi
  mkdir -p "$WORLD"
  : > "$WORK/config.toml"
  ip link set lo up
  ip address add 192.168.100.2/32 dev lo
  certificates
  names
  registries
  git_repository
  real_cli
  SYSTEM_PATH=$(system_path)
  mkdir "$WORLD/shim"
  ln -s "$WORK/crossdock" "$WORLD/shim/docker"
}

# certificates: a CA that SSL_CERT_FILE makes known to every tool here, one certificate for all names, and one that signs tokens.
certificates() {
  local names=DNS:docker.io,DNS:index.docker.io,DNS:registry-1.docker.io,DNS:auth.docker.io,DNS:harbor.yusur.tech
  make_certificate
  openssl req -newkey rsa:2048 -nodes -subj /CN=articles -keyout "$WORLD/tls.key" -out "$WORLD/tls.csr" 2>/dev/null
  openssl x509 -req -days 2 -in "$WORLD/tls.csr" -CA "$WORK/ca.pem" -CAkey "$WORK/ca.key" -CAcreateserial -out "$WORLD/tls.pem" \
    -extfile <(printf 'subjectAltName=%s' "$names") 2>/dev/null
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=hub-tokens -keyout "$WORLD/signer.key" -out "$WORLD/signer.pem" 2>/dev/null
  chmod a+r "$WORK/ca.pem"
  export SSL_CERT_FILE=$WORK/ca.pem
}

names() {
  printf '%s\n' '127.0.0.1 localhost' '127.0.0.2 docker.io index.docker.io registry-1.docker.io' '127.0.0.3 auth.docker.io' \
    '127.0.0.4 harbor.yusur.tech' > "$WORLD/hosts"
  # Nobody answers there: a name that is not in the file does not exist.
  echo 'nameserver 127.0.0.1' > "$WORLD/resolv.conf"
  mount --bind "$WORLD/hosts" /etc/hosts
  mount --bind "$WORLD/resolv.conf" "$(readlink -f /etc/resolv.conf)"
}

serve() { # NAME ADDRESS AUTH
  cat > "$WORLD/$1.yml" <<Y
version: 0.1
storage: {filesystem: {rootdirectory: $WORLD/$1}, delete: {enabled: true}}
http: {addr: "$2:443", secret: articles, tls: {certificate: $WORLD/tls.pem, key: $WORLD/tls.key}}
log: {level: error}
auth: $3
Y
  docker-registry serve "$WORLD/$1.yml" > "$WORLD/$1.log" 2> "$WORLD/$1.err" &
  PIDS+=($!)
}

registries() {
  cp -al "$CACHE/articles/hub" "$WORLD/hub" 2>/dev/null || { rm -rf "$WORLD/hub" && cp -a "$CACHE/articles/hub" "$WORLD/hub"; }
  # shellcheck disable=SC2016  # a bcrypt hash of "open sesame"
  printf 'tester:$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy\n' > "$WORLD/htpasswd"
  "$ARTICLES/hub-tokens" 127.0.0.3:443 "$WORLD/tls.pem" "$WORLD/tls.key" "$WORLD/signer.pem" "$WORLD/signer.key" "$WORLD/tokens.log" 2> "$WORLD/tokens.err" &
  PIDS+=($!)
  serve hub 127.0.0.2 "{token: {realm: \"https://auth.docker.io/token\", service: registry.docker.io, issuer: hub-tokens, rootcertbundle: $WORLD/signer.pem}}"
  serve harbor 127.0.0.4 "{htpasswd: {realm: harbor, path: $WORLD/htpasswd}}"
  if ! until_true 20 skopeo_ inspect --raw docker://docker.io/library/alpine \
    || ! until_true 20 curl -sf --cacert "$WORK/ca.pem" -o /dev/null -u "tester:open sesame" https://harbor.yusur.tech/v2/; then
    echo "$NAME: the registries did not start: $(cat "$WORLD"/*.err)" >&2
    exit 1
  fi
}

# git_repository: a bare repository with a program that is a plugin of Docker's client, and a Dockerfile that uses what such projects'
# Dockerfiles use; git's own rewriting leads the articles' addresses to it.
git_repository() {
  local git=(git -c user.name=tests -c user.email=tests@localhost -c init.defaultBranch=master)
  cp -r "$ARTICLES/plugin-repository" "$WORLD/plugin"
  "${git[@]}" -C "$WORLD/plugin" init -q
  "${git[@]}" -C "$WORLD/plugin" add .
  "${git[@]}" -C "$WORLD/plugin" commit -q -m plugin
  "${git[@]}" clone -q --bare "$WORLD/plugin" "$WORLD/buildx.git"
  chmod -R a+rX "$WORLD/buildx.git"
  cat > "$WORLD/gitconfig" <<G
[safe]
	directory = *
[url "file://$WORLD/buildx.git"]
	insteadOf = https://github.com/docker/buildx.git
	insteadOf = git://github.com/docker/buildx
G
}

# real_cli: the peers' client as a program of this root, for every user: its own loader and libraries.
real_cli() {
  local program
  mkdir -p "$WORLD/cli"
  for program in docker:/usr/bin/docker real-buildx:/usr/libexec/docker/cli-plugins/docker-buildx; do
    printf '#!/bin/sh\nexec %s --library-path %s --argv0 %s %s "$@"\n' "$PEERS/usr/lib64/ld-linux-x86-64.so.2" \
      "$PEERS/usr/lib/x86_64-linux-gnu" "${program%%:*}" "$PEERS${program#*:}" > "$WORLD/cli/${program%%:*}"
  done
  chmod 755 "$WORLD/cli"/*
  [ -x "$PEERS/usr/bin/docker" ] || { echo "$NAME: no real client in $PEERS" >&2; exit 1; }
}

# ---- faces ----

# system_path: the usual directories, as on a machine without Docker's client: one that has it is mirrored without it.
system_path() {
  local dir path='' mirror
  for dir in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
    if [ -e "$dir/docker" ]; then
      mirror=$WORLD/path$(tr / - <<<"$dir")
      mkdir -p "$mirror"
      find "$dir" -mindepth 1 -maxdepth 1 ! -name 'docker*' -exec ln -st "$mirror" {} +
      dir=$mirror
    fi
    path+=${path:+:}$dir
  done
  echo "$path"
}

# face shim|cli: from here on `docker` is this one, of a home that holds nothing but the links just made.
face() {
  FACE=$1 RAN_BY=$1 TOLD=
  HOME_DIR=$T/home-$FACE
  PLACE=$T/place-$FACE
  ROWS_SEEN=$WORK/rows-$WHO-$FACE
  : > "$ROWS_SEEN"
  mkdir -p "$HOME_DIR" "$PLACE"
  mine "$HOME_DIR" "$PLACE"
  ENVIRONMENT=(HOME="$HOME_DIR" USER="$LOGIN" CROSSDOCK_STATE_DIR="$STATE" CROSSDOCK_CONFIG="$WORK/config.toml" CROSSDOCK_EMULATORS="$CACHE/emulators"
    SSL_CERT_FILE="$SSL_CERT_FILE" GIT_CONFIG_GLOBAL="$WORLD/gitconfig" GIT_CONFIG_NOSYSTEM=1 TMPDIR="${TMPDIR:-/tmp}" BUILDKIT_PROGRESS=plain)
  # The shim's link is made by `install`; where the real client is looked at, it stands elsewhere.
  if [ "$FACE" = shim ]; then SHIM_PATH=$HOME_DIR/.local/bin:$SYSTEM_PATH; else SHIM_PATH=$WORLD/shim:$SYSTEM_PATH; fi
  CLI_PATH=$WORLD/cli:$SYSTEM_PATH
  # shellcheck disable=SC2054  # a comma of env's
  RUN_AS=(prlimit "--msgqueue=$MARK:" "${AS[@]}" env -i --default-signal=INT,QUIT,TERM "${ENVIRONMENT[@]}" PATH="$SYSTEM_PATH")
  rows -
  # Only the shim's own directory is on PATH: a docker of this machine is out of sight, as on a machine without one.
  if [ "$FACE" = shim ]; then x PATH="$HOME_DIR/.local/bin" install --shim; else x install; fi
  must "crossdock install for the face $FACE"
  fresh_registries
  x images -q
  [ -z "$OUT" ] || { mapfile -t names <<<"$OUT" && x rmi -f "${names[@]}"; }
}

# fresh_registries: what an earlier user or face pushed is gone.
fresh_registries() {
  local hub=$WORLD/hub/docker/registry/v2/repositories
  find "$hub" -mindepth 1 -maxdepth 1 ! -name library ! -name arm64v8 ! -name multiarch -exec rm -rf {} +
  rm -rf "$hub/library/arch" "$WORLD/harbor"
}

# new_home: a user who has done nothing yet, with the face's links.
new_home() {
  rm -rf "$HOME_DIR"
  mkdir -p "$HOME_DIR"
  mine "$HOME_DIR"
  if [ "$FACE" = shim ]; then x PATH="$HOME_DIR/.local/bin" install --shim; else x install; fi
}

# ---- commands ----

# block NAME: its text.
block() { awk -v name="$1" '/^== / { on = $2 == name; if (on) found = 1; next } on { print } END { exit !found }' "$ARTICLES/$ARTICLE.commands"; }
rows_of() { awk -v name="$1" '/^== / && $2 == name { for (i = 3; i <= NF; i++) print $i }' "$ARTICLES/$ARTICLE.commands"; }

# run [NAME=VALUE...] BLOCK...: the blocks, one after the other in one shell, as the user and by the face; leaves RC, OUT, ERR. What is
# checked afterwards counts for the rows of these blocks. VIA=shim: by the shim in both faces. AT=NAME: at a terminal (standard error is
# in OUT, then). EDIT=SED: the text through sed. TABLE=1: where the binfmt table is another one.
run() {
  local settings=() text='' name path=$SHIM_PATH all=()
  while [[ ${1:-} =~ ^[A-Z_]+=[^[:space:]]*$ ]]; do settings+=("$1") && shift; done
  for name in "$@"; do
    text+=$(block "$name")$'\n' || { echo "$NAME: no block $name" >&2; return 1; }
    mapfile -t -O ${#all[@]} all < <(rows_of "$name")
  done
  rows "${all[@]}"
  [ -z "${EDIT:-}" ] || text=$(sed "$EDIT" <<<"$text")
  shell "${settings[@]}" "$text"
}

# shell [NAME=VALUE...] TEXT: a text of commands like those of `run`.
shell() {
  local settings=() path=$SHIM_PATH before=()
  while [[ ${1:-} =~ ^[A-Z_]+=[^[:space:]]*$ ]]; do settings+=("$1") && shift; done
  if [ "$FACE" = cli ] && [ "${VIA:-}" = shim ]; then
    if [ "$TOLD" != "$FACE" ]; then say "  [as $WHO, cli] run, create, pull, push, cp, ls, rm of containers and images: the real CLI needs an engine for this verb; run by the shim"; fi
    TOLD=$FACE
  elif [ "$FACE" = cli ]; then
    path=$CLI_PATH
  fi
  [ -z "${TABLE:-}" ] || before=(nsenter --target "$TABLE_PID" --user --mount --)
  [ -z "${AT:-}" ] || before+=("$ARTICLES/terminal" "${TYPE[@]}" --)
  LAST="[${FACE}${VIA:+, by the $VIA}] ${settings[*]:+${settings[*]} }$1"
  RC=0 RAN_BY=${VIA:-$FACE}
  timeout -k 5 "${LIMIT:-90}" "${before[@]}" "${RUN_AS[@]}" PATH="$path" "${settings[@]}" bash -c "cd $(printf %q "${IN_DIR:-$PLACE}") || exit; set -e; $1" \
    <"${IN:-/dev/null}" >"$WORK/out" 2>"$WORK/err" || RC=$?
  OUT=$(tr -d '\0\r' <"$WORK/out")
  ERR=$(tr -d '\0\r' <"$WORK/err")
}
TYPE=()

# engine COMMAND...: `run` or `shell` for verbs that Docker's real client hands to an engine: there is none, so both faces use the shim.
engine() { VIA=shim "$@"; }

# write NAME BLOCK: a file of the working directory, with the block as its text.
write() { block "$2" > "$PLACE/$1" && mine "$PLACE/$1"; }
# text NAME: a file of the working directory from standard input.
text() { cat > "$PLACE/$1" && mine "$PLACE/$1"; }

# ---- rows ----

# rows ROW...: whose checks the following are; - = of none.
rows() { CURRENT=("$@"); }
also() { CURRENT+=("$@"); }
seen() { # ROW HOW
  [ "$1" = - ] || printf '%s %s\n' "$1" "$2" >> "$ROWS_SEEN"
}
passed() {
  local row
  echo passed >> "$COUNTS"
  for row in "${CURRENT[@]}"; do seen "$row" "${RAN_BY:-$FACE}"; done
  [ "${E2E_VERBOSE:-}" != 1 ] || say "    ok: $1"
}
failed() {
  local row line
  echo failed >> "$COUNTS"
  for row in "${CURRENT[@]}"; do seen "$row" failed; done
  say "  FAILED [$ARTICLE ${CURRENT[*]} as $WHO, ${FACE:-}]: $1"
  shift
  for line in "$@"; do printf '%s\n' "$line" | sed 's/^/      /' | head -n 30; done
}
# left REASON ROW...: rows this user or face cannot show.
left() {
  local reason=$1 row
  shift
  for row in "$@"; do seen "$row" left; done
  echo skipped >> "$COUNTS"
  say "  left out [as $WHO, $FACE]: $*: $reason"
}

# all_rows: every row of the article was asserted, has its reason in rows.txt, or was left out by name.
all_rows() {
  local row articles reason how asserted=0 shim=0 given=0 out=0 total=0
  rows -
  check "rows.txt has every row of the list" 103 "$(grep -vc '^#' "$ARTICLES/rows.txt")"
  check "no row twice" "" "$(awk '!/^#/ { print $1 }' "$ARTICLES/rows.txt" | sort | uniq -d)"
  while read -r row articles; do
    reason=$articles
    while [[ $reason =~ ^[0-9]{3}\ *(.*)$ ]]; do reason=${BASH_REMATCH[1]}; done
    [[ " ${articles%"$reason"} " == *" $ARTICLE "* ]] || continue
    total=$((total + 1))
    how=$(awk -v row="$row" '$1 == row { print $2 }' "$ROWS_SEEN" | sort -u | tr '\n' ' ')
    case " $how" in
      *' failed '*) ;;
      *" $FACE "*) asserted=$((asserted + 1)) ;;
      *' shim '*) shim=$((shim + 1)) ;;
      *' left '*) out=$((out + 1)) ;;
      *) if [ -n "$reason" ]; then given=$((given + 1)) && say "  row $row: $reason"; else failed "row $row was not reached"; fi ;;
    esac
  done < <(grep -v '^#' "$ARTICLES/rows.txt")
  say "  article $ARTICLE as $WHO, $FACE: $total rows: $asserted asserted, $shim by the shim (the real client needs an engine for these verbs), $given with a reason, $out left out"
}

# article FUNCTION USER...: the function for each face and user.
article() {
  local function=$1
  shift
  FOLLOW=$function
  each_user follow "$@"
}
follow() {
  local one
  for one in ${ARTICLE_FACES:-shim cli}; do
    face "$one"
    "$FOLLOW"
    all_rows
  done
  CURRENT=(-)
  nothing_left "article $ARTICLE"
}

# ---- what the registries hold, read by skopeo ----

CREDENTIALS=(--creds "tester:open sesame")
raw() { skopeo_ inspect --raw "${CREDENTIALS[@]}" "docker://$1"; }
# platforms_of REF: the platforms of an index, in its order; attestations left out.
platforms_of() {
  raw "$1" | jq -r '[.manifests[] | select(.platform.os != "unknown") | .platform | [.os, .architecture, .variant] | map(select(. != null and . != "")) | join("/")] | join(" ")'
}
digest_of() { raw "$1" | sha256sum | sed 's/^\([0-9a-f]*\).*/sha256:\1/'; }
# digest_for REF PLATFORM: of one entry of an index.
digest_for() {
  raw "$1" | jq -r --arg p "$2" '.manifests[] | select((.platform | [.os, .architecture, .variant] | map(select(. != null and . != "")) | join("/")) == $p) | .digest'
}
# tree_of REF [PLATFORM]: configuration and files of an image, read from the registry by skopeo and by scripts/image-tree.
tree_of() {
  rm -rf "$WORK/layout"
  skopeo_ copy -q --all --src-creds "tester:open sesame" "docker://$1" "oci:$WORK/layout:x" && tree "$WORK/layout" ${2:+"$2"}
}
# file_of REF PLATFORM PATH: bytes of a file of an image, from the registry.
file_of() {
  local digest
  digest=$(digest_for "$1" "$2")
  rm -rf "$WORK/dir"
  skopeo_ copy -q --src-creds "tester:open sesame" "docker://${1%:*}@$digest" "dir:$WORK/dir"
  python3 - "$WORK/dir" "$3" <<'P'
import json, sys, tarfile
manifest = json.load(open(sys.argv[1] + "/manifest.json"))
for layer in reversed(manifest["layers"]):
    with tarfile.open(sys.argv[1] + "/" + layer["digest"].split(":")[1]) as tar:
        for member in tar:
            if ("/" + member.name.lstrip("./")) == sys.argv[2] and member.isfile():
                sys.stdout.buffer.write(tar.extractfile(member).read())
                sys.exit()
sys.exit("no such file")
P
}
# same_listing REF: OUT, as imagetools prints it, has the structure made here from what the registry holds.
same_listing() {
  local wanted
  wanted=$(raw "$1" | "$ARTICLES/listing" "$1" "$(digest_of "$1")")
  # How wide the columns are is left to each version.
  check "imagetools inspect $1: every field, in order, as the registry's index has it" "$(squeezed <<<"$wanted")" "$(squeezed <<<"$OUT")"
}

squeezed() { sed -e 's/[[:space:]]*$//' -e 's/: */: /'; }

# ---- a binfmt table of one's own ----

# table_begin: a user namespace with a mount namespace and an empty binfmt_misc of its own (Linux 6.7 or newer); false where it cannot be.
table_begin() {
  [ "$WHO" = root ] || return 1
  rm -f "$WORLD/table"
  # shellcheck disable=SC2016  # the inner shell expands
  unshare --user --mount --propagation private sh -c 'read -r go; mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc && touch "$1"; exec sleep 10000' - "$WORLD/table" < <(
    until_true 10 test -e "$WORLD/table-mapped"; echo go) >/dev/null 2>&1 &
  TABLE_PID=$!
  # A scenario is a subshell: should it break off, the script's end finds the process here.
  echo "$TABLE_PID" > "$WORLD/table-pid"
  until_true 10 sh -c "[ \"\$(readlink /proc/$TABLE_PID/ns/user)\" != \"\$(readlink /proc/self/ns/user)\" ]"
  echo 0 0 4294967295 > "/proc/$TABLE_PID/uid_map"
  echo 0 0 4294967295 > "/proc/$TABLE_PID/gid_map"
  touch "$WORLD/table-mapped"
  until_true 5 test -e "$WORLD/table"
}
# with_own_table WORK ROW...: WORK changes the kernel's table, and gets another one than the host's for it; where there can be none these
# rows are left out. The host's table is the same afterwards.
with_own_table() {
  local work=$1 before
  shift
  if ! table_begin; then
    left "changes the kernel's table: as root only, and there in a table of its own (Linux 6.7)" "$@"
    return
  fi
  before=$(host_table)
  "$work"
  check "the host's own table is as it was" "$before" "$(host_table)"
  table_end
}
table_end() { kill "$TABLE_PID" && rm -f "$WORLD"/table*; }
on_exit() { [ ! -s "$WORLD/table-pid" ] || kill "$(cat "$WORLD/table-pid")" 2>/dev/null || true; }
# host_table: what the host's kernel has registered, seen through a mount of this namespace.
host_table() {
  local table=/proc/sys/fs/binfmt_misc file
  [ -e "$table/status" ] || mount -t binfmt_misc binfmt_misc "$table" 2>/dev/null || { echo none; return 0; }
  for file in "$table"/*; do [ "${file##*/}" = register ] || { echo "== ${file##*/}" && cat "$file"; }; done
}

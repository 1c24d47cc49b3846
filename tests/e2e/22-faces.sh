#!/usr/bin/env bash
# The three faces (spec/cli.md §5): Docker's real client runs our plugin, without any engine; the shim answers as `docker`; links are made and
# taken away. The client comes from the root of scripts/peers; the shim and the links are tried as every user.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
PEERS=${PEERS:-/var/tmp/crossdock-peers}

# ---- Docker's client, no engine ----

write_client() {
  cat > "$T/share/client" <<'X'
exec 2>&1
registry=$1
export HOME=/run/home DOCKER_CONFIG=/run/home/.docker CROSSDOCK_STATE_DIR=/share/state CROSSDOCK_CONFIG=/share/config.toml BUILDKIT_PROGRESS=plain
mkdir -p $HOME /run/work
cd /run/work
line() { echo "$1: $(tr '\r\n\t' '   ' <<<"$2" | sed 's/ *$//')"; }
# both NAME COMMAND...: `CODE | last line of standard output | last line of standard error`
both() {
  local name=$1 status=0
  shift
  "$@" >out 2>err || status=$?
  line "$name" "$status | $(tail -n 1 out) | $(tail -n 1 err)"
}
# first NAME COMMAND...: exit code and the first lines of standard output and error
first() {
  local name=$1 status=0
  shift
  "$@" >out 2>err || status=$?
  line "$name" "$status | $(head -n 1 out) | $(head -n 1 err)"
}
both install /share/crossdock install
both version docker buildx version
line info "$(docker info 2>/dev/null | grep -A 2 'buildx:')"
line info-json "$(docker info --format '{{range .ClientInfo.Plugins}}{{.Name}} {{.Vendor}} {{.Err}}{{end}}' 2>/dev/null)"
first no-arguments docker buildx
first help docker help buildx
first help-flag docker buildx --help
first help-build docker buildx build --help
first docker-build-help docker build --help
both unknown docker buildx nosuch
first unknown-help docker buildx nosuch
both unknown-below docker buildx imagetools nosuch
both not-built docker buildx bake
first flag docker buildx build --nosuch .
first flag-short docker buildx build -Z .
first flag-value docker buildx build --push=maybe .
first flag-alone docker buildx build --platform
first too-many docker buildx version extra
first docker-build-flag docker build --nosuch .
both complete docker __complete buildx b
line complete-all "$(docker __complete buildx build --pl 2>/dev/null)"
line complete-verbs "$(docker __complete buildx imagetools '' 2>/dev/null)"
line complete-dirs "$(docker __complete buildx build '' 2>/dev/null)"
line complete-values "$(docker __complete buildx build --progress p 2>/dev/null)"

cp /share/config-before.json $DOCKER_CONFIG/config.json
both alias docker buildx install
line alias-is "$(grep -c '"builder": "buildx"' $DOCKER_CONFIG/config.json)"
both alias-off docker buildx uninstall
line alias-bytes "$(cmp $DOCKER_CONFIG/config.json /share/config-before.json && echo same)"
docker --config /run/other buildx install >/dev/null 2>&1
line config-flag "$(ls /run/other)"
rm -f $DOCKER_CONFIG/config.json

both ls docker buildx ls
line ls-shows "$(docker buildx ls 2>/dev/null | awk '{print $1}')"
both create docker buildx create --name mine --use
line created "$(docker buildx ls 2>/dev/null | grep -c '^mine\*')"
line complete-builders "$(docker __complete buildx inspect '' 2>/dev/null)"
line complete-builder "$(docker __complete buildx --builder mi 2>/dev/null)"
both inspect docker buildx inspect mine
line inspected "$(docker buildx inspect mine 2>/dev/null | grep '^Name:' | head -n 1)"
both use docker buildx use default
both rm docker buildx rm mine

both build docker buildx build -t app:1 /share/app
both load docker buildx build --load -t app:1 /share/app
both docker-build docker build -t app:2 /share/app
both builder-build docker builder build -t app:3 /share/app
both image-build docker image build -t app:4 /share/app
both quiet docker build -q /share/app
both buildkit env DOCKER_BUILDKIT=1 DOCKER_CLI_EXPERIMENTAL=enabled docker build -q /share/app
both context docker -c default buildx build -q /share/app
both host docker -H unix:///run/nobody.sock buildx build -q --output type=cacheonly /share/app
both failing docker build /share/failing
both push docker buildx build --platform linux/amd64,linux/arm64 -t $registry/faces/app:1 --push /share/plain
both imagetools-inspect docker buildx imagetools inspect $registry/faces/app:1
both imagetools-create docker buildx imagetools create -t $registry/faces/app:2 $registry/faces/app:1
line imagetools-raw "$(docker buildx imagetools inspect --raw $registry/faces/app:2 2>/dev/null | grep -c manifests)"
both prune docker builder prune -f
both buildx-prune docker buildx prune -f

# The client ends: its plugin does not go on.
docker build -t slow /share/slow >slow 2>&1 &
client=$!
for try in $(seq 100); do grep -q 'sleeping' slow && break; sleep 0.1; done
line slow-began "$(grep -c sleeping slow | sed 's/[1-9].*/yes/')"
kill -9 $client
for try in $(seq 100); do pgrep -f 'cli-plugins/docker-buildx' >/dev/null || break; sleep 0.1; done
line slow-left "$(pgrep -f 'cli-plugins/docker-buildx|sleep 1234' | wc -l)"
docker build -t slow /share/slow >slow 2>&1 &
client=$!
for try in $(seq 100); do grep -q 'sleeping' slow && break; sleep 0.1; done
kill -TERM $client
wait $client
line slow-code "$?"
line slow-said "$(tail -n 1 slow)"

# A plugin that does not know its name, called by hand.
plugin=$DOCKER_CONFIG/cli-plugins/docker-buildx
both alone-version $plugin version
both alone-flag $plugin build --nosuch
both alone-metadata $plugin docker-cli-plugin-metadata
both alone-hooks $plugin docker-cli-plugin-hooks '{}'
both alone-complete $plugin __completeNoDesc b
both alone-named $plugin buildx version

# Links of the whole machine, in this root only.
both system /share/crossdock install --system --shim
line system-shim "$(grep -c 'refused, /usr/bin/docker is another docker' out)"
/share/crossdock uninstall >/dev/null 2>&1
both system-version docker buildx version
both system-off /share/crossdock uninstall --system
both system-gone docker buildx version
X
}

expect() { # NAME REGEX
  check_match "client: $1" "^$1: $2\$" "$(grep "^$1:" <<<"$SEEN" || true)"
}

client() {
  mkdir -p "$T/share/app" "$T/share/plain" "$T/share/failing" "$T/share/slow"
  cp "$WORK/crossdock" "$T/share/crossdock"
  cp "$WORK/config.toml" "$T/share/config.toml"
  printf 'FROM busybox\nRUN echo built > /built\n' > "$T/share/app/Dockerfile"
  printf 'FROM busybox\nCOPY Dockerfile /\n' > "$T/share/plain/Dockerfile"
  printf 'FROM busybox\nRUN exit 7\n' > "$T/share/failing/Dockerfile"
  printf 'FROM busybox\nRUN echo sleeping; sleep 1234\n' > "$T/share/slow/Dockerfile"
  printf '{\n\t"auths": {\n\t\t"reg.example": {\n\t\t\t"auth": "eDp5"\n\t\t}\n\t},\n  "odd" : [1,  2.50],\n\t"HttpHeaders": {"X": "}\\""}\n}\n' > "$T/share/config-before.json"
  write_client
  "$REPO/scripts/in-peers" "$PEERS" "$T/share" "bash /share/client $REGISTRY" > "$T/seen" 2>&1 || true
  SEEN=$(cat "$T/seen")
  LAST="Docker's client with our plugin"
  [ "${E2E_VERBOSE:-}" != 1 ] || printf '%s\n' "$SEEN"
  local fine='0 \| .*'
  expect install '0 \| /run/home/.docker/cli-plugins/docker-buildx -> /share/crossdock: made \|'
  expect version '0 \| github.com/docker/buildx v0\.29\.1\+crossdock[^ ]* [^ ]+ \|'
  expect info ' *buildx: Docker Buildx \(Docker Inc.\) .*Version: +v0\.29.* Path: +/run/home/.docker/cli-plugins/docker-buildx'
  expect info-json 'buildx Docker Inc. (<nil>|<no value>)?'
  expect no-arguments '0 \| Docker Buildx \|'
  expect help '0 \| Docker Buildx \|'
  expect help-flag '0 \| Docker Buildx \|'
  expect help-build '0 \| Build an image from a Dockerfile \|'
  expect docker-build-help '0 \| Build an image from a Dockerfile \|'
  expect unknown '1 \| .* \| ERROR: unknown command: "nosuch"'
  expect unknown-help '1 \| Docker Buildx \| .*'
  expect unknown-below '1 \| .* \| ERROR: unknown command: "nosuch"'
  expect not-built '1 \| +\| ERROR: docker buildx bake is not supported yet.*'
  expect flag '125 \| +\| unknown flag: --nosuch.*'
  expect flag-short "125 \| +\| unknown shorthand flag: 'Z' in -Z"
  expect flag-value '125 \| +\| invalid argument "maybe" for "--push" flag: .*'
  expect flag-alone '125 \| +\| flag needs an argument: --platform'
  expect too-many "1 \| +\| ERROR: docker: 'docker buildx version' requires 0 arguments"
  expect docker-build-flag '125 \| +\| unknown flag: --nosuch.*'
  expect complete '0 \| :4 \| Completion ended with directive: ShellCompDirectiveNoFileComp'
  expect complete-all '--platform .* :4'
  expect complete-verbs 'create .* inspect .* :[24]'
  expect complete-dirs ':16'
  expect complete-values 'plain :4'
  expect alias '0 \| +\| .*now means buildx'
  expect alias-is '1'
  expect alias-off '0 \| +\| .*own again'
  expect alias-bytes 'same'
  expect config-flag 'config.json'
  expect ls "$fine"
  expect ls-shows 'NAME/NODE .*default.*'
  expect create '0 \| mine \|.*'
  expect created '1'
  expect complete-builders 'default mine :4'
  expect complete-builder 'mine :4'
  expect inspect "$fine"
  expect inspected 'Name: +mine'
  expect use "$fine"
  expect rm "$fine"
  for name in build load docker-build builder-build image-build; do
    expect $name '0 \| +\| kept sha256:[0-9a-f]{64} \(app:[0-9]\)'
  done
  for name in quiet buildkit context; do
    expect $name '0 \| sha256:[0-9a-f]{64} \|'
  done
  expect host "0 \|.*"
  expect failing '1 \| +\| ERROR: failed to build: failed to solve: process .* did not complete successfully: exit code: 7'
  expect push "$fine"
  expect imagetools-inspect "$fine"
  expect imagetools-create "$fine"
  expect imagetools-raw '[1-9].*'
  expect prune "$fine"
  expect buildx-prune "$fine"
  expect slow-began 'yes'
  expect slow-left '0'
  expect slow-code '(130|1|143)'
  expect slow-said '.*(context canceled|signal|terminated).*'
  expect alone-version '0 \| github.com/docker/buildx v.* \|'
  expect alone-flag '1 \| +\| ERROR: unknown flag: --nosuch.*'
  expect alone-metadata '0 \| .*"SchemaVersion":"0.1.0".*"Vendor":"Docker Inc.".* \|'
  expect alone-hooks '0 \| +\|'
  expect alone-complete '0 \| :4 \| .*'
  expect alone-named '0 \| github.com/docker/buildx v.* \|'
  expect system '1 \| .* \| ERROR: 1 of the links could not be put in place, see above'
  expect system-shim '1'
  expect system-version '0 \| github.com/docker/buildx .*crossdock.* \|'
  expect system-off "$fine"
  expect system-gone '0 \| github.com/docker/buildx 0\.29\.1\+ds.* \|'
}

# ---- links and the shim, as every user ----

# shim ARGS...: the program under the name docker.
shim() {
  local extra=()
  while [[ ${1:-} == [A-Z]*=* ]]; do
    extra+=("$1")
    shift
  done
  LAST="${extra[*]:+${extra[*]} }docker $*"
  RC=0
  (cd "$T" && exec timeout -k 5 240 "${RUN_AS[@]}" "${extra[@]}" "$T/home/.local/bin/docker" "$@") <"${IN:-/dev/null}" >"$WORK/out" 2>"$WORK/err" || RC=$?
  OUT=$(cat "$WORK/out")
  ERR=$(cat "$WORK/err")
}

links() {
  local bin=$T/home/.local/bin plugin=$T/docker/cli-plugins/docker-buildx
  x PATH=/nowhere install
  ok "install"
  check "the plugin's link leads to this program" "$WORK/crossdock" "$(readlink -f "$plugin")"
  check_has "install says what it made" "$plugin -> $WORK/crossdock: made" "$OUT"
  check_true "no shim without being asked" test ! -e "$bin/docker"
  x PATH=/nowhere install --shim
  ok "install --shim"
  check_has "install says what was there" "$plugin -> $WORK/crossdock: was there" "$OUT"
  check_has "install says that PATH lacks the directory" "$bin is not in PATH" "$ERR"
  x "PATH=/nowhere:$bin" install --shim
  ok "install --shim again"
  check "nothing to warn of" "" "$ERR"

  # Another docker is never hidden.
  mkdir -p "$T/other" && printf '#!/bin/sh\necho other\n' > "$T/other/docker" && chmod +x "$T/other/docker" && mine "$T/other"
  x PATH=/nowhere uninstall
  ok "uninstall"
  check_has "uninstall says what it removed" "$plugin: removed" "$OUT"
  check_has "uninstall says what it removed" "$bin/docker: removed" "$OUT"
  check_true "the links are gone" test ! -L "$plugin" -a ! -L "$bin/docker"
  x PATH=/nowhere uninstall
  ok "uninstall of nothing"
  check_has "uninstall says what was not there" "$plugin: was not there" "$OUT"
  x "PATH=$T/other" install --shim
  fails "a shim beside another docker is refused" "1 of the links"
  check_has "the other docker is named" "refused, $T/other/docker is another docker" "$OUT"
  check_true "the shim was not made" test ! -e "$bin/docker"

  # What is not ours stays.
  rm "$plugin" && printf 'theirs\n' > "$plugin" && mine "$plugin"
  x PATH=/nowhere install
  fails "a plugin of somebody else is kept" "1 of the links"
  check_has "what it is" "refused and kept, it is a file of its own" "$OUT"
  x PATH=/nowhere uninstall
  ok "uninstall beside it"
  check "it is as it was" "theirs" "$(cat "$plugin")"
  rm "$plugin" && ln -s /old/place/crossdock "$plugin"
  x PATH=/nowhere install
  ok "a link to an older place"
  check_has "is replaced" "replaced, it pointed to /old/place/crossdock" "$OUT"

  # Earlier directories hide later ones.
  mkdir -p "$T/extra" && printf 'x' > "$T/extra/docker-buildx" && printf '{"cliPluginsExtraDirs":["%s"]}' "$T/extra" > "$T/docker/config.json" && mine "$T/extra" "$T/docker"
  x PATH=/nowhere install
  ok "install behind another plugin"
  check_has "the one that hides it is named" "Docker's client finds $T/extra/docker-buildx first" "$ERR"
  rm -r "$T/extra" "$T/docker/config.json"
  x --config "$T/config-elsewhere" install
  ok "install --config"
  check_true "the link is in that directory" test -L "$T/config-elsewhere/cli-plugins/docker-buildx"
  x PATH=/nowhere install --shim
  must "the shim is there"
}

shim_words() {
  shim -v
  ok "docker -v"
  check_match "docker -v has Docker's shape" '^Docker version 28\.[0-9.]+\+crossdock[^ ]*, build [^ ]+$' "$OUT"
  local version=$OUT
  shim --version
  check "docker --version is the same" "$version" "$OUT"
  shim version
  ok "docker version"
  check_match "docker version: client" '^ Version: +28\.' "$OUT"
  shim version --format '{{.Server.Version}}'
  check_match "docker version --format" '^28\.' "$OUT"
  shim version -f json
  check "docker version -f json" "28" "$(jq -r '.Client.Version' <<<"$OUT" | cut -d. -f1)"
  shim info
  ok "docker info"
  check_match "docker info names the plugin as the client does" '^  buildx: Docker Buildx \(Docker Inc\.\)$' "$OUT"
  check_match "docker info: Version" '^    Version:  v0\.29\.' "$OUT"
  check_has "docker info: Path" "    Path:     $T/docker/cli-plugins/docker-buildx" "$OUT"
  shim info --format '{{range .ClientInfo.Plugins}}{{.Name}}{{end}}'
  check "docker info --format" "buildx" "$OUT"
  shim nosuch
  fails "a word that is no command" "docker: 'nosuch' is not a docker command." "See 'docker --help'"
  shim compose up
  fails "docker compose" "docker: 'compose' is not a docker command."
  shim exec x y
  fails "a command that is not built is named" "'exec' is not supported yet" "See 'docker --help'"
  shim buildx bake
  fails "docker buildx bake" "docker buildx bake is not supported yet"
  shim image nosuch
  fails "a word that is no command of a group" "docker: unknown command: docker image nosuch" "Run 'docker image --help'"
  shim images --nosuch
  check "an unknown flag: exit 125" 125 "$RC"
  check_has "an unknown flag" "unknown flag: --nosuch" "$ERR"
  check_has "an unknown flag: where to read on" "Run 'docker images --help' for more information" "$ERR"
  shim pull
  fails "too few arguments" "docker: 'docker pull' requires 1 argument"
  shim
  ok "docker alone shows its help"
  shim help nosuch
  fails "help of nothing" "unknown help topic: nosuch"
  shim help images
  ok "help of a verb"
  check_has "help of a verb" "Usage: docker images" "$OUT"
  shim buildx
  ok "docker buildx alone shows its help"
  check_has "docker buildx: its verbs" "imagetools" "$OUT"
  shim buildx nosuch
  fails "docker buildx nosuch" 'ERROR: unknown command: "nosuch"'
  shim -H a -H b version
  fails "two hosts" "specify only one -H"
  shim -c a -H b version
  fails "host and context" "conflicting options: cannot specify both --host and --context"
  shim DOCKER_CLI_EXPERIMENTAL=enabled buildx version
  check_match "DOCKER_CLI_EXPERIMENTAL changes nothing" '^github.com/docker/buildx v' "$OUT"
  check "and nothing is said of it" "" "$ERR"
  shim __complete buildx im
  check_match "completion of the shim" '^imagetools' "$OUT"
}

shim_builds() {
  dockerfile "$T/app" 'FROM busybox' 'COPY Dockerfile /app'
  shim build -t shimmed:1 app
  ok "docker build"
  shim buildx build --builder default -t shimmed:2 app
  ok "docker buildx build"
  shim images
  check_match "docker images" '^shimmed +1' "$OUT"
  shim -D build -t shimmed:3 app
  ok "docker -D build"
}

# --config DIR holds for everything that reads Docker's configuration, -H and -c for what asks for an engine.
globals() {
  local open=$REGISTRY
  start_registry auth
  mkdir -p "$T/config-login" "$T/config-none"
  printf '{"auths":{"%s":{"auth":"%s"}}}' "$REGISTRY" "$(printf 'tester:open sesame' | base64)" > "$T/config-login/config.json"
  mine "$T/config-login" "$T/config-none"
  shim --config "$T/config-none" build -t "$REGISTRY/faces:1" --push app
  fails "--config without a login" "faces"
  shim --config "$T/config-login" build -t "$REGISTRY/faces:1" --push app
  ok "--config with a login, docker build"
  shim DOCKER_CONFIG="$T/config-none" --config="$T/config-login" buildx build -t "$REGISTRY/faces:2" --push app
  ok "--config is stronger than DOCKER_CONFIG, docker buildx build"
  shim --config "$T/config-login" buildx imagetools inspect "$REGISTRY/faces:2"
  ok "--config, docker buildx imagetools"
  x --config "$T/config-login" build -t "$REGISTRY/faces:3" --push app
  ok "--config, crossdock build"
  shim -H "unix://$T/no.sock" build --load -t engine:1 app
  fails "-H with an engine that is not there" "unix://$T/no.sock"
  shim -c nowhere build --load -t engine:1 app
  fails "-c with a context that is not there" 'context "nowhere": context not found'
  shim images
  check_match "its result is kept all the same" '^engine +1' "$OUT"
  REGISTRY=$open
}

scenario() {
  busybox_registry
  links
  shim_words
  shim_builds
  globals
  if [ "$WHO" = root ]; then
    "$REPO/scripts/peers" "$PEERS"
    client
  fi
}

each_user scenario root sub nosub

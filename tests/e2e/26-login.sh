#!/usr/bin/env bash
# login and logout: proved with the registry, kept as Docker keeps them, one clear line for each failure.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

config() { cat "$T/docker/config.json"; }
saved() { jq -r --arg key "$1" '.auths[$key].auth // ""' "$T/docker/config.json" | base64 -d; }
one_line() { check "$1: one line" 1 "$(grep -cE '^ERROR: ' <<<"$ERR")"; check_hasnt "$1: the password is not shown" 'open sesame' "$ERR$OUT"; }
password() { printf '%s\n' "$1" > "$WORK/password"; }

# a registry with a log-in, over HTTPS with a CA of its own or over HTTP
over() { # SCHEME ADDRESS
  local how=$1 address=$2
  password wrong
  IN=$WORK/password x login -u tester --password-stdin "$address"
  fails "$how: a wrong password" 'incorrect username or password' tester "$address"
  one_line "$how: a wrong password"
  check_true "$how: nothing is kept of it" test -z "$(saved "$address" 2>/dev/null || true)"
  IN=$WORK/password x login -u nobody --password-stdin "$address"
  fails "$how: an unknown user" 'incorrect username or password'
  x pull "$address/library/busybox"
  fails "$how: pull without a log-in" 'pull access denied' "$address" 'crossdock login'
  one_line "$how: pull without a log-in"
  password 'open sesame'
  IN=$WORK/password x login -u tester --password-stdin "$address"
  ok "$how: login"
  check "$how: Docker's words" 'Login Succeeded' "$OUT"
  check_has "$how: the warning" "WARNING! Your credentials are stored unencrypted in '$T/docker/config.json'" "$ERR"
  check "$how: kept as Docker keeps it" 'tester:open sesame' "$(saved "$address")"
  check "$how: for the user alone" 600 "$(stat -c %a "$T/docker/config.json")"
  x pull -q "$address/library/busybox"
  ok "$how: pull with the log-in"
  x tag "$address/library/busybox" "$address/mine/app:1"
  x push "$address/mine/app:1"
  ok "$how: push of the one platform that is here of an index"
  check_has "$how: it is said" 'Info -> Not all multiplatform-content is present and only the available single-platform image was pushed' "$OUT"
  x push --platform "linux/$(host_arch)" "$address/mine/app:1"
  ok "$how: push with the log-in"
  check_match "$how: push: the first line" "^The push refers to repository \[$address/mine/app\]$" "$OUT"
  check_match "$how: push: the last line" '^1: digest: sha256:[0-9a-f]{64} size: [0-9]+$' "$(tail -n 1 <<<"$OUT")"
  x pull "$address/no/such:1"
  fails "$how: an unknown repository" "$address/no/such:1" 'not found'
  one_line "$how: an unknown repository"
  x logout "$address"
  check "$how: logout" "Removing login credentials for $address" "$OUT"
  check "$how: nothing is kept" '' "$(saved "$address")"
  x pull "$address/library/busybox:latest"
  fails "$how: pull after logout" 'pull access denied'
  x logout "$address"
  check "$how: logout twice" "0 Removing login credentials for $address" "$RC $OUT"
}

host_arch() { case $(uname -m) in x86_64) echo amd64 ;; aarch64) echo arm64 ;; *) uname -m ;; esac; }

words() {
  x login -u tester -p 'open sesame' "$HTTP"
  ok "login -u -p"
  check_has "-p is insecure" 'WARNING! Using --password via the CLI is insecure. Use --password-stdin.' "$ERR"
  x login -p x --password-stdin "$HTTP"
  fails "both ways" 'mutually exclusive'
  IN=$WORK/password x login --password-stdin "$HTTP"
  fails "no user" 'Must provide --username'
  x login "$HTTP"
  fails "nobody to ask" 'non TTY'
  x login -u tester --password-stdin "$HTTP"
  check "no password: one prefix" "1 ERROR: password is required" "$RC $ERR"
  x login -u tester -p x 127.0.0.1:1
  fails "a registry that does not run" refused 127.0.0.1:1
  one_line "a registry that does not run"
  x login -u tester -p x no-such-host.invalid
  fails "a registry that is none" 'no-such-host.invalid'
  one_line "a registry that is none"
  x CROSSDOCK_CONFIG="$WORK/strict.toml" login -u tester -p 'open sesame' "$HTTPS"
  fails "a certificate of nobody" 'unknown authority' 'ca.crt'
  one_line "a certificate of nobody"
  # What else is in the file stays, and so do its permissions.
  printf '{"zeta": {"a": [1, 2]}, "HttpHeaders": {"X": "y"}, "auths": {"other:1": {"auth": "eDp5"}}}' > "$T/docker/config.json"
  chmod 640 "$T/docker/config.json"
  mine "$T/docker"
  x login -u tester -p 'open sesame' "http://$HTTP/v2/"
  ok "login to a URL"
  check "the key is the host" 'tester:open sesame' "$(saved "$HTTP")"
  check "other keys stay" '[1,2] y eDp5' "$(jq -r '"\(.zeta.a) \(.HttpHeaders.X) \(.auths["other:1"].auth)"' "$T/docker/config.json")"
  check "permissions stay" 640 "$(stat -c %a "$T/docker/config.json")"
  printf '{ broken' > "$T/docker/config.json"
  x login -u tester -p 'open sesame' "$HTTP"
  fails "a broken config.json" config.json:1
  check "it is left as it is" '{ broken' "$(config)"
  echo '{}' > "$T/docker/config.json"
  if command -v skopeo >/dev/null; then
    x login -u tester -p 'open sesame' "$HTTP"
    check_true "skopeo takes the log-in" skopeo inspect --authfile "$T/docker/config.json" --tls-verify=false --raw "docker://$HTTP/library/busybox:latest"
    skopeo login --authfile "$T/docker/config.json" --tls-verify=false -u tester -p 'open sesame' "$HTTP" >/dev/null
    mine "$T/docker"
    x pull -q "$HTTP/library/busybox"
    ok "crossdock takes skopeo's"
    x logout "$HTTP"
  fi
}

helpers() {
  mkdir -p "$T/bin"
  cat > "$T/bin/docker-credential-shelf" <<'P'
#!/bin/sh
d=$(dirname "$0")/kept
case $1 in
store) cat > "$d" ;;
get) cat "$d" 2>/dev/null || { echo "credentials not found in native keychain"; exit 1; } ;;
erase) rm -f "$d" ;;
esac
P
  chmod 755 "$T/bin/docker-credential-shelf"
  printf '{"credsStore": "shelf"}' > "$T/docker/config.json"
  mine "$T/bin" "$T/docker"
  local path="PATH=$T/bin:/usr/sbin:/usr/bin:/sbin:/bin"
  x "$path" login -u tester -p 'open sesame' "$HTTP"
  ok "login with credsStore"
  check_hasnt "no warning then" unencrypted "$ERR"
  check_true "the helper has it" grep -q 'open sesame' "$T/bin/kept"
  check_hasnt "the file has not" dGVzdGVy "$(config)"
  x "$path" pull -q "$HTTP/library/busybox"
  ok "pull asks the helper"
  x "$path" logout "$HTTP"
  check_true "logout makes the helper forget" test ! -e "$T/bin/kept"
  x login -u tester -p 'open sesame' "$HTTP"
  fails "a helper that is not there" docker-credential-shelf 'credsStore'
  printf '{"credHelpers": {"%s": "shelf"}}' "$HTTP" > "$T/docker/config.json"
  x "$path" login -u tester -p 'open sesame' "$HTTP"
  check_true "credHelpers" test -e "$T/bin/kept"
  x "$path" logout "$HTTP"
  echo '{}' > "$T/docker/config.json"
}

# At a terminal: asked for both, the password unseen.
terminal() {
  local typed shown=$WORK/shown
  : > "$shown"
  (until_true 30 grep -q 'Username: ' "$shown"; echo tester; until_true 30 grep -q 'Password: ' "$shown"; echo 'open sesame'; until_true 30 grep -q 'echo o' "$shown") |
    (cd "$T" && timeout 90 script -qec "$(printf '%q ' "${RUN_AS[@]}" TERM=xterm "$WORK/crossdock" login "$HTTP")"'; stty -a | grep -q " echo " && echo echo on || echo echo off' /dev/null) > "$shown" || true
  typed=$(tr -d '\r' < "$shown")
  LAST="crossdock login (at a terminal)"
  check_has "it asks for the user" 'Username: ' "$typed"
  check_has "it asks for the password" 'Password: ' "$typed"
  check_has "it succeeds" 'Login Succeeded' "$typed"
  check_hasnt "the password is not shown" 'open sesame' "$typed"
  check_has "the terminal is as it was" 'echo on' "$typed"
  x logout "$HTTP"
}

# Row A14: Docker Hub, played by a registry of ours.
hub() {
  printf '[registry."docker.io"]\n  mirrors = ["http://%s"]\n' "$HTTP" > "$WORK/hub.toml"
  echo '{"auths": {"https://index.docker.io/v1/": {"auth": "eDp5"}}}' > "$T/docker/config.json"
  mine "$T/docker"
  x logout
  check "logout of Docker Hub" 'Removing login credentials for https://index.docker.io/v1/' "$OUT"
  check "its key is gone" '{}' "$(jq -c .auths "$T/docker/config.json")"
}

scenario() {
  over https "$HTTPS"
  over http "$HTTP"
  words
  helpers
  terminal
  hub
  nothing_left "login"
}

start_registry auth tls
HTTPS=$REGISTRY
# Registries on loopback are trusted unless somebody says otherwise.
printf '[registry."%s"]\n  insecure = false\n' "$HTTPS" > "$WORK/strict.toml"
skopeo_ copy -q --all --dest-tls-verify=false --dest-creds 'tester:open sesame' "oci:$(busybox_layout):latest" "docker://$HTTPS/library/busybox:latest"
start_registry auth
HTTP=$REGISTRY
skopeo_ copy -q --all --dest-tls-verify=false --dest-creds 'tester:open sesame' "oci:$(busybox_layout):latest" "docker://$HTTP/library/busybox:latest"
printf '[registry."%s"]\n  ca = ["%s"]\n' "$HTTPS" "$WORK/ca.pem" > "$WORK/config.toml"
chmod 644 "$WORK/ca.pem" "$WORK/config.toml" "$WORK/strict.toml"
each_user scenario root sub nosub

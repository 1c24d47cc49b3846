#!/usr/bin/env bash
# Contexts: a directory, archives and Dockerfiles on standard input, git repositories over every transport this machine has, files of a
# web server; ADD of URLs and repositories; named contexts. Every kind of context gives the digest that the directory gives.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# Older than every file here: with it nothing depends on when something was fetched.
EPOCH=1000000000

git_() { # in the directory $T/work, as the user, with a fixed author
  "${AS[@]}" env -i PATH="$PATH" HOME="$T/home" GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000' \
    git -c user.name=t -c user.email=t@t -c init.defaultBranch=trunk -c protocol.file.allow=always -c advice.detachedHead=false "$@"
}

# A context in a directory, and the same in a repository with a tag, a branch, a pull request and a subdirectory.
make_contexts() {
  local dir=$T/dir work=$T/work
  mkdir -p "$dir/sub/deep" "$T/home" "$T/www"
  printf 'FROM busybox\nCOPY a /src/a\nCOPY sub /src/sub\nRUN --mount=target=/ctx cat /ctx/sub/deep/run > /ran\n' > "$dir/Dockerfile"
  echo one > "$dir/a"
  printf '#!/bin/sh\n' > "$dir/sub/deep/run"
  chmod 755 "$dir/sub/deep/run"
  ln -s deep/run "$dir/sub/link"
  mine "$dir" "$T/www"
  cp -a "$dir" "$work"
  git_ -C "$work" init -q
  git_ -C "$work" add -A
  git_ -C "$work" commit -q -m first
  git_ -C "$work" tag -a -m v1 v1
  git_ -C "$work" update-ref refs/pull/7/head HEAD
  git_ -C "$work" branch other/branch
  COMMIT=$(git_ -C "$work" rev-parse HEAD)
  echo two > "$work/a"
  mkdir "$work/docker"
  printf 'FROM busybox\nCOPY x /x\n' > "$work/docker/Dockerfile"
  echo x > "$work/docker/x"
  mine "$work"
  git_ -C "$work" add -A
  git_ -C "$work" commit -q -m second
  git_ clone -q --bare "$work" "$T/www/r.git"
  git_ -C "$T/www/r.git" fetch -q "$work" '+refs/pull/*:refs/pull/*'
  git_ -C "$T/www/r.git" update-server-info
}

# same WHAT ARGS...: a build that must give the digest of the directory.
same() {
  local what=$1
  shift
  x SOURCE_DATE_EPOCH=$EPOCH build -q "$@"
  ok "$what"
  check "$what: the digest of the directory" "$WANTED" "$OUT"
}

standard_input() {
  local form flag
  for form in 'plain -cf' 'gzip -czf' 'bzip2 -cjf' 'xz -cJf' 'zstd --zstd,-cf'; do
    flag=${form#* }
    # shellcheck disable=SC2086  # flags
    tar -C "$T/dir" ${flag//,/ } "$T/in.tar" --owner=0 --group=0 . && IN=$T/in.tar same "an archive on standard input, ${form% *}" -
  done
  IN=$T/in.tar same "an archive with -f" -f Dockerfile -
  tar -C "$T/dir" -cf "$T/owned.tar" --owner=7 --group=8 .
  IN=$T/owned.tar x build -o type=tar,dest=owned.out.tar -
  ok "an archive whose files belong to somebody"
  # Who has one id alone gets files of one owner out.
  check "they still do" "$([ "$WHO" = nosub ] && echo 0/0 || echo 7/8)" "$(tar --numeric-owner -tvf "$T/owned.out.tar" src/a | awk '{ print $2 }')"
  IN=$T/in.tar x build -f nowhere/Dockerfile -
  fails "-f that is not in the archive" "failed to read dockerfile: open nowhere/Dockerfile: no such file or directory"
  printf 'FROM busybox\nRUN echo from stdin > /x\n' > "$T/only"
  IN=$T/only x build -o type=local,dest=only.out -
  ok "a Dockerfile on standard input"
  check "its result" "from stdin" "$(cat "$T/only.out/x")"
  printf 'FROM busybox\nCOPY a /a\n' > "$T/copies"
  IN=$T/copies x build -
  fails "which has an empty context" '"/a": not found'
  IN=$T/dir/Dockerfile same "-f - with a directory" -f - dir
  IN=$T/only x build -f - -
  fails "both on standard input" "can't use stdin for both build context and dockerfile"
  IN=$T/only x build -f dir/Dockerfile -
  fails "a Dockerfile twice" "ambiguous Dockerfile source"
  x build -
  fails "nothing on standard input" "standard input is empty"
  head -c 300 "$T/in.tar" > "$T/cut.tar"
  IN=$T/cut.tar x build -
  fails "a damaged archive" context
}

directories() {
  mkdir -p "$T/elsewhere"
  cp "$T/dir/Dockerfile" "$T/elsewhere/my.Dockerfile"
  same "-f outside of the context" -f elsewhere/my.Dockerfile dir
  same "an absolute -f" -f "$T/elsewhere/my.Dockerfile" dir
  x build missing
  fails "a directory that is not there" 'unable to prepare context: path "missing" not found'
  x build dir/Dockerfile
  fails "a file as context" "is not a directory"
  x build -f elsewhere/none dir
  fails "a Dockerfile that is not there" "failed to read dockerfile: open none: no such file or directory"
}

# repository WHAT URL: the forms of one repository.
repository() {
  local what=$1 url=$2
  same "$what, tag" "$url#v1"
  same "$what, branch" "$url#other/branch"
  same "$what, commit" "$url#$COMMIT"
  same "$what, query" "$url?branch=other/branch&checksum=${COMMIT:0:12}"
  x build "$url#trunk:docker"
  ok "$what: a subdirectory of the default branch"
  check_has "$what: the step has BuildKit's name" "[internal] load git source $url#trunk:docker" "$ERR"
  x build "$url#nope"
  fails "$what: a ref that is not there" "ref nope not found in $url" trunk v1
}

git_contexts() {
  local file=file://$T/www/r.git port
  repository "file" "$file"
  same "a pull request" "$file#pull/7/head"
  same "a full ref" "$file#refs/pull/7/head"
  x SOURCE_DATE_EPOCH=$EPOCH build "$file#v1"
  check_match "the same commit is cached" '^CACHED \[internal\] load git source' "$(steps "$ERR")"
  check "and so is everything on it" "" "$(instructions "$ERR" | grep -v '^CACHED' || true)"
  x build "$file?checksum=0123456789"
  fails "a checksum that is not the commit's" "but the checksum 0123456789 was asked for"
  x build "$file#trunk:none"
  fails "a subdirectory that is not there" "there is none; there are docker, sub"
  x build "$file#trunk:sub/link"
  fails "a link as subdirectory" "a symbolic link is on the way"
  x build "$file?unknown=1"
  fails "an unknown query" 'unexpected query "unknown"'
  x build "file://$T/www/none.git"
  fails "a repository that is not there" "git: cannot reach file://$T/www/none.git"
  printf 'FROM busybox\nCOPY nothing /x\n' > "$T/lacks"
  IN=$T/lacks x build -f - "$file"
  fails "a path the repository lacks" 'failed to calculate checksum of the build context: "/nothing": not found'
  printf 'FROM busybox\nCOPY . /all\n' > "$T/all.Dockerfile"
  x build -f "$T/all.Dockerfile" -o type=local,dest=plain.out "$file#v1"
  ok "without history"
  check_true "there is no .git" test ! -e "$T/plain.out/all/.git"
  check "modes do not follow the umask" "644 755" "$(stat -c %a "$T/plain.out/all/a" "$T/plain.out/all/sub/deep/run" | tr '\n' ' ' | sed 's/ $//')"
  check "files have the commit's time" 1700000000 "$(stat -c %Y "$T/plain.out/all/a")"
  x build --build-arg SOURCE_DATE_EPOCH=context -o type=oci,dest=dated.tar "$file#v1"
  ok "SOURCE_DATE_EPOCH=context"
  check "is the commit's time" 2023-11-14T22:13:20Z "$(blob_of "$T/dated.tar" "$(manifest_of "$T/dated.tar" | jq -r .config.digest)" | jq -r .created)"
  x build --build-arg BUILDKIT_CONTEXT_KEEP_GIT_DIR=1 -f "$T/all.Dockerfile" -o type=local,dest=kept.out "$file#v1"
  ok "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1"
  check "the history is there" "$COMMIT" "$(git -c safe.directory='*' -C "$T/kept.out/all" rev-parse HEAD)"
  IN=$T/dir/Dockerfile same "-f - with a repository" -f - "$file#v1"
  printf '[url "file://%s/www/"]\n\tinsteadOf = https://git.example/\n' "$T" > "$T/home/.gitconfig"
  same "url.insteadOf of the user's configuration" "https://git.example/r.git#v1"
  x build https://git.invalid/r.git
  fails "a host that is not there" "git: cannot reach https://git.invalid/r.git"

  # ssh, with a stand-in that runs the other side's command here.
  # shellcheck disable=SC2016  # for the script
  printf '#!/bin/sh\nwhile [ $# -gt 1 ]; do case $1 in -*) ;; *@host.example|host.example) printf "%%s\\n" "$1" > "$0.host" ;; esac; shift; done\nexec sh -c "$1"\n' > "$T/ssh"
  chmod 755 "$T/ssh"
  mine "$T/ssh"
  x GIT_SSH_COMMAND="$T/ssh" SOURCE_DATE_EPOCH=$EPOCH build -q "git@host.example:$T/www/r.git#v1"
  ok "git@host:path"
  check "git@host:path: the digest of the directory" "$WANTED" "$OUT"
  check "ssh was called for that host" git@host.example "$(cat "$T/ssh.host" 2>/dev/null || true)"
  x GIT_SSH_COMMAND="$T/ssh" SOURCE_DATE_EPOCH=$EPOCH build -q "ssh://git@host.example$T/www/r.git#v1"
  ok "ssh://"
  check "ssh://: the digest of the directory" "$WANTED" "$OUT"

  if [ -x "$(git --exec-path)/git-daemon" ]; then
    port=$(free_port)
    "${AS[@]}" env HOME="$T/home" git -c safe.directory='*' daemon --reuseaddr --export-all --base-path="$T/www" --listen=127.0.0.1 --port="$port" --log-destination=none &
    PIDS+=($!)
    until_true 10 git ls-remote "git://127.0.0.1:$port/r.git" || true
    repository "git daemon" "git://127.0.0.1:$port/r.git"
    submodules "git://127.0.0.1:$port"
    kill $! 2>/dev/null || true
  else
    skipped "git://: this git has no daemon"
  fi
  if [ -x "$(git --exec-path)/git-http-backend" ]; then
    repository "smart http" "$WEB/git/r.git"
    x SOURCE_DATE_EPOCH=$EPOCH build -q "${WEB/\/\//\/\/u:p@}/auth/git/r.git#v1"
    ok "http with a password in the URL"
    x build "$WEB/auth/git/r.git"
    fails "http without the password" "git: cannot reach" "nothing is asked for during a build"
    x build "${WEB/\/\//\/\/u:wrong-word@}/auth/git/r.git"
    fails "http with a wrong password"
    check_hasnt "the password is not shown" wrong-word "$ERR$OUT"
    x build "$WEB/hub/git/r.git#v1"
    fails "a repository behind a token" "git: cannot reach"
    printf 'open-word\n' > "$T/token"
    x SOURCE_DATE_EPOCH=$EPOCH build -q --secret id=GIT_AUTH_TOKEN,src="$T/token" "$WEB/hub/git/r.git#v1"
    ok "the secret GIT_AUTH_TOKEN"
    check "the secret GIT_AUTH_TOKEN: the digest of the directory" "$WANTED" "$OUT"
    x build --secret "id=GIT_AUTH_TOKEN.${WEB#http://},src=$T/token" "$WEB/hub/git/r.git#trunk:docker"
    ok "the secret GIT_AUTH_TOKEN.host"
    check "no secret is in the state directory" "" "$(grep -rl open-word "$STATE" || true)"
  else
    skipped "smart http: this git has no http-backend"
  fi
  same "dumb http" "$WEB/plain/r.git#v1"
  PATH_WITHOUT=$T/no-git
  mkdir -p "$PATH_WITHOUT"
  x PATH="$PATH_WITHOUT" build "$file"
  fails "no git on the machine" "git is needed for $file" "install it (the package is called git)"
  check_true "no checkout is left" test -z "$(find "$STATE/git/checkouts" -mindepth 1 -maxdepth 1 -name 'c-*')"
}

# ssh to a real server. It runs as an ordinary user, lets in nobody but that user, and has repositories of its own.
ssh_contexts() {
  local login=$LOGIN name port server=$T/server client=$T/client as=("${AS[@]}") run_as=("${RUN_AS[@]}")
  if is_rootish; then
    login=crossdock-sub
    need_user "$login" with
    as=(setpriv --reuid "$(id -u "$login")" --regid "$(id -g "$login")" --clear-groups)
  fi
  port=$(free_port)
  mkdir -p "$server" "$client"
  ssh-keygen -q -t ed25519 -N '' -f "$server/host"
  for name in key other; do ssh-keygen -q -t ed25519 -N '' -f "$client/$name"; done
  cp "$client/key.pub" "$server/authorized"
  cp -r "$T/www/r.git" "$server/r.git"
  printf '%s\n' "Port $port" 'ListenAddress 127.0.0.1' "HostKey $server/host" "AuthorizedKeysFile $server/authorized" 'PidFile none' 'StrictModes no' 'UsePAM no' 'PasswordAuthentication no' > "$server/config"
  [ "$WHO" = self ] || chown -R "$login" "$server"
  printf 'known.example %s\n' "$(cut -d' ' -f1,2 "$server/host.pub")" > "$client/known"
  for name in key other; do
    printf '%s\n' 'Host known.example' 'HostName 127.0.0.1' "Port $port" "User $login" "IdentityFile $client/$name" 'IdentitiesOnly yes' \
      "UserKnownHostsFile $client/known" 'HostKeyAlias known.example' 'BatchMode yes' > "$client/config-$name"
  done
  mine "$client"
  "${as[@]}" "$CACHE/sshd/run" -D -E "$server/log" -f "$server/config" </dev/null >/dev/null 2>&1 &
  local sshd=$!
  until_true 10 ssh-keyscan -p "$port" 127.0.0.1 >/dev/null 2>&1 || failed "sshd does not answer" "$(cat "$server/log")"

  RUN_AS+=("GIT_SSH_COMMAND=ssh -F $client/config-key")
  repository "ssh" "ssh://known.example$server/r.git"
  same "ssh, as scp writes it" "$login@known.example:$server/r.git#v1"
  dockerfile "$T/add-ssh" 'FROM busybox' "ADD $login@known.example:$server/r.git#v1 /r"
  x build -o type=local,dest=ssh.out add-ssh
  ok "ADD over ssh"
  check "its files" one "$(cat "$T/ssh.out/r/a" 2>/dev/null || true)"
  x GIT_SSH_COMMAND="ssh -F $client/config-other" build "ssh://known.example$server/r.git"
  fails "a key the server does not know" "git: cannot reach ssh://known.example$server/r.git" "Permission denied (publickey"
  x GIT_SSH_COMMAND="ssh -F $client/config-key -o UserKnownHostsFile=/dev/null" build "ssh://known.example$server/r.git"
  fails "a server we do not know" "git: cannot reach ssh://known.example$server/r.git" "Host key verification failed"
  # Without a word from the user: their agent, and no question.
  eval "$("${AS[@]}" ssh-agent -s -a "$client/agent")" >/dev/null
  SSH_AUTH_SOCK=$client/agent "${AS[@]}" ssh-add -q "$client/key" 2>/dev/null
  RUN_AS=("${run_as[@]}" "SSH_AUTH_SOCK=$client/agent")
  x build "ssh://$login@127.0.0.1:$port$server/r.git#v1"
  fails "an unknown server, ssh's own settings" "Host key verification failed"
  x GIT_SSH_COMMAND="ssh -F /dev/null -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=$client/new" build "ssh://$login@127.0.0.1:$port$server/r.git#v1"
  ok "a key of the agent"
  kill "$SSH_AGENT_PID" "$sshd"
  RUN_AS=("${run_as[@]}")
}

submodules() { # BASE
  local work=$T/super
  mkdir -p "$work"
  mine "$work"
  git_ -C "$work" init -q
  git_ -C "$work" submodule --quiet add "$1/r.git" part
  printf 'FROM busybox\nCOPY . /all\n' > "$work/Dockerfile"
  mine "$work/Dockerfile"
  git_ -C "$work" add -A
  git_ -C "$work" commit -q -m super
  git_ clone -q --bare "$work" "$T/www/super.git"
  x build -o type=local,dest=super.out "$1/super.git"
  ok "a repository with a submodule"
  check "the submodule's files are there" two "$(cat "$T/super.out/all/part/a" 2>/dev/null || true)"
  check "and no .git of either" "" "$(find "$T/super.out" -name .git)"
  x build -o type=local,dest=alone.out "$1/super.git?submodules=false"
  ok "submodules=false"
  check "leaves them out" "" "$(ls "$T/alone.out/all/part")"
}

web_contexts() {
  tar -C "$T/dir" -czf "$T/www/context.tar.gz" --owner=0 --group=0 .
  cp "$T/dir/Dockerfile" "$T/www/my.Dockerfile"
  same "an archive of a web server" "$WEB/context.tar.gz"
  IN=$T/lacks x build -f - "$WEB/context.tar.gz"
  fails "a path the archive lacks" 'failed to calculate checksum of the build context: "/nothing": not found'
  same "behind a redirect" "$WEB/moved/context.tar.gz"
  same "with a password in the URL" "${WEB/\/\//\/\/u:p@}/auth/context.tar.gz"
  x build "$WEB/context.tar.gz"
  check_has "the step has BuildKit's name" "[internal] load remote build context" "$ERR"
  check_match "what did not change is cached" '^CACHED \[internal\] load remote build context' "$(steps "$ERR")"
  check_has "the server was asked by ETag" ' 304 ' "$(tail -n 3 "$WORK/web.log")"
  same "-f of a URL" -f "$WEB/my.Dockerfile" dir
  printf 'FROM busybox\nCOPY context /itself\n' > "$T/www/alone"
  x build -o type=local,dest=alone.web "$WEB/alone"
  ok "a Dockerfile of a web server"
  check "which is its own context" "COPY context /itself" "$(tail -n 1 "$T/alone.web/itself")"
  x build "$WEB/none"
  fails "a file that is not there" "$WEB/none: invalid response status 404"
  x build "$WEB/auth/context.tar.gz"
  fails "a file behind a password" "invalid response status 401"
  printf 'open-word\n' > "$T/token"
  x build --secret id=HTTP_AUTH_TOKEN_127.0.0.1,src="$T/token" "$WEB/token/context.tar.gz"
  ok "the secret HTTP_AUTH_TOKEN_host"
  x WORD='Bearer open-word' build --secret id=HTTP_AUTH_HEADER_127.0.0.1,env=WORD "$WEB/token/context.tar.gz"
  ok "the secret HTTP_AUTH_HEADER_host"
  x build http://127.0.0.1:1/x
  fails "a server that is not there" "connection to 127.0.0.1:1 refused"
  x build -f "$WEB/none" dir
  fails "-f of a URL that is not there" "404"
}

adding() {
  local sum before
  printf 'payload\n' > "$T/www/file.txt"
  touch -d @1500000000 "$T/www/file.txt"
  tar -C "$T/dir" -czf "$T/www/pack.tgz" --owner=0 --group=0 sub
  sum=sha256:$(sha256sum < "$T/www/file.txt" | cut -d' ' -f1)
  dockerfile "$T/add" 'FROM busybox' "ADD $WEB/file.txt /f" "ADD --checksum=$sum $WEB/file.txt /d/" "ADD --chmod=755 --chown=3:4 $WEB/file.txt?q=1 /m/" \
    "ADD $WEB/pack.tgz /p/" "ADD --unpack=true $WEB/pack.tgz /u/" "ADD $WEB/plain/r.git#v1 /g/" "ADD --keep-git-dir=true file://$T/www/r.git#v1:sub /s" \
    "ADD --link $WEB/file.txt /l/"
  x build -o type=tar,dest=add.tar add
  must "ADD of URLs and repositories"
  check "a URL: owner, mode, time" "-rw------- 0/0 1500000000" "$(listed f)"
  check "a directory as target takes the URL's name" "-rw------- 0/0 1500000000" "$(listed d/file.txt)"
  check "--chmod and --chown; the query is no part of the name" "-rwxr-xr-x $([ "$WHO" = nosub ] && echo 0/0 || echo 3/4) 1500000000" "$(listed m/file.txt)"
  check "an archive of a URL stays one" "-rw------- 0/0" "$(listed p/pack.tgz | cut -d' ' -f1,2)"
  check "--unpack" "-rwxr-xr-x 0/0" "$(listed u/sub/deep/run | cut -d' ' -f1,2)"
  check "a repository" "-rw-r--r-- 0/0 1700000000" "$(listed g/a)"
  check "a subdirectory of one" "-rwxr-xr-x 0/0 1700000000" "$(listed s/deep/run)"
  check "with a subdirectory no history" "" "$(tar -tf "$T/add.tar" | grep -F '.git/' || true)"
  check "--link" "-rw------- 0/0 1500000000" "$(listed l/file.txt)"
  x build add
  check "all of it is cached" "" "$(steps "$ERR" | grep ADD | grep -v '^CACHED' || true)"
  dockerfile "$T/add1" 'FROM busybox' "ADD $WEB/changing /f" 'RUN cat /f'
  echo one > "$T/www/changing"
  x build add1
  ok "a file before it changed"
  echo two > "$T/www/changing"
  x build -o type=local,dest=changed.out add1
  ok "a file that changed"
  check_match "is fetched anew" '^DONE \[2/3\] ADD' "$(steps "$ERR")"
  check "and is the new one" two "$(cat "$T/changed.out/f")"
  dockerfile "$T/add5" 'FROM busybox' "ADD --checksum=$sum $WEB/changing /f"
  x build add5
  fails "a wrong checksum" "digest mismatch for $WEB/changing" "expected: $sum" 'Dockerfile:2'
  before=$(wc -l < "$WORK/web.log")
  dockerfile "$T/add6" 'FROM busybox' "ADD --checksum=$sum $WEB/file.txt /again"
  rm "$T/www/file.txt"
  x build add6
  ok "a checksum that is known"
  check "needs no server" "$before" "$(wc -l < "$WORK/web.log")"
  dockerfile "$T/add2" 'FROM busybox' "ADD $WEB/none /f"
  x build add2
  fails "ADD of a URL that is not there" "$WEB/none: invalid response status 404" 'Dockerfile:2'
  dockerfile "$T/add3" 'FROM busybox' "COPY $WEB/file.txt /f"
  x build add3
  fails "COPY of a URL" "source can't be a URL for COPY"
  dockerfile "$T/add4" 'FROM busybox' "ADD --checksum=${COMMIT:0:10} file://$T/www/r.git#v1 /a" "ADD --checksum=0123456 file://$T/www/r.git#v1 /b"
  x build add4
  fails "ADD of a repository with a wrong checksum" "but the checksum 0123456 was asked for" 'Dockerfile:3'
}

listed() { # PATH: mode, owner and time of a member
  TZ=UTC0 tar --numeric-owner --full-time -tvf "$T/add.tar" | awk -v path="$1" '{ name = $6; sub(/^\.\//, "", name); if (name == path) { print $1, $2, $4 " " $5 } }' |
    while read -r mode owner when; do echo "$mode $owner $(date -u -d "$when" +%s)"; done
}

named() {
  mkdir -p "$T/lib/out" "$T/ctx"
  echo library > "$T/lib/out/lib.so"
  printf '**/*.o\n' > "$T/lib/.dockerignore"
  echo object > "$T/lib/out/x.o"
  mine "$T/lib" "$T/ctx"
  dockerfile "$T/ctx" 'FROM alpine AS base' 'FROM base AS build' 'RUN exit 1' 'FROM base' 'COPY --from=build /out /out' 'COPY --from=repo a /repo/a' \
    'COPY --from=page context /page' 'RUN --mount=from=build,source=out,target=/m cat /m/lib.so > /mounted'
  x build --build-context alpine=docker-image://busybox --build-context build=lib --build-context "repo=file://$T/www/r.git#v1" \
    --build-context "page=$WEB/alone" -o type=local,dest=named.out ctx
  must "named contexts: an image, a directory in place of a stage, a repository, a URL"
  check "a directory's files, but not those it ignores" "lib.so" "$(ls "$T/named.out/out")"
  check "a repository's" one "$(cat "$T/named.out/repo/a")"
  check_has "a URL's" "COPY context" "$(cat "$T/named.out/page")"
  check "a mount's" library "$(cat "$T/named.out/mounted")"
  check_has "steps have BuildKit's names" "[context build] load from client" "$ERR"
  check_has "of images too" "[context alpine] load metadata for busybox" "$ERR"
  dockerfile "$T/based" 'FROM start' 'COPY a /added' 'RUN test -f /out/lib.so || true'
  echo a > "$T/based/a"
  dockerfile "$T/scratch" 'FROM root' 'COPY a /added'
  echo a > "$T/scratch/a"
  x build --build-context root=lib -o type=local,dest=root.out scratch
  ok "a directory as base"
  check "has its files" library "$(cat "$T/root.out/out/lib.so")"
  x build --build-context start=docker-image://busybox --platform linux/amd64,linux/arm64 --build-context start::linux/arm64=docker-image://busybox:latest based
  ok "one for a platform"
  check_has "is used for it" "[context start::linux/arm64] busybox:latest" "$ERR"
  x build -t made:1 -o type=oci,dest=made,tar=false scratch --build-context root=lib
  ok "an OCI layout"
  for form in oci-layout://made oci-layout://made:1 "oci-layout://$T/made@$(jq -r '.manifests[0].digest' "$T/made/index.json")"; do
    x build --build-context "start=$form" -o type=local,dest=layout.out scratch --build-context root=lib
    dockerfile "$T/onlayout" 'FROM start' 'COPY a /second'
    echo a > "$T/onlayout/a"
    x build --build-context "start=$form" -o type=local,dest=layout.out onlayout
    ok "as $form"
    check "its files are there" "library a" "$(cat "$T/layout.out/out/lib.so" "$T/layout.out/second" | tr '\n' ' ' | sed 's/ $//')"
  done
  x build --build-context start=oci-layout://made:none onlayout
  fails "a tag that is not in the layout" "no image of tag none; its tags are 1"
  x build --build-context start=none onlayout
  fails "a directory that is not there" "failed to get build context start: stat none: no such file or directory"
  x build --build-context start onlayout
  fails "a word without =" "invalid context value: start, expected key=value"
  x build --build-context start=docker-image://scratch -o type=local,dest=s.out onlayout
  ok "docker-image://scratch"
  check "begins empty" second "$(ls "$T/s.out")"
}

variables() {
  x DOCKER_BUILDKIT=0 build -q dir
  ok "DOCKER_BUILDKIT=0"
  check_has "warns" "legacy builder" "$ERR"
  x DOCKER_BUILDKIT=1 build -q dir
  check_hasnt "DOCKER_BUILDKIT=1 does not" "legacy builder" "$ERR"
  x DOCKER_BUILDKIT=maybe build -q dir
  fails "DOCKER_BUILDKIT=maybe" 'DOCKER_BUILDKIT environment variable expects boolean value: strconv.ParseBool: parsing "maybe": invalid syntax'
  x DOCKER_CLI_EXPERIMENTAL=enabled build -q dir
  ok "DOCKER_CLI_EXPERIMENTAL"
  check "says nothing" "" "$ERR"
  x DOCKER_DEFAULT_PLATFORM=linux/arm64 build -q -t default:1 scratch --build-context root=lib
  ok "DOCKER_DEFAULT_PLATFORM"
  x image inspect default:1
  check "chooses the platform" arm64 "$(jq -r '.[0].Architecture' <<<"$OUT")"
  x build -q --platform=local -t local:1 scratch --build-context root=lib
  ok "--platform=local"
  x image inspect local:1
  check "is this machine's" "$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')" "$(jq -r '.[0].Architecture' <<<"$OUT")"
  x BUILDKIT_PROGRESS=rawjson build dir
  check_true "BUILDKIT_PROGRESS" jq -e . "$WORK/err"
  mkdir -p "$T/here"
  mine "$T/here"
  (cd "$T/here" && "${C[@]}" build -o . "$T/scratch" --build-context root="$T/lib" >/dev/null 2>&1) || true
  check "-o ." library "$(cat "$T/here/out/lib.so" 2>/dev/null || true)"
  printf '{"proxies":{"default":{"httpProxy":"http://proxy.example:1","noProxy":"127.0.0.1"}}}\n' > "$T/docker/config.json"
  dockerfile "$T/proxies" 'FROM busybox' 'RUN echo "$http_proxy $HTTP_PROXY $no_proxy" > /p'
  x build -o type=local,dest=proxies.out proxies
  ok "proxies of config.json"
  check "reach the steps" "http://proxy.example:1 http://proxy.example:1 127.0.0.1" "$(cat "$T/proxies.out/p")"
  x build --build-arg http_proxy=http://mine.example -o type=local,dest=proxies2.out proxies --no-cache
  check_has "and give way to --build-arg" "http://mine.example" "$(cat "$T/proxies2.out/p")"
  rm "$T/docker/config.json"
}

scenario() {
  local port
  make_contexts
  coproc WEB_SERVER { exec "${AS[@]}" "$E2E/web-server" "$T/www" 2>"$WORK/web.log"; }
  PIDS+=("$WEB_SERVER_PID")
  read -r port <&"${WEB_SERVER[0]}"
  WEB=http://127.0.0.1:$port
  x SOURCE_DATE_EPOCH=$EPOCH build -q dir
  must "the directory"
  WANTED=$OUT
  check_match "has a digest" '^sha256:[0-9a-f]{64}$' "$WANTED"
  directories
  standard_input
  git_contexts
  ssh_contexts
  web_contexts
  adding
  named
  variables
  check_store "after all contexts"
  kill "$WEB_SERVER_PID" 2>/dev/null || true
  nothing_left "contexts"
}

emulators
"$REPO/scripts/sshd" "$CACHE/sshd"
busybox_registry
each_user scenario root sub nosub

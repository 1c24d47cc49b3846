#!/usr/bin/env bash
# Containers that stay: create, start, stop, wait, ps, cp, logs, rm, inspect, run -d, --rm; what the flags of run mean.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# one line of ps -a for a container: STATUS
status_of() { "${C[@]}" ps -a --filter "name=$1" --format '{{.Status}}'; }
is_gone() { [ -z "$(status_of "$1")" ]; }

# Row G7 to G10 of the articles: a file out of a container that never ran.
articles() {
  x create -it --name dummy busybox sh
  must "create"
  check_match "create prints the ID" '^[0-9a-f]{64}$' "$OUT"
  local id=$OUT
  x container ls -a
  check_match "container ls -a: heading" '^CONTAINER ID   IMAGE     COMMAND   CREATED +STATUS +PORTS +NAMES$' "$OUT"
  check_match "container ls -a: the container" "^${id:0:12}   busybox   \"sh\" .* Created +dummy$" "$OUT"
  x ps
  check_hasnt "ps shows running ones only" dummy "$OUT"
  x ps -aq --no-trunc
  check "ps -aq --no-trunc" "$id" "$OUT"
  x cp dummy:/bin/busybox bb
  ok "cp of a file out of a container that never ran"
  check_true "it is that file" cmp "$T/bb" "$T/reference"
  check "cp: it belongs to the caller" "$LOGIN" "$(stat -c %U "$T/bb")"
  x rm -f dummy
  check "rm prints the name" dummy "$OUT"
  x ps -aq
  check "rm removes" "" "$OUT"
  check "no writable layer stays" "" "$(find "$STATE/containers" -mindepth 1 -not -name .lock)"
}

names() {
  x create --name taken busybox true
  ok "create --name"
  x create --name taken busybox true
  fails "a name that is taken" 'already in use by container' taken
  check "exit 1 of create" 1 "$RC"
  x run --name taken busybox true
  check "exit 125 of run" 125 "$RC"
  x create --name 'no/slash' busybox true
  fails "a name that is none" 'Invalid container name'
  x create busybox true
  local id=$OUT
  x inspect --format '{{.Name}}' "${id:0:10}"
  check_match "a name of two words is found by the beginning of the ID" '^/[a-z]+_[a-z]+[0-9]*$' "$OUT"
  x rm taken "${id:0:8}"
  check "rm prints what was typed" "taken ${id:0:8}" "$(tr '\n' ' ' <<<"$OUT" | sed 's/ $//')"
  x rm taken
  fails "rm of nothing" 'No such container: taken'
  x rm -f taken
  ok "rm -f of nothing"
  x start taken
  fails "start of nothing" 'No such container'
}

background() {
  x run -d --name bg --label kind=test busybox sh -c 'echo one; echo two >&2; trap "echo bye; exit 5" TERM; while :; do sleep 0.1; done'
  must "run -d"
  check_match "run -d prints the ID" '^[0-9a-f]{64}$' "$OUT"
  check_match "ps: Up" '^Up ' "$(status_of bg)"
  x ps --filter label=kind=test --format '{{.Names}} {{.State}}'
  check "ps --filter --format" "bg running" "$OUT"
  until_true 10 grep -q two "$STATE"/containers/*/log || true
  x logs bg
  check "logs: standard output" one "$OUT"
  check "logs: standard error" two "$ERR"
  x logs -t bg
  check_match "logs -t" '^20[0-9-]+T[0-9:.]+Z one$' "$OUT"
  x logs --tail 1 bg
  check "logs --tail" 1 "$(printf '%s\n' "$OUT" "$ERR" | grep -c .)"
  x rm bg
  fails "rm of one that runs" 'container bg is running'
  x start bg
  ok "start of one that runs is no failure"
  x inspect --format '{{.State.Status}} {{.State.Running}} {{json .Config.Labels}}' bg
  check "inspect" 'running true {"kind":"test"}' "$OUT"
  x stop bg
  check "stop prints the name" bg "$OUT"
  check_match "stop: the program had time to end" '^Exited \(5\) ' "$(status_of bg)"
  x logs bg
  check_has "logs of one that ended" bye "$OUT"
  x wait bg
  check "wait prints the exit code" 5 "$OUT"
  x start bg
  check "start again" bg "$OUT"
  x start nosuch bg neither
  check "start: the others are started" "1 bg" "$RC $OUT"
  check_has "start: which were not" 'Error: failed to start containers: nosuch, neither' "$ERR"
  check_match "it runs again" '^Up ' "$(status_of bg)"
  x kill -s BOGUS bg
  fails "kill: no such signal" BOGUS
  x kill -s TERM bg
  check "kill prints the name" bg "$OUT"
  x wait bg
  check "kill -s TERM: the program answers" 5 "$OUT"
  x kill bg
  fails "kill of one that ended" 'cannot kill container: bg: container ' ' is not running'
  x kill nosuch
  fails "kill of nothing" 'cannot kill container: nosuch'
  x start bg
  x kill bg
  x wait bg
  check "kill alone is SIGKILL" 137 "$OUT"
  x start bg
  x rm -f bg
  check "rm -f of one that runs" bg "$OUT"

  # The process that runs it is killed: the container is dead, whatever its record says.
  x run -d --name orphan busybox sleep "$MARK"
  ok "run -d again"
  x inspect --format '{{.State.Pid}}' orphan
  kill -9 "$OUT"
  check_true "with the process that ran it its program ends" until_true 10 sh -c "! pgrep -f \"sleep $MARK\$\""
  check_match "a dead supervisor is no Up" '^Exited \(137\) ' "$(status_of orphan)"
  x start orphan
  ok "and it can be started again"
  x stop -t 0 orphan
  x rm orphan
  ok "rm"

  x run -d --rm --name short busybox sh -c 'sleep 0.5; exit 3'
  ok "run -d --rm"
  x wait short
  check "wait gives the exit code of what is removed with its end" "0 3" "$RC $OUT"
  check_true "--rm removes it" until_true 30 is_gone short
  x run -d --rm --name killed busybox sleep 100
  x rm -f killed
  check "rm -f of one that is removed with its end" "0 killed" "$RC $OUT"
  x run -d busybox no-such-program
  check "run -d of nothing" 127 "$RC"
  check_has "run -d of nothing says why" 'not found in $PATH' "$ERR"
  x run -dit --name shell busybox sh
  ok "run -dit"
  check_match "a shell with a terminal waits" '^Up ' "$(status_of shell)"
  x rm -f shell
  x run -di --name input busybox cat
  check_match "so does a program with an input" '^Up ' "$(status_of input)"
  x rm -f input
  x run -d --name follow busybox sh -c 'i=0; while [ $i -lt 8 ]; do echo $i; i=$((i+1)); sleep 0.1; done'
  x logs -f follow
  check_match "logs -f goes on until the end" '^7$' "$OUT"
  x rm follow
}

foreground() {
  x run --name fg busybox sh -c 'echo out; echo err >&2; exit 3'
  check "run: the exit code" 3 "$RC"
  check "run: its output" "out err" "$OUT $ERR"
  check_match "run leaves the container" '^Exited \(3\) ' "$(status_of fg)"
  x logs fg
  check "its log" out "$OUT"
  x start -a fg
  check "start -a: exit code and output" "3 out" "$RC $OUT"
  x run --rm --name gone busybox true
  check "run --rm leaves nothing" "" "$(status_of gone)"
  x run --rm --name gone busybox no-such-program
  check "run --rm of nothing: 127" 127 "$RC"
  check "and leaves nothing" "" "$(status_of gone)"
  # A writable layer lives from start to start.
  x run --name writer busybox sh -c 'echo kept >> /kept; wc -l < /kept'
  check "the first run" 1 "$OUT"
  x start -a writer
  check "what it wrote is there at the next start" 2 "$OUT"
  x logs --since 1h fg
  check "logs --since: what is younger" "out out" "$(tr '\n' ' ' <<<"$OUT" | sed 's/ $//')"
  x logs --since 2999-01-01 fg
  check "logs --since: nothing is" "0 " "$RC $OUT"
  x logs --until 2020-01-02T03:04:05Z fg
  check "logs --until: nothing is older" "0 " "$RC $OUT"
  x logs --until 0s --since 1577934245 --tail all fg
  check "logs --until --since: in between" "out out" "$(tr '\n' ' ' <<<"$OUT" | sed 's/ $//')"
  x logs --since bogus fg
  fails "logs --since: no time" 'invalid value for "since": failed to parse value as time or duration: "bogus"'
  x create --name quoted --label my.label=v --label odd=a,b busybox sh -c 'echo "a b"' '' c
  x ps -a --no-trunc -f name=quoted --format '{{.Command}}|{{.Label "my.label"}}|{{.Label "odd"}}|{{.Label "none"}}|'
  check "ps: words with blanks are quoted, labels asked for by name" "\"sh -c 'echo \\\"a b\\\"'  c\"|v|a,b||" "$OUT"
  x ps -a -f name=quoted --format '{{json .}}'
  check_hasnt "ps: JSON has no field for it" '"Label":' "$OUT"
  x ps -a -f name=quoted --format 'table {{.Names}}\t{{.Label "my.label"}}'
  check_match "ps: its heading" '^NAMES +label' "$OUT"
  x ps -a -s -f name=writer
  check_match "ps -s: a column more, with what was written" 'SIZE.* 10B$' "$(tr '\n' ' ' <<<"$OUT" | sed 's/ *$//')"
  x container inspect -s --format '{{.SizeRw}}' writer
  check "inspect -s" 10 "$OUT"
  for format in '{{' '{{.Bogus}}'; do
    x ps --format "$format"
    check "ps --format '$format' without a container" 1 "$RC"
  done
  for filter in status=bogus bogus=1; do
    x ps -f "$filter"
    fails "ps -f $filter" "invalid filter"
  done
  x container prune -f --filter label=nosuch
  check "container prune: nothing matches" "" "$(grep Deleted <<<"$OUT" || true)"
  x container prune -f --filter until=2020-01-01
  check "container prune: nothing is so old" "" "$(grep Deleted <<<"$OUT" || true)"
  x CROSSDOCK_STATE_DIR="$T/pruned" create --name user busybox true
  ok "a container of another store"
  x CROSSDOCK_STATE_DIR="$T/pruned" image prune -af
  check_hasnt "image prune -a: an image that a container needs stays" busybox "$OUT"
  x CROSSDOCK_STATE_DIR="$T/pruned" system prune -f
  check_has "system prune: containers that do not run go" 'Deleted Containers:' "$OUT"
  check_hasnt "system prune: an image with a name stays" busybox "$OUT"
  x CROSSDOCK_STATE_DIR="$T/pruned" system prune -af
  check_has "system prune -a: then it goes" 'untagged: busybox:latest' "$OUT"
  x CROSSDOCK_STATE_DIR="$T/pruned" images -q
  check "nothing is left" "" "$OUT"
  x container prune -f
  ok "container prune"
  check_has "container prune says which" 'Deleted Containers' "$OUT"
  x ps -aq
  check "container prune removes those that ended" "" "$OUT"
  x run --rm busybox sh -c 'yes | head -c 2000000'
  check "2 MB come through" 2000000 "$(stat -c %s "$WORK/out")"
  x run busybox sh -c 'yes | head -c 2000000'
  check "2 MB come through, with a log" 2000000 "$(stat -c %s "$WORK/out")"
  (cd "$T" && timeout 20 "${C[@]}" run busybox yes 2>/dev/null | head -n 1) >"$WORK/out" || true
  check "a reader that goes away ends it" y "$(cat "$WORK/out")"
  x container prune -f
}

copying() {
  mkdir -p "$T/tree/sub"
  echo a > "$T/tree/a"
  echo b > "$T/tree/sub/b"
  ln -s /etc/passwd "$T/tree/link"
  chmod 750 "$T/tree/sub"
  mine "$T/tree"
  x create --name copies busybox sh -c 'cat /in/a /in/sub/b; ls -l /in/sub | head -n 2; stat -c "%u %a" /in/sub /in/a; readlink /in/link'
  x cp tree copies:/in
  ok "cp of a directory into a container, under a new name"
  x start -a copies
  check_has "it is there" "$(printf 'a\nb')" "$OUT"
  check_has "owners are root's, modes are kept" '0 750' "$OUT"
  check_has "links are kept" /etc/passwd "$OUT"
  x cp tree copies:/tmp
  x cp copies:/tmp/tree back
  ok "cp of a directory into one that is there, and back"
  check_true "the same files" diff -r --no-dereference "$T/tree" "$T/back"
  printf odd > "$T/tree/"$'b\xff\xfe'
  mine "$T/tree"
  x cp $'tree/b\xff\xfe' copies:/odd
  ok "cp of a name that is no text"
  x cp copies:/odd $'back/b\xff'
  check "cp to a name that is no text" odd "$(cat "$T/back/"$'b\xff')"
  rm -f "$T/tree/"$'b\xff\xfe'
  x run --rm busybox echo $'b\xff'
  fails "run with an argument that is no text" 'is not UTF-8'
  check "run: Docker's code" 125 "$RC"
  x cp tree/. copies:/opt2
  x cp copies:/opt2/. into-new
  ok "cp DIR/."
  check_true "the same files" diff -r --no-dereference "$T/tree" "$T/into-new"
  mkdir -p "$T/there" && mine "$T/there"
  x cp copies:/in there
  check_true "cp into a directory that is there" test -f "$T/there/in/sub/b"
  x cp copies:/in/. there
  check_true "cp DIR/. into a directory that is there" test -f "$T/there/sub/b"
  x cp copies:/in/a there/renamed
  check "cp of a file under a new name" a "$(cat "$T/there/renamed")"
  x cp tree/a copies:/etc/passwd/
  fails "a slash behind a file" 'not a directory'
  x cp tree/a copies:/no/such/dir/a
  fails "a directory that is not there" 'does not exist'
  x cp tree copies:/in/a
  fails "a directory over a file" 'cannot copy a directory'
  x cp copies:/nowhere .
  fails "a path that is not there" 'Could not find the file /nowhere in container copies'
  x cp tree/a copies:
  fails "an empty path of a container as target" 'no such directory'
  x cp copies: into
  fails "an empty path of a container as source" 'bad parameter'
  check_true "and nothing was copied" test ! -e "$T/into"
  x cp nowhere copies:/
  fails "a path of the host that is not there" nowhere
  x cp tree/a copies:/.wh.a
  fails "a name that means a deletion" .wh.
  # A tar on both streams.
  (cd "$T" && tar -cf "$WORK/tree.tar" tree)
  IN=$WORK/tree.tar x cp - copies:/var
  ok "cp - into a container"
  (cd "$T" && "${C[@]}" cp copies:/var/tree - > "$WORK/back.tar")
  check "cp … -" "tree/ tree/a tree/link tree/sub/ tree/sub/b" "$(tar -tf "$WORK/back.tar" | sort | tr '\n' ' ' | sed 's/ $//')"
  printf 'no tar at all' > "$WORK/no.tar"
  IN=$WORK/no.tar x cp - copies:/var
  fails "cp - of what is no tar" 'the tar on standard input'
  # Links of the image lead nowhere outside.
  dockerfile "$T/evil" 'FROM busybox' 'RUN ln -s /etc /to-etc && ln -s ../../../../../../etc/passwd /up && ln -s loop /loop && echo inside > /etc/marker'
  x build -q -t evil:1 evil
  x create --name evil evil:1 true
  x cp evil:/to-etc/marker marker
  check "a link is followed within the container" inside "$(cat "$T/marker")"
  x cp -L evil:/up up
  check_true "a link out of the root stays in it" cmp -s "$T/up" <("${C[@]}" cp evil:/etc/passwd - | tar -xOf -)
  x cp evil:/loop/x loop
  fails "a circle of links" 'loop'
  x cp tree/a evil:/to-etc/copied
  ok "cp through a link of the container"
  check_true "the host's /etc is left alone" test ! -e /etc/copied
  x cp evil:/etc/copied copied
  check "it is within the container" a "$(cat "$T/copied")"
  x rm evil copies
  ok "rm"
  x run -d --name busy busybox sleep 100
  x cp busy:/etc/passwd passwd
  ok "cp out of one that runs"
  x cp tree/a busy:/a
  ok "cp into one that runs"
  x cp busy:/a from-busy
  check "it is there" a "$(cat "$T/from-busy")"
  x cp tree/sub busy:/a
  fails "a directory over a file of one that runs" 'cannot copy a directory'
  x stop -t 1 busy
  x cp busy:/a from-busy
  check "it stays" a "$(cat "$T/from-busy")"
  x rm busy
  # What is copied in is seen by the program.
  x run -d --name waits busybox sh -c 'until test -e /tmp/tree/sub/b; do sleep 0.1; done; stat -c "%u:%a" /tmp/tree/sub; cat /tmp/tree/sub/b'
  x cp tree waits:/tmp
  ok "cp of a directory into one that runs"
  x wait waits
  x logs waits
  check "the program sees it" '0:750 b' "$(tr '\n' ' ' <<<"$OUT" | sed 's/ $//')"
  x rm -f waits
}

# What inspect says is what the image says, where nothing else was asked for.
inspecting() {
  dockerfile "$T/full" 'FROM busybox' 'ENV A=1 B=2' 'USER 5' 'WORKDIR /w' 'ENTRYPOINT ["sh", "-c"]' 'CMD ["echo hi"]' 'EXPOSE 80'
  x build -q -t full:1 full
  x create --name full full:1
  x container inspect --format '{{json .Config.Entrypoint}}{{json .Config.Cmd}} {{.Config.User}} {{.Config.WorkingDir}} {{join .Config.Env " "}}' full
  check_match "inspect: the image's config" '^\["sh","-c"\]\["echo hi"\] 5 /w PATH=[^ ]* A=1 B=2$' "$OUT"
  x container inspect --format '[{{.NetworkSettings.IPAddress}}] {{range $name, $one := .NetworkSettings.Networks}}{{$name}}{{end}} {{.HostConfig.RestartPolicy.Name}}{{if .State.Health}} health{{end}}' full
  check "inspect: network, restart policy, health" '[] host no' "$OUT"
  x container inspect full
  check_hasnt "inspect without a health check" '"Health"' "$OUT"
  x rm full
  x create --name full -e A=9 -u 7 --entrypoint ls full:1
  x container inspect --format '{{json .Config.Entrypoint}}{{json .Config.Cmd}} {{.Config.User}} {{join .Config.Env " "}}' full
  check_match "inspect: what was asked for counts" '^\["ls"\]null 7 A=9 PATH=[^ ]* B=2$' "$OUT"
  x container inspect full nosuch
  check "inspect of one that is not there: exit 1, the other one shown" "1 1" "$RC $(grep -c '"Id"' <<<"$OUT")"
  x container inspect nosuch
  check "inspect of nothing" "1 [] ERROR: No such container: nosuch" "$RC $OUT $ERR"
  x rm full
}

# What containers need is neither removed nor collected.
keeping() {
  local digest
  dockerfile "$T/keep" 'FROM busybox' 'RUN echo kept > /kept' 'CMD ["cat", "/kept"]'
  x build -q -t keep:1 keep
  digest=$OUT
  x create --name keeper keep:1
  x rmi keep:1
  fails "rmi of an image in use" 'must force' 'is using its referenced image'
  x rmi -f keep:1
  ok "rmi -f"
  check_has "rmi -f" 'Untagged: keep:1' "$OUT"
  x prune -a -f
  ok "prune -a -f"
  x start -a keeper
  check "the container still has its image" kept "$OUT"
  x images --no-trunc -q
  check_hasnt "which has no name any more" "$digest" "$OUT"
  x rm keeper
  x prune -a -f
  check_true "with the container its image goes" test ! -e "$STATE/blobs/sha256/${digest#sha256:}"
  x build -q -t keep:2 keep
  x run -d --name keeper keep:2 sleep 100
  x rmi -f keep:2
  fails "rmi -f of an image of one that runs" 'cannot be forced'
  x rm -f keeper
}

flags() {
  x run --rm busybox@"$(registry_digest library/busybox:latest)" true
  ok "NAME@DIGEST"
  local arm
  arm=$(skopeo_ inspect --raw --tls-verify=false "docker://$REGISTRY/library/busybox:latest" | jq -r '.manifests[] | select(.platform.architecture == "arm64") | .digest')
  x run --rm "docker.io/library/busybox:latest@$arm" uname -m
  check "NAME:TAG@DIGEST: the digest wins" aarch64 "$OUT"
  x run --rm busybox uname -m
  check "and the tag keeps its meaning" "$(uname -m)" "$OUT"
  x run --rm "other/name:latest@$arm" true
  check "a digest of another repository is not taken: exit 125" 125 "$RC"
  printf '# comment\nA=1\nB=two words\nHOME_OF\n' > "$T/vars"
  mine "$T/vars"
  x HOME_OF=x run --rm --env-file vars -e A=2 busybox sh -c 'echo "$A,$B,$HOME_OF"'
  check "--env-file" '2,two words,x' "$OUT"
  x run --rm --env-file nowhere busybox true
  check "--env-file of nothing: exit 125" 125 "$RC"
  mkdir -p "$T/shared" && echo shared > "$T/shared/f" && mine "$T/shared"
  x run --rm --mount "type=bind,source=$T/shared,target=/s,readonly" busybox sh -c 'cat /s/f; touch /s/no'
  check "--mount type=bind,…,readonly" "shared 1" "$OUT $RC"
  x run --rm --tmpfs /t:size=1m busybox sh -c 'echo x > /t/x && grep -c " /t tmpfs" /proc/mounts'
  check "--tmpfs" 1 "$OUT"
  x run --rm --read-only busybox touch /x
  check_true "--read-only" test "$RC" != 0
  x run --rm -h host.name busybox hostname
  check "-h" host.name "$OUT"
  x run --rm --add-host db:10.1.2.3 busybox grep db /etc/hosts
  check_match "--add-host" '^10.1.2.3' "$OUT"
  x run --rm -p 8080:80 busybox true
  ok "-p"
  check_has "-p says whose ports they are" 'host' "$ERR"
  x run --rm -p 8080:x busybox true
  check "-p with nonsense: exit 125" 125 "$RC"
  x run --rm --cap-add NET_ADMIN --memory 1g --security-opt seccomp=unconfined busybox true
  ok "flags without effect"
  check_has "--cap-add is named" '--cap-add NET_ADMIN' "$ERR"
  check_has "--memory is named" '--memory 1g' "$ERR"
  check_has "--security-opt is named" 'seccomp=unconfined' "$ERR"
  x run --rm --sysctl a=b --health-cmd true --annotation a=b busybox true
  ok "more of them"
  check_has "--sysctl is named" '--sysctl a=b has no effect' "$ERR"
  check_has "--health-cmd is named" 'health checks are not run' "$ERR"
  x run --rm --restart always busybox true
  check "--restart with --rm: exit 125" 125 "$RC"
  check_has "--restart with --rm" 'conflicting options: cannot specify both --restart and --rm' "$ERR"
  printf '# labels\nfrom=file\nalone\n' > "$T/labels"
  mine "$T/labels"
  x create --name labelled --label-file labels -l from=flag busybox true
  x inspect --format '{{json .Config.Labels}}' labelled
  check "--label-file" '{"alone":"","from":"flag"}' "$OUT"
  x rm labelled
  printf '{"proxies":{"default":{"httpProxy":"http://p:1"}}}' > "$T/docker/config.json"
  mine "$T/docker/config.json"
  x run --rm -e HTTP_PROXY=mine busybox sh -c 'echo $HTTP_PROXY $http_proxy'
  check "proxies of config.json" 'mine http://p:1' "$OUT"
  rm "$T/docker/config.json"
  x run --rm --gpus all busybox true
  check "--gpus: exit 125" 125 "$RC"
  check_has "--gpus is refused in Docker's words" 'could not select device driver' "$ERR"
  x run --rm --init --network none busybox sh -c 'cat /proc/net/dev | grep -c :'
  check "--init --network none" 1 "$OUT"
  x run --rm --network other busybox true
  check "--network of nothing: exit 125" 125 "$RC"
  x run --rm --pull never never/there true
  check "--pull never: exit 125" 125 "$RC"
  x run --rm --pull always busybox true
  check_has "--pull always asks" 'Image is up to date' "$ERR"
  x run --rm busybox --rm
  check "what stands behind the image is the command's" 127 "$RC"
  x run --rm --entrypoint echo busybox -d -it -h
  check "flags behind the image are the command's" '-d -it -h' "$OUT"
  x run --rm --cidfile cid busybox true
  check_match "--cidfile" '^[0-9a-f]{64}$' "$(cat "$T/cid")"
  x run --bogus busybox
  check "an unknown flag: exit 125" 125 "$RC"
  x rmi -f "docker.io/library/busybox@$arm"
}

privileged() {
  x run --rm busybox sh -c 'grep CapEff /proc/self/status; (echo x > /proc/sys/kernel/domainname) 2>/dev/null || echo readonly'
  check_has "by default: Docker's capabilities" 00000000a80425fb "$OUT"
  check_has "by default /proc/sys is read-only" readonly "$OUT"
  x run --rm --privileged busybox sh -c 'grep CapEff /proc/self/status; grep Seccomp: /proc/self/status; mount | grep " /proc/sys " || echo writable; ls /dev | wc -l; cat /proc/sys/fs/binfmt_misc/status 2>&1; true'
  ok "--privileged runs"
  check_hasnt "--privileged: more than Docker's capabilities" 00000000a80425fb "$OUT"
  [ "$WHO" != root ] || check_has "--privileged: all that root has here" "$(grep CapBnd /proc/self/status | cut -f2)" "$OUT"
  check_match "--privileged: no filter" 'Seccomp:.*0$' "$OUT"
  check_has "--privileged: /proc/sys can be written" writable "$OUT"
  if [ "$WHO" = root ]; then
    check_hasnt "root is told nothing" WARNING "$ERR"
    if [ -e /proc/sys/fs/binfmt_misc/status ]; then check_match "the host's binfmt_misc is seen" '^enabled' "$OUT"; fi
    x run --rm --privileged busybox sh -c 'mount -t binfmt_misc none /proc/sys/fs/binfmt_misc; head -n 1 /proc/sys/fs/binfmt_misc/status'
    check "--privileged: the kernel's table of binary formats" enabled "$OUT"
  else
    check_has "who is not root hears what cannot be done" '--privileged: you are not root' "$ERR"
  fi
}

scenario() {
  x pull busybox
  must "pull"
  "${C[@]}" run --rm busybox cat /bin/busybox > "$T/reference"
  articles
  names
  background
  foreground
  copying
  inspecting
  keeping
  flags
  privileged
  x ps -aq
  check "no container is left" "" "$OUT"
  check_store "after all"
  nothing_left "containers"
}

emulators
busybox_registry
each_user scenario root sub nosub

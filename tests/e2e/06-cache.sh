#!/usr/bin/env bash
# The cache: a second build runs nothing, a touch changes nothing, one byte reruns exactly what stands behind it.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# states TEXT: the states of the Dockerfile's steps, in its order, as one line.
states() { instructions "$1" | sed -E 's/^([A-Z]*) \[[^]]*[^0-9]([0-9]+)\/[0-9]+\].*/\2 \1/; s/^([A-Z]*) \[([0-9]+)\/[0-9]+\].*/\2 \1/' | sort -n | cut -d' ' -f2 | tr '\n' ' ' | sed 's/ $//'; }

builds() { # WHAT EXPECTED [ARGS...]
  local what=$1 wanted=$2
  shift 2
  x build --platform linux/amd64 -t cache:1 "$@" app
  ok "$what: builds"
  check "$what: states of the steps" "$wanted" "$(states "$ERR")"
}

scenario() {
  mkdir -p "$T/app/src/deep"
  printf 'one\n' > "$T/app/one"
  printf 'two\n' > "$T/app/two"
  printf 'three\n' > "$T/app/src/deep/three"
  printf 'ignored\n' > "$T/app/notes.md"
  printf '*.md\n' > "$T/app/.dockerignore"
  dockerfile "$T/app" <<'D'
FROM busybox
WORKDIR /app
COPY one /app/one
RUN cat one > ran-one
COPY two /app/two
RUN cat two > ran-two
COPY src /app/src
COPY . /all
D
  # Steps 2 to 8 do something; step 1 is FROM.
  builds "the first build" "DONE DONE DONE DONE DONE DONE DONE"
  builds "the second build" "CACHED CACHED CACHED CACHED CACHED CACHED CACHED"
  check "the second build: nothing but CACHED" "" "$(steps "$ERR" | grep -E '^DONE .*\] (RUN|COPY|WORKDIR)' || true)"

  sleep 0.1
  touch "$T/app/one" "$T/app/two" "$T/app/src/deep/three" "$T/app"
  builds "after a touch" "CACHED CACHED CACHED CACHED CACHED CACHED CACHED"

  printf 'changed\n' > "$T/app/notes.md"
  builds "an ignored file changed" "CACHED CACHED CACHED CACHED CACHED CACHED CACHED"

  printf 'twO\n' > "$T/app/two"
  mine "$T/app"
  builds "one byte of two changed" "CACHED CACHED CACHED DONE DONE DONE DONE"
  x run cache:1 cat /app/ran-two /all/two
  check "the change is in the image" "twO twO" "$(tr '\n' ' ' <<<"$OUT" | sed 's/ $//')"

  printf 'two\n' > "$T/app/two"
  builds "and changed back" "CACHED CACHED CACHED CACHED CACHED CACHED CACHED"
  x run cache:1 cat /app/ran-two
  check "the old bytes are back" "two" "$OUT"

  printf 'thrEe\n' > "$T/app/src/deep/three"
  builds "one byte of the last sources changed" "CACHED CACHED CACHED CACHED CACHED DONE DONE"

  chmod 755 "$T/app/one"
  builds "a mode changed" "CACHED DONE DONE DONE DONE DONE DONE"
  chmod 644 "$T/app/one"
  builds "the mode changed back" "CACHED CACHED CACHED CACHED CACHED CACHED CACHED"

  # Same size, same mtime, other bytes: ctime and inode tell.
  touch -r "$T/app/one" "$WORK/time"
  printf 'onE\n' > "$T/app/one"
  touch -r "$WORK/time" "$T/app/one"
  builds "other bytes under the same size and mtime" "CACHED DONE DONE DONE DONE DONE DONE"
  printf 'one\n' > "$T/app/one"

  # The same bytes from another directory, under another name.
  cp -r "$T/app" "$T/moved"
  mine "$T/moved"
  x build --platform linux/amd64 -t moved:1 moved
  check "another directory with the same bytes" "CACHED CACHED CACHED CACHED CACHED CACHED CACHED" "$(states "$ERR")"

  # As in BuildKit, WORKDIR is no part of --no-cache: making a directory has one result.
  builds "--no-cache" "CACHED DONE DONE DONE DONE DONE DONE" --no-cache
  builds "the build behind --no-cache" "CACHED CACHED CACHED CACHED CACHED CACHED CACHED"

  sed -i 's/ran-two/done-two/' "$T/app/Dockerfile"
  builds "a command changed" "CACHED CACHED CACHED CACHED DONE DONE DONE"
  x build --platform linux/amd64 --label a=b -t cache:2 app
  check "a label reruns nothing" "CACHED CACHED CACHED CACHED CACHED CACHED CACHED" "$(states "$ERR")"

  # A build argument counts from the RUN behind its ARG.
  dockerfile "$T/app" 'FROM busybox' 'RUN echo first' 'ARG VALUE=x' 'RUN echo $VALUE > /value' 'COPY one /one'
  builds "an ARG" "DONE DONE DONE"
  builds "the ARG with another value" "CACHED DONE DONE" --build-arg VALUE=y
  builds "the ARG's default again" "CACHED CACHED CACHED"
  check_store "after all of it"
  nothing_left "cache"
}

busybox_registry
each_user scenario root sub nosub

#!/bin/sh
set -e
if [ "$1" = store ] && [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" && chown store:store "$PGDATA" && chmod 700 "$PGDATA"
  exec gosu store "$0" "$@"
fi
echo "as $(id -un)"
exec "$@"

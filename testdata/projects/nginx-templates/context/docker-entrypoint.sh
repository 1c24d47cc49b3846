#!/bin/sh
set -e
for step in /docker-entrypoint.d/*.sh; do "$step"; done
exec "$@"

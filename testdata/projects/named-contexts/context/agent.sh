#!/bin/sh
cat /etc/agent/settings.toml /etc/agent/extra.toml

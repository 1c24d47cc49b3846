# Run in a copy of this directory before it is built.
mkdir -p d/sub && echo one > d/one && echo two > d/sub/two && chmod 750 d/sub && ln -s one d/link && tar --owner=5 --group=6 --numeric-owner -czf data.tgz d && rm -r d

# Run in a copy of this directory before it is built.
mkdir d && echo one > d/one && tar --owner=0 --group=0 -cJf data.tar.xz d && rm -r d

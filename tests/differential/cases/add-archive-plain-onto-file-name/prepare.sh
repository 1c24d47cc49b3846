# Run in a copy of this directory before it is built.
mkdir x && echo a > x/a && tar --owner=0 --group=0 -cf data.tar -C x . && rm -r x

# Run in a copy of this directory before it is built.
chmod 644 'a'

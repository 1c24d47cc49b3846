# Run in a copy of this directory before it is built.
chmod 750 'src/sub'
chmod 600 'src/a'

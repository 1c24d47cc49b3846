# Run in a copy of this directory before it is built.
mkdir -p empty/inner

ln -s f d/l
ln -s nope d/lx

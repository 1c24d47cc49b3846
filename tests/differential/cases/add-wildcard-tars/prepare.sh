mkdir t; echo in > t/f; mkdir t/d; chmod 700 t/d; ln -s f t/l; ln t/f t/h; tar --owner=0 --group=0 -cf a.tar -C t f; tar --owner=0 --group=0 -cf b.tar -C t d; rm -r t

mkdir t; echo in > t/f; mkdir t/d; chmod 700 t/d; ln -s f t/l; ln t/f t/h; tar --owner=5 --group=6 -cf t.tar -C t .; rm -r t

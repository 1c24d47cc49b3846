mkdir m; for i in 400 644 755 600 711 4755 2755 1644; do echo $i > m/f$i; chmod $i m/f$i; mkdir m/d$i; chmod $i m/d$i; chmod u+rwx m/d$i; done

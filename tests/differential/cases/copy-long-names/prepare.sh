p=long; for i in 1 2 3 4 5; do p=$p/$(printf "%060d" $i); done; mkdir -p $p; echo deep > $p/$(printf "%0120d" 9)

echo plain | gzip -n > f.gz

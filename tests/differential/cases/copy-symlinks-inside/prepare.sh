mkdir -p l/sub; echo x > l/file; ln -s file l/rel; ln -s /etc/passwd l/abs; ln -s nowhere l/broken; ln -s sub l/dir; ln -s .. l/sub/up

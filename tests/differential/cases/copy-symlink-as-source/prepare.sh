echo x > real; ln -s real link; mkdir d; echo f > d/f; ln -s d dirlink

#!/bin/sh
echo "hello $*" | tee /hello.txt

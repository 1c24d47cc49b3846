FROM busybox:latest
LABEL of=w9

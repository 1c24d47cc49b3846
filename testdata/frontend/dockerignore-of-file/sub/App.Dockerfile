FROM alpine
COPY a /a

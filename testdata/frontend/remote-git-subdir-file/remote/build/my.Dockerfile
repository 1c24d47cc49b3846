FROM alpine
RUN --mount=target=/src true

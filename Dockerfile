# pushgate in a container: both programs, static, on an empty file system.
#
#   docker build -t pushgate .
#   docker run -p 8080:8080 -e GATEWAY_REDIS__URL=redis://redis:6379 \
#     -e GATEWAY_AUTH__ALLOW_ANONYMOUS=true --ulimit nofile=1048576 pushgate
#
# What the operator must decide, and what is refused at the start otherwise:
#   - Who may connect. The gateway listens on every address of the container,
#     so it wants tokens, or GATEWAY_AUTH__ALLOW_ANONYMOUS=true where everybody
#     who reaches the port may do everything.
# What the operator should set:
#   - GATEWAY_REDIS__URL. Without it the Redis is an embedded one that only this
#     container reaches.
#   - The limit on open files (--ulimit nofile), one for each client.
#   - The time to stop (docker stop -t 45), 5 s longer than GATEWAY_DRAIN__DELAY
#     and GATEWAY_DRAIN__TIMEOUT together, 30 s by default.
# The admin listener stays on the container's loopback, where a sidecar or
# `docker run --network container:NAME` reaches it.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/ ./cmd/gateway ./cmd/loadgen

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/gateway /out/loadgen /
ENV GATEWAY_LISTEN=0.0.0.0:8080 \
    GATEWAY_ADMIN__LISTEN=127.0.0.1:8081 \
    GATEWAY_LOG__FORMAT=json
EXPOSE 8080
# nobody has a name here; the number belongs to no user of the host.
USER 65532:65532
ENTRYPOINT ["/gateway"]
CMD ["serve"]

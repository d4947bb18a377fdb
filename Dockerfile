# One node of PeerBrain. docker-compose.yml shows several of them at work.

FROM golang:1.26.8-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go generate ./client/web
RUN CGO_ENABLED=0 go build -tags nethttpomithttp2 -trimpath -ldflags "-s -w" -o /out/ ./node/peerbrain-node

FROM alpine:3.22.1
RUN adduser -D -H -u 10001 peerbrain && install -d -m 700 -o peerbrain -g peerbrain /data
COPY --from=build /out/peerbrain-node /usr/local/bin/peerbrain-node
USER peerbrain
ENV PEERBRAIN_LISTEN=0.0.0.0:8080
ENV PEERBRAIN_DATA=/data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/healthz"]
ENTRYPOINT ["peerbrain-node"]
CMD ["serve"]

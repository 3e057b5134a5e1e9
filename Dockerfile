# The image of a node, built from source. Nothing here needs more than Docker's classic builder.
#
#   docker build -t rollcall .
#
# Both base images can be replaced, for a mirror or for a machine without one:
#   docker build --build-arg BUILD_IMAGE=registry.example/rust:1-bookworm --build-arg RUNTIME_IMAGE=… -t rollcall .
ARG BUILD_IMAGE=rust:1-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY . .
# What debugging needs is left out: it is four fifths of the program.
RUN cargo build --release --locked --bin rollcall \
 && mkdir -p /image/usr/local/bin \
 && strip -o /image/usr/local/bin/rollcall target/release/rollcall \
 && cp deploy/healthcheck /image/usr/local/bin/rollcall-healthcheck \
 && chmod 0755 /image/usr/local/bin/rollcall /image/usr/local/bin/rollcall-healthcheck

FROM ${RUNTIME_IMAGE}
# The number is what charts and volumes count on; a name for it is for people.
RUN echo 'rollcall:x:10001:10001::/var/lib/rollcall:/usr/sbin/nologin' >> /etc/passwd \
 && echo 'rollcall:x:10001:' >> /etc/group \
 && mkdir -p /var/lib/rollcall \
 && chown 10001:10001 /var/lib/rollcall
COPY --from=build /image /
USER 10001:10001
WORKDIR /var/lib/rollcall
ENV ROLLCALL_NODE__DATA_DIR=/var/lib/rollcall/data
VOLUME /var/lib/rollcall
# MQTT, MQTT over WebSocket, the status query, management, traffic between nodes.
EXPOSE 1883 8083 8080 8081 7400
# Ready, not only alive: joined, caught up, with a lease.
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 CMD ["rollcall-healthcheck"]
# SIGTERM, which docker stop sends, drains the node.
ENTRYPOINT ["rollcall"]
CMD ["server"]

# syntax=docker/dockerfile:1
# zerocloud in a container. Builds from a clean clone; nothing secret enters the image: settings come from config.yml, the
# environment and mounted files.

# The same compiler as rust-toolchain.toml, which is not copied: rustup would fetch components that no build needs.
FROM rust:1.95.0-slim-bookworm AS build
ARG PROFILE=release
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY aws-setup aws-setup
COPY benches benches
COPY gateway gateway
COPY sync-gateway sync-gateway
COPY tests tests
COPY views views
COPY src src
# Downloads and compiled dependencies stay in the builder's cache, so that a change of one line compiles one crate.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --locked --profile "$PROFILE" --bin zerocloud && \
    folder="$PROFILE"; if [ "$PROFILE" = dev ]; then folder=debug; fi; \
    install -D "target/$folder/zerocloud" /out/zerocloud && strip /out/zerocloud

FROM debian:12.12-slim
# Certificates, to check those of AWS.
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
RUN groupadd --system --gid 10001 zerocloud && \
    useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/zerocloud zerocloud && \
    install -d -o 10001 -g 10001 -m 0750 /var/lib/zerocloud
COPY --from=build /out/zerocloud /usr/local/bin/zerocloud
# config.yml is looked for here, so that `docker compose exec zerocloud zerocloud doctor` needs no more words.
WORKDIR /etc/zerocloud
ENV ZEROCLOUD_STORE_DATA=/var/lib/zerocloud ZEROCLOUD_STORE_PUBLIC=0.0.0.0:4984 ZEROCLOUD_WEB_LISTEN=0.0.0.0:8080
USER 10001:10001
VOLUME /var/lib/zerocloud
EXPOSE 8080 4984
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=3m --retries=3 CMD ["zerocloud", "health"]
ENTRYPOINT ["zerocloud"]
CMD ["serve"]

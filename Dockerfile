# The suite as one container image: one static program under the names of the five actions, and the roots that TLS trusts,
# nothing else. Both final stages hold the same tree, which `cargo xtask rootfs` alone lays out; they differ in where it was
# compiled.
#
# No USER: GitHub requires that a container action runs as root, or it cannot reach GITHUB_WORKSPACE.
# https://docs.github.com/en/actions/reference/workflows-and-actions/dockerfile-support#user
# No ENTRYPOINT: each action.yml names its own binary.
# MALLOC_ARENA_MAX: as many as GitHub's runners have processors. More of glibc's arenas hold a tenth more memory, and are not faster.
# https://www.gnu.org/software/libc/manual/html_node/Memory-Allocation-Tunables.html

# The image of a release and of the tests: `cargo xtask image` compiles outside and copies. It stands first because the
# classic builder (Docker engines without buildx) runs every stage up to the target, and this one must need no registry.
FROM scratch AS prebuilt
ENV MALLOC_ARENA_MAX=4
ARG TARGETARCH
COPY target/rootfs/${TARGETARCH}/ /

# What `image: ../../Dockerfile` in the development tree builds on GitHub, where nothing is compiled yet. The tag is that
# of rust-toolchain.toml; a release never comes this way.
FROM rust:1.95.0-bookworm AS compile
WORKDIR /suite
COPY . .
RUN cargo run --package xtask -- rootfs

FROM scratch AS compiled
ENV MALLOC_ARENA_MAX=4
ARG TARGETARCH
COPY --from=compile /suite/target/rootfs/${TARGETARCH}/ /

#!/usr/bin/env bash
# Both images of chiflow in podman as root on this machine, for tests: a base of Debian's packages, no registry needed (podman, debootstrap).
#   tests/machine/podman.sh      prints the path of containers.conf, for CONTAINERS_CONF
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../..
fail() { echo "podman: $*" >&2; exit 1; }
[[ $EUID == 0 ]] || fail "only root can make the base image"
for program in podman debootstrap; do command -v "$program" >/dev/null || fail "$program is not installed (apt install podman debootstrap)"; done
export CONTAINERS_CONF=$here/containers.conf ENGINE=podman BASE_IMAGE=localhost/chiflow-base
podman info >/dev/null || fail "podman does not work on this machine"
podman image exists "$BASE_IMAGE" || "$root/containers/base.sh" "$BASE_IMAGE" >&2
# Certificates and package index of this machine hold for the build, too.
for file in "${SSL_CERT_FILE:-}" /etc/pip.conf; do [[ -s $file ]] && BUILD_ARGS="${BUILD_ARGS:-} -v $file:$file:ro"; done
export BUILD_ARGS=${BUILD_ARGS:-}
"$root/containers/build.sh" >&2
echo "$CONTAINERS_CONF"

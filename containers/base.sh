#!/usr/bin/env bash
# Make a base image from Debian's packages alone, where no image registry can be reached (root, debootstrap, podman or docker).
#   containers/base.sh [NAME]      then: BASE_IMAGE=NAME containers/build.sh
# ENGINE, MIRROR: docker or podman; Debian mirror
set -euo pipefail
name=${1:-localhost/chiflow-base}
engine=${ENGINE:-}
for found in docker podman; do
    [[ $engine ]] || { "$found" info >/dev/null 2>&1 && engine=$found; }
done
[[ $engine ]] || { echo "base: neither docker nor podman answers; install one of them, or start it" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "base: debootstrap is not there; install it (apt install debootstrap)" >&2; exit 1; }
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
debootstrap --variant=minbase --include=procps,python3-minimal,python3-venv,ca-certificates bookworm "$root" "${MIRROR:-http://deb.debian.org/debian}" >&2
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}
tar -C "$root" --one-file-system -c . | "$engine" import - "$name"

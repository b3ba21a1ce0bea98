#!/usr/bin/env bash
# Build chiflow-light and chiflow-torch with docker or podman, and say their sizes and digests.
#   containers/build.sh                        for this machine
#   containers/build.sh --push HOST/PROJECT/   and push them there; then run with --registry HOST/PROJECT/
# ENGINE       docker or podman (default: the first that is found)
# BASE_IMAGE   what they stand on (default: python:3.11-slim-bookworm); containers/base.sh makes one where no registry can be reached
# BUILD_ARGS   further options of the build, for a proxy or a package mirror
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
fail() { echo "build: $*" >&2; exit 1; }

registry=
if [[ ${1:-} == --push ]]; then
    registry=${2:-}
    [[ $registry == */ ]] || fail "--push needs a registry with a slash at its end, as HOST/PROJECT/"
elif (( $# )); then
    sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    [[ $1 == -h || $1 == --help ]] && exit 0 || exit 1
fi
engine=${ENGINE:-}
for found in docker podman; do
    [[ $engine ]] || { "$found" info >/dev/null 2>&1 && engine=$found; }
done
[[ $engine ]] || fail "neither docker nor podman answers; install one of them, or start it"
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' "$root/bin/chiflow/__init__.py")

for packages in light torch; do
    image=${registry}chiflow-$packages:$version
    # shellcheck disable=SC2086  # BUILD_ARGS is a list of options
    "$engine" build ${BUILD_ARGS:-} ${BASE_IMAGE:+--build-arg BASE_IMAGE="$BASE_IMAGE"} --build-arg PACKAGES="$packages" --build-arg VERSION="$version" \
        -t "$image" -f "$root/containers/Dockerfile" "$root/requirements"
    [[ $registry ]] && "$engine" push "$image"
    "$engine" image inspect --format "build: $image {{.Size}} bytes {{.Id}}" "$image"
done

#!/usr/bin/env bash
# The demo on this machine, in podman, through SLURM, and through SLURM in podman: wall seconds, CPU seconds, most memory of a task, equal maps or not.
#   source .venv/bin/activate; benchmark/executors.sh [FOLDER]      root; Debian's podman runc debootstrap slurm-wlm munge
# Prints the table of docs/executors.md.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=${1:-$(mktemp -d)}
mkdir -p "$folder"
cd "$folder"

CONTAINERS_CONF=$("$root/tests/machine/podman.sh" | tail -n 1)
SLURM_CONF=$("$root/tests/machine/slurm.sh" up "$folder/slurm" | tail -n 1)
export CONTAINERS_CONF SLURM_CONF
trap '"$root/tests/machine/slurm.sh" down "$folder/slurm"' EXIT
head=$(sed -n 's/^HEAD := //p' "$root/Makefile")
# shellcheck disable=SC2086  # options of the demo's head
[[ -d dicom ]] || python "$root/bin/phantom.py" --out . --dicom --no-bids $head >&2

echo '| profile | wall, s | CPU, s | most memory of a task, GiB | same maps as `standard` |'
echo '|---|---|---|---|---|'
for profile in standard podman slurm slurm,podman; do
    rm -rf "work-$profile" "out-$profile"
    start=$SECONDS
    nextflow -q run "$root" -profile "$profile,demo" --input dicom --outdir "out-$profile" -w "work-$profile" --private_dir private >&2
    echo "| \`$profile\` | $((SECONDS - start)) | $(python "$root/benchmark/tasks.py" "out-$profile" out-standard) |"
done

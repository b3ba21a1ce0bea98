"""The demo: a simulated head as DICOM, the pipeline on it, and its χ map beside the truth. Options go to bin/phantom.py."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "demo"


def run(*command: str | Path) -> None:
    """Run a command in the demo's folder; exits with its status when it fails."""
    status = subprocess.run([str(part) for part in command], cwd=DEMO).returncode
    if status:
        raise SystemExit(status)


def main(options: list[str]) -> None:
    """Simulate once, run the pipeline with -resume, evaluate."""
    DEMO.mkdir(exist_ok=True)
    finished = DEMO / "simulated.json"
    if not finished.is_file() or json.loads(finished.read_text(encoding="utf8")) != options:
        print("demo: simulating a head scan", flush=True)
        for old in ("dicom", "truth", "results"):
            shutil.rmtree(DEMO / old, ignore_errors=True)
        run(sys.executable, ROOT / "bin" / "phantom.py", "--out", DEMO, "--dicom", "--no-bids", *options)
        finished.write_text(json.dumps(options), encoding="utf8")
    places = ["--input", DEMO / "dicom", "--outdir", DEMO / "results", "--private_dir", DEMO / "private"]
    run("nextflow", "run", ROOT, "-profile", "standard,demo", "-resume", *places)
    chi = next(path for path in (DEMO / "results").glob("sub-*/**/*_Chimap.nii.gz") if "_desc-" not in path.name)
    truth = next((DEMO / "truth").glob("sub-*/**/*chi.nii.gz")).parent
    mask = chi.with_name(chi.name.replace("Chimap", "desc-chi_mask"))
    figure = DEMO / "chi.png"
    print("demo: error against the truth", flush=True)
    judged = ["--map", chi, "--truth", truth / "chi.nii.gz", "--mask", mask, "--mask", truth / "mask.nii.gz", "--labels", truth / "labels.nii.gz"]
    run(sys.executable, ROOT / "bin" / "evaluate.py", *judged, "--figure", figure)
    print(f"demo: χ map {chi}\ndemo: picture {figure}\ndemo: report {next((DEMO / 'results').glob('sub-*/**/*_qsm.html'))}")


if __name__ == "__main__":
    main(sys.argv[1:])

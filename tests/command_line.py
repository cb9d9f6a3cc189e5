"""Run the command line: in this process or in another, in an empty folder with one table of a known law."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

import scalefit as sf
from scalefit.cli import app

PACKAGE = str(Path(sf.__file__).resolve().parents[1])


def work_in(tmp_path, monkeypatch):
    """Work in a folder that is empty but for grid.csv, a table of a known law."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", PACKAGE)  # for processes: a relative one would not survive the change of folder
    design = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e10, 1e12, 4))
    runs = sf.simulate(sf.HOFFMANN_2022, design, noise=1e-3, seed=1)
    save(runs.to_frame(), "grid.csv")
    return tmp_path


def save(frame, name):
    frame.to_csv(name, index=False, float_format="%.6g")  # the last bits of exp and log differ between machines


def run(*arguments, **environment):
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "80", "NO_COLOR": "1", **environment})


def process(*arguments, **options):
    command = [sys.executable, "-m", "scalefit.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


def write(name, text):
    Path(name).write_text(text, encoding="utf-8")
    return name


def message(result):
    """The one line on stderr of a run that failed with exit code 1."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


def strict(text):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)

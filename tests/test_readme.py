"""The README runs: its Python prints what it shows, its commands too, its links lead somewhere."""

import os
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

import scalefit as sf
from golden_files import lines_of
from scalefit.cli import app

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
WORDS = ROOT / "docs" / "words.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks():
    return BLOCK.findall(README.read_text(encoding="utf-8"))


def printed_by(command):
    program, *arguments = shlex.split(command)
    assert program == "scalefit", command
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "80", "NO_COLOR": "1"})
    assert result.exit_code in (0, 3), result.output
    return lines_of(result.stdout)


def regenerate():
    """Put what the commands print into the README, where SCALEFIT_REGENERATE asks for it."""

    def run(match):
        kind, body = match.groups()
        if kind != "console":
            return match[0]
        command = body.splitlines()[0]
        return f"```console\n{command}\n{printed_by(command.removeprefix('$ '))}```"

    README.write_text(BLOCK.sub(run, README.read_text(encoding="utf-8")), encoding="utf-8")


def test_python_prints_what_is_shown(capsys):
    names, found = {}, blocks()
    code = [place for place, (kind, _) in enumerate(found) if kind == "python"]
    assert len(code) >= 2
    for place in code:
        exec(compile(found[place][1], README.name, "exec"), names)
        assert found[place + 1] == ("text", capsys.readouterr().out)


def test_commands_print_what_is_shown():
    if os.environ.get("SCALEFIT_REGENERATE"):
        regenerate()
    consoles = [body for kind, body in blocks() if kind == "console"]
    assert len(consoles) >= 3
    for body in consoles:
        command, shown = body.split("\n", 1)
        assert printed_by(command.removeprefix("$ ")) == shown


@pytest.mark.parametrize("status", sf.Status, ids=lambda status: status.name)
def test_every_status_is_explained_in_its_own_words(status):
    assert f"| `{status.name}` | {status.value} |" in WORDS.read_text(encoding="utf-8")


@pytest.mark.parametrize("doubt", sf.Doubt, ids=lambda doubt: doubt.name)
def test_every_doubt_is_explained_in_its_own_words(doubt):
    outcome = "refused" if doubt.refuses else "given"
    assert f"| `{doubt.name}` | {doubt.value} | {outcome} |" in WORDS.read_text(encoding="utf-8")


def test_doubts_stand_in_the_order_of_severity():
    rows = re.findall(r"^\| `(\w+)` \|.*\| (?:refused|given) \|$", WORDS.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [doubt.name for doubt in sf.Doubt]


def test_links_lead_to_files():
    links = re.findall(r"\]\(([^)#:]+)\)", README.read_text(encoding="utf-8"))
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_names_of_the_table_exist():
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    pairs = [found for row in rows for found in re.findall(r"((?:`[\w.]+`(?:, )?)+) in \[(\w+)\.py\]\(src/(\w+)/", row)]
    assert len(pairs) > 8
    for names, room, package in pairs:
        for name in re.findall(r"`([\w.]+)`", names):
            first = name.removeprefix(".").split(".")[0]
            owner = sf.LossTable if name.startswith(".") else sf
            if package == "scaletrain":
                pytest.importorskip("torch")
                owner = import_module(f"scaletrain.{room}")
            assert hasattr(owner, first), f"{name}, said to be in {room}.py"


def test_commands_of_make_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert named
    assert named <= targets

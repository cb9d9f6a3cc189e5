"""The demo: a summary that tells what the figures show, and the figures."""

import os
import re
from functools import partial
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from golden_files import check_golden
from scalefit import demo
from scalefit.datasets import DATASETS

APP = typer.Typer()
APP.command()(demo.main)
COMMITTED = Path(__file__).parents[1] / "docs" / "images" / "pythia.png"


def invoke(*arguments, data):
    return CliRunner().invoke(APP, list(arguments), env={"COLUMNS": "80", "NO_COLOR": "1", "SCALEFIT_DATA": str(data)})


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return partial(invoke, data=tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder of the figure of one demo, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = invoke("-o", "out", data=folder)
    assert result.exit_code == 0, result.output
    return folder / "out", result.stdout


def test_summary_and_figure(made):
    out, printed = made
    check_golden("demo", printed)
    assert sorted(path.name for path in out.iterdir()) == ["pythia.png", "pythia.svg", "walks.png", "walks.svg"]


def test_figure_is_as_wide_as_a_page_and_names_its_laws(made):
    out, _ = made
    with Image.open(out / "pythia.png") as picture:
        assert picture.size == (1400, 580)
    labels = re.findall("<!-- (.*) -->", (out / "pythia.svg").read_text(encoding="utf-8"))
    assert {r"with offset, $\alpha$ = 0.149", r"without offset, $\alpha$ = 0.083", "exponential", "6.9B"} <= set(labels)


def test_the_figure_is_the_same_twice(made, run):
    out, _ = made
    run("-o", "two")
    for name in ("pythia.png", "pythia.svg", "walks.png", "walks.svg"):
        assert (out / name).read_bytes() == Path("two", name).read_bytes()


def test_the_picture_of_the_readme_has_the_size_of_the_demo(made):
    out, _ = made
    for picture in (COMMITTED, COMMITTED.with_name("walks.png")):
        with Image.open(picture) as shown, Image.open(out / picture.name) as drawn:
            assert shown.size == drawn.size


def test_the_published_laws_beside_their_optimum(run, chinchilla):
    result = run("-o", "out", data=os.environ["SCALEFIT_DATA"])
    assert result.exit_code == 0, result.output
    printed = result.stdout[result.stdout.index("3  Chinchilla") :]
    check_golden("demo_chinchilla", printed[: printed.index("4  A random graph")])


def test_nothing_is_downloaded(run, monkeypatch, tmp_path):
    import pooch

    def refuse(*_, **__):
        raise AssertionError("the demo asked for a download")

    monkeypatch.setattr(pooch, "retrieve", refuse)
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path / "cache")
    result = run("-o", "out", data="")
    assert "3  Chinchilla: not at hand" in result.stdout
    assert DATASETS["chinchilla"].file in result.stdout


@pytest.mark.parametrize("target", ["file", "file/out"])
def test_a_folder_that_cannot_be_made_is_one_message(run, target):
    Path("file").write_text("")
    result = run("-o", target)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert isinstance(result.exception, SystemExit)


def test_a_damaged_file_is_one_message(run, tmp_path):
    (tmp_path / DATASETS["chinchilla"].file).write_text("not it")
    result = run("-o", "out")
    assert result.exit_code == 1
    assert "SHA-256" in result.stderr

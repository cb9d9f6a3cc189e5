"""The pages of the site: their code runs and prints what they show, their links lead somewhere, no name is left out."""

import os
import re
from pathlib import Path

import pytest

import scalefit as sf
from test_readme import BLOCK, printed_by

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"^   (\w+)$", re.MULTILINE)  # a line of an autosummary


def text_of(page):
    return page.read_text(encoding="utf-8")


def has_code(page):
    return any(kind in ("python", "console") for kind, _ in BLOCK.findall(text_of(page)))


def title_of(page):
    return str(page.relative_to(DOCS))


def as_printed(found, capsys):
    """The blocks of a page with what its code prints: a block of text after Python, the lines after a command."""
    names, made = {"__name__": "page"}, list(found)
    for place, (kind, body) in enumerate(found):
        if kind == "python":
            exec(compile(body, f"block {place}", "exec"), names)
            shown, printed = found[place + 1 : place + 2], capsys.readouterr().out
            if shown and shown[0][0] == "text":
                made[place + 1] = ("text", printed)
            else:
                assert printed == "", f"block {place} prints, and no block of text follows"
        elif kind == "console":
            command = body.splitlines()[0]
            made[place] = (kind, f"{command}\n{printed_by(command.removeprefix('$ '))}")
    return made


@pytest.mark.parametrize("page", [page for page in PAGES if has_code(page)], ids=title_of)
def test_code_prints_what_is_shown(page, capsys, request, tmp_path, monkeypatch):
    text = text_of(page)
    if 'load("chinchilla")' in text:
        request.getfixturevalue("chinchilla")
    monkeypatch.chdir(tmp_path)  # pages may write files
    found = BLOCK.findall(text)
    made = as_printed(found, capsys)
    if os.environ.get("SCALEFIT_REGENERATE"):
        blocks = iter(made)
        text = BLOCK.sub(lambda match: "```{}\n{}```".format(*next(blocks)), text)
        page.write_text(text, encoding="utf-8")
        found = made
    assert made == found


def test_the_tutorials_are_among_the_pages_that_run():
    assert {page.stem for page in PAGES if page.parent.name == "tutorials" and has_code(page)} >= {
        "chinchilla", "offset", "three_approaches", "outlier", "planning",
    }  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=title_of)
def test_links_lead_somewhere(page):
    for link in LINK.findall(text_of(page)):
        file, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", text_of(target), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings], link


def test_every_page_is_in_one_table_of_contents():
    listed = [
        (page.parent / line.strip()).with_suffix(".md").resolve()
        for page in PAGES
        for tree in TOCTREE.findall(text_of(page))
        for line in tree.splitlines()
        if line.strip() and not line.startswith(":")
    ]
    assert sorted(listed) == sorted(set(PAGES) - {DOCS / "index.md"})


def test_every_public_name_is_on_the_page_of_the_interface_once():
    assert sorted(NAMED.findall(text_of(DOCS / "api.md"))) == sorted(sf.__all__)


FIGURE = re.compile(r"(?<![\w.])\d+\.\d+(?:e[+-]?\d+)?")


def test_figures_of_the_page_of_choices_are_on_the_page_that_they_link_to():
    checked = 0
    for line in re.split(r"\n(?=\||\n)", text_of(DOCS / "choosing.md")):
        pages = re.findall(r"\]\((coverage|chinchilla|reproductions)\.md\)", line)
        if pages:
            evidence = {figure for page in pages for figure in FIGURE.findall(text_of(DOCS / f"{page}.md"))}
            rounded = {f"{float(figure):.{places}f}" for figure in evidence for places in (3, 4)}
            figures = FIGURE.findall(line.rpartition("`")[2] if line.startswith("|") else line)
            assert set(figures) <= evidence | rounded, line
            checked += len(figures)
    assert checked >= 10


def test_rooms_that_are_named_exist():
    rooms = {path.name for path in (ROOT / "src").rglob("*.py")} | {path.name for path in DOCS.rglob("*.py")}
    rooms |= {path.name for folder in ("tests", "benchmarks") for path in (ROOT / folder).glob("*.py")}
    for page in PAGES:
        named = re.findall(r"`(?:[\w/]+/)?(\w+\.py)`", text_of(page))
        assert set(named) <= rooms, page.name

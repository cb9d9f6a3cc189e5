"""The project holds together: layers, import cost, names, docstrings that run, what the wheel carries."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest

import scalefit as sf

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "scalefit"
FILES = sorted(SOURCE.rglob("*.py"))
MODULES = sorted({"scalefit", *(found.name for found in pkgutil.walk_packages(sf.__path__, "scalefit."))})
LONGEST = 350  # lines
PUBLIC = sorted(name for name in sf.__all__ if not inspect.ismodule(getattr(sf, name)))  # sf.flops is a room

# Layers.

ROW = re.compile(r"^\| (\d+) \| `(\w+)` \| [^|]+ \|$", re.MULTILINE)
ORDERED = {0, 1, 2, 4, 5, 6, 7, 8}  # levels in which a room may see those listed before it
ROOMS = [(room, int(level)) for level, room in ROW.findall((ROOT / "docs/architecture.md").read_text(encoding="utf-8"))]
LEVEL = dict(ROOMS)
SOLVER = (
    "problem",
    "newton",
    "screen",
    "separable",
    "refits",
)  # each sees those before it; multistart sees problem alone


def may_see(room, other):
    places = [name for name, _ in ROOMS]
    before = places.index(other) < places.index(room)
    return LEVEL[other] < LEVEL[room] or (LEVEL[other] == LEVEL[room] and LEVEL[room] in ORDERED and before)


def imports(path):
    """Absolute names of the modules that a file imports, wherever in the file."""
    package = ["scalefit", *path.relative_to(SOURCE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            base = [*base, *(node.module or "").split(".")] if node.module else base
            yield ".".join(base)
            yield from (".".join([*base, name.name]) for name in node.names)


def rooms_seen(path):
    own = room_of(path)
    seen = {name.split(".")[1] for name in imports(path) if name.startswith("scalefit.")}
    return {name for name in seen if name in LEVEL and name != own}


def room_of(path):
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return parts[0]


def test_the_map_lists_every_room_once_and_from_the_bottom_up():
    names = [name for name, _ in ROOMS]
    assert sorted(names) == sorted({room_of(path) for path in FILES} - {"__init__"})
    assert all(low <= high for (_, low), (_, high) in pairwise(ROOMS))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down(path):
    room = room_of(path)
    allowed = {other for other in LEVEL if room != "__init__" and may_see(room, other)}
    assert rooms_seen(path) <= allowed


def test_the_reader_of_imports_sees_them_all():
    seen = {"diagnosis", "solver", "status", "objective", "laws", "constraints", "general", "refitting", "replicates"}
    seen |= {"rows"}
    assert seen == rooms_seen(SOURCE / "parametric.py")
    assert "options" in rooms_seen(SOURCE / "cli.py")  # from . import options
    assert "fitting" in rooms_seen(SOURCE / "cli.py")  # inside a function
    assert "curves" in rooms_seen(SOURCE / "screens.py")  # for type checking alone


def test_imports_within_the_solver_point_down():
    for path in (SOURCE / "solver").glob("*.py"):
        seen = {name.split(".")[2] for name in imports(path) if name.startswith("scalefit.solver.")}
        seen = {name for name in seen if (path.parent / f"{name}.py").exists()}
        allowed = {"multistart": {"problem"}, "__init__": {*SOLVER, "multistart"}}
        allowed |= {name: set(SOLVER[:place]) for place, name in enumerate(SOLVER)}
        assert seen <= allowed[path.stem], path.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_library_imports_no_trainer_and_nothing_optional_and_heavy(path):
    allowed = {"torch"} if path.stem == "network_training" else set()
    assert {name.split(".")[0] for name in imports(path)}.isdisjoint({"scaletrain", "torch", "statsmodels"} - allowed)


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import scalefit", "torch matplotlib statsmodels sklearn scipy pandas"),
        ("import scalefit; scalefit.fit, scalefit.load, scalefit.LossTable", "torch matplotlib statsmodels"),
        (
            "import sys; sys.argv = ['scalefit', '--help']\nfrom scalefit.cli import main\nmain()",
            "torch sklearn pandas",
        ),
    ],
    ids=["import scalefit", "names in use", "scalefit --help"],
)
def test_what_is_not_needed_is_not_loaded(code, heavy):
    loaded = "import atexit, sys\natexit.register(lambda: print('\\nLOADED', *sys.modules))\n"
    result = subprocess.run([sys.executable, "-c", loaded + code], capture_output=True, text=True, check=True)
    modules = result.stdout.rpartition("LOADED")[2].split()
    assert "scalefit" in modules
    assert {name.split(".")[0] for name in modules}.isdisjoint(heavy.split())


# Names and docstrings.


def test_no_room_has_the_name_of_a_public_function():
    assert len(PUBLIC) > 20
    assert set(PUBLIC).isdisjoint(name.rpartition(".")[2] for name in MODULES)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_explained_with_an_example(name):
    value = getattr(sf, name)
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        value = (
            type(value) if type(value).__module__.startswith("scalefit") else sys.modules["scalefit.datasets"].Dataset
        )
    doc = inspect.cleandoc(value.__doc__)
    assert "\nExamples\n--------\n" in doc
    assert doctest.DocTestParser().get_examples(doc)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings_run(name):
    if name.startswith("scalefit.network"):
        pytest.importorskip("torch")
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} does not say what is in the room"
    assert doctest.testmod(module).failed == 0


# The wheel.


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Wheel built from a copy of the checkout: the build leaves nothing in the checkout itself."""
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("there is no checkout to build a wheel from")
    for tool in ("hatchling", "pip"):
        if importlib.util.find_spec(tool) is None:
            pytest.skip(f"{tool} is not installed, so no wheel can be built")
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "checkout"
    copy.mkdir()
    for name in ("src", "data"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    result = subprocess.run([*command, "-w", str(folder), str(copy)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    (made,) = folder.glob("scalefit-*.whl")
    return made


def test_the_wheel_carries_code_types_licence_and_data(wheel):
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
        for path in sorted(path for path in (ROOT / "data").rglob("*") if path.is_file()):
            assert content.read(f"scalefit/data/{path.relative_to(ROOT / 'data')}") == path.read_bytes()
    sources = (path for folder in (SOURCE, ROOT / "src" / "scaletrain") for path in folder.rglob("*.py*"))
    shipped = {str(path.relative_to(ROOT / "src")) for path in sources if path.suffix in (".py", ".pyi")}
    assert {*shipped, "scalefit/py.typed", "scaletrain/py.typed"} <= names
    assert any(name.endswith("/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"scalefit", "scaletrain"}


def where_data_are(path):
    """Folder of the shipped tables, for the package found in `path` alone."""
    code = "import scalefit, scalefit.datasets as d; scalefit.load('pythia'); print(d._shipped_file('pythia.csv'))"
    result = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=path, env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return Path(result.stdout.strip()).parent


def test_a_wheel_finds_its_data_without_a_checkout(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as content:
        content.extractall(tmp_path)
    assert where_data_are(tmp_path) == tmp_path / "scalefit" / "data"


def test_a_checkout_finds_its_data_without_a_wheel():
    assert where_data_are(ROOT / "src") == ROOT / "data"


# Files.


def texts():
    paths = [path for name in ("src", "tests", "docs", "data", "benchmarks") for path in (ROOT / name).rglob("*")]
    paths += [ROOT / name for name in ("README.md", "CHANGELOG.md", "Makefile", "pyproject.toml")]
    kinds = {".py", ".pyi", ".md", ".txt", ".csv", ".toml", ""}
    return [path for path in paths if path.is_file() and path.suffix in kinds]


def test_no_file_names_a_path_of_one_machine():
    folders = "|".join(("work", "root", "home", "Users"))  # in two parts: this file must not match
    pattern = re.compile(rf"(?<![\w.\-/:])/(?:{folders})(?:/|\b)")
    assert pattern.search("see " + "/wo" + "rk/main")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]
    assert len(texts()) > 50
    assert found == []


def test_no_room_is_too_long_to_read_at_once():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}

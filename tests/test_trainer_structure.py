"""scaletrain holds together: its rooms, what they may import, what is loaded when, examples that run."""

import ast
import doctest
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import scaletrain

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "scaletrain"
FILES = sorted(path for path in SOURCE.glob("*.py") if path.stem != "__init__")
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
ROOMS = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", PAGE.partition("## The trainer")[2].partition("\n## ")[0], re.MULTILINE)
SHARED = {"table", "flops", "theory", "writing", "terminal", "drawing"}  # rooms of scalefit that scaletrain may see
LONGEST = 350  # lines


def imported(path):
    """Rooms of scaletrain and of scalefit that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield from ([node.module] if node.module else (name.name for name in node.names))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("scalefit", "scaletrain"):
            parts = node.module.split(".")
            yield from ([".".join(parts)] if len(parts) > 1 else (f"{parts[0]}.{name.name}" for name in node.names))
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] in ("scalefit", "scaletrain"))


def test_the_map_lists_every_room_of_the_trainer():
    assert sorted(ROOMS) == sorted(path.stem for path in FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_imports_point_down(path):
    before = set(ROOMS[: ROOMS.index(path.stem)])
    seen = set(imported(path))
    own = {name for name in seen if "." not in name}
    assert own <= before
    assert {name.split(".")[1] for name in seen - own} <= SHARED | {"__version__"}


def test_names_load_late_and_none_is_that_of_a_room():
    code = "import sys, scaletrain; scaletrain.Shape; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"torch", "networkx", "pandas"}.isdisjoint(result.stdout.split())
    assert len(scaletrain.__all__) > 15
    assert set(scaletrain.__all__).isdisjoint(ROOMS)


@pytest.mark.parametrize("name", scaletrain.__all__)
def test_every_public_name_is_on_the_site_and_has_an_example(name):
    value = getattr(scaletrain, name)
    assert re.search(rf"^   \w+\.{name}$", (ROOT / "docs/api.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert doctest.DocTestParser().get_examples(inspect.getdoc(value))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_room_is_too_long_to_read_at_once(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_help_loads_nothing_heavy():
    code = (
        "import atexit, sys\natexit.register(lambda: print('LOADED', *sys.modules))\n"
        "sys.argv = ['scaletrain', '--help']\nfrom scaletrain.cli import main\nmain()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = {name.split(".")[0] for name in result.stdout.rpartition("LOADED")[2].split()}
    assert "scaletrain" in modules
    assert modules.isdisjoint({"torch", "networkx", "pandas", "scipy", "matplotlib"})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_examples_of_docstrings_run(path):
    for extra in ("torch", "networkx", "safetensors"):
        pytest.importorskip(extra)
    if path.stem == "tokenising":
        pytest.importorskip("tokenizers")
    module = importlib.import_module(f"scaletrain.{path.stem}")
    assert module.__doc__, f"{path.stem} does not say what is in the room"
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0

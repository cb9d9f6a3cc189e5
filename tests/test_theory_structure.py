"""The theory folder holds together: imports point down, names are explained and load on first use."""

import ast
import doctest
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

from scalefit import theory

SOURCE = Path(theory.__file__).parent
#: Each room may import those before it.
ROOMS = (
    "guards", "binomials", "cluster_laws", "baseline", "counting", "model_scaling", "data_scaling", "percolation",
    "regimes", "dimension", "clusters", "targets", "nearest", "experiments",
)  # fmt: skip
#: Statistics of a corpus: each may import those before it, and none of the others.
LANGUAGE = ("language_counting", "language_decays", "language_correlations", "language_entropies", "language")
OUTSIDE = {"formula", "table"}  # rooms of scalefit that theory may import
NAMES = sorted(name for name in theory.__all__ if not inspect.ismodule(getattr(theory, name)))


def imported(path):
    """(level, module) of the relative imports of a file, and (0, package) of the others."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.level, (node.module or "").split(".")[0]
        elif isinstance(node, ast.Import):
            yield from ((0, name.name.split(".")[0]) for name in node.names)


def test_every_room_is_listed():
    assert sorted(ROOMS + LANGUAGE) == sorted(path.stem for path in SOURCE.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("room", ROOMS + LANGUAGE)
def test_imports_point_down(room):
    found, rooms = list(imported(SOURCE / f"{room}.py")), ROOMS if room in ROOMS else LANGUAGE
    assert {name for level, name in found if level == 1} <= set(rooms[: rooms.index(room)])
    assert {name for level, name in found if level == 2} <= OUTSIDE
    assert {name for level, name in found if level == 0}.isdisjoint({"torch", "networkx", "scaletrain", "matplotlib"})


def test_the_reader_of_imports_sees_them():
    assert {(1, "guards"), (1, "baseline"), (0, "numpy")} <= set(imported(SOURCE / "counting.py"))
    assert {(1, "language_decays"), (0, "scipy")} <= set(imported(SOURCE / "language.py"))
    assert (2, "formula") in set(imported(SOURCE / "baseline.py"))


def test_no_room_has_the_name_of_a_function():
    assert len(NAMES) > 40
    assert set(NAMES).isdisjoint(found.name for found in pkgutil.iter_modules([str(SOURCE)]))


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_explained_and_all_but_plain_values_with_an_example(name):
    value = getattr(theory, name)
    doc = inspect.cleandoc((value if inspect.isroutine(value) or inspect.isclass(value) else type(value)).__doc__)
    plain = {"Estimate", "Nearest", "Realisation", "Regime", "Allocation"}  # made by the functions that show them
    assert bool(doctest.DocTestParser().get_examples(doc)) or name in plain


def test_names_load_on_first_use():
    code = "import sys, scalefit; scalefit.theory; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name.split(".")[0] for name in result.stdout.split()}.isdisjoint({"numpy", "scipy", "pandas", "sklearn"})

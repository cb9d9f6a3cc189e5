"""Sweep: a grid of cells, and the packs that it needs, given those that are finished."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from .checkpoints import identity
from .config import Pack, Recipe, Replica, Shape
from .data_recipes import DataRecipe
from .jobs import Cell, Tables, cells_of, find_sweep, read_tables, replicas_of, sources_of
from .learning_rates import Excesses, best_rate, rounds, wanted
from .sources import Source

Found = Mapping[Cell, Excesses]
Work = tuple[str, Pack]  # digest of a source, and a pack that is trained on it


@dataclass(frozen=True, eq=False)
class Sweep:
    """A grid of cells; each is trained at several learning rates, with the same seeds at each.

    Attributes
    ----------
    recipes : tuple of DataRecipe
        What the data are made of.
    sources : dict of str to Source
        Of each, by digest.
    cells : tuple of Cell
        Cheapest first.
    rates : tuple of float
        Learning rates of every cell; of a search, the first guess.
    seeds : tuple of (int, int)
        Pairs of seed and data_seed.
    search : bool
        Whether each cell looks for its best learning rate.
    """

    recipes: tuple[DataRecipe, ...]
    sources: Mapping[str, Source]
    cells: tuple[Cell, ...]
    rates: tuple[float, ...]
    seeds: tuple[tuple[int, int], ...]
    search: bool

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of the data."""
        return tuple(dict.fromkeys(note for source in self.sources.values() for note in source.notes))

    def needs(self, found: Found, *, stack: int) -> dict[str, Work]:
        """All packs by id that are known to be needed, given what was found; those that are finished are among them.

        What a cell needs depends on its own finished rounds and on those of its neighbours alone, so that the order in
        which workers finish changes nothing.

        Parameters
        ----------
        found : mapping of Cell to mapping
            Of each cell, the learning rates for which every pair of seeds is finished, and their excess losses.
        stack : int
            Replicas of a pack at most.
        """
        packs: dict[str, Work] = {}
        for cell in self.cells:
            for rates in self._rounds(cell, found):
                packs |= self._packs(cell, rates, stack)
        return packs

    def refinements(self, found: Found, *, stack: int) -> dict[str, Work]:
        """Packs by id of the learning rates that finished cells lack: beyond an edge, or a parabola's minimum."""
        packs: dict[str, Work] = {}
        for cell in self.cells:
            if self.is_settled(cell, found):
                packs |= self._packs(cell, wanted(found[cell], best_rate(found[cell])), stack)
        return packs

    def is_settled(self, cell: Cell, found: Found) -> bool:
        """Whether a cell needs no more."""
        made = self._rounds(cell, found)
        return bool(made) and all(lr in found.get(cell, {}) for rates in made for lr in rates)

    def guess(self, cell: Cell, found: Found) -> float | None:
        """Learning rate at which the search of a cell begins; None while its neighbour searches."""
        before = self._neighbours[cell]
        if before is None:
            return self.rates[0]
        tried = [lr for rates in self._rounds(before, found) for lr in rates]  # not what somebody added since
        made = found.get(before, {})
        return best_rate({lr: made[lr] for lr in tried}) if tried and all(lr in made for lr in tried) else None

    def neighbour(self, cell: Cell) -> Cell | None:
        """The cell whose best learning rate is the first guess of this one.

        It is the same model on the next fewer tokens, or the next smaller model on the fewest.
        """
        return self._neighbours[cell]

    @cached_property
    def _neighbours(self) -> dict[Cell, Cell | None]:
        groups: dict[tuple[str, Recipe], list[Cell]] = {}
        for cell in self.cells:
            groups.setdefault((cell.digest, replace(cell.recipe, steps=1)), []).append(cell)
        return {cell: _neighbour(cell, alike) for alike in groups.values() for cell in alike}

    def _rounds(self, cell: Cell, found: Found) -> tuple[tuple[float, ...], ...]:
        if not self.search:
            return (self.rates,)
        guess = self.guess(cell, found)
        return () if guess is None else rounds(found.get(cell, {}), guess)

    def _packs(self, cell: Cell, rates: tuple[float, ...], stack: int) -> dict[str, Work]:
        """Packs of a round: every pair of seeds at every rate."""
        made = [Replica(lr=lr, seed=seed, data_seed=data_seed) for lr in rates for seed, data_seed in self.seeds]
        parts = (tuple(made[start : start + stack]) for start in range(0, len(made), stack))
        packs = (Pack(shape=cell.shape, recipe=cell.recipe, replicas=part) for part in parts)
        return {identity(pack, self.sources[cell.digest]): (cell.digest, pack) for pack in packs}


def read_sweep(sweep: str | os.PathLike[str]) -> Sweep:
    """Sweep of a TOML file with a table of the data, [model], [recipe] and [replicas], or of a shipped one by name.

    As of `read_job`, but any entry of these tables may be a list: the cells are all combinations. In [replicas]
    `search`, the first guess, may stand in the place of lr: each cell then brackets its best learning rate by factors
    of two, from the optimum of its neighbour on, and refines it once. `seeds`, a list of pairs [seed, data_seed], may
    stand for all combinations of seed and data_seed.

    Raises
    ------
    ValueError
        As `read_job`. Every cell is checked before anything is trained, and every fault is named.

    Examples
    --------
    >>> sweep = read_sweep("er_ci")
    >>> len(sweep.cells), sweep.rates, sweep.seeds
    (6, (0.015625,), ((0, 0),))
    """
    path = find_sweep(sweep)
    return sweep_of(read_tables(path), path)


def sweep_of(content: Tables, path: str | os.PathLike[str]) -> Sweep:
    """Sweep of the tables that a file has; the path is for messages, and for what the data name beside it."""
    made = sources_of(content, path)
    rates, seeds, search = _replicas(content, path)
    cells = [cell for _, source in made for cell in cells_of(content, source, path)]
    for cell in cells:
        if cells.count(cell) > 1:
            raise ValueError(
                f"{path} has {cells.count(cell)} times the cell of width {cell.shape.width} and {cell.recipe.steps} "
                "steps: two entries of tokens are the same number of steps, or two of the data the same. Leave one out."
            )
    cells.sort(key=lambda one: (cost(one), str(one)))
    recipes, sources = tuple(recipe for recipe, _ in made), {source.digest: source for _, source in made}
    return Sweep(recipes, sources, tuple(cells), rates, seeds, search)


def cost(cell: Cell) -> float:
    """FLOPs of one run, 6 N D."""
    return 6.0 * cell.shape.params * cell.recipe.steps * cell.recipe.batch * cell.shape.context


def described(work: Work) -> dict[str, Any]:
    """A pack and its data in plain values, as a ledger keeps them."""
    digest, pack = work
    return {"data": digest, "pack": asdict(pack)}


def work_of(description: Mapping[str, Any]) -> Work:
    """What a description is of."""
    content = description["pack"]
    pack = Pack(
        shape=Shape(**content["shape"]), recipe=Recipe(**content["recipe"]),
        replicas=tuple(Replica(**one) for one in content["replicas"]),
    )  # fmt: skip
    return description["data"], pack


def _neighbour(cell: Cell, alike: list[Cell]) -> Cell | None:
    """Neighbour among the cells of one recipe."""
    fewer = [one for one in alike if one.shape == cell.shape and one.recipe.steps < cell.recipe.steps]
    if fewer:
        return max(fewer, key=lambda one: one.recipe.steps)
    smaller = [one for one in alike if one.shape.params < cell.shape.params]
    return min(smaller, key=lambda one: (-one.shape.params, one.recipe.steps), default=None)


def _replicas(
    content: Tables, path: str | os.PathLike[str]
) -> tuple[tuple[float, ...], tuple[tuple[int, int], ...], bool]:
    """Learning rates, pairs of seeds, and whether there is a search, as [replicas] says."""
    entries, where = dict(content["replicas"]), f"{path}, [replicas]"
    if ("lr" in entries) == ("search" in entries):
        has = "has both; leave one out" if "lr" in entries else "has neither"
        raise ValueError(
            f"{where} needs one of lr, a list, and search, a first guess such as search = 0.015625, but {has}."
        )
    search = "search" in entries
    if search:
        entries["lr"] = entries.pop("search")
        if isinstance(entries["lr"], list):
            raise ValueError(f"{where}: search is one number, the first guess, not {entries['lr']!r}.")
        if isinstance(entries["lr"], bool) or not isinstance(entries["lr"], int | float) or not entries["lr"] > 0:
            raise ValueError(f"{where}: search is a positive learning rate, the first guess, not {entries['lr']!r}.")
    pairs = entries.pop("seeds", None)
    parts = [entries] if pairs is None else [{**entries, **one} for one in _seeds(pairs, entries, where)]
    made = [one for part in parts for one in replicas_of({"replicas": part}, path)]
    rates, seeds = dict.fromkeys(one.lr for one in made), dict.fromkeys((one.seed, one.data_seed) for one in made)
    return tuple(rates), tuple(seeds), search


def _seeds(pairs: Any, entries: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    """Each pair of `seeds` as entries."""
    if "seed" in entries or "data_seed" in entries:
        raise ValueError(f"{where} has seeds, which are pairs of seed and data_seed: leave these out.")
    if not isinstance(pairs, list) or not pairs or not all(isinstance(one, list) and len(one) == 2 for one in pairs):
        raise ValueError(f"{where}: seeds must be pairs [seed, data_seed], such as [[0, 0], [1, 1]], not {pairs!r}.")
    if any(pair in pairs[:place] for place, pair in enumerate(pairs)):
        raise ValueError(f"{where}: seeds has a pair twice: {pairs!r}.")
    if any(isinstance(number, list) for pair in pairs for number in pair):
        raise ValueError(f"{where}: a pair of seeds is two whole numbers, not {pairs!r}.")
    return [{"seed": seed, "data_seed": data_seed} for seed, data_seed in pairs]

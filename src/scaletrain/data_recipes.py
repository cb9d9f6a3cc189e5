"""What data are made of, from TOML: a graph, n-grams, a teacher, text; each gives its source."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from .config import check_entries, check_whole
from .corpora import Corpus
from .counted_models import counted, interpolated, ngram_model
from .graph_recipes import GraphRecipe
from .ngram_models import NgramModel
from .sources import Source, sampled, source_of
from .teachers import checked_temperature, read_teacher


@dataclass(frozen=True, kw_only=True)
class NgramRecipe:
    """An n-gram model of the train split of a corpus.

    Parameters
    ----------
    path : str
        Folder of the corpus.
    order : int
        n, at least 2.
    skip : int
        Distance of the tokens of an n-gram.
    threshold : int
        N-grams that occur at most so often are left out.
    mixture : float, optional
        Weight of trigrams, from 0 to 1, in a mixture with bigrams; n is 3 then.

    Raises
    ------
    ValueError
        If an entry is impossible.

    Examples
    --------
    >>> NgramRecipe(path="corpus", order=3).to_dict()
    {'path': 'corpus', 'order': 3, 'skip': 1, 'threshold': 0}
    """

    path: str
    order: int = 2
    skip: int = 1
    threshold: int = 0
    mixture: float | None = None

    def __post_init__(self) -> None:
        _check_path(self.path)
        check_whole("order", self.order, 2)
        check_whole("skip", self.skip, 1)
        check_whole("threshold", self.threshold, 0)
        if self.mixture is not None:
            number = isinstance(self.mixture, int | float) and not isinstance(self.mixture, bool)
            if not number or not 0 <= self.mixture <= 1:
                raise ValueError(f"mixture must be a number from 0 (bigrams) to 1 (trigrams), not {self.mixture!r}.")
            if self.order != 3:
                raise ValueError(f"a mixture of bigrams and trigrams has order 3, not {self.order}: set order = 3.")

    def model(self) -> NgramModel:
        """The model.

        Raises
        ------
        OSError, ValueError
            If there is no corpus, or no sequence in it goes on.
        """
        corpus = Corpus.read(self.path)
        orders = (self.order,) if self.mixture is None else (2, 3)
        counts = [counted(corpus, order=order, skip=self.skip).above(self.threshold) for order in orders]
        apart = f"-skip{self.skip}" if self.skip > 1 else ""
        apart += f"-above{self.threshold}" if self.threshold else ""
        if self.mixture is None:
            return ngram_model(*counts, name=f"{self.order}-grams{apart}-{corpus.name}")
        made = interpolated(*counts, weight=self.mixture)
        name = f"2-to-3-grams-{self.mixture:g}{apart}-{corpus.name}"
        return replace(made, graph=replace(made.graph, name=name))

    def source(self) -> Source:
        """Sequences of the model."""
        made = source_of(self.model())
        return replace(made, columns={**made.columns, "threshold": self.threshold, "mixture": self.mixture})

    def to_dict(self) -> dict[str, Any]:
        """Entries, as a table of TOML has them."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class TeacherRecipe:
    """Samples of a trained model.

    Parameters
    ----------
    path : str
        File that `scaletrain export` wrote.
    temperature : float
        Not from the paper (value unknown): 1 samples the teacher's own distribution.

    Raises
    ------
    ValueError
        If an entry is impossible.

    Examples
    --------
    >>> TeacherRecipe(path="teacher.safetensors").temperature
    1.0
    """

    path: str
    temperature: float = 1.0

    def __post_init__(self) -> None:
        _check_path(self.path)
        object.__setattr__(self, "temperature", checked_temperature(self.temperature))

    def source(self) -> Source:
        """Samples of the teacher.

        Raises
        ------
        OSError, ValueError
            If there is no teacher.
        """
        return sampled(read_teacher(self.path), temperature=self.temperature)

    def to_dict(self) -> dict[str, Any]:
        """Entries, as a table of TOML has them."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class TextRecipe:
    """Windows of a prepared corpus; a model sees each at most once, and is tested on the held-out documents.

    Parameters
    ----------
    path : str
        Folder that `scaletrain text prepare` made.

    Raises
    ------
    ValueError
        If it is no path.

    Examples
    --------
    >>> TextRecipe(path="corpus").to_dict()
    {'path': 'corpus'}
    """

    path: str

    def __post_init__(self) -> None:
        _check_path(self.path)

    def source(self) -> Source:
        """Windows of the corpus.

        Raises
        ------
        OSError, ValueError
            If there is no corpus.
        """
        return source_of(Corpus.read(self.path))

    def to_dict(self) -> dict[str, Any]:
        """Entries, as a table of TOML has them."""
        return dict(vars(self))


DataRecipe: TypeAlias = GraphRecipe | NgramRecipe | TeacherRecipe | TextRecipe

#: Tables that say what the data are; a file has one of them.
KINDS: dict[str, type[DataRecipe]] = {
    "graph": GraphRecipe, "ngrams": NgramRecipe, "teacher": TeacherRecipe, "text": TextRecipe,
}  # fmt: skip


def recipe_of(kind: str, entries: Mapping[str, Any], *, folder: str | os.PathLike[str] = ".") -> DataRecipe:
    """Recipe of a table of TOML; a relative path in it is one from that folder.

    Raises
    ------
    ValueError
        If an entry is unknown, missing or impossible.

    Examples
    --------
    >>> recipe_of("text", {"path": "corpus"}, folder="data")
    TextRecipe(path='data/corpus')
    """
    made_by = KINDS[kind]
    if made_by is GraphRecipe:
        return GraphRecipe.from_dict(entries, folder=folder)
    check_entries(made_by, entries, f"[{kind}]")
    path = entries["path"]
    return made_by(**{**entries, "path": str(Path(folder, path)) if path and isinstance(path, str) else path})


def built(recipe: DataRecipe) -> Source:
    """Source of a recipe.

    Examples
    --------
    >>> built(GraphRecipe(kind="erdos_renyi", nodes=50, edges=150, kappa=1.0)).columns
    {'source': 'walks', 'kappa': 1.0}
    """
    if not isinstance(recipe, GraphRecipe):
        return recipe.source()
    made = source_of(recipe.build())
    counted = {"threshold": recipe.threshold} if recipe.kind == "bigrams" else {}
    return replace(made, columns={**made.columns, "kappa": float(recipe.kappa), **counted})


def _check_path(path: Any) -> None:
    if not (isinstance(path, str) and path):
        raise ValueError(f"path must be the name of a file or folder, not {path!r}.")

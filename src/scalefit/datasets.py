"""Published tables of training runs, by name: what each one is, and where its file lies.

Small tables ship with the package. A larger one is downloaded once, by SHA-256, into the user's cache folder; with the
environment variable ``SCALEFIT_DATA`` it is read from that folder instead, which is never written to.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from .table import LossTable

__all__ = ["DATASETS", "Dataset", "Download", "load", "names"]

DATA_VARIABLE = "SCALEFIT_DATA"

# The wheel carries the top-level data/ as scalefit/data/; an editable install or PYTHONPATH=src has only the former.
_ROOTS = (Path(__file__).parent / "data", Path(__file__).parents[2] / "data")


@dataclass(frozen=True)
class Download:
    """Where a file that does not ship comes from, and the only content that is accepted."""

    url: str
    sha256: str


@dataclass(frozen=True)
class Dataset:
    """What one data set is: enough to cite it and to know what its numbers mean.

    Attributes
    ----------
    name : str
        What `load` takes.
    title : str
    rows : int
    loss_unit : str
    params_convention, flops_convention : str
        What the columns `params` and `flops` count.
    source : str
        The citation.
    licence : str
    defects : tuple of str
        What is known to be wrong or unusual; nothing of it is corrected in the file.
    file : str
        The file's name, in ``data/`` or in the folder of a download.
    download : Download or None
        None for a file that ships with the package.

    Examples
    --------
    >>> DATASETS["pythia"].params_convention
    'without embeddings, the convention of the source'
    """

    name: str
    title: str
    rows: int
    loss_unit: str
    params_convention: str
    flops_convention: str
    source: str
    licence: str
    defects: tuple[str, ...]
    file: str
    download: Download | None = None

    @property
    def shipped(self) -> bool:
        """Whether the file comes with the package, so that `load` needs no network."""
        return self.download is None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with `shipped`."""
        return {**asdict(self), "shipped": self.shipped}


_PYTHIA = Dataset(
    name="pythia",
    title="Pythia, seven points digitised from a figure",
    rows=7,
    loss_unit="nats per token (Pythia's own vocabulary); loss_bits has the digitised value",
    params_convention="without embeddings, the convention of the source",
    flops_convention="absent: the source gives none",
    source="Michaud et al. 2023, arXiv:2303.13506, figure 3",
    licence="numbers read from a published figure",
    defects=(
        "Digitised, to about 0.003 bits (0.002 nats).",
        "The source leaves the seventh point (6.9B) out of its fit: kept is False there.",
        "All runs have the same number of tokens: the table holds L(N) only.",
    ),
    file="pythia.csv",
)

_PYTHIA_CEREBRAS = Dataset(
    name="pythia_cerebras",
    title="Pythia and Pythia-deduped, evaluated by Cerebras",
    rows=16,
    loss_unit="nats per GPT-2-vocabulary token, Pile test set; not comparable with `pythia`",
    params_convention="total; params_nonembed without embeddings",
    flops_convention="reported, Cerebras' own accounting, 2 significant figures; not 6 N D",
    source="Dey et al. 2023, arXiv:2304.03208, table 8",
    licence="numbers of a published table (its repository: Apache-2.0)",
    defects=(
        "pythia-1.4b-deduped, 1.889, is above the smaller 1b-deduped, 1.858: probably a typo of the source; "
        "kept as printed.",
        "All runs have the same number of tokens, also the deduplicated ones, which repeat their data.",
    ),
    file="pythia_cerebras.csv",
)

_CEREBRAS_GPT = Dataset(
    name="cerebras_gpt",
    title="Cerebras-GPT, with and without muP, beside GPT-J and GPT-NeoX",
    rows=14,
    loss_unit="nats per GPT-2-vocabulary token, Pile test set",
    params_convention="total; params_nonembed without embeddings (nan for family eleutherai: not in the source)",
    flops_convention="reported, 2 significant figures; C / 6 N D is 1.10 to 1.76, so 6 N D must not be assumed",
    source="Dey et al. 2023, arXiv:2304.03208",
    licence="numbers of published tables (their repository: Apache-2.0)",
    defects=(
        "params and tokens of family eleutherai come from these models' own descriptions, not from the source of "
        "the losses; their tokens are rounded to three figures.",
        "The Cerebras-GPT runs have about 20 tokens per parameter: N and D are collinear, which does not identify "
        "a law in both.",
    ),
    file="cerebras_gpt.csv",
)

_CHINCHILLA = Dataset(
    name="chinchilla",
    title="The Chinchilla runs, extracted again from a figure",
    rows=245,
    loss_unit="nats per token",
    params_convention="the model size of the figure's axis",
    flops_convention="training FLOPs of the figure's axis; tokens = flops / (6 params) by construction",
    source="Hoffmann et al. 2022, arXiv:2203.15556, figure 4; extracted by Besiroglu et al. 2024, arXiv:2404.10102",
    licence="MIT (the downloaded copy, github.com/mcleish7/gemstone-scaling-laws)",
    defects=(
        "The loss is read from a colour scale: steps of about 0.005 nats near loss 2, up to 0.015 at its top.",
        "Besiroglu et al. drop the five largest losses: kept is False there.",
    ),
    file="chinchilla_svg_extracted.csv",
    download=Download(
        url="https://raw.githubusercontent.com/mcleish7/gemstone-scaling-laws/"
        "5f420478f6057b0cbb4d13405fb10ca64675bccb/data/epoch_chinchilla_svg_extracted_data.csv",
        sha256="193478df4e90f040016431996c45682659306840ecdadf83cfb9cd5ca0aa1b30",
    ),
)

_ER_SMALL = Dataset(
    name="er_small",
    title="Transformers on random walks over a graph of 200 nodes, a row per learning rate and pair of seeds",
    rows=258,
    loss_unit="nats per token, entropy floor plus exact divergence; loss_floor has the floor, excess the rest",
    params_convention="total, the embedding once; params_nonembed without it",
    flops_convention="exact count of multiplications, 6 N D and attention; flops_6nd has 6 N D",
    source="trained for this package by `scaletrain run er_small`; after arXiv:2601.10684, on a smaller graph",
    licence="that of the package",
    defects=(
        "Not tuned: keep the best learning rate of each model with best(over='lr', mean=('seed', 'data_seed')).",
        "Width 16 and fewer than 400 updates are outside any law: the smallest model cannot hold the graph, and short "
        "runs have hardly left their start.",
    ),
    file="er_small.csv",
)

_LADDER = Dataset(
    name="ladder",
    title="Transformers on bigrams, on samples of one- and two-layer models, and on text; a row per learning rate",
    rows=240,
    loss_unit="nats per token; entropy floor plus exact divergence, of text the cross-entropy on held-out windows",
    params_convention="total, the embedding once; params_nonembed without it",
    flops_convention="exact count of multiplications, 6 N D and attention; flops_6nd has 6 N D",
    source="trained for this package by `scaletrain run ladder_bigrams` and three more; after arXiv:2601.10684",
    licence="that of the package",
    defects=(
        "Four data sets in one table: column dataset, and source and teacher_depth to tell them.",
        "Not tuned: keep the best learning rate of each model with best(over='lr'). One pair of seeds.",
        "Text has no floor: loss_floor and excess are empty there.",
    ),
    file="ladder.csv",
)

_DIALS = Dataset(
    name="dials",
    title="Transformers between bigrams and trigrams, and on bigrams of tokens further apart; a row per learning rate",
    rows=243,
    loss_unit="nats per token; entropy floor plus exact divergence",
    params_convention="total, the embedding once; params_nonembed without it",
    flops_convention="exact count of multiplications, 6 N D and attention; flops_6nd has 6 N D",
    source="trained for this package by `scaletrain run bigrams_to_trigrams` and `skip_bigrams`",
    licence="that of the package",
    defects=(
        "Nine data sets in one table: column dataset, and order, mixture and skip to tell them.",
        "Not tuned: keep the best learning rate of each model with best(over='lr'). One pair of seeds.",
        "Three sizes and three numbers of tokens: local slopes, no laws.",
    ),
    file="dials.csv",
)

DATASETS: Mapping[str, Dataset] = MappingProxyType(
    {
        dataset.name: dataset
        for dataset in (_PYTHIA, _PYTHIA_CEREBRAS, _CEREBRAS_GPT, _ER_SMALL, _LADDER, _DIALS, _CHINCHILLA)
    }
)
"""Every data set that `load` knows, by name; read-only."""


def names() -> tuple[str, ...]:
    """Names that `load` takes.

    Examples
    --------
    >>> names()
    ('pythia', 'pythia_cerebras', 'cerebras_gpt', 'er_small', 'ladder', 'dials', 'chinchilla')
    """
    return tuple(DATASETS)


def load(name: str) -> LossTable:
    """Load a published table of training runs; ``DATASETS[name]`` tells its units and known defects.

    Parameters
    ----------
    name : str
        One of `names`. ``"chinchilla"`` is downloaded once into the cache folder, or read from the folder that the
        environment variable ``SCALEFIT_DATA`` names. The others ship with the package.

    Returns
    -------
    LossTable
        Rows in the order of the source. A column ``kept`` is False where the source leaves a row out of its own fit.

    Raises
    ------
    ValueError
        For an unknown name, and for a file whose SHA-256 is not the expected one. Such a file is never overwritten.
    FileNotFoundError
        If the file is in neither place and cannot be downloaded; the message says where to put it.

    Examples
    --------
    >>> runs = load("pythia")
    >>> runs["params"].astype(int).tolist()[:3]
    [18915328, 85056000, 302311424]
    >>> len(runs.where(kept=True).to_frame())
    6
    """
    dataset = _find(name)
    if dataset.download is None:
        return LossTable.read(_shipped_file(dataset.file))
    return _chinchilla(pd.read_csv(BytesIO(_downloaded(dataset, dataset.download))))


def _find(name: str) -> Dataset:
    if name in DATASETS:
        return DATASETS[name]
    close = get_close_matches(str(name), DATASETS, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    raise ValueError(
        f"unknown data set {name!r}. {hint}Available: {', '.join(DATASETS)}. Read your own table with LossTable.read."
    )


def _shipped_file(file: str) -> Path:
    """Path of a file of the top-level ``data/``: package data first, the checkout second."""
    for root in _ROOTS:
        if (root / file).is_file():
            return root / file
    raise FileNotFoundError(
        f"{file} should ship with scalefit but is in none of {', '.join(map(str, _ROOTS))}. Install the package again."
    )


def _chinchilla(frame: pd.DataFrame) -> LossTable:
    """Leave out the columns that only describe the drawing, mark the five largest losses, derive tokens."""
    fifth_largest = np.sort(frame["loss"].to_numpy())[-5]
    runs = frame[["Model Size", "Training FLOP", "loss"]].assign(kept=frame["loss"] < fifth_largest)
    return LossTable.from_frame(runs, {"params": "Model Size", "flops": "Training FLOP"}, flops="6ND")


def _downloaded(dataset: Dataset, download: Download) -> bytes:
    """Content of a file that does not ship, checked: the bytes that were hashed are the bytes that are parsed."""
    folder = os.environ.get(DATA_VARIABLE)
    if folder:
        path = Path(folder).expanduser() / dataset.file
        remedy = f"Put the file of {download.url} there under this name, or unset {DATA_VARIABLE} to use the cache."
        if not path.is_file():
            raise FileNotFoundError(f"{DATA_VARIABLE} is set, but there is no file {path}. {remedy}")
    else:
        import pooch

        path = Path(pooch.os_cache("scalefit")) / dataset.file
        remedy = "Delete it and load again to download it afresh."
        if not path.is_file():
            _fetch(dataset.name, download, path)
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != download.sha256:
        raise ValueError(
            f"{path} is not the file of data set {dataset.name!r}: its SHA-256 is {found}, expected {download.sha256}. "
            f"{remedy}"
        )
    return content


def _fetch(name: str, download: Download, path: Path) -> None:
    """Download to `path`; a file with the wrong hash or a broken transfer leaves nothing behind."""
    import pooch

    remedy = (
        f"Get {download.url} by other means and put it at {path}, or as {path.name} into a folder that the "
        f"environment variable {DATA_VARIABLE} names."
    )
    try:
        pooch.retrieve(download.url, f"sha256:{download.sha256}", fname=path.name, path=path.parent)
    except OSError as error:  # no network, an HTTP status, a cache folder that cannot be written
        raise FileNotFoundError(
            f"data set {name!r} is not cached and cannot be downloaded. {remedy} The reason: {error}"
        ) from error
    except ValueError as error:  # pooch names both hashes
        raise ValueError(f"the download of data set {name!r} is not the expected file: {error} {remedy}") from error

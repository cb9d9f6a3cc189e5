"""Tables of a sweep: all runs and all training curves, as Parquet with a CSV mirror, of one frozen schema."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pandas as pd

from scalefit.writing import write_whole

from .ledger import Ledger
from .results import COLUMNS
from .running import CURVES, RUNS

SCHEMA = 2  # version of the names and kinds below; in the metadata of each Parquet file
ABOUT = b"scaletrain"  # key of these metadata
CURVE_COLUMNS = {
    "run": "name of the run", "step": "updates that were made", "tokens": "predicted tokens so far",
    "lr_now": "learning rate of the last update", "train_loss": "of its batch, before it; nats per token",
}  # fmt: skip
TEXT = {"run", "status", "dataset", "dataset_id", "parametrization", "decay_mode", "dtype", "pack", "device", "torch",
        "scaletrain", "source", "teacher", "teacher_digest"}  # fmt: skip
WHOLE = {"params", "tokens", "vocabulary", "width", "depth", "heads", "head_dim", "length", "params_nonembed",
         "params_embed", "seed", "data_seed", "base_width", "batch", "steps", "test_tokens", "replicas",
         "step"}  # fmt: skip
WHOLE_OR_EMPTY = {"threshold", "order", "skip", "teacher_depth", "teacher_width", "teacher_params", "teacher_steps"}
ORDER = ["dataset", "params", "tokens", "parametrization", "lr", "seed", "data_seed", "run"]


def read_table(path: Path) -> pd.DataFrame:
    """Table of a CSV file of the trainer, every digit and every hash as it was written.

    Columns that are neither text nor whole numbers are floats, whatever their values look like.
    """
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)  # a hash such as 12e4 is no number, NA is a name
    for name in frame.columns:
        if name in WHOLE:
            frame[name] = frame[name].astype("int64")
        elif name in WHOLE_OR_EMPTY:
            frame[name] = frame[name].replace("", None).astype("Int64")
        elif name not in TEXT:
            frame[name] = frame[name].replace("", "nan").astype("float64")
    return frame


def collect(ledger: Ledger) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of runs and curves of all packs that are done, in an order that does not depend on the workers.

    Raises
    ------
    ValueError
        If no pack is done yet.
    """
    paths = {path.parent: path for path in ledger.collect(RUNS)}
    if not paths:
        raise ValueError(f"no pack of {ledger.folder} is done yet, so there is no table.")
    more = [path for path in ledger.collect(CURVES) if path.parent in paths]  # other packs may be done meanwhile
    runs, steps = (pd.concat(map(read_table, part), ignore_index=True) for part in (paths.values(), more))
    table = runs.sort_values(ORDER, kind="stable", ignore_index=True)
    place = {run: number for number, run in enumerate(table["run"])}
    steps = steps.iloc[steps["run"].map(place).argsort(kind="stable")].reset_index(drop=True)
    return table, steps


def write_tables(folder: Path, runs: pd.DataFrame, curves: pd.DataFrame) -> list[Path]:
    """Write both tables as Parquet with a CSV mirror, each whole or not at all; gives their paths."""
    written = []
    for name, table, about in (("runs", runs, COLUMNS), ("curves", curves, CURVE_COLUMNS)):
        written += [folder / f"{name}.parquet", folder / f"{name}.csv"]
        write_whole(written[-2], _parquet(table, about))
        write_whole(written[-1], table.to_csv(index=False))
    return written


def _parquet(table: pd.DataFrame, about: dict[str, str]) -> bytes:
    """Content of a Parquet file with the schema's version and what each column is."""
    import pyarrow
    from pyarrow import parquet

    content, made = BytesIO(), pyarrow.Table.from_pandas(table, preserve_index=False)
    more = json.dumps({"schema": SCHEMA, "columns": about}).encode()
    parquet.write_table(made.replace_schema_metadata({**(made.schema.metadata or {}), ABOUT: more}), content)
    return content.getvalue()

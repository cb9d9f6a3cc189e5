"""What a table shows: its columns by name, read-only, its digest, and how it prints."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from .columns import CHECKED, INPUTS, Array, sha256
from .selection import column

_UNITS = {"params": "parameters", "tokens": "tokens", "flops": "FLOPs", "loss": "nats per token"}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class View:
    """Read-only columns of a checked frame, params, tokens, flops and loss first; `LossTable` is one."""

    _frame: pd.DataFrame
    notes: tuple[str, ...] = field(default=())

    @property
    def params(self) -> Array:
        """(n,) array, count: model sizes, by the source's convention."""
        return self._canonical("params")

    @property
    def tokens(self) -> Array:
        """(n,) array, count: training tokens."""
        return self._canonical("tokens")

    @property
    def flops(self) -> Array:
        """(n,) array, FLOPs: training compute."""
        return self._canonical("flops")

    @property
    def loss(self) -> Array:
        """(n,) array, nats per token."""
        return self._canonical("loss")

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns: params, tokens, flops and loss first, then the others in the source's order."""
        return tuple(self._frame.columns)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Those of params, tokens and flops that are present."""
        return tuple(name for name in INPUTS if name in self)

    @property
    def digest(self) -> str:
        """First 16 hex digits of a SHA-256 over the columns' names and values, in row order."""
        return sha256(self._frame)[:16]

    def to_frame(self) -> pd.DataFrame:
        """Copy as a DataFrame; ``LossTable.from_frame(table.to_frame())`` is the same table again.

        Its `attrs` say that it was checked, so `loss` is the loss even beside a different `val_loss`. A CSV file
        does not keep them: reading such a table back asks which one counts.
        """
        frame = self._frame.copy()
        frame.attrs[CHECKED] = True
        return frame

    def __len__(self) -> int:
        return len(self._frame)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Read-only (n,) array of any column."""
        values = column(self._frame, name).to_numpy().view()
        values.flags.writeable = False
        return values

    def __eq__(self, other: object) -> bool:
        return sha256(self._frame) == sha256(other._frame) if isinstance(other, type(self)) else NotImplemented

    def __hash__(self) -> int:
        return hash(sha256(self._frame))

    def __repr__(self) -> str:
        lines = [
            (name, f"{self[name].min():.4g} to {self[name].max():.4g} {_UNITS[name]}")
            for name in (*self.inputs, "loss")
        ]
        others = self.columns[len(lines) :]
        lines += [("also", ", ".join(others))] if others else []
        lines += [("note", note) for note in self.notes]
        return "\n".join([f"LossTable: {len(self)} rows", *(f"  {label:<6}  {words}" for label, words in lines)])

    def _canonical(self, name: str) -> Array:
        if name in self:
            return self[name]
        like = next((other for other in self.columns if name.removesuffix("s") in other.lower()), "...")
        remedy = f"map its column with columns={{{name!r}: {like!r}}}"
        if len(self.inputs) == 2:
            remedy = f"pass flops='6ND' to derive it from {' and '.join(self.inputs)}, or {remedy}"
        raise ValueError(
            f"This table has no column {name!r}; it has {', '.join(self.columns)}. When making the table, {remedy}."
        )

"""LossTable: a table of training runs, one row per run, checked once when it is made.

How columns are recognised and checked is in `columns`; how `where`, `best` and `curves` select rows, in `selection`;
how a history of steps becomes one row per run, in `histories`; what a table shows and how it prints, in `viewing`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .columns import Array, check
from .histories import History, Rule, read_runs
from .reading import Source, read_source
from .selection import Condition, Selection, select_best, select_curves, select_where
from .viewing import View


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class LossTable(View):
    """Validated, read-only columns of training runs; make one with `from_frame` or `read`.

    `loss` (nats per token) and at least one of `params`, `tokens` (raw counts) and `flops` (FLOPs) are there,
    float64, finite and positive. A column that the source lacks is absent: never nan, never made up. Every other
    column is carried along. Two tables are equal when their columns are, whatever their notes.

    Attributes
    ----------
    notes : tuple of str
        What was done on the way: spellings recognised, columns derived, rows dropped or selected.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"N": [1e8, 1e9], "D": [2e9, 2e10], "val_loss": [3.2, 2.6], "lr": [1e-3, 3e-4]})
    >>> LossTable.from_frame(frame, flops="6ND")
    LossTable: 2 rows
      params  1e+08 to 1e+09 parameters
      tokens  2e+09 to 2e+10 tokens
      flops   1.2e+18 to 1.2e+20 FLOPs
      loss    2.6 to 3.2 nats per token
      also    lr
      note    params is the column 'N' (recognised)
      note    tokens is the column 'D' (recognised)
      note    loss is the column 'val_loss' (recognised)
      note    flops derived from params and tokens by the rule 6ND, C = 6 N D
    """

    _dropped: pd.DataFrame

    @classmethod
    def from_frame(
        cls,
        df: pd.DataFrame,
        columns: Mapping[str, str] | None = None,
        *,
        flops: str | None = None,
        drop_invalid: bool = False,
    ) -> LossTable:
        """Table from a DataFrame, which is copied; named index levels become columns.

        Parameters
        ----------
        df : DataFrame
            One row per run.
        columns : mapping of str to str, optional
            Column of `df` for any of "params", "tokens", "flops" and "loss". Common spellings of the others are
            recognised (`n_params`, `N`, `val_loss`, ...). A column whose name is taken is carried as `<name>_original`.
        flops : str, optional
            Rule that derives the one of params, tokens and flops that is absent: "6ND".
        drop_invalid : bool
            Drop rows whose params, tokens, flops or loss is no positive, finite number, and list them in `dropped`.

        Raises
        ------
        ValueError
            A column is absent, ambiguous or duplicated, a value is invalid, or there are fewer than 2 rows.

        Examples
        --------
        >>> frame = pd.DataFrame({"params_nonembed": [1e8, 1e9], "params": [2e8, 1.1e9], "loss": [3.2, 2.6]})
        >>> LossTable.from_frame(frame, {"params": "params_nonembed"}).columns
        ('params', 'loss', 'params_original')
        """
        if not isinstance(df, pd.DataFrame):
            raise TypeError(
                f"from_frame needs a pandas DataFrame, not {type(df).__name__}. "
                "Wrap a dict in pandas.DataFrame(...); read a file with LossTable.read(path)."
            )
        return cls._checked(Source(frame=df), columns, flops, drop_invalid)

    @classmethod
    def read(
        cls,
        path: str | os.PathLike[str],
        columns: Mapping[str, str] | None = None,
        *,
        flops: str | None = None,
        drop_invalid: bool = False,
    ) -> LossTable:
        """Table from a CSV, TSV, JSON lines or Parquet file.

        Parameters
        ----------
        path : path
            File ending in .csv, .tsv, .txt, .jsonl, .ndjson, .parquet or .pq.
        columns, flops, drop_invalid
            As in `from_frame`.

        Raises
        ------
        FileNotFoundError, IsADirectoryError
            There is no such file.
        ImportError
            A Parquet file without the extra `parquet`.
        ValueError
            The file is no table, or as in `from_frame`, naming the line.

        Examples
        --------
        >>> import tempfile
        >>> frame = pd.DataFrame({"N": [1e8, 1e9], "D": [2e9, 2e10], "val_loss": [3.2, 2.6]})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     frame.to_csv(f"{folder}/runs.csv", sep=";", decimal=",", index=False)
        ...     LossTable.read(f"{folder}/runs.csv").loss
        array([3.2, 2.6])
        """
        return cls._checked(read_source(path), columns, flops, drop_invalid)

    @classmethod
    def read_history(
        cls,
        history: History,
        columns: Mapping[str, str] | None = None,
        *,
        rule: Rule = "last",
        configs: History | None = None,
        flops: str | None = None,
        drop_invalid: bool = False,
    ) -> LossTable:
        """Table of one row per run from what the runs logged by step: JSON lines or CSV, such as exports of W&B.

        Parameters
        ----------
        history : path or DataFrame
            A row per record with columns of the run, the step and the loss; or a column per run and metric, such as
            "run-a - val/loss", over a column of steps: what a panel of W&B exports (``__MIN``, ``__MAX`` are left out).
        columns : mapping of str to str, optional
            As in `from_frame`, and for "run" and "step"; of a column per run, the metric. Losses of training and
            validation side by side are refused until one is named.
        rule : "last", "min" or ("mean", k)
            Loss of a run: the last finite one, the smallest (which noise makes too low), or the mean of the last k.
        configs : path or DataFrame, optional
            Further columns, one row per run. A name that the history has counts there.
        flops, drop_invalid
            As in `from_frame`; a run with fewer finite losses than the rule needs is dropped too.

        Raises
        ------
        ValueError
            As in `from_frame`; a record lacks its run or step, a run has too few finite losses or is not in `configs`,
            or a column varies within a run although it is text, a seed, params or constant in most runs.

        Notes
        -----
        Numbers that change by step, such as tokens or a learning rate, are carried as they are at the step of the loss
        (of a mean, its last), or as last logged before. Of several records of one step, as after a restart, the later
        one with a loss counts. `notes` has the rule, the counts, runs whose loss ends before their records do, and runs
        that end alone and early. W&B's own columns, which begin with "_", are left out.

        Examples
        --------
        >>> log = pd.DataFrame({"run": ["a", "a", "b", "b"], "step": [100, 200, 100, 200], "N": [1e8, 1e8, 1e9, 1e9],
        ...                     "tokens": [1e9, 2e9, 1e9, 2e9], "val/loss": [3.6, 3.4, 3.1, 2.9]})
        >>> LossTable.read_history(log).to_frame()
                 params        tokens  loss run  step
        0  1.000000e+08  2.000000e+09   3.4   a   200
        1  1.000000e+09  2.000000e+09   2.9   b   200
        """
        runs = read_runs(history, columns, rule=rule, configs=configs, drop_invalid=drop_invalid)
        made = cls._checked(runs.source, runs.columns, flops, drop_invalid)
        return replace(made, notes=(*runs.notes, *made.notes))

    @property
    def dropped(self) -> pd.DataFrame:
        """Rows dropped by ``drop_invalid=True`` as they were, with a column `reason`; indexed by source row."""
        return self._dropped.copy()

    def where(self, *conditions: Condition, **equals: object) -> LossTable:
        """Rows that meet every condition.

        Parameters
        ----------
        *conditions : str, (n,) boolean array or callable
            "flops >= 1e20", "dataset == c4", "kept", "not kept" (one comparison each; operators == != >= <= > <),
            a mask, or a function from the DataFrame to a mask.
        **equals
            Value that a column equals: ``kept=True``.

        Raises
        ------
        ValueError
            A condition cannot be read, leaves no row, or fewer than 2 rows remain.

        Examples
        --------
        >>> frame = pd.DataFrame({"params": [1e8, 1e9, 1e10], "loss": [3.2, 2.6, 2.3], "kept": [True, True, False]})
        >>> LossTable.from_frame(frame).where("params > 1e7", kept=True).notes
        ('where params > 1e7: 3 of 3 rows', 'where kept == True: 2 of 3 rows')
        """
        return self._selected(select_where(self._frame, conditions, equals))

    def best(
        self, over: str | Sequence[str], *, by: str | Sequence[str] = (), mean: str | Sequence[str] = ()
    ) -> LossTable:
        """Lowest loss at each params, tokens, flops: L(N, D) = min over hyperparameters [1]_.

        Parameters
        ----------
        over : str or sequence of str
            Columns that the minimum is taken over. "seed" and names ending in "_seed" mark replicates.
        by : str or sequence of str
            Columns that make a group beside the inputs present.
        mean : str or sequence of str
            Columns of replicates, such as "seed": for each value of `over` the loss is first averaged over them, and
            the lowest mean is kept. The minimum over seeds favours many seeds; the mean keeps their noise.

        Returns
        -------
        LossTable
            One row per group, sorted by inputs and `by`: the winning row (with `mean`, the first of the winner's
            rows, but its loss and other columns of floats are means), `count` (rows compared), `replicates` (rows with
            the winner's values of `over`, seeds aside), `loss_sd` (sample standard deviation of the loss over them; nan
            for one row) and `at_edge` (the winner has the smallest or largest value tried of some numeric column of
            `over`, seeds aside).

        Raises
        ------
        ValueError
            A column is absent or has missing values, or one that is added is already there.

        References
        ----------
        .. [1] arXiv:2601.10684, Eq. 1.

        Examples
        --------
        >>> frame = pd.DataFrame({"params": [1e8] * 3 + [1e9] * 3, "lr": [1e-4, 1e-3, 1e-2] * 2,
        ...                       "loss": [3.4, 3.2, 3.3, 2.6, 2.7, 2.9]})
        >>> LossTable.from_frame(frame).best(over="lr").to_frame()[["params", "loss", "lr", "count", "at_edge"]]
                 params  loss      lr  count  at_edge
        0  1.000000e+08   3.2  0.0010      3    False
        1  1.000000e+09   2.6  0.0001      3     True
        """
        return self._selected(select_best(self._frame, over, by, mean))

    def curves(self, *, along: str, at: str, rtol: float = 1e-3, min_rows: int = 4) -> tuple[LossTable, ...]:
        """Slices at (nearly) constant `at`, in its order, such as the runs along `params` at each number of tokens.

        Rows are sorted by `at`; a slice spans at most the share `rtol` of its smallest value.

        Parameters
        ----------
        along : str
            Column that varies in a slice; its rows are sorted by it.
        at : str
            Positive column that a slice holds constant.
        rtol : float
            Largest share by which `at` grows within a slice. The default is from no paper: runs of one size agree to
            that, and chance neighbours of a scattered column seldom do.
        min_rows : int
            Least rows of a slice; at least 2 different values of `along` are needed too.

        Raises
        ------
        ValueError
            No slice is large enough.

        Examples
        --------
        >>> tokens, loss = [2e9, 2.001e9, 4e9, 4e9], [3.2, 3.0, 3.1, 2.8]
        >>> table = LossTable.from_frame(pd.DataFrame({"params": [1e8, 1e9] * 2, "tokens": tokens, "loss": loss}))
        >>> [curve.loss.tolist() for curve in table.curves(along="params", at="tokens", min_rows=2)]
        [[3.2, 3.0], [3.1, 2.8]]
        """
        slices = select_curves(self._frame, along=along, at=at, rtol=rtol, min_rows=min_rows)
        return tuple(self._selected(rows) for rows in slices)

    def resampled(self, loss: Array, note: str, rows: NDArray[np.intp] | None = None) -> LossTable:
        """Other losses, on rows by number, possibly repeated: a table that was never measured, and says so.

        Examples
        --------
        >>> table = LossTable.from_frame(pd.DataFrame({"params": [1e8, 1e9], "loss": [3.2, 2.6]}))
        >>> table.resampled(np.array([2.6, 2.6, 3.3]), "an example", np.array([1, 1, 0])).loss.tolist()
        [2.6, 2.6, 3.3]
        """
        frame = self._frame if rows is None else self._frame.iloc[rows].reset_index(drop=True)
        return replace(self, _frame=frame.assign(loss=loss), notes=(*self.notes, note))

    @classmethod
    def _checked(
        cls, source: Source, columns: Mapping[str, str] | None, flops: str | None, drop_invalid: bool
    ) -> LossTable:
        made = check(source, columns, flops=flops, drop_invalid=drop_invalid)
        return cls(_frame=made.frame, _dropped=made.dropped, notes=made.notes)

    def _selected(self, rows: Selection) -> LossTable:
        if len(rows.frame) < 2:
            raise ValueError(
                f"A table needs at least 2 rows, but {rows.notes[-1]!r} leaves {len(rows.frame)}. Loosen it."
            )
        return replace(self, _frame=rows.frame.reset_index(drop=True), notes=(*self.notes, *rows.notes))

"""The verb `alternatives`: other laws beside a fit, scored inside the data and beyond them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from .columns import INPUTS
from .family_laws import FamilyLaw
from .fitting import Model
from .parts import free_parameters
from .replicates import Progress
from .result import Fit
from .rivalry import Rival, beside
from .rolling import Rollout, rollout
from .scores import Validation
from .sheets import visible
from .validation import validate

OWN = "the fit"


@dataclass(frozen=True, repr=False, eq=False)
class Alternatives:
    """A fit and its rivals: how well they fit, predict runs left out at random, and forecast larger runs.

    Attributes
    ----------
    base : Fit
    rivals : tuple of Rival
        With those that cannot be fitted.
    inside : Validation
        Of random splits; the fit's own model is named "the fit".
    beyond : Rollout
        Of the smaller runs alone.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 20)), noise=0.003)
    >>> fit = sf.fit(sf.PowerLaw, runs)
    >>> alternatives(fit, {"no offset": sf.LawRegressor(sf.PowerLaw, fixed={"E": 0}), "exponential": sf.Exponential})
    ok    no rival fits the runs better than the law that was fitted
    E + A params^-alpha and 2 rivals, of which 0 fit about as well
            model  free  ratio close  inside  beyond    bias status
          the fit     3      1   yes       1  0.0126  -0.012     OK
        no offset     2   27.6    no    27.3  0.0774 -0.0774     OK
      exponential     3   30.5    no    32.2  0.0736  0.0736     OK
    ratio: objective by that of the fit; inside: test MSE of random splits by that of the fit
    beyond, bias: mean over cuts at params 3.16e+08, 6.54e+08, 1.35e+09, 2.8e+09, 5.8e+09, nats
    """

    base: Fit
    rivals: tuple[Rival, ...]
    inside: Validation
    beyond: Rollout

    def to_frame(self) -> pd.DataFrame:
        """A row per model, the fit first.

        Free parameters; `ratio` of objectives, `close` and `better` as in `Rival`; `inside`, the mean test MSE of
        random splits by that of the fit, with its standard error; `beyond`, the mean absolute error of forecasts over
        all cuts, in nats, and its bias (positive where forecasts are too high); status, and why there is no number.
        """
        return self._frame.copy()

    @cached_property
    def _frame(self) -> pd.DataFrame:
        inside = self.inside.to_frame().set_index("model")
        scores = self.beyond.to_frame()
        over_cuts = {
            name: own[["mae", "bias"]].to_numpy(float).mean(axis=0)  # nan if a cut has no forecasts
            for name, own in scores.groupby("model")
        }
        rows = []
        for rival in (Rival(OWN, self.base, 1.0, True, False), *self.rivals):
            row: dict[str, Any] = {"model": rival.name, "free": np.nan, "ratio": rival.ratio, "close": rival.close}
            row |= {"better": rival.better, "inside": np.nan, "inside_se": np.nan, "beyond": np.nan, "bias": np.nan}
            row |= {"status": "", "failure": rival.failure}
            if rival.fit is not None:
                row |= {"free": free_parameters(rival.fit), "status": rival.fit.status.name}
                row |= {"inside": inside.loc[rival.name, "ratio"], "inside_se": inside.loc[rival.name, "ratio_se"]}
                row |= dict(zip(("beyond", "bias"), over_cuts[rival.name], strict=True))
            rows.append(row)
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, None where there is none."""
        frame = self._frame.replace([np.inf, -np.inf], np.nan)
        return {
            "fit": self.base.formula, "models": frame.astype(object).where(frame.notna(), None).to_dict("records"),
            "inside": self.inside.to_dict(), "beyond": self.beyond.to_dict(),
        }  # fmt: skip

    def _unscored(self) -> list[str]:
        """Which models have no forecasts at some cut, and so no score over all of them."""
        failed = self.beyond.fits["model"][self.beyond.fits["failure"] != ""]
        names = ", ".join(dict.fromkeys(failed))
        said = f"{names}: no score beyond, since there are no forecasts at some cut"
        return [f"{said}; {why}" for why in self.beyond.notes[:1]]

    def __repr__(self) -> str:
        better = [rival.name for rival in self.rivals if rival.better]
        close = [rival.name for rival in self.rivals if rival.close]
        lines = [f"DOUBT the runs are fitted better by {', '.join(better)}"] if better else []
        lines = lines or ["ok    no rival fits the runs better than the law that was fitted"]
        lines += [f"note  {rival.name} cannot be fitted: {rival.failure}" for rival in self.rivals if rival.failure]
        lines += [f"note  {note}" for note in self._unscored()]
        count = f"{len(self.rivals)} rival{'s' * (len(self.rivals) != 1)}"
        lines.append(f"{self.base.formula} and {count}, of which {len(close)} fit about as well")
        shown = self._frame.drop(columns=["failure", "better", "inside_se"])
        shown["close"] = np.where(shown["close"], "yes", "no")
        table = shown.to_string(index=False, float_format="{:.3g}".format, na_rep="-")
        lines += [f"  {line}" for line in table.splitlines()]
        cuts = ", ".join(f"{cut:.3g}" for cut in self.beyond.cuts)
        lines.append("ratio: objective by that of the fit; inside: test MSE of random splits by that of the fit")
        lines.append(f"beyond, bias: mean over cuts at {self.beyond.over} {cuts}, nats")
        return visible("\n".join(lines))


def alternatives(
    fit: Fit, rivals: Mapping[str, Model] | None = None, *, over: str | None = None, cv: Any = 20, seed: int = 0,
    progress: Progress | None = None,
) -> Alternatives:  # fmt: skip
    """Other laws beside a fit on the same runs: how well they fit, and score inside the data and beyond them.

    Parameters
    ----------
    fit : Fit
    rivals : mapping of str to model, optional
        On the same inputs; those of `rivals` if None.
    over : {"flops", "params", "tokens"}, optional
        What makes a run larger; by default the input of the fit, of several flops where the table has them.
    cv, seed
        Random splits, as in `validate`.
    progress : callable, optional
        Called with the number of refits that are done, and of all, of the random splits, then of the cuts.

    Returns
    -------
    Alternatives

    Raises
    ------
    TypeError
        If this is no fit.
    ValueError
        If a rival is named "the fit", the fit is one family of a joint fit, or as `validate` and `rollout`.

    Notes
    -----
    A law that wins inside may lose beyond, and the other way round: the three columns answer different questions.

    Examples
    --------
    >>> import scalefit as sf
    >>> design = sf.grid(params=np.geomspace(1e8, 1e10, 5), tokens=np.geomspace(1e9, 1e11, 5))
    >>> runs = sf.simulate(sf.HOFFMANN_2022, design, noise=0.003)
    >>> fit = sf.fit(sf.Chinchilla, runs)
    >>> made = alternatives(fit, {"tied": sf.LawRegressor(sf.Chinchilla, tied={"beta": "alpha"})}, cv=10)
    >>> made.to_frame()[["model", "free", "ratio", "close", "inside", "beyond"]].round(3)
         model  free  ratio  close  inside  beyond
    0  the fit     5  1.000   True   1.000   0.011
    1     tied     4  1.933  False   2.153   0.018
    """
    if not isinstance(fit, Fit):
        raise TypeError(f"alternatives needs what sf.fit gave, not {type(fit).__name__}.")
    if isinstance(fit.model, FamilyLaw):
        raise ValueError(
            "this is one family of a joint fit: what it shares was found from the runs that would be left out, so it "
            "would be scored too well. Fit this family's table alone: sf.fit(model, table.where(...))."
        )
    if rivals is not None and OWN in rivals:
        raise ValueError(f"a rival cannot be called {OWN!r}: this is the name of the fit itself.")
    others = beside(fit, rivals)
    models = {OWN: clone(fit.model)} | {rival.name: clone(rival.fit.model) for rival in others if rival.fit is not None}
    how: dict[str, Any] = {"inputs": fit.inputs, "weights": fit.weights, "progress": progress}
    inside = validate(models, fit.table, cv=cv, seed=seed, **how)
    beyond = rollout(models, fit.table, over=_over(fit) if over is None else over, **how)
    return Alternatives(fit, others, inside, beyond)


def _over(fit: Fit) -> str:
    """What makes a run larger: flops of a surface whose table has them, otherwise the first input."""
    counts = [name for name in fit.inputs if name in INPUTS]
    return "flops" if "flops" in fit.table and len(counts) != 1 else (counts or ["flops"])[0]

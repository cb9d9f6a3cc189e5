"""Coordinate check: how far a few updates move the states of models of several widths; muP moves all alike [1]_.

Hidden states are checked, not the logits alone: of a tied model these can look flat while the states before them shrink
with the width.

References
----------
.. [1] Yang et al. 2022, arXiv:2203.03466, appendix D.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from scalefit.drawing import PALETTE, count_words, finish, log_axis, new_axes

from .config import Pack, check_whole
from .graphs import Graph
from .model import Params, hidden, linear, products_in
from .parametrization import EMBEDDING, multiplier
from .training import Trainer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTHS = (128, 256, 512)  # below, moves that vanish with the width still tilt the line
STEPS = 5
STEEPEST = 0.05  # slope of log movement on log width up to which states are said to move alike
LOGITS = "logits"
FALL, SETTLED = (-0.6, -0.1), 50  # how far slopes of logits may fall: early, and from this many steps on


@dataclass(frozen=True)
class CoordinateCheck:
    """How far updates move the states of models of several widths.

    Attributes
    ----------
    moved : DataFrame
        state, width, moved: mean absolute change over fresh sequences, features and replicas.
    slopes : dict of str to float
        Of log moved on log width.
    steps : int
        Updates that were made.
    """

    moved: pd.DataFrame
    slopes: dict[str, float]
    steps: int

    def bounds(self, state: str) -> tuple[float, float]:
        """Slopes between which a state is said to move alike at all widths.

        Logits may fall at first: with tied embeddings they begin at width^-1/2.
        """
        fall = FALL[self.steps >= SETTLED] if state == LOGITS else -STEEPEST
        return fall, STEEPEST

    @property
    def failed(self) -> tuple[str, ...]:
        """States that move differently at different widths."""
        bounds = {name: self.bounds(name) for name in self.slopes}
        return tuple(name for name, slope in self.slopes.items() if not bounds[name][0] <= slope <= bounds[name][1])

    @property
    def ok(self) -> bool:
        """Whether all states move alike."""
        return not self.failed

    @property
    def verdict(self) -> str:
        """What was found, in a sentence."""
        if self.ok:
            return "All states move alike at all widths."
        count = len(self.failed)
        return f"{count} of {len(self.slopes)} states move{'s' if count == 1 else ''} with the width."

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "ok": self.ok, "verdict": self.verdict, "failed": list(self.failed), "slopes": self.slopes,
            "steps": self.steps, "moved": self.moved.to_dict("records"),
        }  # fmt: skip

    def __repr__(self) -> str:
        lines = [f"{'ok' if self.ok else 'NOT OK'}  {self.verdict}"]
        return "\n".join([*lines, *(f"  {name:<18}  {slope:+.3f}" for name, slope in self.slopes.items())])


def coordinate_check(
    pack: Pack, graph: Graph, *, widths: Sequence[int] = WIDTHS, steps: int = STEPS, device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> CoordinateCheck:  # fmt: skip
    """Train a pack at several widths for a few steps, and see how far the states move on sequences not yet seen.

    A correct parametrization moves them alike only in the limit of wide models. Before it, movements have a part that
    vanishes with the width and grows with the learning rate and the steps. At 2^-6, where small models train best, the
    first feed-forward layer has a slope of -0.26 at widths 64 to 256 and of -0.01 at 512 to 2048 (2 seeds on
    er:200:1000). At 2^-8 and 5 steps all slopes are within 0.05 from a width of 128 on. What fails is therefore to be
    checked again at larger widths or a lower learning rate: a wrong rule stays wrong there.

    Parameters
    ----------
    pack : Pack
        Its width and its number of steps are not used: the learning rate stays near its peak.
    graph : Graph
        With as many nodes as the model has tokens.
    widths : sequence of int
        At least two different ones, multiples of head_dim, which stays the same.
    steps : int
        Updates.
    device : str
        Of torch.
    progress : callable, optional
        Called with the number of widths that are done, and of all.

    Raises
    ------
    ValueError
        If there are fewer than two widths, no step, or states whose change is zero or not finite.

    Examples
    --------
    >>> from scaletrain.config import Recipe, Replica, Shape
    >>> from scaletrain.graph_sources import erdos_renyi
    >>> recipe, shape = Recipe(steps=1, batch=8, parametrization="sp"), Shape(vocabulary=60, width=32, length=12)
    >>> pack = Pack(shape=shape, recipe=recipe, replicas=(Replica(lr=2**-8),))
    >>> coordinate_check(pack, erdos_renyi(60, 240, seed=0), widths=(32, 64, 128)).ok
    False
    """
    if len(set(widths)) < 2:
        raise ValueError(f"a coordinate check needs at least two different widths, not {list(widths)}.")
    check_whole("steps", steps, 1)
    recipe = replace(pack.recipe, steps=max(100, 2 * steps))  # after warm-up, before the learning rate falls
    packs = [replace(pack, shape=replace(pack.shape, width=width), recipe=recipe) for width in sorted(set(widths))]
    rows: list[dict[str, Any]] = []
    for done, one in enumerate(packs, start=1):
        changes = _moved(one, graph, steps, device)
        rows += [{"state": name, "width": one.shape.width, "moved": change} for name, change in changes.items()]
        if progress is not None:
            progress(done, len(packs))
    moved = pd.DataFrame(rows)
    for row in rows:
        if not 0 < row["moved"] < math.inf:
            raise ValueError(
                f"{row['state']} moves by {row['moved']} at width {row['width']}: choose another lr than "
                f"{', '.join(f'{one.lr:g}' for one in pack.replicas)}."
            )
    slopes = {
        str(name): float(np.polyfit(np.log(part["width"]), np.log(part["moved"]), 1)[0])
        for name, part in moved.groupby("state", sort=False)
    }
    return CoordinateCheck(moved, slopes, steps)


def plot_coordinates(check: CoordinateCheck, ax: Axes | None = None) -> Axes:
    """Movement against width, a line per state; those that fail are dashed.

    Examples
    --------
    >>> moved = pd.DataFrame({"state": ["final", "final"], "width": [64, 128], "moved": [0.5, 1.0]})
    >>> plot_coordinates(CoordinateCheck(moved, {"final": 1.0}, 5)).get_ylabel()
    'mean change after 5 steps'
    """
    from matplotlib.ticker import NullLocator

    ax = new_axes(ax)
    marks = "os^Dvp"
    for place, (name, part) in enumerate(check.moved.groupby("state", sort=False)):
        ax.plot(
            part["width"], part["moved"], color=PALETTE[place % len(PALETTE)], marker=marks[place // len(PALETTE) % 6],
            markersize=4, linestyle="--" if name in check.failed else "-",
            label=f"{name} {check.slopes[str(name)]:+.2f}",
        )  # fmt: skip
    widths = sorted(check.moved["width"].unique())
    ax.set(xscale="log", xlabel="width")
    log_axis(ax, "y", f"mean change after {check.steps} steps")
    ax.set_xticks(widths, [count_words(width) for width in widths])
    ax.xaxis.set_minor_locator(NullLocator())
    finish(ax, columns=2)
    return ax


def _moved(pack: Pack, graph: Graph, steps: int, device: str) -> dict[str, float]:
    """Mean absolute change of each state."""
    trainer = Trainer(pack, graph, device=device)
    tokens = trainer.batch(pack.recipe.steps)[..., :-1]  # no step trains on these
    before = _states(trainer.params, tokens, pack)
    for _ in range(steps):
        trainer.advance()
    after = _states(trainer.params, tokens, pack)
    return {name: float((after[name].double() - before[name].double()).abs().mean()) for name in after}


@torch.no_grad()
def _states(params: Params, tokens: Tensor, pack: Pack) -> Params:
    """States on the way, and the logits."""
    seen: Params = {}
    with products_in(pack.recipe.dtype, tokens.device):
        final = hidden(params, tokens, pack.shape, seen)
        seen[LOGITS] = linear(final / multiplier(pack.shape, pack.recipe), params[EMBEDDING].transpose(1, 2))
    return seen

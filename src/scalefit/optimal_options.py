"""The options of `scalefit optimal`: which approach, which budgets, what they pay for, which transformers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import make_model, option, usage
from .surface_options import PlaneLaw, surface_model

if TYPE_CHECKING:
    import pandas as pd

    from .costs import Cost
    from .frontier import Frontier
    from .result import Fit
    from .table import LossTable

MOST_BUDGETS = 1000
GPT2 = 50257  # vocabulary
RTOL = 0.05  # of `isoflop`


class CostName(StrEnum):
    """What a budget pays for."""

    six_nd = "6ND"
    transformer = "transformer"


Law = Annotated[
    PlaneLaw | None,
    option("Model", "Formula in params and tokens; chinchilla by default.", "--law"),
]
Isoflop = Annotated[
    bool, option("Model", "A parabola through the runs of each budget (approach 2 of Chinchilla).", "--isoflop")
]
Envelope = Annotated[
    bool, option("Model", "The runs that no cheaper run beats (approach 1 of Chinchilla).", "--envelope")
]
Rtol = Annotated[
    float | None,
    typer.Option(
        min=0, help="Share by which FLOPs may grow within a budget of --isoflop; 0.05 by default.",
        rich_help_panel="Model",
    ),
]  # fmt: skip
Budgets = Annotated[
    list[str] | None,
    option(
        "Budget", "Compute to spend, FLOPs: one, or so many from low to high. Repeatable. By default round budgets "
        "within the runs.", "--budget", metavar="1e23|1e19:1e23:9",
    ),
]  # fmt: skip
Costs = Annotated[
    CostName | None, option("Budget", "FLOPs of params and tokens: 6ND, or transformer, which counts all.", "--cost")
]
Serve = Annotated[
    float | None,
    typer.Option(
        "--serve", min=0, help="Tokens that the model will read and write in use, which the budget pays for too.",
        metavar="TOKENS", rich_help_panel="Budget",
    ),
]  # fmt: skip
Window = Annotated[
    str | None,
    option("Budget", "Budgets that the exponents are of; all by default.", "--window", metavar="1e19:1e22"),
]
Shapes = Annotated[bool, option("Transformer", "Nearest shapes, at the last budget: depth, width, heads.", "--shapes")]
Vocabulary = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="COUNT",
        help="Of --shapes, by default that of the runs, else GPT-2's 50257; and of --cost transformer.",
        rich_help_panel="Transformer",
    ),
]  # fmt: skip
Context = Annotated[
    int | None,
    typer.Option(min=1, help="Tokens, of --cost transformer.", metavar="COUNT", rich_help_panel="Transformer"),
]
WithoutEmbeddings = Annotated[
    bool,
    option("Transformer", "The table's params leave out the embedding.", "--without-embeddings"),
]


@dataclass(frozen=True)
class Approach:
    """How the best model at each budget is found: off a law or a surface, or off the runs at each budget."""

    law: PlaneLaw | None
    model: str | None
    isoflop: bool
    envelope: bool
    rtol: float | None

    def __post_init__(self) -> None:
        given = [f"--{name}" for name in ("law", "model", "isoflop", "envelope") if getattr(self, name)]
        if len(given) > 1:
            raise usage(", ".join(given), "name different approaches. Choose one.")
        if self.rtol is not None and not self.isoflop:
            raise usage("--rtol", "goes with --isoflop.")
        if self.rtol is not None and not self.rtol < 1:
            raise usage("--rtol", f"must be a share of a budget below 1, not {self.rtol:g}.")

    @property
    def name(self) -> str:
        """The approach in a word."""
        return "isoFLOP parabolas" if self.isoflop else "envelope" if self.envelope else self.model or self._law

    @property
    def has_fit(self) -> bool:
        """Whether something is fitted to all runs."""
        return not (self.isoflop or self.envelope)

    @property
    def _law(self) -> str:
        return str(self.law or PlaneLaw.chinchilla)

    def check(self, *, of_fits: Mapping[str, Any], of_laws: Mapping[str, Any], weights: str | None) -> None:
        """Refuse options that this approach does nothing with."""
        given = [name for name, value in of_fits.items() if value]
        if given and not self.has_fit:
            raise usage(", ".join(given), "is for --law and --model; this approach reads the runs at each budget.")
        if weights and self.envelope:
            raise usage("--weights", "changes nothing of an envelope.")
        given = [name for name, value in of_laws.items() if value]
        if given and (self.model or not self.has_fit):
            raise usage(", ".join(given), "is for --law; settings of a surface follow its name: kernel:delta=0.01.")

    def fit(self, runs: LossTable, weights: str | None, **settings: Any) -> Fit | None:
        """Fit of a law or of a surface to params and tokens; None for the other approaches."""
        if not self.has_fit:
            return None
        from .fitting import fit

        model = surface_model(self.model) if self.model else make_model(self._law, **settings)
        for name in ("params", "tokens"):
            getattr(runs, name)  # an error that says how to get it, where it is not there
        return fit(model, runs, inputs=("params", "tokens"), weights=weights)

    def frontier(self, runs: LossTable, weights: str | None) -> Frontier:
        """Best models of --isoflop and --envelope."""
        from .isoflops import envelope, isoflop

        if self.envelope:
            return envelope(runs)
        return isoflop(runs, weights=weights, rtol=RTOL if self.rtol is None else self.rtol)


@dataclass(frozen=True)
class Family:
    """Transformers that a budget pays for, and whose shapes are shown."""

    shapes: bool
    vocabulary: int | None
    context: int | None
    embeddings: bool

    def cost(self, name: str | None, serve: float | None) -> Cost:
        """FLOPs of params and tokens that a budget pays for."""
        from .flops import six_nd, transformer, with_inference

        if serve is not None and not serve < math.inf:
            raise usage("--serve", "must be a finite number of tokens.")
        exact = name == CostName.transformer
        if self.context is not None and not exact:
            raise usage("--context", "goes with --cost transformer.")
        if (self.vocabulary is not None or not self.embeddings) and not (exact or self.shapes):
            raise usage("--vocabulary, --without-embeddings", "go with --shapes and --cost transformer.")
        made: Cost = six_nd
        if exact:
            if self.vocabulary is None or self.context is None:
                raise usage("--cost", "transformer needs --vocabulary and --context, such as 50257 and 2048.")
            made = transformer(vocabulary=self.vocabulary, context=self.context, embeddings=self.embeddings)
        return with_inference(serve, made) if serve else made

    def near(self, params: float, runs: LossTable) -> pd.DataFrame | None:
        """Shapes near a number of parameters, where they are asked for and there is a number.

        Vocabulary and width of a head are those of the runs, where the table has one in `vocabulary` and `head_dim`.
        """
        if not (self.shapes and math.isfinite(params)):
            return None
        from .shapes import shapes_near

        vocabulary = self.vocabulary or _constant(runs, "vocabulary") or GPT2
        heads = {} if (head := _constant(runs, "head_dim")) is None else {"head": head}
        return shapes_near(params, vocabulary=vocabulary, embeddings=self.embeddings, **heads)


def _constant(runs: LossTable, name: str) -> int | None:
    """The one whole number of a column of the table."""
    values = set(runs[name].tolist()) if name in runs and runs[name].dtype.kind in "iuf" else set()
    value = float(values.pop()) if len(values) == 1 else math.nan
    return int(value) if value >= 1 and value.is_integer() else None


def budgets(texts: Sequence[str] | None) -> list[float]:
    """Budgets in FLOPs, in their order, each once."""
    found: dict[float, None] = {}
    for text in texts or ():
        parts = text.split(":")
        if len(parts) == 1:
            found[_flops("--budget", text)] = None
            continue
        low, high, count = (*(_flops("--budget", part) for part in parts[:2]), _count(parts))
        if not low < high:
            raise usage("--budget", f"the lower end comes first: LOW:HIGH:COUNT, not {text!r}.")
        for place in range(count):
            found[float(f"{low * (high / low) ** (place / (count - 1)):.6g}")] = None
    if len(found) > MOST_BUDGETS:
        raise usage("--budget", f"names {len(found)} budgets; {MOST_BUDGETS} are the most.")
    return list(found)


def _count(parts: Sequence[str]) -> int:
    """Number of budgets in LOW:HIGH:COUNT."""
    count = parts[2] if len(parts) == 3 else ""
    if not (count.isdecimal() and 2 <= int(count) <= MOST_BUDGETS):
        raise usage("--budget", f"needs one budget, or LOW:HIGH:COUNT such as 1e19:1e23:9, not {':'.join(parts)!r}.")
    return int(count)


def window(text: str | None) -> tuple[float, float] | None:
    """Ends of the window of the exponents."""
    if text is None:
        return None
    parts = text.split(":")
    if len(parts) != 2:
        raise usage("--window", f"needs two budgets, LOW:HIGH, such as 1e19:1e22, not {text!r}.")
    low, high = (_flops("--window", part) for part in parts)
    if not low < high:
        raise usage("--window", f"the lower end comes first, not {text!r}.")
    return low, high


def _flops(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise usage(name, f"a budget must be a positive number of FLOPs, such as 1e21, not {text!r}.")
    return value

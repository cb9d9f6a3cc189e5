"""NetworkRegressor: a small network as a scikit-learn regressor. Trained with torch, it predicts with NumPy alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from .objective import Huber
from .refitting import as_tables
from .replicates import Loop, Progress, Refits
from .rows import frequencies
from .status import Status

if TYPE_CHECKING:
    from .network_training import Kept, Rows

Floats = NDArray[np.float64]


class NetworkRegressor(RegressorMixin, BaseEstimator):
    """Three linear layers with GELU between them, k -> width -> width -> 1: the paper's network [1]_.

    Trained in float64 on all rows at once by AdamW; the learning rate falls to 0 along half a cosine. The loss is
    Huber's, divided by that of predicting the weighted mean of y. Inputs and y are centred and divided by their
    weighted standard deviation inside, so that no unit matters but that of `delta`. Equal rows are merged and sorted
    first: the order of the rows changes nothing, and a row of weight 2 is the row twice, to the last bit.

    Parameters
    ----------
    width : int
        Units of both hidden layers. Not from the paper (value unknown): 32, which was enough for 240 runs.
    learning_rate : float
        Where the cosine starts. Not from the paper (value unknown): 3e-3.
    weight_decay : float
        Of all weights and biases, as torch.optim.AdamW has it. Not from the paper (value unknown): 1e-4.
    epochs : int
        Most steps; 5000 in the paper.
    patience : int
        Training stops early when for more than this many steps the loss did not fall by more than `tolerance` below
        where it last did; 200 in the paper.
    tolerance : float
        In units of the loss of predicting the weighted mean. Not from the paper (value and scale unknown): 1e-7.
    delta : float
        Half-width of the quadratic zone of Huber's loss, in units of y; 1e-3 in the paper.
    seed : int
        Of the initial weights, drawn as torch.nn.Linear draws them: uniform within 1 / sqrt(inputs of the layer).
    device : str
        "cpu", or "cuda" for a GPU. On the CPU a fit is the same to the last bit alone and among refits. On a GPU
        refits train as one stack, where rounding, and with it the fit, differs a little with the size of the stack.

    Attributes
    ----------
    layers_ : list of (width, k + 1), (width, width + 1) and (1, width + 1) array
        Weights with the lowest loss seen, biases in the last column.
    center_, scale_ : (k,) array
        Weighted mean and standard deviation of the inputs.
    target_center_, target_scale_ : float
        The same of y; a constant y has scale 0.
    n_iter_ : int
        Epochs that were run.
    best_loss_ : float
        Loss of `layers_` in units of that of predicting the weighted mean; 0 if y is constant.
    stopped_early_ : bool
        Whether `patience` ran out before `epochs` did.
    objective_ : Huber
    objective_value_ : float
        Sum over rows, in units of y.
    status_ : Status
        The most severe of `findings_`.
    findings_ : list of (Status, str)
        Not converged, if the network is no better than the weighted mean of y.

    References
    ----------
    .. [1] arXiv:2601.10684, appendix B.3.

    Examples
    --------
    >>> X = np.linspace(0, 3, 30)[:, None]
    >>> model = NetworkRegressor(width=8, epochs=400, learning_rate=0.02).fit(X, np.sin(X[:, 0]))
    >>> bool(abs(model.predict([[1.5]])[0] - np.sin(1.5)) < 0.01)
    True
    """

    def __init__(
        self, width: int = 32, *, learning_rate: float = 3e-3, weight_decay: float = 1e-4, epochs: int = 5000,
        patience: int = 200, tolerance: float = 1e-7, delta: float = 1e-3, seed: int = 0, device: str = "cpu",
    ) -> None:  # fmt: skip
        self.width = width
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.epochs = epochs
        self.patience = patience
        self.tolerance = tolerance
        self.delta = delta
        self.seed = seed
        self.device = device

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train the network.

        Parameters
        ----------
        X : (n, k) array
            Inputs, any real numbers.
        y : (n,) array
        sample_weight : (n,) array, optional
            Frequencies: a weight of 2 is the row twice, 0 leaves it out.

        Raises
        ------
        ValueError
            If a value is not finite, a setting is out of range, or the device is not there.
        ImportError
            Without torch.
        """
        self._check_settings()
        checked, values = validate_data(self, X, y, dtype=float, y_numeric=True)
        inputs, targets = np.asarray(checked), np.asarray(values, dtype=float)
        return self._set(*self._train([(inputs, targets, frequencies(sample_weight, len(targets)))])[0])

    def predict(self, X: ArrayLike) -> Floats:
        """Value at inputs X, (n, k); (n,) array. It extrapolates without a word."""
        check_is_fitted(self)
        return self._predict(np.asarray(validate_data(self, X, dtype=float, reset=False)))

    def _predict(self, X: Floats) -> Floats:
        first, second, readout = self.layers_
        active = (X - self.center_) / self.scale_
        for layer in (first, second):
            before = active @ layer[:, :-1].T + layer[:, -1]
            active = before * ndtr(before)
        value: Floats = self.target_center_ + self.target_scale_ * (active @ readout[0, :-1] + readout[0, -1])
        return value

    def refits(
        self, X: ArrayLike, Y: ArrayLike, sample_weight: ArrayLike | None = None, progress: Progress | None = None
    ) -> Refits:
        """Train the network anew on B tables, each from the same initial weights.

        Parameters
        ----------
        X : (n, k) or (B, n, k) array
            Inputs that all tables share, or of each.
        Y : (B, n) or (1, n) array
        sample_weight : (B, n) or (1, n) array, optional
            Frequencies.
        progress : callable, optional
            Called with the number of tables that are done, and of all, as training goes.
        """
        check_is_fitted(self)
        self._check_settings()
        inputs = np.asarray(X, dtype=float)
        if inputs.ndim == 2:
            inputs = np.asarray(validate_data(self, X, dtype=float, reset=False))[None]
        if inputs.ndim != 3 or inputs.shape[2] != self.n_features_in_:
            raise ValueError(f"X must be (n, k) or (B, n, k) with k = {self.n_features_in_}, not {inputs.shape}.")
        Y, W = as_tables(Y, sample_weight, inputs.shape[1])
        B = max(len(inputs), len(Y), len(W))
        if {len(inputs), len(Y), len(W)} - {1, B}:
            raise ValueError(f"X, Y and sample_weight hold {len(inputs)}, {len(Y)}, {len(W)} tables; give 1 or {B}.")
        tables = {b: (inputs[b % len(inputs)], Y[b % len(Y)], W[b % len(W)]) for b in range(B)}
        # the others `fit` would refuse
        tables = {b: t for b, t in tables.items() if np.isfinite(t[0]).all() and np.isfinite(t[1]).all() and t[2].any()}
        done = None if progress is None else lambda count: progress(B - len(tables) + count, B)
        trained = dict(zip(tables, self._train(list(tables.values()), done), strict=True))
        return Loop([clone(self)._set(*trained[b]) if b in trained else None for b in range(B)])

    def _train(
        self, tables: Sequence[tuple[Floats, Floats, Floats]], done: Callable[[int], None] | None = None
    ) -> list[tuple[Rows, Kept]]:
        """What was trained on, and what is kept, for tables of inputs, values and weights."""
        try:
            from .network_training import Recipe, Rows, find_device, train
        except ImportError:
            raise ImportError(
                "NetworkRegressor needs torch, the extra 'network'. Install it from the clone: pip install '.[network]'"
            ) from None
        recipe = Recipe(self.learning_rate, self.weight_decay, self.epochs, self.patience, self.tolerance)
        rows = [Rows(*table, Huber(self.delta)) for table in tables]
        return list(zip(rows, train(rows, self._start(), recipe, find_device(self.device), done), strict=True))

    def _start(self) -> list[Floats]:
        """Initial layers; the last column of each, the bias, is drawn from the same range as the weights."""
        rng = np.random.default_rng(self.seed)
        shapes = _shapes(self.width, self.n_features_in_)
        return [rng.uniform(-1, 1, shape) / np.sqrt(shape[1] - 1) for shape in shapes]

    def _set(self, rows: Rows, kept: Kept) -> Self:
        self.layers_, self.best_loss_ = kept.layers, kept.loss
        self.n_iter_, self.stopped_early_ = kept.epochs, kept.stopped_early
        self.center_, self.scale_ = rows.center, rows.scale
        self.target_center_, self.target_scale_ = rows.target_center, rows.target_scale
        self.n_features_in_, self.objective_ = len(rows.center), Huber(self.delta)
        rho = self.objective_.rho(rows.values - self._predict(rows.inputs))
        self.objective_value_ = float(np.sum(rows.counts * rho))
        return self._judge()

    def _judge(self) -> Self:
        lost = not self.best_loss_ < 1
        self.findings_ = [(Status.NOT_CONVERGED, "NetworkRegressor")] if lost else []
        self.status_ = Status.worst([status for status, _ in self.findings_])
        return self

    def to_state(self) -> dict[str, Any]:
        """Plain values that `from_state` reads back."""
        check_is_fitted(self)
        return {
            "settings": {
                name: getattr(value, "item", lambda v=value: v)() for name, value in self.get_params().items()
            },
            "layers": [layer.tolist() for layer in self.layers_],
            "center": self.center_.tolist(),
            "scale": self.scale_.tolist(),
            "target": [self.target_center_, self.target_scale_],
            "loss": [self.best_loss_, self.objective_value_],
            "n_iter": self.n_iter_,
            "stopped_early": self.stopped_early_,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> NetworkRegressor:
        """Fitted network of what `to_state` gave: the same predictions to the last bit, without torch.

        Raises
        ------
        ValueError
            If the state is damaged.
        """
        try:
            made = cls(**state["settings"])
            made._check_settings()
            made.center_, made.scale_ = np.array(state["center"], dtype=float), np.array(state["scale"], dtype=float)
            made.layers_ = [np.array(layer, dtype=float) for layer in state["layers"]]
            made.target_center_, made.target_scale_ = (float(value) for value in state["target"])
            made.best_loss_, made.objective_value_ = (float(value) for value in state["loss"])
            made.n_iter_, made.stopped_early_ = int(state["n_iter"]), bool(state["stopped_early"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the state of a network is damaged ({type(error).__name__}: {error}).") from error
        made.n_features_in_ = made.center_.size
        shapes, wanted = [layer.shape for layer in made.layers_], _shapes(made.width, made.n_features_in_)
        if shapes != wanted or made.center_.shape != made.scale_.shape:
            raise ValueError(f"the state of a network is damaged: its layers are {shapes}, not {wanted}.")
        scalars = np.array([made.target_center_, made.target_scale_, made.best_loss_, made.objective_value_])
        if not all(np.all(np.isfinite(array)) for array in [*made.layers_, made.center_, made.scale_, scalars]):
            raise ValueError("the state of a network is damaged: not all of its numbers are finite.")
        if not np.all(made.scale_ > 0) or made.target_scale_ < 0:
            raise ValueError("the state of a network is damaged: not all of its scales are positive.")
        made.objective_ = Huber(made.delta)
        return made._judge()

    def _check_settings(self) -> None:
        for name, least in (("width", 1), ("epochs", 1), ("patience", 1), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool):
                raise TypeError(f"{name} must be a whole number of at least {least}, not {value!r}.")
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value!r}.")
        for name, zero in (("learning_rate", False), ("delta", False), ("weight_decay", True), ("tolerance", True)):
            value = getattr(self, name)
            wanted = f"{name} must be {'at least 0' if zero else 'positive'} and finite"
            if not isinstance(value, Real) or isinstance(value, bool):
                raise TypeError(f"{wanted}, not {value!r}.")
            if not (0 < float(value) < np.inf or (zero and value == 0)):
                raise ValueError(f"{wanted}, not {value!r}.")


def _shapes(width: int, inputs: int) -> list[tuple[int, int]]:
    """Shapes of the three layers, biases in the last column."""
    return [(width, inputs + 1), (width, width + 1), (1, width + 1)]

"""Training of networks with torch, for `network`: full batches in float64, AdamW, gradients written out.

Every tensor has a leading axis of tables, (B, ...): networks that train together are a stack. For networks as small as
these, autograd and a module for each would take longer than the arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from .objective import Huber

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Done = Callable[[int], None]

FIRST, SECOND, SMALL = 0.9, 0.999, 1e-8  # AdamW's betas and eps: the defaults of torch.optim.AdamW
LARGEST = 32_000_000  # numbers in one stack on a GPU: a bound on memory
PAD = 16  # rows are padded to a multiple, so that tables of nearly as many train together
TELL = 50  # epochs between two reports of progress


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; the fields are parameters of `NetworkRegressor`.

    Examples
    --------
    >>> recipe = Recipe(learning_rate=0.01, weight_decay=0.0, epochs=2, patience=1, tolerance=0.0)
    >>> [recipe.rate(epoch) for epoch in range(2)]
    [0.01, 0.005]
    """

    learning_rate: float
    weight_decay: float
    epochs: int
    patience: int
    tolerance: float

    def rate(self, epoch: int) -> float:
        """Learning rate of a step, counting from 0: half a cosine from `learning_rate` to 0."""
        return self.learning_rate * (1 + math.cos(math.pi * epoch / self.epochs)) / 2


class Rows:
    """Rows of one table as a network sees them: distinct, in an order of their own, centred and scaled.

    Rows of weight zero are left out and the weights of equal rows added: what means the same is the same.

    Parameters
    ----------
    X, y, weights : (n, k), (n,), (n,) array
    objective : Huber

    Attributes
    ----------
    inputs, values, counts : (m, k), (m,), (m,) array
        The distinct rows, in units of the table.
    center, scale, target_center, target_scale : (k,), (k,), (), () array
        Weighted means and standard deviations; the scale of a constant input is 1, of a constant y 0.
    X, targets, weights, delta : (k + 1, p), (p,), (p,), (1,) array
        What is trained on: standardised inputs over a row of ones, standardised targets, weights so that predicting
        the weighted mean has the loss 1, and the zone in units of the targets; padded with rows of weight 0.

    Examples
    --------
    >>> rows = Rows(np.array([[2.0], [1.0], [2.0]]), np.array([3.0, 4.0, 3.0]), np.ones(3), Huber(0.1))
    >>> rows.inputs.tolist(), rows.counts.tolist()
    ([[1.0], [2.0]], [1.0, 2.0])
    """

    def __init__(self, X: Floats, y: Floats, weights: Floats, objective: Huber) -> None:
        self.inputs, self.values, self.counts = _distinct(X, y, weights)
        share = self.counts / self.counts.sum()
        self.center, self.scale = _standard(self.inputs, share)
        center, scale = _standard(self.values[:, None], share)
        self.target_center, self.target_scale = float(center[0]), float(scale[0])
        self.scale = np.where(self.scale > 0, self.scale, 1.0)
        self.constant = self.target_scale == 0
        if self.constant:
            return
        rho_of_mean = float(np.sum(share * objective.rho(self.values - self.target_center)))
        n, unit = len(share), self.target_scale
        self.delta = np.array([float(objective.delta) / unit])
        self.X = np.ones((X.shape[1] + 1, n + -n % PAD))
        self.targets, self.weights = np.zeros((2, n + -n % PAD))
        self.X[:-1, :n] = ((self.inputs - self.center) / self.scale).T
        self.X[:-1, n:] = 0.0
        self.targets[:n] = (self.values - self.target_center) / unit
        self.weights[:n] = share * (unit * unit / rho_of_mean)


def _distinct(X: Floats, y: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    table, weights = np.column_stack([X, y])[weights > 0], weights[weights > 0]
    order = np.lexsort([weights, *table.T[::-1]])  # equal rows by weight, so that their sum has one order too
    table, weights = table[order], weights[order]
    first = np.flatnonzero(np.r_[True, np.any(table[1:] != table[:-1], axis=1)])
    return table[first, :-1], table[first, -1], np.add.reduceat(weights, first)


def _standard(columns: Floats, share: Floats) -> tuple[Floats, Floats]:
    """Weighted mean and standard deviation of columns, exactly 0 of a constant one."""
    center = share @ columns
    scale = np.sqrt(share @ (columns - center) ** 2)
    constant = np.ptp(columns, axis=0) == 0
    return np.where(constant, columns[0], center), np.where(constant, 0.0, scale)


@dataclass(frozen=True)
class Kept:
    """What is kept of a training: the layers with the lowest loss.

    Examples
    --------
    >>> Kept([np.zeros((1, 2))], loss=0.5, epochs=10, stopped_early=False).loss
    0.5
    """

    layers: list[Floats]
    loss: float
    epochs: int
    stopped_early: bool


def find_device(name: str) -> torch.device:
    """Device of a name.

    Raises
    ------
    ValueError
        If it is neither the CPU nor a GPU that torch can use.

    Examples
    --------
    >>> find_device("cpu")
    device(type='cpu')
    """
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise ValueError(f"device must be 'cpu' or 'cuda', not {name!r}.") from None
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device must be 'cpu' or 'cuda', not {name!r}.")
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ValueError(f"device is {name!r}, but torch finds {count} such GPUs. Pass device='cpu'.")
    return device


def train(
    tables: Sequence[Rows], start: Sequence[Floats], recipe: Recipe, device: torch.device, done: Done | None = None
) -> list[Kept]:
    """Train a network on each table, all from the same start.

    On the CPU tables train one after the other: their arrays stay in the cache, and a network cannot depend on its
    company, whatever the number of threads. On a GPU, where small kernels one by one would leave it idle, tables of
    as many rows (up to padding) train as stacks.

    Parameters
    ----------
    tables : sequence of Rows
    start : three arrays, (w, k + 1), (w, w + 1), (1, w + 1)
        Layers, biases in the last column.
    recipe : Recipe
    device : torch.device
    done : callable, optional
        Told how many tables are done, as training goes.

    Examples
    --------
    >>> rows = Rows(np.arange(9.0)[:, None], np.arange(9.0) ** 2, np.ones(9), Huber(1.0))
    >>> start = [np.linspace(-1, 1, a * b).reshape(a, b) for a, b in [(4, 2), (4, 5), (1, 5)]]
    >>> recipe = Recipe(learning_rate=0.1, weight_decay=0.0, epochs=300, patience=300, tolerance=0.0)
    >>> train([rows], start, recipe, find_device("cpu"))[0].loss < 0.01
    True
    """
    kept = {place: Kept(list(start), 0.0, 0, False) for place, rows in enumerate(tables) if rows.constant}
    shapes = {place: rows.X.shape for place, rows in enumerate(tables) if not rows.constant}
    for inputs, n in sorted(set(shapes.values())):
        alike = [place for place, shape in shapes.items() if shape == (inputs, n)]
        width = len(start[0])
        size = 1 if device.type == "cpu" else max(1, LARGEST // ((8 * n + 6 * (width + inputs)) * (width + 1)))
        for at in range(0, len(alike), size):
            places = alike[at : at + size]
            tell = partial(_tell, done, len(kept), len(places)) if done else None
            found = Stack([tables[place] for place in places], start, recipe, device).train(tell)
            kept |= dict(zip(places, found, strict=True))
            if done:
                done(len(kept))
    return [kept[place] for place in range(len(tables))]


def _tell(done: Done, before: int, training: int, share: float) -> None:
    done(before + int(share * training))


class Stack:
    """Networks of one shape that train together, each on its own table.

    The loss of a network is looked at before each step and after the last, and the layers where it was lowest are kept.
    A network leaves the stack when for more than `patience` steps its loss did not fall by more than `tolerance`
    below where it last did.

    Parameters
    ----------
    tables : sequence of Rows
        With the same shape of X.
    start, recipe, device
        As in `train`.

    Examples
    --------
    >>> rows = Rows(np.arange(9.0)[:, None], np.arange(9.0) ** 2, np.ones(9), Huber(1.0))
    >>> start = [np.linspace(-1, 1, a * b).reshape(a, b) for a, b in [(4, 2), (4, 5), (1, 5)]]
    >>> recipe = Recipe(learning_rate=0.1, weight_decay=0.0, epochs=3, patience=300, tolerance=0.0)
    >>> [kept.epochs for kept in Stack([rows, rows], start, recipe, find_device("cpu")).train()]
    [3, 3]
    """

    def __init__(self, tables: Sequence[Rows], start: Sequence[Floats], recipe: Recipe, device: torch.device) -> None:
        def tensor(array: Floats) -> torch.Tensor:
            return torch.tensor(array, dtype=torch.float64, device=device)

        self.X, self.targets, self.weights, self.delta = (
            tensor(np.stack([getattr(rows, name) for rows in tables])) for name in ("X", "targets", "weights", "delta")
        )
        self.recipe, self.shapes, B = recipe, [layer.shape for layer in start], len(tables)
        # the parameters of a network in a row, which starts at a multiple of 64 bytes wherever it is in the stack
        flat = np.concatenate([layer.ravel() for layer in start])
        self.flat = tensor(np.pad(flat, (0, -len(flat) % 8))).repeat(B, 1)  # (B, P)
        self.best, self.first, self.second = self.flat.clone(), self.flat * 0, self.flat * 0
        self.members, self.waited = np.arange(B), np.zeros(B, dtype=int)
        self.lowest, self.reference = np.full(B, np.inf), np.full(B, np.inf)
        self.log_phi_of_0 = tensor(np.array(-math.log(2 * math.pi) / 2))

    def train(self, tell: Callable[[float], None] | None = None) -> list[Kept]:
        """Train to the end; `tell` hears the share of the epochs that is done."""
        kept: dict[int, Kept] = {}
        last = self.recipe.epochs
        with torch.inference_mode():
            self._make_room()
            for epoch in range(last + 1):
                stopped = self._judge(self._losses())
                over = stopped | (epoch == last)
                if over.any():
                    kept |= {int(self.members[b]): self._kept(int(b), epoch, stopped[b]) for b in np.flatnonzero(over)}
                    if over.all():
                        break
                    self._leave(~over)
                self._step(epoch)
                if tell is not None and epoch % TELL == 0:
                    tell(epoch / last)
        return [kept[member] for member in range(len(kept))]

    def _leave(self, stay: Bools) -> None:
        """Go on with those that stay."""
        rows = torch.from_numpy(stay).to(self.flat.device)
        gradient = self.gradient[rows]
        for name in ("X", "targets", "weights", "delta", "flat", "best", "first", "second"):
            setattr(self, name, getattr(self, name)[rows])
        for name in ("members", "waited", "lowest", "reference"):
            setattr(self, name, getattr(self, name)[stay])
        self._make_room()
        self.gradient.copy_(gradient)

    def _make_room(self) -> None:
        """Arrays to work in, and views of them by layer."""
        width, n = self.shapes[0][0], self.X.shape[2]
        self.gradient = torch.zeros_like(self.flat)
        self.layers, self.slopes = self._views(self.flat), self._views(self.gradient)
        # activations stand over a row of ones, for the bias of the next layer
        self.full = [self.X.new_ones(len(self.X), width + 1, n) for _ in range(2)]
        self.active = [full[:, :width] for full in self.full]
        self.before, self.spare, *self.derivative = (torch.empty_like(self.active[0]) for _ in range(4))
        self.turned = [self.X.mT, *(full.mT for full in self.full)]
        self.back = [layer[:, :, :width].mT for layer in self.layers]

    def _views(self, flat: torch.Tensor) -> list[torch.Tensor]:
        ends = np.cumsum([rows * columns for rows, columns in self.shapes])
        starts = [0, *ends[:-1]]
        return [
            flat[:, at:end].view(len(flat), *shape) for at, end, shape in zip(starts, ends, self.shapes, strict=True)
        ]

    def _losses(self) -> torch.Tensor:
        """(B,) losses; leaves their gradient in `gradient`."""
        torch.bmm(self.layers[0], self.X, out=self.before)  # (B, w, n)
        self._gelu(0)
        torch.bmm(self.layers[1], self.full[0], out=self.before)
        self._gelu(1)
        error = torch.bmm(self.layers[2], self.full[1])[:, 0].sub_(self.targets)  # (B, n)
        psi = error.clamp(-self.delta, self.delta)
        pull = (self.weights * psi)[:, None]  # (B, 1, n)
        losses = error.sub_(psi, alpha=0.5).mul_(pull[:, 0]).sum(1)
        torch.bmm(pull, self.turned[2], out=self.slopes[2])
        torch.mul(self.back[2], pull, out=self.before).mul_(self.derivative[1])  # (B, w, n)
        torch.bmm(self.before, self.turned[1], out=self.slopes[1])
        torch.bmm(self.back[1], self.before, out=self.spare).mul_(self.derivative[0])
        torch.bmm(self.spare, self.turned[0], out=self.slopes[0])
        return losses

    def _gelu(self, layer: int) -> None:
        """GELU of x = `before`, x Phi(x), and its derivative, Phi(x) + x phi(x)."""
        x = self.before
        Phi = torch.mul(x, math.sqrt(0.5), out=self.spare).erf_().add_(1).mul_(0.5)
        torch.mul(x, Phi, out=self.active[layer])
        phi = torch.addcmul(self.log_phi_of_0, x, x, value=-0.5, out=self.derivative[layer]).exp_()
        torch.addcmul(Phi, x, phi, out=phi)

    def _step(self, epoch: int) -> None:
        """One step of AdamW, as torch.optim.AdamW takes it."""
        rate, count = self.recipe.rate(epoch), epoch + 1
        self.flat.mul_(1 - rate * self.recipe.weight_decay)
        self.first.lerp_(self.gradient, 1 - FIRST)
        self.second.mul_(SECOND).addcmul_(self.gradient, self.gradient, value=1 - SECOND)
        root = self.second.sqrt().div_(math.sqrt(1 - SECOND**count)).add_(SMALL)
        self.flat.addcdiv_(self.first, root, value=-rate / (1 - FIRST**count))

    def _judge(self, losses: torch.Tensor) -> Bools:
        """(B,) networks whose patience is over; keeps the parameters of those whose loss is the lowest so far."""
        now = losses.cpu().numpy()
        better = now < self.lowest
        if better.any():
            rows = torch.from_numpy(better).to(self.flat.device)[:, None]
            torch.where(rows, self.flat, self.best, out=self.best)
        self.lowest = np.where(better, now, self.lowest)
        fell = now < self.reference - self.recipe.tolerance
        self.reference = np.where(fell, now, self.reference)
        self.waited = np.where(fell, 0, self.waited + 1)
        return np.asarray(self.waited > self.recipe.patience)

    def _kept(self, b: int, epoch: int, stopped: bool) -> Kept:
        layers = [layer[b].cpu().numpy().copy() for layer in self._views(self.best)]
        return Kept(layers, float(self.lowest[b]), epoch, bool(stopped))

"""How much faster 20 splits of networks train than in a plain loop over nn.Sequential and torch.optim.AdamW.

Both sides train in float64 from the same initial weights, on the same rows, standardised alike, with the same
schedule, and keep the weights with the lowest loss; the loop is what a careful user writes. Both take a fixed number of
epochs and so scale linearly with it; the paper trains for 5000.
"""

from __future__ import annotations

import copy

import numpy as np
import torch

from common import Row, chinchilla_like, once
from scalefit.network import NetworkRegressor
from scalefit.objective import Huber

SPLITS = 20
PAPER_EPOCHS = 5000

WHY = """On the CPU the networks train one after the other, so that none depends on its company; what is saved is
autograd, the modules and an optimizer step for each tensor. The wider the network, the more of the time is arithmetic
that both sides do."""


def network_rows(quick: bool) -> list[Row]:
    """20 splits of 80 % of 240 runs, at the default width and at 64."""
    runs, data = chinchilla_like()
    X, y = np.log(np.stack([runs.params, runs.tokens], axis=1)), np.log(runs.loss)
    rows = [np.random.default_rng(split).permutation(len(y))[: len(y) * 4 // 5] for split in range(SPLITS)]
    inputs = np.stack([standardised(X[own]) for own in rows])
    losses = np.stack([y[own] for own in rows])
    epochs = 20 if quick else 100
    return [against_loop(width, inputs, losses, epochs, data) for width in (32, 64)]


def standardised(X: np.ndarray) -> np.ndarray:
    return (X - X.mean(axis=0)) / X.std(axis=0)


def against_loop(width: int, inputs: np.ndarray, losses: np.ndarray, epochs: int, data: str) -> Row:
    model = NetworkRegressor(width, epochs=1).fit(inputs[0], losses[0])
    loop(model, inputs[:1], losses[:1])  # torch loads half of itself with the first optimizer
    model.set_params(epochs=epochs, patience=epochs)
    ours, theirs, found, lowest = [], [], [], []
    for _ in range(3):
        ours.append(once(lambda: found.append(model.refits(inputs, losses))))
        theirs.append(once(lambda: lowest.append(loop(model, inputs, losses))))
    gaps = np.array([fit.best_loss_ for fit in found[-1]]) / lowest[-1] - 1
    return {
        "job": f"network, {SPLITS} splits of {inputs.shape[1]} {data} runs, width {width}, {epochs} epochs",
        "baseline": "loop of nn.Sequential and torch.optim.AdamW, float64", "width": width, "epochs": epochs,
        "ours_ms": 1e3 * float(np.median(ours)), "paper_s": float(np.median(ours)) / epochs * PAPER_EPOCHS,
        "ratio": float(np.median(np.array(theirs) / np.array(ours))), "worst_gap": float(np.max(np.abs(gaps))),
    }  # fmt: skip


def loop(model: NetworkRegressor, inputs: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Lowest loss of each split, in units of that of predicting the mean."""
    return np.array([plain_training(model, X, y) for X, y in zip(inputs, losses, strict=True)])


def plain_training(model: NetworkRegressor, X: np.ndarray, y: np.ndarray) -> float:
    widths = (X.shape[1], model.width, model.width, 1)
    layers = [torch.nn.Linear(*widths[i : i + 2], dtype=torch.float64) for i in range(3)]
    with torch.no_grad():
        for layer, start in zip(layers, model._start(), strict=True):
            layer.weight.copy_(torch.tensor(start[:, :-1]))
            layer.bias.copy_(torch.tensor(start[:, -1]))
    net = torch.nn.Sequential(layers[0], torch.nn.GELU(), layers[1], torch.nn.GELU(), layers[2])
    inputs, targets = torch.tensor(X), torch.tensor((y - y.mean()) / y.std())[:, None]
    huber = torch.nn.HuberLoss(delta=model.delta / y.std())
    unit = float(np.mean(Huber(model.delta).rho(y - y.mean()))) / y.var()
    optimizer = torch.optim.AdamW(net.parameters(), lr=model.learning_rate, weight_decay=model.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, model.epochs)
    lowest, best = np.inf, net.state_dict()
    for epoch in range(model.epochs + 1):
        optimizer.zero_grad()
        loss = huber(net(inputs), targets) / unit
        if loss.item() < lowest:
            lowest, best = loss.item(), copy.deepcopy(net.state_dict())
        if epoch < model.epochs:
            loss.backward()
            optimizer.step()
            schedule.step()
    net.load_state_dict(best)
    return lowest

"""Fits a head with torch: cross-entropy, held to what the model in force gets right. The only module that imports torch.

Of rows i with weights w, logits f, old logits g (minus infinity for classes the old model has not), and r = 1 where it is right, the
loss is

    Σ w CE(y, f) / Σ w  +  distillation · mean(r · CE(softmax g, f))  +  mean over classes of pull / 2 · ‖θ - θ_start‖²

where the second term is focal distillation that follows the old model where it is right and nowhere else, and the third keeps the
classes of the old head near where they stood (pull: `anchor`), and the others, among them those most of whose rows are new, near zero
or where they start (`decay`). Weights favour rare classes, n_y^-balance, and rows of what fails, by `emphasis`.

References: Yan et al., "Positive-congruent training: towards regression-free model updates", CVPR 2021 (focal distillation).
Li, Grandvalet and Davoine, "Explicit inductive bias for transfer learning with convolutional networks", ICML 2018 (L2-SP).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from service.training.heads import Hidden, Kind, TrainedHead
from service.training.material import Part

_LEAST_STEPS = 10
"""Of an epoch, however few rows there are."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyper-parameters."""

    head: Kind = "linear"
    hidden: int = 128
    emphasis: float = 1.0
    distillation: float = 1.0
    anchor: float = 10.0
    decay: float = 1e-3
    balance: float = 0.5
    caution: float = 0.0
    """Taken off the logits of the classes that grow once the head is trained."""
    rate: float = 0.01
    batch: int = 256
    epochs: int = 20
    patience: int = 5

    def document(self) -> dict[str, Any]:
        """For the run's record."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Where training begins, with all classes there will be; the first `own` of them stand where the old head has them."""

    head: TrainedHead
    own: int


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A head, how many epochs made it, and its loss on the rows held out after each."""

    head: TrainedHead
    epochs: int
    held_out: tuple[float, ...] = field(default=())


def repeatable(threads: int) -> None:
    """The same numbers for the same seed, threads, machine and library."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)


def library() -> str:
    """Of torch, with how it was built."""
    return str(torch.__version__)


def fit(
    part: Part,
    recipe: Recipe,
    start: Start,
    *,
    seed: int,
    held_out: Part | None = None,
    epochs: int | None = None,
) -> Fit:
    """Trains from `start`. With rows held out, until their loss has not fallen for `patience` epochs, and
    gives the best; else for `epochs`."""
    scale = _Scale.of(part.rows)
    theta = _Parameters.of(start.head, scale, recipe, seed)
    task = _Task(part, recipe, scale, theta, start)
    trial = None if held_out is None else _Task(held_out, recipe, scale, theta, start)
    steps = np.random.default_rng(seed)
    adam = torch.optim.Adam(theta.free, lr=recipe.rate)
    losses: list[float] = []
    best = theta.copy()
    for epoch in range(recipe.epochs if epochs is None else epochs):
        _falling(adam, recipe.rate, epoch, recipe.epochs)
        for rows in np.array_split(steps.permutation(len(part)), max(_LEAST_STEPS, round(len(part) / recipe.batch))):
            adam.zero_grad()
            task.loss(rows).backward()
            adam.step()
        if trial is not None:
            losses.append(trial.plain())
            if losses[-1] <= min(losses):
                best = theta.copy()
            elif len(losses) - int(np.argmin(losses)) > recipe.patience:
                break
    kept = best if trial is not None else theta
    return Fit(kept.head(start.head.classes, scale), int(np.argmin(losses)) + 1 if losses else (epochs or 0), tuple(losses))


def torch_logits(head: TrainedHead, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, c) as torch computes them: what an exported graph is held against."""
    scale = _Scale(torch.zeros(rows.shape[1]), 1.0)
    with torch.no_grad():
        return np.asarray(_Parameters.exactly(head).logits(scale(rows)).numpy(), np.float32)


def _falling(adam: Any, rate: float, epoch: int, epochs: int) -> None:
    """Linearly to a fiftieth: a run that is repeated for fewer epochs takes the same steps."""
    for group in adam.param_groups:
        group["lr"] = rate * max(0.02, 1 - epoch / epochs)


class _Scale:
    """Centres rows, and brings them to unit variance in the mean: what steps of one size suit."""

    def __init__(self, centre: Any, size: float) -> None:
        self.centre, self.size = centre, size

    @classmethod
    def of(cls, rows: NDArray[np.float32]) -> _Scale:
        centre = rows.mean(0, dtype=np.float64).astype(np.float32)
        return cls(torch.from_numpy(centre), float(max(rows.std(0).mean(), 1e-6)))

    def __call__(self, rows: NDArray[np.float32]) -> Any:
        return (torch.from_numpy(np.ascontiguousarray(rows, np.float32)) - self.centre) / self.size


class _Parameters:
    """Of a head that takes scaled rows: what it is made of, by name."""

    def __init__(self, tensors: dict[str, Any]) -> None:
        self.tensors = tensors

    @property
    def free(self) -> Sequence[Any]:
        """Those that are trained."""
        return list(self.tensors.values())

    @classmethod
    def exactly(cls, head: TrainedHead) -> _Parameters:
        """The head's own."""
        tensors = {"weights": head.weights, "bias": head.bias}
        if head.hidden is not None:
            tensors |= {"inner": head.hidden.inner, "offset": head.hidden.offset, "outer": head.hidden.outer}
        return cls({name: torch.from_numpy(np.array(each, np.float32)) for name, each in tensors.items()})

    @classmethod
    def of(cls, start: TrainedHead, scale: _Scale, recipe: Recipe, seed: int) -> _Parameters:
        """The head that it starts from, moved into scaled rows; hidden units that it has not add nothing at first."""
        found = cls.exactly(start).tensors
        found["bias"] += found["weights"] @ scale.centre
        found["weights"] *= scale.size
        if recipe.head == "mlp" and start.hidden is None:
            dimension, classes = start.weights.shape[1], len(start.classes)
            draw = torch.Generator().manual_seed(seed)
            found["inner"] = torch.randn(recipe.hidden, dimension, generator=draw) * (2 / dimension) ** 0.5
            found["offset"], found["outer"] = torch.zeros(recipe.hidden), torch.zeros(classes, recipe.hidden)
        elif "inner" in found:
            found["offset"] += found["inner"] @ scale.centre
            found["inner"] *= scale.size
        return cls({name: tensor.requires_grad_(True) for name, tensor in found.items()})

    def logits(self, rows: Any) -> Any:
        """Of scaled rows."""
        own = self.tensors
        found = rows @ own["weights"].T + own["bias"]
        if "inner" in own:
            found = found + torch.relu(rows @ own["inner"].T + own["offset"]) @ own["outer"].T
        return found

    def copy(self) -> _Parameters:
        """As they are now."""
        return _Parameters({name: tensor.detach().clone() for name, tensor in self.tensors.items()})

    def head(self, classes: tuple[str, ...], scale: _Scale) -> TrainedHead:
        """Back among rows as they come."""
        own = self.copy().tensors
        own["weights"] /= scale.size
        own["bias"] -= own["weights"] @ scale.centre
        hidden = None
        if "inner" in own:
            own["inner"] /= scale.size
            own["offset"] -= own["inner"] @ scale.centre
            hidden = Hidden(*(own[name].numpy() for name in ("inner", "offset", "outer")))
        return TrainedHead(classes, own["weights"].numpy(), own["bias"].numpy(), hidden)


class _Task:
    """Rows, and what a head loses on them."""

    def __init__(self, part: Part, recipe: Recipe, scale: _Scale, theta: _Parameters, start: Start) -> None:
        self._rows, self._targets = scale(part.rows), torch.from_numpy(part.targets)
        self._weights = torch.from_numpy(row_weights(part, recipe))
        self._recipe, self._theta, self._start = recipe, theta, theta.copy()
        held = ~part.grown & (np.arange(part.classes) < start.own)
        self._pull = torch.from_numpy(np.where(held, recipe.anchor, recipe.decay).astype(np.float32))[:, None]
        self._inner_pull = recipe.anchor if start.own and start.head.hidden is not None else recipe.decay
        self._wanted = None
        if part.old is not None and recipe.distillation and part.old_right.any():
            wide = torch.full((len(part), part.classes), -torch.inf)
            wide[:, : part.old.shape[1]] = torch.from_numpy(np.maximum(part.old, -1e4))
            self._wanted = torch.softmax(wide, 1) * torch.from_numpy(part.old_right.astype(np.float32))[:, None]

    def loss(self, rows: NDArray[np.int64]) -> Any:
        """Of a batch."""
        at = torch.from_numpy(rows)
        logs = torch.log_softmax(self._theta.logits(self._rows[at]), 1)
        total = self._cross_entropy(logs, at)
        if self._wanted is not None:
            total = total - self._recipe.distillation * (self._wanted[at] * logs).sum(1).mean()
        return total + self._moved() / 2 / logs.shape[1]

    def plain(self) -> float:
        """Weighted cross-entropy of all rows, without what keeps a head where it was."""
        with torch.no_grad():
            every = torch.arange(len(self._targets))
            return float(self._cross_entropy(torch.log_softmax(self._theta.logits(self._rows), 1), every))

    def _cross_entropy(self, logs: Any, at: Any) -> Any:
        weights = self._weights[at]
        return -(weights * logs[torch.arange(len(at)), self._targets[at]]).sum() / weights.sum()

    def _moved(self) -> Any:
        """How far each class has come from where it started, and hidden units, each pulled back as hard as it should be."""
        moved = {name: (tensor - self._start.tensors[name]) ** 2 for name, tensor in self._theta.tensors.items()}
        total = (self._pull * moved["weights"]).sum() + (self._pull[:, 0] * moved["bias"]).sum()
        if "inner" in moved:
            total = total + (self._pull * moved["outer"]).sum() + self._inner_pull * (moved["inner"].sum() + moved["offset"].sum())
        return total


def row_weights(part: Part, recipe: Recipe) -> NDArray[np.float32]:
    """(n,) how much each row counts, 1 in the mean."""
    counts = np.bincount(part.targets, minlength=part.classes)
    weights = counts[part.targets].astype(np.float64) ** -recipe.balance
    weights *= np.where(part.fresh, recipe.emphasis, 1.0)
    return np.asarray(weights / weights.mean(), np.float32)

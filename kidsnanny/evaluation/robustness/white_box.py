"""UnsafeBench's attacks on a network whose gradient is to be had: in torch, of safetensors, or turned into torch from
ONNX by onnx2pytorch, as UnsafeBench's code does it, too.

They act on pixels that mean and standard deviation were applied to, as UnsafeBench's do; or, with `levels`, on the
square in 0..1 that the network sees, in whole levels of 255, so that a file can hold what comes out. (0.01 there is
less than one level.) Both are after the picture was resized.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch

from kidsnanny.errors import ComponentError
from kidsnanny.evaluation.datasets import Dataset
from kidsnanny.evaluation.robustness.gradient_attacks import (
    ATTACKS,
    UNSAFEBENCH_BUDGET,
    AttackBudget,
    Outputs,
    loss_gradient,
)
from kidsnanny.evaluation.robustness.robust_accuracy import (
    PER_SOURCE,
    SEED,
    Outcome,
    RobustAccuracy,
    drawn_by_row,
    read_frame,
)
from kidsnanny.evaluation.systems.system import HALF, System
from kidsnanny.faults import in_words
from kidsnanny.media.loader import RGB
from kidsnanny.models.cards import Card, ClassifierCard, WholeFrameCard, find_card
from kidsnanny.models.runtime import Device, Onnx, device_and_dtype, load
from kidsnanny.stage1.preparation import card_pixels
from kidsnanny.taxonomy import Category

BATCH = 32
"""Pictures that are attacked at once: UnsafeBench's."""
UNATTACKED = "unchanged"
BOUNDS = ((-1.0, 1.0), UNSAFEBENCH_BUDGET.bounds)
"""Between which UnsafeBench keeps changed values: those of NudeNet, which sees 0..1, and those of all others."""
SAME = 1e-3
"""How far the outputs of an ONNX file and of the network made from it may differ."""


class WhiteBox(Protocol):
    """A network that gradients go through, and how it decides."""

    preparation: WholeFrameCard
    device: str

    def pixels(self, frames: Sequence[RGB]) -> torch.Tensor:
        """(N, 3, side, side), or as the card's layout says; on the device, mean and standard deviation applied."""
        ...

    def margin(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N,), with a gradient; above 0: unsafe. Each picture for itself."""
        ...

    def unsafe(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N,) bool: what it decides."""
        ...


class ClassifierNetwork:
    """A classifier's card as a white box: the largest score of the wanted categories against a threshold.

    Args:
        card: a classifier's card or its name.
        categories: the wanted ones; empty: all that its labels speak about.
        threshold: the score from which a picture is unsafe, 0..1.
        device: "auto" (CUDA where torch finds it), "cpu" or "cuda".

    Raises:
        WeightsError: the weights are missing, or do not fit.
        ComponentError: a package or the device is missing, its labels do not speak about the categories, or its ONNX
            file cannot be turned into torch.
    """

    def __init__(
        self,
        card: Card | str,
        categories: Iterable[Category] = (),
        threshold: float = HALF,
        *,
        device: Device = "auto",
    ) -> None:
        card = find_card(card, ClassifierCard)
        path = card.locate()
        spoken = {category for weights in card.labels.values() for category in weights}
        wanted = sorted(spoken & frozenset(categories) if categories else spoken)
        if not wanted:
            raise ComponentError(f"{card.name}: its labels do not speak about what is wanted; name other categories.")
        self.preparation: WholeFrameCard = card
        """The card."""
        self.device, _ = device_and_dtype(card.name, device, "float32")
        """Where it runs: `cpu` or `cuda`."""
        module = from_onnx(card, path) if path.suffix == ".onnx" else load(card, path)
        self._module = module.to(self.device).requires_grad_(False)
        self._ends_in_softmax = card.probabilities
        weights = [[label.get(category, 0.0) for category in wanted] for label in card.labels.values()]
        self._weights = torch.tensor(weights, device=self.device)
        self._threshold = threshold

    def pixels(self, frames: Sequence[RGB]) -> torch.Tensor:
        """See `WhiteBox`."""
        return torch.from_numpy(np.stack([card_pixels(frame, self.preparation) for frame in frames])).to(self.device)

    def margin(self, pixels: torch.Tensor) -> torch.Tensor:
        """See `WhiteBox`."""
        found = self._module(pixels)
        probabilities = found if self._ends_in_softmax else found.softmax(dim=1)
        return (probabilities @ self._weights).amax(dim=1) - self._threshold

    def unsafe(self, pixels: torch.Tensor) -> torch.Tensor:
        """See `WhiteBox`."""
        with torch.inference_mode():
            return self.margin(pixels) >= 0


def from_onnx(card: ClassifierCard, path: Path) -> torch.nn.Module:
    """The network of an ONNX file in torch, in evaluation mode, checked to give what ONNX Runtime gives.

    Raises:
        ComponentError: onnx2pytorch is missing, or cannot turn the file into torch.
    """
    try:
        import onnx
        from onnx2pytorch import ConvertModel
    except ImportError as error:
        fix = "run `pip install onnx2pytorch`, or name safetensors"
        raise ComponentError(f"{card.name}: no gradient goes through {path.name} ({error}); {fix}.") from error
    try:
        module = ConvertModel(onnx.load(path), experimental=True).eval()  # experimental: more than one picture at once
        frames = np.random.default_rng(0).integers(0, 256, (2, card.input, card.input, 3), np.uint8)
        given = np.stack([card_pixels(frame, card) for frame in frames])
        with torch.inference_mode():
            found = module(torch.from_numpy(given)).numpy()
        differ = float(np.abs(found - Onnx(card, path)(given)()).max())
        why = "" if differ <= SAME else f"its outputs differ from ONNX Runtime's by {differ:.3g}"
    except Exception as error:  # whatever a converter makes of an operator that it does not know
        why = in_words(error)
    if why:
        raise ComponentError(f"{card.name}: {path.name} cannot be turned into torch ({why}); name safetensors.")
    return module


class _Space(NamedTuple):
    """Where an attack acts."""

    what: str
    eps: float
    bounds: tuple[float, float]
    noise: float
    """The length of Gaussian noise."""
    levels: int | None
    mean: torch.Tensor
    std: torch.Tensor

    def enter(self, pixels: torch.Tensor) -> torch.Tensor:
        """From what the network sees."""
        return pixels if self.levels is None else self.rounded(pixels * self.std + self.mean)

    def leave(self, pixels: torch.Tensor) -> torch.Tensor:
        """To what the network sees."""
        return pixels if self.levels is None else (pixels - self.mean) / self.std

    def rounded(self, pixels: torch.Tensor) -> torch.Tensor:
        """As a file can hold it, where the attack is on levels."""
        return pixels if self.levels is None else (pixels * 255).round() / 255


def attack_robustness(
    system: System,
    network: WhiteBox,
    dataset: Dataset,
    attacks: Iterable[str] = ATTACKS,
    *,
    levels: int | None = None,
    eps: float = UNSAFEBENCH_BUDGET.eps,
    per_source: int = PER_SOURCE,
    seed: int = SEED,
    told: Callable[[str], None] = lambda _: None,
) -> list[RobustAccuracy]:
    """A system of one row under each attack, after it was not attacked at all.

    Args:
        system: says which pictures it gets right.
        network: that of the system.
        dataset: labelled pictures. Of an animation, the first frame is attacked.
        attacks: names of ATTACKS.
        levels: of 255, by which each value may change, in steps of one; None: the budget is `eps`. Gaussian noise then
            has as large a mean square.
        eps: the budget after mean and standard deviation were applied.
        per_source, seed: see `draw`; the seed is also that of the attacks' chance.
        told: is told the name of each attack before it begins.

    Raises:
        DataError: not a single picture was right, or the data cannot be read.
        ComponentError: the network gives numbers that are none, or sees values far beyond those of UnsafeBench's
            classifiers, and there are no levels.
    """
    ((row, drawn),) = drawn_by_row(system, dataset, per_source, seed).items()
    space = _space(network, levels, eps)
    found = []
    for name in (UNATTACKED, *attacks):
        told(name)
        chance = torch.Generator().manual_seed(seed)
        outcomes, squares, values, flat = list[Outcome](), 0.0, 0, 0
        for frames, unsafe, sources in _batches(dataset, drawn):
            given = space.enter(network.pixels(frames))
            labels = torch.tensor(unsafe, device=given.device).long()
            outputs = partial(_outputs, network, space)
            changed = given if name == UNATTACKED else _attacked(outputs, space, name, given, labels, chance)
            right = (network.unsafe(space.leave(changed)).long() == labels).tolist()
            outcomes += [Outcome(*one) for one in zip(unsafe, sources, right, strict=True)]
            flat += _without_gradient(outputs, given, labels)
            squares += float((changed - given).square().sum())
            values += given.numel()
        what = "not attacked" if name == UNATTACKED else space.what
        found.append(RobustAccuracy.of(row, name, what, outcomes, mse=squares / values, without_gradient=flat))
    return found


def _space(network: WhiteBox, levels: int | None, eps: float) -> _Space:
    card = network.preparation
    order = -1 if card.layout == "bgr_last" else 1
    shape = (3, 1, 1) if card.layout == "rgb" else (3,)
    mean, std = (torch.tensor(three[::order], device=network.device).reshape(shape) for three in (card.mean, card.std))
    if levels is None:
        low, high = float(((0 - mean) / std).min()), float(((1 - mean) / std).max())
        for bounds in BOUNDS:
            if bounds[0] <= low and high <= bounds[1]:
                what = f"at most {eps:g} of each value, after mean and standard deviation were applied"
                return _Space(what, eps, bounds, eps, None, mean, std)
        raise ComponentError(
            f"its network sees values from {low:.3g} to {high:.3g}, and UnsafeBench's attacks keep to -3 to 3; "
            "attack it in levels."
        )
    share = levels / 255
    what = f"at most {levels} of 255 levels of each value"
    return _Space(what, share, (0.0, 1.0), share * (3 * card.input**2) ** 0.5, levels, mean, std)


def _attacked(
    outputs: Outputs, space: _Space, name: str, given: torch.Tensor, labels: torch.Tensor, chance: torch.Generator
) -> torch.Tensor:
    budget = AttackBudget(space.noise if name == "gaussian-noise" else space.eps, space.bounds)
    changed = space.rounded(ATTACKS[name](outputs, given, labels, budget, chance))
    if not changed.isfinite().all():
        raise ComponentError(f"{name}: the network's gradient is no number; attack another network.")
    return changed


def _without_gradient(outputs: Outputs, given: torch.Tensor, labels: torch.Tensor) -> int:
    slope = loss_gradient(outputs, given, labels)
    return int((slope.flatten(1) == 0).all(dim=1).sum())


def _outputs(network: WhiteBox, space: _Space, pixels: torch.Tensor) -> torch.Tensor:
    """Safe and unsafe, as UnsafeBench's classifiers give them to its attacks: through a softmax."""
    margin = network.margin(space.leave(pixels))
    return torch.stack([-margin, margin], dim=1).softmax(dim=1)


def _batches(dataset: Dataset, drawn: frozenset[str]) -> Iterator[tuple[list[RGB], list[bool], list[str]]]:
    """Frames, labels and sources."""
    wanted = (one for one in dataset if one.id in drawn)
    while batch := list(islice(wanted, BATCH)):
        yield [read_frame(one) for one in batch], [one.unsafe for one in batch], [one.source for one in batch]

"""Probes in safetensors: `prompts` of a Q16, `weight` and `bias` of a linear probe, `features` and `context` of learned
prompts."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from kidsnanny.errors import WeightsError
from kidsnanny.models.cards import Card, ProbeCard, find_card, read_cards
from kidsnanny.models.store import digest, is_random
from kidsnanny.probes.encoders import Encoder
from kidsnanny.probes.linear_probe import LinearProbe
from kidsnanny.probes.prompt_probe import PromptProbe
from kidsnanny.probes.q16 import Q16
from kidsnanny.records import ModelId

Weights = Q16 | LinearProbe | PromptProbe


class LoadedProbe(NamedTuple):
    """A probe by its card."""

    card: ProbeCard
    weights: Weights
    model_id: ModelId
    """The card's name and the start of the file's checksum."""


def load_probe(card: Card | str) -> LoadedProbe:
    """The probe of a card or of its name, without its encoder: enough for rows that are there already.

    Raises:
        WeightsError: there is no probe's card of that name, or its weights are missing, are not those of the card, or
            do not fit it.
        TypeError: `card` is neither a card nor a name.
    """
    card = find_card(card, ProbeCard)
    path = card.locate()
    weights = check_probe(card, path)
    revision = digest(path)[:12]
    return LoadedProbe(
        card, weights, ModelId(name=card.name, revision=revision, caveat="random" if is_random(path) else None)
    )


def check_fit(probe: LoadedProbe, encoder: Encoder) -> None:
    """Make sure that a probe reads the rows of this encoder.

    Raises:
        WeightsError: it was trained on another, or on rows of another width.
    """
    name, revision, width = probe.card.name, probe.card.encoder_revision, probe.weights.width
    fix = "train it anew with `kidsnanny train probe`, or bring back the encoder's weights and card"
    if revision and revision != encoder.model_id.revision:
        trained = f"it was trained on {encoder.model_id.name}@{revision}"
        raise WeightsError(f"{name}: {trained}, and here is {encoder.model_id}; {fix}.")
    if width != encoder.width:
        raise WeightsError(
            f"{name}: it reads {width} numbers a frame, and {encoder.model_id} gives {encoder.width}; {fix}."
        )


def probe_card(name: str) -> ProbeCard:
    """The card of that name, or that of a folder that `kidsnanny train probe` wrote, whose card need not be added.

    Raises:
        WeightsError: there is no such card, or it is no probe's.
    """
    file = Path(name) / "card.toml"
    if not file.is_file():
        return find_card(name, ProbeCard)
    found = [card for card in read_cards(file).values() if isinstance(card, ProbeCard)]
    if len(found) != 1:
        raise WeightsError(f"{file}: it has {len(found)} cards of probes, and one is wanted; name another folder.")
    return found[0]


def check_probe(card: ProbeCard, path: Path) -> Weights:
    """The probe in a file, if it is what the card says.

    Raises:
        WeightsError: the file cannot be read, holds no probe, or is of another kind or number of labels.
    """
    weights = read_probe(path)
    kind, labels = kind_of(weights)
    if kind != card.kind or labels != len(card.labels):
        raise WeightsError(
            f"{card.name}: {path} is a {kind} probe of {labels} labels, and its card is of a {card.kind} probe of "
            f"{len(card.labels)}; fix the card."
        )
    return weights


def kind_of(weights: Weights) -> tuple[str, int]:
    """A probe's kind, as in a card, and how many labels it has."""
    if isinstance(weights, Q16):
        return "q16", 2
    if isinstance(weights, PromptProbe):
        return "prompts", len(weights.features) - 1
    return "linear", len(weights.bias)


def read_probe(path: Path) -> Weights:
    """The probe in a file.

    Raises:
        WeightsError: the file cannot be read, or holds no probe.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        held = load_file(path)
        if held.keys() == {"prompts"}:
            return Q16(held["prompts"])
        if held.keys() == {"weight", "bias"}:
            return LinearProbe(held["weight"], held["bias"])
        if held.keys() == {"features", "context"}:
            return PromptProbe(held["features"], held["context"])
        reason = f"it holds {', '.join(sorted(held)) or 'nothing'}"
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:  # KeyError: a type numpy lacks
        reason = str(error)
    raise WeightsError(
        f"{path}: it is no probe ({reason}), which has `prompts` (2, d), or `weight` (labels, d) and `bias` (labels), "
        "or `features` (1 + labels, d) and `context` (length, width); train one with `kidsnanny train probe`, or "
        "convert Q16's prompts.p with `kidsnanny weights convert`."
    )


def write_probe(weights: Weights, path: Path, *, random: bool = False) -> None:
    """Write a probe as safetensors, in float32.

    Args:
        weights: the probe.
        path: of the file.
        random: it was trained on random weights; the file says so, and what the probe says is never `safe`.

    Raises:
        OSError: it cannot be written.
    """
    from safetensors.numpy import save

    from kidsnanny.files import write_atomically

    if isinstance(weights, Q16):
        tensors = {"prompts": weights.prompts}
    elif isinstance(weights, PromptProbe):
        tensors = {"features": weights.features, "context": weights.context}
    else:
        tensors = {"weight": weights.weight, "bias": weights.bias}
    held = {name: np.ascontiguousarray(one) for name, one in tensors.items()}
    write_atomically(path, save(held, {"kidsnanny": "random"} if random else None))

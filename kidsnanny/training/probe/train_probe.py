"""`kidsnanny train probe`: from labelled pictures to weights, their card, and what hold-outs say of them."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import tomli_w
from rich.console import Console
from rich.progress import track

from kidsnanny.errors import DataError
from kidsnanny.files import alone_in, write_atomically
from kidsnanny.models.store import digest
from kidsnanny.models.transformers_encoders import has_text_tower
from kidsnanny.probes.embedding_cache import EmbeddingCache, embed
from kidsnanny.probes.encoders import CardEncoder
from kidsnanny.probes.probe_files import Weights, write_probe
from kidsnanny.probes.prompt_probe import PromptProbe
from kidsnanny.probes.q16 import LABELS, Q16, zero_shot
from kidsnanny.taxonomy import CATEGORIES, UNSAFEBENCH, Category
from kidsnanny.training.probe.fit_linear import fit_linear
from kidsnanny.training.probe.hold_outs import CurvePoint, Indices, learning_curve
from kidsnanny.training.probe.labelled_pictures import read_labelled
from kidsnanny.training.probe.learn_prompts import PromptLearning, PromptTower, learn_prompts
from kidsnanny.training.probe.tune_q16 import Tuning, tune

Kind = Literal["linear", "q16", "prompts"]
Start = Q16 | PromptTower | None
"""What training needs of a text tower: two sentences, or the tower itself; None: nothing."""
WEIGHTS, CARD, RECORD = "probe.safetensors", "card.toml", "training.json"
PROMPT_HOLD_OUTS = 3
"""Instead of HOLD_OUTS, since each of them is trained through a text tower."""


class LabelledRows(NamedTuple):
    """Pictures as rows of an encoder, each once."""

    rows: npt.NDArray[np.float32]
    """(N, width): the first frame of each picture."""
    labels: tuple[str, ...]
    """In the order of their names."""
    has: npt.NDArray[np.bool_]
    """(N, labels): whether a picture has a label."""
    left_out: tuple[tuple[str, str], ...]
    """Pictures that could not be embedded, and why."""

    @property
    def bad(self) -> npt.NDArray[np.int64]:
        """(N,): 1 for a picture that has any label, 0 for one that has none."""
        return np.asarray(self.has.any(axis=1), np.int64)


def train_probe(
    data: Path,
    encoder: CardEncoder,
    out: Path,
    *,
    kind: Kind = "linear",
    embeddings: Path | None = None,
    means: Sequence[Category] = (),
    fractions: Sequence[float] = (1.0,),
    seed: int = 0,
) -> None:
    """Write `probe.safetensors`, `card.toml` and `training.json` into `out`.

    Args:
        data: as for `read_labelled`.
        encoder: which stays as it is.
        out: the folder; it is made.
        kind: `linear`: a probability for each label. `q16`: two vectors, of pictures with no label and with any.
            `prompts`: as `linear`, through the text tower of a CLIP.
        embeddings: the folder of embeddings that are there already; by default one in `out`.
        means: the categories of ours that a label stands for whose name is none of them.
        fractions: of the training parts of the hold-outs, 0..1.
        seed: of everything random but the hold-outs.

    Raises:
        DataError: the data cannot be read, are too few, or `out` cannot be written.
        ComponentError: the encoder fails, or has no text tower to learn prompts through.
        WeightsError: the text tower's weights are missing, or do not fit.
    """
    start = _start(kind, encoder)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with alone_in(out):
            found = embedded(data, encoder, embeddings or out / "embeddings")
            counts = zip(found.labels, found.has.sum(axis=0), strict=True)
            say(f"{len(found.rows):,} pictures: " + ", ".join(f"{label} {count:,}" for label, count in counts))
            for name, why in found.left_out:
                say(f"left out: {name}: {why}")
            curves = dict(_curves(found, kind, start, fractions, seed))
            for label, points in curves.items():
                say(_measured(label, points))
            trained, facts = _fitted(found, kind, start, seed)
            write_probe(trained, out / WEIGHTS, random=encoder.model_id.caveat == "random")
            record = _record(found, kind, encoder, curves) | facts
            write_atomically(out / RECORD, json.dumps(record, indent=1, ensure_ascii=False).encode())
            write_atomically(out / CARD, _card(found, kind, encoder, out, means).encode())
    except OSError as error:
        raise DataError(f"{out}: it cannot be written ({error.strerror}); name another folder.") from error


def embedded(data: Path, encoder: CardEncoder, folder: Path) -> LabelledRows:
    """The pictures of a data set as rows, from the cache in a folder as far as they are there.

    Raises:
        DataError: the data cannot be read, no picture has a label or none is harmless, or the cache cannot be written.
    """
    cache = EmbeddingCache.of(encoder, folder)
    labels, of_picture, left_out = list[str | None](), dict[str, set[str]](), list[tuple[str, str]]()

    def images() -> Iterator[bytes | Path]:
        for one in read_labelled(data):
            labels.append(one.label)
            yield one.image

    terminal = Console(stderr=True)
    shown = track(embed(images(), encoder, cache), "embedding", console=terminal, disable=not terminal.is_terminal)
    with alone_in(cache.folder):
        for n, picture in enumerate(shown):
            if picture.sha256 is None:
                left_out.append((picture.name, picture.why or ""))
                continue
            known = of_picture.setdefault(picture.sha256, set())
            known.update([label] if (label := labels[n]) else [])
    names = tuple(sorted(set().union(*of_picture.values())))
    has = np.array([[name in known for name in names] for known in of_picture.values()], bool).reshape(-1, len(names))
    harmless = int((~has.any(axis=1)).sum())
    if not names or not harmless:
        raise DataError(
            f"{data}: {len(has) - harmless:,} pictures with a label and {harmless:,} harmless ones could be embedded; "
            "a probe is trained on both, so give more."
        )
    return LabelledRows(cache.first_rows(list(of_picture)), names, has, tuple(left_out))


def meaning(label: str, otherwise: Sequence[Category] = ()) -> dict[Category, float]:
    """The categories of ours that a label stands for, with a weight of 1.

    Args:
        label: the name of one of them, or of UnsafeBench's.
        otherwise: what every other label stands for.
    """
    own = label.strip().lower().replace(" ", "_").replace("-", "_")
    found = [one for one in CATEGORIES if one == own] or UNSAFEBENCH.get(label) or otherwise
    return dict.fromkeys(found, 1.0)


def say(message: str) -> None:
    """A line of progress on stderr."""
    print(message, file=sys.stderr, flush=True)


def _start(kind: Kind, encoder: CardEncoder) -> Start:
    if kind == "prompts":
        return PromptTower(encoder.card, encoder.network.device)
    return zero_shot(encoder.card) if kind == "q16" and has_text_tower(encoder.card) else None


def _fitted(found: LabelledRows, kind: Kind, start: Start, seed: int) -> tuple[Weights, dict[str, Any]]:
    """The probe, and what its training says of itself."""
    if isinstance(start, PromptTower):
        settings = PromptLearning(seed=seed)
        learned = learn_prompts(found.rows, found.has, found.labels, start, settings)
        return learned.probe, {"settings": settings.model_dump(), "losses": [round(one, 4) for one in learned.losses]}
    if kind == "q16":
        from_where = {"start": "two sentences" if start else "class means"}
        return tune(found.rows, found.bad, start, Tuning(seed=seed)), from_where
    return fit_linear(found.rows, found.has, found.labels, seed), {}


def _curves(
    found: LabelledRows, kind: Kind, start: Start, fractions: Sequence[float], seed: int
) -> Iterator[tuple[str, list[CurvePoint]]]:
    """What the hold-outs say: of each label by itself, or of `inappropriate` after and, with a start, before tuning."""
    if isinstance(start, PromptTower):
        learned = cache(partial(_learned, found, start, seed))
        for column, label in enumerate(found.labels):
            learn = partial(_fit_prompts, found, learned, column)
            yield label, learning_curve(found.bad, learn, fractions, PROMPT_HOLD_OUTS)
        return
    if kind == "linear":
        for column, label in enumerate(found.labels):
            has = found.has[:, column]
            fit = partial(_fit_linear, found.rows, has, label, seed)
            yield label, learning_curve(has.astype(int), fit, fractions)
        return
    bad = found.bad
    if start:
        yield "zero-shot", learning_curve(bad, partial(_fit_q16, found.rows, bad, start, Tuning(epochs=0)), (1.0,))
    yield LABELS[1], learning_curve(bad, partial(_fit_q16, found.rows, bad, start, Tuning(seed=seed)), fractions)


def _fit_linear(
    rows: npt.NDArray[np.float32], has: npt.NDArray[np.bool_], label: str, seed: int, train: Indices
) -> Callable[[Indices], npt.NDArray[np.bool_]]:
    probe = fit_linear(rows[train], has[train][:, None], (label,), seed)
    return lambda test: (probe.probabilities(rows[test])[:, 0] >= 0.5) == has[test]


def _learned(found: LabelledRows, tower: PromptTower, seed: int, train: tuple[int, ...]) -> PromptProbe:
    chosen = np.array(train)
    return learn_prompts(found.rows[chosen], found.has[chosen], found.labels, tower, PromptLearning(seed=seed)).probe


def _fit_prompts(
    found: LabelledRows, learned: Callable[[tuple[int, ...]], PromptProbe], column: int, train: Indices
) -> Callable[[Indices], npt.NDArray[np.bool_]]:
    """One training serves all labels: their hold-outs are the same."""
    probe = learned(tuple(train.tolist()))
    return lambda test: (probe.probabilities(found.rows[test])[:, column] >= 0.5) == found.has[test, column]


def _fit_q16(
    rows: npt.NDArray[np.float32], bad: npt.NDArray[np.int64], start: Q16 | None, how: Tuning, train: Indices
) -> Callable[[Indices], npt.NDArray[np.bool_]]:
    probe = tune(rows[train], bad[train], start, how)
    return lambda test: (probe.inappropriate(rows[test]) >= 0.5) == (bad[test] == 1)


def _measured(label: str, points: Sequence[CurvePoint]) -> str:
    if not points:
        return f"{label}: too few pictures to hold any out, so nothing is measured"
    last = points[-1]
    over = f"{len(last.accuracies)} hold-outs, trained on {last.examples:,} each"
    return f"{label}: {100 * last.mean:.1f} % right, ± {100 * last.spread:.1f} over {over}"


def _record(
    found: LabelledRows, kind: Kind, encoder: CardEncoder, curves: dict[str, list[CurvePoint]]
) -> dict[str, Any]:
    return {
        "kind": kind,
        "encoder": str(encoder.model_id),
        "pictures": len(found.rows),
        "labels": dict(zip(found.labels, found.has.sum(axis=0).tolist(), strict=True)),
        "left_out": [{"picture": name, "why": why} for name, why in found.left_out],
        "hold_outs": {label: [point._asdict() for point in points] for label, points in curves.items()},
    }


def _card(found: LabelledRows, kind: Kind, encoder: CardEncoder, out: Path, means: Sequence[Category]) -> str:
    if kind == "q16":
        first, *others = (meaning(label, means) for label in found.labels)
        # of labels that mean different things, two vectors cannot tell which it is
        labels = {
            LABELS[0]: {},
            LABELS[1]: dict.fromkeys(means, 1.0) or (first if others == [first] * len(others) else {}),
        }
    else:
        labels = {label: meaning(label, means) for label in found.labels}
    random = f" Its encoder's weights are {encoder.model_id.caveat}." if encoder.model_id.caveat else ""
    fields = {
        "role": "probe",
        "what": f"{', '.join(found.labels)}: a {kind} probe",
        "path": WEIGHTS,
        "files": {WEIGHTS: {"sha256": digest(out / WEIGHTS)}},
        "licence": f"as its pictures allow; its encoder's is {encoder.card.licence}",
        "kind": kind,
        "encoder": encoder.card.name,
        "encoder_revision": encoder.model_id.revision,
        "notes": f"Trained on {len(found.rows):,} pictures; {RECORD} says how well it does on those held out.{random}",
        "labels": labels,
    }
    return "# Written by `kidsnanny train probe`; what a label means can be changed.\n" + tomli_w.dumps(
        {card_name(out): fields}
    )


def card_name(out: Path) -> str:
    """The name of a folder as a card's name."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "-" for c in out.absolute().name.lower())
    return name.strip("-_.") or "my-probe"

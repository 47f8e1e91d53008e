"""What the text encoder is trained on, in a fixed order by seed: the corpus several times among public rows, then again
among more of the rows that are everyday text."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kidsnanny.stage2.normalisation import normalise
from kidsnanny.training.text.augment import JOINED, among, augmented
from kidsnanny.training.text.corpus import Line, read_corpus
from kidsnanny.training.text.rows import CATEGORIES, HARMLESS, NOISY, TextRow, noise_rows, public_rows

LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "tr", "ru", "ar", "zh", "hi", "hi-Latn", "other")
"""What the language outputs tell apart."""
CORPUS_PASSES = 5
CORPUS_WEIGHT = 3.0
MOST = 1_000
"""Rows of a public source that are harmful in a category, and as many that are not, at most."""
FINISHING_PASSES, FINISHING_MOST, FINISHING_WEIGHT = 2, 2_500, 2.0
"""Of the second stage: passes over the corpus, rows of a source of everyday text at most, and what each counts."""
MOST_CHARACTERS = 600
NOISE = 2_000
"""Rows of what OCR makes of textures, and of addresses and credits."""
CHUNK = 6_000
"""Examples that are augmented and sorted by length together."""
SHORT = 120
"""Characters of a harmless text that others are put among, at most."""


@dataclass(frozen=True)
class TrainingText:
    """A text to learn from; `labels` follow CATEGORIES and are 1, 0, or -1 for unknown."""

    text: str
    labels: tuple[int, ...]
    language: int
    weight: float


def of_line(line: Line, weight: float = 1.0) -> TrainingText:
    """A line of the corpus: a look-alike is harmless in every category."""
    labels = tuple(int(line.kind == "harmful" and category in line.categories) for category in CATEGORIES)
    return TrainingText(line.text, labels, _language(line.language), weight)


def of_row(row: TextRow, weight: float | None = None) -> TrainingText:
    """A public row."""
    return TrainingText(row.text[:MOST_CHARACTERS], row.labels, _language(row.language), weight or row.weight)


def _language(code: str) -> int:
    return LANGUAGES.index(code if code in LANGUAGES else "other")


class Examples:
    """The examples in the order of training. The same folders and seed give the same ones, from any chunk on."""

    def __init__(self, data: Path, corpus: Path, seed: int, passes: int | None = None) -> None:
        self.seed = seed
        rng = random.Random(seed)
        self.rows, self.sources = public_rows(data)
        written = [line for lines in read_corpus(corpus, "train").values() for line in lines]
        lines = [of_line(line, CORPUS_WEIGHT) for line in written]
        public = [of_row(row) for row in (*_capped(self.rows, rng), *noise_rows(NOISE, rng))]
        rng.shuffle(public)
        often = [line for _ in range(passes or CORPUS_PASSES) for line in rng.sample(lines, len(lines))]
        everyday = [of_row(row, FINISHING_WEIGHT) for row in _everyday(self.rows, rng)]
        again = [line for _ in range(passes or FINISHING_PASSES) for line in rng.sample(lines, len(lines))]
        self.stages = _interleaved(often, public), _interleaved(again, everyday)
        """The second is learnt at a lower rate."""
        self._chunks = [stage[start : start + CHUNK] for stage in self.stages for start in range(0, len(stage), CHUNK)]
        self._harmless: dict[int, list[str]] = {}
        for example in (*lines, *public):
            if not any(example.labels) and len(example.text) < SHORT:
                self._harmless.setdefault(example.language, []).append(example.text)

    def __len__(self) -> int:
        return sum(map(len, self.stages))

    def chunk(self, number: int) -> list[tuple[str, TrainingText]]:
        """The examples of a chunk, each with its augmented and normalised text."""
        rng = random.Random(f"{self.seed} {number}")
        return [(self._written(example, rng), example) for example in self._chunks[number]]

    @property
    def chunks(self) -> int:
        return len(self._chunks)

    def _written(self, example: TrainingText, rng: random.Random) -> str:
        text = augmented(example.text, rng)
        others = self._harmless.get(example.language)
        if others and rng.random() < JOINED:
            text = among(text, others, rng)
        return normalise(text)


def _capped(rows: Sequence[TextRow], rng: random.Random) -> Iterator[TextRow]:
    """The train part's labelled rows that are no bare terms: at most MOST harmful ones and MOST others of a source, and
    as many in languages that are not judged."""
    groups: dict[tuple[str, bool, bool], list[TextRow]] = {}
    for row in rows:
        if row.part == "train" and max(row.labels) >= 0 and not row.source.startswith("lexicon"):
            groups.setdefault((row.source, 1 in row.labels, row.language in LANGUAGES), []).append(row)
    for group in groups.values():
        yield from rng.sample(group, min(MOST, len(group)))


def _everyday(rows: Sequence[TextRow], rng: random.Random) -> Iterator[TextRow]:
    """The train part of everyday text, shuffled, at most FINISHING_MOST rows of a source."""
    groups: dict[str, list[TextRow]] = {}
    for row in rows:
        if row.part == "train" and row.source.startswith(HARMLESS) and row.source != NOISY:
            groups.setdefault(row.source, []).append(row)
    found = [row for group in groups.values() for row in rng.sample(group, min(FINISHING_MOST, len(group)))]
    yield from rng.sample(found, len(found))


def _interleaved(one: Sequence[TrainingText], other: Sequence[TrainingText]) -> list[TrainingText]:
    """Both, each in its order, spread evenly."""
    placed = [((n + 0.5) / len(some), example) for some in (one, other) for n, example in enumerate(some)]
    return [example for _, example in sorted(placed, key=lambda pair: pair[0])]

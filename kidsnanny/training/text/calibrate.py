"""The card of a trained text encoder: calibrated on the corpus' validation authors and on harmless public texts."""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import tomli_w

from kidsnanny.records import ModelId
from kidsnanny.stage2.text_encoder import CategoryCalibration, EncoderCard, TextEncoder
from kidsnanny.training.text.base_encoder import SPECIAL, BaseEncoder, tokenizer
from kidsnanny.training.text.corpus import Line, read_corpus
from kidsnanny.training.text.examples import LANGUAGES
from kidsnanny.training.text.export_encoder import WEIGHTS
from kidsnanny.training.text.operating_points import HIGH_RECALL, Harmless, calibrations
from kidsnanny.training.text.rows import CATEGORIES, HARMLESS, NOISY, TextRow, noise_rows

LEAST_ROWS = 100
"""A source with fewer rows in the calibration part says too little."""
FOREIGN_FALSE_ALARMS, FOREIGN_SURE = 0.003, 0.85
"""Share of the texts in judged languages that may count as another."""
FAMILIAR_WORDS = 5
"""Of the texts that this is chosen on, at least."""
THRESHOLDS = (0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9)
JUDGED = ("en", "de", "fr", "es", "it", "pt", "nl", "tr", "zh", "hi")
"""The languages in which at least .6 of the harmful lines of the corpus' test authors were found at 3 % of the
look-alikes. In Arabic, Polish, Russian and romanised Hindi less was: text in them is `not_inspected`."""
SCRIPTS = ("Latin", "CJK", "Devanagari")
VERSION = "3"


def calibrated(folder: Path, base: BaseEncoder, corpus: Path, rows: Sequence[TextRow], seed: int) -> EncoderCard:
    """The card of the model in `folder`, its recall not measured yet.

    Args:
        folder: holds the ONNX file.
        base: whose tokenizer the model was trained with.
        corpus: its validation part is used.
        rows: the public rows; their calibration part is used.
        seed: of the training.
    """
    blank = CategoryCalibration(slope=1, offset=0)
    card = EncoderCard(
        name="kidsnanny-text",
        version=VERSION,
        calibration=dict.fromkeys(CATEGORIES, blank),
        thresholds=THRESHOLDS,
        told_apart=LANGUAGES,
        languages=JUDGED,
        scripts=SCRIPTS,
        foreign_above=1,
        pad=SPECIAL.index("<pad>"),
        trained_on=tuple(sorted({row.source for row in rows} | {"training/corpus"})),
        licence="Apache-2.0",
        seed=seed,
        notes=NOTES,
    )
    model = TextEncoder(card, ModelId(name=card.name), folder / WEIGHTS, tokenizer(base.pieces))
    lines = [line for of_author in read_corpus(corpus, "validation").values() for line in of_author]
    harmful = [line for line in lines if line.kind == "harmful"]
    labels = np.array([[category in line.categories for category in CATEGORIES] for line in harmful])
    groups = {
        "look-alikes": texts(line for line in lines if line.kind == "look_alike"),
        "plain": texts(line for line in lines if line.kind == "plain"),
    }
    held = [row for row in rows if row.part == "calibration" and row.source.startswith(HARMLESS)]
    held = [row for row in held if row.source != NOISY]
    for source in sorted({row.source for row in held}):
        of_source = [row.text for row in held if row.source == source]
        if len(of_source) >= LEAST_ROWS:
            groups[source] = of_source
    groups["noise"] = [row.text for row in noise_rows(1_000, random.Random(seed))]
    harmless = {
        name: Harmless(model.logits(group), HIGH_RECALL.get(name, HIGH_RECALL["public"]))
        for name, group in groups.items()
    }
    found = calibrations(CATEGORIES, model.logits(texts(harmful)), labels, harmless)
    familiar = [text for text in (*groups["look-alikes"], *groups["plain"]) if len(text.split()) >= FAMILIAR_WORDS]
    foreign = float(np.quantile(model.foreign(familiar), 1 - FOREIGN_FALSE_ALARMS))
    return card.model_copy(update={"calibration": found, "foreign_above": max(FOREIGN_SURE, foreign)})


def measured(card: EncoderCard, folder: Path, corpus: Path) -> EncoderCard:
    """The card with the recall of each category on the English lines of the corpus' test part."""
    model = TextEncoder.load(folder / WEIGHTS, ModelId(name=card.name))
    lines = [line for of_author in read_corpus(corpus, "test").values() for line in of_author if line.language == "en"]
    found = dict(card.calibration)
    for column, (category, calibration) in enumerate(card.calibration.items()):
        of_category = texts(line for line in lines if line.kind == "harmful" and category in line.categories)
        scores = model.score(of_category)[:, column]
        recall = tuple(round(float((scores >= threshold).mean()), 3) for threshold in card.thresholds)
        found[category] = calibration.model_copy(update={"recall": recall})
    return card.model_copy(update={"calibration": found})


def texts(lines: Iterable[Line]) -> list[str]:
    """Of the lines."""
    return [line.text for line in lines]


def write_card(card: EncoderCard, folder: Path) -> None:
    """Write `card.toml`."""
    (folder / "card.toml").write_text(
        "# Written by `kidsnanny train text`; do not edit.\n" + tomli_w.dumps(card.model_dump(mode="json")), "utf-8"
    )


NOTES = (
    "The sources' licences and credits are in weights/README.md; the corpus' data card is training/corpus/README.md.",
    "The lines of the corpus were written by a language model, by brief: expect less on real chats than on its test "
    "part.",
    "No real conversation of grooming was seen. illegal, nudity and gore are not scored. Rows that join minors and "
    "sexual words were never in the data: that case is policy, not this model.",
    "Known bias: hate and harassment labels come in part from tweets and comments, where dialect and identity terms "
    "draw false alarms; sexual rests in part on machine labels (Perspective).",
)

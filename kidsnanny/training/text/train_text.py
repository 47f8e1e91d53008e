"""The text model from its data to its files: `kidsnanny train text`."""

import sys
from collections.abc import Iterator
from pathlib import Path

from kidsnanny.errors import ComponentError
from kidsnanny.stage2.normalisation import normalise
from kidsnanny.training.text.base_encoder import cut, read_base
from kidsnanny.training.text.calibrate import calibrated, measured, write_card
from kidsnanny.training.text.examples import Examples
from kidsnanny.training.text.export_encoder import export
from kidsnanny.training.text.train_encoder import PIECES, train

MOST_ROWS = 8_000
"""Rows of a public source whose words the vocabulary is chosen for, at most."""
RANGE_TEXTS = 512
"""Texts that show the ranges of the network's activations."""


def train_text(data: Path, corpus: Path, out: Path, *, seed: int = 0) -> None:
    """Train on the *.csv.gz of `data` and on `corpus`; write `model.onnx`, `tokenizer.json` and `card.toml` into `out`.

    A run that was ended goes on from its last checkpoint, which is in `out` until the end.

    Args:
        data: a folder of labelled text; see weights/README.md for the format.
        corpus: a folder with `train`, `validation` and `test`; the project's own is training/corpus in its source.
        out: the folder; it is made.
        seed: of everything random.

    Raises:
        ComponentError: a folder lacks its files, a file is malformed, or `out` cannot be written.
        WeightsError: the encoder to start from is not installed.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)  # before the hours of training
    except OSError as error:
        raise ComponentError(f"{out}: cannot be written to ({error}); give another folder with --out.") from error
    examples = Examples(data, corpus, seed)
    _say(f"{len(examples):,} texts to train on; the vocabulary is cut to {PIECES:,} pieces")
    base = cut(read_base(), _words(examples), PIECES)
    network = train(examples, base, out, seed)
    _say("the model is written in bytes and calibrated")
    export(network, base, out, [normalise(one.text) for one in examples.stages[0][:RANGE_TEXTS]])
    card = calibrated(out, base, corpus, examples.rows, seed)
    write_card(card, out)
    write_card(measured(card, out, corpus), out)
    (out / "checkpoint.pt").unlink(missing_ok=True)
    _say(f"wrote {out / 'model.onnx'}, tokenizer.json and card.toml")


def _words(examples: Examples) -> Iterator[str]:
    """The texts of the training part whose words the vocabulary should have."""
    seen: dict[str, int] = {}
    for row in examples.rows:
        if row.part == "train" and seen.setdefault(row.source, 0) < MOST_ROWS:
            seen[row.source] += 1
            yield normalise(row.text)
    for example in examples.stages[0]:
        yield normalise(example.text)


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)

"""Scores texts by meaning: a small multilingual encoder of BERT's architecture, as int8 ONNX.

text -> `normalise` -> pieces of words -> windows -> the encoder -> one logit per category, and one per language ->
calibration -> probabilities. Needs onnxruntime and the tokenizers package, neither torch nor transformers.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from kidsnanny.engines import renew_after_fork
from kidsnanny.errors import WeightsError
from kidsnanny.faults import first_fault
from kidsnanny.models.onnx import OnnxSession, onnx_session
from kidsnanny.records import ModelId, Record
from kidsnanny.stage2.normalisation import foreign_script, normalise, too_short_to_tell
from kidsnanny.taxonomy import Category
from kidsnanny.toml_files import read_toml, why_unread

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WINDOW, STEP = 64, 48
"""Pieces of a window, its ends counted, and from a window's beginning to the next one's. Longer texts are scored window
by window, and nothing is cut."""
BATCH, PADDING = 2_048, 8
"""Pieces that are computed at once, padding counted, and how much of it a window may get."""
KEPT = 1_000
"""Windows whose outputs are kept: a text is scored as a whole and line by line, and its language is asked for."""
MAYBE_FOREIGN = 0.02
FOREIGN = "text in a language that is not judged"


Window = tuple[int, ...]
"""Pieces, between the two ends."""


class CategoryCalibration(Record):
    """How one category's logit becomes a probability, and how good that is."""

    slope: float = Field(gt=0)
    offset: float
    recall: tuple[float, ...] = ()
    """Share of the harmful lines, by authors of no training text, that score at least each of the card's thresholds."""


class EncoderCard(Record):
    """What the weights beside it are, came from and cannot do."""

    name: str
    version: str
    calibration: dict[Category, CategoryCalibration]
    """In the order of the model's outputs."""
    thresholds: tuple[float, ...]
    """Rising ones, for which recall was measured."""
    told_apart: tuple[str, ...]
    """The languages in the order of the outputs that follow the categories', as in BCP 47, and `other`."""
    languages: tuple[str, ...]
    """Those of them that are judged."""
    scripts: tuple[str, ...]
    foreign_above: float = Field(gt=0, le=1)
    """From this probability of a language that is not judged, the text counts as one."""
    pad: int = Field(ge=0)
    """The piece that fills up a shorter text of a batch."""
    trained_on: tuple[str, ...]
    licence: str
    seed: int
    notes: tuple[str, ...]


class TextEncoder:
    """The encoder of texts. Any number of threads may score at once."""

    reentrant = True

    def __init__(self, card: EncoderCard, model_id: ModelId, weights: Path, tokenizer: "Tokenizer") -> None:
        self.card = card
        self.model_id = model_id
        self.categories = tuple(card.calibration)
        self.recall = {
            category: tuple(zip(card.thresholds, one.recall, strict=True))
            for category, one in card.calibration.items()
            if one.recall
        }
        self._judged = [n for n, language in enumerate(card.told_apart) if language in card.languages]
        self._weights = weights
        self._session: OnnxSession | None = None  # opened with the first text: most photographs have none
        self._kept: OrderedDict[Window, npt.NDArray[np.float32]] = OrderedDict()
        self.after_fork()
        renew_after_fork(self)
        self._tokenizer = tokenizer
        values = card.calibration.values()
        self._slope = np.array([one.slope for one in values], np.float32)
        self._offset = np.array([one.offset for one in values], np.float32)

    def after_fork(self) -> None:
        """Another thread of the parent may have held the lock."""
        self._lock = Lock()

    @classmethod
    def load(cls, weights: Path, model_id: ModelId) -> Self:
        """Read the ONNX file, and `tokenizer.json` and `card.toml` beside it.

        Raises:
            WeightsError: a file is missing or not what it should be.
        """
        from tokenizers import Tokenizer

        fix = "reinstall kidsnanny, or train one with: kidsnanny train text --data DIR --out DIR"
        path, words = weights.with_name("card.toml"), weights.with_name("tokenizer.json")
        try:
            card = EncoderCard.model_validate(read_toml(path))
        except ValidationError as error:
            raise WeightsError(f"{path}: {first_fault(error)}; {fix}.") from error
        except (OSError, ValueError) as error:
            raise WeightsError(f"{path}: the card cannot be read ({why_unread(error)}); {fix}.") from error
        try:
            tokenizer = Tokenizer.from_file(str(words))
        except Exception as error:  # the package raises nothing narrower
            raise WeightsError(f"{words}: the tokenizer cannot be read ({error}); {fix}.") from error
        return cls(card, model_id, weights, tokenizer)

    def score(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Calibrated probabilities 0..1, (len(texts), len(categories)); a text without letters scores 0.

        A long text scores as the highest of its windows.
        """
        logits = self.logits(texts) * self._slope + self._offset
        scores: npt.NDArray[np.float32] = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
        return np.where(scores < 1e-6, 0, scores).astype(np.float32)

    def logits(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Uncalibrated, (len(texts), len(categories)): the highest over a text's windows; -100 without letters."""
        out = np.full((len(texts), len(self.categories)), -100, np.float32)
        windows: dict[Window, list[int]] = {}
        for owner, text in enumerate(texts):
            clean = normalise(text)
            if any(c.isalpha() for c in clean):
                for window in self._windows(clean):
                    windows.setdefault(window, []).append(owner)
        if windows:
            found = self._outputs(list(windows))[:, : len(self.categories)]
            for logits, owners in zip(found, windows.values(), strict=True):
                for owner in owners:
                    np.maximum(out[owner], logits, out=out[owner])
        return out

    def unknown_languages(self, passages: Sequence[str]) -> list[str | None]:
        """Of each passage of one text: why it is not in a language that is judged, briefly; None when it is or is too
        short to tell. The passages' languages are told apart only if the whole text looks a little like another's.
        """
        found = [foreign_script(passage, self.card.scripts) for passage in passages]
        said = [f"text in {script} script" if script else None for script in found]
        clean = [normalise(passage) for passage in passages]
        long = [n for n, passage in enumerate(clean) if not said[n] and not too_short_to_tell(passage)]
        if long and (len(passages) == 1 or self.foreign([" ".join(passages)])[0] >= MAYBE_FOREIGN):
            for n, foreign in zip(long, self.foreign([clean[n] for n in long]), strict=True):
                said[n] = FOREIGN if foreign > self.card.foreign_above else None
        return said

    def foreign(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """The probability that a text is, in one window at least, in a language that is not judged."""
        windows = [list(self._windows(normalise(text))) for text in texts]
        logits = self._outputs([window for of_text in windows for window in of_text])[:, len(self.categories) :]
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        foreign = 1 - odds[:, self._judged].sum(axis=1) / odds.sum(axis=1)
        firsts = np.cumsum([0, *(len(of_text) for of_text in windows[:-1])])
        return np.maximum.reduceat(foreign, firsts)

    def _windows(self, clean: str) -> Iterator[Window]:
        begin, *pieces, end = self._tokenizer.encode(clean).ids
        inside = WINDOW - 2
        for start in range(0, max(1, len(pieces) - inside + STEP), STEP):
            yield (begin, *pieces[start : start + inside], end)

    def _outputs(self, windows: Sequence[Window]) -> npt.NDArray[np.float32]:
        """(len(windows), outputs); what was computed lately is not computed again."""
        with self._lock:
            known = {window: self._kept[window] for window in windows if window in self._kept}
        if fresh := [window for window in dict.fromkeys(windows) if window not in known]:
            known.update(zip(fresh, self._computed(fresh), strict=True))
        with self._lock:
            for window in fresh:
                self._kept[window] = known[window]
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return np.stack([known[window] for window in windows])

    def _opened(self) -> OnnxSession:
        with self._lock:
            if self._session is None:
                self._session = onnx_session(self._weights)
            return self._session

    def _computed(self, windows: Sequence[Window]) -> npt.NDArray[np.float32]:
        """(len(windows), outputs); windows of about the same length are computed together."""
        order = sorted(range(len(windows)), key=lambda n: len(windows[n]))
        parts: list[npt.NDArray[np.float32]] = []
        start = 0
        while start < len(order):
            stop, shortest = start + 1, len(windows[order[start]])
            while stop < len(order):
                longest = len(windows[order[stop]])
                if longest > shortest + PADDING or (stop + 1 - start) * longest > BATCH:
                    break
                stop += 1
            batch = [windows[n] for n in order[start:stop]]
            pieces = np.full((len(batch), len(batch[-1])), self.card.pad, np.int64)
            for row, window in zip(pieces, batch, strict=True):
                row[: len(window)] = window
            lengths = np.array([len(window) for window in batch])
            mask = (np.arange(pieces.shape[1]) < lengths[:, None]).astype(np.int64)
            parts += self._opened().run(None, {"pieces": pieces, "mask": mask})
            start = stop
        return np.concatenate(parts)[np.argsort(order)]

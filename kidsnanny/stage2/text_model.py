"""Scores text found in a picture, per category: a hashed n-gram linear model, numpy and the standard library only.

text -> `normalise` -> `features` (character 2-5-grams inside words, word 1-2-grams, hashed) -> one logit per category
-> Platt calibration -> probabilities. Training (`kidsnanny.training.text.train_text`) uses the very same two functions.
A linear model of n-grams is a first signal: it knows wording, not meaning. The card says what it was trained on.
"""

import hashlib
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self
from zlib import crc32

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from kidsnanny.errors import WeightsError
from kidsnanny.records import ModelId
from kidsnanny.stage2.normalisation import foreign_script, normalise, too_short_to_tell
from kidsnanny.taxonomy import Category
from kidsnanny.toml_files import read_toml

BITS = 19
"""The features are hashed into 2**BITS buckets."""
CHAR_NGRAMS = (2, 3, 4, 5)
WINDOW_WORDS = 20
"""Longer texts are also scored in windows of so many words, half overlapping: one bad line must not drown in a page."""
SHRINK = 800.0
"""Added under the root of the L2 norm, so that a text of very few n-grams stays near the intercept."""
_WORD = re.compile(r"[\w']+")


@dataclass(frozen=True)
class Features:
    """Sparse rows, as CSR: row i holds `buckets[indptr[i]:indptr[i+1]]` with `values` of the same slice."""

    indptr: npt.NDArray[np.int64]
    buckets: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]


def _mix(h: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """The 32-bit avalanche step, so that any BITS of the hash will do."""
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))


def _char_grams(texts: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """(row, hash) of every character n-gram; a space may stand at an n-gram's ends, never inside."""
    joined = "\n".join(f" {text} " for text in texts)
    codes = np.frombuffer(joined.encode("utf-32-le"), dtype="<u4").astype(np.uint32)
    space, stop = codes == 32, codes == 10
    rows = np.cumsum(stop, dtype=np.int64)
    hashes, bad = codes.copy(), stop.copy()
    out_rows, out_hashes = [], []
    for n in range(2, CHAR_NGRAMS[-1] + 1):
        if len(codes) < n:
            break
        last = slice(n - 1, None)
        hashes = hashes[:-1] * np.uint32(0x01000193) ^ codes[last]
        bad = bad[:-1] | stop[last]
        if n > 2:
            bad = bad | space[n - 2 : -1]
        good = ~bad
        out_rows.append(rows[: len(good)][good])
        out_hashes.append(_mix(hashes[good] + np.uint32(n * 0x9E3779B9 & 0xFFFFFFFF)))
    return np.concatenate(out_rows), np.concatenate(out_hashes)


def _word_grams(texts: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """(row, hash) of every word and of every pair of neighbouring words."""
    rows, hashes = [], []
    for row, text in enumerate(texts):
        words = [crc32(word.encode()) for word in _WORD.findall(text)]
        words += [(a * 31 + b + 7) & 0xFFFFFFFF for a, b in pairwise(words)]
        rows.append(np.full(len(words), row, dtype=np.int64))
        hashes.append(np.array(words, dtype=np.uint32))
    return np.concatenate(rows), _mix(np.concatenate(hashes) ^ np.uint32(0x5BD1E995))


def features(texts: Sequence[str], idf: npt.NDArray[np.uint8]) -> Features:
    """Hashed, sublinear, (almost) L2-normalised tf-idf of the n-grams of *normalised* texts; values 0..1.

    `idf` (2**bits,) says in quarters how rare each bucket is; no text, no rows.
    """
    if not texts:
        return Features(np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    bits = len(idf).bit_length() - 1
    chars, words = _char_grams(texts), _word_grams(texts)
    rows = np.concatenate([chars[0], words[0]])
    buckets = np.concatenate([chars[1], words[1]]).astype(np.int64) & ((1 << bits) - 1)
    keys, counts = np.unique(rows << bits | buckets, return_counts=True)
    rows = keys >> bits
    buckets = keys & ((1 << bits) - 1)
    values = (1.0 + np.log(counts)) * idf[buckets] / 4.0
    norms = np.sqrt(np.bincount(rows, weights=values * values, minlength=len(texts)) + SHRINK)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(texts)))]).astype(np.int64)
    return Features(indptr, buckets, (values / norms[rows]).astype(np.float32))


def windows(text: str) -> list[str]:
    """The normalised text itself and, when it is longer than a window, its half-overlapping windows."""
    words = text.split(" ")
    if len(words) <= WINDOW_WORDS * 5 // 4:
        return [text]
    step = WINDOW_WORDS // 2
    return [text, *(" ".join(words[i : i + WINDOW_WORDS]) for i in range(0, len(words) - step, step))]


class TextModelCard(BaseModel):
    """What the weights beside it are, came from and cannot do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    categories: tuple[Category, ...]
    languages: tuple[str, ...]
    scripts: tuple[str, ...]
    sha256: str
    trained_on: tuple[str, ...]
    licence: str
    seed: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Weights:
    """The arrays of model.npz; K categories and, last, the language column."""

    weights: npt.NDArray[np.int8]  # (2**bits, K + 1)
    idf: npt.NDArray[np.uint8]  # (2**bits,)
    scale: npt.NDArray[np.float32]  # (K + 1,)
    intercept: npt.NDArray[np.float32]  # (K + 1,)
    platt: npt.NDArray[np.float32]  # (2, K): slope and offset
    language_threshold: npt.NDArray[np.float32]  # (): a logit above it is not English

    def logits(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Logits (len(texts), K + 1) of normalised texts, uncalibrated; a text without features gets the intercept."""
        rows = features(texts, self.idf)
        out = np.tile(self.intercept, (len(texts), 1))
        filled = np.flatnonzero(np.diff(rows.indptr))
        if filled.size:
            parts = self.weights[rows.buckets] * rows.values[:, None]
            out[filled] += np.add.reduceat(parts, rows.indptr[filled], axis=0) * self.scale
        return out


class TextModel:
    """The embedded text model. Immutable after `load`, so any number of threads may score at once."""

    reentrant = True

    def __init__(self, card: TextModelCard, weights: Weights) -> None:
        self.card = card
        self.model_id = ModelId(name=card.name, revision=card.sha256[:12])
        self.categories = card.categories
        self._weights = weights

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `model.npz` and `card.toml`; WeightsError says which file, why, and what to do."""
        fix = "reinstall kidsnanny, or train one with: kidsnanny train text --data DIR --out DIR"
        card_path, model_path = folder / "card.toml", folder / "model.npz"
        for path in (card_path, model_path):
            if not path.is_file():
                raise WeightsError(f"{path}: the text model's file is missing; {fix}.")
        try:
            card = TextModelCard.model_validate(read_toml(card_path))
        except (OSError, ValueError) as error:
            why = " ".join(str(error).split())
            raise WeightsError(f"{card_path}: not a text model card ({why}); {fix}.") from error
        if hashlib.sha256(model_path.read_bytes()).hexdigest() != card.sha256:
            raise WeightsError(f"{model_path}: its sha256 is not the one in {card_path.name}; {fix}.")
        try:
            with np.load(model_path, allow_pickle=False) as arrays:
                weights = Weights(**{name: arrays[name] for name in Weights.__dataclass_fields__})
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise WeightsError(f"{model_path}: cannot be read ({error}); {fix}.") from error
        buckets, columns = weights.weights.shape
        fits = (
            columns == len(card.categories) + 1
            and weights.platt.shape == (2, columns - 1)
            and len(weights.idf) == buckets
        )
        if not fits or buckets & (buckets - 1):
            raise WeightsError(f"{model_path}: its arrays do not fit the categories in {card_path.name}; {fix}.")
        return cls(card, weights)

    def score(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Calibrated probabilities 0..1, (len(texts), len(card.categories)); a text without letters scores 0.

        A long text scores as the highest of its whole and its windows.
        """
        out = np.zeros((len(texts), len(self.card.categories)), dtype=np.float32)
        pieces: list[str] = []
        owners: list[int] = []
        for owner, text in enumerate(texts):
            clean = normalise(text)
            if any(c.isalpha() for c in clean):
                mine = windows(clean)
                pieces += mine
                owners += [owner] * len(mine)
        if pieces:
            slope, offset = self._weights.platt
            logits = self._weights.logits(pieces)[:, :-1] * slope + offset
            np.maximum.at(out, np.array(owners), 1.0 / (1.0 + np.exp(-np.clip(logits, -30.0, 30.0))))
        return out

    def unknown_language(self, text: str) -> str | None:
        """Why this text is not in a language the card lists, briefly; None when it is or is too short to tell."""
        if script := foreign_script(text, self.card.scripts):
            return f"text in {script} script"
        clean = normalise(text)
        if too_short_to_tell(clean):
            return None
        if self._weights.logits([clean])[0, -1] > self._weights.language_threshold:
            return "text that does not look like English"
        return None

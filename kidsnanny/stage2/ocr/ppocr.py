"""The text in a picture, by PP-OCRv6 small, run here through ONNX Runtime. What comes out is untrusted text.

Only the weights come from RapidOCR's wheel; none of its code runs.

PP-OCR's detector pools over the whole picture, so a single small line in a large one is averaged away: at 1080p it
finds hardly a 10-pixel line at any scale, and nearly all of them in a tile of 600. So a large picture is looked
at twice: in tiles for small text, their probability maps stitched before boxes are made, and whole, but small, for text
too large for a tile. Tiles are looked at in gray: in colour the detector sees ten times as many lines that are none.
Lines are then cut from the full-size frame and recognised.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise, takewhile
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kidsnanny.budget import leave_out, out_of_time, seconds_left
from kidsnanny.media.loader import RGB
from kidsnanny.models.cards import cards
from kidsnanny.models.onnx import onnx_session
from kidsnanny.records import ModelId, TextLine
from kidsnanny.stage2.ocr.bends import Bend, straighten
from kidsnanny.stage2.ocr.ocr import MIN_SIDE, prove
from kidsnanny.stage2.ocr.quads import (
    BOTH,
    LINE,
    MIRRORED,
    UPSIDE_DOWN,
    Quad,
    common,
    covers,
    crop,
    quads,
    short_side,
    size,
    stretch,
    turned_by,
    upright,
    without_repeats,
)
from kidsnanny.stage2.ocr.views import TILE, for_detector, grayed, scaled, spans
from kidsnanny.stage2.text_blocks import reading_order

FULL_HD = 1_080
SCALE = 0.64
"""Of a frame with a shorter side of up to FULL_HD: 12-pixel letters are still found. A larger frame shrinks further, by
the root of its side, so that the cost grows with the side and not with the area; one that fits a tile does not."""
WHOLE = 384
"""Longest side of the whole frame's own, small view."""
LARGE = 24
"""Lines at least so high, in pixels of that view, are taken from it."""
SURE = 0.8
"""Recognised with at least this confidence, a large line stands."""
BATCH = 4
"""Lines in one network call."""
CALL_PIXELS = 250_000
"""Pixels of tiles in one network call: more leave the processor's cache, fewer are not worth the call."""
AT_ONCE = 20_000
"""Pixels of lines, as long as the recogniser sees them, among which pieces of like length are put together."""
PIECE = 1_600
"""A longer line is cut, in pixels of the recogniser: its cost grows with the square of the length."""
SHARED = 96
"""Pixels that two pieces share: two to four letters."""
STEP = 8
"""Pixels of a line to each of the recogniser's answers."""
SPACE = 0.1
"""Where no letter is, a space of at least this probability is one. Capitals with outlines stand so close that it is
seldom the likeliest; inside words it stays under 0.02."""
RETRY = (0.4, 0.92)
"""A line recognised with a confidence between these is tried turned around and mirrored, too."""
LONG = 4
"""So is one of at least this aspect of which hardly a letter was read."""
CLOSER, NEARBY, MOST = 40, 1.5, 8
"""A line that was hardly read is looked at again, with so many of its heights around it and scaled so that it is CLOSER
pixels high; in one frame the MOST largest ones."""
LINE_LIKE = 1.4
"""A place of lesser aspect is a button or a wheel more often than text."""
LARGEST = 1_200
"""Pixels of the longer side of what is looked at from nearby."""
FOUND, GONE, READ = 0.6, 0.25, 0.86
"""Share of a line that the closer look finds: from FOUND on its reading stands instead if it has at least the
confidence READ, below GONE it was no text."""
GAP = 1.5
"""Heights of a line: where the recogniser says nothing for so long and there is ink, something was passed over."""


class _Read(NamedTuple):
    text: str
    confidence: float
    gaps: tuple[Quad, ...] = ()
    """Stretches with ink of which nothing was read."""
    whole: bool = True
    """Whether the time was enough for all of it; else it is the beginning."""
    quad: Quad | None = None
    """The line's corners in the order in which it was read."""


class _Piece(NamedTuple):
    line: int
    quad: Quad
    width: int
    """Pixels of the recogniser."""


class _Answer(NamedTuple):
    """What the recogniser says of each step of a piece: which letter (0: none), its probability, and that of a
    space."""

    best: npt.NDArray[np.int64]
    sure: npt.NDArray[np.float32]
    space: npt.NDArray[np.float32]


class PpOcr:
    """PP-OCRv6 small on ONNX Runtime, with the weights that RapidOCR's wheel carries.

    When the picture's budget is used up (`kidsnanny.budget`), what is not looked at yet is left out by name. Large
    letters come first, since they are what a child reads first.

    Raises:
        WeightsError: the rapidocr package is missing, or its weights are not those of the cards.
        ComponentError: the engine does not read a generated "HELLO 123".
    """

    reentrant = True

    def __init__(self) -> None:
        detector, recogniser = cards()["ppocrv6-small-det"], cards()["ppocrv6-small-rec"]
        self.model_id = ModelId(name=recogniser.name, revision=(recogniser.sha256 or "")[:12])
        self._detector = onnx_session(detector.locate())
        self._recogniser = onnx_session(recogniser.locate())
        characters = self._recogniser.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._alphabet = ("", *characters, " ")  # the first is CTC's blank
        prove(self)

    def read(self, frame: RGB) -> list[TextLine]:
        """Every line found in an (H, W, 3) uint8 RGB frame, in reading order; see `Ocr.read`."""
        high, wide = frame.shape[:2]
        if min(high, wide) < MIN_SIDE:
            return []
        scale = SCALE * min(1.0, FULL_HD / min(high, wide)) ** 0.5
        scale = max(min(1.0, max(scale, TILE / max(high, wide))), 32 / min(high, wide))
        tiled = max(high, wide) * scale > TILE
        view = scaled(frame, scale)
        half = seconds_left() / 2  # the other half is for reading
        small, bends = self._find(grayed(view) if tiled else view, frame.shape, half)
        if not tiled:
            lines = self._lines(frame, small) + self._bent(frame, bends)
            return reading_order(self._closer(frame, without_repeats(lines)))
        least = LARGE * max(high, wide) / WHOLE
        seen, more_bends = self._find(scaled(view, WHOLE / max(view.shape)), frame.shape)
        more = self._lines(frame, [quad for quad in seen if short_side(quad) >= least])
        lines = self._lines(frame, small) + self._bent(frame, bends)
        read = [line for line in lines if line.text]
        more += [line for line in self._bent(frame, more_bends) if not any(covers(one, line) for one in read)]
        rest = [quad for quad in seen if short_side(quad) < least]
        more += self._lines(frame, [q for q in rest if not any(covers(line, _line(q, "", 0.0)) for line in read)])
        more = [line for line in more if not line.text or line.confidence >= SURE]
        sure = [line for line in more if line.text]
        lines = [line for line in lines if not any(covers(one, line) for one in sure)] + more
        return reading_order(self._closer(frame, without_repeats(lines)))

    def _closer(self, frame: RGB, lines: Sequence[TextLine]) -> list[TextLine]:
        """The lines, with the largest of those that were hardly read looked at once more from nearby.

        If most of such a line is found again and now read, that reading stands; if hardly anything is found, the line
        is not `confirmed`. What is read beside it for the first time is a further line.
        """
        doubted = [line for line in lines if line.confidence < READ and (line.aspect or 0) >= LINE_LIKE]
        doubted = sorted(doubted, key=lambda line: -line.box.area)[:MOST]
        kept = [line for line in lines if line not in doubted]
        for line in doubted:
            if out_of_time():
                kept.append(line)
                continue
            again, beside = self._from_nearby(frame, line)
            share = sum(common(line, one) for one in again) / max(1, line.area)
            if share < GONE:
                kept.append(line.model_copy(update={"confirmed": False}))
            elif share >= FOUND and _confidence(again) >= READ > line.confidence:
                kept += again
            else:
                kept.append(line)
            kept += [one for one in beside if not any(covers(other, one) for other in (*lines, *kept))]
        return kept

    def _from_nearby(self, frame: RGB, line: TextLine) -> tuple[list[TextLine], list[TextLine]]:
        """What is found in the place of a line, and what is read with confidence beside it."""
        x0, y0, x1, y1 = line.box
        high = max(MIN_SIDE, min(y1 - y0, x1 - x0))
        around = round(NEARBY * high) + MIN_SIDE
        left, top = max(0, x0 - around), max(0, y0 - around)
        part = frame[top : y1 + around, left : x1 + around]
        scale = max(CLOSER / high, 32 / min(part.shape[:2]))
        scale = min(scale, LARGEST / max(part.shape[:2]))
        found, bends = self._find(scaled(part, scale), part.shape)
        seen = self._lines(part, found, turned=False) + self._bent(part, bends)
        read = [one.model_copy(update={"box": one.box.moved(left, top)}) for one in seen]
        again = [one for one in read if covers(line, one)]
        return again, [one for one in read if one not in again and one.text and one.confidence >= READ]

    def _lines(self, frame: RGB, found: Sequence[Quad], turned: bool = True) -> list[TextLine]:
        """The lines at the quads, and the stretches of them of which nothing was read; `turned` as in `_recognise`."""
        lines = []
        for quad, read in zip(found, self._recognise(frame, found, turned), strict=True):
            if read:
                laid = quad if read.quad is None else read.quad
                lines.append(_line(laid, read.text if read.text.strip() else "", read.confidence))
                lines += [_line(gap, "", 0.0) for gap in read.gaps]
        return lines

    def _bent(self, frame: RGB, bends: Sequence[Bend]) -> list[TextLine]:
        """The lines that bend, each read from its straightened pixels."""
        lines = []
        for n, bend in enumerate(bends):
            if out_of_time():
                leave_out(f"{len(bends) - n} of {len(bends)} bent lines were not read")
                break
            strip = straighten(frame, bend)
            high, long = strip.shape[:2]
            whole = np.array([(0, 0), (long, 0), (long, high), (0, high)], np.float32)
            (read,) = self._recognise(strip, [whole], turned=True)
            if read:
                upside_down = read.quad is not None and abs(turned_by(read.quad)) > 90
                lines.append(bend.line(read.text.strip(), read.confidence, frame.shape, upside_down=upside_down))
        return lines

    def _find(self, view: RGB, shape: tuple[int, ...], until: float = 0) -> tuple[list[Quad], list[Bend]]:
        """Where text is in a scaled frame, seen tile by tile, in pixels of the frame of that shape: straight lines, and
        those that bend.

        Ends when fewer than `until` seconds of the budget are left.
        """
        height, width = view.shape[:2]
        probabilities = np.zeros((height, width), np.float32)
        tiles = [np.s_[top:bottom, left:right] for top, bottom in spans(height) for left, right in spans(width)]
        at_once = max(1, CALL_PIXELS // probabilities[tiles[0]].size)
        for start in range(0, len(tiles), at_once):
            if out_of_time() or seconds_left() < until:
                leave_out(f"{len(tiles) - start} of {len(tiles)} parts of the frame were not searched for text")
                break
            batch = tiles[start : start + at_once]
            given = for_detector([view[tile] for tile in batch])
            for tile, seen in zip(batch, self._detector.run(None, {"x": given})[0], strict=True):
                np.maximum(probabilities[tile], seen[0], out=probabilities[tile])
        return quads(probabilities, shape)

    def _recognise(self, frame: RGB, found: Sequence[Quad], turned: bool) -> list[_Read | None]:
        """What is written in each line; None where the time was up. Large letters first, of like ones the topmost.

        If `turned`, doubtful lines are tried upside down and mirrored as well.
        """
        order = sorted(range(len(found)), key=lambda index: (-short_side(found[index]) // 8, found[index][:, 1].min()))
        read = self._upright(frame, {index: found[index] for index in order})
        whole = {index: line for index, line in read.items() if line.whole}
        unsettled = set(order) - set(whole)
        doubtful = [
            index
            for index, line in whole.items()
            if RETRY[0] <= line.confidence < RETRY[1] and (len(line.text) > 2 or _aspect(found[index]) >= LONG)
        ]
        for turn in (UPSIDE_DOWN, MIRRORED, BOTH) if turned else ():
            again = self._upright(frame, {index: found[index][turn] for index in doubtful})
            for index in doubtful:
                if index in again and again[index].whole:
                    read[index] = max(read[index], again[index], key=lambda read: read.confidence)
                else:
                    unsettled.add(index)
        if unsettled:
            leave_out(f"{len(unsettled)} of {len(order)} lines were not read to the end")
        return [read.get(index) for index in range(len(found))]

    def _upright(self, frame: RGB, found: Mapping[int, Quad]) -> dict[int, _Read]:
        """The text of each line, with one network call for a few pieces of like length, until the time is up."""
        read: dict[int, _Read] = {}
        for pieces in _groups(found):
            answers: dict[int, _Answer] = {}
            waiting = sorted(range(len(pieces)), key=lambda place: pieces[place].width)
            while waiting and not out_of_time():
                shortest = pieces[waiting[0]].width
                longest = 1.25 * shortest + 32  # padding to the longest of a call is work for nothing
                most = max(1, min(BATCH, 2 * PIECE // shortest))
                batch = [place for place in waiting[:most] if pieces[place].width <= longest]
                waiting = waiting[len(batch) :]
                answers |= zip(batch, self._answers(frame, [pieces[place] for place in batch]), strict=True)
            place = 0
            for index, of_line in groupby(pieces, lambda piece: piece.line):
                parts = list(of_line)
                done = list(takewhile(answers.__contains__, range(place, place + len(parts))))
                place += len(parts)
                if done:
                    quad = stretch(found[index], 0, len(done) / len(parts)) if len(done) < len(parts) else found[index]
                    line = self._read(frame, quad, [answers[one] for one in done])
                    read[index] = line._replace(whole=len(done) == len(parts), quad=quad)
        return read

    def _answers(self, frame: RGB, pieces: Sequence[_Piece]) -> list[_Answer]:
        """One network call; the last piece is the longest."""
        import cv2

        given = np.zeros((len(pieces), 3, LINE, pieces[-1].width), np.float32)
        for row, piece in enumerate(pieces):
            line = cv2.resize(crop(frame, piece.quad), (piece.width, LINE))
            given[row, :, :, : piece.width] = line[:, :, ::-1].transpose(2, 0, 1) / np.float32(127.5) - 1
        (probabilities,) = self._recogniser.run(None, {"x": given})
        best, sure = probabilities.argmax(2), probabilities.max(2)
        ends = [piece.width // STEP for piece in pieces]
        space = probabilities[:, :, -1]
        return [_Answer(best[row, :end], sure[row, :end], space[row, :end]) for row, end in enumerate(ends)]

    def _read(self, frame: RGB, quad: Quad, answers: Sequence[_Answer]) -> _Read:
        """CTC's best path: repeats merged, blanks dropped; confidence is the mean."""
        best, sure, space = _joined(answers)
        kept = (best != 0) & (best != np.roll(best, 1))
        kept[0] = best[0] != 0
        if not kept.any():
            return _Read("", 0.0)
        text = self._spelt(best)
        spaced = self._spelt(np.where((best == 0) & (space >= SPACE), len(self._alphabet) - 1, best))
        if len(spaced.replace(" ", "")) >= 2 * len(spaced.split()):  # else letters that stand far apart
            text = spaced
        return _Read(text, min(1.0, float(sure[kept].mean())), tuple(_gaps(frame, quad, best)))

    def _spelt(self, best: npt.NDArray[np.int64]) -> str:
        kept = (best != 0) & (best != np.concatenate(([0], best[:-1])))
        return " ".join("".join(self._alphabet[index] for index in best[kept]).split())


def _groups(found: Mapping[int, Quad]) -> Iterator[list[_Piece]]:
    """The pieces of a few lines, whole lines after each other."""
    group: list[_Piece] = []
    for index, quad in found.items():
        group += _pieces(index, quad)
        if sum(piece.width for piece in group) >= AT_ONCE:
            yield group
            group = []
    if group:
        yield group


def _pieces(line: int, quad: Quad) -> list[_Piece]:
    length, high = size(quad)
    width = max(LINE, round(LINE * length / high))
    starts = range(0, max(1, width - SHARED), PIECE - SHARED)
    ends = [min(width, start + PIECE) for start in starts]
    return [_Piece(line, stretch(quad, a / width, b / width), b - a) for a, b in zip(starts, ends, strict=True)]


def _joined(answers: Sequence[_Answer]) -> _Answer:
    """The pieces of a line as one. Each ends and the next begins where both see no letter."""
    best, sure, space = answers[0]
    shared = SHARED // STEP
    for more, more_sure, more_space in answers[1:]:
        blank = np.flatnonzero((best[-shared:] == 0) & (more[:shared] == 0))
        middle = shared // 2
        cut = int(blank[np.abs(blank - middle).argmin()]) if blank.size else middle
        end = len(best) - shared + cut
        best, sure = np.concatenate((best[:end], more[cut:])), np.concatenate((sure[:end], more_sure[cut:]))
        space = np.concatenate((space[:end], more_space[cut:]))
    return _Answer(best, sure, space)


def _gaps(frame: RGB, quad: Quad, best: npt.NDArray[np.int64]) -> Iterator[Quad]:
    """Where nothing was read for GAP heights of the line and more, and ink as high as letters is there."""
    import cv2

    letters = [-2, *np.flatnonzero(best).tolist(), len(best) + 1]
    for before, after in pairwise(letters):
        start, end = before + 2, after - 1
        if (end - start) * STEP < GAP * LINE:
            continue
        gap = stretch(quad, start / len(best), end / len(best))
        gray = cv2.cvtColor(cv2.resize(crop(frame, gap), ((end - start) * STEP, LINE)), cv2.COLOR_RGB2GRAY)
        contrast = np.abs(gray.astype(np.float32) - np.median(gray))
        ink = contrast > max(24.0, 0.5 * float(np.percentile(contrast, 98)))
        rows = np.flatnonzero(ink.any(1))
        if rows.size and ink.any(0).mean() >= 0.4 and rows[-1] - rows[0] >= 0.3 * LINE:
            yield stretch(gap, 0, 1, rows[0] / LINE, (rows[-1] + 1) / LINE)


def _line(quad: Quad, text: str, confidence: float) -> TextLine:
    return TextLine(text=text, confidence=confidence, box=upright(quad), aspect=_aspect(quad), angle=turned_by(quad))


def _aspect(quad: Quad) -> float:
    length, high = size(quad)
    return length / high


def _confidence(lines: Sequence[TextLine]) -> float:
    """The mean over the letters."""
    letters = [max(1, len(line.text)) for line in lines]
    return sum(line.confidence * n for line, n in zip(lines, letters, strict=True)) / sum(letters)

"""What the text model says about the lines that were read."""

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, groupby

import numpy as np
import numpy.typing as npt

from kidsnanny.budget import leave_out, out_of_time
from kidsnanny.errors import Cause
from kidsnanny.inspection import ChannelSignals
from kidsnanny.records import Box, NotInspected, Signal, TextLine
from kidsnanny.stage2.normalisation import MAX_CHARS, is_record, latin, spelt_out
from kidsnanny.stage2.occlusion import carrying_words
from kidsnanny.stage2.stage2 import TextScorer
from kidsnanny.stage2.text_blocks import blocks

RUN_WORDS = 12
LINE_WEIGHT = 0.65
"""Of a line's own score, which may be that of half a sentence and lack what excuses it: enough for `review` if the
model is sure, never for `block`."""
_LEADS = re.compile(r"\b[a-z][a-z\d+.-]{1,30}:\S|\b[\w-]{1,63}\.[a-z][\w-]", re.IGNORECASE)
"""An address, with or without its scheme, or an order to a phone such as `tel:` or `WIFI:`."""
_CLOCK = re.compile(r"\d{1,2}[:.]\d{2}(\s?[ap]\.?m\.?)?|now", re.IGNORECASE)
"""The time beside a message."""
_NAME = re.compile(r"[\w .-]{1,20}[:：]\s*(?=\S)")
"""Who says a line of a chat."""
_STOPS = (".", "!", "?", "…")
_END = re.compile(r"(?<=[.!?…])\s+")
MAX_CHARACTERS = 5 * MAX_CHARS
"""Of one frame, with ligatures spelt out: lines past these are not scored. No picture legibly holds a fifth of it."""
EXCUSED = 0.15
"""A sentence counts only if the text that it stands in scores at least so much, and a line only if its paragraph does:
what reads badly by itself is excused by what stands around it, and a harmful line among others mostly still shows."""
UNSUPPORTED = 0.45
"""Of the score of a text in which no block, sentence or line scores EXCUSED: too little for `review`. Labels and
buttons of a screen, read as one text, are no sentence."""
LABEL, LONG_WORD = 3, 6
"""Fewer words, of so many letters if there are no spaces, are a label and no sentence: they count like a line."""
FULL = 0.8
"""A line that is at least so wide as the next one may go on in it although that begins with a capital: "to Dad about" /
"Saturday"."""
FAR = 4
"""Heights of a line: text that is so far below is a meme's second half rather than the next message."""
NAMED_FROM = 0.3
"""A signal from this score on names its words: no built-in policy's `review` is lower."""
SENTENCE, WORD, LARGE = 4, 5, 0.1
"""In a language that is not judged: words in a row that make a sentence, letters that make a word, and the share of the
frame from which text is large."""
SURE = 0.8
"""A line that was read with less confidence does not tell its language."""
GRACE = 2.0
"""Seconds for which text is scored although the picture's budget is used up: reading it took far longer."""

Scores = npt.NDArray[np.float32]
"""One for each of a model's categories, 0..1."""


def text_signals(model: TextScorer, lines: Sequence[TextLine]) -> ChannelSignals:
    """Score the text of each frame as a whole, which the model reads in windows, and if that leaves a doubt sentence by
    sentence and at a discount line by line (chats have no full stops); and that of all frames together (sentences may
    run over frames). Each score names the line that scores highest by itself.

    The language is identified passage by passage, so that a foreign one on an English page is not passed over. A frame
    with more than MAX_CHARS characters is scored in part, which is in `not_inspected`.

    Words written downwards are scored by themselves, and so is what a QR code says. If that makes a phone go somewhere
    or do something, it is in `not_inspected`: nothing is fetched, and an address alone does not say what is behind it.

    Args:
        model: scores texts.
        lines: in reading order, frame after frame.
    """
    start = time.perf_counter()
    frames = [frame for kind in ("line", "message", "layer") for frame in _by_frame(lines, kind)]
    columns = _by_frame(lines, "column")
    codes = [line for line in lines if line.kind == "code"]
    bounded = [_bounded(frame) for frame in frames]
    pieces = [piece for frame, _ in bounded for piece in _passages([frame])]
    alone = [*pieces, *([line] for line in codes if not (_LEADS.search(line.text) and " " not in line.text))]
    passages = [*alone, *columns, *(_passages([frame for frame, _ in bounded]) if len(frames) > 1 else ())]
    signals: list[Signal] = []
    unknown: dict[tuple[int, str], NotInspected] = {}
    for frame, length in bounded:
        most = MAX_CHARACTERS if frame[0].kind == "message" else MAX_CHARS
        if length > most:
            endless = f"more than {most:,} characters of text in one frame"
            unknown[frame[0].frame, endless] = _missed(endless, "length", frame[0].frame)
    for line in codes:
        if _LEADS.search(line.text):
            shown = line.text if len(line.text) <= 80 else f"{line.text[:79]}…"
            leads = f"where a QR code leads was not looked at: {shown}"
            unknown[line.frame, leads] = _missed(leads, "link", line.frame)
    for n, passage in enumerate(passages):
        if n and out_of_time() and time.perf_counter() - start > GRACE:
            leave_out(f"{len(passages) - n} of {len(passages)} passages of text were not scored")
            break
        signals += _signals(model, passage)
        if n >= len(alone):
            continue
        runs = list(_runs([line for line in passage if line.confirmed and line.confidence >= SURE]))
        for run, why in zip(runs, model.unknown_languages([_join(run) for run in runs]), strict=True):
            if why and not ((known := unknown.get((run[0].frame, why))) and not known.minor):
                minor = not _is_message(run) or (run[0].kind != "message" and is_record(_join(passage)))
                unknown[run[0].frame, why] = _missed(why, "language", run[0].frame, minor=minor)
    return ChannelSignals(
        looked_for={"text": model.categories},
        signals=tuple(signals),
        recall=getattr(model, "recall", {}),
        not_inspected=tuple(unknown.values()),
    )


def _missed(reason: str, cause: Cause, frame: int, *, minor: bool = False) -> NotInspected:
    return NotInspected(part="text", reason=reason, cause=cause, frame=frame, minor=minor)


def _by_frame(lines: Sequence[TextLine], kind: str) -> list[list[TextLine]]:
    of_kind = (line for line in lines if line.kind == kind)
    return [list(group) for _, group in groupby(of_kind, key=lambda line: line.frame)]


def _bounded(lines: Sequence[TextLine]) -> tuple[list[TextLine], int]:
    """The lines up to MAX_CHARACTERS, the first always, and how many characters those and the next one have."""
    length = 0
    for n, line in enumerate(lines):
        length += len(spelt_out(line.text)) + 1
        if n and length > MAX_CHARACTERS:
            return list(lines[:n]), length
    return list(lines), length - 1


def _passages(frames: Sequence[Sequence[TextLine]]) -> Iterator[list[TextLine]]:
    """The text of all frames, a line that stood in the frame before left out, in passages that a text model reads to
    their end; each begins in the last quarter of the one before."""
    passage: list[TextLine] = []
    length = fresh = 0
    before: set[str] = set()
    for frame in frames:
        for line in frame:
            if line.text in before:
                continue
            characters = len(spelt_out(line.text)) + 1
            if passage and length + characters > MAX_CHARS:
                yield passage
                passage, fresh = passage[-(-len(passage) * 3 // 4) :], 0
                length = sum(len(spelt_out(one.text)) + 1 for one in passage)
            passage.append(line)
            length += characters
            fresh += 1
        before = {line.text for line in frame}
    if fresh:
        yield passage


def _signals(model: TextScorer, lines: Sequence[TextLine]) -> list[Signal]:
    if lines[0].kind != "message":
        lines = _without_repeats(lines)
    text = _join(lines)
    whole: Scores = model.score([text])[0]
    if lines[0].kind != "message":
        whole = _in_picture(model, lines, whole)
    elif (doubts := whole >= EXCUSED).any():
        _, counted = _parts(model, list(_paragraphs(lines)))
        whole = np.where(doubts, np.maximum(whole, counted), whole)
    named = list(lines) if whole.max() >= NAMED_FROM else list(lines[:1])
    by_line = model.score([line.text for line in named])
    signals = []
    for column, category in enumerate(model.categories):
        highest = named[int(by_line[:, column].argmax())]
        score = float(whole[column])
        signals.append(
            Signal(
                category=category,
                channel="text",
                source="text",
                model=model.model_id.name,
                score=score,
                what=f"QR code: {highest.text}" if highest.kind == "code" else highest.text,
                words=carrying_words(model, highest.text, column) if score >= NAMED_FROM and not out_of_time() else (),
                frame=highest.frame,
                box=None if highest.kind == "message" else highest.box,
            )
        )
    return signals


def _without_repeats(lines: Sequence[TextLine]) -> list[TextLine]:
    """Without what stood twice before: a page of the same line says no more than two of them."""
    seen: Counter[str] = Counter()
    kept = []
    for line in lines:
        seen[line.text] += 1
        if seen[line.text] <= 2:
            kept.append(line)
    return kept


def _in_picture(model: TextScorer, lines: Sequence[TextLine], whole: Scores) -> Scores:
    """The score of a picture's text: of all of it, which some part must support; and of each block, like a message."""
    record = is_record(_join(lines))  # its lines do not go on in one another
    runs = [[[line]] for line in lines] if record else list(_runs_of_blocks(list(_blocks(lines))))
    units = [list(chain.from_iterable(run)) for run in runs]
    halves = [block for run in runs if len(run) > 1 for block in run]
    texts = [_join(part) for part in (*units, *halves)]
    scores = whole[None] if texts == [_join(lines)] else model.score(texts)
    labels = [_is_label(text, len(part)) for text, part in zip(texts, (*units, *halves), strict=True)]
    weights = [LINE_WEIGHT if label or n >= len(units) else 1.0 for n, label in enumerate(labels)]
    of_units = [list(_paragraphs(unit)) if len(run) == 1 else [unit] for run, unit in zip(runs, units, strict=True)]
    scores = _supported(model, scores, of_units)
    counted = (scores * np.array(weights, np.float32)[:, None]).max(axis=0)
    doubts = np.maximum(whole, counted) >= EXCUSED
    if not doubts.any():
        return whole
    everywhere = bool((whole >= EXCUSED).any())
    paragraphs = [
        part
        for parts, of_unit in zip(of_units, scores, strict=False)
        if everywhere or (of_unit >= EXCUSED).any()
        for part in parts
    ]
    anywhere, said = _parts(model, paragraphs)
    running = scores[[weight == 1.0 for weight in weights]].max(axis=0, initial=0)
    supported = np.maximum(anywhere, running) >= EXCUSED
    if lines[0].frame == lines[-1].frame:
        whole = np.where(supported, whole, UNSUPPORTED * whole)
        whole = whole * (LINE_WEIGHT if _is_label(_join(lines), len(lines)) else 1)
    return np.where(doubts, np.maximum(whole, np.maximum(counted, said)), whole)


def _supported(model: TextScorer, scores: Scores, of_units: Sequence[Sequence[Sequence[TextLine]]]) -> Scores:
    """The scores of units, less where a unit has several paragraphs and none of them scores EXCUSED by itself: labels
    and buttons that stand close together are no message."""
    mixed = [n for n, parts in enumerate(of_units) if len(parts) > 1 and (scores[n] >= EXCUSED).any()]
    alone = iter(model.score([_join(part) for n in mixed for part in of_units[n]]) if mixed else ())
    scores = scores.copy()
    for n in mixed:
        highest = np.stack([next(alone) for _ in of_units[n]]).max(axis=0)
        scores[n] *= np.where(highest >= EXCUSED, 1.0, UNSUPPORTED)
    return scores


def _parts(model: TextScorer, paragraphs: Sequence[Sequence[TextLine]]) -> tuple[Scores, Scores]:
    """The highest score by category of any sentence or line; and of those that count: the sentences, and at a discount
    the lines of paragraphs that do not excuse them."""
    as_text = bool(paragraphs) and paragraphs[0][0].kind == "message"
    sentences = [_END.split(_join(part)) for part in paragraphs]
    scores = iter(model.score([sentence for of_part in sentences for sentence in of_part]))
    by_line = iter(model.score([line.text for part in paragraphs for line in part]))
    anywhere = counted = np.zeros(len(model.categories), np.float32)
    for part, of_part in zip(paragraphs, sentences, strict=True):
        said = np.stack([next(scores) for _ in of_part])
        alone = np.stack([next(by_line) for _ in part]).max(axis=0)
        doubted = said.max(axis=0) >= EXCUSED
        anywhere = np.maximum(anywhere, np.maximum(said.max(axis=0), alone))
        weights = [1.0 if as_text or not _is_label(sentence) else LINE_WEIGHT for sentence in of_part]
        weighed = (said * np.array(weights, np.float32)[:, None]).max(axis=0)
        counted = np.maximum(counted, np.maximum(weighed, LINE_WEIGHT * alone * doubted))
    return anywhere, counted


def _is_label(text: str, lines: int = 1) -> bool:
    """Whether words stand by themselves, as on buttons and shop signs. An OCR engine may lose spaces, and some scripts
    have none."""
    letters = [letter for letter in text if letter.isalpha()]
    others = sum(not latin(letter) for letter in letters)
    words = max(sum(map(_is_word, text.split())), (len(letters) - others) / LONG_WORD + others / 2)
    return words < max(LABEL, 2 * lines)


def _paragraphs(lines: Sequence[TextLine]) -> Iterator[list[TextLine]]:
    """Lines that go on in one another. A line goes on in the next one if it has no full stop at its end, the next
    begins small or the line is about as wide, and there is less than a line's height between them.
    """
    passage: list[TextLine] = []
    for line in lines:
        before = passage[-1] if passage else None
        if before and (
            before.text.endswith(_STOPS)
            or not (line.text[:1].islower() or _width(before) >= FULL * _width(line) > 0)
            or line.frame != before.frame
            or _apart(before.box, line.box)
        ):
            yield passage
            passage = []
        passage.append(line)
    yield passage


def _blocks(lines: Sequence[TextLine]) -> Iterator[list[TextLine]]:
    """The blocks of each frame, without clocks; the turns of a chat that names its speakers are a block each."""
    for _, frame in groupby(lines, key=lambda line: line.frame):
        of_frame = list(frame)
        for block in blocks([line for line in of_frame if not _CLOCK.fullmatch(line.text)] or of_frame):
            yield from _turns(block)


def _turns(block: list[TextLine]) -> Iterator[list[TextLine]]:
    """The block, cut before each line that begins with a name and a colon if there are several; without the names."""
    names = [_NAME.match(line.text) for line in block]
    if sum(map(bool, names)) < 2:
        yield block
        return
    turn: list[TextLine] = []
    for line, name in zip(block, names, strict=True):
        if name and turn:
            yield turn
            turn = []
        turn.append(line.model_copy(update={"text": line.text[name.end() :]}) if name else line)
    yield turn


def _runs_of_blocks(found: Sequence[list[TextLine]]) -> Iterator[list[list[TextLine]]]:
    """Blocks of which each goes on in the next, as from column to column, or above and below in a meme: one ends
    without a full stop, the next begins with a small letter or both are capitals, and it is not close below.
    """
    run: list[list[TextLine]] = []
    for block in found:
        if run and not _goes_on(run[-1], block):
            yield run
            run = []
        run.append(block)
    if run:
        yield run


def _goes_on(before: Sequence[TextLine], after: Sequence[TextLine]) -> bool:
    first, second = _join(before), _join(after)
    last, following = before[-1].box, after[0].box
    gap, high = following.y0 - last.y1, following.y1 - following.y0
    return (
        before[0].frame == after[0].frame
        and not first.endswith(_STOPS)
        and (second[:1].islower() or (first.isupper() and second.isupper()))
        and not 0 <= gap < FAR * high
    )


def _apart(above: Box, below: Box) -> bool:
    return below.y0 - above.y1 > below.y1 - below.y0


def _width(line: TextLine) -> int:
    return line.box.x1 - line.box.x0


def _is_message(run: Sequence[TextLine]) -> bool:
    """Whether it says something, and is no sign, label or name: it came as text, is large in the frame, has SENTENCE
    words in a row, or WORD different letters other than Latin ones, since some scripts have no spaces."""
    if run[0].kind == "message" or sum(line.share or 0.0 for line in run) >= LARGE:
        return True
    other = {letter for line in run for letter in line.text if letter.isalpha() and not latin(letter)}
    sentences = (_join(part).split() for part in _paragraphs(run))
    rows = (len(list(row)) for words in sentences for is_word, row in groupby(words, _is_word) if is_word)
    return len(other) >= WORD or max(rows, default=0) >= SENTENCE


def _is_word(text: str) -> bool:
    return any(map(str.isalpha, text)) and not any(map(str.isdigit, text))


def _join(lines: Sequence[TextLine]) -> str:
    return " ".join(line.text for line in lines)


def _runs(lines: Sequence[TextLine]) -> Iterator[list[TextLine]]:
    """Consecutive lines, cut into runs of at least RUN_WORDS words where there are as many."""
    run: list[TextLine] = []
    words = 0
    for line in lines:
        run.append(line)
        words += len(line.text.split())
        if words >= RUN_WORDS:
            yield run
            run, words = [], 0
    if run:
        yield run

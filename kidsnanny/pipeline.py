"""A picture in, a verdict out.

    picture ─ images ─┬─ stage1: detections ──── serialize ─┐
                      └─ stage2.ocr: lines of text ─────────┴─ Evidence ─ text model ─┐
                              detections ─ weigh ─────────────────────────────────────┴─ policy.decide ─ Verdict

Nothing here raises because of a picture: what cannot be looked at is in the verdict's `not_inspected`, and such a
verdict is never `safe`.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Literal, Self, overload

import numpy as np

from kidsnanny import __version__
from kidsnanny.errors import InputError
from kidsnanny.images import DEFAULT_LIMITS, RGB, Frame, Limits, Picture, Source, open_picture
from kidsnanny.policy import Policy, decide, fuse, unreadable_text
from kidsnanny.profiles import DEFAULT
from kidsnanny.profiles import profile as named_profile
from kidsnanny.records import (
    Channel,
    Detection,
    Evidence,
    NotInspected,
    Provenance,
    Reason,
    TextLine,
    Thresholds,
    Verdict,
    VisualFindings,
)
from kidsnanny.stage1 import RANDOM, Screener, serialize
from kidsnanny.stage2 import Stage2, weigh_text
from kidsnanny.taxonomy import CATEGORIES, Category

BATCH_FRAMES = 8
BATCH_PIXELS = 16_000_000


@dataclass(slots=True, eq=False)
class _Case:
    """One picture on its way through the pipeline."""

    name: str
    picture: Picture | None = None
    size: tuple[int, int] = (0, 0)
    screened: int = 0
    read: int = 0
    last_read: dict[int, RGB] = field(default_factory=dict)
    detections: list[Detection] = field(default_factory=list)
    lines: list[TextLine] = field(default_factory=list)
    not_inspected: list[NotInspected] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    pending: int = 0
    decoded: bool = False
    verdict: Verdict | None = None
    """Known from the cache."""


class Pipeline:
    """Looks at pictures on this machine and says whether a child may see them.

    Args:
        profile: a named composition; `embedded` needs no GPU, no network and no torch.
        stage1: another Stage 1 than the profile's.
        stage2: another Stage 2 than the profile's; None is the paper's *vision-only* regime.
        policy: `child`, `preteen`, `teen`, the path of a TOML file, or a Policy.
        limits: what the image door lets in.
        cache: how many verdicts to keep in memory, for pictures that come again byte for byte; they hold the text that
            was read. Verdicts with something not inspected are not kept.

    A pipeline may be used from several threads. Everything is loaded here, so that a missing part shows at once.

    Raises:
        ComponentError: a part of the profile cannot be built.
        PolicyError: the policy cannot be loaded.
    """

    def __init__(
        self,
        profile: str = DEFAULT,
        *,
        stage1: Screener | None = None,
        stage2: Stage2 | Literal["profile"] | None = "profile",
        policy: str | Path | Policy = "preteen",
        limits: Limits = DEFAULT_LIMITS,
        cache: int = 0,
    ) -> None:
        parts = named_profile(profile)
        self.policy = policy if isinstance(policy, Policy) else Policy.load(policy)
        self.stage1 = parts.stage1() if stage1 is None else stage1
        self.stage2 = parts.stage2() if stage2 == "profile" else stage2
        self._limits = limits
        self._cache: OrderedDict[str, Verdict] = OrderedDict()
        self._cache_size = cache
        self._cache_lock = Lock()
        engines = [self.stage1, *(self.stage2 or ())]
        self._locks = {id(engine): nullcontext() if engine.reentrant else Lock() for engine in engines}

    @overload
    def __call__(self, source: Source) -> Verdict: ...
    @overload
    def __call__(self, source: list[Any] | tuple[Any, ...]) -> list[Verdict]: ...
    def __call__(self, source: Source | list[Any] | tuple[Any, ...]) -> Verdict | list[Verdict]:
        """Check one picture (a path, bytes, a binary file, a PIL image, an (H, W, 3) uint8 RGB array), or a list.

        Returns:
            One verdict, or a list in the order given. A picture that cannot be looked at gets a verdict like any other.
        """
        if isinstance(source, list | tuple):
            return list(self.stream(source))
        return next(self.stream([source]))

    def warm_up(self) -> Self:
        """Look at an empty picture, so that the first real one does not pay for first-time work."""
        self(np.full((720, 1280, 3), 255, np.uint8))
        return self

    async def acheck(self, source: Source) -> Verdict:
        """`pipeline(source)` in a thread, for an event loop."""
        import asyncio

        return await asyncio.to_thread(self.__call__, source)

    def stream(self, sources: Iterable[Source]) -> Iterator[Verdict]:
        """Verdicts one after the other, in the order of `sources`, holding only a batch of frames in memory."""
        cases: deque[_Case] = deque()
        for batch in _batches(self._decode(sources, cases)):
            self._screen(batch)
            for case, frame in batch:
                self._read(case, frame)
                case.pending -= 1
            while cases and cases[0].decoded and not cases[0].pending:
                yield self._judge(cases.popleft())
        yield from (self._judge(case) for case in cases)

    def _decode(self, sources: Iterable[Source], cases: deque[_Case]) -> Iterator[tuple[_Case, Frame]]:
        for source in sources:
            case = _Case(name=str(source) if isinstance(source, str | Path) else type(source).__name__)
            cases.append(case)
            try:
                with _timed([case], "decode"):
                    case.picture = open_picture(source, self._limits)
                case.name = case.picture.name
                if known := self._recall(case):
                    case.verdict = known
                    case.decoded = True
                    continue
                for frame in _timed_frames(case, case.picture):
                    height, width = frame.rgb.shape[:2]
                    case.size = max(case.size, (width, height), key=lambda size: size[0] * size[1])
                    case.pending += 1
                    yield case, frame
                case.not_inspected += case.picture.skipped
            except Exception as error:  # an InputError says all there is to say; anything else must not lose the batch
                reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
                case.not_inspected.append(NotInspected(part="picture", reason=reason))
            case.decoded = True

    def _screen(self, batch: Sequence[tuple[_Case, Frame]]) -> None:
        try:
            with self._exclusive(self.stage1), _timed([case for case, _ in batch], "stage1"):
                seen = self.stage1.screen([frame.rgb for _, frame in batch])
                answered = list(zip(batch, seen, strict=True))
        except Exception as error:
            if len(batch) > 1:  # one bad frame must not cost the others
                for one in batch:
                    self._screen([one])
                return
            ((case, frame),) = batch
            case.not_inspected.append(_failed("image", error, frame.index))
            return
        for (case, frame), detections in answered:
            case.screened += 1
            case.detections += [found.model_copy(update={"frame": frame.index}) for found in detections]

    def _read(self, case: _Case, frame: Frame) -> None:
        if self.stage2 is None or not _changed(case.last_read.get(frame.view), frame.rgb):
            return
        case.last_read[frame.view] = frame.rgb
        with self._exclusive(self.stage2.ocr), _timed([case], "ocr"):
            try:
                lines = self.stage2.ocr.read(frame.rgb)
            except Exception as error:
                case.not_inspected.append(_failed("text", error, frame.index))
                return
        case.read += 1
        known = {(line.frame, line.text) for line in case.lines}  # the second view of a transparent frame repeats most
        new = [line.model_copy(update={"frame": frame.index}) for line in lines]
        case.lines += [line for line in new if (frame.index, line.text) not in known]

    def _recall(self, case: _Case) -> Verdict | None:
        """The verdict on the same bytes, under this picture's name, if it is kept."""
        with self._cache_lock:
            if not case.picture or not (known := self._cache.get(case.picture.sha256)):
                return None
            self._cache.move_to_end(case.picture.sha256)
        return known.model_copy(update={"source": case.name, "timings": dict(case.timings)})

    def _keep(self, verdict: Verdict) -> Verdict:
        digest = verdict.provenance.sha256
        if self._cache_size and digest and not verdict.not_inspected:
            with self._cache_lock:
                self._cache[digest] = verdict
                if len(self._cache) > self._cache_size:
                    self._cache.popitem(last=False)
        return verdict

    def _judge(self, case: _Case) -> Verdict:
        if case.verdict:
            return case.verdict
        findings = self._findings(case)
        channels: dict[Channel, tuple[Category, ...]] = {}
        reasons: list[Reason] = []
        not_inspected = list(case.not_inspected)
        if findings:
            channels["image"] = tuple(frozenset[Category]().union(*self.stage1.eyes.values()))
            reasons += self.stage1.weigh(findings)
            if random := [model for model in self.stage1.models if model.endswith(RANDOM)]:
                guess = f"the weights of {', '.join(random)} are random, so what it says means nothing"
                not_inspected.append(NotInspected(part="image", reason=guess))
        if self.stage2 and case.read:
            not_inspected += unreadable_text(self.policy, case.lines, case.size[0] * case.size[1])
            lines = tuple(line for line in case.lines if line.confidence >= self.policy.text.noise)
            evidence = Evidence(findings_text=serialize.render(findings) if findings else "", lines=lines)
            with self._exclusive(self.stage2.text_model), _timed([case], "text"):
                try:
                    weighed = weigh_text(self.stage2.text_model, evidence)
                except Exception as error:
                    not_inspected.append(_failed("text", error, None))
                else:
                    channels["text"] = self.stage2.text_model.categories
                    reasons += weighed.reasons
                    not_inspected += weighed.not_inspected
        return self._keep(self._verdict(case, findings, channels, reasons, not_inspected))

    def _findings(self, case: _Case) -> VisualFindings | None:
        if not case.screened:
            return None
        width, height = case.size
        return VisualFindings(
            width=width,
            height=height,
            frames=case.screened,
            models=self.stage1.models,
            detections=tuple(case.detections),
        )

    def _verdict(
        self,
        case: _Case,
        findings: VisualFindings | None,
        channels: dict[Channel, tuple[Category, ...]],
        reasons: list[Reason],
        not_inspected: list[NotInspected],
    ) -> Verdict:
        coverage = {c: by for c in CATEGORIES if (by := tuple(k for k, covered in channels.items() if c in covered))}
        scores = {
            category: {channel: self._score(category, channel, reasons) for channel in by}
            for category, by in coverage.items()
        }
        decision = decide(self.policy, scores, not_inspected)
        rules = self.policy.categories
        flagged = (reason for reason in reasons if reason.score >= rules[reason.category].review)
        return Verdict(
            source=case.name,
            label=decision.label,
            action=decision.action,
            scores={category: score.final for category, score in decision.detail.items()},
            detail=decision.detail,
            reasons=tuple(sorted(flagged, key=lambda reason: -reason.score)),
            findings=findings,
            text=tuple(case.lines),
            not_inspected=tuple(not_inspected),
            coverage=coverage,
            timings={stage: round(ms, 3) for stage, ms in case.timings.items()},
            provenance=Provenance(
                kidsnanny=__version__,
                policy=self.policy.version,
                models=self._models(),
                thresholds={c: Thresholds(review=rules[c].review, block=rules[c].block) for c in coverage},
                sha256=case.picture.sha256 if case.picture else None,
            ),
        )

    def _score(self, category: Category, channel: Channel, reasons: Sequence[Reason]) -> float:
        mine = [reason for reason in reasons if reason.category == category and reason.channel == channel]
        if channel == "image":
            looked = [kind for kind, categories in self.stage1.eyes.items() if category in categories]
            return fuse(self.policy, looked, mine)
        return max((reason.score for reason in mine), default=0.0)

    def _models(self) -> dict[str, str]:
        models = {"stage1": "+".join(self.stage1.models)}
        if self.stage2:
            models |= {"ocr": self.stage2.ocr.name, "text_model": self.stage2.text_model.name}
        return models

    def _exclusive(self, engine: object) -> AbstractContextManager[object]:
        return self._locks[id(engine)]


@contextmanager
def _timed(cases: Sequence[_Case], stage: str) -> Iterator[None]:
    """Book the time of the block, in equal shares, on the cases (one may stand in there several times)."""
    start = time.perf_counter()
    try:
        yield
    finally:
        share = (time.perf_counter() - start) * 1e3 / len(cases)
        for case in cases:
            case.timings[stage] = case.timings.get(stage, 0.0) + share


def _timed_frames(case: _Case, picture: Picture) -> Iterator[Frame]:
    frames = picture.frames()
    while True:
        with _timed([case], "decode"):
            frame = next(frames, None)
        if frame is None:
            return
        yield frame


def _failed(part: Literal["image", "text"], error: Exception, frame: int | None) -> NotInspected:
    return NotInspected(part=part, reason=f"the component failed ({type(error).__name__}: {error})", frame=frame)


def _batches(frames: Iterable[tuple[_Case, Frame]]) -> Iterator[list[tuple[_Case, Frame]]]:
    """Consecutive frames, a few at a time, bounded in number and pixels."""
    batch: list[tuple[_Case, Frame]] = []
    pixels = 0
    for case, frame in frames:
        batch.append((case, frame))
        pixels += frame.rgb.shape[0] * frame.rgb.shape[1]
        if len(batch) == BATCH_FRAMES or pixels >= BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _changed(before: RGB | None, now: RGB) -> bool:
    """Whether anything that could be a letter changed: eight pixels or more, by an eighth of the range or more."""
    if before is None or before.shape != now.shape:
        return True
    difference = np.maximum(before, now) - np.minimum(before, now)
    return int(np.count_nonzero(difference.max(axis=2) >= 32)) >= 8

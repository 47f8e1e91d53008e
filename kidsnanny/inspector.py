"""From sources to inspections: decoding, Stage 1 in batches, OCR and the text model, and asking the judge.

Nothing here raises because of a picture: what cannot be looked at is in the inspection's `not_inspected`.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from traceback import clear_frames
from typing import Any, Literal, Self

from kidsnanny import __version__, messages
from kidsnanny.budget import Budget
from kidsnanny.decision import decide, flagged, judge_wanted
from kidsnanny.engines import exclusive
from kidsnanny.errors import Cause, ComponentError, InputError
from kidsnanny.faults import in_words
from kidsnanny.inspection import (
    MIN_CONFIDENCE,
    ChannelSignals,
    Inspection,
    TextForJudge,
    legible,
)
from kidsnanny.inspection_cache import InspectionCache, cache_key
from kidsnanny.inspection_job import (
    Job,
    batches,
    changed,
    failed,
    graph_losses,
    merged,
    named,
    opened,
    timed,
    timed_frames,
    unseen,
)
from kidsnanny.media.gate import slots
from kidsnanny.media.limits import checked_limits
from kidsnanny.media.loader import DEFAULT_LIMITS, Frame, Limits, Source, checked_source, open_picture
from kidsnanny.messages import Text
from kidsnanny.policy import Policy
from kidsnanny.profiles.profile import DEFAULT, Profile
from kidsnanny.records import CAVEATS, Detection, ModelId, NotInspected, SceneGraph, TextLine, VisualFindings
from kidsnanny.stage1 import findings_text
from kidsnanny.stage1.stage1 import Stage1
from kidsnanny.stage2.codes import read_codes, without_modules
from kidsnanny.stage2.columns import columns
from kidsnanny.stage2.judge.opinion import ask, since
from kidsnanny.stage2.judge.prompt import Question
from kidsnanny.stage2.stage2 import Stage2
from kidsnanny.stage2.text_signals import text_signals
from kidsnanny.stage2.untrusted import clean, suspicion
from kidsnanny.taxonomy import ordered


class Inspector:
    """Looks at pictures and writes down what is in them, whatever the policy.

    Args:
        profile: a built-in profile's name, or the path of a TOML file.
        stage1: another Stage 1 than the profile's.
        stage2: another Stage 2 than the profile's; None is the paper's *vision-only* regime (arXiv 2603.16181).
        limits: how large a picture may be.
        cache: how many inspections to keep in memory, for pictures that come again; they hold the text that was read.
            Those with something not inspected are not kept.
        min_confidence: an OCR line with a lower confidence, from 0 to below 1, is taken for noise.

    An inspector may be used from several threads. Everything is loaded here, so that a missing part shows at once.

    Raises:
        ComponentError: a part of the profile cannot be built.
        TypeError: an argument is of another type.
        ValueError: a number is out of its range.
    """

    def __init__(
        self,
        profile: str | Path = DEFAULT,
        *,
        stage1: Stage1 | None = None,
        stage2: Stage2 | Literal["profile"] | None = "profile",
        limits: Limits = DEFAULT_LIMITS,
        cache: int = 0,
        min_confidence: float = MIN_CONFIDENCE,
    ) -> None:
        composition = Profile.load(profile)
        self.stage1 = composition.build_stage1() if stage1 is None else stage1
        self.stage2 = composition.build_stage2() if stage2 == "profile" else stage2
        if not hasattr(self.stage1, "screen"):
            raise TypeError(f"stage1 is a {type(stage1).__name__}; expected a Stage1, such as Yolo or Ensemble.")
        if not (self.stage2 is None or isinstance(self.stage2, Stage2)):
            raise TypeError(f"stage2 is a {type(stage2).__name__}; expected a Stage2 or None.")
        self._check(cache, min_confidence)
        limits = checked_limits(limits)
        seconds = composition.seconds if limits.seconds is None else limits.seconds
        self.limits = limits._replace(seconds=seconds)
        self._seconds = seconds
        self._closed = False
        handed_over = stage1 is not None or stage2 not in ("profile", None)
        settings: dict[str, Any] = {"limits": limits, "cache": cache, "min_confidence": min_confidence}
        self._recipe = None if handed_over else partial(type(self), profile, stage2=stage2, **settings)
        self.min_confidence = min_confidence
        self._cache = InspectionCache(cache)

    @staticmethod
    def _check(cache: object, min_confidence: object) -> None:
        if isinstance(cache, bool) or not isinstance(cache, int) or cache < 0:
            raise ValueError(f"cache is {cache!r}; expected a whole number of inspections, 0 for none.")
        if isinstance(min_confidence, bool) or not (
            isinstance(min_confidence, int | float) and 0 <= min_confidence < 1
        ):
            raise ValueError(f"min_confidence is {min_confidence!r}; expected a number from 0 to below 1.")

    @property
    def models(self) -> dict[str, tuple[ModelId, ...]]:
        """Part of the pipeline -> its models."""
        models = {"stage1": self.stage1.models}
        if self.stage2:
            models |= {"ocr": (self.stage2.ocr.model_id,), "text_model": (self.stage2.text_model.model_id,)}
            models |= {"judge": (self.stage2.judge.model_id,)} if self.stage2.judge else {}
        return models

    def inspect(self, source: Source, *, name: str | None = None) -> Inspection:
        """Look at one picture. The judge, which needs a policy's age group, is not asked: see `consult`.

        Args:
            source: the picture.
            name: what it is called, by default its path or `sha256:…`.

        Raises:
            RuntimeError: the inspector was closed.
            TypeError: `source` is of a type that no picture has, or `name` is no str.
        """
        return next(self.stream([checked_source(source)], names=None if name is None else [name]))

    def inspect_text(self, text: Text, *, name: str | None = None) -> Inspection:
        """Judge a message, or a conversation turn by turn and as a whole; `name` as in `inspect`.

        Raises:
            ComponentError: there is no Stage 2.
            RuntimeError: the inspector was closed.
            TypeError: `text` is neither a str nor a list of turns.
        """
        self._check_open()
        if self.stage2 is None:
            raise ComponentError(
                "There is no Stage 2 (stage2=None), so text cannot be judged; leave that argument out."
            )
        said = messages.turns(text)
        facts = messages.media(said)
        name = name or f"sha256:{facts.sha256}"
        job = Job(name=name, budget=Budget(self._seconds), opened=facts, frames=len(said), read=1)
        job.lines = list(messages.lines(said))
        if not job.lines:
            job.not_inspected.append(NotInspected(part="text", reason="it is empty", cause="empty"))
        found = self._finished(job)
        models = {part: of_part for part, of_part in self.models.items() if part in ("text_model", "judge")}
        return found.model_copy(update={"models": models, "text_signals": messages.by_turn(found.text_signals, said)})

    def stream(self, sources: Iterable[Source], *, names: Iterable[str] | None = None) -> Iterator[Inspection]:
        """Inspections in the order of `sources`, called by `names`, holding only a batch of frames in memory.

        Raises:
            RuntimeError: the inspector was closed.
            TypeError: `sources` is one path or one file's bytes, or a name is no str.
            ValueError: there are more or fewer names than sources.
        """
        self._check_open()
        if isinstance(sources, str | bytes | Path):
            raise TypeError(f"sources is a {type(sources).__name__}; expected several, such as a list of paths.")
        jobs: deque[Job] = deque()
        for batch in batches(self._decode(named(sources, names), jobs)):
            if batch:
                with slots.one():
                    self._screen(batch)
            while batch:  # a frame that has been read need not wait with those who take the inspections
                job, frame = batch.pop(0)
                with slots.one():
                    self._read(job, frame)
                job.pending -= 1
                del frame
            while jobs and jobs[0].decoded and not jobs[0].pending:
                yield self._finished(jobs.popleft())
        while jobs:
            yield self._finished(jobs.popleft())

    def consult(self, inspection: Inspection, policy: Policy) -> Inspection:
        """Ask the judge, if there is one and the policy wants it asked; else the inspection as it is.

        The question holds the policy's age group, which is the one place where a policy reaches into an inspection. A
        judge that gives no answer leaves an opinion with the reason.
        """
        judge = self.stage2.judge if self.stage2 else None
        if not (judge and judge_wanted(inspection, policy)):
            return inspection
        text = clean(line.quoted for line in inspection.lines)
        question = Question(policy.ages, inspection.findings_text, text)
        known = inspection.opinion(policy.ages)
        if known is None or known.error:
            known, took = ask(judge, question, inspection.question(policy.ages))
            inspection = inspection.with_opinion(known, judge=took)
        over = () if known.error else flagged(decide(inspection, policy))
        if over and judge.explains and over != known.explained:
            start = time.perf_counter()
            with suppress(Exception):  # a sentence less; the verdict stands
                sentence = judge.explain(question, over).sentence
                known = known.model_copy(update={"explained": over, "explanation": sentence})
            inspection = inspection.with_opinion(known, explanation=since(start))
        self._cache.keep(inspection)
        return inspection

    def close(self) -> None:
        """Close what the engines hold: connections, worker processes, threads. It may be repeated."""
        self._closed = True
        engines = [self.stage1, *(self.stage2 or ())]
        for engine in engines:
            if callable(close := getattr(engine, "close", None)):
                close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        if self._recipe is None:
            raise TypeError(
                "A stage1 or stage2 that was handed over cannot be pickled; build the pipeline in each process, for "
                "instance in the initializer of a process pool, or describe its models in a profile."
            )
        return self._recipe, ()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("The pipeline or its inspector was closed; build a new one, or close it later.")

    def _decode(
        self, sources: Iterable[tuple[Source, str | None]], jobs: deque[Job]
    ) -> Iterator[tuple[Job, Frame | None]]:
        for source, name in sources:
            known = str(source) if isinstance(source, str | Path) else type(source).__name__
            job = Job(name=name or known, budget=Budget(self._seconds))
            jobs.append(job)
            try:
                with timed([job], "decode"):
                    picture = open_picture(source, self.limits, name)
                    models = {part: of_part for part, of_part in self.models.items() if part != "judge"}
                    job.key = cache_key(picture, models, self.limits, self.min_confidence)
                job.name, job.opened = picture.name, opened(picture)
                job.known = self._cache.recall(job)
                for frame in () if job.known else timed_frames(job, picture):
                    height, width = frame.rgb.shape[:2]
                    job.size = max(job.size, (width, height), key=lambda size: size[0] * size[1])
                    job.frames = frame.index + 1
                    job.pending += 1
                    yield job, frame
                job.not_inspected += picture.skipped
                job.remarks += picture.remarks
            except Exception as error:  # none may lose the batch
                cause: Cause = error.cause if isinstance(error, InputError) else "failure"
                job.not_inspected.append(NotInspected(part="picture", reason=in_words(error), cause=cause))
                clear_frames(error.__traceback__)  # one in a circle of references would keep the picture
            job.decoded = True
            if not job.frames:
                yield job, None

    def _screen(self, batch: Sequence[tuple[Job, Frame]]) -> None:
        try:
            with exclusive(self.stage1), timed([job for job, _ in batch], "stage1"):
                seen = self.stage1.screen([frame.rgb for _, frame in batch])
                answered = list(zip(batch, seen, strict=True))
        except Exception as error:
            if len(batch) > 1:  # one bad frame must not cost the others
                for one in batch:
                    self._screen([one])
                return
            ((job, frame),) = batch
            job.not_inspected.append(failed("image", error, frame.index))
            return
        for (job, frame), found in answered:
            job.leave("image", frame.index)
            job.screened += 1
            job.seen += [one.model_copy(update={"frame": frame.index}) for one in found]

    def _read(self, job: Job, frame: Frame) -> None:
        if self.stage2 is None:
            return
        if not changed(job.last_read.get(frame.view), frame.rgb):
            job.add_lines(unseen(frame.layer, ()), frame)
            return
        if job.read and job.budget.over:
            job.add_lines(unseen(frame.layer, ()), frame)
            late = f"not read: the picture's {job.budget.seconds:g} s are used up"
            job.not_inspected.append(NotInspected(part="text", reason=late, cause="time", frame=frame.index))
            return
        if not frame.alone:
            job.last_read[frame.view] = frame.rgb
        lines: list[TextLine] = []
        with exclusive(self.stage2.ocr), timed([job], "ocr"):
            try:
                lines = self.stage2.ocr.read(frame.rgb)
                read = True
            except Exception as error:
                job.not_inspected.append(failed("text", error, frame.index))
                read = False
        with timed([job], "ocr"):
            try:
                codes, missed = read_codes(frame.rgb)
                job.not_inspected += [
                    NotInspected(part="text", reason=why, cause="unread", frame=frame.index) for why in missed
                ]
                lines = [*without_modules(lines, codes), *codes]
            except Exception as error:
                job.not_inspected.append(failed("text", error, frame.index))
        lines += columns(lines)
        lines += unseen(frame.layer, lines)
        job.leave("text", frame.index)
        job.read += read or bool(lines)
        job.add_lines(lines, frame)

    def _finished(self, job: Job) -> Inspection:
        job.last_read.clear()
        if job.known:
            return job.known
        findings = self._findings(job)
        image, written = self._image_signals(findings) if findings else (None, "")
        judge = self.stage2.judge if self.stage2 else None
        lines = legible(job.lines, self.min_confidence)
        text = self._text_signals(job, lines) if job.read else None
        inspection = Inspection(
            source=job.name,
            key=job.key,
            media=job.media(),
            findings=findings,
            findings_text=written,
            text=tuple(job.lines),
            min_confidence=self.min_confidence,
            image_signals=image,
            text_signals=text,
            judge=judge.model_id if judge else None,
            text_for_judge=_for_judge([line.quoted for line in lines]) if judge else TextForJudge(),
            not_inspected=tuple(job.not_inspected),
            remarks=tuple(job.remarks),
            models=self.models,
            timings={stage: round(ms, 3) for stage, ms in job.timings.items()},
            kidsnanny=__version__,
        )
        self._cache.keep(inspection)
        return inspection

    def _findings(self, job: Job) -> VisualFindings | None:
        if not job.screened:
            return None
        width, height = job.size
        return VisualFindings(
            width=width,
            height=height,
            frames=job.screened,
            models=self.stage1.models,
            detections=tuple(found for found in job.seen if isinstance(found, Detection)),
            graphs=merged(found for found in job.seen if isinstance(found, SceneGraph)),
        )

    def _image_signals(self, findings: VisualFindings) -> tuple[ChannelSignals, str]:
        """What Stage 1 says of each category, and its findings as text."""
        signals = self.stage1.signals(findings)
        missed = [graph_losses(graph) for graph in findings.graphs if graph.dropped]
        for caveat, why in CAVEATS.items():
            if marked := [str(model) for model in self.stage1.models if model.caveat == caveat]:
                reason = f"the weights of {', '.join(marked)} {why}"
                missed.append(NotInspected(part="image", reason=reason, cause="untrained"))
        looked_for = {kind: ordered(categories) for kind, categories in self.stage1.categories.items()}
        said = ChannelSignals(looked_for=looked_for, signals=tuple(signals), not_inspected=tuple(missed))
        return said, findings_text.render(findings, signals)

    def _text_signals(self, job: Job, lines: Sequence[TextLine]) -> ChannelSignals:
        assert self.stage2
        model = self.stage2.text_model
        with exclusive(model), timed([job], "text"):
            try:
                signals = text_signals(model, lines)
            except Exception as error:
                signals = ChannelSignals(looked_for={}, not_inspected=(failed("text", error, None),))
        job.leave("text", None)
        return signals


def _for_judge(lines: Sequence[str]) -> TextForJudge:
    return TextForJudge(addressed_to_model=suspicion(lines), cut=clean(lines).cut)

"""A picture in, a verdict out.

    picture ─ images ─┬─ stage2.ocr: lines of text ─────────────────────┬─ Evidence ─┬─ text model ─┐
                      └─ stage1: detections, graphs ─ weigh ┬ serialize ┘            └─ judge ──────┤
                                                            └ reasons ──────────────────────────────┴─ decide ─ Verdict

Nothing here raises because of a picture: what cannot be looked at is in the verdict's `not_inspected`, and such a
verdict is never `safe`.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from threading import Lock
from typing import Any, Literal, Self, overload

import numpy as np

from kidsnanny import __version__
from kidsnanny.case import Case, Weighed, batches, changed, failed, merged, timed, timed_frames, unread
from kidsnanny.errors import InputError, JudgeError
from kidsnanny.media.loader import DEFAULT_LIMITS, Frame, Limits, Source, open_picture
from kidsnanny.policy import Policy, decide, fuse, judge_wanted, unreadable_text
from kidsnanny.profiles.profiles import DEFAULT
from kidsnanny.profiles.profiles import profile as named_profile
from kidsnanny.records import (
    Channel,
    Detection,
    Evidence,
    NotInspected,
    Provenance,
    Reason,
    SceneGraph,
    Thresholds,
    Verdict,
    VisualFindings,
)
from kidsnanny.stage1 import findings_text
from kidsnanny.stage1.stage1 import CAVEATS, Stage1
from kidsnanny.stage2.judge.prompt import Question
from kidsnanny.stage2.ocr.ocr import Ocr
from kidsnanny.stage2.stage2 import Stage2, TextScorer, weigh_text
from kidsnanny.stage2.untrusted import clean, suspicion
from kidsnanny.taxonomy import CATEGORIES, Category

WAITING = 64
"""Pictures that may wait for the judge, or for the one before them, while the next are looked at."""


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
        stage1: Stage1 | None = None,
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
        engines: list[Stage1 | Ocr | TextScorer] = [self.stage1]
        if self.stage2:
            engines += [self.stage2.ocr, self.stage2.text_model]
        self._judge = self.stage2.judge if self.stage2 else None
        self._judging = ThreadPoolExecutor(self._judge.in_flight, "judge") if self._judge else None
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
        """Verdicts one after the other, in the order of `sources`, holding only a batch of frames in memory. While the
        judge thinks about some pictures, the next ones are looked at."""
        cases: deque[Case] = deque()
        waiting: deque[Future[Verdict]] = deque()
        for batch in batches(self._decode(sources, cases)):
            self._screen(batch)
            for case, frame in batch:
                self._read(case, frame)
                case.pending -= 1
            while cases and cases[0].decoded and not cases[0].pending:
                waiting.append(self._conclude(cases.popleft()))
            while waiting and (waiting[0].done() or len(waiting) > WAITING):
                yield waiting.popleft().result()
        waiting += (self._conclude(case) for case in cases)
        while waiting:
            yield waiting.popleft().result()

    def _decode(self, sources: Iterable[Source], cases: deque[Case]) -> Iterator[tuple[Case, Frame]]:
        for source in sources:
            case = Case(name=str(source) if isinstance(source, str | Path) else type(source).__name__)
            cases.append(case)
            try:
                with timed([case], "decode"):
                    case.picture = open_picture(source, self._limits)
                case.name = case.picture.name
                if known := self._recall(case):
                    case.verdict = known
                    case.decoded = True
                    continue
                for frame in timed_frames(case, case.picture):
                    height, width = frame.rgb.shape[:2]
                    case.size = max(case.size, (width, height), key=lambda size: size[0] * size[1])
                    case.pending += 1
                    yield case, frame
                case.not_inspected += case.picture.skipped
            except Exception as error:  # an InputError says all there is to say; anything else must not lose the batch
                reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
                case.not_inspected.append(NotInspected(part="picture", reason=reason))
            case.decoded = True

    def _screen(self, batch: Sequence[tuple[Case, Frame]]) -> None:
        try:
            with self._exclusive(self.stage1), timed([case for case, _ in batch], "stage1"):
                seen = self.stage1.screen([frame.rgb for _, frame in batch])
                answered = list(zip(batch, seen, strict=True))
        except Exception as error:
            if len(batch) > 1:  # one bad frame must not cost the others
                for one in batch:
                    self._screen([one])
                return
            ((case, frame),) = batch
            case.not_inspected.append(failed("image", error, frame.index))
            return
        for (case, frame), found in answered:
            case.screened += 1
            case.seen += [one.model_copy(update={"frame": frame.index}) for one in found]

    def _read(self, case: Case, frame: Frame) -> None:
        if self.stage2 is None or not changed(case.last_read.get(frame.view), frame.rgb):
            return
        case.last_read[frame.view] = frame.rgb
        with self._exclusive(self.stage2.ocr), timed([case], "ocr"):
            try:
                lines = self.stage2.ocr.read(frame.rgb)
            except Exception as error:
                case.not_inspected.append(failed("text", error, frame.index))
                return
        case.read += 1
        known = {(line.frame, line.text) for line in case.lines}  # the second view of a transparent frame repeats most
        new = [line.model_copy(update={"frame": frame.index}) for line in lines]
        case.lines += [line for line in new if (frame.index, line.text) not in known]

    def _recall(self, case: Case) -> Verdict | None:
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

    def _conclude(self, case: Case) -> Future[Verdict]:
        """The verdict, now or when the judge has spoken."""
        case.last_read.clear()
        known: Future[Verdict] = Future()
        if case.verdict:
            known.set_result(case.verdict)
            return known
        weighed = self._weigh(case)
        if self._judging:
            return self._judging.submit(self._deliberate, case, weighed)
        known.set_result(self._keep(self._verdict(case, weighed)))
        return known

    def _weigh(self, case: Case) -> Weighed:
        """What Stage 1 and the text model make of it."""
        weighed = Weighed(self._findings(case), list(case.not_inspected))
        if weighed.findings:
            weighed.channels["image"] = tuple(frozenset[Category]().union(*self.stage1.eyes.values()))
            weighed.reasons += self.stage1.weigh(weighed.findings)
            weighed.findings_text = findings_text.render(weighed.findings, weighed.reasons)
            weighed.not_inspected += (unread(graph) for graph in weighed.findings.graphs if graph.dropped)
            for mark, why in CAVEATS.items():
                if marked := [model for model in self.stage1.models if model.endswith(mark)]:
                    caveat = f"the weights of {', '.join(marked)} {why}"
                    weighed.not_inspected.append(NotInspected(part="image", reason=caveat))
        if self.stage2 and case.read:
            weighed.not_inspected += unreadable_text(self.policy, case.lines, case.size[0] * case.size[1])
            weighed.lines = tuple(line for line in case.lines if line.confidence >= self.policy.text.noise)
            evidence = Evidence(findings_text=weighed.findings_text, lines=weighed.lines)
            with self._exclusive(self.stage2.text_model), timed([case], "text"):
                try:
                    found = weigh_text(self.stage2.text_model, evidence)
                except Exception as error:
                    weighed.not_inspected.append(failed("text", error, None))
                else:
                    weighed.channels["text"] = self.stage2.text_model.categories
                    weighed.reasons += found.reasons
                    weighed.not_inspected += found.not_inspected
        return weighed

    def _deliberate(self, case: Case, weighed: Weighed) -> Verdict:
        """The verdict after the judge was asked, if the policy wants it asked; in a thread of its own."""
        judge, scores = self._judge, self._scores(weighed)
        assert judge
        if not (scores and judge_wanted(self.policy, scores, has_text=bool(weighed.lines))):
            return self._keep(self._verdict(case, weighed))
        text = clean(line.text for line in weighed.lines)
        question = Question(self.policy.ages, weighed.findings_text, text)
        if self.policy.judge.authority == "asymmetric" and (why := suspicion(line.text for line in weighed.lines)):
            weighed.may_lower = False
            weighed.not_inspected.append(NotInspected(part="judge", reason=f"the text holds {why}, meant for a model"))
        if text.cut:
            weighed.may_lower = False
            weighed.not_inspected.append(NotInspected(part="judge", reason=text.cut))
        with timed([case], "judge"):
            try:
                opinion = judge.ask(question)
            except Exception as error:
                reason = str(error) if isinstance(error, JudgeError) else f"{type(error).__name__}: {error}"
                weighed.not_inspected.append(NotInspected(part="judge", reason=reason))
                return self._verdict(case, weighed)
        weighed.channels["judge"] = tuple(opinion.scores)
        weighed.reasons += (
            Reason(category=category, channel="judge", source="judge", score=score, what="the judge")
            for category, score in opinion.scores.items()
        )
        verdict = self._verdict(case, weighed)
        flagged = [c for c, score in verdict.scores.items() if score >= self.policy.categories[c].review]
        if flagged and judge.explains:
            with timed([case], "explanation"), suppress(Exception):  # a sentence less; the verdict stands
                weighed.explanation = judge.explain(question, flagged).sentence
            verdict = self._verdict(case, weighed)
        return self._keep(verdict)

    def _findings(self, case: Case) -> VisualFindings | None:
        if not case.screened:
            return None
        width, height = case.size
        return VisualFindings(
            width=width,
            height=height,
            frames=case.screened,
            models=self.stage1.models,
            detections=tuple(found for found in case.seen if isinstance(found, Detection)),
            graphs=merged(found for found in case.seen if isinstance(found, SceneGraph)),
        )

    def _scores(self, weighed: Weighed) -> dict[Category, dict[Channel, float]]:
        """Category -> channel -> score, for every channel that looked for the category."""
        looked = {c: [by for by, covered in weighed.channels.items() if c in covered] for c in CATEGORIES}
        return {
            c: {by: self._score(c, by, weighed.reasons) for by in channels}
            for c, channels in looked.items()
            if channels
        }

    def _verdict(self, case: Case, weighed: Weighed) -> Verdict:
        scores = self._scores(weighed)
        decision = decide(self.policy, scores, weighed.not_inspected, may_lower=weighed.may_lower)
        rules = self.policy.categories
        flagged = [
            reason
            for reason in weighed.reasons
            if min(reason.score, decision.detail[reason.category].final) >= rules[reason.category].review
        ]
        return Verdict(
            source=case.name,
            label=decision.label,
            action=decision.action,
            scores={category: score.final for category, score in decision.detail.items()},
            detail=decision.detail,
            reasons=(*sorted(flagged, key=lambda reason: -reason.score), *decision.lowered),
            explanation=weighed.explanation,
            findings=weighed.findings,
            text=tuple(case.lines),
            not_inspected=tuple(weighed.not_inspected),
            coverage={category: tuple(by) for category, by in scores.items()},
            timings={stage: round(ms, 3) for stage, ms in case.timings.items()},
            provenance=Provenance(
                kidsnanny=__version__,
                policy=self.policy.version,
                models=self._models(),
                thresholds={c: Thresholds(review=rules[c].review, block=rules[c].block) for c in scores},
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
            models |= {"judge": self._judge.name} if self._judge else {}
        return models

    def _exclusive(self, engine: object) -> AbstractContextManager[object]:
        return self._locks[id(engine)]

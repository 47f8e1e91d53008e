"""Our own systems. One look at a picture yields every row: both regimes and both authorities.

What a row would have said is decided again from the verdict's scores by channel, with `policy.decide`: *vision-only* is
the verdict without the channels text and judge and without what they could not look at; the other authority is another
policy. The judge is asked about every picture (`escalation = "always"`), and for no explanation, which cannot change a
label.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import NamedTuple

from kidsnanny.errors import ComponentError, JudgeError
from kidsnanny.evaluation.predictions import Authority, Example, Prediction, Regime, SystemDescription
from kidsnanny.evaluation.systems.system import Options, mapped, predicted, unmapped
from kidsnanny.models.cards import cards
from kidsnanny.pipeline import Pipeline
from kidsnanny.policy import Decision, Policy, decide
from kidsnanny.records import CategoryScore, Channel, NotInspected, Reason, Verdict
from kidsnanny.stage2.judge.openai_judge import OpenAIJudge
from kidsnanny.stage2.stage2 import Stage2
from kidsnanny.stage2.untrusted import suspicion
from kidsnanny.taxonomy import CATEGORIES, Category

Scores = dict[Category, dict[Channel, float]]
RULE = (
    "Verdict.risk, the largest final score of the mapped categories; unsafe from the threshold on, unscored where a "
    "part that looks for them could not"
)


class Case(NamedTuple):
    """What one row goes by: `decide`'s arguments."""

    policy: Policy
    scores: Scores
    not_inspected: tuple[NotInspected, ...]
    may_lower: bool


class Composed:
    """A pipeline as a system.

    Args:
        pipeline: multimodal if any row is.
        rows: what to make of each verdict.
        timed: further pipelines whose latency is of interest, by name.
    """

    def __init__(
        self, pipeline: Pipeline, rows: tuple[SystemDescription, ...], timed: dict[str, Pipeline] | None = None
    ) -> None:
        self.rows = rows
        self._pipeline = pipeline
        self._timed = timed or {}
        self._looking = _channels(pipeline)
        self._policies = {
            authority: as_policy(pipeline.policy, authority) for authority in ("asymmetric", "judge", None)
        }

    def predict(self, examples: Iterable[Example]) -> Iterator[tuple[Prediction, ...]]:
        """See `System`."""
        waiting: deque[Example] = deque()

        def sources() -> Iterator[object]:
            for example in examples:
                waiting.append(example._replace(image=b""))  # the pixels need not wait for the verdict
                yield example.image

        for verdict in self._pipeline.stream(sources()):  # type: ignore[arg-type]
            example = waiting.popleft()
            yield tuple(self._prediction(example, row, verdict) for row in self.rows)

    def looks(self) -> dict[str, Callable[[Example], object]]:
        """See `System`. Rows that make something else of the same look have one time, under the first one's name."""
        regimes = {row.regime: row.name for row in reversed(self.rows)}
        pipelines = dict.fromkeys(regimes.values(), self._pipeline)
        if len(regimes) > 1:
            alone = Pipeline(stage1=self._pipeline.stage1, stage2=None, policy=self._pipeline.policy)
            pipelines[regimes["vision-only"]] = alone
        pipelines |= self._timed
        return {name: partial(_look, looks) for name, looks in pipelines.items()}

    def _prediction(self, example: Example, row: SystemDescription, verdict: Verdict) -> Prediction:
        case = again(verdict, self._policies[row.authority], row.regime)
        decision = decide(case.policy, case.scores, case.not_inspected, may_lower=case.may_lower)
        stands_for = mapped(example.category, row.categories)
        unscored = self._unscored(example, row, case, stands_for)
        loudest = None if unscored else max((decision.detail[c] for c in stands_for), key=lambda score: score.final)
        images_only = row.regime == "vision-only"
        return predicted(
            example,
            row,
            sha256=verdict.provenance.sha256,
            score=loudest.final if loudest else None,
            unscored=unscored,
            label=decision.label if row.ours else None,
            mapped=stands_for,
            detail=decision.detail,
            decided_by=loudest.decided_by if loudest and loudest.final else None,
            reasons=self._reasons(row.regime, case.policy, verdict, decision),
            not_inspected=case.not_inspected,
            may_lower=case.may_lower,
            timings={stage: ms for stage, ms in verdict.timings.items() if not images_only or stage in _STAGE1},
            models={k: v for k, v in verdict.provenance.models.items() if not images_only or k == "stage1"},
            policy=case.policy,
        )

    def _reasons(self, regime: Regime, policy: Policy, verdict: Verdict, decision: Decision) -> tuple[Reason, ...]:
        """What reached `review`, strongest first, and what the judge lowered: as in the verdict of that row."""
        given: Iterable[Reason] = verdict.reasons
        if regime == "vision-only":  # the judge may have lowered one out of the verdict's
            seen = self._pipeline.stage1.weigh(verdict.findings) if verdict.findings else []
            given = sorted(seen, key=lambda reason: -reason.score)
        flagged = (
            r
            for r in given
            if r.lowered is None
            and min(r.score, decision.detail[r.category].final) >= policy.categories[r.category].review
        )
        return (*flagged, *decision.lowered)

    def _unscored(
        self, example: Example, row: SystemDescription, case: Case, stands_for: tuple[Category, ...]
    ) -> str | None:
        """Why there is no score: the category is not ours, or a part that looks for it could not look."""
        if not stands_for:
            return unmapped(row.name, example.category)
        silent = {
            channel
            for channel, categories in self._looking.items()
            if row.regime == "multimodal" or channel == "image"
            for category in stands_for
            if category in categories and channel not in case.scores.get(category, {})
        }
        if not silent:
            return None
        parts = {"picture", "frames", *silent}
        reasons = [str(missed) for missed in case.not_inspected if missed.part in parts]
        return "; ".join(reasons) or f"{' and '.join(sorted(silent))}: it did not look"


_STAGE1 = ("decode", "stage1")


def _look(pipeline: Pipeline, example: Example) -> Verdict:
    return pipeline(example.image)


def again(verdict: Verdict, policy: Policy, regime: Regime) -> Case:
    """What `decide` is to be asked so that it says what a run in that regime, under that policy, would have said."""
    missed = verdict.not_inspected
    if regime == "vision-only":
        seen: Scores = {c: {"image": s.image} for c, s in verdict.detail.items() if s.image is not None}
        return Case(policy, seen, tuple(m for m in missed if m.part not in ("text", "judge")), True)
    scores = heard(verdict.detail)
    if policy.judge.authority == "judge":  # then nobody looks whether the text speaks to it
        lines = [line.text for line in verdict.text if line.confidence >= policy.text.noise]
        why = suspicion(lines) if any(m.part == "judge" for m in missed) else None
        missed = tuple(m for m in missed if not (why and m.part == "judge" and why in m.reason))
    return Case(policy, scores, missed, not any(m.part == "judge" for m in missed))


def heard(detail: Mapping[Category, CategoryScore]) -> Scores:
    """What each channel that looked said, as `decide` was told."""
    channels: tuple[Channel, ...] = ("image", "text", "judge")
    return {
        category: {by: said for by in channels if (said := getattr(score, by)) is not None}
        for category, score in detail.items()
    }


def as_policy(policy: Policy, authority: Authority | None, escalation: str = "always") -> Policy:
    """The policy with the judge asked about everything, and its word worth that much (None: as the policy has it)."""
    judge = {"authority": authority or policy.judge.authority, "escalation": escalation}
    return policy.model_copy(update={"judge": policy.judge.model_copy(update=judge)})


def ours(profile: str, options: Options) -> Composed:
    """A profile in the regimes and, if it has a judge, with the authorities that were asked for.

    Raises:
        ComponentError: a part of the profile is missing, or its judge does not answer.
    """
    multimodal = "multimodal" in options.regimes
    policy = as_policy(options.policy, "asymmetric")
    pipeline = Pipeline(profile, policy=policy, stage2="profile" if multimodal else None)
    return composed(profile, pipeline, options)


def composed(name: str, pipeline: Pipeline, options: Options) -> Composed:
    """A pipeline of the user's own, likewise; its policy must have `escalation = "always"` and be asymmetric."""
    judge = pipeline.stage2.judge if pipeline.stage2 else None
    models = {"stage1": "+".join(pipeline.stage1.models)}
    rows: list[tuple[str, Regime, Authority | None]] = []
    if "vision-only" in options.regimes:
        rows.append((f"{name}:vision-only", "vision-only", None))
    if stage2 := pipeline.stage2:
        read = models | {"ocr": stage2.ocr.name, "text_model": stage2.text_model.name} | _served(name, stage2)
        if judge:
            judge.explains = False
            rows += [(f"{name}:multimodal:{a}", "multimodal", a) for a in options.authorities]
        else:
            rows.append((f"{name}:multimodal", "multimodal", None))
    abouts = tuple(
        _about(row, regime, authority, pipeline, models if regime == "vision-only" else read, options)
        for row, regime, authority in rows
    )
    timed = {}
    if judge:
        auto = as_policy(pipeline.policy, None, "auto")
        timed[f"{name}:multimodal:auto"] = Pipeline(stage1=pipeline.stage1, stage2=pipeline.stage2, policy=auto)
    return Composed(pipeline, abouts, timed)


def _about(
    row: str,
    regime: Regime,
    authority: Authority | None,
    pipeline: Pipeline,
    models: dict[str, str],
    options: Options,
) -> SystemDescription:
    looking, policy = _channels(pipeline), as_policy(pipeline.policy, authority)
    heard = looking["image"] if regime == "vision-only" else frozenset(chain.from_iterable(looking.values()))
    speaks = tuple(category for category in CATEGORIES if category in heard)
    asked = [category for name in options.categories for category in mapped(name, CATEGORIES)] or CATEGORIES
    review = min(policy.categories[category].review for category in asked)  # the same in both regimes
    origin = f"ours: the lowest `review` of the wanted categories in the policy {policy.name}, for both regimes"
    threshold, origin = options.threshold(row, review, origin)
    return SystemDescription(
        name=row,
        regime=regime,
        authority=authority,
        ours=True,
        categories=speaks,
        rule=RULE,
        licence=f"ours: Apache-2.0; {licences(models['stage1'].split('+'))}",
        threshold=threshold,
        origin=origin,
        models=models,
        policy=policy.version,
    )


def _channels(pipeline: Pipeline) -> dict[Channel, frozenset[Category]]:
    """Who looks for what."""
    looking: dict[Channel, frozenset[Category]] = {"image": frozenset().union(*pipeline.stage1.eyes.values())}
    if pipeline.stage2:
        looking["text"] = frozenset(pipeline.stage2.text_model.categories)
        if pipeline.stage2.judge:
            looking["judge"] = frozenset(pipeline.stage2.judge.categories)
    return looking


def _served(name: str, stage2: Stage2) -> dict[str, str]:
    """What the judge's server serves: it must be there, or every picture of the run would lack its word."""
    judge = stage2.judge
    if not isinstance(judge, OpenAIJudge):
        return {"judge": judge.name} if judge else {}
    try:
        return {"judge": judge.models()[0]}
    except JudgeError as error:
        raise ComponentError(f"{name}: {error} Without it there is --regime vision-only.") from error


def licences(models: Iterable[str]) -> str:
    """Of the cards behind names of models."""
    known = (model.partition("@")[0] for model in models)
    return "; ".join(f"{name}: {cards()[name].licence}" for name in known if name in cards()) or "not known"

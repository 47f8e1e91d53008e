"""Our own systems. One inspection of each picture yields every row: both regimes and both authorities of the judge.

What a row says is `decide(inspection, policy)`: *vision-only* decides the inspection without what Stage 2 saw, and the
other authority is another policy. The judge is asked about every picture (`escalation = "always"`), and for no
explanation, which cannot change a label.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import cast

from kidsnanny.decision import decide
from kidsnanny.errors import ComponentError, JudgeError
from kidsnanny.evaluation.predictions import Authority, Example, Prediction, Regime, SystemDescription
from kidsnanny.evaluation.systems.system import Options, mapped, predicted, unmapped
from kidsnanny.inspection import Inspection
from kidsnanny.models.cards import cards
from kidsnanny.pipeline import Pipeline
from kidsnanny.policy import Policy
from kidsnanny.profiles.profile import Profile
from kidsnanny.records import Channel, ModelId
from kidsnanny.stage2.judge.openai_judge import OpenAIJudge
from kidsnanny.stage2.stage2 import Stage2
from kidsnanny.taxonomy import CATEGORIES, Category, ordered
from kidsnanny.verdict import Verdict

Models = dict[str, tuple[ModelId, ...]]
RULE = (
    "Verdict.risk, the largest final score of the mapped categories; unsafe from the threshold on, unscored where a "
    "part that looks for them could not"
)


class PipelineSystem:
    """A pipeline as a system.

    Args:
        pipeline: multimodal if any row is.
        rows: what to decide from each inspection.
        timed: further pipelines whose latency is of interest, by name.
    """

    def __init__(
        self, pipeline: Pipeline, rows: tuple[SystemDescription, ...], timed: dict[str, Pipeline] | None = None
    ) -> None:
        self.rows = rows
        self._pipeline = pipeline
        self._timed = timed or {}
        self._channels = _channels(pipeline)
        self._policies = {row.authority: as_policy(pipeline.policy, row.authority) for row in rows}

    def predict(self, examples: Iterable[Example]) -> Iterator[tuple[Prediction, ...]]:
        """See `System`."""
        waiting: deque[Example] = deque()

        def sources() -> Iterator[object]:
            for example in examples:
                waiting.append(example._replace(image=b""))  # the pixels need not wait for the verdict
                yield example.image

        for verdict in self._pipeline.stream(sources()):  # type: ignore[arg-type]
            example = waiting.popleft()
            yield tuple(self._prediction(example, row, verdict.inspection) for row in self.rows)

    def close(self) -> None:
        """Close what the pipelines hold, such as the connections to a judge's server."""
        for pipeline in (self._pipeline, *self._timed.values()):
            pipeline.close()

    def timed_calls(self) -> dict[str, Callable[[Example], object]]:
        """See `System`. Rows that are decided from the same inspection have one time, under the first one's name."""
        regimes = {row.regime: row.name for row in reversed(self.rows)}
        pipelines = dict.fromkeys(regimes.values(), self._pipeline)
        if len(regimes) > 1:
            alone = Pipeline(stage1=self._pipeline.stage1, stage2=None, policy=self._pipeline.policy)
            pipelines[regimes["vision-only"]] = alone
        pipelines |= self._timed
        return {name: partial(_check, pipeline) for name, pipeline in pipelines.items()}

    def _prediction(self, example: Example, row: SystemDescription, inspection: Inspection) -> Prediction:
        policy = self._policies[row.authority]
        verdict = decide(inspection if row.regime == "multimodal" else inspection.vision_only(), policy)
        stands_for = mapped(example.category, row.categories)
        unscored = self._unscored(example, row, verdict, stands_for)
        highest = None if unscored else max((verdict.detail[c] for c in stands_for), key=lambda score: score.final)
        return predicted(
            example,
            row,
            sha256=verdict.provenance.sha256,
            score=highest.final if highest else None,
            unscored=unscored,
            label=verdict.label if row.ours else None,
            mapped=stands_for,
            detail=verdict.detail,
            decided_by=highest.decided_by if highest and highest.final else None,
            reasons=verdict.reasons,
            not_inspected=verdict.not_inspected,
            timings=verdict.timings,
            models=verdict.provenance.models,
            policy=policy,
            inspection=inspection,
        )

    def _unscored(
        self, example: Example, row: SystemDescription, verdict: Verdict, stands_for: tuple[Category, ...]
    ) -> str | None:
        """Why there is no score: the category is not ours, or a part that looks for it could not look."""
        if not stands_for:
            return unmapped(row.name, example.category)
        silent = {
            channel
            for channel, categories in self._channels.items()
            if row.regime == "multimodal" or channel == "image"
            for category in stands_for
            if category in categories and getattr(verdict.detail.get(category), channel, None) is None
        }
        if not silent:
            return None
        parts = {"picture", "frames", *silent}
        reasons = [str(missed) for missed in verdict.not_inspected if missed.part in parts]
        return "; ".join(reasons) or f"{' and '.join(sorted(silent))}: it did not look"


def _check(pipeline: Pipeline, example: Example) -> Verdict:
    return pipeline(example.image)


def as_policy(policy: Policy, authority: Authority | None, escalation: str = "always") -> Policy:
    """The policy with the judge asked about everything, and its word worth that much (None: as the policy has it)."""
    judge = {"authority": authority or policy.judge.authority, "escalation": escalation}
    return policy.model_copy(update={"judge": policy.judge.model_copy(update=judge)})


def ours(profile: str, options: Options) -> PipelineSystem:
    """A profile in the regimes and, if it has a judge, with the authorities that were asked for.

    Raises:
        ComponentError: a part of the profile is missing, or its judge does not answer.
    """
    multimodal = "multimodal" in options.regimes
    policy = as_policy(options.policy, "asymmetric")
    pipeline = Pipeline(profile, policy=policy, stage2="profile" if multimodal else None)
    return composed(Profile.load(profile).name, pipeline, options)


def composed(name: str, pipeline: Pipeline, options: Options) -> PipelineSystem:
    """A pipeline of the user's own, likewise; its policy must have `escalation = "always"` and be asymmetric."""
    judge = pipeline.stage2.judge if pipeline.stage2 else None
    models = pipeline.inspector.models
    rows: list[tuple[str, Regime, Authority | None]] = []
    if "vision-only" in options.regimes:
        rows.append((f"{name}:vision-only", "vision-only", None))
    if stage2 := pipeline.stage2:
        models |= _served(name, stage2)
        if judge:
            judge.explains = False
            rows += [(f"{name}:multimodal:{a}", "multimodal", a) for a in options.authorities]
        else:
            rows.append((f"{name}:multimodal", "multimodal", None))
    abouts = tuple(_about(row, regime, authority, pipeline, models, options) for row, regime, authority in rows)
    timed = {}
    if judge:
        auto = as_policy(pipeline.policy, None, "auto")
        timed[f"{name}:multimodal:auto"] = Pipeline(stage1=pipeline.stage1, stage2=pipeline.stage2, policy=auto)
    return PipelineSystem(pipeline, abouts, timed)


def embedded_with(name: str, options: Options, change: Callable[[Stage2], Stage2]) -> PipelineSystem:
    """The embedded profile with other engines in its Stage 2: one row, `NAME:multimodal`, whatever the regimes that
    were asked for, since its Stage 1 alone says what that of `embedded` does.

    Raises:
        ComponentError: a part of the profile is missing.
    """
    stage2 = change(cast("Stage2", Profile.load("embedded").build_stage2()))
    pipeline = Pipeline("embedded", stage2=stage2, policy=as_policy(options.policy, "asymmetric"))
    return composed(name, pipeline, options._replace(regimes=("multimodal",)))


def _about(
    row: str,
    regime: Regime,
    authority: Authority | None,
    pipeline: Pipeline,
    models: Models,
    options: Options,
) -> SystemDescription:
    channels = _channels(pipeline)
    if regime == "vision-only":
        models = {"stage1": models["stage1"]}
    looked_for = channels["image"] if regime == "vision-only" else frozenset(chain.from_iterable(channels.values()))
    about = describe(row, pipeline.policy, options, categories=looked_for, models=models, authority=authority)
    licence = f"{about.licence}; {licences(models['stage1'])}"
    return about.model_copy(update={"regime": regime, "licence": licence})


def describe(
    row: str,
    policy: Policy,
    options: Options,
    *,
    categories: Collection[Category],
    models: Models,
    authority: Authority | None = None,
    rule: str = RULE,
) -> SystemDescription:
    """What a multimodal row of ours, which decides by a policy, says about itself.

    Args:
        row: its name.
        policy: what it decides by, but for the judge's authority.
        options: what the user says about the systems.
        categories: what it speaks about.
        models: part -> the models that it uses.
        authority: of the judge, if it has one.
        rule: as in `SystemDescription`.
    """
    policy = as_policy(policy, authority)
    asked = [category for name in options.categories for category in mapped(name, CATEGORIES)] or CATEGORIES
    review = min(policy.categories[category].review for category in asked)  # the same in both regimes
    origin = f"ours: the lowest `review` of the wanted categories in the policy {policy.name}, for both regimes"
    threshold, origin = options.threshold(row, review, origin)
    return SystemDescription(
        name=row,
        regime="multimodal",
        authority=authority,
        ours=True,
        categories=ordered(categories),
        rule=rule,
        licence="ours: Apache-2.0",
        threshold=threshold,
        origin=origin,
        models=models,
        policy=policy.version,
    )


def _channels(pipeline: Pipeline) -> dict[Channel, frozenset[Category]]:
    """Channel -> the categories that it looks for."""
    channels: dict[Channel, frozenset[Category]] = {"image": frozenset().union(*pipeline.stage1.categories.values())}
    if pipeline.stage2:
        channels["text"] = frozenset(pipeline.stage2.text_model.categories)
        if pipeline.stage2.judge:
            channels["judge"] = frozenset(pipeline.stage2.judge.categories)
    return channels


def _served(name: str, stage2: Stage2) -> Models:
    """What the judge's server serves: it must be there, or every picture of the run would lack its answer."""
    judge = stage2.judge
    if not isinstance(judge, OpenAIJudge):
        return {"judge": (judge.model_id,)} if judge else {}
    try:
        return {"judge": (ModelId(name=judge.models()[0]),)}
    except JudgeError as error:
        raise ComponentError(f"{name}: {error} Without it there is --regime vision-only.") from error


def licences(models: Iterable[ModelId]) -> str:
    """Of the cards behind the models."""
    known = [model.name for model in models if model.name in cards()]
    return "; ".join(f"{name}: {cards()[name].licence}" for name in known) or "not known"

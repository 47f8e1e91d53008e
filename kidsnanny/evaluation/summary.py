"""One run's numbers, computed once: the report shows them, and `summary_json` keeps them as JSON."""

import copy
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain, combinations
from typing import Any, Self

import numpy as np
from pydantic import Field, model_validator

from kidsnanny.errors import DataError
from kidsnanny.evaluation.datasets import picture_count
from kidsnanny.evaluation.markdown import markdown_table
from kidsnanny.evaluation.metrics import (
    Calibration,
    ClassificationScores,
    Flips,
    LatencySummary,
    Proportion,
    Ranking,
    Repeatability,
    calibration,
    flips,
    holm,
    predicts_unsafe,
    ranking,
    repeatability,
    stage_latencies,
)
from kidsnanny.evaluation.predictions import LatencyMeasurement, Prediction, RunMetadata, SystemDescription
from kidsnanny.evaluation.published import PublishedRow, published_results
from kidsnanny.evaluation.slices import Slice, scores_of, slice_of, slices
from kidsnanny.evaluation.unsafebench_table import SourceTable, unsafebench_tables
from kidsnanny.records import Record


class EvaluationRun(Record):
    """What systems made of a data set, ready to be measured.

    Raises:
        DataError: the predictions contradict each other or themselves.
    """

    meta: RunMetadata
    predictions: dict[str, tuple[Prediction, ...]]
    """System -> a line for each picture it was shown."""
    repeats: dict[str, tuple[Prediction, ...]] = Field(default_factory=dict)
    """System -> the same again, from a second run."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Systems whose flips are listed, picture by picture: before, after."""
    latency: tuple[LatencyMeasurement, ...] = ()
    """Measured apart, one picture at a time."""
    subset: str | None = None
    """As the person named it who chose the pictures; `text-only` and `text+visual` are the paper's names."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        labels: dict[str, bool] = {}
        for name, lines in chain(self.predictions.items(), self.repeats.items()):
            ids = Counter(line.id for line in lines)
            if twice := [i for i, count in ids.items() if count > 1]:
                raise DataError(f"{name}: {twice[0]} was predicted {ids[twice[0]]} times; start the run anew.")
            if len({line.threshold for line in lines}) > 1 or any(line.system != name for line in lines):
                raise DataError(f"{name}: its lines mix systems or thresholds; start the run anew.")
            for line in lines:
                if labels.setdefault(line.id, line.unsafe) != line.unsafe:
                    raise DataError(f"{name}: {line.id} is safe in one line and unsafe in another; start the run anew.")
        for name in chain(*self.pairs, self.repeats):
            if name not in self.predictions:
                raise DataError(f"{name}: there are no predictions to compare with; evaluate it in the same run.")
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Checked and measured anew: pydantic's would keep the numbers of the original."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**(copy.deepcopy(fields) if deep else fields) | dict(update or {}))

    @cached_property
    def descriptions(self) -> dict[str, SystemDescription]:
        """System -> what it says about itself."""
        return {about.name: about for rows in self.meta.systems.values() for about in rows}

    @cached_property
    def systems(self) -> dict[str, tuple[Prediction, ...]]:
        """The predictions by id, the systems in the order of `meta`: however the lines came in."""
        names = [name for name in self.descriptions if name in self.predictions]
        names += sorted(self.predictions.keys() - self.descriptions.keys())
        return {name: tuple(sorted(self.predictions[name], key=lambda line: line.id)) for name in names}

    @cached_property
    def summary(self) -> "RunSummary":
        """All of its numbers."""
        return _measure(self)


class SystemScores(Record):
    """One system."""

    all: Slice
    threshold: float | None
    ranking: Ranking
    calibration: Calibration
    unscored_as_unsafe: ClassificationScores
    unscored_as_safe: ClassificationScores
    labels: dict[str, int]
    """The policy's label -> pictures, unscored ones included. Empty for systems that have no policy."""
    review_as_unsafe: ClassificationScores
    """Of the policy's labels, not of the score."""
    review_as_safe: ClassificationScores
    by_source: dict[str, Slice]
    by_category: dict[str, Slice]
    decided_by: dict[str, int]
    unscored_reasons: dict[str, int]
    not_inspected: dict[str, int]
    """Part and reason -> pictures. Hashes and paths are cut out of the reasons, so that equal ones are counted once."""
    models: tuple[str, ...]
    policies: tuple[str, ...]


class SystemComparison(Record):
    """Two systems on the pictures that both scored."""

    a: str
    b: str
    pairs: int
    only_a: int
    """Pictures that only `a` has right."""
    only_b: int
    p: float | None
    """Of the exact McNemar test."""
    p_holm: float | None
    """Adjusted for the number of comparisons in the table."""


class PublishedComparison(Record):
    """A row that the paper prints, and what its derived counts amount to."""

    table: str
    pictures: int
    row: PublishedRow
    accuracy: Proportion | None
    scores: ClassificationScores | None


class RunSummary(Record):
    """A run's numbers. Two runs with equal predictions differ in `made_with` and `timings` alone."""

    meta: RunMetadata
    subset: str | None
    systems: dict[str, SystemScores]
    incomplete: dict[str, int]
    """System -> pictures it has no line for, if any."""
    flips: tuple[Flips, ...]
    comparisons: tuple[SystemComparison, ...]
    repeats: dict[str, Repeatability]
    published: tuple[PublishedComparison, ...]
    unsafebench: tuple[SourceTable, ...]
    """F1 by source and category, where the data have several of UnsafeBench's categories."""
    stages: dict[str, dict[str, LatencySummary]]
    """System -> stage -> what it took in the run itself."""
    latency: dict[str, LatencySummary]
    """Row -> what it took, measured apart."""


def summary_json(run: EvaluationRun) -> dict[str, Any]:
    """The numbers as JSON, keys sorted.

    Two runs with equal predictions on equal data differ in `made_with` and `timings` alone.
    """
    whole = run.summary.model_dump(mode="json")
    timings = {key: whole.pop(key) for key in ("stages", "latency")}
    made_with = {key: whole["meta"].pop(key) for key in ("command", "hardware", "versions")}
    kept = json.dumps(whole | {"timings": timings, "made_with": made_with}, sort_keys=True, allow_nan=False)
    return json.loads(kept)  # type: ignore[no-any-return]


HEADLINE_COLUMNS = ("system", "N", "unscored", "accuracy", "precision", "recall", "F1", "AUROC")


def measured_rows(run: EvaluationRun) -> list[tuple[str, ...]]:
    """The headline, by HEADLINE_COLUMNS: per cent with Wilson's (F1: the bootstrap's) 95 % interval."""
    rows = []
    for name, found in run.summary.systems.items():
        scores, auroc = found.all.scores, found.ranking.auroc.value
        shares = [_cell(part.value, part.wilson) for part in (scores.accuracy, scores.precision, scores.recall)]
        area = "–" if auroc is None else f"{auroc:.3f}"
        counted = (str(found.all.pictures), str(found.all.unscored))
        caveat = run.descriptions[name].caveat if name in run.descriptions else ""
        rows.append((name + caveat, *counted, *shares, _cell(scores.f1.value, scores.f1.bootstrap), area))
    return rows


def published_rows(run: EvaluationRun) -> list[tuple[PublishedComparison, tuple[str, ...]]]:
    """The paper's rows and their cells (HEADLINE_COLUMNS without the system), each marked with its source."""
    return [
        (
            beside,
            ("", "", *(f"{cell.printed} ({cell.mark})" if cell else "–" for cell in _printed(beside.row)), ""),
        )
        for beside in run.summary.published
    ]


def markdown(run: EvaluationRun) -> str:
    """The headline as a table of text."""
    published = [
        (f"{beside.row.system}, {beside.table}: {published_caption(beside)}", *cells)
        for beside, cells in published_rows(run)
    ]
    return markdown_table(HEADLINE_COLUMNS, [*measured_rows(run), *published])


def published_caption(beside: PublishedComparison) -> str:
    """That a published row is of other pictures than the run's."""
    return f"published: UnsafeBench Sexual, {picture_count(beside.pictures)}, other hardware"


def _printed(row: PublishedRow) -> tuple[Any, ...]:
    return row.accuracy, row.precision, row.recall, row.f1


def _cell(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2%}" + (f" [{interval[0]:.1%}–{interval[1]:.1%}]".replace("%", "") if interval else "")


def _measure(run: EvaluationRun) -> RunSummary:
    pairs = [flips((a, b), run.systems[a], run.systems[b]) for a, b in combinations(run.systems, 2)]
    adjusted = iter(holm([pair.p for pair in pairs if pair.p is not None]))
    shown = run.meta.contents.pictures
    return RunSummary(
        meta=run.meta,
        subset=run.subset,
        systems={name: _measured(lines) for name, lines in run.systems.items()},
        incomplete={
            name: missing
            for name in chain(run.descriptions, run.systems.keys() - run.descriptions.keys())
            if (missing := shown - len(run.systems.get(name, ())))
        },
        flips=tuple(flips((a, b), run.systems[a], run.systems[b]) for a, b in run.pairs),
        comparisons=tuple(
            SystemComparison(
                a=pair.before,
                b=pair.after,
                pairs=pair.pairs,
                only_a=pair.worse,
                only_b=pair.better,
                p=pair.p,
                p_holm=None if pair.p is None else next(adjusted),
            )
            for pair in pairs
        ),
        repeats={name: repeatability(run.systems[name], again) for name, again in sorted(run.repeats.items())},
        published=tuple(
            _beside(table.title, table.pictures, row)
            for table, rows in published_results().tables_for(run.subset, run.meta.contents.by.get("category", ()))
            for row in rows
        ),
        unsafebench=unsafebench_tables(run.systems),
        stages={name: stage_latencies(lines) for name, lines in run.systems.items()},
        latency={row.row: LatencySummary.of(row.milliseconds) for row in run.latency},
    )


def _beside(table: str, pictures: int, row: PublishedRow) -> PublishedComparison:
    scores = ClassificationScores.of(row.counts) if row.counts else None
    correct = None if row.correct is None else Proportion.of(row.correct, pictures)
    accuracy = scores.accuracy if scores else correct
    return PublishedComparison(table=table, pictures=pictures, row=row, accuracy=accuracy, scores=scores)


def _measured(lines: Sequence[Prediction]) -> SystemScores:
    scored = [line for line in lines if line.score is not None]
    unsafe = np.array([line.unsafe for line in scored], dtype=bool)
    scores = np.array([line.score for line in scored], dtype=float)
    labelled = [line for line in lines if line.label]
    return SystemScores(
        all=slice_of(lines),
        threshold=lines[0].threshold if lines else None,
        ranking=ranking(unsafe, scores),
        calibration=calibration(unsafe, scores),
        unscored_as_unsafe=scores_of(lines, lambda line: line.score is None or predicts_unsafe(line)),
        unscored_as_safe=scores_of(lines, lambda line: predicts_unsafe(line) or False),
        labels=dict(Counter(str(line.label) for line in labelled)),
        review_as_unsafe=scores_of(labelled, lambda line: line.label != "safe"),
        review_as_safe=scores_of(labelled, lambda line: line.label == "unsafe"),
        by_source=slices(lines, lambda line: line.source),
        by_category=slices(lines, lambda line: line.category),
        decided_by=dict(Counter(str(line.decided_by) for line in lines if line.decided_by)),
        unscored_reasons=_counted([line.unscored or "no reason was recorded"] for line in lines if line.score is None),
        not_inspected=_counted([f"{part.part}: {part.reason}" for part in line.not_inspected] for line in lines),
        models=tuple(
            sorted({f"{part} {model}" for line in lines for part, models in line.models.items() for model in models})
        ),
        policies=tuple(sorted({line.policy.version for line in lines if line.policy})),
    )


def _counted(reasons: Iterable[Iterable[str]]) -> dict[str, int]:
    """Reason -> pictures that have it, the most frequent first."""
    found = Counter(chain.from_iterable({_general(reason) for reason in of_one} for of_one in reasons))
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _general(reason: str) -> str:
    """Without the hash or path of the picture, what was quoted of it and its bytes, which would make every reason a
    different one."""
    found = re.sub(r"sha256:[0-9a-f]+", "sha256:…", reason)
    found = re.sub(r"(^|: )[^:]*[/\\][^:]*: ", r"\1…: ", found)
    if "scene graph could not be read" in found:
        found = re.sub(r"(?<!\w)'[^']*'|\"[^\"]*\"", "…", found)
    return re.sub(r"\(\d+ bytes", "(… bytes", found)

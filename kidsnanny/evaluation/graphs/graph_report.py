"""What was measured on scene graphs, as Markdown beside the published tables, and as a folder of JSON."""

import json
import re
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

import numpy as np
from pydantic import Field, model_validator

from kidsnanny import __version__
from kidsnanny.errors import DataError
from kidsnanny.evaluation.graphs.graph_metrics import KINDS, GraphEvaluation, GraphScores, KindScores
from kidsnanny.evaluation.graphs.score_estimate import ScoreEstimate
from kidsnanny.records import Record, SceneGraph

DEFINITIONS = """\
Graph recall and graph F1 are ours: objects are matched one to one by label and an IoU of 0.5 or more, attributes and \
relations hang on them, and the recalls (or F1s) of the three kinds, as far as the truth has them, are averaged. They \
are **not** SenBen-Recall and SenBen-F1, whose definitions are not public. `kidsnanny.evaluation.graphs` defines them. \
In brackets: 95 % bootstrap intervals over frames, which are too narrow where frames come from the same films."""
ELSEWHERE = """\
What SenBen's authors publish (arXiv 2604.08819). None of it was measured here, and it is not to be compared with the \
above: the frames and machines are others, and the definitions of SenBen-Recall and SenBen-F1 are not public."""


class GraphRun(Record):
    """What was measured, on what: no figure without its N, its interval and its hardware."""

    system: str
    data: str
    """The data set and its split."""
    hardware: str
    models: tuple[str, ...]
    """Each with its revision; random weights end in `#random`."""
    generated: bool = False
    """The pictures are drawn: the figures say nothing about films."""
    milliseconds: tuple[float, ...] = ()
    """What each frame took, if that was measured."""
    settings: dict[str, str | int | float | bool] = Field(default_factory=dict)


class PublishedGraphs(Record):
    """A table as SenBen's authors publish it."""

    title: str
    mark: Literal["P", "D"]
    """Printed by the authors, or derived by us."""
    source: str
    note: str
    columns: tuple[str, ...]
    formats: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]
    """The empty string is a value that is not published."""

    @model_validator(mode="after")
    def _rectangular(self) -> Self:
        if any(len(row) != len(self.columns) for row in (self.formats, *self.rows)):
            raise ValueError(f"{self.title}: a row or the formats do not have {len(self.columns)} columns")
        return self


@cache
def published_graphs() -> dict[str, PublishedGraphs]:
    """`published_graphs.toml`: main, tags, efficiency, ablation, leave_one_out."""
    tables = tomllib.loads(files(__package__).joinpath("published_graphs.toml").read_text("utf-8"))
    return {name: PublishedGraphs.model_validate(table) for name, table in tables.items()}


def render(runs: Sequence[tuple[GraphRun, GraphEvaluation]], title: str) -> str:
    """Markdown: the runs side by side, each in detail, and the published tables, marked as such."""
    parts = [f"# {_plain(title)}", "## Measured here", *_warnings(runs), _side_by_side(runs), DEFINITIONS]
    for run, scores in runs:
        parts += _details(run, scores)
    parts += ["## Published, on other data and hardware", ELSEWHERE]
    for table in published_graphs().values():
        rows = [
            [format(value, how) if value != "" else "–" for value, how in zip(row, table.formats, strict=True)]
            for row in table.rows
        ]
        parts += [f"### {table.title} [{table.mark}: {table.source}]", table.note, _table(table.columns, rows)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _warnings(runs: Sequence[tuple[GraphRun, GraphEvaluation]]) -> list[str]:
    said = []
    for run, scores in runs:
        name = _plain(run.system)
        if any(model.endswith("#random") for model in (*run.models, scores.captioned_by or "")):
            said.append(f"**{name}: weights are random, so these figures mean nothing.**")
        if run.generated:
            said.append(f"**{name}: the pictures are drawn, so these figures say nothing about films.**")
        if scores.partial:
            said.append(f"{name}: the vocabulary {_plain(scores.vocabulary)} is known to lack words.")
        if scores.dropped:
            said.append(
                f"{name}: {scores.dropped:,} or more statements were no graph; what they left unsaid is missed."
            )
    return said


def _side_by_side(runs: Sequence[tuple[GraphRun, GraphEvaluation]]) -> str:
    rows = [
        ["data", *(_plain(run.data) for run, _ in runs)],
        ["frames", *(f"{scores.frames:,}" for _, scores in runs)],
        ["models", *(_plain(", ".join(run.models)) or "–" for run, _ in runs)],
        ["hardware", *(_plain(run.hardware) for run, _ in runs)],
    ]
    numbers = [_headline(scores) for _, scores in runs]
    rows += [[name, *(_with_n(run[name]) for run in numbers)] for name in numbers[0]] if numbers else []
    rows += [
        ["captions compared by", *(_plain(scores.captioned_by or "nothing") for _, scores in runs)],
        ["ms a frame: median [5 %, 95 %]", *(_spent(run.milliseconds) for run, _ in runs)],
    ]
    return _table(["", *(_plain(run.system) for run, _ in runs)], rows)


def _headline(scores: GraphEvaluation) -> dict[str, ScoreEstimate]:
    return {
        "graph recall": scores.graph.recall,
        "graph F1": scores.graph.f1,
        "graph recall, mean of the groups": scores.group_recall,
        "graph F1, mean of the groups": scores.group_f1,
        "tag F1": scores.tag_f1,
        "safe/unsafe F1": scores.unsafe.f1,
        "sensitive-object recall": scores.sensitive_recall,
        "caption similarity": scores.caption,
    }


def _with_n(number: ScoreEstimate) -> str:
    return _plain(str(number)) if number.value is None else f"{number}, n = {number.n:,} {_plain(number.of)}"


def _spent(milliseconds: Sequence[float]) -> str:
    if not milliseconds:
        return "not measured: no times were given"
    low, median, high = np.percentile(milliseconds, [5, 50, 95])
    return f"{median:,.0f} [{low:,.0f}, {high:,.0f}], n = {len(milliseconds):,} frames"


def _details(run: GraphRun, scores: GraphEvaluation) -> list[str]:
    counted = ["recall", "precision", "F1", "hits", "false", "missed"]
    graphs = [*scores.groups.items(), ("no tag", scores.untagged)]
    by_group = [
        "group of tags",
        "frames",
        "graph recall",
        "graph F1",
        *(f"{kind}: {r}" for kind in KINDS for r in ("recall", "F1")),
    ]
    kinds = {**{name: getattr(scores.graph, name) for name in KINDS}, "unsafe frames": scores.unsafe}
    return [
        f"### {_plain(run.system)}: details",
        "– is a score that is not defined: the truth has none (recall, F1), or none was predicted (precision).",
        _table(["kind", *counted], [[name, *_kind(kind)] for name, kind in kinds.items()]),
        _table(by_group, [[_plain(name), *_graph(graph)] for name, graph in graphs]),
        _table(["tag", *counted], [[_plain(tag), *_kind(kind)] for tag, kind in scores.tags.items()]),
    ]


def _kind(kind: KindScores) -> list[str]:
    counts = (kind.hits, kind.false, kind.missed)
    return [*(_short(n) for n in (kind.recall, kind.precision, kind.f1)), *(f"{count:,}" for count in counts)]


def _graph(graph: GraphScores) -> list[str]:
    numbers = [
        graph.recall,
        graph.f1,
        *(n for name in KINDS for n in (getattr(graph, name).recall, getattr(graph, name).f1)),
    ]
    return [f"{graph.frames:,}", *(_short(number) for number in numbers)]


def _short(number: ScoreEstimate) -> str:
    return "–" if number.value is None else str(number)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """On one line, and nothing in it is Markdown or HTML."""
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", " ".join(text.split()))


def write_run(
    folder: Path, items: Sequence[tuple[str, SceneGraph, SceneGraph]], scores: GraphEvaluation, run: GraphRun
) -> None:
    """Write a run in the layout of SenBen's own archives: a JSON per frame, `_meta.json`, `_tag_metrics.json`, and at
    last `_summary.json`, so that a folder that has it is whole.

    The frames' files hold the truth and the captions: the data set's licence may forbid passing them on.

    Args:
        folder: a new or empty one.
        items: id, truth and prediction of each frame, as they were scored.
        scores: of these frames.
        run: what was measured, on what.

    Raises:
        DataError: the folder is not empty or cannot be written to, two frames have the same id, or the scores are of
            other frames.
    """
    if len(items) != scores.frames:
        raise DataError(
            f"{folder}: the scores are of {scores.frames} frames and {len(items)} were given; give the same."
        )
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(f"{folder}: it is a file or has something in it; name a new folder.")
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "_meta.json", {"kidsnanny": __version__, **run.model_dump(mode="json")})
        for name, truth, predicted in items:
            graphs = {"truth": truth.model_dump(mode="json"), "predicted": predicted.model_dump(mode="json")}
            _write(folder / _file(name), {"id": name, **graphs})
        summary = scores.model_dump(mode="json")
        _write(folder / "_tag_metrics.json", summary.pop("tags"))
        _write(folder / "_summary.json", summary)
    except FileExistsError as error:
        raise DataError(f"{error.filename}: two frames have the id of this file; give each its own.") from error
    except OSError as error:
        raise DataError(
            f"{error.filename}: it cannot be written ({error.strerror}); name another folder or a shorter id."
        ) from error


def _file(name: str) -> str:
    """Of a frame's id, a file name without a path, that neither hides nor starts as `_meta.json` does."""
    quoted = quote(name, safe="")
    return f"%{ord(quoted[0]):02X}{quoted[1:]}.json" if quoted[:1] in ("_", ".") else f"{quoted}.json"


def _write(path: Path, content: object) -> None:
    with path.open("x", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)

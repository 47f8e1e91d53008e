"""Scene graphs of a student against the truth, beside SenBen's published tables.

    pip install '.[student]'
    python benchmarks/senben_graphs.py                                  # the tiny student on 2,000 unseen drawn scenes
    python benchmarks/senben_graphs.py --student MY-STUDENT --data test.parquet --columns columns.toml --bge BGE-M3

`--columns` maps our fields to the columns of the data you have (`ColumnMap` in
`kidsnanny/evaluation/graphs/graph_data.py`): SenBen's are not public.
A network as small as the tiny student is fastest on one thread (OMP_NUM_THREADS=1), by far so where other programs
are busy. Scenes are numbered from 2,000,000,000 on: neither training nor its learning curve has seen them.
"""

import argparse
import itertools
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import get_args

import torch
from hardware import hardware
from rich.progress import track

from kidsnanny import Pipeline
from kidsnanny.errors import ComponentError
from kidsnanny.evaluation.graphs.caption_similarity import bge_m3
from kidsnanny.evaluation.graphs.graph_data import (
    DEFAULT_COLUMNS,
    ColumnMap,
    GraphExample,
    assert_disjoint,
    movies,
    read,
    synthetic_examples,
)
from kidsnanny.evaluation.graphs.graph_metrics import score
from kidsnanny.evaluation.graphs.graph_report import GraphRun, render, write_run
from kidsnanny.media.loader import open_picture
from kidsnanny.models.cards import cards
from kidsnanny.records import Label, SceneGraph
from kidsnanny.stage1.scene_graphs import SceneGraphs
from kidsnanny.stage1.student.student import Student
from kidsnanny.training.student.scenes import VOCABULARY, scene

FIRST = 2_000_000_000


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", default="senben-tiny", help="a card or a folder")
    parser.add_argument("--data", type=Path, help="parquet; by default drawn scenes")
    parser.add_argument("--columns", type=Path, help="TOML; by default our own schema")
    parser.add_argument("--split", help="of the data; by default all")
    parser.add_argument("--scenes", type=int, default=2_000, help="how many are drawn")
    parser.add_argument("--bge", type=Path, help="folder of BGE-m3, for the captions")
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--frames", type=Path, help="a new folder for one JSON per frame (of the last of --beams)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder of the report")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    folder = cards()[options.student].locate().parent if options.student in cards() else Path(options.student)
    if options.data:
        columns = ColumnMap.load(options.columns) if options.columns else DEFAULT_COLUMNS
        assert_disjoint(movies(options.data, columns))
        name, items = str(options.data), list(read(options.data, columns, split=options.split))
    else:
        name, items = (
            "drawn scenes (kidsnanny)",
            list(synthetic_examples(range(FIRST, FIRST + options.scenes), "test", side=128)),
        )
    embed, why = None, "no folder of BGE-m3 was given"
    if options.bge:
        try:
            embed = bge_m3(options.bge)
        except ComponentError as error:
            why = str(error)
    runs = []
    for beams in options.beams:
        student = Student.open(folder, beams=beams, device=options.device)
        looked, times = described(student, items, f"beams {beams}")
        run = GraphRun(
            system=f"{'greedy' if beams == 1 else f'{beams} beams'}, held to the grammar",
            data=name,
            hardware=chip(student),
            models=(str(student.model_id),),
            generated=not options.data,
            milliseconds=tuple(times),
            settings={
                "beams": beams,
                "trained on": student.settings.trained_on,
                "torch threads": torch.get_num_threads(),
            },
        )
        pairs = [(item.graph, graph) for item, graph in zip(items, looked, strict=True)]
        runs.append((run, score(pairs, student.vocabulary, embed=embed, no_embed=why)))
    if options.frames:
        written = [(item.id, item.graph, graph) for item, graph in zip(items, looked, strict=True)]
        write_run(options.frames, written, runs[-1][1], runs[-1][0])
    model = str(student.model_id).partition("@")[0]
    text, curve = render(runs, f"Scene graphs: {model} on {name}"), folder / "curve.json"
    parts = [_curve(json.loads(curve.read_text("utf-8")))] if curve.is_file() else []
    parts += [] if options.data else [followed(student, min(200, options.scenes))]
    text = text.replace("## Published", "\n".join((*parts, "## Published")), 1)
    target = options.out / f"senben_graphs-{model}-{chip(student)}.md"
    target.write_text(text, "utf-8")
    print(text[: text.index("## Published")], target)


def described(student: Student, items: list[GraphExample], what: str) -> tuple[list[SceneGraph], list[float]]:
    """The graph of each item, and the milliseconds it took, without decoding the file. The first is looked at twice."""
    looked, times = [], []
    for item in track([*items[:1], *items], what, disable=not sys.stderr.isatty()):
        frame = next(iter(open_picture(item.image).frames())).rgb
        start = time.perf_counter()
        looked += student([frame])
        times.append((time.perf_counter() - start) * 1e3)
    return looked[1:], times[1:]


def chip(student: Student) -> str:
    """What it runs on."""
    if student.model.device.type == "cuda":
        return torch.cuda.get_device_name().lower().replace(" ", "-")
    return hardware()


def followed(student: Student, count: int) -> str:
    """Whether the verdict follows one planted relation: scenes with a blow, and with a hug in its place."""
    pipeline = Pipeline("senben", stage1=SceneGraphs(student), stage2=None)
    table = ["| a man … a woman | safe | review | unsafe |", "| --- | --- | --- | --- |"]
    for predicate, tags in (("hitting", {"fight", "hurt"}), ("hugging", set[str]())):
        labels: Counter[str] = Counter()
        seeds = itertools.count(FIRST)
        while labels.total() < count:
            drawn = scene(next(seeds), 128, relation=("man", predicate, "woman"))
            meant = {tag for tag in drawn.graph.tags if VOCABULARY.tags[tag].means}
            if meant <= tags and not any(thing.label in VOCABULARY.sensitive for thing in drawn.graph.objects):
                labels[pipeline(drawn.image).label] += 1  # nothing else in it is for grown-ups to see
        table.append(f"| {predicate} | {' | '.join(str(labels[label]) for label in get_args(Label))} |")
    return f"### What the verdict says (preteen, vision-only, {count} scenes each)\n\n" + "\n".join(table) + "\n"


def _curve(points: list[dict[str, float]]) -> str:
    rows = ["### Learning curve (200 scenes of their own, greedy, grammar off)\n"]
    names = list(points[0])
    rows += [f"| {' | '.join(names)} |", "|" + " --- |" * len(names)]
    rows += ["| " + " | ".join(f"{point[name]:g}" for name in names) + " |" for point in points]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    main()

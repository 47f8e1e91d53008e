import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from kidsnanny.errors import DataError
from kidsnanny.evaluation.graphs.graph_metrics import GraphEvaluation, score
from kidsnanny.evaluation.graphs.graph_report import GraphRun, PublishedGraphs, published_graphs, render, write_run
from kidsnanny.records import Box, Relation, SceneGraph, SceneObject
from kidsnanny.stage1.student.vocabulary import Tag, Vocabulary

WORDS = Vocabulary(
    name="toys",
    partial=True,
    objects=("cat", "ball"),
    attributes=("red",),
    predicates=("holding",),
    tags={"storm|rain": Tag(group="weather", means=("violence",)), "snow": Tag(group="<b>winter")},
    sensitive={"ball": ("weapons",)},
)
TRUTH = SceneGraph(
    objects=(
        SceneObject(label="cat", box=Box(0, 0, 9, 9)),
        SceneObject(label="ball", box=Box(20, 0, 29, 9), attributes=("red",)),
    ),
    relations=(Relation(subject=0, predicate="holding", object=1),),
    tags={"storm|rain": 1.0},
    caption="A cat holds a red ball.",
)
GUESS = TRUTH.model_copy(update={"objects": TRUTH.objects[:1], "relations": (), "dropped": ("(ball:7",)})
RUN = GraphRun(
    system="student", data="drawn test", hardware="2 cores", models=("q2l@0123",), milliseconds=(1.0, 2.0, 30.0)
)
ITEMS = [("film/001", TRUTH, TRUTH), ("_meta", TRUTH, GUESS), ("film/001 ", SceneGraph(), SceneGraph())]


@pytest.fixture(scope="module")
def scores() -> GraphEvaluation:
    return score([pair for _, *pair in ITEMS], WORDS, no_embed="m3: there is no model.safetensors in it; put it there.")


def cells(markdown: str, first: str) -> list[str]:
    """The row of a table that begins with `first`."""
    (row,) = (line for line in markdown.splitlines() if line.startswith(f"| {first} |"))
    return re.split(r" (?<!\\)\| ", row.strip("| "))[1:]


def test_a_measured_figure_has_its_interval_its_n_and_its_hardware(scores: GraphEvaluation) -> None:
    markdown = render([(RUN, scores)], "Trial")
    # objects 3 of 4, attributes and relations 1 of 2: (3/4 + 1/2 + 1/2) / 3
    assert re.fullmatch(r"0\.583 \[\d\.\d{3}, 1\.000\], n = 3 frames", cells(markdown, "graph recall")[0])
    assert re.fullmatch(
        r"0\.500 \[\d\.\d{3}, 1\.000\], n = 2 sensitive objects in the truth",
        cells(markdown, "sensitive-object recall")[0],
    )
    assert cells(markdown, "hardware") == ["2 cores"]
    assert cells(markdown, "ms a frame: median [5 %, 95 %]") == ["2 [1, 27], n = 3 frames"]
    assert cells(markdown, "objects")[3:] == ["3", "0", "1"]


def test_what_was_not_measured_is_said(scores: GraphEvaluation) -> None:
    markdown = render([(RUN, scores)], "Trial")
    assert cells(markdown, "caption similarity") == [
        "not measured: m3: there is no model.safetensors in it; put it there."
    ]
    assert cells(markdown, "snow") == ["–", "–", "–", "0", "0", "0"]
    unspent = render([(RUN.model_copy(update={"milliseconds": ()}), scores)], "Trial")
    assert "not measured: no times were given" in unspent


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"models": ("tiny@01#random",)}, "**student: weights are random, so these figures mean nothing.**"),
        ({"generated": True}, "**student: the pictures are drawn, so these figures say nothing about films.**"),
        ({}, "student: the vocabulary toys is known to lack words."),
        ({}, "student: 1 or more statements were no graph"),
    ],
)
def test_what_spoils_the_figures_is_said_before_them(
    scores: GraphEvaluation, changed: dict[str, object], said: str
) -> None:
    before, table, _ = render([(RUN.model_copy(update=changed), scores)], "Trial").partition("| graph recall |")
    assert said in before
    assert table
    if changed:
        assert said not in render([(RUN, scores)], "Trial")


def test_runs_stand_side_by_side_in_tables_that_hold(scores: GraphEvaluation) -> None:
    other = RUN.model_copy(update={"system": "another|one\n# and `more`"})
    markdown = render([(RUN, scores), (other, scores)], "Trial <script>")
    assert markdown.startswith("# Trial \\<script\\>\n")
    assert "| student | another\\|one # and \\`more\\` |" in markdown
    assert "| \\<b\\>winter |" in markdown
    for table in re.findall(r"(?:^\|.*\|\n)+", markdown, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_our_composite_never_has_their_name(scores: GraphEvaluation) -> None:
    measured, heading, rest = render([(RUN, scores)], "Trial").partition("## Published, on other data and hardware")
    assert heading
    assert re.findall(r"SenBen-\w+", measured) == [
        "SenBen-Recall",
        "SenBen-F1",
    ]  # both where it says that ours is neither
    assert "**not** SenBen-Recall and SenBen-F1" in measured
    assert "graph recall" not in rest.lower()


def test_the_published_tables_are_shown_and_marked(scores: GraphEvaluation) -> None:
    markdown = render([(RUN, scores)], "Trial")
    assert "### Main results, 2,000 test frames [P: the repository's README]" in markdown
    assert cells(markdown, "Q2L-agg 241M") == ["0.449", "0.431", "0.457", "0.409", "0.772"]
    assert cells(markdown, "Q2L-bal 241M") == ["0.413", "0.428", "0.594", "0.420", "0.771"]
    assert "The project page prints the two Q2L rows with their values permuted" in markdown
    assert cells(markdown, "Q2L") == ["733", "1.2", "–"]
    assert cells(markdown, "Gemini 3 Flash") == ["6,121", "–", "5.80"]
    assert cells(markdown, "label smoothing") == ["-3.3", "-5.7", "+0.3", "+0.4", "+0.8", "-1.5"]


def test_the_published_tables_agree_with_each_other() -> None:
    main, tags, efficiency, ablation, left_out = (
        {row[0]: row[1:] for row in table.rows} for table in published_graphs().values()
    )
    assert [len(table.rows) for table in published_graphs().values()] == [11, 11, 9, 7, 5]
    for variant in ("bal", "agg"):  # with the project page's permuted columns none of these would hold
        assert main[f"Q2L-{variant} 241M"][2] == tags[f"Q2L-{variant}"][0]
    assert main["Q2L-bal 241M"][:3] == ablation["+ Q2L-bal"]
    assert round(ablation["+ Q2L-bal"][0] - ablation["CE"][0], 3) == 0.064  # the headline, +6.4 points
    assert round(efficiency["Qwen3-VL-8B"][0] / efficiency["Q2L"][0], 1) == 7.7  # the headline, 7.6, is cut off
    assert round(efficiency["Qwen3-VL-8B"][1] / efficiency["Q2L"][1]) == 16
    for *groups, average in left_out.values():
        assert sum(groups) / 5 == pytest.approx(average, abs=0.0501)


def test_a_crooked_table_is_refused() -> None:
    table = published_graphs()["efficiency"].model_dump()
    with pytest.raises(ValidationError, match="Efficiency: a row or the formats do not have 4 columns"):
        PublishedGraphs.model_validate(table | {"formats": ("",)})


def test_a_run_is_a_folder_of_json_that_can_be_scored_again(tmp_path: Path, scores: GraphEvaluation) -> None:
    folder = tmp_path / "runs" / "first"
    write_run(folder, ITEMS, scores, RUN)
    frames = ["film%2F001.json", "film%2F001%20.json", "%5Fmeta.json"]
    assert sorted(file.name for file in folder.iterdir()) == sorted(
        [*frames, "_meta.json", "_summary.json", "_tag_metrics.json"]
    )
    held = {file.name: json.loads(file.read_text("utf-8")) for file in folder.iterdir()}
    assert GraphEvaluation.model_validate(held["_summary.json"] | {"tags": held["_tag_metrics.json"]}) == scores
    assert (
        GraphRun.model_validate({key: value for key, value in held["_meta.json"].items() if key != "kidsnanny"}) == RUN
    )
    pairs = [
        tuple(SceneGraph.model_validate(held[name][which]) for which in ("truth", "predicted"))
        for name in ("film%2F001.json", "%5Fmeta.json", "film%2F001%20.json")
    ]
    assert score(pairs, WORDS, no_embed=scores.caption.not_measured) == scores
    assert held["%5Fmeta.json"]["id"] == "_meta"


def test_a_run_overwrites_nothing_and_loses_nothing(tmp_path: Path, scores: GraphEvaluation) -> None:
    with pytest.raises(DataError, match="the scores are of 3 frames and 1 were given; give the same"):
        write_run(tmp_path, ITEMS[:1], scores, RUN)
    with pytest.raises(DataError, match="two frames have the id of this file"):
        write_run(tmp_path / "twice", [ITEMS[0]] * 3, scores, RUN)
    assert not (tmp_path / "twice" / "_summary.json").exists()  # it is not whole
    with pytest.raises(DataError, match="has something in it; name a new folder"):
        write_run(tmp_path / "twice", ITEMS, scores, RUN)
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DataError, match=r"name (a new|another) folder"):
            write_run(path, ITEMS, scores, RUN)
    with pytest.raises(DataError, match="cannot be written"):
        write_run(tmp_path / "long", [("x" * 300, TRUTH, TRUTH), *ITEMS[:2]], scores, RUN)

"""The report of an evaluation: all the numbers, nothing that loads or runs, the same JSON from the same predictions."""

import json
import random
import re
from pathlib import Path
from typing import Any

import html_pages
import numpy as np
import pytest
from html_pages import ATTACKS, Parsed, opened, requests

from kidsnanny.errors import DataError
from kidsnanny.evaluation.metrics import BINS, holm
from kidsnanny.evaluation.predictions import (
    DatasetContents,
    LatencyMeasurement,
    Prediction,
    RunMetadata,
    SystemDescription,
)
from kidsnanny.evaluation.report.evaluation_report import render
from kidsnanny.evaluation.summary import EvaluationRun, markdown, summary_json
from kidsnanny.policy import Policy
from kidsnanny.records import ModelId, NotInspected
from kidsnanny.taxonomy import Category
from kidsnanny.verdict import CategoryScore

browser = html_pages.browser
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
POLICY = Policy.load("preteen")
SEES, BOTH, OTHER = "embedded:vision-only", "embedded:multimodal", "nudenet"

A_MODEL = ModelId(name="a-model", revision="1")


def about(name: str, **more: Any) -> SystemDescription:
    given: dict[str, Any] = {
        "regime": "multimodal" if "multimodal" in name else "vision-only",
        "categories": ("sexual", "nudity"),
        "rule": "The largest score of the mapped categories.",
        "licence": "Apache-2.0",
        "threshold": 0.5,
        "origin": "ours, not tuned on any benchmark",
        "models": {"stage1": (A_MODEL,)},
    }
    return SystemDescription(name=name, **given | more)


def meta(pictures: int, unsafe: int, *systems: SystemDescription, **more: Any) -> RunMetadata:
    by = {
        "split": {"test": (pictures - unsafe, unsafe)},
        "category": {"Sexual": (pictures - unsafe, unsafe)},
        "source": {"Laion5B": (pictures - unsafe, unsafe)},
    }
    given: dict[str, Any] = {
        "data": "UnsafeBench",
        "contents": DatasetContents(pictures=pictures, unsafe=unsafe, by=by, digest="c0ffee"),
        "generated": False,
        "contamination": (),
        "versions": {"kidsnanny": "0.1", "scikit-learn": "1.9"},
        "hardware": "2 cores",
        "command": "kidsnanny eval --data set.parquet",
        "systems": {system.name.partition(":")[0]: (system,) for system in systems},
    }
    return RunMetadata(**given | more)


def line(picture: object, system: str, unsafe: bool, score: float | None, **more: Any) -> Prediction:
    given = {"category": "Sexual", "source": "Lexica", "threshold": 0.5} | more
    return Prediction(id=str(picture), system=system, unsafe=unsafe, score=score, **given)


def ours(picture: int, system: str, unsafe: bool, score: float, broken: bool, **more: Any) -> Prediction:
    """A line as our own systems leave it."""
    if broken:
        missed = NotInspected(part="picture", reason=f"/data/{picture}.jpg: the file ends early; get it whole.")
        why = f"picture: sha256:{picture:064x}: the file ends early; get it whole."
        return line(picture, system, unsafe, None, unscored=why, not_inspected=(missed,), label="review", **more)
    category: Category = "nudity"
    return line(
        picture, system, unsafe, score, label="unsafe" if score > 0.7 else "review" if score > 0.4 else "safe",
        detail={category: CategoryScore(image=score, final=score, decided_by="image")}, decided_by="image",
        policy=POLICY, models={"stage1": (A_MODEL,)}, timings={"stage1": 12.0 + picture % 7, "ocr": 40.0}, **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run() -> EvaluationRun:
    """Three systems, 1,054 pictures as in the paper, one in ten broken; the second is the first with Stage 2."""
    generator = np.random.default_rng(1)
    lines: dict[str, list[Prediction]] = {SEES: [], BOTH: [], OTHER: []}
    for picture in range(1054):
        unsafe, broken = picture < 683, picture % 10 == 3
        more = {"source": "Laion5B" if picture % 2 else "Lexica"}
        first = float(np.clip(generator.normal(0.62 if unsafe else 0.35, 0.2), 0, 1))
        second = float(np.clip(first + generator.normal(0, 0.08), 0, 1))
        lines[SEES].append(ours(picture, SEES, unsafe, first, broken, **more))
        lines[BOTH].append(ours(picture, BOTH, unsafe, second, broken, **more))
        lines[OTHER].append(line(picture, OTHER, unsafe, float(generator.beta(2, 1 if unsafe else 2)), **more))
    again = [p.model_copy(update={"score": 1 - (p.score or 0)}) if p.id == "7" else p for p in lines[BOTH]]
    systems = (about(SEES, ours=True), about(BOTH, ours=True), about(OTHER, licence="AGPL-3.0"))
    return EvaluationRun(
        meta=meta(1054, 683, absent={"freepik": "its weights are not here; run `kidsnanny weights pull`."}).model_copy(
            update={"systems": {"embedded": systems[:2], "nudenet": systems[2:]}}
        ),
        predictions={name: tuple(found) for name, found in lines.items()},
        repeats={BOTH: tuple(again)},
        pairs=((SEES, BOTH),),
        latency=(
            LatencyMeasurement(
                protocol="one at a time, after 10 to warm up", row="embedded", milliseconds=(70, 80, 90)
            ),
        ),
    )


def parsed(folder: Path, run: EvaluationRun, thumbnails: list[tuple[str, str]] | None = None) -> Parsed:
    path = folder / "report.html"
    path.write_text(render(run, thumbnails or ()), "utf-8")
    return Parsed(path)


def test_our_rows_stand_beside_the_published_ones(tmp_path: Path, run: EvaluationRun) -> None:
    text = parsed(tmp_path, run).text
    for row in ("KidsNanny Stage 1", "Freepik nsfw_image_detector", "KidsNanny Stage 1+2", "LlavaGuard"):
        assert row in text
    assert "80.27 P77.8–82.6" in text, "as printed, with the interval of the derived counts"
    assert "multimodal, published: UnsafeBench Sexual, 1,054 pictures, other hardware" in text
    assert "Published, vision-only: on an RTX 4090, says a secondary source; median or mean is not public" in text
    assert "At thresholds of 0.5 and 0.5." in text
    assert "1,054 pictures (683 unsafe): as many as here" in text
    found = run.summary.systems[SEES].all.scores.accuracy
    assert f"{found.value:.2%}".strip("%") in text
    assert f"{found.clopper_pearson[0] * 100:.1f}–{found.clopper_pearson[1] * 100:.1f}" in text
    assert "Not evaluated: freepik: its weights are not here" in text
    assert "1,054 pictures are the category Sexual of UnsafeBench's training and test splits together" in text


@pytest.mark.parametrize(
    ("subset", "says"),
    [
        ("text-only", "text-only subset, published: UnsafeBench Sexual, 44 pictures, other hardware"),
        ("text+visual", "The paper has no figures on this subset."),
        ("memes", "The paper has no figures on this subset."),
    ],
)
def test_a_subset_has_the_papers_rows_for_it_and_no_others(
    tmp_path: Path, run: EvaluationRun, subset: str, says: str
) -> None:
    text = parsed(tmp_path, run.model_copy(update={"subset": subset})).text
    assert says in text
    assert "Freepik" not in text
    assert ("75.76" in text) == (subset == "text-only")


def test_other_pictures_than_the_papers_are_said_to_be_others(tmp_path: Path) -> None:
    few = EvaluationRun(meta=meta(1, 1, about("s")), predictions={"s": (line(1, "s", True, 0.9),)})
    assert "not the 1 (1 unsafe) of this run" in parsed(tmp_path, few).text


def test_nothing_is_scored_by_chance(run: EvaluationRun) -> None:
    """A tenth of the pictures has no score: left out, all wrong or all right as the label has it; never guessed."""
    found = run.summary.systems[SEES]
    left, unsafe, safe = (s.counts for s in (found.all.scores, found.unscored_as_unsafe, found.unscored_as_safe))
    broken = [p for p in run.systems[SEES] if p.score is None]
    of_unsafe = sum(p.unsafe for p in broken)
    of_safe = len(broken) - of_unsafe
    assert (left.n, unsafe.n, safe.n) == (1054 - len(broken), 1054, 1054)
    assert (unsafe.tp - left.tp, unsafe.fp - left.fp) == (of_unsafe, of_safe)
    assert (safe.fn - left.fn, safe.tn - left.tn) == (of_unsafe, of_safe)
    assert found.unscored_reasons == {"picture: sha256:…: the file ends early; get it whole.": len(broken)}
    assert found.not_inspected == {"picture: …: the file ends early; get it whole.": len(broken)}


def test_review_is_counted_both_ways(run: EvaluationRun) -> None:
    found = run.summary.systems[BOTH]
    strict, lenient = found.review_as_unsafe.counts, found.review_as_safe.counts
    assert strict.n == lenient.n == 1054, "what has no score has a label all the same"
    flagged = sum(found.labels[label] for label in ("review", "unsafe"))
    assert (strict.tp + strict.fp, lenient.tp + lenient.fp) == (flagged, found.labels["unsafe"])
    assert run.summary.systems[OTHER].labels == {}


def test_the_parts_make_the_whole(run: EvaluationRun) -> None:
    for found in run.summary.systems.values():
        for slices in (found.by_source, found.by_category):
            assert sum(part.pictures for part in slices.values()) == found.all.pictures
            assert sum(part.scores.counts.tp for part in slices.values()) == found.all.scores.counts.tp
        assert sum(part.n for part in found.calibration.bins) == found.all.scores.counts.n
        assert len(found.calibration.bins) <= BINS


def test_all_systems_are_compared_in_pairs(run: EvaluationRun) -> None:
    found = run.summary
    assert [(c.a, c.b, c.pairs) for c in found.comparisons] == [
        (SEES, BOTH, 948),
        (SEES, OTHER, 948),
        (BOTH, OTHER, 948),
    ]
    assert [c.p_holm for c in found.comparisons] == holm([c.p for c in found.comparisons])
    assert any(c.p < c.p_holm for c in found.comparisons)
    (flipped,) = found.flips
    assert (flipped.better, flipped.worse) == (found.comparisons[0].only_b, found.comparisons[0].only_a)
    assert (found.repeats[BOTH].flipped.n, found.repeats[BOTH].flipped_ids) == (948, ("7",))


def test_the_summary_does_not_depend_on_the_order_of_the_lines(run: EvaluationRun) -> None:
    shuffled = {
        name: tuple(random.Random(name).sample(lines, len(lines))) for name, lines in reversed(run.predictions.items())
    }
    assert json.dumps(summary_json(run.model_copy(update={"predictions": shuffled}))) == json.dumps(summary_json(run))


@pytest.mark.parametrize(
    ("reason", "counted"),
    [
        ("image file is truncated ({} bytes not processed)", {"image file is truncated (… bytes not processed)": 2}),
        (
            "1 piece of the student's scene graph could not be read: tags: 'a{}' is not in it",
            {"1 piece of the student's scene graph could not be read: tags: … is not in it": 2},
        ),
        ("HTTP 400: 'it is too large: {}'", {"HTTP 400: 'it is too large: 1'": 1, "HTTP 400: 'it is too large: 2'": 1}),
    ],
)
def test_reasons_that_differ_in_what_was_in_the_picture_alone_are_counted_together(
    reason: str, counted: dict[str, int]
) -> None:
    lines = tuple(
        line(n, "s", True, 0.9, not_inspected=(NotInspected(part="picture", reason=reason.format(n)),)) for n in (1, 2)
    )
    found = EvaluationRun(meta=meta(2, 2, about("s")), predictions={"s": lines}).summary.systems["s"].not_inspected
    assert found == {f"picture: {one}": pictures for one, pictures in counted.items()}


def test_only_two_keys_of_the_summary_may_differ_between_equal_runs(run: EvaluationRun) -> None:
    slower = {
        name: tuple(p.model_copy(update={"timings": {"stage1": 99.0}}) for p in lines)
        for name, lines in run.predictions.items()
    }
    elsewhere = run.meta.model_copy(update={"hardware": "64 cores", "command": "another", "versions": {}})
    other = summary_json(EvaluationRun(meta=elsewhere, predictions=slower, repeats=run.repeats, pairs=run.pairs))
    first = summary_json(run)
    assert {key for key in first if first[key] != other[key]} == {"made_with", "timings"}
    text = json.dumps(first)
    assert json.dumps(first, sort_keys=True) == text
    assert first["systems"][SEES]["all"]["scores"]["counts"] == run.summary.systems[SEES].all.scores.counts.model_dump()


def test_the_table_for_a_terminal(run: EvaluationRun) -> None:
    rows = [row.split(" | ") for row in markdown(run).splitlines()]
    assert {len(row) for row in rows} == {8}
    assert [row[0] for row in rows[2:5]] == [f"| {SEES}", f"| {BOTH}", f"| {OTHER}"]
    assert rows[2][1:3] == ["1054", "106"]
    assert (
        rows[5][0] == "| KidsNanny Stage 1, vision-only: published: UnsafeBench Sexual, 1,054 pictures, other hardware"
    )
    assert rows[5][3] == "80.27 (P)"


def test_a_run_of_other_categories_has_no_published_rows(tmp_path: Path, run: EvaluationRun) -> None:
    contents = run.meta.contents.model_copy(update={"by": {"category": {"any": (371, 683)}}})
    elsewhere = run.model_copy(update={"meta": run.meta.model_copy(update={"contents": contents})})
    assert elsewhere.summary.published == ()
    assert "published" not in markdown(elsewhere)
    text = parsed(tmp_path, elsewhere).text
    assert "80.27" not in text
    assert "The paper's figures are of UnsafeBench's Sexual, which this run is not of." in text


@pytest.mark.parametrize("why", ["standard: a file is not here; get it.", "a file is not here; get it."])
def test_what_was_not_evaluated_is_named_once(tmp_path: Path, run: EvaluationRun, why: str) -> None:
    lacking = run.model_copy(update={"meta": run.meta.model_copy(update={"absent": {"standard": why}})})
    assert "Not evaluated: standard: a file is not here" in parsed(tmp_path, lacking).text


@pytest.mark.parametrize("scores", [[], [(True, 0.9)], [(True, None)], [(False, 0.1), (False, 0.2)]])
def test_what_is_undefined_is_a_dash(tmp_path: Path, scores: list[tuple[bool, float | None]]) -> None:
    lines = tuple(line(i, "s", unsafe, score) for i, (unsafe, score) in enumerate(scores))
    unsafe = sum(label for label, _ in scores)
    few = EvaluationRun(meta=meta(len(scores), unsafe, about("s")), predictions={"s": lines}, repeats={"s": lines})
    text = parsed(tmp_path, few).text
    assert "They need scored pictures of both labels." in text
    assert "nan" not in text.lower().replace("nanny", "")
    json.dumps(summary_json(few), allow_nan=False)
    assert markdown(few).splitlines()[2].endswith("| – |")


def test_no_system_at_all_is_a_report_too(tmp_path: Path) -> None:
    none = EvaluationRun(meta=meta(3, 1, about("s"), absent={"t": "it is not here; install it."}), predictions={})
    text = parsed(tmp_path, none).text
    assert "Incomplete: s has no line for 3 of 3 pictures." in text
    assert "Not evaluated: t: it is not here; install it." in text
    assert "0 systems" in text


def test_what_must_be_known_first_comes_first(tmp_path: Path) -> None:
    warned = EvaluationRun(
        meta=meta(
            2,
            1,
            about("s", models={"stage1": (A_MODEL, ModelId(name="a", caveat="random"))}),
            about("t", models={"stage1": (ModelId(name="b", caveat="demo"),)}),
            generated=True,
            contamination=("train: s was trained on it.",),
            warnings=("The threshold of s was chosen on these pictures.",),
        ),
        predictions={"s": (line(1, "s", True, 0.9),)},
    )
    text = parsed(tmp_path, warned).text
    assert "| s (random weights) |" in markdown(warned)
    assert "s (random weights)" in text
    said = (
        "Read this first. The threshold of s was chosen on these pictures.",
        "The pictures are drawn and the labels are stand-ins: no figure here says anything about a system",
        "Weights: those of s are random, so what they say means nothing.",
        "Weights: those of t know scenes that kidsnanny drew and nothing else, so what they say",
        "Contamination: train: s was trained on it.",
        "Incomplete: s has no line for 1 of 2 pictures.",
        "Measured, beside published",
    )
    places = [text.index(" ".join(sentence.split())) for sentence in said]
    assert places == sorted(places)


ONCE = line(1, "s", True, 0.9)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"predictions": {"s": (ONCE, ONCE)}}, "s: 1 was predicted 2 times"),
        ({"predictions": {"s": (ONCE, line(2, "s", True, 0.9, threshold=0.4))}}, "s: its lines mix systems or"),
        ({"predictions": {"t": (ONCE,)}}, "t: its lines mix systems or thresholds"),
        (
            {"predictions": {"s": (ONCE,), "t": (line(1, "t", False, 0.9),)}},
            "t: 1 is safe in one line and unsafe in another",
        ),
        ({"predictions": {"s": (ONCE,)}, "pairs": (("s", "t"),)}, "t: there are no predictions to compare with"),
        ({"predictions": {}, "repeats": {"s": (ONCE,)}}, "s: there are no predictions to compare with"),
    ],
)
def test_lines_that_contradict_each_other_are_refused(broken: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=re.escape(says)):
        EvaluationRun(meta=meta(1, 1), **broken)


class TestPictures:
    def test_none_by_default(self, tmp_path: Path, run: EvaluationRun) -> None:
        assert parsed(tmp_path, run).all("img") == []

    def test_those_that_were_handed_over(self, tmp_path: Path, run: EvaluationRun) -> None:
        report = parsed(tmp_path, run, [("3", PIXEL), ("7", PIXEL)])
        assert [image["src"] for image in report.all("img")] == [PIXEL, PIXEL]
        assert f"3: labelled unsafe{SEES}: unscored" in report.text

    @pytest.mark.parametrize(
        ("picture", "uri"),
        [("3", "https://example.org/x.png"), ("3", 'data:image/png;base64,"onload="x'), ("none", PIXEL)],
    )
    def test_others_are_refused(self, run: EvaluationRun, picture: str, uri: str) -> None:
        with pytest.raises(DataError, match=f"^{picture}: "):
            render(run, [(picture, uri)])


def full_of(text: str) -> EvaluationRun:
    """A run that says `text` wherever a run can hold text that somebody else wrote."""
    names = [f"{text}:1", f"{text}:2"]
    missed = (NotInspected(part="text", reason=text),)
    more: dict[str, Any] = {
        "category": text,
        "source": text,
        "models": {text: (ModelId(name=text),)},
        "not_inspected": missed,
    }
    lines = {
        name: (
            line(text, name, True, 0.9, timings={text: 1.0}, label="unsafe", policy=POLICY, **more),
            line(text + "2", name, False, 0.7 if name == names[0] else 0.3, **more),
            line(text + "3", name, True, None, unscored=text, **more),
        )
        for name in names
    }
    described = [about(name, rule=text, licence=text, origin=text) for name in names]
    contents = DatasetContents(pictures=3, unsafe=2, by={"split": {text: (1, 2)}}, digest=text)
    return EvaluationRun(
        meta=meta(3, 2).model_copy(
            update={
                "data": text, "contents": contents, "contamination": (text,), "versions": {text: text},
                "hardware": text, "command": text, "systems": {text: tuple(described)}, "absent": {text: text},
                "warnings": (text,),
            }
        ),
        predictions=lines, repeats={names[0]: lines[names[0]]}, pairs=((names[0], names[1]),), subset=text,
        latency=(LatencyMeasurement(protocol=text, row=text, milliseconds=(1.0,)),),
    )  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_text_stays_text(tmp_path: Path, attack: str) -> None:
    harmless = parsed(tmp_path, full_of("harmless"), [("harmless", PIXEL)])
    report = parsed(tmp_path, full_of(attack), [(attack, PIXEL)])
    assert report.shape == harmless.shape
    visible = "".join(c if c.isprintable() else f"[U+{ord(c):04X}]" for c in attack)
    assert report.text.count(visible) >= 40
    assert all(c.isprintable() or c == "\n" for c in report.html)
    assert len(markdown(full_of(attack)).splitlines()) == 4


def test_the_contents_lead_to_every_section(tmp_path: Path, run: EvaluationRun) -> None:
    for thumbnails in ([], [("3", PIXEL)]):
        report = parsed(tmp_path, run, thumbnails)
        targets = [str(link["href"]).removeprefix("#") for link in report.all("a")]
        places = [tag["id"] for name, tag in report.tags if name in ("section", "article") and "id" in tag]
        assert targets == places


def test_every_mark_is_explained_once_and_before_it_is_used(tmp_path: Path, run: EvaluationRun) -> None:
    text = parsed(tmp_path, run).text
    start = text.rindex("Marks and abbreviations")
    end = text.index("Measured, beside published", start)
    for mark in ("N, unscored", "F1", "AUROC", "AUPRC", "TP, FN, FP, TN", "95 %", "Wilson", "bootstrap", "Clopper",
                 "P, S, D", "p, Holm", "McNemar", "hollow", "–"):  # fmt: skip
        assert mark in text[start:end], mark
    for once in ("McNemar", "percentile bootstrap", "printed in the paper"):
        assert text.count(once) == 1, once


def test_no_chart_stands_alone(tmp_path: Path, run: EvaluationRun) -> None:
    report = parsed(tmp_path, run)
    charts = [place for place, (tag, _) in enumerate(report.tags) if tag == "svg"]
    assert len(charts) == 1 + 3 * 3
    tags = [tag for tag, _ in report.tags]
    assert tags.count("figcaption") == tags.count("figure") == len(charts) + 3, "a matrix for each system, too"
    found = run.summary.systems[SEES].all.scores
    assert f"with recall {found.recall.value:.2f} and false alarms" in report.text
    assert f"with recall {found.recall.value:.2f} and precision {found.precision.value:.2f}" in report.text
    assert report.text.count("The figures are in the table under Calibration.") == 3


def test_it_loads_nothing(tmp_path: Path, run: EvaluationRun) -> None:
    report = parsed(tmp_path, run)
    assert report.all("script") == []
    named = {value for _, attributes in report.tags for key, value in attributes.items() if key in html_pages.LOADING}
    assert {value for value in named if not str(value).startswith("#")} == {"data:,"}
    policy = next(m["content"] for m in report.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_in_a_browser(browser: Any, tmp_path: Path, run: EvaluationRun, width: int, scheme: str) -> None:
    parsed(tmp_path, run, [("3", PIXEL)])
    picture = opened(browser, tmp_path / "report.html", width, scheme)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert (np.asarray(picture).mean() > 128) == (scheme == "light")
    for fold in browser.find_elements("css selector", "summary"):
        fold.click()
    curve = browser.find_element("css selector", "path.curve")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", curve)
    assert min(curve.size.values()) > 100
    assert browser.get_log("browser") == []
    assert requests(browser) == {"file://", "data:"}
    (tmp_path / "screenshot.png").write_bytes(browser.get_screenshot_as_png())

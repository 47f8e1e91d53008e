"""`kidsnanny eval` from the outside."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import encoded, gradient, page
from typer.testing import CliRunner, Result

from kidsnanny.cli.app import app
from kidsnanny.cli.eval import _best
from kidsnanny.errors import DataError
from kidsnanny.evaluation import generated
from kidsnanny.evaluation.datasets import Dataset
from kidsnanny.evaluation.predictions import DatasetContents, Example, Prediction, RunMetadata
from kidsnanny.evaluation.summary import EvaluationRun
from kidsnanny.evaluation.systems.system import Options
from kidsnanny.taxonomy import CATEGORIES


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both splits of a generated data set, in a folder."""
    folder = tmp_path_factory.mktemp("data")
    generated.write(folder / "train-00000-of-00001.parquet", 12, seed=1)
    generated.write(folder / "test-00000-of-00001.parquet", 16)
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["eval", *map(str, arguments)])


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_a_run_from_the_data_to_the_report(data: Path, tmp_path: Path) -> None:
    asked = ("--data", data, "--out", tmp_path, "--expect", 28, "--systems", "nudenet,embedded", "--pictures")
    done = run(*asked, "--latency", 2)
    assert done.exit_code == 0, done.output
    said = flat(done.output)
    assert "28 pictures, drawn by kidsnanny: no figure on them means anything" in said
    assert "12 of 28 pictures are of the training split" in said
    assert all(name in said for name in ("nudenet", "embedded:vision-only", "embedded:multimodal", "80.27"))
    assert "report.html" in said
    report = (tmp_path / "report.html").read_text("utf-8")
    assert report.count("data:image/png;base64,") > 3
    assert "12 of 28 pictures are of the training split" in report
    assert generated.CANARY not in report
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert set(summary["systems"]) == {"nudenet", "embedded:vision-only", "embedded:multimodal"}
    assert summary["systems"]["nudenet"]["all"]["pictures"] == 28
    assert sorted(path.name for path in (tmp_path / "predictions").iterdir()) == ["embedded.jsonl", "nudenet.jsonl"]

    before = (tmp_path / "predictions" / "embedded.jsonl").read_bytes()
    again = run(*asked)
    assert again.exit_code == 0
    assert (tmp_path / "predictions" / "embedded.jsonl").read_bytes() == before, "nothing is looked at twice"
    assert json.loads((tmp_path / "summary.json").read_text())["systems"] == summary["systems"]


def test_an_absent_system_is_named_and_the_others_run(data: Path, tmp_path: Path) -> None:
    done = run("--data", data, "--split", "test", "--out", tmp_path, "--systems", "llavaguard,nudenet")
    assert done.exit_code == 3
    assert "not evaluated: llavaguard: nothing says where its model is" in flat(done.output)
    assert "nothing says where its model is" in (tmp_path / "report.html").read_text("utf-8")
    assert "Contamination" not in done.output
    assert len((tmp_path / "predictions" / "nudenet.jsonl").read_bytes().splitlines()) == 16


def test_thresholds_of_the_users_own(data: Path, tmp_path: Path) -> None:
    asked = ("--data", data, "--systems", "embedded", "--regime", "multimodal")
    assert run(*asked, "--split", "train", "--out", tmp_path / "b").exit_code == 0
    assert run(*asked, "--split", "test", "--out", tmp_path / "c", "--choose-on", tmp_path / "b").exit_code == 0
    (row,) = json.loads((tmp_path / "c" / "meta.json").read_text())["systems"]["embedded"]
    assert "the best F1" in row["origin"]
    lacking = run("--data", data, "--out", tmp_path / "e", "--choose-on", tmp_path / "b")
    assert lacking.exit_code == 2
    assert "the run to choose its threshold on lacks embedded:vision-only; evaluate" in flat(lacking.output)
    refused = run(*asked, "--out", tmp_path / "d", "--choose-on", tmp_path / "b")
    assert refused.exit_code == 2
    assert "which flatters the system" in flat(refused.output)
    forced = run(*asked, "--out", tmp_path / "d", "--choose-on", tmp_path / "b", "--force")
    assert forced.exit_code == 0
    assert "chosen on 11 of the very pictures" in flat(forced.output), "one of the twelve is broken"
    assert "chosen on 11 of the very pictures" in (tmp_path / "d" / "report.html").read_text("utf-8")


def test_the_same_pictures_under_another_name_are_no_other_pictures(data: Path, tmp_path: Path) -> None:
    asked = ("--systems", "embedded", "--regime", "multimodal", "--limit", "8")
    assert run("--data", data, "--split", "test", "--out", tmp_path / "a", *asked).exit_code == 0
    renamed = tmp_path / "pictures.parquet"
    renamed.write_bytes((data / "test-00000-of-00001.parquet").read_bytes())
    refused = run("--data", renamed, "--out", tmp_path / "b", "--choose-on", tmp_path / "a", *asked)
    assert refused.exit_code == 2
    assert "of the pictures that are reported on, which flatters the system" in flat(refused.output)


def test_a_category_that_nothing_speaks_about_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label\na.png,safe\n")
    asked = ("--data", tmp_path / "list.csv", "--out", tmp_path / "out", "--category")
    for category, what in (("sexuall", "sexuall"), ("Political", "Political")):
        refused = run(*asked, category)
        assert refused.exit_code == 2
        assert f"no system speaks about {what}; name UnsafeBench's category" in flat(refused.output)


def test_data_without_a_category(tmp_path: Path) -> None:
    for number, label in enumerate(("safe", "unsafe")):
        (tmp_path / "data" / label).mkdir(parents=True)
        (tmp_path / "data" / label / "a.png").write_bytes(encoded(gradient(seed=number)))
    asked = ("--data", tmp_path / "data", "--systems", "nudenet,embedded", "--regime", "multimodal", "--out")
    for given, said, category in (
        ((), "names no category: its pictures are of the category `any`", "any"),
        (("--category", "all"), "names no category: its pictures are of the category `any`", "any"),
        (("--category", "Sexual"), "all of its pictures are taken as Sexual, as --category says", "Sexual"),
    ):
        out = tmp_path / "".join(("out", *given))
        done = run(*asked, out, *given)
        assert done.exit_code == 0, done.output
        assert said in flat(done.output)
        assert said in flat(re.sub("<[^>]+>", "", (out / "report.html").read_text("utf-8")))
        assert ("80.27" in done.output) == (category == "Sexual"), "published rows are of Sexual alone"
        for about in json.loads((out / "meta.json").read_text())["systems"].values():
            lines = (out / "predictions" / f"{about[0]['name'].partition(':')[0]}.jsonl").read_text().splitlines()
            wanted = set(about[0]["categories"]) & ({"sexual", "nudity"} if category == "Sexual" else {*CATEGORIES})
            assert all(set(json.loads(line)["mapped"]) == wanted for line in lines)


def test_nothing_scored_is_told_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label\ngone.png,safe\naway.png,unsafe\n")
    done = run("--data", tmp_path / "list.csv", "--systems", "nudenet", "--out", tmp_path / "out")
    assert done.exit_code == 11
    assert "nudenet: not one picture was scored; mostly, " in flat(done.output)
    assert "it cannot be read (No such file" in flat(done.output)


ROWS = ("vision-only", "multimodal:asymmetric", "multimodal:judge")
ONE = Dataset("this", lambda: iter([Example("x", b"", True, "Sexual", "", "")]))


def judged(rows: tuple[str, ...], category: str = "Sexual", pictures: int = 5) -> EvaluationRun:
    """A run of a profile that has a judge, on five pictures."""
    lines = {
        row: tuple(
            Prediction(id=str(n), system=row, unsafe=n > 2, category=category, source="", threshold=0.5, score=n / 9)
            for n in range(5)
        )
        for row in (f"standard:{row}" for row in rows)
    }
    contents = DatasetContents(pictures=pictures, unsafe=2, by={"category": {category: (3, 2)}}, digest="")
    more = {"contamination": (), "versions": {}, "hardware": "", "command": ""}
    return EvaluationRun(meta=RunMetadata(data="other", contents=contents, generated=False, **more), predictions=lines)


@pytest.mark.parametrize(
    ("there", "regimes", "authorities", "chosen"),
    [
        (ROWS, ("vision-only", "multimodal"), ("asymmetric", "judge"), ROWS),
        (ROWS, ("vision-only", "multimodal"), ("judge",), ("vision-only", "multimodal:judge")),
        (ROWS, ("multimodal",), ("asymmetric",), ("multimodal:asymmetric",)),
        (ROWS[:2], ("vision-only", "multimodal"), ("asymmetric", "judge"), "multimodal:judge"),
        (ROWS[1:], ("vision-only", "multimodal"), ("asymmetric", "judge"), "vision-only"),
    ],
)
def test_thresholds_are_chosen_for_the_rows_that_are_evaluated(
    there: tuple[str, ...], regimes: Any, authorities: Any, chosen: tuple[str, ...] | str
) -> None:
    """All or none: the policy's own threshold beside one that was chosen would be another kind of threshold."""
    asked = (judged(there), ["standard"], Options(regimes=regimes, authorities=authorities), ONE, False)
    if isinstance(chosen, str):
        with pytest.raises(DataError, match=f"lacks standard:{chosen}; evaluate the same there"):
            _best(*asked)
    else:
        assert set(_best(*asked)[0]) == {f"standard:{row}" for row in chosen}


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (judged(ROWS, category="Violence"), "is of Violence and this one of Sexual, whose score is another one"),
        (judged(ROWS, pictures=6), "other: the run to choose a threshold on lacks 3 lines; let it end"),
    ],
)
def test_thresholds_are_chosen_on_a_whole_run_of_the_same_score(run: EvaluationRun, says: str) -> None:
    with pytest.raises(DataError, match=says):
        _best(run, ["standard"], Options(), ONE, True)


def test_a_system_that_was_not_there_keeps_its_own_threshold() -> None:
    chosen, warnings = _best(judged(ROWS), ["freepik", "standard"], Options(), ONE, False)
    assert len(chosen) == 3
    assert warnings == ("freepik keeps its own threshold: the run to choose it on lacks it.",)


def test_a_row_with_nothing_to_choose_on_keeps_its_own_threshold(data: Path, tmp_path: Path) -> None:
    asked = ("--systems", "embedded", "--category")
    (tmp_path / "a.png").write_bytes(encoded(page("Kill them all tonight, shoot and stab them")))
    (tmp_path / "list.csv").write_text("path,label,category\na.png,unsafe,Sexual\n")
    assert run("--data", tmp_path / "list.csv", "--out", tmp_path / "a", *asked, "Sexual").exit_code == 0
    done = run("--data", data, "--out", tmp_path / "b", "--choose-on", tmp_path / "a", *asked, "Sexual")
    assert done.exit_code == 0, done.output
    assert "embedded:vision-only keeps its own threshold: it scored no unsafe picture above 0" in flat(done.output)
    blind, reads = json.loads((tmp_path / "b" / "meta.json").read_text())["systems"]["embedded"]
    assert (blind["origin"][:5], reads["origin"][:11]) == ("ours:", "the best F1")


def test_a_manifest_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(gradient()))
    (tmp_path / "list.csv").write_text("path,label,category\na.png,safe,violence\ngone.png,unsafe,violence\n")
    done = run("--data", tmp_path / "list.csv", "--category", "violence", "--out", tmp_path / "out")
    assert done.exit_code == 0
    systems = json.loads((tmp_path / "out" / "summary.json").read_text())["systems"]
    assert {name: found["all"]["unscored"] for name, found in systems.items()} == {
        "embedded:vision-only": 2,  # it has no eye for violence
        "embedded:multimodal": 1,
    }
    assert "it cannot be read (No such file" in str(systems["embedded:multimodal"]["unscored_reasons"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--systems", "nsfw"), "--systems names nsfw; choose of embedded, standard"),
        (("--systems", ","), "--systems names nothing; choose of embedded"),
        (("--regime", "both"), "--regime names both; choose of vision-only, multimodal"),
        (("--authority", "mine"), "--authority names mine; choose of asymmetric, judge"),
        (("--threshold", "nudenet"), "--threshold nudenet: it is not NAME=VALUE with NAME one of --systems e"),
        (("--threshold", "nudenet=0.3"), "--threshold nudenet=0.3: it is not NAME=VALUE with NAME one of --systems e"),
        (("--threshold", "embedded=0"), "--threshold embedded=0: a threshold is above 0 and at most 1"),
        (("--threshold", "embedded=high"), "--threshold embedded=high: a threshold is above 0"),
        (("--threshold", "embedded=nan"), "--threshold embedded=nan: a threshold is above 0"),
        (("--folder", "me=/"), "--folder me=/: it is not NAME=VALUE"),
        (("--policy", "baby"), "baby: there is no such policy"),
        (("--expect", "1054"), "it holds 28 pictures of what was asked for (test 16, train 12) where 1,054 are"),
        (("--category", "Spam"), "it holds no pictures of Spam"),
        (("--data", "nowhere"), "nowhere: there is nothing there; name a .parquet"),
        (("--choose-on", "nowhere"), "nowhere: there is no run"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_looked_at(
    arguments: tuple[str, ...], says: str, data: Path, tmp_path: Path
) -> None:
    refused = run("--data", data, "--out", tmp_path / "out", *arguments)
    assert refused.exit_code == 2
    assert says in flat(refused.output)
    assert not (tmp_path / "out").exists()


def test_a_run_on_other_data_is_not_gone_on_with(data: Path, tmp_path: Path) -> None:
    asked = ("--data", data, "--out", tmp_path, "--systems", "nudenet")
    assert run(*asked, "--split", "test").exit_code == 0
    other = run(*asked)
    assert other.exit_code == 2
    assert "the run there was made with other data (16 pictures" in flat(other.output)


def test_help_teaches() -> None:
    said = flat(CliRunner().invoke(app, ["eval", "--help"], env={"COLUMNS": "200"}).output)
    assert "Example: kidsnanny eval --data unsafebench/ --expect 1054" in said
    assert "openai-moderation" in said
    assert "`path`, counted from the manifest's own folder, and `label` (safe or unsafe, 0 or 1, false or true" in said
    assert "11 not one picture was scored" in said

"""A run is a folder: it survives a kill, refuses what it was not begun with, and replays line by line."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kidsnanny.errors import ComponentError, DataError
from kidsnanny.evaluation import generated, run
from kidsnanny.evaluation.datasets import Dataset, open_dataset, read_contents
from kidsnanny.evaluation.predictions import Prediction, RunMetadata
from kidsnanny.evaluation.run import Extras, evaluate
from kidsnanny.evaluation.run_folder import inspections, read, replay
from kidsnanny.evaluation.summary import summary_json
from kidsnanny.evaluation.systems.registry import SYSTEMS
from kidsnanny.evaluation.systems.system import Options
from kidsnanny.files import alone_in
from kidsnanny.policy import Policy

COUNT = 30
SEXUAL = Options(categories=("Sexual",))
KILLED_AT = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from kidsnanny.evaluation.datasets import open_dataset, read_contents
from kidsnanny.evaluation.run import evaluate
from kidsnanny.evaluation.systems.system import Options

data, out, at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
dataset = open_dataset(data, categories=("Sexual",))

def dying():
    for number, example in enumerate(dataset.read()):
        if number == at:
            os.kill(os.getpid(), signal.SIGKILL)
        yield example

contents, options = read_contents(dataset), Options(categories=("Sexual",))
evaluate(replace(dataset, read=dying), contents, ["embedded", "nudenet"], options, out)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generated.write(tmp_path_factory.mktemp("data") / "test-00000-of-00001.parquet", COUNT)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    out = tmp_path_factory.mktemp("whole") / "out"
    go_on(data, out, extras=Extras(repeat=True, latency=4))
    return out


@pytest.fixture(scope="module")
def expected(whole: Path) -> dict[str, Any]:
    return figures(whole)


def go_on(
    data: Path, out: Path, *, options: Options = SEXUAL, names: tuple[str, ...] = ("embedded", "nudenet"), **more: Any
) -> RunMetadata:
    limit = more.pop("limit", None)
    dataset = open_dataset(data, categories=("Sexual",), limit=limit)
    return evaluate(dataset, read_contents(dataset), names, options, out, **more)


def figures(out: Path) -> dict[str, Any]:
    """The summary without what two equal runs may differ in, and without what is measured besides."""
    found = summary_json(read(out))
    return {key: value for key, value in found.items() if key not in ("timings", "made_with", "repeats")}


def lines(out: Path, name: str = "embedded") -> list[bytes]:
    return (out / "predictions" / f"{name}.jsonl").read_bytes().splitlines(keepends=True)


def test_a_run_holds_a_line_per_picture_and_row(data: Path, whole: Path) -> None:
    found = read(whole)
    ids = [example.id for example in open_dataset(data)]
    assert {name: [line.id for line in of] for name, of in found.predictions.items()} == {
        "embedded:vision-only": ids,
        "embedded:multimodal": ids,
        "nudenet": ids,
    }
    assert found.pairs == (("embedded:vision-only", "embedded:multimodal"),)
    assert found.meta.generated
    assert found.meta.contents == read_contents(open_dataset(data))
    assert found.meta.versions["kidsnanny"]
    said = {
        (line.unsafe, line.score is not None and line.score >= line.threshold)
        for line in found.predictions["embedded:multimodal"]
    }
    assert len(said) >= 3, "it is right and wrong"


def test_nudenet_says_the_same_as_the_detector_of_the_embedded_profile(whole: Path) -> None:
    seen = inspections(whole, "embedded")
    for prediction in read(whole).predictions["nudenet"]:
        if said := seen[prediction.id].image_signals:
            found = [one.score for one in said.signals if one.source == "detector"]
            assert prediction.score == max(found, default=0)
        else:
            assert prediction.unscored


def test_every_line_replays_its_label_and_score(whole: Path) -> None:
    systems = read(whole).meta.systems
    for name in ("embedded", "nudenet"):
        rows = {row.name: row for row in systems[name]}
        seen = inspections(whole, name)
        for line in lines(whole, name):
            prediction = Prediction.model_validate_json(line)
            decision = replay(rows[prediction.system], prediction, seen[prediction.id])
            assert decision.detail == prediction.detail
            assert prediction.label in (decision.label, None if name == "nudenet" else decision.label)
            finals = [decision.detail[c].final for c in prediction.mapped if c in decision.detail]
            assert prediction.score == (max(finals) if prediction.unscored is None else None)


def test_a_run_that_went_on_has_one_inspection_for_each_picture(data: Path, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    for folder, kept in (("predictions", 5), ("inspections", 4)):
        path = tmp_path / folder / "embedded.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:kept])[:-3])
    go_on(data, tmp_path)
    written = (tmp_path / "inspections" / "embedded.jsonl").read_bytes().splitlines()
    ids = [json.loads(line)["id"] for line in written]
    assert sorted(ids) == sorted(inspections(whole, "embedded"))


def test_what_decides_by_no_policy_cannot_be_replayed(whole: Path) -> None:
    line = Prediction(id="a", system="llavaguard", unsafe=True, category="", source="", threshold=0.5, score=1.0)
    with pytest.raises(DataError, match="nothing to replay"):
        replay(read(whole).meta.systems["nudenet"][0], line, inspections(whole, "nudenet").popitem()[1])


def test_the_column_text_reaches_no_line(whole: Path) -> None:
    written = b"".join(path.read_bytes() for path in whole.rglob("*") if path.is_file())
    assert generated.CANARY.encode() not in written


def test_a_second_run_is_kept_apart_and_latency_is_measured_apart(whole: Path) -> None:
    found = read(whole)
    assert list(found.repeats) == ["embedded:multimodal"]
    assert summary_json(found)["repeats"]["embedded:multimodal"]["flipped"]["successes"] == 0
    assert {one.row: len(one.milliseconds) for one in found.latency} == {
        "embedded:multimodal": 4,
        "embedded:vision-only": 4,
        "nudenet": 4,
    }
    assert all(time > 0 for one in found.latency for time in one.milliseconds)
    assert "3 pictures of warm-up; the first 4 pictures of the data set that decode" in found.latency[0].protocol


@pytest.mark.parametrize("at", [pytest.param(0, marks=pytest.mark.slow), 18])
def test_killed_and_resumed_is_as_if_nothing_had_happened(
    at: int, data: Path, whole: Path, expected: dict[str, Any], tmp_path: Path
) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED_AT, data, tmp_path, str(at)], env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    kept = len(lines(tmp_path))
    assert kept < 2 * at + 1
    with (tmp_path / "predictions" / "embedded.jsonl").open("ab") as file:
        file.write(lines(whole)[0] + lines(whole)[0][:100])  # a picture of which one row got its line, and a torn one
    go_on(data, tmp_path)
    assert figures(tmp_path) == expected
    assert [json.loads(line)["id"] for line in lines(tmp_path)] == [json.loads(line)["id"] for line in lines(whole)]


@pytest.mark.parametrize("cut", [pytest.param(1, marks=pytest.mark.slow), 5000])
def test_a_file_cut_anywhere_goes_on(
    cut: int, data: Path, whole: Path, expected: dict[str, Any], tmp_path: Path
) -> None:
    meta = RunMetadata.model_validate_json((whole / "meta.json").read_bytes())
    (tmp_path / "predictions").mkdir()
    (tmp_path / "meta.json").write_text(meta.model_dump_json())
    for name in ("embedded", "nudenet"):
        content = b"".join(lines(whole, name))
        (tmp_path / "predictions" / f"{name}.jsonl").write_bytes(content[:cut])
    go_on(data, tmp_path)
    assert figures(tmp_path) == expected


@pytest.mark.parametrize("where", [slice(-6, None), slice(8, 12)], ids=["last", "in the middle"])
def test_what_a_system_failed_on_is_asked_again(
    where: slice, data: Path, whole: Path, expected: dict[str, Any], tmp_path: Path
) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    found = [Prediction.model_validate_json(line) for line in lines(whole)]
    failed = {"score": None, "unscored": "judge: it is down.", "not_inspected": ()}
    found[where] = [one.model_copy(update=failed) for one in found[where]]
    written = "".join(one.model_dump_json(exclude_defaults=True) + "\n" for one in found)
    (tmp_path / "predictions" / "embedded.jsonl").write_text(written, "utf-8")
    go_on(data, tmp_path)
    assert figures(tmp_path) == expected


def test_two_commands_do_not_write_into_one_run(data: Path, whole: Path) -> None:
    before = lines(whole)
    with alone_in(whole), pytest.raises(DataError, match=f"{whole}: another command is writing there"):
        go_on(data, whole)
    assert lines(whole) == before


def test_an_unfinished_run_can_be_read_and_says_so(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "predictions").mkdir()
    (tmp_path / "meta.json").write_bytes((whole / "meta.json").read_bytes())
    (tmp_path / "predictions" / "embedded.jsonl").write_bytes(b"".join(lines(whole)[:7])[:-3])
    found = read(tmp_path)
    assert [len(of) for of in found.predictions.values()] == [3, 3, 0]
    assert summary_json(found)["incomplete"] == {"embedded:vision-only": 27, "embedded:multimodal": 27, "nudenet": 30}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"limit": 20}, "other data (30 pictures with digest"),
        (
            {"options": SEXUAL._replace(policy=Policy.load("teen"))},
            "vision-only was evaluated there with other settings",
        ),
        ({"options": SEXUAL._replace(thresholds={"nudenet": (0.4, "x")})}, "(threshold: 0.5 before, 0.4 now)"),
        ({"options": SEXUAL._replace(thresholds={"embedded:multimodl": (0.4, "x")})}, "embedded has no such row"),
        ({"options": SEXUAL._replace(regimes=("multimodal",))}, "with other settings"),
        ({"options": SEXUAL._replace(regimes=("vision-only",))}, "with other regimes or authorities"),
    ],
)
def test_a_run_goes_on_only_with_what_it_was_begun_with(
    changed: dict[str, Any], says: str, data: Path, whole: Path
) -> None:
    before = lines(whole)
    with pytest.raises(DataError, match=re.escape(says)) as told:
        go_on(data, whole, **changed)
    assert str(told.value).startswith((str(whole), "embedded:multimodl: "))
    assert lines(whole) == before


def test_other_versions_are_other_settings(data: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "__version__", "9.9")
    with pytest.raises(DataError, match=r"other versions \(kidsnanny .* before, 9\.9 now\)"):
        go_on(data, whole)


def test_other_hardware_is_another_setting(data: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "hardware", lambda: "64 × another")
    with pytest.raises(DataError, match=r"other hardware \(.* before, 64 × another now\)"):
        go_on(data, whole)


def test_a_package_may_be_added(data: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PACKAGES", (*run.PACKAGES, "pytest"))
    assert go_on(data, whole).versions["pytest"]


def test_a_system_may_be_added_and_an_absent_one_is_named(data: Path, tmp_path: Path) -> None:
    options = SEXUAL._replace(regimes=("vision-only",))
    go_on(data, tmp_path, options=options, names=("llavaguard", "nudenet"))
    meta = go_on(data, tmp_path, options=options, names=("embedded",))
    assert list(meta.systems) == ["nudenet", "embedded"]
    assert "nothing says where its model is" in meta.absent["llavaguard"]
    assert [row.name for row in meta.systems["embedded"]] == ["embedded:vision-only"]


def test_a_system_that_comes_is_absent_no_more(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: Options) -> None:
        raise ComponentError("nudenet: it is away; fetch it.")

    with monkeypatch.context() as patch:
        patch.setitem(SYSTEMS, "nudenet", absent)
        assert go_on(data, tmp_path, names=("nudenet",)).absent == {"nudenet": "nudenet: it is away; fetch it."}
    assert not go_on(data, tmp_path, names=("nudenet",)).absent


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        (None, "", "there is no run"),
        ("meta.json", "{}", "it is not that of a run"),
        ("predictions/nudenet.jsonl", '{"id": 1}\n', "line 1 is no prediction"),
        ("latency/nudenet.json", "[", "it holds no times"),
    ],
)
def test_what_is_no_run_is_refused(file: str | None, content: str, says: str, whole: Path, tmp_path: Path) -> None:
    if file:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / "meta.json").write_bytes((whole / "meta.json").read_bytes())
        (tmp_path / file).write_text(content)
    with pytest.raises(DataError, match=says):
        read(tmp_path)


def test_a_file_is_no_run(data: Path) -> None:
    with pytest.raises(DataError, match="there is no run"):
        read(data)


def test_only_its_owner_may_read_a_run(whole: Path) -> None:
    assert whole.stat().st_mode & 0o077 == 0


def test_commands_and_stamps_of_former_goes_are_kept(data: Path, tmp_path: Path) -> None:
    go_on(data, tmp_path, names=("nudenet",), command="first", warnings=("chosen on these pictures",))
    for command in ("second", "first"):
        meta = go_on(data, tmp_path, names=("nudenet",), command=command)
    assert (meta.command, meta.warnings) == ("first; second", ("chosen on these pictures",))


def test_a_command_that_is_refused_is_not_recorded(data: Path, tmp_path: Path) -> None:
    go_on(data, tmp_path, names=("nudenet",), command="first")
    before = (tmp_path / "meta.json").read_bytes()
    other = SEXUAL._replace(thresholds={"nudenet": (0.9, "given")})
    with pytest.raises(DataError, match="was evaluated there with other settings"):
        go_on(data, tmp_path, names=("nudenet",), options=other, command="second", warnings=("of the second",))
    assert (tmp_path / "meta.json").read_bytes() == before


def test_the_warm_up_is_looked_at_and_not_counted(data: Path) -> None:
    seen: list[str] = []
    system = SimpleNamespace(timed_calls=lambda: {"x": lambda example: seen.append(example.id)})
    (found,) = run._timed(system, open_dataset(data), 4)
    assert (len(seen), len(found.milliseconds)) == (3 + 4, 4)


def test_nothing_that_decodes_has_no_latency(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label\ngone.png,safe\n")
    go_on(tmp_path / "list.csv", tmp_path / "out", names=("nudenet",), extras=Extras(latency=2))
    assert read(tmp_path / "out").summary.latency == {}


def test_predictions_that_say_on_what_no_more_are_not_taken_over(data: Path, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / "meta.json").unlink()
    with pytest.raises(DataError, match=r"there are predictions and no meta\.json that says on what"):
        go_on(data, tmp_path / "run")


def test_figures_of_an_earlier_go_are_told_as_such(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: Options) -> None:
        raise ComponentError("nudenet: it is away; fetch it.")

    go_on(data, tmp_path, names=("nudenet",))
    monkeypatch.setitem(SYSTEMS, "nudenet", absent)
    told = go_on(data, tmp_path, names=("nudenet",)).not_evaluated
    assert told == {"nudenet": "nudenet, whose figures are of an earlier go: it is away; fetch it."}


def test_a_folder_that_cannot_be_written_is_said(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="the run cannot be written"):
        go_on(data, tmp_path / "file" / "out")


def test_broken_pictures_are_unscored_in_every_row(data: Path, whole: Path) -> None:
    broken = {e.id for e in open_dataset(data) if not run._decodes(e)}
    assert len(broken) == COUNT / 10
    for of in read(whole).predictions.values():
        assert {line.id for line in of if line.score is None} == broken
        assert all(line.not_inspected for line in of if line.id in broken)


def test_pictures_are_read_as_they_are_wanted(data: Path) -> None:
    """No more examples are in memory than a batch and what waits."""
    dataset, asked = open_dataset(data, categories=("Sexual",)), []

    def read_on() -> Any:
        for example in dataset.read():
            asked.append(example.id)
            yield example

    predictions = SYSTEMS["nudenet"](SEXUAL).predict(Dataset("x", read_on))
    next(predictions)
    assert len(asked) <= 9

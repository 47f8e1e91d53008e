"""What a run does again when its command is given again: what a system, a judge or a disk owes, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel, encoded, gradient
from picture_files import moving, without_the_last_scan_lines
from PIL import Image

from kidsnanny import Pipeline, Policy, Stage2
from kidsnanny.errors import JudgeError, UnreadableFileError
from kidsnanny.evaluation import run
from kidsnanny.evaluation.datasets import open_dataset, read_contents
from kidsnanny.evaluation.run_folder import inspections, read
from kidsnanny.evaluation.systems.pipelines import as_policy, composed
from kidsnanny.evaluation.systems.system import Options
from kidsnanny.media import source_bytes
from kidsnanny.records import ModelId
from kidsnanny.stage2.judge.judge import Opinion

NUDE = Options(categories=("nudity",))
PNG = encoded(Image.new("RGB", (16, 16), (150, 0, 0)))
PICTURES = {
    "whole": PNG,
    "damaged": without_the_last_scan_lines(encoded(gradient(300, 300), "JPEG")),
    "frames": moving("GIF", *(gradient(200, 200, seed) for seed in range(3)))[:-60],
    "no picture at all": b"\xff\xd8\xff",
}


class SomeJudge:
    """A judge that answers or does not, and counts."""

    model_id = ModelId(name="some-judge", revision="1")
    categories = ("nudity",)
    explains = False
    in_flight = 1
    reentrant = True
    up = True
    asked = 0

    def ask(self, _: object) -> Opinion:
        SomeJudge.asked += 1
        if not SomeJudge.up:
            raise JudgeError("The judge is down; start it.")
        return Opinion(scores={"nudity": 0.1})


@pytest.fixture
def goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Runs the same evaluation again; how often the judge was asked."""
    for name in ("safe", "unsafe"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for name, data in PICTURES.items():
        (tmp_path / "data" / "safe" / f"{name}.jpg").write_bytes(data)

    def build(_: str, options: Options) -> object:
        stage2 = Stage2(ScriptedOcr("hello"), ScriptedTextModel(), SomeJudge())
        policy = as_policy(Policy.load("preteen"), "asymmetric")
        return composed("ours", Pipeline(stage1=ScriptedStage1(), stage2=stage2, policy=policy), options)

    monkeypatch.setattr(run, "build_system", build)
    monkeypatch.setattr(SomeJudge, "up", True)
    monkeypatch.setattr(SomeJudge, "asked", 0)

    def go() -> int:
        SomeJudge.asked = 0
        dataset = open_dataset(tmp_path / "data", categories=("nudity",))
        run.evaluate(dataset, read_contents(dataset), ["ours"], NUDE, tmp_path / "run")
        assert all(len(of) == len(PICTURES) for of in read(tmp_path / "run").predictions.values())
        return SomeJudge.asked

    return go


def test_a_picture_whose_judge_was_down_is_asked_about_again_damaged_or_not(
    goes: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SomeJudge, "up", False)
    asked = goes()
    assert asked >= 3, "whole, damaged, and with frames that were not inspected"
    assert goes() == asked, "it is still down"
    monkeypatch.setattr(SomeJudge, "up", True)
    assert goes() == asked
    seen = inspections(tmp_path / "run", "ours")
    assert not [opinion for one in seen.values() for opinion in one.opinions if opinion.error]
    assert len(seen) == len(PICTURES)
    assert goes() == 0, "what cannot be repaired is not asked about for ever"


def test_a_picture_that_could_not_be_read_is_read_again(
    goes: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:

    def broken_disk(source: object, *_: object) -> None:
        raise UnreadableFileError(f"{source}: it cannot be read (Input/output error); check the disk.")

    with monkeypatch.context() as patch:
        patch.setattr(source_bytes, "_read_file", broken_disk)
        assert goes() == 0
    assert goes() >= 3
    assert goes() == 0

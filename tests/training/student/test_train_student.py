"""Training a student: what it is begun from, that it goes on where it was ended, and what it leaves behind."""

from pathlib import Path
from typing import Any

import pytest

from kidsnanny.training.student.recipe import RECIPES
from kidsnanny.training.student.scenes import VOCABULARY, scene

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def pictures() -> Any:
    from kidsnanny.training.student.training_pictures import FixedPictures

    drawn = [scene(number, 128) for number in range(8)]
    return FixedPictures("eight scenes", VOCABULARY, drawn[:6], drawn[6:], seed=0, generated=True)


def plan(**fields: Any) -> Any:
    from kidsnanny.training.student.train_student import Plan

    return Plan(**{"steps": 4, "batch": 2, "every": 2} | fields)


def logged(folder: Path) -> dict[int, float]:
    """Step -> the loss that TensorBoard shows; where two runs logged a step, the later one's."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    found: dict[int, float] = {}
    for path in sorted(folder.rglob("events.*"), key=lambda path: path.stat().st_mtime_ns):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.tag == "loss/loss":
                    found[event.step] = value.tensor.float_val[0]
    return found


class Killed(Exception):
    """Ends a training at whatever it was doing."""


@pytest.mark.parametrize("recipe", ["plain", "balanced"])
@pytest.mark.parametrize("killed_in", [2, 4], ids=["before the first checkpoint", "after it"])
def test_a_run_that_was_killed_goes_on_to_the_same_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: Any, recipe: str, killed_in: int
) -> None:
    from kidsnanny.training.student import train_student

    given = plan(recipe=RECIPES[recipe], steps=5)
    curve = train_student.train(tmp_path / "whole", pictures, given)

    def killed(self: Any, step: int) -> None:
        if step == killed_in:
            raise Killed
        whole_step(self, step)

    whole_step = train_student._Run.step
    with monkeypatch.context() as patched:
        patched.setattr(train_student._Run, "step", killed)
        with pytest.raises(Killed):
            train_student.train(tmp_path / "killed", pictures, given)
    done = []
    monkeypatch.setattr(train_student._Run, "step", lambda self, step: done.append(step) or whole_step(self, step))
    again = train_student.train(tmp_path / "killed", pictures, given)
    assert done == ([1, 2, 3, 4, 5] if killed_in == 2 else [3, 4, 5])  # what is done is not done again
    losses = logged(tmp_path / "whole")
    assert sorted(losses) == [1, 2, 3, 4, 5]
    assert logged(tmp_path / "killed") == losses
    untimed = [[{k: v for k, v in point.items() if "seconds" not in k} for point in one] for one in (curve, again)]
    assert untimed[0] == untimed[1]
    assert [sorted(path.name for path in (tmp_path / one).iterdir()) for one in ("whole", "killed")] == [
        sorted([*STUDENT, "curve.json", "logs"])
    ] * 2


STUDENT = (
    *("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"),
    "vocabulary.toml",
)


def test_a_checkpoint_that_was_not_written_to_its_end_is_none(tmp_path: Path) -> None:
    from kidsnanny.training.student.train_student import _checkpoints

    for name in ("checkpoint-500", "checkpoint-1000", "checkpoint-1500.part"):
        (tmp_path / name).mkdir()
    assert [path.name for path in _checkpoints(tmp_path)] == ["checkpoint-500", "checkpoint-1000"]

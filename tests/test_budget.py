"""The time that one picture may take: what does not fit is named, and what was seen until then counts."""

import time

import pytest
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel, encoded
from PIL import Image

from kidsnanny import Pipeline, Stage2
from kidsnanny.budget import Budget, leave_out, out_of_time, waiting
from kidsnanny.media.loader import Limits
from kidsnanny.records import TextLine


def animation(frames: int) -> bytes:
    first, *rest = (Image.new("RGB", (16, 16), (0, 255 * (n % 2), 0)) for n in range(frames))
    return encoded(first, "PNG", save_all=True, append_images=rest)


class SlowOcr(ScriptedOcr):
    """Reads a line in each of many steps, and stops when the time is up."""

    def read(self, frame: object) -> list[TextLine]:
        for _ in range(1_000):
            if out_of_time():
                leave_out("some lines were not read")
                break
            time.sleep(0.02)
        return super().read(frame)


def limited(ocr: ScriptedOcr, seconds: float) -> Pipeline:
    stage2 = Stage2(ocr, ScriptedTextModel())
    return Pipeline(stage1=ScriptedStage1(), stage2=stage2, limits=Limits(seconds=seconds))


def test_a_picture_with_more_to_read_than_time_ends_in_time_and_is_not_safe() -> None:
    start = time.perf_counter()
    verdict = limited(SlowOcr(), 0.2)(Image.new("RGB", (16, 16)))
    assert time.perf_counter() - start < 5
    assert verdict.label == "review"
    assert [str(missed) for missed in verdict.not_inspected] == [
        "text of frame 0: some lines were not read: the picture's 0.2 s are used up"
    ]


def test_what_was_read_until_then_counts() -> None:
    assert limited(SlowOcr("you are mean"), 0.2)(Image.new("RGB", (16, 16))).label == "unsafe"


def test_the_frames_after_the_last_that_fits_are_named() -> None:
    verdict = limited(SlowOcr(), 0.2)(animation(30))
    (frames,) = (missed.reason for missed in verdict.not_inspected if missed.part == "frames")
    assert "of 30 frames" in frames
    assert "0.2 s" in frames
    assert verdict.label == "review"


def test_every_picture_has_its_own_time() -> None:
    verdicts = limited(ScriptedOcr(), 0.5)([Image.new("RGB", (16, 16))] * 200)
    assert {verdict.label for verdict in verdicts} == {"safe"}


def test_waiting_for_another_picture_costs_nothing() -> None:
    budget = Budget(0.05)
    with budget.spending():
        with waiting():
            time.sleep(0.1)
        assert not out_of_time()
        time.sleep(0.06)
        assert out_of_time()
    assert budget.over


def test_nothing_is_left_out_in_silence() -> None:
    with pytest.raises(RuntimeError, match="no budget"):
        leave_out("a line was not read")
    assert not out_of_time()

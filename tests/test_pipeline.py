"""One picture in, one verdict out; nothing lost, nothing broken that reads as safe."""

import asyncio
import gc
import io
import json
import os
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import numpy as np
import pytest
from conftest import ROOT, ScriptedOcr, ScriptedStage1, ScriptedTextModel, encoded, gradient, page, scripted
from forked import in_child
from PIL import Image, ImageDraw

from kidsnanny import ComponentError, Pipeline, Policy, PolicyError, Stage2, Verdict
from kidsnanny.media.loader import Limits
from kidsnanny.records import ModelId
from kidsnanny.stage2.judge.judge import Opinion
from kidsnanny.stage2.judge.prompt import Question
from kidsnanny.taxonomy import CATEGORIES


def red(level: int) -> Image.Image:
    """A picture the scripted Stage 1 scores with level/255."""
    return Image.new("RGB", (16, 16), (level, 0, 0))


def meaning(verdict: Verdict) -> dict:
    """A verdict without what may differ between two runs."""
    return verdict.model_dump(exclude={"timings"})


def animation(*levels: int) -> bytes:
    first, *rest = (red(level) for level in levels)
    return encoded(first, "PNG", save_all=True, append_images=rest)


# ------------------------------------------------------------------ what goes in and what comes out


@pytest.mark.parametrize(
    ("level", "lines", "label", "channel"),
    [
        (0, (), "safe", None),
        (0, ("have a nice day",), "safe", None),
        (150, (), "review", "image"),
        (250, (), "unsafe", "image"),
        (0, ("you are mean",), "unsafe", "text"),
        (250, ("you are mean",), "unsafe", "image"),
    ],
)
def test_one_picture_one_verdict(level: int, lines: tuple[str, ...], label: str, channel: str | None) -> None:
    verdict = scripted(*lines)(red(level))
    assert verdict.label == label
    assert (verdict.reasons[0].channel if verdict.reasons else None) == channel
    assert not verdict.not_inspected


def test_a_list_gives_a_list_in_order() -> None:
    levels = [0, 250, 150, 10, 255] * 7
    verdicts = scripted()([red(level) for level in levels])
    assert [round(v.scores["nudity"] * 255) for v in verdicts] == levels
    assert scripted()([]) == []


def test_stage2_none_is_vision_only() -> None:
    verdict = Pipeline(stage1=ScriptedStage1(), stage2=None)(page("you are mean"))
    assert verdict.label == "unsafe"  # white has red 255: the scripted Stage 1 sees it
    assert verdict.text == ()
    assert set(verdict.coverage) == {"nudity"}
    assert set(verdict.provenance.models) == {"stage1"}


def test_risk_is_the_largest_score_of_the_asked_categories() -> None:
    verdict = scripted("you are mean")(red(51))
    assert verdict.risk() == pytest.approx(0.9)
    assert verdict.risk(("sexual", "nudity")) == pytest.approx(0.2)
    with pytest.raises(ValueError, match="none of gore"):
        verdict.risk(("gore",))


def test_json_round_trip() -> None:
    verdict = scripted("you are mean")(red(250))
    assert Verdict.from_json(verdict.model_dump_json()) == verdict
    assert json.loads(verdict.model_dump_json())["detail"]["nudity"]["judge"] is None


def test_provenance_repeats_a_verdict() -> None:
    data = encoded(red(0))
    verdict = scripted()(data)
    assert verdict.source == f"sha256:{verdict.provenance.sha256}"
    assert verdict.provenance.policy.startswith("preteen@")
    assert verdict.provenance.models == {
        "stage1": (ModelId(name="scripted-stage1", revision="1"),),
        "ocr": (ModelId(name="scripted-ocr", revision="1"),),
        "text_model": (ModelId(name="scripted-text", revision="1"),),
    }
    assert verdict.provenance.thresholds["nudity"].block == Policy.load("preteen").categories["nudity"].block
    assert set(verdict.timings) == {"decode", "stage1", "ocr", "text"}


def test_it_can_be_awaited() -> None:
    async def check() -> list[Verdict]:
        pipeline = scripted()
        return await asyncio.gather(*(pipeline.acheck(red(level)) for level in (0, 250)))

    assert [verdict.label for verdict in asyncio.run(check())] == ["safe", "unsafe"]


def test_names_that_are_not_known() -> None:
    with pytest.raises(ComponentError, match="no such profile"):
        Pipeline("gigantic")
    with pytest.raises(PolicyError, match="no such policy"):
        Pipeline(stage1=ScriptedStage1(), stage2=None, policy="toddler")


# ------------------------------------------------------------------ animations


def test_the_one_bad_frame_is_found_and_named() -> None:
    verdict = scripted()(animation(0, 10, 20, 250, 30))
    assert verdict.label == "unsafe"
    assert [reason.frame for reason in verdict.reasons] == [3]
    assert verdict.findings.frames == 5


def test_long_animations_go_through_in_batches_and_frames_past_the_cap_are_never_safe() -> None:
    levels = [n % 7 for n in range(40)]
    whole = scripted()(animation(*levels))
    assert (whole.label, whole.findings.frames) == ("safe", 40)
    cut = Pipeline(stage1=ScriptedStage1(), stage2=None, limits=Limits(frames=30))(animation(*levels))
    assert (cut.label, cut.findings.frames) == ("review", 30)
    assert cut.not_inspected[0].part == "frames"


# ------------------------------------------------------------------ failures


class DeadStage1(ScriptedStage1):
    def screen(self, frames: object) -> list:  # noqa: ARG002
        raise RuntimeError("out of memory")


class DeadTextModel(ScriptedTextModel):
    def score(self, texts: object) -> np.ndarray:  # noqa: ARG002
        raise RuntimeError("no weights")


def with_parts(stage1: object = None, ocr: object = None, text: object = None) -> Pipeline:
    return Pipeline(
        stage1=stage1 or ScriptedStage1(), stage2=Stage2(ocr or ScriptedOcr("hello"), text or ScriptedTextModel())
    )


FAILURES = {
    "stage 1 dead": (with_parts(stage1=DeadStage1()), red(0), "image", {"harassment", "scam"}),
    "ocr dead": (with_parts(ocr=ScriptedOcr(fails=lambda _: True)), red(0), "text", {"nudity"}),
    "text model dead": (with_parts(text=DeadTextModel()), red(0), "text", {"nudity"}),
    "unknown language": (scripted("xhosa words"), red(0), "text", {"nudity", "harassment", "scam"}),
    "unreadable text": (
        scripted("???", confidence=0.6),
        red(0).resize((32, 16)),
        "text",
        {"nudity", "harassment", "scam"},
    ),
    "text without end": (scripted(*["word " * 999] * 5), red(0), "text", {"nudity", "harassment", "scam"}),
    "corrupt picture": (scripted(), encoded(gradient(300, 300), "JPEG")[:2000], "picture", set()),
    "not a picture": (scripted(), b"hello", "picture", set()),
    "missing file": (scripted(), "no/such/file.jpg", "picture", set()),
    "closed file": (scripted(), io.BytesIO(b"x"), "picture", set()),
}
FAILURES["closed file"][1].close()


@pytest.mark.parametrize(("pipeline", "source", "part", "coverage"), FAILURES.values(), ids=FAILURES)
def test_what_failed_is_named_and_never_safe(pipeline: Pipeline, source: object, part: str, coverage: set[str]) -> None:
    verdict = pipeline(source)
    assert verdict.label == "review"
    assert [missed.part for missed in verdict.not_inspected] == [part]
    assert set(verdict.coverage) == coverage, "what did not run must not claim to have looked"
    assert "Not inspected: " in str(verdict)


def test_a_failure_on_one_frame_leaves_the_others_alone() -> None:
    pipeline = with_parts(ocr=ScriptedOcr("you are mean", fails=lambda frame: frame[0, 0, 0] == 100))
    first, second, third = pipeline([red(0), red(100), red(0)])
    assert (first.label, third.label) == ("unsafe", "unsafe")
    assert second.label == "review"
    assert not second.reasons


def test_a_frame_that_stage1_fails_on_costs_only_itself() -> None:
    class Squeamish(ScriptedStage1):
        def screen(self, frames: list) -> list:
            if any(frame[0, 0, 0] == 77 for frame in frames):
                raise RuntimeError("no")
            return super().screen(frames)

    labels = [verdict.label for verdict in with_parts(stage1=Squeamish())([red(0), red(77), red(250), red(1)])]
    assert labels == ["safe", "review", "unsafe", "safe"]


def mixed_album() -> list:
    """300 sources; every one with n % 10 == 3 is broken, in eight different ways."""
    whole, jpeg = encoded(gradient(200, 150)), encoded(gradient(200, 150), "JPEG")
    broken = [b"", b"text", jpeg[:900], whole[:200], "missing.png", None, np.zeros((2, 2)), "https://example.com/a.png"]
    good = [red, lambda _: whole, lambda _: jpeg, lambda _: animation(1, 2)]
    return [broken[n // 10 % 8] if n % 10 == 3 else good[n % 4](n % 100) for n in range(300)]


def test_three_hundred_mixed_pictures_in_one_batch() -> None:
    verdicts = scripted()(mixed_album())
    assert len(verdicts) == 300
    for n, verdict in enumerate(verdicts):
        if n % 10 == 3:
            assert verdict.label != "safe"
            assert verdict.not_inspected[0].part == "picture"
        elif n % 4 == 0:
            assert round(verdict.scores["nudity"] * 255) == n % 100


@pytest.mark.slow
def test_memory_stays_flat_over_three_hundred_pictures(pipeline: Pipeline) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 2**20

    seen = []
    for n, verdict in enumerate(pipeline.stream(mixed_album())):
        assert verdict.label == "safe" or n % 10 == 3 or n % 4 == 0
        seen.append(resident())
    assert len(seen) == 300
    assert seen[-1] - seen[100] < 40, "MB more after 300 pictures than after 100"


def test_stream_holds_a_batch_not_the_album() -> None:
    """Verdicts come while later pictures have not even been asked for."""
    asked = 0

    def album():
        nonlocal asked
        for _ in range(1000):
            asked += 1
            yield red(0)

    stream = scripted().stream(album())
    next(stream)
    assert asked <= 20


PICTURE = encoded(gradient(1000, 1000, 0), "BMP")
"""Of 3 MB."""


def sources_held(pipeline: Pipeline, data: bytes) -> int:
    """How many bytes a stream holds, at most, while it goes through 40 pictures of that content."""

    tracemalloc.start()
    try:
        assert len(list(pipeline.stream(bytearray(data) for _ in range(40)))) == 40
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class SlowJudge:
    """Answers long after the pictures have been looked at."""

    model_id = ModelId(name="slow-judge", revision="1")
    categories = CATEGORIES
    in_flight = 2
    explains = False

    def ask(self, _: Question) -> Opinion:
        time.sleep(0.1)
        return Opinion(scores=dict.fromkeys(CATEGORIES, 0.0))


def with_judge(cache: int = 0) -> Pipeline:
    stage2 = Stage2(ScriptedOcr("hello"), ScriptedTextModel(), SlowJudge())
    return Pipeline(stage1=ScriptedStage1(), stage2=stage2, cache=cache)


@pytest.mark.parametrize("kind", ["new", "from the cache", "cut", "of another format"])
def test_a_stream_holds_no_picture_that_was_looked_at(kind: str) -> None:
    """While the judge is slow, and also where no frame makes up a batch."""
    pipeline = with_judge(cache=2 if kind == "from the cache" else 0)
    data = {"cut": PICTURE[:-100_000], "of another format": b"x" * len(PICTURE)}.get(kind, PICTURE)
    pipeline(data)
    gc.collect()
    gc.disable()
    try:
        # In a process of its own, where no thread that another test left behind takes memory.
        assert in_child(lambda: sources_held(pipeline, data) < 30 * len(PICTURE)) == "yes"
    finally:
        gc.enable()


def test_cached_pictures_do_not_wait_for_a_batch_of_frames() -> None:
    pipeline = Pipeline(stage1=ScriptedStage1(), stage2=None, cache=2)
    data = encoded(red(0))
    pipeline(data)
    asked = iter(range(1000))
    next(pipeline.stream(data for _ in asked))
    assert next(asked) < 20


def test_what_nobody_takes_is_not_asked() -> None:
    pipeline = with_judge()
    stream = pipeline.stream(red(n) for n in range(100))
    next(stream)
    start = time.monotonic()
    stream.close()
    pipeline.close()
    assert time.monotonic() - start < 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_child_goes_on_with_a_stream_that_waits_for_the_judge() -> None:
    with with_judge() as pipeline:
        stream = pipeline.stream([red(n) for n in range(12)])
        next(stream)
        assert in_child(lambda: len(list(stream)) == 11, seconds=20) == "yes"
        assert in_child(lambda: pipeline(red(0)).label == "safe", seconds=20) == "yes"
        assert len(list(stream)) == 11


# ------------------------------------------------------------------ threads


def test_an_engine_that_is_not_reentrant_is_called_by_one_thread_at_a_time() -> None:
    busy = Lock()

    class Jealous(ScriptedOcr):
        reentrant = False

        def read(self, frame: object) -> list:
            assert busy.acquire(blocking=False), "two threads at once"
            try:
                return super().read(frame)
            finally:
                busy.release()

    pipeline = with_parts(ocr=Jealous("hello"))
    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(pipeline, [red(n) for n in range(100)]))
    assert not any(verdict.not_inspected for verdict in verdicts)


def test_eight_threads_fifty_pictures_equal_the_serial_result(pipeline: Pipeline) -> None:
    pictures = [page(f"Ticket {n}", size=(160, 120)) if n % 2 else gradient(160, 120, n) for n in range(50)]
    serial = [meaning(pipeline(picture)) for picture in pictures]
    with ThreadPoolExecutor(8) as pool:
        assert list(map(meaning, pool.map(pipeline, pictures))) == serial


# ------------------------------------------------------------------ cache and warm-up


def test_the_cache_is_off_unless_asked_for() -> None:
    ocr = ScriptedOcr("hello")
    pipeline = with_parts(ocr=ocr)
    pipeline([encoded(red(0))] * 3)
    assert ocr.calls == 3


def test_the_cache_knows_the_same_bytes_under_any_name(tmp_path: Path) -> None:
    ocr = ScriptedOcr("you are mean")
    pipeline = Pipeline(stage1=ScriptedStage1(), stage2=Stage2(ocr, ScriptedTextModel()), cache=2)
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(encoded(red(0)))
    first, second = pipeline(tmp_path / "a.png"), pipeline(tmp_path / "b.png")
    assert ocr.calls == 1
    assert (first.label, second.label) == ("unsafe", "unsafe")
    assert second.source == str(tmp_path / "b.png")
    pipeline([encoded(red(level)) for level in (1, 2, 3)])  # pushes the first one out
    pipeline(tmp_path / "a.png")
    assert ocr.calls == 5


def test_what_could_not_be_inspected_is_looked_at_again() -> None:
    ocr = ScriptedOcr(fails=lambda _: True)
    pipeline = Pipeline(stage1=ScriptedStage1(), stage2=Stage2(ocr, ScriptedTextModel()), cache=9)
    assert [pipeline(encoded(red(0))).label for _ in range(2)] == ["review", "review"]
    assert ocr.calls == 2


def test_pictures_that_differ_only_in_their_palette_are_different() -> None:
    one = Image.new("P", (4, 4), 1)
    one.putpalette([0, 0, 0, 0, 0, 0])
    other = one.copy()
    other.putpalette([0, 0, 0, 255, 0, 0])
    pipeline = Pipeline(stage1=ScriptedStage1(), stage2=None, cache=9)
    assert [pipeline(picture).label for picture in (one, other)] == ["safe", "unsafe"]


def test_warm_up_gives_the_pipeline_back() -> None:
    pipeline = scripted()
    assert pipeline.warm_up() is pipeline


# ------------------------------------------------------------------ the real embedded profile


def test_the_embedded_profile_looks_for_what_its_models_cover(pipeline: Pipeline) -> None:
    verdict = pipeline(ROOT / "examples" / "card_birthday.png")
    assert verdict.label == "safe"
    assert verdict.coverage["nudity"] == {"image": None}
    assert verdict.coverage["gore"] == {"image": None}
    assert verdict.not_looked_for == ("illegal",)
    assert "Happy Birthday, Amelie!" in [line.text for line in verdict.text]


def sticker(last: str | None = None) -> bytes:
    """Sixty frames of a bouncing ball over a cheerful line; the last one may say something else."""
    frames = []
    for n in range(60):
        frame = page("Yay, it's Friday!", size=(320, 240))
        x, y = 40 + 4 * n, 160 - abs(30 - n)
        ImageDraw.Draw(frame).ellipse((x, y, x + 30, y + 30), fill=(230, 90, 40))
        frames.append(frame)
    if last:
        frames[-1] = page(*last.split("\n"), size=(320, 240))
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=40)


@pytest.mark.slow
def test_a_harmless_sticker_of_sixty_frames_is_safe(pipeline: Pipeline) -> None:
    verdict = pipeline(sticker())
    assert (verdict.label, verdict.findings.frames) == ("safe", 60)


@pytest.mark.slow
def test_a_harmful_last_frame_is_found_with_its_number(pipeline: Pipeline) -> None:
    verdict = pipeline(sticker("I will kill you\nafter school"))
    assert verdict.label != "safe"
    assert {reason.frame for reason in verdict.reasons} == {59}
    assert "in frame 59" in str(verdict)

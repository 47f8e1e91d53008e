"""What was seen is one record without a policy; what it means is decided from it, for any policy, at any time."""

import io
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel, encoded, gradient, page
from PIL import ExifTags, Image

from kidsnanny import Inspection, Inspector, Limits, Pipeline, Policy, Stage2, Verdict, decide
from kidsnanny.errors import JudgeError
from kidsnanny.records import Box, ModelId, TextLine
from kidsnanny.stage2.judge.judge import Explanation, Opinion
from kidsnanny.stage2.judge.prompt import Question
from kidsnanny.taxonomy import CATEGORIES, Category

POLICIES = ("child", "preteen", "teen")
CHILD = Policy.load("child").ages


def red(level: int) -> Image.Image:
    """A picture the scripted Stage 1 scores with level/255."""
    return Image.new("RGB", (16, 16), (level, 0, 0))


class AgeJudge:
    """Finds everything too much for the youngest; remembers the questions."""

    model_id = ModelId(name="age-judge", revision="1")
    categories = CATEGORIES
    in_flight = 4
    explains = True

    def __init__(self, *, fails: bool = False) -> None:
        self.asked: list[str] = []
        self.fails = fails

    def ask(self, question: Question) -> Opinion:
        self.asked.append(question.ages)
        if self.fails:
            raise JudgeError("The judge is down; start it.")
        return Opinion(scores=dict.fromkeys(CATEGORIES, 0.9 if question.ages == CHILD else 0.1))

    def explain(self, question: Question, flagged: Sequence[Category]) -> Explanation:
        return Explanation(categories=tuple(flagged), lines=(), sentence=f"Not for {question.ages}.")


def inspector(*lines: str, judge: AgeJudge | None = None, **options: object) -> Inspector:
    stage2 = Stage2(ScriptedOcr(*lines), ScriptedTextModel(), judge)
    return Inspector(stage1=ScriptedStage1(), stage2=stage2, **options)


@pytest.mark.parametrize(
    ("policy", "recall"),
    [("child", 0.8), ("preteen", 0.6), ("teen", 0.5)],
    ids=POLICIES,
)
def test_coverage_has_the_recall_at_the_policys_threshold(policy: str, recall: float) -> None:
    seen = inspector("hello").inspect(red(0))
    assert seen.text_signals
    measured = {"harassment": ((0.4, 0.8), (0.5, 0.6), (0.7, 0.5))}
    seen = seen.model_copy(update={"text_signals": seen.text_signals.model_copy(update={"recall": measured})})
    verdict = decide(seen, Policy.load(policy))
    assert verdict.coverage["harassment"] == {"text": recall}
    assert verdict.coverage["scam"] == {"text": None}
    assert Verdict.from_json(verdict.model_dump_json()) == verdict


SOURCES = {
    "harmless": (red(0), ()),
    "nudity": (red(250), ()),
    "text": (red(0), ("you are mean",)),
    "unknown language": (red(0), ("xhosa words",)),
    "animation": (encoded(red(0), "PNG", save_all=True, append_images=[red(200), red(90)]), ("hello",)),
    "not a picture": (b"hello", ()),
    "missing": ("no/such/file.jpg", ()),
}


@pytest.mark.parametrize(("source", "lines"), SOURCES.values(), ids=SOURCES)
def test_an_inspection_survives_json_and_decides_the_same(source: object, lines: tuple[str, ...]) -> None:
    seen = inspector(*lines).inspect(source)
    again = Inspection.model_validate_json(seen.model_dump_json())
    assert again == seen
    for name in POLICIES:
        assert decide(again, Policy.load(name)) == decide(seen, Policy.load(name))


@pytest.mark.parametrize(("source", "lines"), SOURCES.values(), ids=SOURCES)
def test_a_verdict_survives_json_with_its_inspection(source: object, lines: tuple[str, ...]) -> None:
    verdict = Pipeline(inspector(*lines))(source)
    again = Verdict.from_json(verdict.model_dump_json())
    assert again == verdict
    teen = Policy.load("teen")
    assert decide(again.inspection, teen) == decide(verdict.inspection, teen)


def test_the_json_of_a_verdict_holds_the_text_once() -> None:
    verdict = Pipeline(inspector("you are mean"))(red(0))
    inspection = json.loads(verdict.model_dump_json())["inspection"]
    assert not inspection.keys() & {"source", "text", "findings", "timings"}


def test_media_facts_and_the_models_are_in_it() -> None:
    seen = inspector().inspect(encoded(gradient(64, 48), "JPEG"))
    assert seen.media is not None
    assert (seen.media.format, seen.media.width, seen.media.height, seen.media.frames) == ("JPEG", 64, 48, 1)
    assert [str(model) for models in seen.models.values() for model in models] == [
        "scripted-stage1@1",
        "scripted-ocr@1",
        "scripted-text@1",
    ]
    assert inspector().inspect(b"hello").media is None


class UnreadOcr(ScriptedOcr):
    """Finds a line in every frame that has anything green, and reads nothing in it."""

    def read(self, frame: np.ndarray) -> list[TextLine]:
        y, x = (frame[:, :, 1] > frame[:, :, 0]).nonzero()
        if not x.size:
            return []
        return [TextLine(text="", confidence=0.99, box=Box(x.min(), y.min(), x.max() + 1, y.max() + 1))]


def unread(source: object) -> Inspection:
    return Inspector(stage1=ScriptedStage1(), stage2=Stage2(UnreadOcr(), ScriptedTextModel())).inspect(source)


def with_line(size: tuple[int, int], line: tuple[int, int], mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, size, (255, 255, 255, 0)[: len(mode)])
    image.paste((0, 200, 0, 255)[: len(mode)], (4, 4, 4 + line[0], 4 + line[1]))
    return image


def test_unread_text_counts_by_the_area_of_its_own_frame() -> None:
    blank, small = Image.new("RGB", (1200, 1200), "white"), with_line((120, 60), (60, 10))
    pages = unread(encoded(blank, "TIFF", save_all=True, append_images=[small]))
    assert pages.text[0].share == pytest.approx(600 / 7200)
    (missed,) = decide(pages, Policy.load("preteen")).not_inspected
    assert (missed.part, missed.frame) == ("text", 1)
    assert not decide(unread(with_line((1200, 1200), (60, 10))), Policy.load("preteen")).not_inspected


def test_a_line_that_both_views_of_a_transparent_frame_show_counts_once() -> None:
    both = unread(with_line((200, 200), (60, 5), "RGBA"))
    assert len(both.text) == 1
    assert not decide(both, Policy.load("preteen")).not_inspected


def test_a_line_that_was_not_read_is_no_text_for_any_model() -> None:
    inspection = unread(with_line((120, 60), (60, 10)))
    assert len(inspection.text) == 1
    assert inspection.lines == ()
    assert inspection.text_signals
    assert {signal.what for signal in inspection.text_signals.signals} <= {""}


def test_thresholds_have_no_part_in_an_inspection() -> None:
    """The raw score is there even if no policy would flag it."""
    seen = inspector().inspect(red(51))
    assert seen.image_signals is not None
    assert [(s.category, round(s.score, 2)) for s in seen.image_signals.signals] == [("nudity", 0.2)]
    assert decide(seen, Policy.load("preteen")).reasons == ()


def test_one_inspector_three_policies_fifty_threads() -> None:
    shared = inspector("you are mean")
    alone = {name: Pipeline(inspector("you are mean"), policy=name) for name in POLICIES}
    pipelines = {name: Pipeline(shared, policy=name) for name in POLICIES}
    work = [(name, red(level)) for level in range(0, 250, 5) for name in POLICIES]

    def meaning(verdict: Verdict) -> dict:
        return verdict.model_dump(exclude={"timings"})

    with ThreadPoolExecutor(50) as pool:
        verdicts = list(pool.map(lambda job: pipelines[job[0]](job[1]), work))
    for (name, picture), verdict in zip(work, verdicts, strict=True):
        assert meaning(verdict) == meaning(alone[name](picture))
        assert verdict.provenance.policy.startswith(f"{name}@")


def test_a_decision_takes_less_than_a_millisecond_of_processor_time(pipeline: Pipeline) -> None:
    seen = pipeline.inspect(page(*["a line of harmless words to read"] * 12, size=(800, 800)))
    policy = Policy.load("preteen")
    times = []
    for _ in range(50):
        start = time.thread_time()
        decide(seen, policy)
        times.append(time.thread_time() - start)
    assert sorted(times)[10] < 1e-3


def test_an_inspector_has_no_second_set_of_options() -> None:
    with pytest.raises(TypeError, match="give them to the Inspector"):
        Pipeline(inspector(), cache=5)


# ------------------------------------------------------------------ the judge: the one part that a policy reaches into


def test_the_judge_is_asked_once_for_each_age_group() -> None:
    judge = AgeJudge()
    shared = inspector("hello there", judge=judge)
    seen = shared.inspect(red(0))
    assert (judge.asked, seen.opinions, seen.judge) == ([], (), judge.model_id)
    for name in ("child", "teen", "child"):
        seen = shared.consult(seen, Policy.load(name))
    assert judge.asked == [Policy.load("child").ages, Policy.load("teen").ages]
    labels = {name: decide(seen, Policy.load(name)).label for name in ("child", "teen")}
    assert labels == {"child": "unsafe", "teen": "safe"}
    assert decide(seen, Policy.load("child")).explanation == f"Not for {Policy.load('child').ages}."
    assert decide(seen, Policy.load("teen")).explanation is None
    questions = {opinion.ages: opinion.question for opinion in seen.opinions}
    assert len(set(questions.values())) == 2


def test_a_judge_that_was_not_asked_about_these_ages_is_named_and_the_verdict_is_not_safe() -> None:
    seen = inspector("hello there", judge=AgeJudge()).inspect(red(0))
    verdict = decide(seen, Policy.load("teen"))
    assert verdict.label == "review"
    assert [str(missed) for missed in verdict.not_inspected] == ["judge: the judge was not asked about ages 13-17"]


def test_a_judge_that_failed_is_asked_again() -> None:
    judge = AgeJudge(fails=True)
    shared = inspector("hello there", judge=judge)
    seen = shared.consult(shared.inspect(red(0)), Policy.load("teen"))
    assert [str(missed) for missed in decide(seen, Policy.load("teen")).not_inspected] == [
        "judge: The judge is down; start it."
    ]
    judge.fails = False
    seen = shared.consult(seen, Policy.load("teen"))
    assert decide(seen, Policy.load("teen")).label == "safe"


def test_a_judge_that_answers_about_some_categories_only_has_not_answered() -> None:
    class Terse(AgeJudge):
        def ask(self, _: Question) -> Opinion:
            return Opinion(scores={})

    verdict = Pipeline(inspector("hello there", judge=Terse()))(red(0))
    assert verdict.label == "review"
    assert "the judge's answer lacks sexual, nudity" in str(verdict)


def test_an_opinion_about_another_text_is_none() -> None:
    shared = inspector("hello there", judge=AgeJudge())
    seen = shared.consult(shared.inspect(red(0)), Policy.load("teen"))
    other = seen.model_copy(update={"text": (seen.text[0].model_copy(update={"text": "something else"}),)})
    assert (decide(seen, Policy.load("teen")).label, decide(other, Policy.load("teen")).label) == ("safe", "review")


def test_vision_only_is_an_inspection_without_what_stage_2_saw() -> None:
    judge = AgeJudge()
    both = Pipeline(inspector("you are mean", judge=judge))(red(150)).inspection
    alone = Inspector(stage1=ScriptedStage1(), stage2=None).inspect(red(150))
    policy = Policy.load("preteen")
    seen, expected = decide(both.vision_only(), policy), decide(alone, policy)
    assert seen.model_dump(exclude={"timings", "inspection"}) == expected.model_dump(exclude={"timings", "inspection"})


# ------------------------------------------------------------------ the cache


def test_the_cache_serves_every_policy_and_asks_the_judge_only_what_is_new() -> None:
    judge = AgeJudge()
    shared = inspector("hello", judge=judge, cache=9)
    data = encoded(red(0))
    labels = [Pipeline(shared, policy=name)(data).label for name in ("child", "teen", "child", "teen")]
    assert labels == ["unsafe", "safe", "unsafe", "safe"]
    assert len(judge.asked) == 2
    assert shared.stage2 is not None
    assert shared.stage2.ocr.calls == 1


def with_orientation(image: Image.Image, orientation: int) -> Image.Image:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return Image.open(io.BytesIO(encoded(image, exif=exif)))


def with_profile(image: Image.Image, profile: bytes) -> Image.Image:
    coloured = image.copy()
    coloured.info["icc_profile"] = profile
    return coloured


def test_the_same_pixels_shown_in_another_way_are_another_picture() -> None:
    """Of a PIL image the pixels alone do not say how it is turned and which colours they are."""
    image = gradient(40, 20)
    keys = [inspector(cache=9).inspect(with_orientation(image, turn)).key for turn in (1, 6)]
    keys += [inspector(cache=9).inspect(with_profile(image, profile)).key for profile in (b"one", b"two")]
    assert len(set(keys)) == 4


def test_other_models_and_settings_are_another_key() -> None:
    class Other(ScriptedStage1):
        models = (ModelId(name="scripted-stage1", revision="2"),)

    stage2 = Stage2(ScriptedOcr(), ScriptedTextModel())
    inspectors = [
        Inspector(stage1=ScriptedStage1(), stage2=stage2),
        Inspector(stage1=Other(), stage2=stage2),
        Inspector(stage1=ScriptedStage1(), stage2=None),
        Inspector(stage1=ScriptedStage1(), stage2=stage2, min_confidence=0.5),
    ]
    assert len({one.inspect(encoded(red(0))).key for one in inspectors}) == len(inspectors)


# ------------------------------------------------------------------ the end


class Closing(ScriptedOcr):
    closed = False

    def close(self) -> None:
        self.closed = True


def test_a_pipeline_closes_what_its_engines_hold() -> None:
    ocr = Closing("hello")
    with Pipeline(stage1=ScriptedStage1(), stage2=Stage2(ocr, ScriptedTextModel(), AgeJudge())) as pipeline:
        assert pipeline(red(0)).label == "safe"
        assert not ocr.closed
    assert ocr.closed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process")
def test_a_forked_child_checks_pictures_after_a_judge_was_used(pipeline: Pipeline) -> None:
    judged = Pipeline(stage1=ScriptedStage1(), stage2=Stage2(ScriptedOcr("hello"), ScriptedTextModel(), AgeJudge()))
    judged([red(0)] * 8)
    pipeline(gradient())
    child = os.fork()
    if not child:
        done = judged(red(0)).label == "safe" and pipeline(page("Happy birthday, dear grandma!")).label == "safe"
        os._exit(0 if done else 1)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.05)
    os.kill(child, 9)
    os.waitpid(child, 0)
    pytest.fail("the child hangs")


# ------------------------------------------------------------------ wrong types


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"stage1": "nudenet-320n"}, "expected a Stage1"),
        ({"stage2": "embedded"}, "expected a Stage2 or None"),
        ({"stage1": ScriptedStage1(), "stage2": ScriptedOcr()}, "expected a Stage2 or None"),
        ({"profile": 7}, "a name or a path"),
    ],
)
def test_a_wrong_type_is_a_type_error(options: dict, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        Pipeline(**options)


NAN = float("nan")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        *(({"min_confidence": bad}, "min_confidence is .*expected a number") for bad in (-1, 1, 5, NAN, "a", True)),
        *(({"cache": bad}, "cache is .*; expected a whole number") for bad in (-1, "a", 1.5, True)),
        *(({"limits": Limits(seconds=bad)}, r"limits.seconds is .*above 0") for bad in (0, -1, NAN, 1e999, "30", True)),
        ({"limits": Limits(frames=0)}, r"limits.frames is 0; expected a whole number above 0"),
        ({"limits": Limits(pixels=1.5)}, r"limits.pixels is 1.5; expected a whole number above 0"),
        ({"limits": 30}, "expected Limits"),
    ],
)
def test_a_number_out_of_its_range_would_switch_something_off(options: dict, says: str) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        inspector(**options)


@pytest.mark.parametrize("source", [None, 42, {"picture": 1}, object()])
def test_a_source_of_no_pictures_type_is_a_type_error_alone_and_a_verdict_among_others(source: object) -> None:
    pipeline = Pipeline(inspector())
    for call in (pipeline, pipeline.inspect, pipeline.inspector.inspect):
        with pytest.raises(TypeError, match="expected a path, bytes, a binary file, a PIL image or a uint8 array"):
            call(source)
    assert [verdict.label for verdict in pipeline([red(0), source, red(1)])] == ["safe", "review", "safe"]


def test_one_path_is_no_list_of_paths() -> None:
    with pytest.raises(TypeError, match="expected several"):
        next(Pipeline(inspector()).stream("a.png"))


def test_the_name_of_a_policy_is_no_policy() -> None:
    with pytest.raises(TypeError, match="expected a Policy"):
        decide(inspector().inspect(red(0)), "teen")


def test_a_verdict_is_no_inspection() -> None:
    verdict = Pipeline(inspector())(red(0))
    with pytest.raises(TypeError, match=r"expected an Inspection, as in verdict\.inspection"):
        decide(verdict, verdict)


def test_one_category_is_no_list_of_categories() -> None:
    with pytest.raises(TypeError, match=r"expected a tuple, such as \('sexual',\)"):
        Pipeline(inspector())(red(0)).risk("sexual")


@pytest.mark.parametrize("text", ["nope", "{}", '{"label": "safe"}'])
def test_what_is_no_verdict_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"^It is not the JSON of a verdict: [^\n]+\.$"):
        Verdict.from_json(text)

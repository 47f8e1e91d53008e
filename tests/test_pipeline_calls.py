"""What a call may be given besides the picture, and pipelines in other processes."""

import asyncio
import copy
import io
import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel, encoded, gradient, scripted
from forked import in_child
from PIL import Image

from kidsnanny import Inspector, Pipeline, Policy, PolicyError, Stage2, Verdict
from kidsnanny.media.loader import Limits


def red(level: int) -> Image.Image:
    return Image.new("RGB", (16, 16), (level, 0, 0))


def names(verdicts: list[Verdict]) -> list[str]:
    return [verdict.source for verdict in verdicts]


def ages(verdicts: list[Verdict]) -> list[str]:
    return [verdict.provenance.policy.partition("@")[0] for verdict in verdicts]


# ------------------------------------------------------------------ one set of models, many children


@pytest.mark.parametrize("policy", ["child", "teen", Policy.load("teen")])
def test_a_call_may_have_another_policy(policy: str | Policy) -> None:
    pipeline = scripted("you are mean")
    own = Pipeline(pipeline.inspector, policy=policy)
    for made, expected in [
        (pipeline(red(150), policy=policy), own(red(150))),
        (pipeline([red(150)], policy=policy)[0], own(red(150))),
        (pipeline.check_text("you are mean", policy=policy), own.check_text("you are mean")),
        (asyncio.run(pipeline.acheck(red(150), policy=policy)), own(red(150))),
    ]:
        assert made.model_dump(exclude={"timings"}) == expected.model_dump(exclude={"timings"})
    assert ages([pipeline(red(150))]) == ["preteen"]


def test_a_stream_gives_a_verdict_for_each_policy_and_looks_once() -> None:
    ocr = ScriptedOcr("you are mean")
    pipeline = Pipeline(stage1=ScriptedStage1(), stage2=Stage2(ocr, ScriptedTextModel()))
    made = list(pipeline.stream([red(0), red(150)], policy=["child", "teen"], names=["a", "b"]))
    assert list(zip(names(made), ages(made), strict=True)) == [
        ("a", "child"),
        ("a", "teen"),
        ("b", "child"),
        ("b", "teen"),
    ]
    assert ocr.calls == 2
    texts = list(pipeline.stream_texts(["you are mean"], policy=["child", "teen"], names=["m"]))
    assert list(zip(names(texts), ages(texts), strict=True)) == [("m", "child"), ("m", "teen")]


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda p: p(red(0), policy="toddler"), PolicyError, "toddler: there is no such policy"),
        (lambda p: p(red(0), policy=["child", "teen"]), TypeError, "give one policy, or several to stream()"),
        (lambda p: p.check_text("a", policy=("child",)), TypeError, "give one policy, or several to stream()"),
        (lambda p: p.inspect(red(0), policy=("child",)), TypeError, "give one policy, or several to stream()"),
        (lambda p: p.stream([], policy=[]), ValueError, "policy is an empty list; name a policy"),
        (lambda p: p(red(0), policy=3), TypeError, "policy is a int; expected a name"),
        (lambda p: p(red(0), name=["a"]), TypeError, "name is a list; expected a str"),
        (lambda p: p(red(0), name=3), TypeError, "name is a int; expected a str"),
        (lambda p: p([red(0)], name="a"), TypeError, "name is a str; expected a list with the name of each source"),
        (lambda p: p([red(0)], name=[3]), TypeError, "A name is a int; expected a str"),
        (lambda p: p([red(0)], name=[]), ValueError, "There are fewer names than sources; name each source"),
        (lambda p: p([red(0)], name=["a", "b"]), ValueError, "There are more names than sources; name each source"),
    ],
)
def test_what_a_call_cannot_take_is_named(call: Callable[[Pipeline], object], error: type, says: str) -> None:
    with pytest.raises(error) as raised:
        call(scripted())
    assert says in str(raised.value)


# ------------------------------------------------------------------ what has no name gets one


@pytest.mark.parametrize(
    "source",
    [
        encoded(red(0)),
        bytearray(encoded(red(0))),
        io.BytesIO(encoded(red(0))),
        red(0),
        np.asarray(red(0)),
        b"no picture",
        b"",
        np.zeros((4, 4), np.float32),
        io.StringIO("text"),
    ],
    ids=lambda source: type(source).__name__,
)
def test_a_name_is_the_source_in_verdict_and_reasons(source: object) -> None:
    verdict = scripted()(source, name="Anna's upload")
    assert verdict.source == verdict.inspection.source == "Anna's upload"
    assert "sha256:" not in str(verdict)
    assert all("sha256:" not in missed.reason for missed in verdict.not_inspected)


def test_names_of_lists_texts_and_pictures_that_come_again() -> None:
    pipeline = Pipeline(scripted().inspector)
    assert names(pipeline([red(0), red(0)], name=["a", "b"])) == ["a", "b"]
    assert names(pipeline.check_text(["hi", "you"], name=("first", "second"))) == ["first", "second"]
    assert pipeline.check_text([{"speaker": "A", "text": "hi"}], name="chat").source == "chat"
    assert names(list(pipeline.stream_texts([3], names=["a number"]))) == ["a number"]
    assert pipeline("missing.png", name="holiday").source == "holiday"
    cached = Pipeline(stage1=ScriptedStage1(), stage2=None, cache=2)
    assert names([cached(encoded(red(0)), name="a"), cached(encoded(red(0)), name="b")]) == ["a", "b"]


# ------------------------------------------------------------------ what is no picture


@pytest.mark.parametrize(
    "source", [None, 3, 2.5, {"a": 1}, {1}, object(), (n for n in ())], ids=lambda s: type(s).__name__
)
def test_a_single_source_that_is_no_picture_is_a_type_error(source: object) -> None:
    pipeline = scripted()
    for call in (pipeline, pipeline.inspect):
        with pytest.raises(TypeError, match=f"source is a {type(source).__name__}; expected a path, bytes"):
            call(source)  # type: ignore[operator]
    (verdict,) = pipeline([source])
    assert verdict.label == "review"
    assert "is no picture; give a path, bytes" in verdict.not_inspected[0].reason


@pytest.mark.parametrize("text", [None, 3, b"bytes", {"text": "a"}, np.zeros(3)], ids=lambda s: type(s).__name__)
def test_a_single_text_that_is_none_is_a_type_error(text: object) -> None:
    with pytest.raises(TypeError, match="expected a str, or a list of"):
        scripted().check_text(text)  # type: ignore[call-overload]


# ------------------------------------------------------------------ other processes, and the end


def test_a_pipeline_that_was_handed_its_engines_is_not_pickled_and_says_what_to_do() -> None:
    with pytest.raises(TypeError, match="build the pipeline in each process"):
        pickle.dumps(scripted())


def test_a_pickled_pipeline_is_the_same_pipeline(tmp_path: Path, pipeline: Pipeline) -> None:
    strict = tmp_path / "strict.toml"
    strict.write_text('base = "child"\nname = "strict"\nages = "4-6"\n')
    made = Pipeline(policy=strict, stage2=None, limits=Limits(frames=3), cache=2)
    for copied in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        assert (copied.policy, copied.stage2) == (made.policy, None)
        assert copied.inspector.limits == made.inspector.limits
        picture = encoded(gradient())
        assert copied(picture).model_dump(exclude={"timings"}) == made(picture).model_dump(exclude={"timings"})
    first, second = pickle.loads(pickle.dumps((pipeline, Pipeline(pipeline.inspector, policy="teen"))))
    assert first.inspector is second.inspector
    assert second.policy == Policy.load("teen")


def label(pipeline: Pipeline, picture: bytes) -> str:
    return pipeline(picture).label


def test_a_pipeline_works_in_processes_that_are_spawned_and_forked(pipeline: Pipeline) -> None:
    picture = encoded(gradient())
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(label, (pipeline, picture)) == pipeline(picture).label
    assert in_child(lambda: label(pipeline, picture) == "safe") == "yes"


@pytest.mark.parametrize(
    "call",
    [
        lambda p: p(red(0)),
        lambda p: p([red(0)]),
        lambda p: p.check_text("hi"),
        lambda p: list(p.stream([])),
        lambda p: list(p.stream_texts(["hi"])),
        lambda p: p.inspect(red(0)),
        lambda p: Inspector.inspect(p.inspector, red(0)),
    ],
)
def test_a_closed_pipeline_raises(call: Callable[[Pipeline], object]) -> None:
    pipeline = scripted()
    with pipeline:
        pipeline(red(0))
    pipeline.close()
    with pytest.raises(RuntimeError, match="was closed; build a new one"):
        call(pipeline)


def test_what_is_no_json_of_a_verdict_is_not_quoted() -> None:
    for text in ('["secret words"]', '{"source": ["secret words"]}'):
        with pytest.raises(ValueError, match="It is not the JSON of a verdict: ") as raised:
            Verdict.from_json(text)
        assert "secret" not in str(raised.value)


def test_a_language_that_is_no_str_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="language is a NoneType; expected a str"):
        scripted()(red(0)).for_parent(None)  # type: ignore[arg-type]

"""Engines of other packages: what an entry point names, a profile can use."""

import sys
from importlib import invalidate_caches
from pathlib import Path

import pytest
from conftest import encoded, page
from PIL import Image

from kidsnanny import Pipeline
from kidsnanny.errors import ComponentError
from kidsnanny.evaluation.predictions import Example
from kidsnanny.evaluation.systems.registry import build_system, system_names
from kidsnanny.evaluation.systems.system import Options
from kidsnanny.profiles.engine_registry import BUILT_IN, factory, names
from kidsnanny.profiles.profile import Profile
from kidsnanny.records import ModelId

PACKAGE = """
from kidsnanny.evaluation.predictions import SystemDescription
from kidsnanny.evaluation.systems.system import Answer, Baseline
from kidsnanny.records import Box, ModelId, TextLine
from kidsnanny.stage2.judge.judge import Explanation, Opinion
from kidsnanny.taxonomy import CATEGORIES

class MyOcr:
    model_id, reentrant = ModelId(name="my-ocr", revision="1"), True

    def __init__(self, says):
        self.says = says

    def read(self, frame):
        return [TextLine(text=self.says, confidence=1.0, box=Box(0, 0, 9, 9))]

class MyJudge:
    model_id, categories, in_flight, explains = ModelId(name="my-judge"), CATEGORIES, 2, True

    def ask(self, question):
        return Opinion(scores={category: 0.9 * ("sunny" in question.text.lines[0]) for category in CATEGORIES})

    def explain(self, question, flagged):
        return Explanation(categories=tuple(flagged), lines=(1,), sentence="It is too hot.")

def my_baseline(options):
    about = SystemDescription(
        name="redness", regime="vision-only", categories=("nudity",), rule="the mean of red", licence="ours",
        threshold=0.5, origin="ours", models={"rule": (ModelId(name="redness"),)},
    )
    return Baseline(about, lambda shown: [Answer(float(one.frame[..., 0].mean() / 255)) for one in shown])
"""
ENTRY_POINTS = """
[kidsnanny.ocr]
my-ocr = my_package:MyOcr
my-gone = my_package:Gone

[kidsnanny.judge]
my-judge = my_package:MyJudge

[kidsnanny.baselines]
redness = my_package:my_baseline
"""
PROFILE = """
name = "mine"
[[stage1]]
model = "nudenet-320n"
[ocr]
engine = "my-ocr"
says = "what a sunny day"
[judge]
engine = "my-judge"
"""


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package, as pip would have left it."""
    (tmp_path / "my_package.py").write_text(PACKAGE)
    about = tmp_path / "my_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_package", raising=False)
    invalidate_caches()


def test_a_profile_uses_the_engines_of_another_package(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(PROFILE)
    with Pipeline(tmp_path / "mine.toml") as pipeline:
        verdict = pipeline(encoded(page("something else")))
    assert [line.text for line in verdict.text] == ["what a sunny day"]
    assert verdict.label == "unsafe"
    assert {reason.channel for reason in verdict.reasons} == {"judge"}
    assert verdict.explanation == "It is too hot."
    assert verdict.provenance.models["ocr"] == (ModelId(name="my-ocr", revision="1"),)
    assert verdict.provenance.models["judge"] == (ModelId(name="my-judge"),)


def test_names_are_the_built_in_ones_and_those_of_packages() -> None:
    assert names("ocr") == ("ppocr", "paddle", "my-ocr", "my-gone")
    assert names("judge") == ("openai", "my-judge")
    assert factory("ocr", "my-ocr").__name__ == "MyOcr"


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, table in BUILT_IN.items() for name in table])
def test_every_built_in_engine_can_be_imported(kind: str, name: str) -> None:
    assert callable(factory(kind, name))


def test_an_unknown_engine_names_those_that_there_are() -> None:
    with pytest.raises(ComponentError) as caught:
        factory("ocr", "tesseract")
    expected = "tesseract: there is no such ocr engine; choose one of ppocr, paddle, my-ocr, my-gone."
    assert str(caught.value) == expected


def test_an_engine_whose_package_is_broken_says_so() -> None:
    with pytest.raises(
        ComponentError, match=r"^my-gone: my_package:Gone cannot be imported \(.+\); install its package\.$"
    ):
        factory("ocr", "my-gone")


def test_arguments_that_another_packages_engine_does_not_take() -> None:
    profile = Profile(name="mine", stage1=({"model": "nudenet-320n"},), ocr={"engine": "my-ocr"})
    with pytest.raises(ComponentError, match=r"^mine: ocr: .*'says'; my-ocr takes says; correct the profile\.$"):
        profile.build_stage2()


def test_an_evaluation_runs_the_baseline_of_another_package() -> None:
    assert "redness" in system_names()
    red = Example("a", encoded(Image.new("RGB", (8, 8), "red")), True, "Sexual", "", "")
    ((found,),) = build_system("redness", Options()).predict([red])
    assert (found.system, found.score) == ("redness", 1.0)

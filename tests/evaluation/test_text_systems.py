"""The systems that are ours but for what reads a picture's text, or what judges it."""

import hashlib
import shutil
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel, encoded, gradient, page
from PIL import Image, ImageOps

from kidsnanny import Pipeline, Stage2
from kidsnanny.budget import Budget
from kidsnanny.errors import ComponentError
from kidsnanny.evaluation.datasets import Dataset, read_contents
from kidsnanny.evaluation.predictions import Example
from kidsnanny.evaluation.run import evaluate
from kidsnanny.evaluation.run_folder import read
from kidsnanny.evaluation.systems.ocr_engines import RapidOcr, TesseractOcr, lines_of
from kidsnanny.evaluation.systems.registry import SYSTEMS
from kidsnanny.evaluation.systems.system import Options, System
from kidsnanny.evaluation.systems.text_systems import UNKNOWN, TextGiven, WordList
from kidsnanny.records import Box
from kidsnanny.stage2.ocr.ocr import Ocr

BULLYING = Options(categories=("harassment",))
MEAN = "You are a stupid idiot and nobody likes you at all"
KIND = "The weather is nice and we are going to the park"
needs_tesseract = pytest.mark.skipif(not shutil.which("tesseract"), reason="needs Tesseract")


def written(text: str | None, image: bytes = b"no picture", name: str = "a") -> Example:
    return Example(name, image, True, "harassment", "", "", text)


def pixels(image: Image.Image) -> Any:
    return np.asarray(image.convert("RGB"))


# The text as a person says it is


@pytest.fixture(scope="module")
def given() -> System:
    return SYSTEMS["text-given"](BULLYING)


@pytest.mark.parametrize(
    "text",
    [
        MEAN,
        KIND,
        f"{KIND}\n\n{MEAN}",
        "Ти си много глупав и никой не те харесва изобщо",
        "ok",
        "mean " * 2_000,
    ],
    ids=["mean", "kind", "both", "a language it does not know", "a word", "long"],
)
def test_a_text_that_is_given_is_what_check_text_says(text: str, given: System, pipeline: Pipeline) -> None:
    ((found,),) = given.predict([written(text)])
    verdict = pipeline.check_text(text)
    assert (found.label, found.detail, found.reasons) == (verdict.label, verdict.detail, verdict.reasons)
    assert found.not_inspected == verdict.not_inspected
    assert found.score == verdict.detail["harassment"].final
    assert found.models == verdict.provenance.models
    assert found.policy
    assert found.policy.version == given.rows[0].policy
    assert found.inspection
    assert found.inspection.text == verdict.inspection.text


def test_what_is_written_in_no_known_way_is_unscored_and_not_safe(given: System) -> None:
    ((found,),) = given.predict([written(None, encoded(page(MEAN)))])
    assert found.score is None
    assert UNKNOWN in str(found.unscored)
    assert found.label == "review"


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_where_nothing_is_written_there_is_nothing_to_find(text: str, given: System) -> None:
    ((found,),) = given.predict([written(text, encoded(page(MEAN)))])
    assert (found.score, found.label, found.not_inspected) == (0, "safe", ())


def test_the_picture_is_not_opened(given: System) -> None:
    ((found,),) = given.predict([written(MEAN, b"no picture")])
    assert found.label == "unsafe"
    assert found.sha256 == hashlib.sha256(b"no picture").hexdigest()


def test_a_text_is_judged_once_however_many_pictures_show_it(given: System) -> None:
    class Counting(ScriptedTextModel):
        def score(self, texts: Sequence[str]) -> np.ndarray:
            judged.extend(texts)
            return super().score(texts)

    def judge(*texts: str) -> list[float | None]:
        judged.clear()
        pipeline = Pipeline(stage1=ScriptedStage1(), stage2=Stage2(ScriptedOcr(), Counting()))
        return [found.score for (found,) in TextGiven(pipeline, given.rows[0]).predict(map(written, texts))]

    judged: list[str] = []
    scores = judge("mean", "so mean")
    asked = len(judged)
    assert judge(*["mean", "so mean"] * 5) == scores * 5
    assert len(judged) == asked


def test_a_run_that_goes_on_does_not_ask_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: System) -> None:
    """A text that is not known is no failure that may pass."""
    album = [written(text, encoded(gradient(seed=n)), str(n)) for n, text in enumerate((MEAN, None, "", MEAN))]
    data = Dataset("album", lambda: iter(album))
    asked: list[str] = []

    def counted(_: Options) -> SimpleNamespace:
        def predict(examples: Any) -> Any:
            return given.predict(asked.append(example.id) or example for example in examples)

        return SimpleNamespace(rows=given.rows, predict=predict)

    monkeypatch.setitem(SYSTEMS, "text-given", counted)
    for _ in range(2):
        evaluate(data, read_contents(data), ["text-given"], BULLYING, tmp_path)
    assert asked == ["0", "1", "2", "3"]
    scores = [line.score for line in read(tmp_path).predictions["text-given"]]
    assert [score and score > 0.5 for score in scores] == [True, None, 0, True]


# Other engines


@pytest.fixture(scope="module", params=[RapidOcr, pytest.param(TesseractOcr, marks=needs_tesseract)])
def engine(request: pytest.FixtureRequest) -> Ocr:
    ocr: Ocr = request.param()
    return ocr


def test_lines_come_in_reading_order(engine: Ocr) -> None:
    sheet = page(size=(900, 300))
    for place, text in {
        (40, 30): "Monday",
        (600, 32): "Tuesday",
        (40, 150): "the garden",
        (600, 148): "a river",
    }.items():
        sheet.paste(page(text, size=(280, 80), letters=36), place)
    read = " ".join(line.text for line in engine.read(pixels(sheet)))  # what is far apart may be one line
    assert read == "Monday Tuesday the garden a river"


def test_a_line_has_its_place_and_a_confidence(engine: Ocr) -> None:
    (line,) = engine.read(pixels(page("Mind the gap", size=(640, 200), letters=40)))
    assert line.text == "Mind the gap"
    assert 0.8 < line.confidence <= 1
    drawn = Box(20, 30, 270, 65)
    assert line.box.common(drawn) > 0.9 * drawn.area
    assert line.box.area < 3 * drawn.area


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (64, 64)])
def test_where_there_is_no_room_or_no_text_there_is_no_line(engine: Ocr, shape: tuple[int, int]) -> None:
    assert engine.read(np.full((*shape, 3), 255, np.uint8)) == []


def test_without_time_nothing_is_read_and_that_is_said(engine: Ocr) -> None:
    budget = Budget(1e-9)
    with budget.spending():
        assert engine.read(pixels(page("Mind the gap"))) == []
    assert budget.left_out() == ["none of the frame's text was read: the picture's 1e-09 s are used up"]


@needs_tesseract
def test_tesseract_is_stopped_when_the_time_is_up() -> None:
    engine = TesseractOcr()
    budget = Budget(0.05)
    with budget.spending():
        assert engine.read(pixels(page(*[MEAN] * 30, size=(2_000, 2_000)))) == []
    assert len(budget.left_out()) == 1


@needs_tesseract
def test_a_tesseract_that_fails_costs_the_picture_its_score(monkeypatch: pytest.MonkeyPatch) -> None:
    system = SYSTEMS["tesseract"](BULLYING)
    monkeypatch.setenv("TESSDATA_PREFIX", "/nowhere")
    ((found,),) = system.predict([written(None, encoded(page(MEAN)))])
    assert found.score is None
    assert "text of frame 0" in str(found.unscored)
    assert found.label == "review"


def test_rapidocr_reads_what_it_reads_without_us() -> None:
    from rapidocr import RapidOCR

    sheet = ImageOps.colorize(page("Mind the gap", "between the train", "and the platform").convert("L"), "navy", "red")
    theirs = RapidOCR(params={"Global.log_level": "critical"})(np.ascontiguousarray(pixels(sheet)[:, :, ::-1]))
    ours = RapidOcr().read(pixels(sheet))
    assert [(line.text, line.confidence) for line in ours] == list(zip(theirs.txts, theirs.scores, strict=True))


def test_the_words_of_tesseracts_table_become_lines() -> None:
    rows = [  # block, paragraph, line, left, top, width, height, confidence, text
        (1, 0, 0, 0, 0, 90, 90, -1, ""),
        (1, 1, 1, 10, 10, 30, 8, 96, "Mind"),
        (1, 1, 1, 44, 12, 20, 8, 90, "the"),
        (1, 1, 2, 10, 30, 20, 8, 50, "gap"),
        (1, 1, 2, 40, 30, 20, 8, 95, " "),
        (2, 1, 1, 10, 60, 5, 5, -1, "!"),
    ]
    columns = ("block_num", "par_num", "line_num", "left", "top", "width", "height", "conf", "text")
    found = lines_of({name: list(values) for name, values in zip(columns, zip(*rows, strict=True), strict=True)})
    assert [(line.text, line.confidence, line.box) for line in found] == [
        ("Mind the", 0.93, (10, 10, 64, 20)),
        ("gap", 0.5, (10, 30, 30, 38)),
        ("!", 0.0, (10, 60, 15, 65)),
    ]
    assert lines_of({}) == []


# A list of words


@pytest.mark.parametrize(
    ("line", "label"),
    [("what a damn mess you made of it", "unsafe"), ("what a d4mn mess you made of it", "unsafe"), (KIND, "safe")],
)
def test_the_list_of_words_flags_those_on_it_in_a_picture(line: str, label: str) -> None:
    system = SYSTEMS["keywords"](BULLYING)
    ((found,),) = system.predict([written(None, encoded(page(line)))])
    assert (found.label, found.score) == (label, float(label == "unsafe"))
    assert [row.name for row in system.rows] == ["keywords:multimodal"]


def test_the_list_scores_every_category_alike_and_knows_no_languages() -> None:
    words = WordList(("hate", "scam"))
    assert words.score(["damn", KIND, ""]).tolist() == [[1, 1], [0, 0], [0, 0]]
    assert words.score([]).shape == (0, 2)
    assert words.unknown_languages(["Ти си много глупав", KIND]) == [None, None]


# What is missing


@pytest.mark.parametrize(
    ("name", "package", "says"),
    [
        ("tesseract", "pytesseract", r"^tesseract: pytesseract cannot be imported .*; run `pip install"),
        ("keywords", "better_profanity", r"^keywords: better-profanity cannot be imported .*; run `pip install"),
        ("rapidocr", "rapidocr", r"the package rapidocr is not installed; run `pip install rapidocr`"),
    ],
)
def test_a_package_that_is_missing_is_named_with_the_fix(
    name: str, package: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ComponentError, match=says):
        SYSTEMS[name](BULLYING)


def test_a_tesseract_that_is_missing_is_named_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ComponentError, match=r"no program `tesseract` on the path.*; install it, on Debian with `apt"):
        SYSTEMS["tesseract"](BULLYING)


@needs_tesseract
def test_a_tesseract_without_english_is_named_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSDATA_PREFIX", "/nowhere")
    with pytest.raises(ComponentError, match=r"^tesseract: it does not read .*; install its English data"):
        TesseractOcr()


def test_paddleocr_that_is_missing_is_named_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("kidsnanny.stage2.ocr.paddle.version", version)
    with pytest.raises(ComponentError, match=r"^paddleocr: the package is not installed; run `pip install"):
        SYSTEMS["paddleocr"](BULLYING)

"""A subset is what a person says about candidates that nobody under test chose; systems are asked about it later."""

import base64
import csv
import hashlib
import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import html_pages
import numpy as np
import pytest
from conftest import ScriptedOcr, encoded, gradient, page
from html_pages import ATTACKS, LOADING, Parsed, opened, requests
from hypothesis import given
from hypothesis import strategies as st
from picture_files import FILES, without_the_last_scan_lines
from PIL import Image

from kidsnanny.errors import DataError
from kidsnanny.evaluation.csv_files import read_csv
from kidsnanny.evaluation.datasets import Dataset, read_contents
from kidsnanny.evaluation.predictions import Example, Prediction
from kidsnanny.evaluation.run import evaluate
from kidsnanny.evaluation.subsets.candidates import LABEL_COLUMNS, CandidateManifest, draw_candidates, read_manifest
from kidsnanny.evaluation.subsets.counterfactual import (
    VARIANTS,
    CounterfactualResult,
    TextSensitivity,
    markdown,
    measure_text_sensitivity,
    report_section,
    text_sensitivity,
    variant,
)
from kidsnanny.evaluation.subsets.label_sheet import write_sheet
from kidsnanny.evaluation.subsets.labelled import (
    MAX_FAULTS,
    LabelledPicture,
    SheetLabels,
    Subset,
    make_subsets,
    read_labels,
    read_subset,
    restrict,
)
from kidsnanny.evaluation.subsets.painting import paint_out, text_alone
from kidsnanny.evaluation.systems.system import Options
from kidsnanny.media.loader import RGB
from kidsnanny.records import Box, ModelId, TextLine
from kidsnanny.stage2.ocr.ppocr import PpOcr

browser = html_pages.browser
CANARY = "what was read is kept nowhere"


class RedIsText(ScriptedOcr):
    """Finds a line of text in the left half of every picture with a red pixel in its corner."""

    def read(self, frame: RGB) -> list[TextLine]:
        if self.fails(frame):
            raise RuntimeError("the engine died")
        self.calls += 1
        box = Box(0, 0, frame.shape[1] // 2, frame.shape[0])
        red = tuple(frame[0, 0]) == (255, 0, 0)
        return [TextLine(text=CANARY, confidence=self.confidence, box=box)] * red + [
            TextLine(text="noise", confidence=0.39, box=Box(0, 0, 64, 48))
        ]


def picture(text: bool, seed: int = 0) -> bytes:
    """One in which `RedIsText` finds text, or not; no two seeds give the same."""
    image = gradient(seed=seed)
    image.putpixel((0, 0), (255, 0, 0) if text else (0, 0, 255))
    return encoded(image)


def dataset(*images: bytes, unsafe: Callable[[int], bool] = lambda n: n % 2 == 0, name: str = "data") -> Dataset:
    def read() -> Iterator[Example]:
        for n, image in enumerate(images):
            yield Example(f"test/{n}", image, unsafe(n), "Sexual", "Lexica", "test")

    return Dataset(name, read, categories=("Sexual",))


def mixed(with_text: int = 3, without: int = 20) -> Dataset:
    return dataset(*(picture(n < with_text, n) for n in range(with_text + without)))


def drawn(out: Path, data: Dataset, ocr: Any = None, **more: Any) -> CandidateManifest:
    return draw_candidates(data, read_contents(data), ocr or RedIsText(), out, **more)


def names(manifest: CandidateManifest) -> list[str]:
    return [one.id for one in manifest.candidates]


BOXES = st.lists(st.builds(Box, *[st.integers(-9, 70)] * 4), max_size=4)


@given(BOXES)
def test_painting_touches_the_text_and_what_is_next_to_it(boxes: list[Box]) -> None:
    frame = np.asarray(gradient())
    painted, alone = paint_out(frame, boxes), text_alone(frame, boxes)
    text, near = np.zeros((2, *frame.shape[:2]), bool)
    for x0, y0, x1, y1 in boxes:
        text[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = True
        grown = 1 + max(0, min(x1 - x0, y1 - y0)) // 4
        near[max(0, y0 - grown) : max(0, y1 + grown), max(0, x0 - grown) : max(0, x1 + grown)] = True
    assert painted.shape == alone.shape == frame.shape
    assert (painted[~near] == frame[~near]).all()
    assert (alone[text] == frame[text]).all()
    assert (alone[~text] == 255).all()


def test_nothing_but_text_becomes_white() -> None:
    assert (paint_out(np.zeros((9, 9, 3), np.uint8), [Box(0, 0, 9, 9)]) == 255).all()


@pytest.fixture(scope="module")
def read_for_real(tmp_path_factory: pytest.TempPathFactory) -> tuple[CandidateManifest, Dataset]:
    """Candidates among real pictures of text, by the OCR that we ship."""
    sign = gradient(320, 240, 1)
    sign.paste(page("Meet at the gate", size=(300, 60), letters=24).crop((0, 0, 300, 60)), (10, 170))
    still = page("the library is open", "from nine to six", size=(320, 240), letters=24)
    clear = Image.new("RGBA", (320, 240))
    clear.paste(still, (0, 0), still.convert("L").point(lambda value: 255 - value))
    moving = encoded(still, "GIF", save_all=True, append_images=[gradient(320, 240)])
    images = (sign, still, clear, gradient(320, 240, 2))
    data = dataset(*map(encoded, images), moving, encoded(sign)[:200], b"")
    return drawn(tmp_path_factory.mktemp("real"), data, PpOcr(), without_text=5), data


def test_the_ocr_finds_the_text_and_none_where_it_was_painted_out(
    read_for_real: tuple[CandidateManifest, Dataset],
) -> None:
    manifest, data = read_for_real
    assert names(manifest) == [f"test/{n}" for n in range(5)]
    assert [len(one.boxes) for one in manifest.candidates] == [1, 2, 2, 0, 2]
    assert manifest.still_read == manifest.unreadable_alone == ()
    assert manifest.with_text == 4
    assert manifest.without_text == manifest.sampled == 1
    assert list(manifest.not_scanned) == ["test/5", "test/6"], "broken ones are named"
    assert list(manifest.partly_scanned) == ["test/2", "test/4"], "what is seen through, and what moves"
    assert manifest.ocr.startswith("ppocrv6-small-rec@")

    (sign, *_), ocr = data, PpOcr()
    frame = np.asarray(Image.open(io.BytesIO(sign.image)))
    boxes = manifest.candidates[0].boxes
    assert [line.text for line in ocr.read(text_alone(frame, boxes))] == ["Meet at the gate"]
    assert not any(line.confidence > 0.8 for line in ocr.read(paint_out(frame, boxes)))


def test_text_that_painting_does_not_get_rid_of_is_counted_and_named(tmp_path: Path) -> None:
    manifest = drawn(tmp_path, dataset(picture(True)), ScriptedOcr("a", "b"))
    assert manifest.still_read == ("test/0",)
    assert manifest.candidates[0].still_read == 2
    assert manifest.unreadable_alone == ()
    made = make_subsets(manifest, written(tmp_path / "s.csv", [("test/0", "unsafe", "safe", "unsafe")]), "me")[
        "text-only"
    ]
    assert made
    assert made.pictures[0].still_read
    unsure = drawn(tmp_path / "unsure", dataset(picture(True)), ScriptedOcr("text", confidence=0.79))
    assert unsure.still_read == (), "what is not sure counts as text, not as read"


def test_text_that_is_none_by_itself_is_named(tmp_path: Path) -> None:
    class NotOnWhite(RedIsText):
        def read(self, frame: RGB) -> list[TextLine]:
            return super().read(frame) if frame[0, -1].min() < 255 else []

    assert drawn(tmp_path, dataset(picture(True)), NotOnWhite()).unreadable_alone == ("test/0",)


def test_what_is_damaged_is_looked_at_in_part(tmp_path: Path) -> None:
    half = without_the_last_scan_lines(FILES["JPEG"])
    assert "premature end of data" in drawn(tmp_path, dataset(half), ScriptedOcr("text")).partly_scanned["test/0"]


def test_every_picture_with_text_and_a_sample_of_the_others(tmp_path: Path) -> None:
    chosen = {
        share: names(drawn(tmp_path / str(share), mixed(), without_text=share)) for share in (0, 0.1, 0.5, 1.0, 4, 99)
    }
    with_text = [f"test/{n}" for n in range(3)]
    assert {share: len(ids) - 3 for share, ids in chosen.items()} == {0: 0, 0.1: 2, 0.5: 10, 1.0: 20, 4: 4, 99: 20}
    assert all(ids[:3] == with_text for ids in chosen.values())
    assert set(chosen[0.1]) < set(chosen[4]) < set(chosen[0.5]), "a larger sample holds the smaller"
    other = names(drawn(tmp_path / "seed", mixed(), without_text=0.5, seed=1))
    assert other[:3] == with_text
    assert other != chosen[0.5]
    assert names(drawn(tmp_path / "again", mixed(), without_text=0.5)) == chosen[0.5]


def test_lines_below_the_floor_are_no_text(tmp_path: Path) -> None:
    assert drawn(tmp_path, mixed(), RedIsText(confidence=0.4), without_text=0).with_text == 3
    with pytest.raises(DataError, match=r"data: there is text in none of its pictures; sample others"):
        drawn(tmp_path / "below", mixed(), RedIsText(confidence=0.39), without_text=0)
    for text, confidence, counts in (("!!", 0.85, 0), ("!!", 0.86, 1), ("no!", 0.4, 1)):
        ocr, out = ScriptedOcr(text, confidence=confidence), tmp_path / f"{text}{confidence}"
        assert drawn(out, dataset(picture(False)), ocr, without_text=1).with_text == counts


def test_labels_have_no_say_in_the_choice(tmp_path: Path) -> None:
    images = [picture(n < 3, n) for n in range(9)]
    all_safe, all_unsafe = (dataset(*images, unsafe=lambda _, said=said: said) for said in (False, True))
    candidates = [
        drawn(tmp_path / str(n), data, without_text=0.5).candidates for n, data in enumerate((all_safe, all_unsafe))
    ]
    assert candidates[0] == candidates[1]


CHOOSING = """
import sys
from pathlib import Path
from kidsnanny.evaluation.subsets.candidates import draw_candidates
from kidsnanny.evaluation.datasets import open_dataset, read_contents
from kidsnanny.evaluation.subsets.label_sheet import write_sheet
from kidsnanny.stage2.ocr.ppocr import PpOcr

data, out = Path(sys.argv[1]), Path(sys.argv[2])
dataset = open_dataset(data)
write_sheet(out, dataset, draw_candidates(dataset, read_contents(dataset), PpOcr(), out))
print(*(name for name in sys.modules if name.startswith("kidsnanny.")), sep="\\n")
"""


def test_no_system_is_in_the_room_when_candidates_are_chosen(tmp_path: Path) -> None:
    for label, image in (("safe", page("hello there")), ("unsafe", gradient())):
        (tmp_path / "data" / label).mkdir(parents=True)
        image.save(tmp_path / "data" / label / "a.png")
    command = [sys.executable, "-c", CHOOSING, str(tmp_path / "data"), str(tmp_path / "out")]
    modules = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert "kidsnanny.evaluation.subsets.candidates" in modules
    judges = (
        "kidsnanny.pipeline",
        "kidsnanny.evaluation.systems",
        "kidsnanny.evaluation.run",
        "kidsnanny.evaluation.metrics",
    )
    assert [name for name in modules if name.startswith(judges)] == []
    stage1 = {name for name in modules if name.startswith("kidsnanny.stage1.")}
    assert stage1 <= {"kidsnanny.stage1.findings_text", "kidsnanny.stage1.stage1"}, "neither of them runs a model"


def test_what_was_read_is_kept_nowhere(tmp_path: Path) -> None:
    data = mixed(2, 2)
    write_sheet(tmp_path, data, drawn(tmp_path, data))
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [".lock", "manifest.json", "scans.jsonl", "sheet.csv", "sheet.html"]
    assert not any(CANARY in (tmp_path / name).read_text() for name in files)
    assert tmp_path.joinpath("sheet.csv").read_text().splitlines() == [
        '"number","id","label_picture","label_text_painted_out","label_text_alone"',
        *(f'"{number}","{id}","","",""' for number, id in enumerate(by_hash(["test/0", "test/1"]), 1)),
    ]


@pytest.mark.parametrize("torn", ["", '{"id": "test/5", "sha2', "\n"])
def test_looking_goes_on_where_it_was_stopped(tmp_path: Path, torn: str) -> None:
    data, expected = mixed(), drawn(tmp_path / "whole", mixed())

    class Stopped(RedIsText):
        def read(self, frame: RGB) -> list[TextLine]:
            if self.calls == 12:  # three for each of the first three, one for each of the others
                raise KeyboardInterrupt
            return super().read(frame)

    with pytest.raises(KeyboardInterrupt):
        drawn(tmp_path / "out", data, Stopped())
    checkpoint = tmp_path / "out" / "scans.jsonl"
    assert len(checkpoint.read_bytes().splitlines()) == 1 + 6
    with checkpoint.open("a") as file:
        file.write(torn.strip("\n"))
    ocr = RedIsText()
    assert drawn(tmp_path / "out", data, ocr) == expected
    assert ocr.calls == 23 - 6
    assert checkpoint.read_bytes() == (tmp_path / "whole" / "scans.jsonl").read_bytes()
    assert drawn(tmp_path / "out", data, ocr) == expected
    assert ocr.calls == 23 - 6, "nothing is looked at twice"


def test_an_ocr_that_fails_is_named_and_costs_one_picture(tmp_path: Path) -> None:
    first = picture(True, 0)
    ocr = RedIsText(fails=lambda frame: encoded(Image.fromarray(frame)) == first)
    manifest = drawn(tmp_path, mixed(), ocr, without_text=0)
    assert names(manifest) == ["test/1", "test/2"]
    assert manifest.not_scanned == {"test/0": "scripted-ocr@1 failed (RuntimeError: the engine died)"}


def test_candidates_of_something_else_are_refused(tmp_path: Path) -> None:
    drawn(tmp_path, mixed())
    other = RedIsText()
    other.model_id = ModelId(name="scripted-ocr", revision="2")
    for data, ocr in ((mixed(4), RedIsText()), (mixed(), other)):
        with pytest.raises(DataError, match=r"scans.jsonl: the scan there is of other pictures or by another OCR"):
            drawn(tmp_path, data, ocr)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file: it cannot be written \(File exists\); choose another --out"):
        drawn(tmp_path / "file", mixed())


def test_a_sheet_that_somebody_labels_in_is_left_alone(tmp_path: Path) -> None:
    drawn(tmp_path, mixed())
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(sheet.read_text().replace('"test/0",""', '"test/0","safe"'))
    labelled = sheet.read_text()
    drawn(tmp_path, mixed())
    with pytest.raises(DataError, match=r"sheet.csv: it is the sheet of other candidates; give another --out"):
        drawn(tmp_path, mixed(), without_text=7)
    assert sheet.read_text() == labelled
    assert read_manifest(tmp_path).sampled == 2, "the manifest stays with its sheet"


def test_a_folder_without_candidates(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no candidates were drawn there; run `kidsnanny subset draw` first"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match=r"manifest.json: it is not a manifest \(.*: it is missing\)"):
        read_manifest(tmp_path)


# The sheet


def sheet(out: Path, pictures: bool = False) -> Parsed:
    data = mixed(2, 10)
    write_sheet(out, data, drawn(out, data), pictures=pictures)
    return Parsed(out / "sheet.html")


@pytest.mark.parametrize(("pictures", "warns"), [(False, "Pictures are mosaicked"), (True, "shown as they are")])
def test_pictures_are_shown_only_if_asked_for(tmp_path: Path, pictures: bool, warns: str) -> None:
    parsed = sheet(tmp_path, pictures)
    assert warns in parsed.text
    sizes = [image.size for image in parsed.thumbnails]
    assert len(sizes) == 7, "three of each with text, one of the sample"
    assert set(sizes) == {(64, 48) if pictures else (4, 3)}


def by_hash(ids: Sequence[str]) -> list[str]:
    return sorted(ids, key=lambda id: hashlib.sha256(id.encode()).digest())


def test_the_sheet_asks_for_three_labels_and_loads_nothing(tmp_path: Path) -> None:
    parsed = sheet(tmp_path)
    groups = {str(radio["name"]) for radio in parsed.all("input") if radio.get("type") == "radio"}
    assert groups == {f"{column}-{number}" for column in LABEL_COLUMNS for number in (1, 2, 3)}
    ids = [json.loads(str(card["data-id"])) for card in parsed.all("article")]
    assert ids == by_hash(names(read_manifest(tmp_path))) != names(read_manifest(tmp_path))
    assert not any(id in parsed.text for id in ids), "the name of a file may tell its label"
    assert "Picture 1" in parsed.text
    loaded = [value for _, attributes in parsed.tags for key, value in attributes.items() if key in LOADING]
    assert all(str(value).startswith("data:") for value in loaded)
    (policy,) = (meta["content"] for meta in parsed.all("meta") if meta.get("http-equiv"))
    assert str(policy).startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    for kind in ("script", "style"):
        assert hashlib.sha256(parsed.raw[kind].encode()).digest() in digests(str(policy))


def digests(policy: str) -> list[bytes]:
    return [base64.b64decode(part) for part in re.findall(r"'sha256-([^']+)'", policy)]


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_ids_are_text(tmp_path: Path, attack: str) -> None:
    def named(text: str) -> Parsed:
        data = dataset(picture(True), name=text)
        renamed = replace(data, read=lambda: (one._replace(id=text) for one in data.read()))
        out = tmp_path / str(text == attack)
        write_sheet(out, renamed, drawn(out, renamed))
        return Parsed(out / "sheet.html")

    parsed = named(attack)
    assert parsed.shape == named("harmless").shape
    (card,) = parsed.all("article")
    assert json.loads(str(card["data-id"])) == attack, "what the CSV will say is the id itself"


def test_a_sheet_of_other_pictures_is_refused(tmp_path: Path) -> None:
    manifest = drawn(tmp_path, dataset(picture(True, 1)))
    with pytest.raises(DataError, match=r"test/0: it is not the picture any more that was looked at"):
        write_sheet(tmp_path, dataset(picture(True, 2)), manifest)
    assert not list(tmp_path.glob("*sheet.html*")), "no half of a sheet is left"


# What a person says


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("unsafe safe unsafe", {"text+visual", "text-only"}),
        ("unsafe safe safe", {"text+visual", "text-only"}),  # neither is unsafe without the other
        ("safe unsafe safe", {"text+visual", "text-only"}),  # the text excuses it
        ("safe unsafe unsafe", {"text+visual", "text-only"}),
        ("safe safe safe", {"text+visual", "text-only"}),
        ("safe safe unsafe", {"text+visual"}),  # the picture excuses it
        ("unsafe unsafe safe", {"text+visual"}),
        ("unsafe unsafe unsafe", {"text+visual"}),
        ("unsafe  none", set()),
        ("safe safe none", set()),
        ("unsure safe unsafe", set()),
        ("safe unsure unsafe", set()),
        ("safe safe unsure", set()),
    ],
)
def test_the_definitions(labels: str, expected: set[str]) -> None:
    assert set(SheetLabels(*labels.split(" ")).names) == expected


def written(
    file: Path, rows: Sequence[Sequence[str]], delimiter: str = ",", head: Sequence[str] = LABEL_COLUMNS
) -> Path:
    with file.open("w", encoding="utf-8-sig", newline="") as lines:
        csv.writer(lines, delimiter=delimiter).writerows([("id", *head), *rows])
    return file


NO_TEXT = [("a", "safe", "", "No text"), ("b", "safe", "no text", "none")]
GOOD = [("a", "Safe", "safe ", "UNSAFE"), ("b", "unsafe", "", "none")]


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_sheet_as_spreadsheets_save_it(tmp_path: Path, delimiter: str) -> None:
    found = read_labels(written(tmp_path / "s.csv", GOOD, delimiter), ["a", "b"])
    assert found == {"a": SheetLabels("safe", "safe", "unsafe"), "b": SheetLabels("unsafe", "", "none")}


def test_no_text_is_another_word_for_none(tmp_path: Path) -> None:
    found = read_labels(written(tmp_path / "s.csv", NO_TEXT), ["a", "b"])
    assert found == {"a": SheetLabels("safe", "", "none"), "b": SheetLabels("safe", "none", "none")}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (
            ("c", "safe", "safe", "safe"),
            r"row 3 \(c\): it is not a candidate; correct it. there is no row for b; add it.",
        ),
        (("", "safe", "safe", "safe"), r"row 3 \(no id\): it is not a candidate"),
        (("a", "safe", "safe", "safe"), r"row 3 \(a\): it has a row above"),
        (("b", "", "safe", "safe"), r"row 3 \(b\): label_picture is empty; expected safe, unsafe or unsure"),
        (("b", "none", "safe", "safe"), r"row 3 \(b\): label_picture is 'none'; expected safe, unsafe or unsure"),
        (("b", "safe", "", "safe"), r"row 3 \(b\): label_text_painted_out is empty; expected safe"),
        (("b", "safe", "maybe", "none"), r"row 3 \(b\): label_text_painted_out is 'maybe'; expected"),
        (
            ("b", "safe", "safe", ""),
            r"row 3 \(b\): label_text_alone is empty; expected safe, unsafe, unsure, none or no text",
        ),
        (
            ("b", "safe", "", "no txt"),
            r"row 3 \(b\): label_text_alone is 'no txt'; expected safe, unsafe, unsure, none or",
        ),
        (("b", "safe"), r"row 3 \(b\): label_text_alone is empty"),
    ],
)
def test_a_row_that_does_not_say_what_is_needed_is_named(tmp_path: Path, row: Sequence[str], says: str) -> None:
    with pytest.raises(DataError, match=r"s\.csv: " + says):
        read_labels(written(tmp_path / "s.csv", [GOOD[0], row]), ["a", "b"])


def test_all_faults_are_told_up_to_a_number(tmp_path: Path) -> None:
    ids = [str(n) for n in range(MAX_FAULTS + 5)]
    with pytest.raises(DataError) as error:
        read_labels(written(tmp_path / "s.csv", [(one, "", "", "") for one in ids]), ids)
    assert str(error.value).count("correct it.") == MAX_FAULTS
    assert str(error.value).endswith("and 5 more like that.")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, r"s.csv: there is no such file; name a CSV file that is there"),
        (b"id,\xff", r"it cannot be read as a CSV file in UTF-8 \('utf-8'"),
        (b'id\n"a', r"it cannot be read as a CSV file in UTF-8 \(unexpected end"),
        (b"", r"it has no column id and no label_picture and no"),
        (b"id,label_picture,label_text_alone\n", r"it has no column label_text_painted_out; start from the sheet.csv"),
    ],
)
def test_what_is_no_sheet(tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "s.csv").write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_labels(tmp_path / "s.csv", ["a"])


LABELS = ("unsafe safe unsafe", "safe safe safe", "unsafe unsafe safe", "safe unsure safe", "safe  none")


@pytest.fixture
def labelled(tmp_path: Path) -> tuple[dict[str, Subset | None], Dataset]:
    """Five candidates with text and three without, in one of which the person sees some all the same."""
    data = mixed(5, 3)
    manifest = drawn(tmp_path, data, without_text=1.0)
    rows = [(f"test/{n}", *row.split(" ")) for n, row in enumerate((*LABELS, "safe  none", "safe  none", LABELS[0]))]
    return make_subsets(manifest, written(tmp_path / "labels.csv", rows), "A. Reader"), data


def test_a_subset_says_how_it_came_to_be(labelled: tuple[dict[str, Subset | None], Dataset]) -> None:
    found, _ = labelled
    only, both = found["text-only"], found["text+visual"]
    assert only
    assert both
    assert [one.id for one in only.pictures] == ["test/0", "test/1", "test/7"]
    assert [one.id for one in both.pictures] == ["test/0", "test/1", "test/2", "test/7"]
    assert (only.unsafe, only.safe, both.unsafe, both.safe) == (2, 1, 3, 1)
    assert [(one.unsafe, one.painted_out_unsafe, one.text_alone_unsafe) for one in both.pictures] == [
        (True, False, True), (False, False, False), (True, True, False), (True, False, True),
    ]  # fmt: skip
    assert only.sheet.model_dump() == {
        "rows": 8,
        "unsure": 1,
        "no_text": 3,
        "missed_by_ocr": 1,
        "labels": {"safe/safe/safe": 1, "unsafe/safe/unsafe": 2, "unsafe/unsafe/safe": 1},
    }
    assert (only.selection.ocr, only.selection.sampled, only.selection.without_text) == ("scripted-ocr@1", 3, 3)
    for said in (
        "ours, not the paper's",
        "A. Reader labelled 8",
        "no label and no verdict was asked for",
        only.definition,
    ):
        assert said in only.warning


def test_a_sheet_without_text_makes_no_subset(tmp_path: Path) -> None:
    manifest = drawn(tmp_path, dataset(picture(True)))
    assert make_subsets(manifest, written(tmp_path / "s.csv", [("test/0", "safe", "", "none")]), "me") == {
        "text+visual": None,
        "text-only": None,
    }


def test_the_data_set_is_cut_down_and_has_the_persons_labels(
    labelled: tuple[dict[str, Subset | None], Dataset], tmp_path: Path
) -> None:
    made, data = labelled
    assert made["text-only"]
    (tmp_path / "only.json").write_text(made["text-only"].model_dump_json(exclude_defaults=True))
    only = read_subset(tmp_path / "only.json")
    assert only == made["text-only"]
    cut = restrict(data, only)
    assert [(one.id, one.unsafe) for one in cut] == [("test/0", True), ("test/1", False), ("test/7", True)]
    assert {one.id: one.unsafe for one in data}["test/7"] is False, "whatever the data set's own say"
    assert read_contents(cut, expect=3).unsafe == 2
    assert [one.id for one in restrict(replace(data, limit=2), only)] == ["test/0", "test/1"]

    other = list(data)
    other[1] = other[1]._replace(image=picture(True, 99))
    with pytest.raises(DataError, match=r"data: test/1 is not the picture that was labelled; get the same data"):
        list(restrict(replace(data, read=lambda: iter(other)), only))
    with pytest.raises(DataError, match=r"it has 2 of the 3 pictures .* text-only; .*, with --category Sexual\."):
        list(restrict(replace(data, read=lambda: iter(other[:1] + other[2:])), only))
    with pytest.raises(DataError, match=r"it has 0 of the 3 pictures"):
        list(restrict(replace(data, categories=("Hate",)), only))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, r"it cannot be read \(No such file"),
        ("{", r"it is not a subset \(it is not JSON \("),
        ("{}", r"it is not a subset"),
    ],
)
def test_what_is_no_subset(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "s.json").write_text(content)
    with pytest.raises(DataError, match=says + r".*; name a file of `kidsnanny subset make`\."):
        read_subset(tmp_path / "s.json")


# Does a verdict follow the text?


def test_the_versions_are_the_painted_picture_and_the_text_with_their_own_labels() -> None:
    data = dataset(picture(True, 1), picture(True, 2))
    boxes = (Box(0, 0, 32, 48),)
    one = LabelledPicture(
        id="test/1", sha256="", unsafe=True, painted_out_unsafe=False, text_alone_unsafe=True, boxes=boxes
    )
    frame = np.asarray(gradient(seed=2))
    for folder, unsafe, kept in (("painted-out", False, np.s_[:, 42:]), ("text-alone", True, np.s_[1:, :32])):
        (example,) = variant(data, {"test/1": one}, folder)
        seen = np.asarray(Image.open(io.BytesIO(example.image)))
        assert (example.id, example.unsafe, example.category) == ("test/1", unsafe, "Sexual")
        assert (seen[kept] == frame[kept]).all()
        assert not (seen == frame).all()


@pytest.mark.parametrize(("text", "painted_out"), [("mind the gap", ""), ("", ""), (None, None)])
def test_where_text_is_painted_out_nothing_is_written_any_more(text: str | None, painted_out: str | None) -> None:
    (shown,) = dataset(picture(True, 1))
    data = Dataset("data", lambda: iter([shown._replace(text=text)]))
    one = LabelledPicture(
        id="test/0", sha256="", unsafe=True, painted_out_unsafe=False, text_alone_unsafe=True, boxes=(Box(0, 0, 9, 9),)
    )
    written = [example.text for folder in VARIANTS for example in variant(data, {"test/0": one}, folder)]
    assert written == [painted_out, text]


def test_what_the_ocr_missed_or_saw_in_part_is_not_shown_and_named(
    read_for_real: tuple[CandidateManifest, Dataset], tmp_path: Path
) -> None:
    manifest, data = read_for_real
    rows = [(one.id, "unsafe", "safe", "unsafe") for one in manifest.candidates]
    subset = make_subsets(manifest, written(tmp_path / "s.csv", rows), "me")["text-only"]
    assert subset
    options = Options(categories=("Sexual",))
    cut = restrict(data, subset)
    evaluate(cut, read_contents(cut), ["nudenet"], options, tmp_path / "run")
    found = measure_text_sensitivity(cut, subset, ["nudenet"], options, tmp_path / "run")
    assert (found.pictures, found.no_boxes, set(found.partly_scanned)) == (2, ("test/3",), {"test/2", "test/4"})
    assert [one.n for one in found.systems] == [2]


def lines(said: Sequence[bool | None]) -> list[Prediction]:
    return [
        Prediction(
            id=f"test/{n}", system="s", unsafe=True, category="Sexual", source="", threshold=0.5,
            score=None if one is None else float(one), unscored="broken" if one is None else None,
        )
        for n, one in enumerate(said)
    ]  # fmt: skip


CASES = [  # the system's verdict on the picture, painted out, text alone; the person's label of the first two
    (True, False, True, True, False),  # raised as the text alone, as due
    (True, False, False, True, False),  # raised by both together, as due
    (True, False, True, False, False),  # raised, but the label stays
    (False, True, False, True, False),  # cleared, but the label goes the other way
    (False, False, True, True, False),  # blind to it
    (False, False, False, False, False),
    (True, False, None, True, False),  # as due; on the text alone it says nothing
    (None, False, True, True, False),
    (True, None, True, True, False),
]


def followed() -> TextSensitivity:
    labels = {
        f"test/{n}": LabelledPicture(id=f"test/{n}", sha256="", unsafe=p, painted_out_unsafe=o, text_alone_unsafe=True)
        for n, (*_, p, o) in enumerate(CASES)
    }
    said, without, alone, *_ = zip(*CASES, strict=True)
    elsewhere = lines([True] * (len(CASES) + 3))[-3:]  # the subset's pictures without boxes do not count
    return text_sensitivity(lines(said) + elsewhere, lines(without), lines(alone), labels)


def test_how_often_a_verdict_follows_the_text() -> None:
    found = followed()
    assert (found.n, found.left_out, found.raised, found.cleared) == (7, 2, 4, 1)
    parts = {
        "flips": (5, 7),
        "matches_text_alone": (3, 4),
        "text_alone_unsafe": (5, 8),
        "expected_flips": (3, 5),
        "unexpected_flips": (1, 2),
    }
    assert {name: (getattr(found, name).successes, getattr(found, name).n) for name in parts} == parts
    assert found.flipped == tuple(f"test/{n}" for n in (0, 1, 2, 3, 6))


def test_the_table_has_counts_and_intervals() -> None:
    found = CounterfactualResult(
        subset="text-only",
        pictures=9,
        no_boxes=("<b>",),
        partly_scanned={},
        still_read=("test/3",),
        systems=(followed(),),
    )
    assert "| s | 7 | 2 | 5/7 = 71.4% [35.9–91.8] | 4 | 1 | 3/4 = 75.0%" in markdown(found)
    markup = report_section(found)
    assert "71.43<small>35.9–91.8</small><small>5 of 7</small>" in markup
    assert "&lt;b&gt;</bdi>: the OCR found no text to paint out" in markup
    assert "test/3</bdi>: text is still read where it was painted out" in markup


# In a browser


def wait_for(happens: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_a_person_labels_in_a_browser(browser: Any, tmp_path: Path) -> None:
    strange = ['a,"b"', "= é 田 <b>", "test/2"]
    data = dataset(picture(True, 1), picture(True, 2), picture(False, 3))
    data = replace(
        data, read=lambda read=data.read: (one._replace(id=id) for one, id in zip(read(), strange, strict=True))
    )
    manifest = drawn(tmp_path, data, without_text=1)
    path = write_sheet(tmp_path, data, manifest, pictures=True)
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    opened(browser, path)
    done = browser.find_element("id", "done")
    assert done.text == "0 of 3 labelled"
    wanted = {strange[0]: ("unsafe", "safe", "unsafe"), strange[1]: ("safe", "unsure", "safe")}
    wanted[strange[2]] = ("safe", "", "none")
    for number, words in enumerate(map(wanted.__getitem__, by_hash(strange)), 1):
        for column, word in zip(LABEL_COLUMNS, words, strict=True):
            if word:
                choice = f"input[name={column}-{number}][value={word}]"
                browser.execute_script("arguments[0].click()", browser.find_element("css selector", choice))
    assert done.text == "3 of 3 labelled"
    browser.find_element("id", "save").click()
    labels = tmp_path / "labels.csv"
    wait_for(labels.exists)
    found = read_labels(labels, strange)
    assert found == {id: SheetLabels(*words) for id, words in wanted.items()}

    opened(browser, path)
    assert browser.find_elements("css selector", "input:checked") == [], "nothing is kept in the browser"
    browser.find_element("css selector", "#resume input").send_keys(str(labels))
    wait_for(lambda: browser.find_element("id", "done").text == "3 of 3 labelled")
    assert len(browser.find_elements("css selector", "input:checked")) == 8

    columns, rows = read_csv(labels)
    moved = [columns[2], "notes", columns[0], columns[3], columns[1]]
    for between in ",;":  # as a spreadsheet may write them back
        with (tmp_path / "moved.csv").open("w", encoding="utf-8-sig", newline="") as file:
            written = csv.DictWriter(file, moved, restval="x", delimiter=between)
            written.writeheader()
            written.writerows(rows)
        opened(browser, path)
        browser.find_element("css selector", "#resume input").send_keys(str(tmp_path / "moved.csv"))
        wait_for(lambda: browser.find_element("id", "done").text == "3 of 3 labelled")
        chosen = browser.find_elements("css selector", "input:checked")
        assert sorted((c.get_attribute("name"), c.get_attribute("value")) for c in chosen) == sorted(
            (f"{column}-{number}", word)
            for number, id in enumerate(by_hash(strange), 1)
            for column, word in zip(LABEL_COLUMNS, wanted[id], strict=True)
            if word
        )
    (tmp_path / "short.csv").write_text("id,label_picture\n")
    browser.find_element("css selector", "#resume input").send_keys(str(tmp_path / "short.csv"))
    wait_for(lambda: "no column label_text_painted_out and no" in browser.find_element("id", "done").text)
    for width in (1280, 400):
        opened(browser, path, width)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []
    assert requests(browser) <= {"file://", "data:", "blob:file://", "blob:null"}


@pytest.mark.slow
def test_a_person_labels_by_keys_alone(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    data = dataset(picture(True, 1), picture(True, 2), picture(False, 3))
    manifest = drawn(tmp_path, data, without_text=1)
    path = write_sheet(tmp_path, data, manifest, pictures=True)
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    opened(browser, path)

    def press(*keys: str) -> str:
        """Press them, and say which question of which picture has the focus."""
        for key in keys:
            ActionChains(browser).send_keys(key).perform()
        question = browser.switch_to.active_element
        outline = question.value_of_css_property("outline-style")
        assert outline == "solid", "the focus is seen"
        bar = browser.find_element("css selector", ".controls").rect
        assert browser.execute_script("return arguments[0].getBoundingClientRect().top", question) >= bar["height"] - 1
        card = browser.execute_script("return arguments[0].closest('article').id", question)
        return f"{card.removeprefix('candidate-')} {question.get_attribute('aria-label')}"

    whole, painted, alone = "The picture", "The picture, its text painted out", "The text alone"
    done, undo = browser.find_element("id", "done"), browser.find_element("id", "undo")
    assert press("j") == f"1 {whole}"
    assert press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT) == f"1 {alone}"
    assert press(Keys.ARROW_DOWN) == f"2 {alone}"
    assert press("k", Keys.ARROW_LEFT) == f"1 {painted}"
    assert browser.find_elements("css selector", "input:checked") == [], "arrows label nothing"
    assert press(Keys.ARROW_LEFT, "2") == f"1 {painted}"
    assert press("1") == f"1 {alone}"
    assert press("3") == f"2 {whole}"
    assert done.text == "1 of 3 labelled"
    assert browser.find_element("id", "progress").get_attribute("value") == "1"
    assert press("1", "1", "1") == f"3 {whole}"
    assert press("z", "z") == f"2 {painted}"
    assert done.text == "1 of 3 labelled"
    assert press("4") == f"2 {painted}", "there is no fourth answer to this question"
    assert press("2") == f"2 {alone}"
    assert press("4", "z", "4") == f"3 {whole}"
    assert press("1", Keys.ARROW_RIGHT, "4") == f"3 {alone}", "with no text, nothing else is needed"
    assert (done.text, undo.is_enabled()) == ("3 of 3 labelled", True)
    ActionChains(browser).send_keys("?").perform()
    assert browser.find_element("id", "keys").is_displayed()
    ActionChains(browser).send_keys(Keys.ESCAPE, "e").perform()
    wait_for((tmp_path / "labels.csv").exists)
    ids = by_hash([f"test/{n}" for n in range(3)])
    assert read_labels(tmp_path / "labels.csv", ids) == dict(
        zip(
            ids,
            (
                SheetLabels("unsafe", "safe", "unsure"),
                SheetLabels("safe", "unsafe", "none"),
                SheetLabels("safe", "", "none"),
            ),
            strict=True,
        )
    )
    assert browser.get_log("browser") == []

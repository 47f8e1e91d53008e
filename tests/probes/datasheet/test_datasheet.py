"""The card of a data set: counts with intervals, classes, a list, a person's answers; and nothing that loads."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from audited_data import DOUBTFUL, FORMS, GREY, PICTURES, RED, MeanColour, as_folder, plain, probe_in
from conftest import encoded
from html_pages import ATTACKS, LOADING, Parsed
from PIL import Image

from kidsnanny.errors import ComponentError, DataError, WeightsError
from kidsnanny.probes.datasheet.audit_dataset import audit_dataset
from kidsnanny.probes.datasheet.question_16 import Datasheet
from kidsnanny.probes.linear_probe import LinearProbe


@pytest.fixture
def probe(tmp_path: Path) -> str:
    return probe_in(tmp_path / "my-probe")


def audit(data: Path, probe: str, out: Path, encoder: MeanColour | None = None, **options: object) -> Datasheet:
    sheet, _ = audit_dataset(data, probe, out, encoder=encoder or MeanColour(), **options)  # type: ignore[arg-type]
    assert Datasheet.model_validate_json((out / "datasheet.json").read_bytes()) == sheet
    return sheet


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_same_card(tmp_path: Path, probe: str, form: str) -> None:
    sheet = audit(FORMS[form](tmp_path / "data"), probe, tmp_path / "card")
    assert (sheet.form, sheet.pictures, sheet.distinct, sheet.captions) == (form, 6, 5, 5)
    assert (sheet.flagged.argmax.successes, sheet.flagged.at_threshold.successes, sheet.flagged.argmax.n) == (3, 2, 5)
    assert sheet.flagged.at_threshold.wilson == pytest.approx((0.1176, 0.7693), abs=1e-4)
    assert [(one.name, one.pictures, one.flagged.argmax.n) for one in sheet.classes] == [("art", 3, 3), ("zoo", 3, 2)]
    assert [one.flagged.at_threshold.successes for one in sheet.classes] == [2, 0]
    assert [one.flagged.argmax.successes for one in sheet.classes] == [2, 1]
    (broken,) = sheet.not_judged
    assert (broken.group, bool(broken.why)) == ("zoo", True)
    assert sheet.caption_terms[0].term == "fire"
    listed = rows(tmp_path / "card" / "flagged.csv")
    assert [(row["class"], float(row["score"]) >= 0.9, row["confirmed"]) for row in listed] == [
        ("art", True, ""),
        ("art", True, ""),
        ("zoo", False, ""),
    ]
    assert float(listed[2]["score"]) > 0.5
    assert listed[2]["sha256"] == hashlib.sha256(PICTURES[3][2]).hexdigest()
    page = Parsed(tmp_path / "card" / "datasheet.html")
    assert "Not judged: 1 picture could not be looked at" in page.text
    assert [size.size for size in page.thumbnails[2:]] == [(8, 8), (8, 7), (8, 6)], "two clouds and three mosaics"


def test_captions_weigh_as_by_hand(tmp_path: Path, probe: str) -> None:
    """Flagged: fire 2, red 1, night 1. Others: wall 2, grey 2, seal 1."""
    sheet = audit(as_folder(tmp_path / "data"), probe, tmp_path / "card")
    assert [(one.term, one.weight, one.observed, one.expected) for one in sheet.caption_terms] == [
        ("fire", 0.5, 1.0, 0.5)
    ]


@pytest.mark.parametrize(("threshold", "found"), [(0.5, 3), (0.7, 3), (0.8, 2), (0.9, 2), (1.0, 2)])
def test_the_threshold_is_apart_from_argmax(tmp_path: Path, probe: str, threshold: float, found: int) -> None:
    sheet = audit(as_folder(tmp_path / "data"), probe, tmp_path / "card", threshold=threshold)
    assert (sheet.threshold, sheet.flagged.argmax.successes) == (threshold, 3)
    assert sheet.flagged.at_threshold.successes == found


def test_a_picture_is_as_inappropriate_as_its_worst_frame(tmp_path: Path, probe: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in (GREY, RED, GREY)]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.gif").write_bytes(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert audit(tmp_path / "data", probe, tmp_path / "card").flagged.at_threshold.successes == 1


def test_an_audit_that_was_killed_goes_on(tmp_path: Path, probe: str) -> None:
    for n in range(100):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"{n:03}.png").write_bytes(plain((n, n, n)))
    first = MeanColour(fails_at=70)
    with pytest.raises(KeyboardInterrupt):
        audit(tmp_path / "data", probe, tmp_path / "card", first)
    assert not (tmp_path / "card" / "datasheet.html").exists()
    second = MeanColour()
    assert audit(tmp_path / "data", probe, tmp_path / "card", second).pictures == 100
    assert (first.frames, second.frames) == (64, 36)
    assert audit(tmp_path / "data", probe, tmp_path / "card", MeanColour(fails_at=0), threshold=0.6).pictures == 100


def test_what_is_not_named_is_not_shown(tmp_path: Path, probe: str) -> None:
    """No class, no caption and nothing flagged: the card says so, and has neither clouds nor pictures."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.png").write_bytes(plain(GREY))
    sheet = audit(tmp_path / "data", probe, tmp_path / "card")
    assert (sheet.classes, sheet.captions, sheet.not_judged) == ((), 0, ())
    page = Parsed(tmp_path / "card" / "datasheet.html")
    assert "No picture is flagged." in page.text
    assert not page.all("img")
    assert rows(tmp_path / "card" / "flagged.csv") == []


@pytest.mark.parametrize("show", [False, True])
def test_a_page_loads_nothing_and_shows_mosaics_unless_asked(tmp_path: Path, probe: str, show: bool) -> None:
    (tmp_path / "data").mkdir()
    half = Image.new("RGB", (600, 300), RED)
    half.paste((255, 60, 0), (0, 0, 300, 300))
    (tmp_path / "data" / "a.png").write_bytes(encoded(half))
    audit(tmp_path / "data", probe, tmp_path / "card", show=show)
    page = Parsed(tmp_path / "card" / "datasheet.html")
    (thumbnail,) = page.thumbnails
    assert thumbnail.size == ((480, 240) if show else (8, 4))
    loading = [value for _, attributes in page.tags for name, value in attributes.items() if name in LOADING]
    assert all(str(value).startswith(("data:", "#")) for value in loading), loading
    assert not page.all("script")
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv")]
    assert str(policy).startswith("default-src 'none'; img-src data:;")


def test_names_classes_and_captions_are_text(tmp_path: Path, probe: str) -> None:
    """A stranger's data set changes the page's text and nothing else."""
    shapes = []
    for kind in ("plain", *ATTACKS):
        text = ATTACKS.get(kind, "x")
        folder = tmp_path / kind
        folder.mkdir()
        line = {"path": "a.png", "id": text, "class": f"{text} 1", "caption": f"fire {text}"}
        (folder / "a.png").write_bytes(plain(RED))
        (folder / "b.png").write_bytes(plain(GREY))
        (folder / "c.png").write_bytes(b"\x89PNG\r\n broken")
        lines = [line, {"path": "b.png", "caption": "wall"}, {"path": "c.png", "id": text, "class": text}]
        (folder / "pictures.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
        audit(folder / "pictures.jsonl", probe, folder / "card")
        page = Parsed(folder / "card" / "datasheet.html")
        shapes.append([tag for tag in page.shape if tag[0] not in {"tr", "th", "td", "bdi"}])
        assert "\u202e" not in page.html
        assert "\x1b" not in page.html
        (_, row) = (folder / "card" / "flagged.csv").read_text().split("\n", 1)
        assert row.startswith('"'), "every cell is in quotes"
    assert all(shape == shapes[0] for shape in shapes)


def test_random_weights_are_no_result(tmp_path: Path, probe: str) -> None:
    sheet = audit(as_folder(tmp_path / "data"), probe, tmp_path / "card", MeanColour(caveat="random"))
    assert sheet.caveat == "The weights are random, so what they say means nothing."
    page = Parsed(tmp_path / "card" / "datasheet.html")
    start = page.text.index("Datasheet, question 16: no result")
    assert start < page.text.index("Random weights.") < page.text.index("Does the dataset contain")
    sure = audit(as_folder(tmp_path / "other"), probe, tmp_path / "sure")
    assert sure.caveat == ""
    assert "Random weights" not in (tmp_path / "sure" / "datasheet.html").read_text()


def answer(file: Path, *answers: str) -> None:
    """Fill in the list as a person does."""
    listed = rows(file)
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, list(listed[0]))
        writer.writeheader()
        for row, said in zip(listed, (*answers, *[""] * len(listed)), strict=False):
            writer.writerow(row | {"confirmed": said})


@pytest.mark.parametrize(
    ("answers", "argmax", "at_threshold"),
    [
        ((), (0, 0), (0, 0)),
        (("yes",), (1, 1), (1, 1)),
        (("YES", " no "), (1, 2), (1, 2)),
        (("y", "n", "no"), (1, 3), (1, 2)),
        (("", "", "yes"), (1, 1), (0, 0)),
    ],
)
def test_a_persons_answers_are_counted(
    tmp_path: Path, probe: str, answers: tuple[str, ...], argmax: tuple[int, int], at_threshold: tuple[int, int]
) -> None:
    data, out = as_folder(tmp_path / "data"), tmp_path / "card"
    assert audit(data, probe, out).confirmed is None
    answer(out / "flagged.csv", *answers)
    before = (out / "flagged.csv").read_bytes()
    found = audit(data, probe, out, confirmed=out / "flagged.csv").confirmed
    assert found is not None
    assert (found.argmax.successes, found.argmax.n) == argmax
    assert (found.at_threshold.successes, found.at_threshold.n) == at_threshold
    assert (found.argmax.wilson is None) == (argmax[1] == 0)
    if any(answers):
        assert (out / "flagged.csv").read_bytes() == before, "a person's list stays"


def test_a_list_with_answers_is_never_written_over(tmp_path: Path, probe: str) -> None:
    data, out = as_folder(tmp_path / "data"), tmp_path / "card"
    audit(data, probe, out)
    answer(out / "flagged.csv", "yes", "no")
    before = (out / "flagged.csv").read_bytes()
    sheet, written = audit_dataset(data, probe, out, encoder=MeanColour())
    assert (sheet.confirmed, written.answers_stay, (out / "flagged.csv").read_bytes()) == (None, True, before)
    page = (out / "datasheet.html").read_bytes()
    (data / "art" / "new.png").write_bytes(plain(RED, 20))
    with pytest.raises(DataError, match="has a person's answers, and other pictures or scores"):
        audit(data, probe, out)
    assert ((out / "flagged.csv").read_bytes(), (out / "datasheet.html").read_bytes()) == (before, page)
    (out / "flagged.csv").rename(tmp_path / "mine.csv")
    confirmed = audit(data, probe, out, confirmed=tmp_path / "mine.csv").confirmed
    assert confirmed is not None
    assert (confirmed.argmax.successes, confirmed.argmax.n) == (1, 2)
    assert sorted(row["confirmed"] for row in rows(out / "flagged.csv")) == ["", "", "no", "yes"], "answers go along"


def test_answers_of_other_pictures_are_said(tmp_path: Path, probe: str) -> None:
    data, out = as_folder(tmp_path / "data"), tmp_path / "card"
    audit(data, probe, out)
    answer(out / "flagged.csv", "yes", "no", "no")
    (data / "art" / "1.png").unlink()
    (out / "flagged.csv").rename(tmp_path / "mine.csv")
    confirmed = audit(data, probe, out, confirmed=tmp_path / "mine.csv").confirmed
    assert confirmed is not None
    assert (confirmed.not_flagged, confirmed.argmax.n) == (1, 2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "it is no list of flagged pictures, for it has no column sha256 and no score and no confirmed"),
        ("sha256,score,confirmed\nab,0.9,maybe\n", "row 2 has 'maybe' in `confirmed`; write yes or no"),
        ("sha256,score,confirmed\nab,0.9,yes\nab,0.9,no\n", "row 3 says no of a picture of which another row does not"),
    ],
)
def test_answers_that_are_none(tmp_path: Path, probe: str, text: str, says: str) -> None:
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(DataError, match=says):
        audit(as_folder(tmp_path / "data"), probe, tmp_path / "card", confirmed=tmp_path / "mine.csv")
    assert not (tmp_path / "card").exists()


def test_another_file_is_not_written_over(tmp_path: Path, probe: str) -> None:
    (tmp_path / "card").mkdir()
    (tmp_path / "card" / "flagged.csv").write_text("my,own\n1,2\n")
    with pytest.raises(DataError, match="it is no list of flagged pictures"):
        audit(as_folder(tmp_path / "data"), probe, tmp_path / "card")
    assert (tmp_path / "card" / "flagged.csv").read_text() == "my,own\n1,2\n"


def linear(tmp_path: Path, *labels: str) -> str:
    """A linear probe of red and of blue."""
    weight = np.array([[0.1, -0.1, -0.1], [-0.1, -0.1, 0.1]])
    return probe_in(tmp_path / "linear", LinearProbe(weight, np.array([-5.0, -5.0])), labels)


@pytest.mark.parametrize(
    ("labels", "counts", "flagged"),
    [
        (("red = { violence = 1.0 }", "blue = { weapons = 0.5 }"), {"red": 1, "blue": 2}, 3),
        (("red = { violence = 1.0 }", "blue = {}"), {"red": 1}, 1),
    ],
)
def test_a_linear_probe_counts_by_label(
    tmp_path: Path, labels: tuple[str, ...], counts: dict[str, int], flagged: int
) -> None:
    """A label that means nothing is not counted."""
    (tmp_path / "data").mkdir()
    for n, colour in enumerate((RED, (0, 0, 255), (9, 9, 255), GREY)):
        (tmp_path / "data" / f"{n}.png").write_bytes(plain(colour))
    sheet = audit(tmp_path / "data", linear(tmp_path, *labels), tmp_path / "card")
    assert {one.name: one.flagged.argmax.successes for one in sheet.labels} == counts
    assert (sheet.kind, sheet.flagged.argmax.successes) == ("linear", flagged)
    assert ("label red" in Parsed(tmp_path / "card" / "datasheet.html").text) == (len(counts) > 1)


def test_what_cannot_audit(tmp_path: Path, probe: str) -> None:
    data = as_folder(tmp_path / "data")
    with pytest.raises(ComponentError, match="none of its labels means a category"):
        audit(data, linear(tmp_path, "red = {}", "blue = {}"), tmp_path / "card")
    wide = MeanColour()
    wide.width = 4
    with pytest.raises(WeightsError, match="it reads 3 numbers a frame"):
        audit(data, probe, tmp_path / "card", wide)
    with pytest.raises(WeightsError, match="there is no card of that name"):
        audit(data, "nowhere", tmp_path / "card")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="it holds no pictures"):
        audit(tmp_path / "empty", probe, tmp_path / "card")


def test_the_same_picture_twice_is_two_pictures_and_one_answer(tmp_path: Path, probe: str) -> None:
    (tmp_path / "data").mkdir()
    for name in "ab":
        (tmp_path / "data" / f"{name}.png").write_bytes(plain(DOUBTFUL))
    sheet = audit(tmp_path / "data", probe, tmp_path / "card")
    assert (sheet.pictures, sheet.distinct, sheet.flagged.argmax.successes) == (2, 1, 2)
    answer(tmp_path / "card" / "flagged.csv", "yes", "yes")
    found = audit(tmp_path / "data", probe, tmp_path / "card", confirmed=tmp_path / "card" / "flagged.csv").confirmed
    assert found is not None
    assert (found.argmax.successes, found.argmax.n) == (1, 1)

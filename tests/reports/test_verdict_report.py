"""The HTML report: it loads nothing, runs no script but ours, and shows text from a picture as text."""

import base64
import hashlib
import io
import json
import os
import re
import tracemalloc
from importlib.resources import files
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from conftest import encoded, gradient, page, scripted
from html_pages import ATTACKS, LOADING, Parsed
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from verdict_reports import fight, full_of, told, written

from kidsnanny import Pipeline, Policy, Verdict, decide
from kidsnanny.errors import Cause
from kidsnanny.media.loader import Source
from kidsnanny.records import Box, NotInspected, Reason, TextLine
from kidsnanny.reports import verdict_report
from kidsnanny.reports.causes import causes
from kidsnanny.reports.pages import script_json, visible
from kidsnanny.reports.thumbnails import BLOCKS, COARSE_BLOCKS, SIDE
from kidsnanny.reports.verdict_report import VerdictReport


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_text_stays_text(tmp_path: Path, attack: str) -> None:
    harmless = written(tmp_path, full_of("harmless"))
    report = written(tmp_path, full_of(attack))
    assert report.shape == harmless.shape
    assert report.text.count(visible(attack)) >= 4
    assert all(c.isprintable() or c == "\n" for c in report.html)
    (row,), (before,) = report.rows, harmless.rows
    assert row.pop("raw", attack) == attack, "what is exported is the name itself"
    assert row.keys() == before.keys()
    assert json.dumps(row, ensure_ascii=False).count(json.dumps(visible(attack), ensure_ascii=False)[1:-1]) >= 10


@given(st.text() | st.text(alphabet="<!-/script>\u2028\u2029]&\\\"'\x00\x7f\u202e"))
def test_json_in_a_script_is_the_same_text_and_cannot_leave_it(text: str) -> None:
    written = str(script_json({"text": text}))
    assert json.loads(written) == {"text": text}
    assert not set("<>&") & set(written)
    assert written.isprintable()


def test_names_in_other_scripts_are_left_alone(tmp_path: Path) -> None:
    name = "صورة 田 família 👨\u200d👩\u200d👧 ñ.png"
    report = written(tmp_path, full_of(name))
    assert report.text.count(name) >= 4
    assert report.rows[0]["text"][0][0] == name


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    report = written(tmp_path, full_of("https://evil.example/x.png"), full_of("y"), originals=True)
    references = [value for _, attributes in report.tags for name, value in attributes.items() if name in LOADING]
    assert set(references) == {"data:,", "#picture-1", "#picture-2"}
    assert all(row["uri"].startswith("data:image/jpeg;base64,") for row in report.rows)
    assert not re.search(r"url\(|@import|//", report.raw["style"])
    script = report.raw["script"].replace('"http://www.w3.org/2000/svg"', "the name of SVG, which is not loaded")
    assert not re.search(r"https?:|fetch|XMLHttp|import\(|eval|[a-z]{5}HTML|Function", script)
    assert not any(name.startswith("on") for _, attributes in report.tags for name in attributes)


def test_the_policy_allows_our_script_and_style_by_their_sums_and_no_more(tmp_path: Path) -> None:
    report = written(tmp_path, full_of("x"))
    (policy,) = (meta["content"] for meta in report.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    allowed = dict(part.strip().split(" ", 1) for part in str(policy).split(";"))
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(report.raw[kind].encode()).digest()).decode()
        assert allowed.pop(f"{kind}-src") == f"'sha256-{digest}'"
        assert len([one for one in report.all(kind) if one.get("type") != "application/json"]) == 1
    none = dict.fromkeys(("default-src", "base-uri", "form-action"), "'none'")
    assert allowed == {"img-src": "data:", **none}


def banner(text: str, size: tuple[int, int], letters: int) -> Image.Image:
    """Letters as large as the picture."""
    image = Image.new("RGB", size, "white")
    middle = (size[0] / 2, size[1] / 2)
    ImageDraw.Draw(image).text(middle, text, fill="black", font=ImageFont.load_default(letters), anchor="mm")
    return image


LEGIBLE = {
    "page": page("you are mean", "nobody likes you", letters=60),
    "poster": banner("KILL", (640, 480), 280),
    "large": banner("HATE YOU", (2400, 800), 480),
    "icon": banner("NO", (64, 48), 36),
}


@pytest.mark.parametrize("name", LEGIBLE)
def test_the_mosaic_leaves_nothing_to_read(tmp_path: Path, pipeline: Pipeline, name: str) -> None:
    assert pipeline.stage2
    read = pipeline.stage2.ocr.read
    source = encoded(LEGIBLE[name])
    verdict = pipeline(source)
    assert verdict.text
    report = written(tmp_path, (source, verdict))
    (thumbnail,) = report.mosaics
    assert max(thumbnail.size) <= BLOCKS
    shown = tuple(round(side * SIDE / max(report.rows[0]["size"])) for side in report.rows[0]["size"])
    for how in (Image.Resampling.NEAREST, Image.Resampling.BICUBIC):
        enlarged = thumbnail.resize(shown, how)
        assert [line for line in read(np.asarray(enlarged)) if line.confidence >= 0.4] == []


def test_a_small_picture_is_mosaicked_too(tmp_path: Path) -> None:
    source = encoded(gradient(60, 40))
    (thumbnail,) = written(tmp_path, (source, scripted()(source))).mosaics
    assert max(thumbnail.size) <= 4


@pytest.mark.parametrize("size", [(1, 1), (3000, 3), (2, 900)])
def test_odd_shapes(tmp_path: Path, size: tuple[int, int]) -> None:
    source = encoded(gradient(*size))
    outside = TextLine(text="x", confidence=1, box=Box(5000, 5000, 5001, 5001))
    for originals in (False, True):
        (row,) = written(tmp_path, (source, told([outside], source)), originals=originals).rows
        assert ("uri" in row, "mosaic" in row) == (originals, not originals)


def test_text_of_an_earlier_frame_is_blotted_out_as_well(tmp_path: Path) -> None:
    text = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(text).rectangle((16, 16, 32, 32), fill="black")
    source = encoded(Image.new("RGB", (64, 64), "white"), "GIF", save_all=True, append_images=[text])
    verdict = told([TextLine(text="x", confidence=1, box=Box(0, 0, 64, 64))], source)
    late = Reason(category="nudity", channel="image", source="detector", score=1, what="X", frame=1)
    (thumbnail,) = written(tmp_path, (source, verdict.model_copy(update={"reasons": (late,)}))).mosaics
    assert thumbnail.getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize("originals", [False, True])
def test_originals_only_when_asked_for_and_never_metadata(tmp_path: Path, originals: bool) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Camera of Ann", 6
    cells = np.random.default_rng(0).integers(0, 256, (24, 36, 3), dtype=np.uint8)
    picture = Image.fromarray(cells).resize((900, 600), Image.Resampling.NEAREST)
    source = encoded(picture, "JPEG", quality=95, exif=exif, comment=b"Ann")
    report = written(tmp_path, (source, scripted()(source)), originals=originals)
    (row,) = report.rows
    data = base64.b64decode(row["uri"].partition(",")[2]) if originals else b""
    thumbnail = Image.open(io.BytesIO(data)) if originals else report.mosaics[0]
    assert b"Ann" in source
    assert b"Ann" not in data
    assert not thumbnail.getexif()
    assert thumbnail.size == ((320, SIDE) if originals else (11, 16))  # turned upright
    assert row["size"] == [600, 900]
    upright = picture.transpose(Image.Transpose.ROTATE_270).resize((320, SIDE))
    difference = np.asarray(thumbnail.resize((320, SIDE)), int) - np.asarray(upright, int)
    assert (np.abs(difference).mean() < 20) == originals
    assert ("as they are" in report.text, "mosaicked" in report.text) == (originals, not originals)


class Pipe(io.BytesIO):
    """Like standard input: it can be read once."""

    def seek(self, *_: int) -> int:
        raise OSError("underlying stream is not seekable")


def test_what_cannot_be_shown_has_a_placeholder(tmp_path: Path) -> None:
    good = encoded(gradient())
    changed = tmp_path / "changed.png"
    changed.write_bytes(good)
    verdicts = scripted()([tmp_path / "gone.png", b"no picture", good[:-30], changed])
    changed.write_bytes(encoded(gradient(seed=1)))
    sources: list[Source] = [tmp_path / "gone.png", b"no picture", good[:-30], changed, Pipe(good), io.BytesIO(good)]
    verdicts += [scripted()(Pipe(good)), scripted()(io.BytesIO(good))]
    report = written(tmp_path, *zip(sources, verdicts, strict=True))
    assert len(report.mosaics) == 1, "only what can be read again"
    lost = [row["lost"] for row in report.rows if "lost" in row]
    assert len(lost) == 5
    for said in ("No such file", "its content is none of", "does not decode", "not the picture any more", "seekable"):
        assert any(said in why for why in lost), said


def test_the_frame_that_carries_the_reason_is_shown_with_its_own_boxes(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (320, 240), (level, 0, 80)) for level in (0, 10, 250, 20)]
    source = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    verdict = scripted("hello")(source)
    assert verdict.reasons[0].frame == 2
    report = written(tmp_path, (source, verdict))
    assert report.mosaics[0].getpixel((0, 0))[0] > 200
    (row,) = report.rows
    assert (row["size"], row["frame"], row["frames"]) == ([320, 240], 2, 4)
    assert sum(frame == 2 for _, _, frame, *_ in row["seen"]) == 1


def test_boxes_are_in_frame_pixels_and_reasons_share_a_label(tmp_path: Path) -> None:
    source = encoded(gradient(1000, 500))
    box, right = Box(10, 200, 300, 240), Box(700, 0, 1000, 500)
    where = [("hate", box), ("scam", box), ("self_harm", right)]
    reasons = [Reason(category=c, channel="text", source="detector", score=0.9, what="w", box=b) for c, b in where]
    verdict = told([], source).model_copy(update={"reasons": tuple(reasons)})
    report = written(tmp_path, (source, verdict))
    (row,) = report.rows
    assert row["size"] == [1000, 500]
    assert [mark["box"] for mark in row["marks"]] == [list(box), list(right)]
    labels = [mark["label"] for mark in row["marks"]]
    assert [(anchor, x, text) for anchor, x, _, _, text in labels] == [
        ("start", 10, "1 hate · 2 scam"),
        ("end", 1000, "3 self harm"),
    ]


def test_a_scene_graph_is_drawn_and_listed(tmp_path: Path) -> None:
    picture, verdict = fight()
    report = written(tmp_path, (encoded(picture), verdict))
    (row,) = report.rows
    marks = row["marks"]
    classes = [mark["kind"] for mark in marks]
    assert classes == ["thing"] * 4 + ["reason image"] * 2 + ["thing"] * 4 + ["relation reason"] + ["relation"] * 3
    paths = [mark["path"] for mark in marks if "path" in mark]
    assert paths[0] == "M130 335 L450 335 M417 352 L450 335 L417 318"
    assert paths[-1] == "", "no arrow to itself"
    titles = {mark.get("title") for mark in marks}
    assert titles >= {"woman:1 0.90", "man:0 hitting woman:1 0.93", "beach ball:3 0.80"}
    assert len(row["seen"]) == 11
    for one in (
        ["violence", 0.97, 0, "senben-tiny"],
        ["woman:1", 0.9, 0, "senben-tiny"],
        ["woman:1 bandaged, very tall", 0.85, 0, "senben-tiny"],
        ["woman:1 looking at man:0", 0.7, 0, "senben-tiny"],
    ):
        assert one in row["seen"]
    assert row["captions"] == [["A sign says <b>all is well</b>.", 0]]
    assert "violence 0.93 from man:0 hitting woman:1" in report.text


def test_what_was_not_done_is_said(tmp_path: Path) -> None:
    broken = encoded(gradient(300, 300), "JPEG")[:900]
    good = encoded(Image.new("RGB", (40, 40)))
    report = written(tmp_path, (broken, scripted()(broken)), (good, scripted("hello")(good)))
    text = " ".join(report.text.split())
    assert "2 pictures: 0 unsafe, 1 review, 1 safe. 1 not inspected in full; 0 with something noted" in text
    assert "Not looked for in any of them: sexual," in text
    assert "Not inspected: picture: it does not decode (" in text
    assert "Made with kidsnanny 0." in text
    first, second = report.rows
    assert "risk" not in first
    assert first["missed"][0].startswith("picture: it does not decode (")
    assert (first["action"], second["risk"], second["action"]) == ("Warn before showing it", 0, "Show it")


def test_an_ignored_category_is_told_and_has_no_thresholds(tmp_path: Path) -> None:
    source = encoded(Image.new("RGB", (16, 16), (250, 0, 0)))
    minded = scripted("hello")(source)
    (category, *_) = (reason.category for reason in minded.reasons)
    teen = Policy.load("teen")
    off = {category: teen.categories[category].model_copy(update={"action": "ignore"})}
    ignoring = decide(minded.inspection, teen.model_copy(update={"categories": teen.categories | off}))
    report = written(tmp_path, (source, minded), (source, ignoring))
    first, second = report.index["made"]
    assert (first["ignored"], second["ignored"]) == ([], [category])
    assert (category in first["thresholds"], category in second["thresholds"]) == (True, False)
    rest = max(score for name, score in ignoring.scores.items() if name != category)
    assert [row["risk"] for row in report.rows] == [pytest.approx(250 / 255, abs=1e-3), rest]


def test_an_empty_report_is_one(tmp_path: Path) -> None:
    report = written(tmp_path)
    assert "0 pictures: 0 unsafe, 0 review, 0 safe." in report.text
    assert "What to check first" not in report.text
    assert report.rows == []
    assert report.html.startswith("<!DOCTYPE html>")


class Stopped(Exception):
    """Whatever ends a run."""


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, Stopped])
@pytest.mark.parametrize("added", [0, 3])
def test_a_run_that_ends_early_leaves_a_whole_page_of_what_was_added(
    tmp_path: Path, added: int, error: type[BaseException]
) -> None:
    path = tmp_path / "report.html"
    path.write_text("before")

    def interrupted() -> None:
        with VerdictReport(path) as report:
            for _ in range(added):
                report.add(*full_of("x"))
            raise error

    with pytest.raises(error):
        interrupted()
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    if added:
        parsed = Parsed(path)
        assert len(parsed.rows) == added
        assert "This report is not complete: the run ended early, after 3 pictures." in parsed.text
    else:
        assert path.read_text() == "before"


def test_an_interrupted_picture_is_left_out_and_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(_: object) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "report.html"
    with VerdictReport(path) as report:
        report.add(*full_of("first"))
        with monkeypatch.context() as patch:
            patch.setattr(verdict_report, "causes", stopped)  # its line is written by then
            with pytest.raises(KeyboardInterrupt):
                report.add(*full_of("half"))
        report.add(*full_of("last"))
    assert [row["name"] for row in Parsed(path).rows] == ["first", "last"]


def test_the_file_takes_its_place_at_the_end_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("before")
    with VerdictReport(path) as report:
        report.add(*full_of("x"))
        assert path.read_text() == "before"
    assert path.read_text("utf-8").endswith("</html>\n")
    assert "not complete" not in path.read_text("utf-8")
    assert path.stat().st_mode & 0o077 == 0
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_a_report_that_cannot_be_put_in_place_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="disk full"), VerdictReport(tmp_path / "report.html"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_followed_and_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "target.html").write_text("before")
    (tmp_path / "report.html").symlink_to("target.html")
    written(tmp_path)
    assert (tmp_path / "report.html").is_symlink()
    assert (tmp_path / "target.html").read_text("utf-8").startswith("<!DOCTYPE")
    for path in (tmp_path, tmp_path / "none" / "report.html", Path(os.devnull)):
        with pytest.raises(OSError):
            VerdictReport(path)


def test_memory_does_not_grow_with_the_album(tmp_path: Path) -> None:
    source, verdict = full_of("x" * 2000)

    def peak(pictures: int) -> int:
        tracemalloc.reset_peak()
        start = tracemalloc.get_traced_memory()[0]
        with VerdictReport(tmp_path / "report.html") as report:
            for _ in range(pictures):
                report.add(source, verdict)
        return tracemalloc.get_traced_memory()[1] - start

    tracemalloc.start()
    try:
        peak(2)
        small, large = peak(5), peak(200)
    finally:
        tracemalloc.stop()
    assert (tmp_path / "report.html").stat().st_size > 2_000_000
    assert large < small + 500_000


def mixed(count: int) -> list[tuple[Source, Verdict]]:
    """One in fifty is unsafe, three in fifty are for review, and one in ten has text, as in an album."""
    source = encoded(gradient(256, 192))
    safe = scripted()(source)
    read = tuple(
        TextLine(text=f"Line {n} of a page", confidence=0.9, box=Box(9, 9 * n, 300, 9 * n + 8)) for n in range(12)
    )
    found = Reason(category="hate", channel="text", source="detector", score=0.9, what="w", box=Box(9, 9, 300, 17))
    unread = NotInspected(part="text", reason="text on 12.5% of the frame could not be read", cause="unread")
    pairs = []
    for n in range(count):
        kind = n % 50
        update: dict[str, object] = {"source": f"album/2024/picture_{n:05}.jpg", "text": read if n % 10 == 0 else ()}
        if kind == 0:
            update |= {"label": "unsafe", "reasons": (found,), "text": read, "scores": {"hate": 0.9 - n / 1e6}}
        elif kind < 4:
            update |= {"label": "review", "not_inspected": (unread,)}
        pairs.append((source, safe.model_copy(update=update)))
    return pairs


def test_ten_thousand_pictures_stay_under_15_mb(tmp_path: Path) -> None:
    def size(count: int) -> int:
        written(tmp_path, *mixed(count))
        return (tmp_path / "report.html").stat().st_size

    few, many = size(50), size(250)
    assert few + (many - few) / 200 * 9950 < 15e6


def test_the_order_is_by_label_the_strongest_first_and_before_them_what_has_no_score(tmp_path: Path) -> None:
    source, verdict = full_of("x")
    given = [("safe", 0.2), ("review", 0.4), ("unsafe", 0.8), ("review", None), ("unsafe", 0.9), ("review", 0.6)]
    report = written(
        tmp_path,
        *(
            (source, verdict.model_copy(update={"label": label, "scores": {} if risk is None else {"hate": risk}}))
            for label, risk in given
        ),
    )
    labels = report.index["labels"]
    found = [(labels[one[1]], row.get("risk")) for one, row in zip(report.index["rows"], report.rows, strict=True)]
    assert found == [
        ("unsafe", 0.9), ("unsafe", 0.8), ("review", None), ("review", 0.6), ("review", 0.4), ("safe", 0.2),
    ]  # fmt: skip
    assert [row["n"] for row in report.rows] == [5, 3, 4, 6, 2, 1]


def test_the_weaker_thumbnails_of_a_large_album_are_coarser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict_report, "FINE", 2)
    monkeypatch.setattr(verdict_report, "BLOCK", 2)
    sizes = [max(mosaic.size) for mosaic in written(tmp_path, *mixed(4)).mosaics]
    assert sizes == [BLOCKS, BLOCKS, COARSE_BLOCKS, COARSE_BLOCKS]


def test_what_to_check_first_and_the_causes_are_counted(tmp_path: Path) -> None:
    report = written(tmp_path, *mixed(100))
    text = " ".join(report.text.split())
    assert "What to check first album/2024/picture_00000.jpg: hate 0.90 from" in text
    assert "text that could not be read (not inspected): 6 of 6. Read it in the picture itself" in text
    assert "hate, read in textfound22.0 %" in text
    assert "100 pictures: 2 unsafe, 6 review, 92 safe. 6 not inspected in full" in text


def test_what_is_noted_is_counted_and_holds_nothing_back(tmp_path: Path) -> None:
    source, verdict = mixed(6)[5]
    sign = NotInspected(part="text", reason="text in Greek script", cause="language", minor=True)
    text = " ".join(written(tmp_path, (source, verdict.model_copy(update={"noted": (sign,)}))).text.split())
    assert "0 not inspected in full; 1 with something noted that holds nothing back." in text
    assert "text in a language that is not judgednoted1100.0 %" in text
    assert "Most of what waits for review" not in text


@pytest.mark.parametrize(
    ("sources", "noun"), [((None, None), "2 messages:"), ((b"", b""), "2 pictures:"), ((None, b""), "2 verdicts:")]
)
def test_it_says_messages_for_texts(tmp_path: Path, sources: tuple[Source | None, ...], noun: str) -> None:
    verdict = scripted().check_text("you are mean")
    assert noun in written(tmp_path, *((source, verdict) for source in sources)).text


@pytest.mark.parametrize("policies", [1, 2])
def test_several_policies_can_be_told_apart(tmp_path: Path, policies: int) -> None:
    source, verdict = full_of("x")
    made = [verdict.provenance.model_copy(update={"policy": f"policy{n}@1"}) for n in range(policies)]
    report = written(tmp_path, *((source, verdict.model_copy(update={"provenance": one})) for one in made))
    assert [one["id"] for one in report.all("select")].count("policy") == (policies > 1)
    assert [one["policy"] for one in report.index["made"]] == [f"policy{n}@1" for n in range(policies)]


def test_a_large_report_of_originals_says_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "MB" not in written(tmp_path, full_of("x"), originals=True).text
    monkeypatch.setattr(verdict_report, "LARGE", 100)
    assert "This file holds about 0 MB." in written(tmp_path, full_of("x"), originals=True).text


@pytest.mark.parametrize("cause", [*get_args(Cause), None])
def test_what_was_not_inspected_is_of_a_kind_with_advice(cause: Cause | None) -> None:
    verdict = scripted()(encoded(gradient()))
    missed = NotInspected(part="picture", reason="a reason", cause=cause)
    for field, kind in (("not_inspected", "not inspected"), ("noted", "noted")):
        (found,) = causes(verdict.model_copy(update={field: (missed, missed)}))
        assert found.kind == kind
        assert found.advice.endswith(".")


def test_each_cause_is_a_kind_of_its_own() -> None:
    verdict = scripted()(encoded(gradient()))
    missed = tuple(NotInspected(part="picture", reason="a reason", cause=cause) for cause in get_args(Cause))
    assert len(set(causes(verdict.model_copy(update={"not_inspected": missed})))) == len(missed)


def test_colours_can_be_told_apart_from_their_ground() -> None:
    """WCAG AA, in light and dark."""
    style = files("kidsnanny.reports").joinpath("templates", "page.css").read_text("utf-8")

    def luminance(colour: str) -> float:
        digits = colour if len(colour) == 6 else "".join(c * 2 for c in colour)
        parts = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    colours: dict[str, str] = {}
    for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL):
        colours |= dict(re.findall(r"--(\w+): #(\w+)", block))
        pairs = [(ink, ground) for ink in ("ink", "quiet", "link") for ground in ("ground", "card")]
        pairs += [("on", "safe"), ("on", "review"), ("on", "unsafe"), ("ink", "warn")]
        for pair in pairs:
            dark, light = sorted(luminance(colours[name]) for name in pair)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, pair

"""The HTML report: it loads nothing, runs no script but ours, and shows text from a picture as text."""

import base64
import hashlib
import io
import os
import re
import socket
import tracemalloc
from importlib.resources import files
from pathlib import Path
from typing import Any

import html_pages
import numpy as np
import pytest
from conftest import ROOT, encoded, gradient, page, scripted
from html_pages import ATTACKS, LOADING, Parsed, opened, requests
from PIL import Image, ImageDraw, ImageFont

from kidsnanny import Pipeline, Policy, Verdict, decide
from kidsnanny.media.loader import Source
from kidsnanny.records import (
    Box,
    Detection,
    ModelId,
    NotInspected,
    Reason,
    Relation,
    SceneGraph,
    SceneObject,
    TextLine,
    VisualFindings,
)
from kidsnanny.reports.thumbnails import BLOCKS, SIDE
from kidsnanny.reports.verdict_report import REASONS, VerdictReport

browser = html_pages.browser


def written(folder: Path, *pairs: tuple[Source, Verdict], originals: bool = False) -> Parsed:
    """The report of these, parsed."""
    with VerdictReport(folder / "report.html", originals=originals) as report:
        for source, verdict in pairs:
            report.add(source, verdict)
    return Parsed(folder / "report.html")


def full_of(text: str) -> tuple[Source, Verdict]:
    """A picture and a verdict that says `text` wherever a verdict can hold text that somebody else wrote."""
    source = encoded(gradient())
    verdict = scripted("hello")(source)
    box = Box(1, 2, 30, 20)
    reasons = [
        Reason(category="hate", channel=channel, source="detector", score=0.9, what=text, box=Box(1, 2, 30, right))
        for channel, right in (("text", 20), ("image", 21))
    ]
    thing = SceneObject(label=text, box=box, attributes=(text,))
    relation = Relation(subject=0, predicate=text, object=1)
    graph = SceneGraph(objects=(thing, thing), relations=(relation,), tags={text: 0.5}, caption=text, model=text)
    detection = Detection(label=text, score=0.5, box=box)
    seen = VisualFindings(width=64, height=48, frames=1, detections=(detection,), graphs=(graph,))
    update = {
        "source": text,
        "reasons": tuple(reasons),
        "findings": seen,
        "text": (TextLine(text=text, confidence=0.9, box=box),),
        "not_inspected": (NotInspected(part="text", reason=text),),
        "explanation": text,
        "provenance": verdict.provenance.model_copy(update={"policy": text, "models": {text: (ModelId(name=text),)}}),
    }
    return source, verdict.model_copy(update=update)


def told(lines: list[TextLine], source: bytes) -> Verdict:
    """A verdict in which the OCR read these lines."""
    return scripted()(source).model_copy(update={"text": tuple(lines)})


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_text_stays_text(tmp_path: Path, attack: str) -> None:
    harmless = written(tmp_path, full_of("harmless"))
    report = written(tmp_path, full_of(attack))
    assert report.shape == harmless.shape
    visible = "".join(c if c.isprintable() else f"[U+{ord(c):04X}]" for c in attack)
    assert report.text.count(visible) >= 9
    assert all(c.isprintable() or c == "\n" for c in report.html)


def test_names_in_other_scripts_are_left_alone(tmp_path: Path) -> None:
    name = "صورة 田 família 👨\u200d👩\u200d👧 ñ.png"
    assert written(tmp_path, full_of(name)).text.count(name) >= 4


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    report = written(tmp_path, full_of("https://evil.example/x.png"), full_of("y"), originals=True)
    references = [value for _, attributes in report.tags for name, value in attributes.items() if name in LOADING]
    assert len(references) == 3
    assert all(str(reference).startswith("data:") for reference in references)
    assert not re.search(r"url\(|@import|//", report.raw["style"])
    assert not re.search(r"https?:|fetch|XMLHttp|import\(|eval|innerHTML|Function", report.raw["script"])
    assert not any(name.startswith("on") for _, attributes in report.tags for name in attributes)


def test_the_policy_allows_our_script_and_style_by_their_sums_and_no_more(tmp_path: Path) -> None:
    report = written(tmp_path, full_of("x"))
    (policy,) = (meta["content"] for meta in report.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    allowed = dict(part.strip().split(" ", 1) for part in str(policy).split(";"))
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(report.raw[kind].encode()).digest()).decode()
        assert allowed.pop(f"{kind}-src") == f"'sha256-{digest}'"
        assert len(report.all(kind)) == 1
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
    (thumbnail,) = report.thumbnails
    assert max(thumbnail.size) <= BLOCKS
    shown = (int(str(report.all("img")[0]["width"])), int(str(report.all("img")[0]["height"])))
    for how in (Image.Resampling.NEAREST, Image.Resampling.BICUBIC):
        enlarged = thumbnail.convert("RGB").resize(shown, how)
        assert [line for line in read(np.asarray(enlarged)) if line.confidence >= 0.4] == []


def test_a_small_picture_is_mosaicked_too(tmp_path: Path) -> None:
    source = encoded(gradient(60, 40))
    (thumbnail,) = written(tmp_path, (source, scripted()(source))).thumbnails
    assert max(thumbnail.size) <= 4


@pytest.mark.parametrize("size", [(1, 1), (3000, 3), (2, 900)])
def test_odd_shapes(tmp_path: Path, size: tuple[int, int]) -> None:
    source = encoded(gradient(*size))
    outside = TextLine(text="x", confidence=1, box=Box(5000, 5000, 5001, 5001))
    for originals in (False, True):
        assert len(written(tmp_path, (source, told([outside], source)), originals=originals).thumbnails) == 1


def test_text_of_an_earlier_frame_is_blotted_out_as_well(tmp_path: Path) -> None:
    text = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(text).rectangle((16, 16, 32, 32), fill="black")
    source = encoded(Image.new("RGB", (64, 64), "white"), "GIF", save_all=True, append_images=[text])
    verdict = told([TextLine(text="x", confidence=1, box=Box(0, 0, 64, 64))], source)
    late = Reason(category="nudity", channel="image", source="detector", score=1, what="X", frame=1)
    (thumbnail,) = written(tmp_path, (source, verdict.model_copy(update={"reasons": (late,)}))).thumbnails
    assert thumbnail.getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize("originals", [False, True])
def test_originals_only_when_asked_for_and_never_metadata(tmp_path: Path, originals: bool) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Camera of Ann", 6
    cells = np.random.default_rng(0).integers(0, 256, (24, 36, 3), dtype=np.uint8)
    picture = Image.fromarray(cells).resize((900, 600), Image.Resampling.NEAREST)
    source = encoded(picture, "JPEG", quality=95, exif=exif, comment=b"Ann")
    report = written(tmp_path, (source, scripted()(source)), originals=originals)
    (thumbnail,) = report.thumbnails
    assert b"Ann" in source
    assert b"Ann" not in report.encoded[0]
    assert not thumbnail.getexif()
    assert thumbnail.size == ((320, SIDE) if originals else (11, 16))  # turned upright
    assert [(image["width"], image["height"]) for image in report.all("img")] == [("320", str(SIDE))]
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
    assert len(report.thumbnails) == 1, "only what can be read again"
    assert [a for a in report.all("p") if a.get("class") == "placeholder"] == [{"class": "placeholder"}] * 5
    for said in ("No such file", "its content is none of", "does not decode", "not the picture any more", "seekable"):
        assert said in report.text, said


def test_the_frame_that_carries_the_reason_is_shown_with_its_own_boxes(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (320, 240), (level, 0, 80)) for level in (0, 10, 250, 20)]
    source = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    verdict = scripted("hello")(source)
    assert verdict.reasons[0].frame == 2
    report = written(tmp_path, (source, verdict))
    assert report.thumbnails[0].convert("RGB").getpixel((0, 0))[0] > 200
    assert "Mosaicked, frame 2, 320×240 pixels" in report.text
    assert str(report.all("img")[0]["alt"]) == "Mosaicked thumbnail of picture 1, frame 2"
    drawn = [group["class"] for group in report.all("g")]
    assert drawn.count("image") == sum(seen.frame == 2 for seen in verdict.findings.detections) == 1


def test_boxes_are_in_frame_pixels_and_reasons_share_a_label(tmp_path: Path) -> None:
    source = encoded(gradient(1000, 500))
    box, right = Box(10, 200, 300, 240), Box(700, 0, 1000, 500)
    where = [("hate", box), ("scam", box), ("self_harm", right)]
    reasons = [Reason(category=c, channel="text", source="detector", score=0.9, what="w", box=b) for c, b in where]
    verdict = told([], source).model_copy(update={"reasons": tuple(reasons)})
    report = written(tmp_path, (source, verdict))
    assert report.all("svg")[0]["viewbox"] == "0 0 1000 500"
    assert {"x": "10", "y": "200", "width": "290", "height": "40", "class": "ink"} in report.all("rect")
    assert "1 hate · 2 scam" in report.text
    assert "3 self harm" in report.text
    assert [(t["text-anchor"], t["x"]) for t in report.all("text")] == [("start", "10"), ("end", "1000")]


def fight() -> tuple[Image.Image, Verdict]:
    """A drawing of four figures, and a verdict with what a student might write of it."""
    picture = Image.new("RGB", (1000, 600), (190, 215, 240))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 480, 1000, 600), fill=(120, 170, 90))
    figures = [(60, "#c0392b"), (380, "#8e44ad"), (780, "#2c3e50")]
    for x, colour in figures:
        draw.ellipse((x + 35, 150, x + 105, 220), fill=(224, 172, 140))
        draw.rounded_rectangle((x + 10, 220, x + 130, 400), 30, fill=colour)
        draw.rectangle((x + 30, 400, x + 60, 520), fill="#444")
        draw.rectangle((x + 80, 400, x + 110, 520), fill="#444")
    draw.ellipse((700, 440, 760, 500), fill="#f1c40f")
    objects = [
        SceneObject(label=label, box=Box(x, 140, x + 140, 530), attributes=attributes, score=0.9, attributes_score=0.85)
        for (x, _), label, attributes in zip(
            figures, ("man", "woman", "man"), (("angry",), ("bandaged", "very tall"), ()), strict=True
        )
    ]
    graph = SceneGraph(
        objects=(*objects, SceneObject(label="beach ball", box=Box(700, 440, 760, 500), score=0.8)),
        relations=(
            Relation(subject=0, predicate="hitting", object=1, score=0.93),
            Relation(subject=1, predicate="looking at", object=0, score=0.7),
            Relation(subject=2, predicate="kicking", object=3, score=0.66),
            Relation(subject=3, predicate="next to", object=3, score=0.5),
        ),
        tags={"violence": 0.97},
        caption="A sign says <b>all is well</b>.",
        model="senben-tiny",
    )
    tag = Detection(label="violence", score=0.97, model="senben-tiny")
    by = {"category": "violence", "channel": "image"}
    reasons = (
        Reason(score=0.97, source="classifier", what="violence", **by),
        Reason(score=0.93, source="detector", what="man:0 hitting woman:1", box=Box(60, 140, 520, 530), **by),
        Reason(score=0.9, source="detector", what="woman:1 bandaged", box=objects[1].box, **by),
    )
    seen = VisualFindings(
        width=1000, height=600, frames=1, models=(ModelId(name="m"),), detections=(tag,), graphs=(graph,)
    )
    update = {"label": "unsafe", "action": "block", "reasons": reasons, "findings": seen, "source": "fight.png"}
    return picture, scripted()(encoded(picture)).model_copy(update=update)


def test_a_scene_graph_is_drawn_and_listed(tmp_path: Path) -> None:
    picture, verdict = fight()
    report = written(tmp_path, (encoded(picture), verdict))
    classes = [group["class"] for group in report.all("g")]
    assert classes == ["thing"] * 4 + ["reason image"] * 2 + ["thing"] * 4 + ["relation reason"] + ["relation"] * 3
    assert report.all("path")[0]["d"] == "M130 335 L450 335 M417 352 L450 335 L417 318"
    assert report.all("path")[-1]["d"] == "", "no arrow to itself"
    for title in ("woman:1 0.90", "man:0 hitting woman:1 0.93", "beach ball:3 0.80"):
        assert f"<title>{title}</title>" in report.html
    text = " ".join(report.text.split())
    assert "What the models saw (11)violence 0.97, senben-tiny" in text
    assert "woman:1 0.90, senben-tiny" in text
    assert "woman:1 bandaged, very tall 0.85, senben-tiny" in text
    assert "woman:1 looking at man:0 0.70, senben-tiny" in text
    assert "The student's caption: A sign says <b>all is well</b>." in text
    assert "violence 0.93 from man:0 hitting woman:1" in text


def test_what_was_not_done_is_said(tmp_path: Path) -> None:
    broken = encoded(gradient(300, 300), "JPEG")[:900]
    good = encoded(Image.new("RGB", (40, 40)))
    report = written(tmp_path, (broken, scripted()(broken)), (good, scripted("hello")(good)))
    text = " ".join(report.text.split())
    assert (
        "2 pictures: 0 unsafe, 1 review, 1 safe. 1 not inspected in full. Not looked for in any of them: sexual,"
        in text
    )
    assert "Nothing in what could be inspected reached a threshold. Not inspectedpicture: sha256:" in text
    assert "Highest score: unknown. " in text
    assert [a["data-risk"] for a in report.all("article")] == ["", "0.0"]
    assert "Warn before showing it." in text
    assert "Made with kidsnanny 0." in text


def test_an_ignored_category_is_told_and_not_flagged(tmp_path: Path) -> None:
    source = encoded(Image.new("RGB", (16, 16), (250, 0, 0)))
    minded = scripted("hello")(source)
    (category, *_) = (reason.category for reason in minded.reasons)
    teen = Policy.load("teen")
    off = {category: teen.categories[category].model_copy(update={"action": "ignore"})}
    ignoring = decide(minded.inspection, teen.model_copy(update={"categories": teen.categories | off}))
    report = written(tmp_path, (source, minded))
    assert 'class="flagged"' in report.html
    assert "Ignored by this policy" not in report.html
    report = written(tmp_path, (source, ignoring))
    assert 'class="flagged"' not in report.html
    assert f"Ignored by this policy:</strong> {category}." in report.html
    assert f"{category} (ignored)</th>" in report.html
    rest = max(score for name, score in ignoring.scores.items() if name != category)
    assert f"Highest score: {rest:.2f}" in report.html


def test_many_reasons_are_folded_away(tmp_path: Path) -> None:
    source = encoded(gradient())
    reason = Reason(category="hate", channel="text", source="detector", score=0.9, what="w")
    verdict = told([], source).model_copy(update={"reasons": (reason,) * (REASONS + 3)})
    report = written(tmp_path, (source, verdict))
    assert "3 more" in report.text
    assert {"start": str(REASONS + 1)} in report.all("ol")


def test_an_empty_report_is_one(tmp_path: Path) -> None:
    report = written(tmp_path)
    assert "0 pictures: 0 unsafe, 0 review, 0 safe." in report.text
    assert report.all("article") == []
    assert report.html.startswith("<!DOCTYPE html>")
    assert "$" not in report.html.replace("${visible}", "").replace("${cards.length}", "")


def test_the_file_takes_its_place_at_the_end_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("before")

    def interrupted() -> None:
        with VerdictReport(path) as report:
            report.add(*full_of("x"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "before"
    with VerdictReport(path) as report:
        report.add(*full_of("x"))
        assert path.read_text() == "before"
    assert path.read_text("utf-8").endswith("</html>\n")
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
    assert (tmp_path / "report.html").stat().st_size > 4_000_000
    assert large < small + 500_000


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


def shown(browser: Any) -> list[str]:
    """Names of the cards that are displayed, from top to bottom."""
    cards = browser.find_elements("css selector", "article")
    visible = [card for card in cards if card.is_displayed()]
    visible.sort(key=lambda card: card.rect["y"])
    return [Path(card.find_element("css selector", "h2 bdi").text).name for card in visible]


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory, pipeline: Pipeline) -> tuple[Path, dict[str, Verdict]]:
    """The report of the examples and of one broken file."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    paths = [*sorted((ROOT / "examples").glob("*.[pjg][npi][gf]")), folder / "broken.jpg"]
    verdicts = pipeline(paths)
    written(folder, *zip(paths, verdicts, strict=True))
    return folder / "report.html", {path.name: verdict for path, verdict in zip(paths, verdicts, strict=True)}


@pytest.mark.slow
def test_in_a_browser(browser: Any, examples: tuple[Path, dict[str, Verdict]]) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.select import Select

    path, verdicts = examples
    names = list(verdicts)
    opened(browser, path)
    assert shown(browser) == names
    sort = Select(browser.find_element("id", "sort"))

    sort.select_by_value("risk")
    by_risk = shown(browser)
    scores = [verdicts[name].risk() for name in by_risk[1:]]
    assert by_risk[0] == "broken.jpg", "what has no score is not hidden at the end"
    assert scores == sorted(scores, reverse=True)

    sort.select_by_value("label")
    labels = [verdicts[name].label for name in shown(browser)]
    assert labels == sorted(labels, key=["unsafe", "review", "safe"].index)
    sort.select_by_value("order")
    assert shown(browser) == names

    opened(browser, path)
    ActionChains(browser).send_keys(Keys.TAB * 3 + Keys.SPACE + Keys.TAB + Keys.END).perform()
    flagged = [name for name in names if verdicts[name].label != "safe"]
    by_name = sorted(flagged, key=lambda name: verdicts[name].source)
    assert shown(browser) == by_name, "by keyboard alone: without the safe ones, by name"
    assert browser.find_element("id", "shown").text == f"{len(flagged)} of {len(names)} shown"

    assert browser.get_log("browser") == []
    assert requests(browser) == {"file://", "data:"}


@pytest.mark.slow
def test_without_javascript_the_filter_still_works(browser: Any, examples: tuple[Path, dict[str, Verdict]]) -> None:
    path, verdicts = examples
    opened(browser, path, script=False)
    assert not browser.find_element("id", "sort").is_displayed()
    browser.find_element("id", "only-safe").click()
    assert shown(browser) == [name for name, verdict in verdicts.items() if verdict.label != "safe"]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800, 400])
def test_it_fits_and_draws(
    browser: Any, examples: tuple[Path, dict[str, Verdict]], tmp_path: Path, width: int, scheme: str
) -> None:
    path, _ = examples
    opened(browser, path, width, scheme)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    browser.execute_script("document.querySelector('g.reason').scrollIntoView({block: 'center'})")
    picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    picture.save(tmp_path / "screenshot.png")
    pixels = np.asarray(picture).reshape(-1, 3)
    assert (pixels == (0xFF, 0xD2, 0x3E)).all(axis=1).sum() > 200, "the box of a reason"
    assert (pixels.mean() > 128) == (scheme == "light")
    assert browser.get_log("browser") == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 400])
def test_a_scene_graph_is_seen(browser: Any, tmp_path: Path, width: int) -> None:
    picture, verdict = fight()
    written(tmp_path, (encoded(picture), verdict))
    opened(browser, tmp_path / "report.html", width)
    pixels = np.asarray(Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")).reshape(-1, 3)
    for colour, what in (((0xFF, 0xD2, 0x3E), "a deed that is a reason"), ((0x8F, 0xD3, 0xFF), "things")):
        assert (pixels == colour).all(axis=1).sum() > 100, what  # the machine's fonts move the lines between pixels
    svg = browser.find_element("css selector", ".frame svg").rect
    for label in browser.find_elements("css selector", ".thing text, .relation text"):
        assert svg["x"] <= label.rect["x"], label.text
        assert label.rect["x"] + label.rect["width"] <= svg["x"] + svg["width"], label.text
    assert browser.get_log("browser") == []


@pytest.mark.slow
def test_markup_that_got_in_all_the_same_could_neither_run_nor_load(browser: Any, tmp_path: Path) -> None:
    """The second wall, and the proof that the tests above would see a breach."""
    written(tmp_path, full_of("x"))
    path = tmp_path / "report.html"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        markup = (
            "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
            f"<img src='{url}'><link rel=stylesheet href='{url}'><script src='{url}'></script>"
            "<iframe src='data:text/html,x'></iframe>"
        )
        path.write_text(path.read_text("utf-8").replace("<header>", markup + "<header>"), "utf-8")
        opened(browser, path)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert browser.title == "kidsnanny report"
    assert sum("Content Security Policy" in entry["message"] for entry in browser.get_log("browser")) >= 5

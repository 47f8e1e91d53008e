"""The HTML report in a real browser: search, filters, keys, marks, and what must never run."""

import csv
import io
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import html_pages
import numpy as np
import pytest
from conftest import ROOT, encoded, gradient, scripted
from html_pages import ATTACKS, opened, requests
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from verdict_reports import fight, full_of, told, written

from kidsnanny import Pipeline, Verdict
from kidsnanny.records import Box, NotInspected, Reason, TextLine
from kidsnanny.reports.verdict_rows import ACTIONS

pytestmark = pytest.mark.slow
browser = html_pages.browser


def wait_for(happens: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.05)


def press(browser: Any, *keys: str) -> None:
    """Keys, one after the other, wherever the focus is."""
    for key in keys:
        ActionChains(browser).send_keys(key).perform()


def shown(browser: Any) -> list[str]:
    """Names of the rows that are drawn, from top to bottom."""
    rows = browser.find_elements("css selector", "article .name bdi")
    return [Path(row.text).name for row in rows]


def count(browser: Any) -> str:
    found: str = browser.find_element("id", "shown").text
    return found


def focused(browser: Any) -> str:
    """The name in the row that has the focus."""
    script = "return document.activeElement.querySelector?.('.name')?.textContent ?? document.activeElement.id"
    return Path(browser.execute_script(script)).name


def download(browser: Any, folder: Path, button: str, name: str) -> Path:
    folder.mkdir()
    behaviour = {"behavior": "allow", "downloadPath": str(folder)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
    browser.find_element("id", button).click()
    wait_for((folder / name).exists)
    return folder / name


def album(folder: Path) -> Path:
    """Two thousand pictures under two policies: 40 unsafe, 160 for review, 1,800 safe; every tenth has text."""
    source = encoded(gradient())
    base = scripted()(source)
    unread = NotInspected(part="text", reason="text on 12.5% of the frame could not be read", cause="unread")
    sign = NotInspected(part="text", reason="text in Thai script", cause="language", minor=True)
    pairs = []
    for n in range(2000):
        update: dict[str, Any] = {"source": f"album/{n:04}.png", "scores": {"hate": (n % 97) / 100}}
        if n % 10 == 0:
            update["text"] = (TextLine(text=f"needle {n}", confidence=0.9, box=Box(1, 1, 9, 9)),)
        if n % 50 == 0:
            reason = Reason(
                category="violence" if n % 100 else "hate", channel="image", source="classifier", score=0.9, what="x"
            )
            update |= {"label": "unsafe", "reasons": (reason,), "action": "block"}
        elif n % 50 < 5:
            update |= {"label": "review", "not_inspected": (unread,)}
        elif n % 50 == 5:
            update |= {"noted": (sign,)}
        if n >= 1000:
            update["provenance"] = base.provenance.model_copy(update={"policy": "other@1"})
        pairs.append((source, base.model_copy(update=update)))
    written(folder, *pairs)
    return folder / "report.html"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return album(tmp_path_factory.mktemp("large"))


def test_the_flagged_are_shown_and_the_safe_ones_are_folded(browser: Any, large: Path) -> None:
    opened(browser, large)
    assert count(browser) == "2000 of 2000 pictures"
    heads = browser.find_elements("css selector", "h2 .group")
    assert [head.text for head in heads] == ["unsafe: 40", "review: 160", "safe: 1800"]
    assert [head.get_attribute("aria-expanded") for head in heads] == ["true", "true", "false"]
    assert browser.find_elements("css selector", "article.safe") == []
    first = browser.execute_script(
        "return JSON.parse(document.querySelector('script.rows').textContent.split('\\n')[0])"
    )
    assert shown(browser)[0] == Path(first["name"]).name
    heads[2].click()
    browser.execute_script("scrollTo(0, document.body.scrollHeight)")
    wait_for(lambda: browser.find_elements("css selector", "article.safe") != [])
    assert len(browser.find_elements("css selector", "article")) < 400, "what is out of view is not drawn"


def test_filters(browser: Any, large: Path) -> None:
    opened(browser, large)
    for name, choice, expected in (
        ("category", "hate", 20),
        ("category", "violence", 20),
        ("cause", "not inspected: text that could not be read (160)", 160),
        ("cause", "noted: text in a language that is not judged (40)", 40),
        ("policy", "other@1", 1000),
    ):
        select = Select(browser.find_element("id", name))
        select.select_by_visible_text(choice)
        assert count(browser) == f"{expected} of 2000 pictures", choice
        select.select_by_visible_text("all")
    browser.find_element("css selector", "#controls input[value=review]").click()
    assert count(browser) == "1840 of 2000 pictures"
    browser.find_element("css selector", "button[data-cause]").click()
    assert count(browser) == "160 of 2000 pictures"
    assert browser.get_log("browser") == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("needle 1990", 1),
        ("NEEDLE", 200),
        ("1234.png", 1),
        ("could not be read", 160),
        ("needle album/0010", 1),
        ("nowhere", 0),
    ],
)
def test_search(browser: Any, large: Path, query: str, found: int) -> None:
    opened(browser, large)
    browser.find_element("id", "search").send_keys(query)
    assert count(browser) == f"{found} of 2000 pictures"
    heads = browser.find_elements("css selector", "h2 .group")
    assert sum(int(head.text.split(": ")[1].split()[0]) for head in heads if head.is_displayed()) == found


def test_sorting_within_a_label(browser: Any, large: Path) -> None:
    opened(browser, large)
    Select(browser.find_element("id", "sort")).select_by_value("name")
    assert shown(browser)[:3] == ["0000.png", "0050.png", "0100.png"]


def test_keys(browser: Any, large: Path, tmp_path: Path) -> None:
    opened(browser, large)
    Select(browser.find_element("id", "sort")).select_by_value("given")
    browser.execute_script("document.activeElement.blur()")
    press(browser, "j", "j", "j", "k")
    assert focused(browser) == "0050.png"
    press(browser, Keys.ENTER)
    assert len(browser.find_elements("css selector", ".details")) == 1
    assert browser.switch_to.active_element.get_attribute("aria-expanded") == "true"
    press(browser, Keys.ENTER)
    assert browser.find_elements("css selector", ".details") == []
    press(browser, "f", "j", "u", "j", "f", "f")
    assert browser.find_element("id", "marked").text == "2 marked", "a mark is taken back by its key"
    press(browser, "?")
    assert browser.find_element("id", "keys").is_displayed()
    press(browser, "j", Keys.ESCAPE)
    assert not browser.find_element("id", "keys").is_displayed()
    assert focused(browser) == "0150.png"
    press(browser, *"j" * 60)
    assert focused(browser) not in ("0150.png", "keys"), "rows out of view are drawn as the focus reaches them"
    box = browser.switch_to.active_element.rect
    bar = browser.find_element("id", "controls").rect
    assert box["y"] >= bar["y"] + bar["height"], "the bar hides nothing that has the focus"
    press(browser, "/", "j", "f")
    assert browser.find_element("id", "search").get_attribute("value") == "jf", "in a field, keys are letters"
    browser.find_element("id", "search").clear()
    assert browser.find_element("id", "marked").text == "2 marked"

    rows = list(csv.reader(io.StringIO(download(browser, tmp_path / "csv", "csv", "marked.csv").read_text("utf-8"))))
    assert rows == [
        ["name", "label", "mark"],
        *sorted([["album/0050.png", "unsafe", "false alarm"], ["album/0100.png", "unsafe", "follow-up"]],
                key=lambda row: -(int(row[0][6:10]) % 97)),
    ]  # fmt: skip
    found = json.loads(download(browser, tmp_path / "json", "json", "marked.json").read_text("utf-8"))
    assert [[one["name"], one["label"], one["mark"]] for one in found] == rows[1:]
    assert all(len(one["sha256"]) == 64 for one in found)
    browser.find_element("id", "only-marked").click()
    assert count(browser) == "2 of 2000 pictures"


def test_a_link_leads_to_a_row_wherever_it_is(browser: Any, large: Path) -> None:
    opened(browser, large)
    browser.find_element("id", "search").send_keys("nowhere")
    browser.execute_script("location.hash = '#picture-1998'")
    wait_for(lambda: focused(browser) == "1997.png")
    assert browser.find_element("id", "details-1998").is_displayed()
    assert count(browser) == "2000 of 2000 pictures"


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_hostile_names_and_texts_are_shown_and_run_nothing(browser: Any, tmp_path: Path, attack: str) -> None:
    source, verdict = full_of(f"{attack}<script>document.title='owned'</script>")
    hostile = verdict.model_copy(update={"label": "unsafe", "noted": verdict.not_inspected})
    written(tmp_path, (source, hostile), (None, hostile))
    opened(browser, tmp_path / "report.html")
    assert len(browser.find_elements("css selector", ".details")) == 2
    for fold in browser.find_elements("css selector", ".details summary"):
        fold.click()
    browser.find_element("id", "search").send_keys("owned")
    assert count(browser) == "2 of 2 verdicts"
    inside = "main script, main iframe, main style, main a, [onerror], main img"
    assert browser.find_elements("css selector", inside) == []
    assert browser.find_element("css selector", ".details .frame + figcaption").is_displayed()
    assert "<script>document.title='owned'</script>" in browser.find_element("css selector", ".details").text
    assert browser.title == "kidsnanny report"
    assert browser.get_log("browser") == []
    assert requests(browser) == {"file://", "data:"}


def test_what_a_hostile_name_exports(browser: Any, tmp_path: Path) -> None:
    source, verdict = full_of("x")
    name = '=cmd|"a"!A1\u202e,\n'
    written(tmp_path, (source, verdict.model_copy(update={"label": "unsafe", "source": name})))
    opened(browser, tmp_path / "report.html")
    press(browser, "j", "f")
    text = download(browser, tmp_path / "csv", "csv", "marked.csv").read_bytes().decode()
    assert list(csv.reader(io.StringIO(text, newline="")))[1] == [f"'{name}", "unsafe", "false alarm"], "no formula"
    (found,) = json.loads(download(browser, tmp_path / "json", "json", "marked.json").read_text("utf-8"))
    assert found["name"] == name


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory, pipeline: Pipeline) -> tuple[Path, dict[str, Verdict]]:
    """The report of the examples and of one broken file."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    paths = [*sorted((ROOT / "examples").glob("*.[pjg][npi][gf]")), folder / "broken.jpg"]
    verdicts = pipeline(paths)
    written(folder, *zip(paths, verdicts, strict=True))
    return folder / "report.html", {path.name: verdict for path, verdict in zip(paths, verdicts, strict=True)}


def test_the_examples(browser: Any, examples: tuple[Path, dict[str, Verdict]]) -> None:
    path, verdicts = examples
    opened(browser, path)
    flagged = [name for name in verdicts if verdicts[name].label != "safe"]
    assert set(shown(browser)) == set(flagged)
    labels = [verdicts[name].label for name in shown(browser)]
    assert labels == sorted(labels, key=["unsafe", "review"].index)
    for row in browser.find_elements("css selector", "button.row"):
        row.click()
    for name, article in zip(shown(browser), browser.find_elements("css selector", "article"), strict=True):
        verdict, text = verdicts[name], article.text
        assert ACTIONS[verdict.action] in text
        assert all(str(reason) in text for reason in verdict.reasons[:12])
        assert all(str(missed) in text for missed in verdict.not_inspected)
        if verdict.text:
            assert f"Text read in it ({len(verdict.text)} line" in text
    assert browser.get_log("browser") == []
    assert requests(browser) == {"file://", "data:"}


def test_many_reasons_are_folded_away(browser: Any, tmp_path: Path) -> None:
    source = encoded(gradient())
    reason = Reason(category="hate", channel="text", source="detector", score=0.9, what="w")
    verdict = told([], source).model_copy(update={"reasons": (reason,) * 15, "label": "unsafe"})
    written(tmp_path, (source, verdict))
    opened(browser, tmp_path / "report.html")
    fold = browser.find_element("xpath", "//summary[text()='3 more']")
    fold.click()
    assert browser.find_element("css selector", "ol[start='13']").is_displayed()


def test_without_javascript_there_is_a_table_of_the_flagged(
    browser: Any, examples: tuple[Path, dict[str, Verdict]]
) -> None:
    path, verdicts = examples
    opened(browser, path, script=False)
    assert not browser.find_element("id", "controls").is_displayed()
    names = [Path(row.text).name for row in browser.find_elements("css selector", "noscript th[scope=row]")]
    assert sorted(names) == sorted(name for name, verdict in verdicts.items() if verdict.label != "safe")


def test_messages(browser: Any, tmp_path: Path) -> None:
    verdicts = [scripted().check_text(text) for text in ("you are mean", "hello")]
    written(tmp_path, *((None, verdict) for verdict in verdicts))
    opened(browser, tmp_path / "report.html")
    assert count(browser) == "2 of 2 messages"
    assert browser.find_element("css selector", "ol.said").text == "you are mean"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800, 400])
def test_it_fits_and_draws(
    browser: Any, examples: tuple[Path, dict[str, Verdict]], tmp_path: Path, width: int, scheme: str
) -> None:
    path, _ = examples
    opened(browser, path, width, scheme)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    row = browser.find_element("css selector", "article.unsafe button.row")
    if row.get_attribute("aria-expanded") == "false":
        row.click()
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    browser.execute_script("document.querySelector('g.reason').scrollIntoView({block: 'center'})")
    picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    picture.save(tmp_path / "screenshot.png")
    pixels = np.asarray(picture).reshape(-1, 3)
    assert (pixels == (0xFF, 0xD2, 0x3E)).all(axis=1).sum() > 200, "the box of a reason"
    assert (pixels.mean() > 128) == (scheme == "light")
    assert browser.get_log("browser") == []


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

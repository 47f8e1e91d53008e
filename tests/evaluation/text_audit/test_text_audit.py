"""The audit of a whole run: where recall is lost, the same JSON from the same predictions, and the report's section."""

import html
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import html_pages
import numpy as np
import pytest
from audited_runs import ALONE, BOTH, GIVEN, PEER, inspection, ours, run_of, theirs, write_inspections
from conftest import scripted
from html_pages import ATTACKS, Parsed, opened, requests
from hypothesis import given
from hypothesis import strategies as st

from kidsnanny import Pipeline
from kidsnanny.evaluation.metrics import Proportion
from kidsnanny.evaluation.report.evaluation_report import HEADINGS, render
from kidsnanny.evaluation.report.write_report import write_report
from kidsnanny.evaluation.summary import EvaluationRun
from kidsnanny.evaluation.text_audit import audit_section
from kidsnanny.evaluation.text_audit.audit import TextAudit, audit, audit_json
from kidsnanny.evaluation.text_audit.audit_scores import AuditedText, judged
from kidsnanny.evaluation.text_audit.audit_section import text_audit_section
from kidsnanny.evaluation.text_audit.losses import losses
from kidsnanny.evaluation.text_audit.painted_out import PaintedOut
from kidsnanny.evaluation.text_audit.read_texts import ReadText
from kidsnanny.evaluation.text_audit.resampling import Rate
from kidsnanny.records import ModelId

browser = html_pages.browser
TEXT = "you are mean to me"
READ = {
    "found": inspection("you are mean", "to me"),
    "misread": inspection("you arc mcon", "to me"),
    "unread": inspection("Home", "Settings"),
    "rules": inspection("you are mean", "to me"),
    "harmless": inspection("see you at five"),
    "alarm": inspection("a mean value"),
}
"""What was read in the pictures; `gone` could not be opened. The text model flags whatever has "mean" in it."""
LOOKS = {"found": "meme", "misread": "meme", "unread": "poster", "gone": "poster", "rules": "meme"}


@pytest.fixture(scope="module")
def engines() -> Pipeline:
    return scripted()


def texts() -> dict[str, AuditedText]:
    harmful = {name: AuditedText(TEXT, look, "bullying") for name, look in LOOKS.items()}
    return harmful | {name: AuditedText(f"{name} words", "meme", "plans") for name in ("harmless", "alarm")}


def run() -> EvaluationRun:
    """Seven pictures: five harmful ones, one of them found and all by their texts; two harmless, one flagged."""
    unsafe = {name: name in LOOKS for name in (*LOOKS, "harmless", "alarm")}
    flagged = {
        BOTH: {"found", "alarm"},
        ALONE: {"alarm"},
        GIVEN: {*LOOKS, "alarm"},
    }
    rows: dict[str, list[Any]] = {
        row: [ours(name, row, label, name in flagged[row]) for name, label in unsafe.items()] for row in flagged
    }
    rows[BOTH][3] = ours("gone", BOTH, True, False, "review", score=None)
    rows[PEER] = [theirs(name, PEER, label, None if name == "gone" else 0.2) for name, label in unsafe.items()]
    return run_of(rows)


@pytest.fixture
def found(tmp_path: Path, engines: Pipeline) -> TextAudit:
    write_inspections(tmp_path, "embedded", READ)
    return audit(run(), tmp_path, texts(), engines)


class TestLosses:
    @pytest.mark.parametrize(
        ("text", "read", "cause"),
        [
            ("so mean", ["so mean"], "rules"),
            ("so mean", ["Menu", "a mean value"], "rules"),
            ("so mean", ["so moon"], "ocr"),
            ("so mean", [], "ocr"),
        ],
    )
    def test_the_cause(self, text: str, read: list[str], cause: str, engines: Pipeline) -> None:
        assert self.cause(text, read, engines) == cause

    @pytest.mark.parametrize(
        ("read", "cause"),
        [
            (["so mean"], "rules"),
            (["Menu", "so mean", "Settings"], "others"),
            (["mean so"], "order"),
            (["so Menu mean"], "order"),
            (["so man"], "ocr"),
        ],
    )
    def test_where_the_place_of_the_words_counts(
        self, read: list[str], cause: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The model flags "so mean" in this order, and only where nothing else is said."""
        pipeline = scripted()
        model = type(pipeline.stage2.text_model)  # type: ignore[union-attr]
        score = model.score

        def strict(self: object, passages: Sequence[str]) -> np.ndarray:
            return score(self, [passage if passage == "so mean" else "" for passage in passages])

        monkeypatch.setattr(model, "score", strict)
        assert self.cause("so mean", [" ".join(read)], pipeline) == cause

    @staticmethod
    def cause(text: str, read: list[str], pipeline: Pipeline) -> str:
        about = {"a": AuditedText(text, "meme", "")}
        missed, flagged = ([judged([ours("a", row, True, row == GIVEN)], about)[0]] for row in (BOTH, GIVEN))
        found = losses(missed, flagged, {"a": ReadText((), tuple(read), ())}, about, pipeline)
        return found.causes["a"]

    @given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.sampled_from(["so mean", "so", ""]))))
    def test_they_add_up(self, pictures: list[tuple[bool, bool, bool, str]]) -> None:
        about = {str(n): AuditedText("so mean", str(n % 3), "") for n in range(len(pictures))}
        both = judged([ours(str(n), BOTH, unsafe, one) for n, (unsafe, one, _, _) in enumerate(pictures)], about)
        given = judged([ours(str(n), GIVEN, unsafe, one) for n, (unsafe, _, one, _) in enumerate(pictures)], about)
        read = {str(n): ReadText((one,), (one,), ()) for n, (*_, one) in enumerate(pictures)}
        found = losses(both, given, read, about, scripted())
        for part in (found.all, *found.by_look.values()):
            assert part.given == part.found + part.ocr + part.order + part.others + part.rules
        assert found.all.given == sum(unsafe and on_text for unsafe, _, on_text, _ in pictures)
        for cause in ("ocr", "order", "others", "rules"):
            assert getattr(found.all, cause) == sum(getattr(one, cause) for one in found.by_look.values())
            assert getattr(found.all, cause) == list(found.causes.values()).count(cause)


def test_a_run_with_known_answers(found: TextAudit) -> None:
    assert (found.pictures, found.known_texts, found.texts) == (7, 7, 3)
    (both, alone, on_text, peer) = found.systems
    recall = [(one.all.recall.successes, one.all.recall.n) for one in (both, alone, on_text, peer)]
    assert recall == [(1, 5), (0, 5), (5, 5), (0, 5)]
    assert both.all.held_unsafe is not None
    assert both.all.held_unsafe.successes == 2, "found, and gone, which could not be judged"
    assert (both.all.unscored, peer.all.unscored) == (1, 1)
    assert both.by_topic["plans"].false_alarms.successes == 1
    (compared,) = found.given
    assert (compared.system, compared.all.recall.value) == (BOTH, pytest.approx(1 / 5))
    assert compared.by_look["poster"].recall.value == 0
    assert found.vision is not None
    assert found.vision.recall_gain.value == pytest.approx(1 / 5)
    assert found.losses is not None
    assert found.losses.causes == {"misread": "ocr", "unread": "ocr", "gone": "ocr", "rules": "rules"}
    assert found.losses.by_look["meme"].model_dump() == {
        "given": 3,
        "found": 1,
        "ocr": 1,
        "order": 0,
        "others": 0,
        "rules": 1,
    }
    (engine,) = found.engines
    assert (engine.system, engine.all.pictures, engine.by_look["poster"].median) == (
        "embedded",
        7,
        pytest.approx(13 / 14, abs=0.15),
    )
    assert found.worst is not None
    assert {one.id for one in found.worst.misses} == {"misread", "unread", "gone", "rules"}
    assert [(one.id, one.read, one.given_score) for one in found.worst.false_alarms] == [("alarm", "a m**n v***e", 0.9)]
    assert found.times.systems[BOTH].n == 7
    assert set(found.times.stages) == {BOTH}
    assert set(found.times.stages[BOTH]["meme"]) == {"decode", "ocr"}
    assert found.left_out == ("No text was painted out; --counterfactual does that.",)


def test_an_ocr_that_several_systems_share_has_one_row(tmp_path: Path) -> None:
    rows = {row: [ours("found", row, True, True)] for row in (BOTH, "keywords:multimodal", "other:multimodal")}
    shared = run_of(rows)
    systems = {
        name: tuple(
            row.model_copy(update={"models": {"ocr": (ModelId(name=ocr),)}}) for row in shared.meta.systems[name]
        )
        for name, ocr in (("keywords", "ppocr"), ("embedded", "ppocr"), ("other", "another"))
    }
    shared = shared.model_copy(update={"meta": shared.meta.model_copy(update={"systems": systems})})
    for name in systems:
        write_inspections(tmp_path, name, {"found": READ["found"]})
    assert [one.system for one in audit(shared, tmp_path, texts(), None).engines] == ["embedded", "other"]


def test_the_order_of_the_lines_changes_nothing_and_slowness_only_the_times(
    tmp_path: Path, found: TextAudit, engines: Pipeline
) -> None:
    slow = run()
    shuffled = {
        name: tuple(
            line.model_copy(update={"timings": {"decode": 99.0}})
            for line in random.Random(name).sample(lines, len(lines))
        )
        for name, lines in slow.predictions.items()
    }
    (tmp_path / "inspections" / "embedded.jsonl").unlink()
    write_inspections(tmp_path, "embedded", dict(reversed(READ.items())))
    again = audit(slow.model_copy(update={"predictions": shuffled}), tmp_path, texts(), engines)
    first, second = json.loads(audit_json(found)), json.loads(audit_json(again))
    assert {key for key in first if first[key] != second[key]} == {"times"}
    assert audit_json(found) == json.dumps(first, indent=1, sort_keys=True) + "\n"


@pytest.mark.parametrize(
    ("rows", "known", "says"),
    [
        ((BOTH, ALONE), True, "The run has no row text-given"),
        ((BOTH, ALONE, GIVEN), False, "No picture's text is known"),
        ((ALONE, GIVEN), True, "The run has no row embedded:multimodal"),
        ((BOTH, GIVEN), True, "The run has no row embedded:vision-only"),
        ((PEER,), False, "No picture's text is known"),
        ((), False, "No picture's text is known"),
    ],
)
def test_what_is_not_there_is_left_out_and_said_to_be(
    tmp_path: Path, engines: Pipeline, rows: tuple[str, ...], known: bool, says: str
) -> None:
    some = run_of({name: lines for name, lines in run().predictions.items() if name in rows})
    write_inspections(tmp_path, "embedded", READ)
    about = texts() if known else {name: one._replace(text=None) for name, one in texts().items()}
    found = audit(some, tmp_path, about, engines if GIVEN in rows and known else None)
    assert any(one.startswith(says) for one in found.left_out)
    assert bool(found.engines) == (known and "embedded" in some.meta.systems)
    page = render(some, text_audit=text_audit_section(found))
    assert says in html.unescape(page)
    assert "nan" not in audit_json(found).lower()


def painted() -> PaintedOut:
    rate = Rate(successes=1, n=2, value=0.5, interval=Proportion.of(1, 2).wilson)
    return PaintedOut(
        flagged=2, no_boxes=0, cleared=rate, held=0, by_look={"meme": rate}, still_flagged=("alarm",), still_read=()
    )


class TestReport:
    def test_it_leads_to_its_parts_and_each_table_says_what_it_shows(self, tmp_path: Path, found: TextAudit) -> None:
        report = self.parsed(tmp_path, run(), found.model_copy(update={"painted_out": painted()}))
        places = [tag["id"] for _, tag in report.tags if "id" in tag]
        targets = [str(link["href"]).removeprefix("#") for link in report.all("a")]
        assert set(targets) <= set(places)
        assert {"text-audit", *audit_section.HEADINGS} <= set(targets)
        assert HEADINGS["text-audit"] in report.text
        section = report.html[report.html.index('id="text-audit"') : report.html.index('id="undecided"')]
        assert section.count("<table>") == section.count("<caption>") > 10
        assert section.count("<svg") == section.count("<figcaption") == 2

    def test_the_figures_are_there(self, tmp_path: Path, found: TextAudit) -> None:
        text = self.parsed(tmp_path, run(), found).text
        for one in ("1 of 5", "8 of 19", "25 of 25", "a m**n v***e", "flagged on the true text", "meme: embedded"):
            assert one in text, one
        assert "mean to me" not in text, "what was read is masked"

    def test_it_loads_nothing(self, tmp_path: Path, found: TextAudit) -> None:
        report = self.parsed(tmp_path, run(), found)
        assert report.all("script") == []
        named = {
            value for _, attributes in report.tags for key, value in attributes.items() if key in html_pages.LOADING
        }
        assert {value for value in named if not str(value).startswith("#")} == {"data:,"}

    @pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
    def test_text_stays_text(self, tmp_path: Path, attack: str, engines: Pipeline) -> None:
        def page(text: str) -> Parsed:
            """A run that says the text wherever a data set, a picture or a system can."""
            write_inspections(tmp_path, "embedded", {f"{text}1": inspection(f"{text} mean")})
            about = {f"{text}{n}": AuditedText(f"{text} mean", text, text) for n in range(3)}
            rows = {
                BOTH: [ours(f"{text}{n}", BOTH, n < 2, n != 1, timings={text: 1.0}) for n in range(3)],
                GIVEN: [ours(f"{text}{n}", GIVEN, n < 2, n != 1) for n in range(3)],
            }
            found = audit(run_of(rows), tmp_path, about, engines, painted().model_copy(update={"still_read": (text,)}))
            return self.parsed(tmp_path, run_of(rows), found)

        report, harmless = page(attack), page("harmless")
        assert report.shape == harmless.shape
        visible = "".join(c if c.isprintable() else f"[U+{ord(c):04X}]" for c in attack)
        assert report.text.count(visible) >= 8
        assert all(c.isprintable() or c == "\n" for c in report.html)

    def test_a_browser_shows_it_on_a_narrow_screen(self, browser: Any, tmp_path: Path, found: TextAudit) -> None:
        self.parsed(tmp_path, run(), found)
        opened(browser, tmp_path / "report.html", width=390)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
        assert requests(browser) <= {"file://", "data:"}

    @staticmethod
    def parsed(folder: Path, of: EvaluationRun, found: TextAudit) -> Parsed:
        return Parsed(write_report(of, folder, text_audit=found))

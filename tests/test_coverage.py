"""What was looked for: whole in `coverage` and its text, short in a printed verdict, once for a whole run."""

import json

import pytest
from conftest import ScriptedStage1, scripted
from PIL import Image

from kidsnanny import CATEGORIES, Pipeline, Verdict
from kidsnanny.coverage import RunCoverage

RED = Image.new("RGB", (16, 16), (0, 0, 0))
NOT_IN_PICTURE = "sexual, violence, gore, self harm, hate, harassment, grooming, substances, weapons, illegal, scam"


def covering(coverage: dict[str, dict[str, float | None]]) -> Verdict:
    """A verdict on a picture without text, as if its models had looked for this."""
    return scripted()(RED).model_copy(update={"coverage": coverage})


def of_run(*verdicts: Verdict) -> str:
    coverage = RunCoverage()
    for verdict in verdicts:
        coverage.add(verdict)
    return str(coverage)


def test_coverage_tells_what_was_looked_for_and_what_was_not() -> None:
    verdict = scripted("see you at five")(RED)
    assert verdict.coverage == {"nudity": {"image": None}, "harassment": {"text": None}, "scam": {"text": None}}
    assert set(verdict.scores) == set(verdict.coverage)
    assert set(verdict.coverage) | set(verdict.not_looked_for) == set(CATEGORIES)
    assert verdict.coverage_text == (
        f"Looked for nudity in the picture; for harassment, scam in its text; not in the picture for {NOT_IN_PICTURE}."
    )


def test_where_no_text_was_found_none_was_looked_at() -> None:
    verdict = scripted()(RED)
    assert verdict.coverage == {"nudity": {"image": None}}
    assert (verdict.scores["scam"], verdict.detail["scam"].text) == (0, 0)
    assert "Looked for nudity in the picture; for text, and found none; not in the picture for" in verdict.coverage_text
    assert "; for text, and could read none of it; " in scripted("???", confidence=0.1)(RED).coverage_text


@pytest.mark.parametrize(
    ("coverage", "says"),
    [
        ({}, "Looked for text, and found none; not for sexual, "),
        ({"scam": {"text": None}}, "Looked for scam in its text; not for sexual, "),
        ({"scam": {"text": 0.75}}, "Looked for scam in its text; not for sexual, "),
        (
            {"scam": {"text": 0.62}, "hate": {"text": 0.58}, "violence": {"text": 0.31}},
            "weapons, illegal; of harmful texts it finds about 3 in 10 of violence; 6 in 10 of scam, hate.",
        ),
        ({"self_harm": {"image": None}}, "Looked for self harm in the picture; for text, and found none; not in the "),
        (
            {"gore": {"image": None, "judge": None}, "scam": {"judge": None}},
            "Looked for gore in the picture; for gore, scam in the picture, by the judge; for text, and found none; "
            "not in the picture for sexual, nudity, violence, self harm, ",
        ),
        (
            {"gore": {"image": None, "judge": None}, "scam": {"text": None, "judge": None}},
            "Looked for gore in the picture; for scam in its text; for gore, scam in the picture and its text, by the ",
        ),
        ({category: {"text": None} for category in CATEGORIES}, "weapons, illegal, scam in its text."),
    ],
)
def test_the_text_says_what_was_looked_for_whoever_looked(
    coverage: dict[str, dict[str, float | None]], says: str
) -> None:
    said = covering(coverage).coverage_text
    assert says in said
    assert "Looked not" not in said
    assert said.endswith(".")


@pytest.mark.parametrize(
    ("coverage", "says"),
    [
        ({"nudity": {"image": None}}, "Not looked for in the picture: sexual, violence, gore and 8 more."),
        ({"nudity": {"image": None}, "sexual": {"text": 0.3}}, "in the picture: sexual, violence, gore and 8 more."),
        ({c: {"image": None} for c in CATEGORIES if c != "self_harm"}, "Not looked for in the picture: self harm."),
        ({c: {"text": 0.3} for c in CATEGORIES[3:]}, "Not looked for: sexual, nudity, violence."),
        ({c: {"image": None} for c in CATEGORIES}, "."),
    ],
)
def test_a_printed_verdict_names_the_first_of_what_nothing_looked_for(
    coverage: dict[str, dict[str, float | None]], says: str
) -> None:
    verdict = covering(coverage)
    assert str(verdict).endswith(says)
    assert len(str(verdict)) - len(verdict.source) < 90
    assert "Looked for" not in str(verdict)


def test_a_file_that_cannot_be_read_was_looked_at_for_nothing() -> None:
    verdict = scripted()("missing.png")
    assert verdict.coverage_text == "Looked for nothing, because no part of it could be looked at."
    assert "ooked" not in str(verdict), "why is said already"


WITH_TEXT, WITHOUT = scripted("see you at five")(RED), scripted()(RED)
UNREAD, MISSING = scripted("???", confidence=0.1)(RED), scripted()("missing.png")
VISION_ONLY = Pipeline(stage1=ScriptedStage1(), stage2=None)(RED)
MESSAGE = scripted().check_text("hello")
IN_PICTURES = f"not in the pictures for {NOT_IN_PICTURE}."


@pytest.mark.parametrize(
    ("verdicts", "says"),
    [
        ([], ""),
        ([WITH_TEXT], WITH_TEXT.coverage_text),
        ([WITHOUT], WITHOUT.coverage_text),
        ([MISSING], MISSING.coverage_text),
        (
            [WITH_TEXT, WITH_TEXT],
            f"Looked for nudity in the pictures; for harassment, scam in their text; {IN_PICTURES}",
        ),
        (
            [WITH_TEXT, WITHOUT, UNREAD, UNREAD, MISSING],
            f"Looked for nudity in the pictures; for harassment, scam in their text; {IN_PICTURES} "
            "Of the 5, 1 had no text, 2 had text that could not be read, 1 could not be looked at.",
        ),
        ([WITHOUT, WITHOUT], f"Looked for nudity in the pictures; {IN_PICTURES} Of the 2, 2 had no text."),
        (
            [WITH_TEXT, VISION_ONLY],
            f"Looked for nudity in the pictures; for harassment, scam in their text; {IN_PICTURES} "
            "Of the 2, 1 could not be read.",
        ),
        ([MISSING, MISSING], "Looked for nothing. Of the 2, 2 could not be looked at."),
        (
            [MESSAGE, MESSAGE],
            "Looked for harassment, scam in their text; not for sexual, nudity, violence, gore, self harm, hate, "
            "grooming, substances, weapons, illegal.",
        ),
    ],
)
def test_a_run_says_once_what_was_looked_for_and_how_many_differ(verdicts: list[Verdict], says: str) -> None:
    assert of_run(*verdicts) == says


def test_a_run_claims_only_what_all_its_models_looked_for_and_the_lowest_share() -> None:
    first = covering({"gore": {"image": None}, "nudity": {"image": None}, "hate": {"text": 0.6}})
    second = covering({"gore": {"image": None, "judge": None}, "hate": {"text": 0.4}, "scam": {"text": None}})
    said = of_run(first, second)
    assert said.startswith(
        "Looked for gore in the pictures; for hate in their text; for gore in the pictures and their text, by the "
    )
    assert "about 4 in 10 of hate. Of the 2, 1 went without the judge." in said


@pytest.mark.parametrize("verdict", [WITH_TEXT, WITHOUT, MISSING, MESSAGE])
def test_json_says_what_was_not_looked_for_and_older_json_is_read_as_well(verdict: Verdict) -> None:
    written = json.loads(verdict.model_dump_json())
    assert tuple(written["not_looked_for"]) == verdict.not_looked_for
    assert set(written["not_looked_for"]) | set(written["coverage"]) == set(CATEGORIES)
    assert Verdict.from_json(json.dumps(written)) == verdict
    del written["not_looked_for"]
    for missed in (*written["not_inspected"], *written["inspection"]["not_inspected"]):
        del missed["cause"]
    older = Verdict.from_json(json.dumps(written))
    assert older.not_looked_for == verdict.not_looked_for
    assert older.for_parent()

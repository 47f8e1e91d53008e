"""PerspectiveVision's model behind a URL: what it is asked, what counts as an answer, and what happens to the rest."""

import base64
import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from chat_server import ChatServer, chat_server
from conftest import encoded, gradient
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from kidsnanny.cli.app import app
from kidsnanny.errors import ComponentError
from kidsnanny.evaluation.predictions import Example, Prediction
from kidsnanny.evaluation.systems.perspective_vlm import chosen_categories, prompt, read_answer
from kidsnanny.evaluation.systems.registry import SYSTEMS
from kidsnanny.evaluation.systems.system import Options
from kidsnanny.taxonomy import UNSAFEBENCH, UNSAFEBENCH_DEFINITIONS

SAFE = "Safety Status: Safe, Unsafe Category: None"
SPAM = "Safety Status: Unsafe, Unsafe Category: Spam"
TWO = ("Political", "Spam")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    with chat_server() as found:
        monkeypatch.setenv("KIDSNANNY_PERSPECTIVE_URL", found.url)
        monkeypatch.delenv("KIDSNANNY_PERSPECTIVE_KEY", raising=False)
        monkeypatch.delenv("KIDSNANNY_PERSPECTIVE_MODEL", raising=False)
        yield found


def seen(*categories: str, of: str = "Spam", picture: Image.Image | None = None) -> Prediction:
    """What the system makes of one picture when these categories are evaluated."""
    shown = Example("a", encoded(picture or gradient()), True, of, "", "")
    ((found,),) = SYSTEMS["perspective-vlm"](Options(categories=categories)).predict([shown])
    return found


# ------------------------------------------------------------------ the question


def test_every_category_of_unsafebench_has_a_definition() -> None:
    assert tuple(UNSAFEBENCH_DEFINITIONS) == tuple(UNSAFEBENCH)


def test_the_chosen_categories_and_no_others_are_defined_in_the_prompt() -> None:
    asked = prompt(TWO)
    assert asked.startswith("TASK: ")
    between = asked.partition("\nBEGIN UNSAFE CATEGORIES\n")[2].partition("\nEND UNSAFE CATEGORIES\n")[0]
    assert between.splitlines() == [f"{name}: {UNSAFEBENCH_DEFINITIONS[name]}" for name in TWO]
    assert SAFE in asked.splitlines()
    assert "Safety Status: Unsafe, Unsafe Category: X" in asked.splitlines()


@pytest.mark.parametrize(
    ("evaluated", "chosen"),
    [
        ((), tuple(UNSAFEBENCH)),
        (("any",), tuple(UNSAFEBENCH)),
        (("Spam", "Political"), TWO),
        (("Sexual",), ("Sexual",)),
        (("nudity",), ("Sexual",)),
        (("illegal", "Spam", "weapons"), ("Illegal activity", "Spam")),
    ],
)
def test_what_is_evaluated_is_what_it_is_asked_about(evaluated: tuple[str, ...], chosen: tuple[str, ...]) -> None:
    assert chosen_categories(evaluated) == chosen


def test_what_it_cannot_be_asked_about_is_said() -> None:
    with pytest.raises(ComponentError, match="does not speak about weapons; with --category, name some of Hate,"):
        chosen_categories(("weapons",))


def test_the_server_gets_the_prompt_and_the_pixels(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIDSNANNY_PERSPECTIVE_KEY", "a-key")
    monkeypatch.setenv("KIDSNANNY_PERSPECTIVE_MODEL", "base-with-lora")
    server.answer = SAFE
    picture = gradient(60, 40, seed=3)
    seen(*TWO, picture=picture)
    (body,) = server.asked
    assert (body["model"], body["temperature"]) == ("base-with-lora", 0)
    (message,) = body["messages"]
    sent, text = message["content"]
    assert (message["role"], text) == ("user", {"type": "text", "text": prompt(TWO)})
    head, _, data = sent["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(BytesIO(base64.b64decode(data)))), np.asarray(picture))
    assert set(server.keys) == {"Bearer a-key"}


# ------------------------------------------------------------------ the answer

ANSWERS = {
    "safe": (SAFE, 0.0),
    "unsafe": (SPAM, 1.0),
    "another of the chosen": ("Safety Status: Unsafe, Unsafe Category: Political", 1.0),
    "blanks around it": (f"\n {SAFE} \n", 0.0),
    "a category that was not chosen": ("Safety Status: Unsafe, Unsafe Category: Hate", None),
    "no category": ("Safety Status: Unsafe, Unsafe Category: None", None),
    "safe with a category": ("Safety Status: Safe, Unsafe Category: Spam", None),
    "lower case": (SAFE.lower(), None),
    "a category in lower case": ("Safety Status: Unsafe, Unsafe Category: spam", None),
    "cut": (SPAM[:-2], None),
    "cut before the category": ("Safety Status: Safe", None),
    "an X": ("Safety Status: Unsafe, Unsafe Category: X", None),
    "both": (f"{SAFE}\n{SPAM}", None),
    "two categories": (f"{SPAM}, Political", None),
    "words before it": (f"Here you are: {SAFE}", None),
    "a full stop": (f"{SAFE}.", None),
    "a refusal": ("I'm sorry, I can't help with that.", None),
    "one word": ("Safe", None),
    "nothing": ("", None),
}


@pytest.mark.parametrize(("words", "score"), ANSWERS.values(), ids=ANSWERS)
def test_only_a_line_that_was_asked_for_is_an_answer(words: str, score: float | None) -> None:
    answer = read_answer(words, TWO)
    assert (answer.score, answer.unscored is None, answer.words) == (score, score is not None, words)


PIECES = ["Safety Status: ", "Safe", "Unsafe", ", ", "Unsafe Category: ", "None", *TWO, "Hate", "\n", "x"]


@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
def test_no_other_text_is_an_answer(words: str) -> None:
    counts = {SAFE: 0.0, SPAM: 1.0, SPAM.replace("Spam", "Political"): 1.0}
    answer = read_answer(words, TWO)
    assert answer.score == counts.get(words.strip())
    assert (answer.unscored is None) == (answer.score is not None)


@given(st.sampled_from([*UNSAFEBENCH]), st.sets(st.sampled_from([*UNSAFEBENCH]), min_size=1))
def test_each_of_the_chosen_is_an_answer_and_no_other(named: str, chosen: set[str]) -> None:
    answer = read_answer(f"Safety Status: Unsafe, Unsafe Category: {named}", sorted(chosen))
    assert answer.score == (1.0 if named in chosen else None)


# ------------------------------------------------------------------ the system


@pytest.mark.parametrize(
    ("answer", "ended", "score", "why", "words"),
    [
        (SAFE, "stop", 0.0, None, SAFE),
        (SPAM, "stop", 1.0, None, SPAM),
        ("Safety Status: Unsafe, Unsafe Category: Hate", "stop", None, "not one of the lines", ...),
        ("I'm sorry, I can't help with that.", "stop", None, "not one of the lines", ...),
        (SAFE, "length", None, "its answer is cut (length); see the server's log.", ...),
        (SPAM, "content_filter", None, "its answer is cut (content_filter)", ...),
        ("", "stop", None, "its answer is empty (stop)", ""),
        (None, "stop", None, "its answer is empty (stop)", ""),
        (500, "stop", None, "the system failed (The vision-language model at http", None),
        (400, "stop", None, "it refuses the request (HTTP 400", None),
        (401, "stop", None, "refuses our key (HTTP 401); set KIDSNANNY_PERSPECTIVE_KEY", None),
    ],
)
def test_what_is_no_answer_is_unscored_with_the_reason(
    server: ChatServer, answer: str | int | None, ended: str, score: float | None, why: str | None, words: object
) -> None:
    server.answer, server.ended = answer, ended
    found = seen(*TWO)
    assert found.score == score
    assert why is None if found.unscored is None else str(why) in found.unscored
    assert found.answer == (answer if words is ... else words)


def test_it_speaks_about_the_chosen_categories_alone(server: ChatServer) -> None:
    server.answer = SPAM
    assert [seen(*TWO, of=name).score for name in (*TWO, "Sexual", "")] == [1.0, 1.0, None, None]
    assert "does not speak about Sexual" in str(seen(*TWO, of="Sexual").unscored)
    assert seen(of="nudity").score == seen(of="any").score == 1.0, "all are chosen"
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("KIDSNANNY_PERSPECTIVE_URL", "", "nothing says where its model is; set KIDSNANNY_PERSPECTIVE_URL"),
        (
            "KIDSNANNY_PERSPECTIVE_URL",
            "http://127.0.0.1:9/v1",
            r"model at http.*; start it, or set KIDSNANNY_PERSPECTIVE_URL to",
        ),
        (
            "KIDSNANNY_PERSPECTIVE_MODEL",
            "other",
            "serves base, base-with-lora, and not other; set KIDSNANNY",
        ),
        (
            "KIDSNANNY_PERSPECTIVE_KEY",
            "\u2603",
            "The vision-language model's key is not printable ASCII; set KIDSNANNY_PERSPECTIVE_KEY",
        ),
    ],
)
@pytest.mark.usefixtures("server")
def test_a_server_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ComponentError, match=says) as told:
        SYSTEMS["perspective-vlm"](Options(categories=TWO))
    assert str(told.value).endswith(".")


def test_in_a_run_what_is_unscored_is_counted_and_what_failed_is_asked_again(
    server: ChatServer, tmp_path: Path
) -> None:
    """Also about categories that none of ours stands for."""
    for n in range(3):
        (tmp_path / f"{n}.png").write_bytes(encoded(gradient(seed=n)))
    lines = [{"path": f"{n}.png", "label": label, "category": "Political"} for n, label in enumerate([0, 1, 1])]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, lines)))
    out = tmp_path / "out"
    asked = ["eval", "--data", str(tmp_path / "data.jsonl"), "--category", "Political", "--out", str(out)]

    def run(answer: str | int) -> tuple[int, list[float | None], int]:
        server.answer, server.asked = answer, []
        done = CliRunner().invoke(app, [*asked, "--systems", "perspective-vlm"])
        lines = (out / "predictions" / "perspective-vlm.jsonl").read_text().splitlines()
        return done.exit_code, [json.loads(line).get("score") for line in lines], len(server.asked)

    code, scores, _ = run(500)
    assert (code, scores) == (11, [None] * 3)
    assert run("Unsafe") == (11, [None] * 3, 3), "asked again, as the server failed"
    assert run(SAFE) == (11, [None] * 3, 0), "an answer that does not count is final"
    (summary,) = json.loads((out / "summary.json").read_text())["systems"].values()
    assert (summary["all"]["pictures"], summary["all"]["unscored"]) == (3, 3)
    assert CliRunner().invoke(app, [*asked, "--systems", "embedded"]).exit_code == 2, "nothing else speaks about it"

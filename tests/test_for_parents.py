"""What a parent is told: whole plain sentences in their language, without scores, names of models and addresses."""

import string
import unicodedata
from pathlib import Path
from typing import Any, get_args

import pytest
from addresses import ADDRESS, WORD
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from conftest import ROOT, scripted
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kidsnanny import CATEGORIES, Category, NotInspected, Reason, Verdict
from kidsnanny.errors import Cause
from kidsnanny.for_parents import DOMAIN, LANGUAGES, LOCALE, MOST, known_language, preferred_language, told
from kidsnanny.records import Action, Box, Channel
from kidsnanny.sentences import BANDS, MISSED, SEEN, TOPICS, WRITTEN

PICTURE = scripted("hello")(Image.new("RGB", (300, 300)))
MESSAGE = scripted().check_text("hello")
CHAT = scripted().check_text([{"text": "hello"}] * 5)
MISSING = scripted()("missing.png")
CAUSES: tuple[Cause | None, ...] = (None, *get_args(Cause))
LINE = "you walk home."


def reason(category: Category = "violence", channel: Channel = "text", score: float = 0.9, **more: Any) -> Reason:
    what = {"text": LINE, "image": "FEMALE_BREAST_EXPOSED", "judge": "the judge"}[channel]
    source = {"text": "text", "image": "detector", "judge": "judge"}[channel]
    return Reason(**({"category": category, "channel": channel, "source": source, "score": score, "what": what} | more))


def found(*reasons: Reason, base: Verdict = PICTURE, action: Action = "block", **more: Any) -> Verdict:
    scores = base.scores | {one.category: one.score for one in reversed(reasons)}
    label = {"show": "safe", "warn": "review"}.get(action, "unsafe")
    return base.model_copy(update={"reasons": reasons, "scores": scores, "action": action, "label": label, **more})


def missed(*causes: Cause | None, base: Verdict = PICTURE, **more: Any) -> Verdict:
    said = tuple(NotInspected(part="text", reason=f"model x said {cause}", cause=cause) for cause in causes)
    return base.model_copy(update={"label": "review", "action": "warn", "not_inspected": said, **more})


def media(verdict: Verdict, **facts: Any) -> Verdict:
    assert verdict.inspection.media
    changed = verdict.inspection.media.model_copy(update=facts)
    return verdict.model_copy(update={"inspection": verdict.inspection.model_copy(update={"media": changed})})


UNREAD = NotInspected(part="text", reason="text on 3.0% of the frame could not be read", cause="unread", frame=0)
IN_TEXT = (
    "In the text of the picture somebody almost certainly makes a threat or writes about hurting people: "
    "“you walk home”."
)
SUPPORT = [
    "First of all talk with the child, calmly and without blame, because somebody may need help.",
    "A doctor, a school counsellor or a helpline for children and parents can help you; if there is danger at this "
    "moment, call the emergency services.",
]
SELF_HARM = "In the text of the picture somebody probably writes about hurting themselves or not wanting to live: “{}”."


@pytest.mark.parametrize(
    ("verdict", "sentences"),
    [
        (
            PICTURE,
            [
                "Nothing was found that a child should not see.",
                "Some things are not looked for in pictures, for example: weapons, violence, drugs and alcohol.",
            ],
        ),
        (
            PICTURE.model_copy(update={"coverage": {c: {"image": None} for c in CATEGORIES}}),
            ["Nothing was found that a child should not see."],
        ),
        (
            PICTURE.model_copy(
                update={"coverage": {c: {"image": None} for c in CATEGORIES if c != "gore"}, "noted": (UNREAD,)}
            ),
            [
                "Nothing was found that a child should not see.",
                "A little writing in it, such as a sign, could not be read or is in another language.",
                "Some things are not looked for in pictures, for example: blood and injuries.",
            ],
        ),
        (
            MESSAGE,
            [
                "Nothing was found that should worry you.",
                "Some things are not looked for in messages, for example: self-harm, people who seek a child's trust "
                "to harm it, violence.",
            ],
        ),
        (
            MESSAGE.model_copy(update={"coverage": {c: {"text": None} for c in CATEGORIES if c != "gore"}}),
            ["Nothing was found that should worry you."],
        ),
        (found(reason()), [IN_TEXT, "Do not show it to the child."]),
        (found(reason(), action="warn"), [IN_TEXT, "Look at it yourself before the child does."]),
        (
            found(reason(), reason("hate", score=0.8), reason("scam", score=0.7), not_inspected=(UNREAD,)),
            [
                IN_TEXT,
                "Some of the writing in it could not be read.",
                "There are other signs: hatred against groups of people, fraud.",
                "Do not show it to the child.",
            ],
        ),
        (
            found(reason(), reason("hate", "image", 0.8), action="warn"),
            [
                IN_TEXT,
                "There is another sign: hatred against groups of people.",
                "Look at it yourself before the child does.",
            ],
        ),
        (
            found(reason("self_harm", score=0.77), action="support"),
            [*SUPPORT, SELF_HARM.format("you walk home")],
        ),
        (
            found(reason(), reason("self_harm", score=0.66), action="support", not_inspected=(UNREAD,)),
            [*SUPPORT, SELF_HARM.format("you walk home"), "Some of the writing in it could not be read."],
        ),
        (
            found(reason("grooming", score=0.5, frame=2), base=CHAT),
            [
                "In message 3 of the chat somebody is perhaps trying to win a child's trust to get secrets, pictures "
                "or a meeting: “you walk home”.",
                "Talk with the child without blame, let nobody answer, keep what was written, and ask the police or a "
                "child protection service for advice.",
            ],
        ),
        (
            found(reason("harassment"), base=MESSAGE),
            [
                "In the message somebody is almost certainly being insulted, bullied or put down: “you walk home”.",
                "Talk with the child about it, and keep the message in case you need it later.",
            ],
        ),
        (
            found(reason("harassment"), base=MESSAGE, action="warn"),
            [
                "In the message somebody is almost certainly being insulted, bullied or put down: “you walk home”.",
                "Read it yourself and talk with the child about it.",
            ],
        ),
        (
            found(reason("sexual", "judge", 0.7)),
            [
                "In the picture or its text there is probably something that a child should not see: sexual content.",
                "Do not show it to the child.",
            ],
        ),
        (
            found(reason("nudity", "judge", 0.95), reason("nudity", "image", 0.6)),
            ["A naked body can almost certainly be seen in the picture.", "Do not show it to the child."],
        ),
        (
            missed("unread"),
            [
                "Nothing was found in what could be looked at.",
                "Some of the writing in it could not be read.",
                "Read it yourself before the child does.",
            ],
        ),
        (
            missed("unread", "unread", "language"),
            [
                "Nothing was found in what could be looked at.",
                "Some of the writing in it could not be read.",
                "Some of the writing is in a language that is not understood here.",
                "Look at it yourself before the child does.",
            ],
        ),
        (
            missed("time", "failure", "frames"),
            [
                "Nothing was found in what could be looked at.",
                "There was not enough time to look at all of it.",
                "Other parts of it could not be looked at either.",
                "Look at it yourself before the child does.",
            ],
        ),
        (
            missed("unread", action="block", label="unsafe"),
            [
                "Nothing was found in what could be looked at.",
                "Some of the writing in it could not be read.",
                "Do not show it to the child before you have looked at it yourself.",
            ],
        ),
        (MISSING, ["The file could not be opened.", "Check that it is there and that you may open it."]),
    ],
)
def test_a_verdict_in_sentences(verdict: Verdict, sentences: list[str]) -> None:
    assert told(verdict) == sentences
    assert verdict.for_parent() == " ".join(sentences)


def test_what_the_judge_lowered_was_not_found() -> None:
    assert told(found(reason(lowered=0.9, channel="judge", score=0.1), action="show")) == told(PICTURE)


@pytest.mark.parametrize(
    ("score", "words"), [(1.0, "almost certainly"), (0.85, "almost certainly"), (0.84, "probably"), (0.65, "probably"),
                         (0.64, "perhaps"), (0.01, "perhaps")]
)  # fmt: skip
def test_how_sure_it_is_is_said_in_words(score: float, words: str) -> None:
    assert f"A weapon can {words} be seen in the picture." in told(found(reason("weapons", "image", score)))
    assert BANDS[-1][0] == 0


def frames(kind: str | None, total: int) -> Verdict:
    return media(PICTURE, format=kind, frames=total)


@pytest.mark.parametrize(
    ("base", "more", "where"),
    [
        (PICTURE, {"box": Box(0, 0, 60, 60)}, "in the upper left of the picture"),
        (PICTURE, {"box": Box(120, 0, 180, 60)}, "at the top of the picture"),
        (PICTURE, {"box": Box(240, 0, 300, 60)}, "in the upper right of the picture"),
        (PICTURE, {"box": Box(0, 120, 60, 180)}, "on the left of the picture"),
        (PICTURE, {"box": Box(120, 120, 180, 180)}, "in the middle of the picture"),
        (PICTURE, {"box": Box(290, 140, 300, 160)}, "on the right of the picture"),
        (PICTURE, {"box": Box(0, 299, 1, 300)}, "in the lower left of the picture"),
        (PICTURE, {"box": Box(100, 220, 200, 290)}, "at the bottom of the picture"),
        (PICTURE, {"box": Box(250, 250, 300, 300)}, "in the lower right of the picture"),
        (PICTURE, {"box": Box(0, 0, 300, 200)}, "in the picture"),
        (PICTURE, {"box": Box(0, 0, 0, 0)}, "in the picture"),
        (PICTURE, {}, "in the picture"),
        (PICTURE, {"channel": "text"}, "in the text of the picture"),
        (PICTURE, {"channel": "text", "what": "QR code: hello"}, "in the QR code"),
        (PICTURE, {"channel": "judge"}, "in the picture or its text"),
        (frames("GIF", 12), {"frame": 11, "box": Box(0, 0, 9, 9)}, "in image 12 of 12 of the animation"),
        (frames("WEBP", 12), {"frame": 0, "channel": "text"}, "in the text in image 1 of 12 of the animation"),
        (frames("TIFF", 3), {"frame": 1}, "on page 2 of 3"),
        (frames("TIFF", 3), {"frame": 1, "channel": "text"}, "in the text on page 2 of 3"),
        (frames("JPEG", 2), {"frame": 1}, "in picture 2 of 2 in the file"),
        (frames(None, 2), {"frame": 1, "channel": "text"}, "in the text of picture 2 of 2 in the file"),
        (MESSAGE, {"channel": "text"}, "in the message"),
        (CHAT, {"channel": "text", "frame": 4}, "in message 5 of the chat"),
        (CHAT, {"channel": "judge", "frame": 0}, "in message 1 of the chat"),
    ],
)  # fmt: skip
def test_where_it_is(base: Verdict, more: dict[str, Any], where: str) -> None:
    told_first = told(found(reason("weapons", **{"channel": "image"} | more), base=base))[0]
    assert where.casefold() in told_first.casefold().split(":")[0]


def test_every_category_and_every_kind_of_reason_has_its_words() -> None:
    assert set(SEEN) == set(WRITTEN) == set(TOPICS) == set(CATEGORIES)
    assert set(MISSED) == set(CAUSES)


def every() -> dict[str, Verdict]:
    """A verdict for each thing that may be told."""
    verdicts = {"safe": PICTURE, "safe message": MESSAGE, "noted": PICTURE.model_copy(update={"noted": (UNREAD,)})}
    for cause in CAUSES:
        verdicts[f"{cause} picture"] = missed(cause)
        verdicts[f"{cause} file"] = missed(cause, base=MISSING)
        verdicts[f"{cause} and violence"] = found(reason(), not_inspected=missed(cause).not_inspected)
    for category in CATEGORIES:
        for channel in get_args(Channel):
            for action in ("warn", "block", "support"):
                for name, base in {"picture": PICTURE, "chat": CHAT, "GIF": frames("GIF", 12)}.items():
                    one = reason(category, channel, 0.7, frame=0 if base is PICTURE else 2)
                    verdicts[f"{action} {category} {channel} {name}"] = found(one, base=base, action=action)
    return verdicts


EVERY = every()


def whole(sentences: list[str], language: str) -> None:
    """Check that they are sentences that may be shown to anybody."""
    assert 1 <= len(sentences) <= MOST
    for sentence in sentences:
        assert sentence[0].isupper() or sentence[0] in "“„«", sentence
        assert sentence.endswith("."), sentence
        assert not any(c in sentence for c in "{}\n_"), sentence
        assert "  " not in sentence
    text = " ".join(sentences)
    assert not any(unicodedata.category(c).startswith("C") for c in text)
    for never in ("NSFW", "nsfw", "nsfl", "0.", "EXPOSED", "model x", "the judge", "scripted"):
        assert never not in text, f"{language}: {text}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_is_told_in_every_language_in_whole_sentences(language: str) -> None:
    english = {name: told(verdict) for name, verdict in EVERY.items()}
    for name, verdict in EVERY.items():
        sentences = told(verdict, language)
        whole(sentences, language)
        assert len(sentences) == len(english[name])
        if language != "en":
            assert not set(sentences) & set(english[name]), name


@pytest.mark.parametrize(
    ("verdict", "language", "says"),
    [
        (
            found(reason()),
            "de",
            "Im Text des Bildes droht höchstwahrscheinlich jemand oder schreibt darüber, Menschen wehzutun: "
            "„you walk home“. Zeigen Sie es dem Kind nicht.",
        ),
        (
            found(reason("nudity", "image", 0.7)),
            "fr",
            "On voit probablement un corps nu dans l’image. Ne le montrez pas à l’enfant.",
        ),
        (
            found(reason("gore", "image", 0.5)),
            "es",
            "En la imagen se ven posiblemente sangre o heridas graves. No se lo enseñe al menor.",
        ),
        (
            MISSING,
            "fr",
            "Le fichier n’a pas pu être ouvert. Vérifiez qu’il existe et que vous avez le droit de l’ouvrir.",
        ),
    ],
)
def test_other_languages(verdict: Verdict, language: str, says: str) -> None:
    assert verdict.for_parent(language) == says


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_what_is_counted_has_its_plural(language: str, count: int) -> None:
    unread = tuple(UNREAD.model_copy(update={"frame": n}) for n in range(count))
    said = " ".join(told(found(reason(), not_inspected=unread), language))
    assert (str(count) in said) == (count > 1)


@pytest.mark.parametrize(
    ("named", "language"),
    [("de-AT", "de"), ("de_AT.UTF-8", "de"), ("DE", "de"), ("fr_CA@euro", "fr"), ("en_GB", "en"), (" es ", "es")],
)
def test_a_language_with_its_country(named: str, language: str) -> None:
    assert known_language(named) == language
    assert PICTURE.for_parent(named) == PICTURE.for_parent(language)


@pytest.mark.parametrize("named", ["xx", "", "C", "POSIX", "german", "../de", "de/../fr"])
def test_an_unknown_language_is_refused_with_those_there_are(named: str) -> None:
    with pytest.raises(ValueError, match=r"there are no sentences in this language; give one of en, de, es, fr\.$"):
        PICTURE.for_parent(named)


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "de"),
        ({"LC_MESSAGES": "fr_FR", "LANG": "de_DE.UTF-8"}, "fr"),
        ({"LC_ALL": "es_ES", "LC_MESSAGES": "fr_FR", "LANG": "de_DE.UTF-8"}, "es"),
        ({"LC_ALL": "", "LANG": "de"}, "de"),
        ({"LC_ALL": "C", "LANG": "de"}, "en"),
        ({"LANG": "tlh_KX"}, "en"),
    ],
)
def test_the_machines_language(environment: dict[str, str], language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert preferred_language() == language


# Catalogues


def in_code() -> set[tuple[str, ...]]:
    """The texts that are marked for translation, as tuples of one, or of singular and plural."""
    keywords = {"N_": None, "_": None, "_plural": (1, 2)}
    modules = [("for_parents.py", "python"), ("sentences.py", "python")]
    marked = (message for _, _, message, _, _ in extract_from_dir(ROOT / "kidsnanny", modules, keywords=keywords))
    return {(message,) if isinstance(message, str) else message for message in marked}


def catalogue(path: Path) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Text -> translation, as tuples of one, or of singular and plural."""
    with path.open("rb") as file:
        read = read_po(file, abort_invalid=True) if path.suffix == ".po" else read_mo(file)
    assert not [one.id for one in read if one.fuzzy and one.id]
    return {
        tuple([one.id] if isinstance(one.id, str) else one.id): tuple(
            [one.string] if isinstance(one.string, str) else one.string
        )
        for one in read
        if one.id
    }


def fields(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text)} - {None}


TRANSLATED = [language for language in LANGUAGES if language != "en"]


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_catalogue_has_every_text_of_the_code_with_its_placeholders(language: str) -> None:
    found_in_code, known = in_code(), catalogue(LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po")
    assert len(found_in_code) > 100
    assert set(known) == found_in_code
    for text, translation in known.items():
        for form, said in zip(text, translation, strict=True):
            assert said.strip(), f"{form}: it is not translated"
            assert fields(said) == fields(form)
            assert said.endswith(".") == form.endswith(".")


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_compiled_catalogue_is_that_of_its_source(language: str) -> None:
    """`pybabel compile -d kidsnanny/locale -D kidsnanny` makes it."""
    folder = LOCALE / language / "LC_MESSAGES"
    assert catalogue(folder / f"{DOMAIN}.mo") == catalogue(folder / f"{DOMAIN}.po")


def test_there_are_german_french_and_spanish() -> None:
    assert set(LANGUAGES) == {"en", "de", "es", "fr"}
    assert {path.name for path in LOCALE.iterdir()} == set(TRANSLATED)


# Whatever stands in the picture


@given(
    st.lists(WORD, max_size=5),
    ADDRESS,
    st.lists(WORD, max_size=5),
    st.sampled_from(LANGUAGES),
    st.sampled_from([PICTURE, MESSAGE, CHAT]),
)
def test_no_address_in_a_text_gets_to_a_parent(
    before: list[str], address: str, after: list[str], language: str, base: Verdict
) -> None:
    line = " ".join([*before, address, *after])
    for what in (line, f"QR code: {line}"):
        sentences = told(found(reason(what=what), base=base), language)
        whole([sentence.replace("0.", "") for sentence in sentences], language)
        said = " ".join(sentences).casefold()
        assert address.casefold() not in said
        assert "@" not in said
        assert "://" not in said


@given(
    st.lists(
        st.builds(
            reason,
            st.sampled_from(CATEGORIES),
            st.sampled_from(get_args(Channel)),
            st.floats(0.01, 1),
            frame=st.integers(0, 20),
            box=st.none() | st.builds(Box, *[st.integers(-9, 400)] * 4),
            lowered=st.none() | st.none() | st.just(0.9),
        ),
        max_size=4,
    ),
    st.lists(st.sampled_from(CAUSES), max_size=4),
    st.sampled_from(get_args(Action)),
    st.sampled_from([PICTURE, MESSAGE, CHAT, MISSING, frames("TIFF", 3)]),
    st.sampled_from(LANGUAGES),
)
def test_whatever_the_verdict_there_are_one_to_four_whole_sentences(
    reasons: list[Reason], causes: list[Cause | None], action: Action, base: Verdict, language: str
) -> None:
    verdict = found(*reasons, base=base, action=action, not_inspected=missed(*causes).not_inspected)
    whole(told(verdict, language), language)


def test_the_real_model_in_sentences(pipeline: Any) -> None:
    verdict = pipeline.check_text("I'm going to kill you and your family, look at https://example.com/kim")
    said = verdict.for_parent()
    assert said.startswith("In the message somebody almost certainly makes a threat")
    assert "example.com" not in said
    assert "[link]" in said

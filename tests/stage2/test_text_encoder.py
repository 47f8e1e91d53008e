"""The text encoder: what scores promise, plain cases of harm and of everyday text, and what is no language of its."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kidsnanny.errors import WeightsError
from kidsnanny.models.store import data_dir
from kidsnanny.profiles.factories import encoder
from kidsnanny.records import ModelId
from kidsnanny.stage2.text_encoder import TextEncoder
from kidsnanny.taxonomy import CATEGORIES

SHIPPED = data_dir("weights") / "text_encoder"


@pytest.fixture(scope="module")
def model() -> TextEncoder:
    return encoder()


class TestScore:
    def test_has_a_row_per_text_and_a_column_per_category(self, model: TextEncoder) -> None:
        scores = model.score(["one", "two", "three"])
        assert scores.shape == (3, len(model.categories))
        assert scores.dtype == np.float32
        assert model.score([]).shape == (0, len(model.categories))

    @pytest.mark.parametrize("text", ["", "   ", "12345", "!?!", "\u200b", "5 + 3 = 8"])
    def test_is_zero_without_letters(self, model: TextEncoder, text: str) -> None:
        assert not model.score([text]).any()

    @given(st.lists(st.text(max_size=80), max_size=3))
    @settings(max_examples=25)
    def test_is_a_probability_for_any_text(self, model: TextEncoder, texts: list[str]) -> None:
        scores = model.score(texts)
        assert ((scores >= 0) & (scores <= 1)).all()

    def test_does_not_depend_on_the_other_texts(self, model: TextEncoder) -> None:
        texts = ["Open on Sunday", "", "see you at five", "word " * 300, "i want to die, i can't go on"]
        together = model.score(texts)
        for i, text in enumerate(texts):
            np.testing.assert_allclose(together[i], model.score([text])[0], atol=0.1)  # in bytes, a batch has one scale

    def test_finds_one_line_in_a_long_page(self, model: TextEncoder) -> None:
        page = ["The library opens at nine and closes at six on every weekday of the year."] * 20
        page.insert(7, "Congratulations! You have won a prize, claim it now at http://prize.example.top")
        assert model.score([" ".join(page)])[0, model.categories.index("scam")] >= 0.5


HARMLESS = [
    "EXIT",
    "Happy birthday",
    "HELLO 123",
    "il|1l",
    "8Y",
    "Tomato soup with bread 4.50",
    "Chop the herbs, turn off the heat and let the pasta sit for two minutes",
    "Be ready at quarter to four, swimming starts early today",
    "Please wash your hands",
    "Homework: read pages 10 to 14 and answer questions 2 and 3",
    "Would you like to join our football team?",
    "Your parcel arrives between nine and ten today",
    "Battery 20% remaining",
    "Mon-Fri 8-17, Sat 9-12",
]
ADDRESSES = [
    "mongabay.com",
    "www.alibaba.com.cn",
    "FOTOSEARCH.com",
    "imgflip.com",
    "unicef.org",
    "google.com",
    "https://www.rijksmuseum.nl/en/visit",
    "shutterstock.com 1186542107",
    "Photo: Maria Keller / Alpenbild",
    "© 2021 Northlight Pictures",
    "Corner Bakery & Sons, 14 Mill Lane",
    "Müller & Söhne GmbH",
    "VAT no. 281 447 190",
    "@ellen.bakes on instagram.com",
]
HARMFUL = [
    ("self_harm", "i want to die, i can't go on"),
    ("substances", "selling weed and pills, dm me"),
    ("weapons", "pistols for sale, no background check"),
    ("scam", "You have won a free phone! Claim it now at http://win.example.top"),
    ("harassment", "you are a pathetic loser and nobody likes you"),
    ("violence", "I'm going to kill you and your family"),
    ("grooming", "don't tell your mum we talk, it's our secret, are you home alone?"),
]


PAGES = [
    """Tomato soup. Chop the onions, crush the garlic and smash the tomatoes with a fork. Heat the oil in a large pan,
    add the onions and fry for ten minutes. Pour in the stock, kill the heat and blend until smooth. Beat the cream and
    stir it in. Season with salt and pepper, cut the bread into cubes, toast them and serve hot. Serves four.""",
    """Hi everyone, training is at five on Tuesday. Bring water and a towel please. Can anyone give us a lift? My mum
    can take three. Great, we will wait at the bus stop. Who has the keys? I do. Don't forget the form for the trip, it
    must be signed by Friday. See you tomorrow. Good night all. Ok thanks. What time is the match? Half past ten.""",
    """Welcome to our school library. Please be quiet. Food and drink stay outside. You may borrow five books for three
    weeks. Late books cost ten pence a day. Ask at the desk if you need help. Computers can be used for homework until
    six. Story time is on Wednesday at four for children under eight. We are closed in August. Thank you.""",
]


class TestJudgement:
    @pytest.mark.parametrize("text", HARMLESS)
    def test_everyday_text_stays_below_review(self, model: TextEncoder, text: str) -> None:
        assert model.score([text]).max() < 0.5

    @pytest.mark.parametrize("text", ADDRESSES)
    def test_an_address_a_credit_or_a_name_alone_is_no_scam(self, model: TextEncoder, text: str) -> None:
        assert model.score([text])[0, model.categories.index("scam")] < 0.5

    @pytest.mark.parametrize("text", PAGES)
    def test_everyday_pages_stay_below_review(self, model: TextEncoder, text: str) -> None:
        assert model.score([text]).max() < 0.5

    @pytest.mark.parametrize(("category", "text"), HARMFUL)
    def test_plain_harm_crosses_review(self, model: TextEncoder, category: str, text: str) -> None:
        assert model.score([text])[0, model.categories.index(category)] >= 0.5


class TestUnknownLanguage:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "EXIT",
            "Hola",
            "12345",
            "il|1l 8Y",
            "C3 Ω",
            "p\u0430yp\u0430l",
            "Bitte vergessen Sie nicht, die Tür hinter sich zu schließen",
            "La tienda está cerrada hasta el lunes por la mañana",
            "营业时间是上午九点到下午六点",
            *HARMLESS,
            *(text for _, text in HARMFUL),
        ],
    )
    def test_judged_languages_and_what_is_too_short_are_known(self, model: TextEncoder, text: str) -> None:
        assert model.unknown_languages([text]) == [None]

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("ร้านปิดวันนี้", "text in Thai script"),
            ("가게는 월요일까지 문을 닫습니다", "text in Hangul script"),
            ("Open daily สวัสดีครับ", "text in Thai script"),
            ("Магазин закрыт до понедельника", "text in Cyrillic script"),
            ("مغلق اليوم حتى الساعة الخامسة", "text in Arabic script"),
            ("Nie zapomnij zabrać ze sobą butów na wycieczkę", "text in a language that is not judged"),
            ("kal school nahi jana hai kya, mujhe bata dena", "text in a language that is not judged"),
            ("Obchod je zavřený až do pondělí ráno, přijďte prosím později", "text in a language that is not judged"),
            (
                "Kauppa on suljettu maanantaihin asti, tervetuloa silloin uudelleen",
                "text in a language that is not judged",
            ),
        ],
    )
    def test_other_languages_are_named(self, model: TextEncoder, text: str, reason: str) -> None:
        assert model.unknown_languages([text]) == [reason]


class TestLoad:
    def test_the_card_tells_what_is_covered(self, model: TextEncoder) -> None:
        assert set(model.categories) < set(CATEGORIES)
        assert not {"illegal", "nudity", "gore"} & set(model.categories)
        assert "en" in model.card.languages
        assert "grooming" in " ".join(model.card.notes)
        assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 52_000_000
        assert set(model.recall) == set(model.categories)

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("card.toml", b"name = ", "card.toml: the card cannot be read"),
            ("card.toml", b"name = 'x'", "card.toml: "),
            ("card.toml", None, "card.toml: the card cannot be read"),
            ("tokenizer.json", b"{", "tokenizer.json: the tokenizer cannot be read"),
            ("tokenizer.json", None, "tokenizer.json: the tokenizer cannot be read"),
        ],
    )
    def test_a_broken_file_is_named(self, tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
        shutil.copytree(SHIPPED, tmp_path / "m")
        (tmp_path / "m" / name).unlink()
        if content is not None:
            (tmp_path / "m" / name).write_bytes(content)
        with pytest.raises(WeightsError, match=message):
            TextEncoder.load(tmp_path / "m" / "model.onnx", ModelId(name="mine"))

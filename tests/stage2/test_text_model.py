"""The n-gram text model: what scores promise, what counts as an unknown language."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kidsnanny.errors import WeightsError
from kidsnanny.stage2 import text_model
from kidsnanny.stage2.normalisation import normalise
from kidsnanny.stage2.text_model import TextModel, features, windows
from kidsnanny.taxonomy import CATEGORIES

ROOT = Path(__file__).parents[2]
FLAT = np.full(1 << text_model.BITS, 4, dtype=np.uint8)
SHIPPED = ROOT / "weights" / "text_model"


@pytest.fixture(scope="module")
def model() -> TextModel:
    return TextModel.load(SHIPPED)


class TestFeatures:
    @given(st.lists(st.text().map(normalise), min_size=1, max_size=6))
    def test_a_row_does_not_depend_on_its_neighbours(self, texts: list[str]) -> None:
        together = features(texts, FLAT)
        for i, text in enumerate(texts):
            alone = features([text], FLAT)
            mine = slice(together.indptr[i], together.indptr[i + 1])
            assert together.buckets[mine].tolist() == alone.buckets.tolist()
            assert together.values[mine].tolist() == alone.values.tolist()

    def test_are_the_same_on_every_machine(self) -> None:
        rows = features(["a b"], FLAT)
        assert rows.indptr.tolist() == [0, len(rows.buckets)]
        assert rows.buckets.tolist() == features(["a b"], FLAT).buckets.tolist()
        assert len(rows.buckets) == 9  # " a" "a " " a " the same for b, the words a and b, and their pair

    def test_no_texts_have_no_rows(self) -> None:
        assert features([], FLAT).indptr.tolist() == [0]

    def test_long_texts_are_also_read_in_windows(self) -> None:
        words = [f"w{i}" for i in range(200)]
        pieces = windows(" ".join(words))
        assert pieces[0] == " ".join(words)
        assert set(" ".join(pieces[1:]).split()) == set(words)
        assert windows("a short text") == ["a short text"]


class TestScore:
    def test_has_a_row_per_text_and_a_column_per_category(self, model: TextModel) -> None:
        scores = model.score(["one", "two", "three"])
        assert scores.shape == (3, len(model.card.categories))
        assert scores.dtype == np.float32
        assert model.score([]).shape == (0, len(model.card.categories))

    @pytest.mark.parametrize("text", ["", "   ", "12345", "|/-.,", "🎉🎉", "\u200b"])
    def test_is_zero_without_letters(self, model: TextModel, text: str) -> None:
        assert not model.score([text]).any()

    @settings(max_examples=50)
    @given(st.lists(st.text(), max_size=4))
    def test_is_a_probability_for_any_text(self, model: TextModel, texts: list[str]) -> None:
        scores = model.score(texts)
        assert np.isfinite(scores).all()
        assert ((scores >= 0) & (scores <= 1)).all()

    def test_does_not_depend_on_the_other_texts(self, model: TextModel) -> None:
        texts = ["Open on Sunday", "", "see you at five", "word " * 300]
        together = model.score(texts)
        for i, text in enumerate(texts):
            np.testing.assert_allclose(together[i], model.score([text])[0], atol=1e-5)

    def test_finds_one_line_in_a_long_page(self, model: TextModel) -> None:
        page = ["The library opens at nine and closes at six on every weekday of the year."] * 20
        page.insert(7, "Congratulations! You have won a prize, claim it now at http://prize.example.top")
        scam = model.card.categories.index("scam")
        assert model.score([" ".join(page)])[0, scam] >= 0.5


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
    def test_everyday_text_stays_below_review(self, model: TextModel, text: str) -> None:
        assert model.score([text]).max() < 0.5

    @pytest.mark.parametrize("text", PAGES)
    def test_everyday_pages_stay_below_review(self, model: TextModel, text: str) -> None:
        assert model.score([text]).max() < 0.5

    @pytest.mark.parametrize(("category", "text"), HARMFUL)
    def test_plain_harm_crosses_review(self, model: TextModel, category: str, text: str) -> None:
        assert model.score([text])[0, list(model.card.categories).index(category)] >= 0.5


class TestUnknownLanguage:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "EXIT",
            "Hola",
            "Buenos días",
            "12345",
            "il|1l 8Y",
            "C3 Ω",
            "p\u0430yp\u0430l",
            *HARMLESS,
            *(text for _, text in HARMFUL),
        ],
    )
    def test_english_and_what_is_too_short_is_known(self, model: TextModel, text: str) -> None:
        assert model.unknown_language(text) is None

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("Магазин закрыт до понедельника", "text in Cyrillic script"),
            ("営業時間", "text in Chinese script"),
            ("مغلق اليوم", "text in Arabic script"),
            ("Open daily Магазин", "text in Cyrillic script"),
            ("Bitte vergessen Sie nicht, die Tür hinter sich zu schließen", "text that does not look like English"),
            ("La tienda está cerrada hasta el lunes por la mañana", "text that does not look like English"),
            ("Le magasin est fermé jusqu'à lundi pour les vacances", "text that does not look like English"),
        ],
    )
    def test_other_languages_are_named(self, model: TextModel, text: str, reason: str) -> None:
        assert model.unknown_language(text) == reason


class TestLoad:
    def test_the_card_tells_what_is_covered(self, model: TextModel) -> None:
        assert set(model.card.categories) < set(CATEGORIES)
        assert not {"illegal", "nudity", "gore"} & set(model.card.categories)
        assert model.card.languages == ("en",)
        assert "grooming" in " ".join(model.card.notes)
        assert (SHIPPED / "model.npz").stat().st_size < 6_000_000
        assert TextModel.reentrant

    @pytest.mark.parametrize("name", ["model.npz", "card.toml"])
    def test_a_missing_file_is_named(self, tmp_path: Path, name: str) -> None:
        shutil.copytree(SHIPPED, tmp_path / "m")
        (tmp_path / "m" / name).unlink()
        with pytest.raises(WeightsError, match=rf"{name}.*missing; reinstall.*\.$"):
            TextModel.load(tmp_path / "m")

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("model.npz", b"not a zip", "model.npz: its sha256"),
            ("card.toml", b"name = ", "card.toml: not a text model card"),
            ("card.toml", b"name = 'x'", "card.toml: not a text model card"),
            ("card.toml", b"\xff\xfe", "card.toml: not a text model card"),
        ],
    )
    def test_a_broken_file_is_named(self, tmp_path: Path, name: str, content: bytes, message: str) -> None:
        shutil.copytree(SHIPPED, tmp_path / "m")
        (tmp_path / "m" / name).write_bytes(content)
        with pytest.raises(WeightsError, match=message):
            TextModel.load(tmp_path / "m")

    def test_a_pickle_is_refused(self, tmp_path: Path) -> None:
        import hashlib

        shutil.copytree(SHIPPED, tmp_path / "m")
        evil = tmp_path / "m" / "model.npz"
        np.savez(evil, weights=np.array([object()], dtype=object))
        card = (tmp_path / "m" / "card.toml").read_text("utf-8").splitlines()
        digest = hashlib.sha256(evil.read_bytes()).hexdigest()
        card = [f'sha256 = "{digest}"' if line.startswith("sha256") else line for line in card]
        (tmp_path / "m" / "card.toml").write_text("\n".join(card), "utf-8")
        with pytest.raises(WeightsError, match=r"model.npz: cannot be read"):
            TextModel.load(tmp_path / "m")

"""What `normalise` undoes, and that it does nothing twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidsnanny.stage2.normalisation import MAX_CHARS, normalise


class TestNormalise:
    @pytest.mark.parametrize(
        ("raw", "clean"),
        [
            ("", ""),
            ("  Two\n\tlines  ", "two lines"),
            ("ＦＵＬＬ ｗｉｄｔｈ", "full width"),
            ("zero\u200bwidth \u202ebidi\u202c", "zerowidth bidi"),
            ("soft\u00adhyphen \ue000private", "softhyphen private"),
            ("Straße", "strasse"),
            ("it’s “so”", 'it\'s "so"'),
            ("sooooo goooood", "soo good"),
            ("1000 stays, 123456789 does not", "1000 stays, 00000 does not"),
            ("see https://example.org/a?b=c now", "see xxurl now"),
            ("see www.example.org now", "see xxurl now"),
            ("mail me@example.org now", "mail xxmail now"),
            ("hi @someone_else, hello", "hi , hello"),
            ("p\u0430yp\u0430l and \u039cenu", "paypal and menu"),
            ("\u0441\u043e\u0440", "\u0441\u043e\u0440"),
            ("5 \u00b5g, a\u0436a", "5 \u03bcg, a\u0436a"),
            ("[URL] <url> [email] @user [USER]", "xxurl xxurl xxmail"),
        ],
    )
    def test_spells_one_thing_one_way(self, raw: str, clean: str) -> None:
        assert normalise(raw) == clean

    @given(st.text())
    def test_twice_is_once(self, text: str) -> None:
        assert normalise(normalise(text)) == normalise(text)

    @given(st.text(alphabet="ab \u0430\u0410\u0412\u0432\u0436\u039d\u03bd\u0301", max_size=12))
    def test_twice_is_once_among_look_alikes(self, text: str) -> None:
        assert normalise(normalise(text)) == normalise(text)

    @given(st.text(alphabet="@.<>[]urlwemai/:0123 \u200b\u0130ſe\u0301", max_size=40))
    def test_twice_is_once_near_the_masks(self, text: str) -> None:
        assert normalise(normalise(text)) == normalise(text)

    def test_cuts_what_no_picture_legibly_holds(self) -> None:
        assert len(normalise("word " * 100_000)) <= MAX_CHARS
        assert len(normalise("ﷺ" * 100_000)) <= MAX_CHARS

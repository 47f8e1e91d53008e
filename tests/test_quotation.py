"""What may be quoted of a line of untrusted text: it is short, visible, and leads nowhere."""

import unicodedata

import pytest
from addresses import ADDRESS, WORD
from hypothesis import given
from hypothesis import strategies as st

from kidsnanny.quotation import LONGEST, quotation


@pytest.mark.parametrize(
    ("line", "quoted"),
    [
        ("see you at five", "see you at five"),
        ("it costs 3.50, bring 20", "it costs 3.50, bring 20"),
        ("Dr. Who said: e.g. at 12:30 Uhr, z.B. am 3. Mai", "Dr. Who said: e.g. at 12:30 Uhr, z.B. am 3. Mai"),
        ("look at https://example.com/a?b=c#d now", "look at [link] now"),
        ("look at example.com", "look at [link]"),
        ("(www.example.org/x)", "[link]"),
        ("t.me/someone or bit.ly/3x", "[link] or [link]"),
        ("bücher.example and пример.рф", "[link] and [link]"),
        ("example (dot) com", "[link]"),
        ("example dot com", "[link]"),
        ("example . com", "[link]"),
        ("example. com", "[link]"),
        ("example。com", "[link]"),
        ("192.168.0.11:8080/x", "[number]"),
        ("[2001:db8::1]", "[link]"),
        ("tel:12345", "[link]"),
        ("write to anna.b@example.co.uk!", "write to [address]"),
        ("anna (at) example (punkt) de", "[address]"),
        ("anna@example", "[address]"),
        ("ａｎｎａ＠ｅｘａｍｐｌｅ．ｃｏｍ", "[address]"),
        ("an\u200bna@exam\u00adple.com", "[address]"),
        ("call +49 (30) 123-45 67 today", "call [number] today"),
        ("call 0301234567", "call [number]"),
        ("٠١٢٣٤٥٦٧", "[number]"),
        ("I am @kim_03, or @ kim", "I am [user name] or [user name]"),
        ("kim#1234 on the game", "[user name] on the game"),
        ("\x1b[31mred\x07", "(31mred"),
        ("\u202eevil\u202c \u2066text\u2069", "evil text"),
        ('a “quoted” «word» and "one"', "a 'quoted' 'word' and 'one'"),
        ("<script>alert`1`</script>", "‹script›alert'1'‹/script›".replace("‹", "'").replace("›", "'")),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("\u200b\u200e", ""),
        ("", ""),
    ],
)
def test_a_quotation(line: str, quoted: str) -> None:
    assert quotation(line) == quoted


LONG = " ".join(f"word{n}" for n in range(60))


def test_a_long_line_is_cut_at_a_word_around_what_it_is_quoted_for() -> None:
    first = quotation(LONG)
    assert first.startswith("word0 word1 ")
    assert first.endswith(" …")
    assert len(first) <= LONGEST + 2
    later = quotation(LONG, ["word44", "word45"])
    assert later.startswith("… word")
    assert " word44 word45 " in later
    assert len(later) <= LONGEST + 4
    assert quotation(LONG, ["elsewhere"]) == first
    assert quotation("あ" * 300) == "あ" * LONGEST + "…"


def test_what_is_hidden_is_named_in_the_readers_language() -> None:
    assert quotation("at example.com", names={"link": "[enlace]"}) == "at [enlace]"


AROUND = st.sampled_from(["{}", "({})", '"{}"', "{}!", "<{}>", "‘{}’", "{},", "→{}"])


@given(st.lists(WORD, max_size=6), ADDRESS, AROUND, st.lists(WORD, max_size=6))
def test_no_address_is_quoted(before: list[str], address: str, around: str, after: list[str]) -> None:
    line = " ".join([*before, around.format(address), *after])
    quoted = quotation(line).casefold()
    host = address.casefold().removeprefix("https://").removeprefix("http://").removeprefix("www.").lstrip("@+")
    assert address.casefold() not in quoted
    assert host.split("/")[0] not in quoted
    if "@" in address:
        assert "@" not in quoted
    assert "[" in quoted


@given(st.text(max_size=400), st.lists(st.text(max_size=8), max_size=2))
def test_whatever_is_quoted_is_visible_and_short(line: str, words: list[str]) -> None:
    quoted = quotation(line, words)
    assert len(quoted) <= 2 * LONGEST + 20
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in quoted)
    assert "@" not in quoted
    assert "://" not in quoted

"""Templates escape whatever they insert, and a misspelled variable is an error."""

import subprocess
import sys

import pytest
from jinja2 import UndefinedError

from kidsnanny.reports.pages import environment


@pytest.mark.parametrize(
    ("template", "html"),
    [
        ("{{ text }}", "&lt;b&gt;[U+202E]"),
        ("{{ text|untrusted }}", "<bdi>&lt;b&gt;[U+202E]</bdi>"),
        ("{{ [text, text]|map('untrusted')|join(', ') }}", ", ".join(["<bdi>&lt;b&gt;[U+202E]</bdi>"] * 2)),
        ("{% macro m(x) %}{{ x }}{% endmacro %}{{ m(text) }}", "&lt;b&gt;[U+202E]"),
    ],
)
def test_what_is_inserted_is_escaped_and_visible(template: str, html: str) -> None:
    assert environment().from_string(template).render(text="<b>\u202e") == html


def test_a_variable_that_is_not_given_is_an_error() -> None:
    for template in ("{{ absent }}", "{{ absent|untrusted }}", "{% if absent %}{% endif %}"):
        with pytest.raises(UndefinedError):
            environment().from_string(template).render()


def test_the_engine_is_loaded_only_for_a_report() -> None:
    code = "import kidsnanny, kidsnanny.reports.verdict_report, sys; print('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"

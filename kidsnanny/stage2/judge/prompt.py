"""The judge's prompts, rendered: what never changes first, so that a server computes it once, then the picture.

The templates are `prompts/*.md`: a version in the first line, the system message, which may be empty, a line
`=== user`, the user message.
"""

import secrets
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from kidsnanny.errors import ComponentError
from kidsnanny.models.store import data_dir
from kidsnanny.stage2.untrusted import UntrustedText, clean
from kidsnanny.taxonomy import DEFINITIONS, Category


class Question(NamedTuple):
    """What the judge is asked about one picture: text alone, no pixel, file name or metadata."""

    ages: str
    """The policy's, like `10-12`."""
    findings: str
    """Stage 1's, as `stage1.findings_text.render` wrote them; empty if nothing was screened."""
    text: UntrustedText


HARMLESS = Question(
    "10-12",
    "",
    clean(["The school trip is on Friday, we meet at the gate at eight.", "Please bring a packed lunch and a coat."]),
)
"""About a picture of nobody's."""


class Prompt(NamedTuple):
    """Chat messages, and the version of the template they were made from."""

    version: str
    messages: list[dict[str, str]]


def verdict_prompt(question: Question, categories: Sequence[Category], marker: str) -> Prompt:
    """Asks for one letter per category.

    Raises:
        TypeError: the text has not passed `untrusted.clean`.
    """
    return _rendered("judge", question, categories, marker, count=str(len(categories)))


def explanation_prompt(
    question: Question, categories: Sequence[Category], flagged: Sequence[Category], marker: str
) -> Prompt:
    """Asks for a sentence for the parents.

    Raises:
        TypeError: the text has not passed `untrusted.clean`.
    """
    return _rendered("explanation", question, categories, marker, numbered=True, flagged=", ".join(flagged))


def fresh_marker() -> str:
    """One that whoever made the picture cannot have known."""
    return secrets.token_hex(4)


def _rendered(
    name: str, question: Question, categories: Sequence[Category], marker: str, *, numbered: bool = False, **facts: str
) -> Prompt:
    if not isinstance(question.text, UntrustedText):
        raise TypeError(f"Text for a prompt must come from untrusted.clean, not as {type(question.text).__name__}.")
    version, system, user = template(name)
    lines, cut = question.text.lines, question.text.cut
    facts |= {
        "ages": question.ages,
        "categories": "\n".join(f"{n}. {c}: {DEFINITIONS[c]}" for n, c in enumerate(categories, 1)),
        "findings": question.findings or "none: no vision model looked at the picture",
        "lines": f"{len(lines)} lines" + (f"; {cut}" if cut else ""),
        "marker": marker,
        "text": "\n".join(f"{marker} {f'{n}. ' if numbered else ''}{line}" for n, line in enumerate(lines, 1))
        or "none",
    }
    messages = [("system", system), ("user", user)]
    return Prompt(version, [{"role": role, "content": text.format_map(facts)} for role, text in messages])


@cache
def template(name: str) -> tuple[str, str, str]:
    """Version, system message and user message of a template, by the name of its file.

    Raises:
        ComponentError: it cannot be read.
    """
    path = data_dir("prompts") / f"{name}.md"
    try:
        version, _, body = path.read_text("utf-8").partition("\n")
    except OSError as error:
        raise ComponentError(f"{path}: the prompt cannot be read ({error.strerror}); reinstall kidsnanny.") from error
    system, _, user = body.partition("\n=== user\n")
    return version, system.strip(), user.strip()

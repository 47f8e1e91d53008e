"""Every command's help teaches: it has examples, and each of them is a command line that the program takes."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from kidsnanny.cli.app import app

ROOT = typer.main.get_command(app)


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with the words that call it."""
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from commands(inner, (*path, name))
    else:
        yield path, command


ALL = dict(commands(ROOT))
EXAMPLES = [
    (path, example.strip())
    for path, command in ALL.items()
    for example in re.findall(r"Example: (.*?)(?:\n\n|\Z)", command.help or "", re.DOTALL)
]


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_help_has_an_example_of_its_command(path: tuple[str, ...]) -> None:
    own = [example for of, example in EXAMPLES if of == path]
    assert any(f"kidsnanny {' '.join(path)}" in example for example in own)


@pytest.mark.parametrize(("path", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_an_example_is_taken(path: tuple[str, ...], example: str) -> None:
    """Each part between pipes and semicolons that calls us; the shell's redirections are the shell's."""
    ours = [part.strip() for part in re.split(r"[|;]|&&", " ".join(example.split()))]
    for line in (part for part in ours if part.startswith("kidsnanny ")):
        words = shlex.split(re.sub(r"\s\d?>+\s*\S+", "", line))[1:]
        command, name = ROOT, "kidsnanny"
        while hasattr(command, "commands"):
            name = words.pop(0)
            command = command.commands[name]
        command.make_context(name, words)  # a wrong option or value raises

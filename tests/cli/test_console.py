"""What the commands share: errors as exit codes, help that teaches, and a start that imports little."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer
from conftest import ROOT
from typer.testing import CliRunner

from kidsnanny.cli.app import app
from kidsnanny.cli.console import Exit, _PlainConsole, exit_on_error, exit_without_extra, printable, progress
from kidsnanny.errors import ComponentError, DataError, InputError, NotHereError, PolicyError

KINDS = [
    (DataError("d"), Exit.USAGE),
    (PolicyError("p"), Exit.USAGE),
    (ComponentError("c"), Exit.COMPONENT),
    (NotHereError("w"), Exit.COMPONENT),
    (InputError("i"), Exit.COMPONENT),
]


@pytest.mark.parametrize(("error", "code"), KINDS, ids=[type(error).__name__ for error, _ in KINDS])
def test_each_kind_of_error_has_an_exit_code(error: Exception, code: Exit, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, exit_on_error():
        raise error
    assert ended.value.exit_code == code
    assert capsys.readouterr().err == f"kidsnanny: {error}\n"


def test_a_command_can_choose_the_exit_code() -> None:
    with pytest.raises(typer.Exit) as ended, exit_on_error(Exit.COMPONENT):
        raise DataError("there is something in the folder")
    assert ended.value.exit_code == Exit.COMPONENT


def test_ctrl_c_is_exit_130_and_the_commands_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, exit_on_error(interrupted="Interrupted; half of it is done."):
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err == "kidsnanny: Interrupted; half of it is done.\n"


def test_a_bug_is_not_an_exit_code() -> None:
    with pytest.raises(ZeroDivisionError), exit_on_error():
        _ = 1 / 0


def test_a_missing_extra_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, exit_without_extra("A flight", "wings"):
        import no_such_package  # noqa: F401
    assert ended.value.exit_code == Exit.COMPONENT
    said = " ".join(capsys.readouterr().err.split())
    assert said == "kidsnanny: A flight needs no_such_package; run `pip install 'kidsnanny[wings]'`."


def test_control_characters_are_escaped() -> None:
    assert printable("a\x1b[31mb\nc\u202e田") == "a\\x1b[31mb\\nc\\u202e田"


@pytest.mark.parametrize(("total", "told"), [(3, "3/3"), (None, "3/")])
def test_a_bar_tells_the_count_and_the_total_if_it_is_known(
    monkeypatch: pytest.MonkeyPatch, total: int | None, told: str
) -> None:
    shown = io.StringIO()
    monkeypatch.setattr("kidsnanny.cli.console.stderr", _PlainConsole(file=shown, force_terminal=True, width=100))
    assert list(progress(iter("abc"), "Looking", total)) == ["a", "b", "c"]
    assert told in shown.getvalue()


def commands(group: object, *names: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)
        else:
            yield *names, name


COMMANDS = list(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("names", COMMANDS, ids=[" ".join(names) for names in COMMANDS])
def test_help_has_an_example_of_each_command(names: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert f"kidsnanny {' '.join(names)}" in shown.stdout.partition("Example: ")[2]


def test_no_command_imports_the_app_that_assembles_them() -> None:
    for module in (ROOT / "kidsnanny" / "cli").glob("*.py"):
        assert "kidsnanny.cli.app" not in module.read_text("utf-8"), module.name


STARTED = """
import json, sys
from kidsnanny.cli.app import app
try:
    app(sys.argv[1:])
except SystemExit:
    print(json.dumps([*sys.modules]), file=sys.stderr)
"""
HEAVY = {"torch", "scipy", "sklearn", "statsmodels", "pyarrow", "transformers", "httpx", "huggingface_hub"}
NAMES_OF_SYSTEMS = {"kidsnanny.evaluation", "kidsnanny.evaluation.systems", "kidsnanny.evaluation.systems.registry"}


@pytest.mark.parametrize("arguments", [("--help",), ("check", "--vision-only", "no-such-picture.png")])
def test_the_start_imports_no_evaluation_and_no_framework(arguments: tuple[str, ...]) -> None:
    """Only the names of the systems are imported, for the help of `eval`."""
    ended = subprocess.run([sys.executable, "-c", STARTED, *arguments], capture_output=True, text=True, check=True)
    imported = set(json.loads(ended.stderr.splitlines()[-1]))
    assert imported & HEAVY == set()
    assert {name for name in imported if name.startswith("kidsnanny.evaluation")} == NAMES_OF_SYSTEMS

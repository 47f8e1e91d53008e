"""`kidsnanny policy`: write, show, check and compare policies."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from kidsnanny.cli.console import Exit, exit_on_error, fail, printable, say, stdout, utf8_output
from kidsnanny.errors import PolicyError
from kidsnanny.files import write_atomically
from kidsnanny.policy import BUILT_IN, DEFAULT, Base, Policy
from kidsnanny.policy_files import commented, differences, doubts, rule_texts, toml, values
from kidsnanny.taxonomy import CATEGORIES

FILE = "my-policy.toml"
KINDS = f"{', '.join(BUILT_IN)}, or your own TOML file."


policy_app = typer.Typer(
    no_args_is_help=True,
    help="Policies: write one of your own, show what one says, check it, compare two.",
)


@policy_app.command()
def init(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file to write; - for standard output.")] = FILE,
    base: Annotated[Base, typer.Option(help="The built-in policy to start from.")] = DEFAULT,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Write a policy file to start from: every rule with the value of the base and a comment that explains it.

    The file is a policy as it is, and is called as the file is.

    Example: kidsnanny policy init

    Example: kidsnanny policy init our-family.toml --base teen

    Example: kidsnanny policy init - | less
    """
    path = Path(FILE if file == "-" else file)
    text = commented(Policy.load(base), printable(path.stem))
    if file == "-":
        utf8_output()
        print(text, end="")
        return
    if file in BUILT_IN:
        fail(Exit.USAGE, f"{file}: it is a built-in policy's name, so no file can have it; write {file}.toml.")
    if os.path.lexists(path) and not force:
        fail(Exit.USAGE, f"{file}: it is there already; name another file, or replace it with --force.")
    try:
        write_atomically(path, text.encode())
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        fail(Exit.USAGE, f"{file}: it cannot be written ({why}); name another file.")
    say(f"{file}: written; check it with `kidsnanny policy check {file}` after each change")


@policy_app.command()
def show(
    name: Annotated[str | None, typer.Argument(metavar="NAME|FILE", help=f"{KINDS} By default all.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: one policy, or without a name an array.")
    ] = False,
) -> None:
    """Show what a policy says, each rule with what it means; without a name, list the built-in policies.

    Example: kidsnanny policy show

    Example: kidsnanny policy show teen

    Example: kidsnanny policy show our-family.toml --json
    """
    with exit_on_error():
        found = [Policy.load(one) for one in ((name,) if name else BUILT_IN)]
    if as_json:
        utf8_output()
        tables = [{**policy.model_dump(mode="json"), "version": policy.version} for policy in found]
        print(json.dumps(tables[0] if name else tables, indent=1, ensure_ascii=False))
    elif name:
        _print_rules(found[0])
    else:
        _print_table(("policy", "ages", "version"), ((one.name, one.ages, one.version) for one in found))


@policy_app.command()
def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Policy files.")],
) -> None:
    """Check policy files: everything that is wrong in them, and what is legal but probably not meant.

    Exit code 2 if something is wrong in any of them; what is merely doubtful changes no exit code.

    Example: kidsnanny policy check our-family.toml
    """
    wrong = False
    for file in files:
        try:
            policy = Policy.load(file)
        except PolicyError as error:
            wrong = True
            for fault in error.faults:
                say(f"FAIL {fault}")
            continue
        for doubt in doubts(policy):
            say(f"warn {file}: {doubt}")
        count = len(differences(Policy.load(policy.base), policy))
        changes = f"{count} {'rule differs' if count == 1 else 'rules differ'} from {policy.base}"
        say(f"ok   {file}: {policy.version}, {changes}")
    raise typer.Exit(Exit.USAGE if wrong else Exit.CLEAR)


@policy_app.command()
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help=KINDS)],
    b: Annotated[str, typer.Argument(metavar="B", help=KINDS)],
) -> None:
    """Show in which rules two policies differ. What they are called, and what they are based on, is no rule.

    Exit codes as of diff: 0 they decide alike, 1 they differ, 2 one of them cannot be read.

    Example: kidsnanny policy diff teen our-family.toml
    """
    with exit_on_error():
        found = differences(Policy.load(a), Policy.load(b))
    if not found:
        say(f"{a} and {b} decide alike.")
        return
    _print_table(("rule", a, b), ((key, toml(one), toml(other)) for key, one, other in found))
    raise typer.Exit(Exit.DIFFERENT)


def _print_rules(policy: Policy) -> None:
    say(f"{policy.version}: ages {policy.ages}, based on {policy.base}")
    rows = []
    for category in CATEGORIES:
        rule = policy.categories[category]
        limits = ("–", "–") if rule.action == "ignore" else (f"{rule.review:g}", f"{rule.block:g}")
        rows.append((category, *limits, rule.action))
    _print_table(("category", "review", "block", "action"), rows)
    told, has = rule_texts(), values(policy)
    for text in told:
        if text.key.startswith("categories.*."):
            say(f"{text.key.rpartition('.')[2]}: {text.brief}")
    keys = [text for text in told if text.key in has and text.key not in ("name", "base", "ages")]
    _print_table(("rule", "value", "meaning"), ((text.key, toml(has[text.key]), text.brief) for text in keys))


def _print_table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    table = Table(*(Column(Text(printable(head))) for head in heads))
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    stdout.print(table)

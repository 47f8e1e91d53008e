"""`kidsnanny policy`: a file to start from, what a policy says, what is wrong in one, how two differ."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kidsnanny import Policy
from kidsnanny.cli.app import app
from kidsnanny.policy import BUILT_IN
from kidsnanny.policy_files import commented, differences, rule_texts
from kidsnanny.taxonomy import CATEGORIES


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("strict.toml").write_text('name = "strict"\nbase = "teen"\n[categories]\nscam = { review = 0.2 }\n')
    Path("doubtful.toml").write_text('name = "odd"\nbase = "child"\n[text]\nminor = "note"\n')
    Path("bad.toml").write_text('name = "bad"\nbase = "teen"\ncolor = 1\n[categories]\nnudty.block = 1\n')
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["policy", *map(str, arguments)])


def rows(output: str) -> list[list[str]]:
    """The cells of the tables that were printed, without the heads; a cell may go over several lines."""
    found: list[list[str]] = []
    for line in output.splitlines():
        if line[:1] == "│":
            cells = [cell.strip() for cell in line.strip("│").split("│")]
            if cells[0]:
                found.append(cells)
            else:
                found[-1] = [" ".join(filter(None, parts)) for parts in zip(found[-1], cells, strict=True)]
    return found


@pytest.mark.parametrize("base", BUILT_IN)
def test_init_writes_a_policy_that_decides_as_its_base(base: str) -> None:
    result = run("init", "our-family.toml", "--base", base)
    assert result.exit_code == 0, result.output
    policy = Policy.load("our-family.toml")
    assert policy.name == "our-family"
    assert policy.base == base
    assert run("diff", base, "our-family.toml").exit_code == 0
    assert run("check", "our-family.toml").stdout.startswith("ok   our-family.toml: our-family@")


def test_init_starts_from_the_default_policy_under_a_name_of_its_own() -> None:
    assert run("init").exit_code == 0
    assert Policy.load("my-policy.toml") == Policy.load("preteen").model_copy(update={"name": "my-policy"})


def test_init_to_standard_output_writes_no_file(folder: Path) -> None:
    before = set(folder.iterdir())
    result = run("init", "-", "--base", "child")
    assert result.stdout == commented(Policy.load("child"), "my-policy")
    assert set(folder.iterdir()) == before


@pytest.mark.parametrize("name", ['it\'s "ours".toml', "田 😀.toml", "caf\udce9.toml", "a\nb.toml", "back\\slash.toml"])
def test_whatever_the_file_is_called_it_is_a_policy(name: str) -> None:
    assert run("init", name).exit_code == 0
    assert not differences(Policy.load("preteen"), Policy.load(name))


NOT_WRITTEN = [
    (["strict.toml"], "strict.toml: it is there already; name another file, or replace it with --force."),
    (["none/a.toml"], "none/a.toml: it cannot be written (No such file or directory); name another file."),
    (["teen"], "teen: it is a built-in policy's name, so no file can have it; write teen.toml."),
    ([".", "--force"], ".: it cannot be written ("),
    (["a.toml", "--base", "toddler"], "'toddler' is not one of"),
]


@pytest.mark.parametrize(("arguments", "said"), NOT_WRITTEN)
def test_init_says_in_a_sentence_why_it_wrote_nothing(folder: Path, arguments: list[str], said: str) -> None:
    before = {path: path.read_text() for path in folder.iterdir()}
    result = run("init", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert {path: path.read_text() for path in folder.iterdir()} == before


def test_init_replaces_a_file_that_is_given_up() -> None:
    assert run("init", "strict.toml", "--force").exit_code == 0
    assert not differences(Policy.load("preteen"), Policy.load("strict.toml"))


def test_show_without_a_name_lists_the_built_in_policies() -> None:
    result = run("show")
    assert result.exit_code == 0
    policies = [Policy.load(name) for name in BUILT_IN]
    assert rows(result.stdout) == [[policy.name, policy.ages, policy.version] for policy in policies]
    assert [one["version"] for one in json.loads(run("show", "--json").stdout)] == [one.version for one in policies]


def test_show_tells_every_rule_and_what_it_means() -> None:
    Path("ours.toml").write_text('name = "ours"\nbase = "teen"\n[categories]\nscam.action = "ignore"\n')
    result = run("show", "ours.toml")
    policy = Policy.load("ours.toml")
    assert result.stdout.startswith(f"{policy.version}: ages 13-17, based on teen\n")
    found = {row[0]: row[1:] for row in rows(result.stdout)}
    assert found["hate"] == ["0.6", "0.9", "block"]
    assert found["scam"] == ["–", "–", "ignore"]
    assert found["judge.image_grey"][0] == "[0.35, 0.75]"
    assert found.keys() >= set(CATEGORIES)
    for text in rule_texts():
        if text.values and not text.key.startswith("categories") and text.key not in ("name", "base", "ages"):
            assert found[text.key][1] == text.brief


@pytest.mark.parametrize("name", ["teen", "strict.toml"])
def test_show_as_json_is_the_policy(name: str) -> None:
    shown = json.loads(run("show", name, "--json").stdout)
    assert shown.pop("version") == Policy.load(name).version
    assert Policy.model_validate(shown) == Policy.load(name)


CHECKED = [
    (["strict.toml"], 0, ["ok   strict.toml: strict@", ", 1 rule differs from teen"]),
    (["teen"], 0, ["ok   teen: teen@", ", 0 rules differ from teen"]),
    (["doubtful.toml"], 0, ["warn doubtful.toml: text.minor: ", "\nok   doubtful.toml: odd@"]),
    (
        ["bad.toml", "strict.toml"],
        2,
        [
            "FAIL bad.toml: line 3: color: there is no such key (there are name, ",
            "\nFAIL bad.toml: line 5: categories.nudty: there is no such key (did you mean nudity?); correct it.\n",
            "\nok   strict.toml: ",
        ],
    ),
    (["missing.toml"], 2, ["FAIL missing.toml: there is no such policy; name child, preteen, teen or a TOML file."]),
]


@pytest.mark.parametrize(("files", "code", "said"), CHECKED)
def test_check_says_all_that_is_wrong_or_doubtful(files: list[str], code: int, said: list[str]) -> None:
    result = run("check", *files)
    assert result.exit_code == code
    for part in said:
        assert part in result.stdout
    assert not result.stderr


@pytest.mark.parametrize(
    ("one", "other", "code", "said"),
    [
        ("teen", "teen", 0, "teen and teen decide alike.\n"),
        ("teen", "strict.toml", 1, [["categories.scam.review", "0.6", "0.2"]]),
        ("strict.toml", "teen", 1, [["categories.scam.review", "0.2", "0.6"]]),
        ("child", "doubtful.toml", 1, [["text.minor", '"review"', '"note"']]),
    ],
)
def test_diff_shows_what_differs(one: str, other: str, code: int, said: str | list[list[str]]) -> None:
    result = run("diff", one, other)
    assert result.exit_code == code
    assert (result.stdout if isinstance(said, str) else rows(result.stdout)) == said


@pytest.mark.parametrize("arguments", [["show", "bad.toml"], ["diff", "teen", "bad.toml"], ["diff", "none", "teen"]])
def test_a_policy_that_cannot_be_read_is_exit_2_and_one_sentence(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("kidsnanny: ")
    assert result.stderr.count("\n") == 1
    assert not result.stdout


@pytest.mark.parametrize("command", ["init", "show", "check", "diff"])
def test_the_help_teaches(command: str) -> None:
    assert f"Example: kidsnanny policy {command}" in run(command, "--help").stdout

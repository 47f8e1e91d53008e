"""Policies as files: the commented one loads and decides as its base, and every rule of a policy has its words."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidsnanny.policy import BUILT_IN, Policy
from kidsnanny.policy_files import commented, differences, doubts, rule_texts, values
from kidsnanny.taxonomy import CATEGORIES

BASES = {name: Policy.load(name) for name in BUILT_IN}
names = st.text(min_size=1).filter(lambda name: not any(c < " " or "\x7f" <= c < "\xa0" for c in name))
score = st.floats(0.01, 1)
rules = st.tuples(score, score, st.sampled_from(["block", "warn", "support"])).map(
    lambda rule: {"review": min(rule[:2]), "block": max(rule[:2]), "action": rule[2]}
)
bands = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)
policies = st.fixed_dictionaries(
    {"name": names, "base": st.sampled_from(BUILT_IN)},
    optional={
        "ages": st.text(),
        "on_failure": st.sampled_from(["review", "unsafe"]),
        "image": st.fixed_dictionaries({"fusion": st.sampled_from(["max", "mean"]), "alone": st.floats(1, 10)}),
        "categories": st.dictionaries(st.sampled_from(CATEGORIES), rules),
        "judge": st.fixed_dictionaries(
            {
                "authority": st.just("judge"),
                "escalation": st.sampled_from(["always", "never"]),
                "image_grey": bands,
                "text_grey": bands,
                "text_asked": bands,
            }
        ),
    },
).map(lambda fields: Policy.model_validate(_over(BASES[fields["base"]].model_dump(), fields)))


def _over(base: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    return base | fields | {"categories": base["categories"] | fields.get("categories", {})}


def load(folder: Path, text: str) -> Policy:
    path = folder / "ours.toml"
    path.write_text(text, "utf-8", newline="\n")
    return Policy.load(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policies")


@given(names, st.sampled_from(BUILT_IN))
def test_the_commented_file_is_its_base_under_another_name(folder: Path, name: str, base: str) -> None:
    loaded = load(folder, commented(BASES[base], name))
    assert loaded == BASES[base].model_copy(update={"name": name})
    assert not differences(BASES[base], loaded)


@given(st.data(), st.sampled_from(BUILT_IN))
def test_a_line_that_is_deleted_is_as_in_the_base(folder: Path, data: st.DataObject, base: str) -> None:
    lines = commented(BASES[base], "ours").splitlines()
    rules = [n for n, line in enumerate(lines) if " = " in line and line[0] != "#" and not line.startswith("base")]
    gone = data.draw(st.sets(st.sampled_from(rules)))
    loaded = load(folder, "\n".join(line for n, line in enumerate(lines) if n not in gone))
    assert not differences(BASES[base], loaded)


@pytest.mark.parametrize("base", BUILT_IN)
def test_every_line_of_the_commented_file_has_its_comment(base: str) -> None:
    lines = commented(BASES[base], "ours").splitlines()
    assert max(map(len, lines)) <= 100
    for above, line in pairwise(lines):
        if line and not line.startswith("#"):
            assert above.startswith("# "), line
        if line and line[0] not in "#[" and not line.startswith(("name", "base")):
            assert f"Default: {line.partition(' = ')[2].strip('{} ')}." in above, line
    assert not [line for line in lines if "above" in line and "contexts" in line]


def test_every_rule_of_a_policy_has_its_words() -> None:
    told = {text.key: text for text in rule_texts()}
    for text in told.values():
        assert text.brief.endswith("."), text.key
        assert text.meaning.startswith(text.brief)
        assert len(text.brief) < 120, text.key
    keys = {key if len(key.split(".")) < 3 else f"categories.*.{key.split('.')[2]}" for key in values(BASES["teen"])}
    assert keys == {key for key, text in told.items() if text.values}


RANGES = {
    "on_failure": 'one of "review", "unsafe"',
    "image.alone": "1 to 10",
    "text.area": "0 to 0.1",
    "judge.image_grey": "2 numbers, each 0 to 1, in rising order",
    "categories.*.review": "above 0, up to 1",
    "categories.*.action": 'one of "block", "warn", "support", "ignore"',
    "ages": "a text",
    "judge": "",
}


@pytest.mark.parametrize("key", RANGES)
def test_what_a_rule_may_be(key: str) -> None:
    assert {text.key: text.values for text in rule_texts()}[key] == RANGES[key]


@given(policies, policies)
def test_the_difference_leads_from_one_policy_to_the_other(one: Policy, other: Policy) -> None:
    called = {"name": other.name, "base": other.base}
    found = differences(one, other)
    assert values(one) | {key: theirs for key, _, theirs in found} | called == values(other)
    assert all(values(one)[key] == ours != theirs for key, ours, theirs in found)
    assert differences(other, one) == [(key, theirs, ours) for key, ours, theirs in found]
    assert not differences(one, one.model_copy(update=called))


DOUBTS = [
    # base, what differs -> what is said of it
    ("teen", "", []),
    ("teen", "[categories]\nscam = { action = 'ignore' }", []),
    ("teen", "[categories]\nscam = { review = 0.1, block = 0.99, action = 'block' }", []),
    ("teen", "[categories]\nscam = { block = 1.0 }", ["categories.scam.block: hardly any score is 1"]),
    ("teen", "[categories]\nscam = { review = 0.05 }", ["categories.scam.review: ordinary pictures reach 0.05"]),
    ("teen", "[categories]\nscam = { review = 0.01, action = 'ignore' }", ["categories.scam: its action is ignore"]),
    ("teen", "[categories]\nself_harm = { action = 'block' }", ["categories.self_harm.action: a child who may want"]),
    ("teen", "[categories]\nself_harm = { action = 'ignore' }", ["categories.self_harm.action: a child who may want"]),
    ("child", "[text]\nminor = 'note'", ["text.minor: for a child under 10"]),
    ("teen", "[text]\nminor = 'note'", []),
    ("teen", "[text]\nlarge = 0.005", ["text.large: it is below text.area"]),
    ("teen", "[judge]\nauthority = 'judge'", ['judge.authority: "judge" is for research']),
    ("teen", "[judge]\ntext_grey = [0.2, 0.3]", ["judge.text_grey: whoever writes harmful text"]),
    ("teen", "[judge]\nimage_grey = [0.2, 0.75]", []),
    ("teen", "[judge]\nimage_grey = [0.2, 0.8]", ["judge.image_grey: it reaches above the block of nudity (0.75)"]),
    (
        "teen",
        "[judge]\nimage_grey = [0.2, 0.8]\n[categories]\nnudity = { action = 'ignore' }",
        [],
    ),
    (
        "child",
        "[text]\nminor = 'note'\n[categories]\nscam = { block = 1.0 }",
        ["categories.scam.block: hardly any score is 1", "text.minor: for a child under 10"],
    ),
]


@pytest.mark.parametrize(("base", "rules", "said"), DOUBTS)
def test_what_is_legal_and_doubtful(tmp_path: Path, base: str, rules: str, said: list[str]) -> None:
    found = doubts(load(tmp_path, f"name = 'ours'\nbase = '{base}'\n{rules}\n"))
    assert [doubt.startswith(start) for doubt, start in zip(found, said, strict=True)] == [True] * len(said)
    assert all(doubt.endswith(".") and "\n" not in doubt for doubt in found)


def test_another_policys_name_is_doubtful_with_other_rules(tmp_path: Path) -> None:
    assert doubts(load(tmp_path, "base = 'teen'\n")) == []
    (doubt,) = doubts(load(tmp_path, "base = 'teen'\non_failure = 'unsafe'\n"))
    assert doubt.startswith("name: it is that of the built-in policy teen")


@pytest.mark.parametrize("name", BUILT_IN)
def test_nothing_is_doubtful_in_the_built_in_policies(name: str) -> None:
    assert doubts(BASES[name]) == []

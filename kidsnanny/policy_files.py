"""Policies as files: a commented one to start from, what differs between two, and what is doubtful in one.

What a rule means stands under its field in `kidsnanny.policy`, and its range in the field's type; both come from there.
"""

import json
from collections.abc import Iterator
from functools import cache
from textwrap import wrap
from typing import Any, NamedTuple

from kidsnanny.policy import Policy
from kidsnanny.taxonomy import CATEGORIES, DEFINITIONS, Category

WIDTH = 100
_HEAD = """A policy of kidsnanny: who the pictures are for, and what is too much for them. As it stands it decides
as the built-in policy {base}. Change what you like; a line that you delete is as in {base}. `kidsnanny policy check
FILE` says what is wrong in it, and `kidsnanny policy diff {base} FILE` what you changed."""


class RuleText(NamedTuple):
    """One key of a policy, or one table of keys."""

    key: str
    """With dots between the tables, such as `text.read`; of a category `categories.*.review`."""
    meaning: str
    values: str
    """What it may be; empty for a table."""

    @property
    def brief(self) -> str:
        """The first sentence of the meaning."""
        return self.meaning.partition(". ")[0].removesuffix(".") + "."


@cache
def rule_texts() -> tuple[RuleText, ...]:
    """Every table and key of a policy, each table before its keys."""
    schema = Policy.model_json_schema()
    return tuple(_texts(schema, schema["$defs"], ""))


def _texts(table: dict[str, Any], types: dict[str, Any], above: str) -> Iterator[RuleText]:
    for name, field in table["properties"].items():
        inside = field.get("additionalProperties", field)
        key = above + name + (".*" if inside is not field else "")
        inner = types[inside["$ref"].rpartition("/")[2]] if "$ref" in inside else {}
        meaning = " ".join((field.get("description") or inner["description"]).split())
        if inner:
            yield RuleText(key, meaning, "")
            yield from _texts(inner, types, f"{key}.")
        else:
            yield RuleText(key, meaning, _values(field))


def _values(field: dict[str, Any]) -> str:
    match field:
        case {"enum": choices}:
            return f"one of {', '.join(map(json.dumps, choices))}"
        case {"prefixItems": [first, *_] as items}:
            return f"{len(items)} numbers, each {_values(first)}, in rising order"
        case {"type": "number", "minimum": least, "maximum": most}:
            return f"{least:g} to {most:g}"
        case {"type": "number", "exclusiveMinimum": least, "maximum": most}:
            return f"above {least:g}, up to {most:g}"
    return "a text"


def values(policy: Policy) -> dict[str, Any]:
    """The value of each key, with dots between the tables: `categories.scam.review`."""
    return dict(_flat(policy.model_dump(mode="json"), ""))


def _flat(table: dict[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield above + key, value


def toml(value: Any) -> str:
    """A value as it stands in a policy's file: a number, a text in quotes, or a list of numbers."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def commented(base: Policy, name: str) -> str:
    """A whole policy file with the rules of `base`, each below what it means, what it may be, and its default."""
    told, inherited = {text.key: text for text in rule_texts()}, values(base)
    lines = [*_comment(_HEAD.format(base=base.base))]
    for key, value in {**inherited, "name": name}.items():
        table, _, last = key.rpartition(".")
        if table.startswith("categories."):
            continue
        if table and f"[{table}]" not in lines:
            lines += ["", *_comment(told[table].meaning), f"[{table}]"]
        default = "" if key in ("name", "base") else f" Default: {toml(inherited[key])}."
        lines += ["", *_comment(told[key].meaning), *_comment(f"{_capital(told[key].values)}.{default}")]
        lines.append(f"{last} = {toml(value)}")
    lines += ["", *_comment(told["categories.*"].meaning)]
    for text in rule_texts():
        if text.key.startswith("categories.*."):
            lines += _comment(f"- {text.key.rpartition('.')[2]}: {text.meaning} {_capital(text.values)}.", "  ")
    lines.append("[categories]")
    for category in CATEGORIES:
        rule = ", ".join(f"{key} = {toml(value)}" for key, value in base.categories[category].model_dump().items())
        lines += ["", *_comment(_definition(category)), f"# Default: {rule}.", f"{category} = {{ {rule} }}"]
    return "\n".join(lines) + "\n"


def _definition(category: Category) -> str:
    """What is looked for, without the words that refer to the judge's prompt."""
    return f"{_capital(DEFINITIONS[category].removesuffix(', outside of the contexts above'))}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _comment(text: str, indent: str = "") -> list[str]:
    return wrap(
        text,
        WIDTH,
        initial_indent="# ",
        subsequent_indent=f"# {indent}",
        break_long_words=False,
        break_on_hyphens=False,
    )


def differences(one: Policy, other: Policy) -> list[tuple[str, Any, Any]]:
    """The keys whose values differ, each with both; not `name` and `base`, which no decision depends on."""
    first, second = values(one), values(other)
    keys = [key for key in first if key not in ("name", "base")]
    return [(key, first[key], second[key]) for key in keys if first[key] != second[key]]


def doubts(policy: Policy) -> list[str]:
    """What is legal in a policy, differs from its base, and is probably not what its author wants: a sentence each."""
    base = Policy.load(policy.base)
    changed = {key: value for key, _, value in differences(base, policy)}
    found = [doubt for category in CATEGORIES for doubt in _category_doubts(policy, category, changed)]
    return [*_name_doubts(policy, changed), *found, *_text_doubts(policy, changed), *_judge_doubts(policy, changed)]


def _name_doubts(policy: Policy, changed: dict[str, Any]) -> Iterator[str]:
    if policy.name == policy.base and changed:
        yield f"name: it is that of the built-in policy {policy.base}, whose rules it changes; give yours its own."


def _category_doubts(policy: Policy, category: Category, changed: dict[str, Any]) -> Iterator[str]:
    rule, key = policy.categories[category], f"categories.{category}"
    if rule.action == "ignore":
        if {f"{key}.review", f"{key}.block"} & changed.keys():
            yield f"{key}: its action is ignore, so its thresholds change nothing; leave them out."
    elif changed.get(f"{key}.block") == 1:
        yield f'{key}.block: hardly any score is 1, so it never blocks; lower it, or write action = "ignore".'
    if changed.get(f"{key}.review", 1) < 0.1 and rule.action != "ignore":
        yield f"{key}.review: ordinary pictures reach {rule.review:g}, so a person has to look at most; raise it."
    if category == "self_harm" and f"{key}.action" in changed:
        yield f'{key}.action: a child who may want to hurt itself is offered no help; "support" offers it.'


def _text_doubts(policy: Policy, changed: dict[str, Any]) -> Iterator[str]:
    if policy.base == "child" and "text.minor" in changed:
        yield 'text.minor: for a child under 10, writing that nobody could read counts as safe; "review" is safer.'
    if {"text.large", "text.area"} & changed.keys() and policy.text.large < policy.text.area:
        yield "text.large: it is below text.area, so it changes nothing but receipts; raise it to text.area or above."


def _judge_doubts(policy: Policy, changed: dict[str, Any]) -> Iterator[str]:
    if changed.get("judge.authority") == "judge":
        yield 'judge.authority: "judge" is for research, since one model then decides alone; write "asymmetric".'
    if "judge.text_grey" in changed:
        yield "judge.text_grey: whoever writes harmful text can also write what misleads the judge; leave it empty."
    if "judge.image_grey" in changed:
        blocks = {policy.categories[c].block: c for c in CATEGORIES if c not in policy.ignored}
        if policy.judge.image_grey[1] > (least := min(blocks)):
            yield (
                f"judge.image_grey: it reaches above the block of {blocks[least]} ({least:g}), so the judge may clear "
                "what is unsafe; end it there."
            )

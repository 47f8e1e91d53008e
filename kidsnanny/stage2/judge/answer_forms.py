"""How a verdict is asked for, and how P(unsafe) is read from the answer.

The answer is a letter per category, Y or N. The server's constrained decoding holds the model to that form, and for
each letter the server returns how likely each alternative was. Servers differ in what they understand, so there are
three forms. What is not exactly of the form is an InvalidAnswerError, and never a "no".
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kidsnanny.taxonomy import Category

MASS = 0.5
"""Y and N together must have at least this share of what is not the end where a letter stands, or the answer is no
answer. A small model miscounts its letters and would rather end early, which says nothing against the letter."""
LEAST = 0.01
"""Their least probability together, however likely the end."""
END = re.compile(r"(<\|[^|]*\|>|</?s>|<[a-z_]+>)?")
"""How servers write the end of the answer among a token's alternatives: as nothing, or as a special token. A space by
itself says as little of the letter."""
ALTERNATIVES = 10
"""`top_logprobs`: vLLM allows up to 20."""


class Form(NamedTuple):
    """A form of the answer: bare letters or a JSON object, with or without probabilities."""

    name: str
    schema: bool
    logprobs: bool


FORMS = (
    Form("letters with probabilities", schema=False, logprobs=True),
    Form("JSON with probabilities", schema=True, logprobs=True),
    Form("JSON without probabilities", schema=True, logprobs=False),
)
"""From the one that costs least to the one that more servers understand."""


class InvalidAnswerError(Exception):
    """The answer does not count as one; the message is the reason."""


class UnsupportedFormError(InvalidAnswerError):
    """The answer is not of the form that was asked for: perhaps the server does not support that form."""


def request_options(form: Form, categories: Sequence[Category]) -> dict[str, Any]:
    """The fields of a chat completion request that hold the answer to the form."""
    count = len(categories)
    options: dict[str, Any] = {
        "structured_outputs": {"regex": f" ?[YN]( [YN]){{{count - 1}}}"},  # vLLM's name for it
        "grammar": f'root ::= " "? [YN] (" " [YN]){{{count - 1}}}',  # llama.cpp's; each leaves the other's alone
        "max_tokens": 2 * count + 2,
    }
    if form.schema:
        properties = {category: {"enum": ["Y", "N"]} for category in categories}
        required = {"required": list(properties), "additionalProperties": False}
        schema = {"type": "object", "properties": properties, **required}
        options = {"response_format": response_format("verdict", schema), "max_tokens": 12 * count + 20}
    if form.logprobs:
        options |= {"logprobs": True, "top_logprobs": ALTERNATIVES}
    return options


def response_format(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema as the `response_format` of a request."""
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}


def unsafe_scores(choice: Mapping[str, Any], form: Form, categories: Sequence[Category]) -> dict[Category, float]:
    """P(unsafe) per category, 0..1, from the one choice of a chat completion; 0.0 or 1.0 without probabilities.

    Raises:
        InvalidAnswerError: Y and N are improbable where one of them stands.
        UnsupportedFormError: the answer is not of the form.
    """
    content = choice["message"].get("content") or ""
    positions = _letter_positions(content, form, categories)
    if not form.logprobs:
        return {category: float(content[at] == "Y") for category, at in positions.items()}
    tokens = (choice.get("logprobs") or {}).get("content") or []
    if "".join(token["token"] for token in tokens)[: len(content)] != content:
        raise UnsupportedFormError("it gives no probabilities for its answer")
    return {category: _unsafe_at(tokens, at) for category, at in positions.items()}


def _letter_positions(content: str, form: Form, categories: Sequence[Category]) -> dict[Category, int]:
    """Category -> index of its letter in the answer."""
    if not form.schema:
        if not re.fullmatch(rf"\s*[YN](?:\s+[YN]){{{len(categories) - 1}}}\s*", content):
            raise UnsupportedFormError("its answer is not one letter per category")
        return dict(zip(categories, (m.start() for m in re.finditer("[YN]", content)), strict=True))
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UnsupportedFormError("its answer is not JSON") from error
    if not isinstance(answer, dict) or set(answer) != set(categories) or set(answer.values()) - {"Y", "N"}:
        raise UnsupportedFormError("its answer is not of the schema")
    found = {m[1]: m.start(2) for m in re.finditer(r'"(\w+)"\s*:\s*"([YN])"', content)}
    return {category: found[category] for category in categories}


def _unsafe_at(tokens: Sequence[Mapping[str, Any]], at: int) -> float:
    """p(Y) / (p(Y) + p(N)) at an index of the answer, whatever the tokens: of the alternatives to the token that stands
    there, those count that begin alike, with or without a space before them."""
    start = 0
    for token in tokens:
        text = token["token"]
        if at < start + len(text):
            break
        start += len(text)
    written = text.lstrip()
    before = at - start - (len(text) - len(written))
    mass = {"Y": 0.0, "N": 0.0}
    alternatives = [*token.get("top_logprobs", []), token]
    ends = sum(math.exp(option["logprob"]) for option in alternatives if END.fullmatch(option["token"].strip()))
    for option, logprob in {option["token"]: option["logprob"] for option in alternatives}.items():
        letters = option.lstrip()
        if letters[:before] == written[:before] and letters[before : before + 1] in mass:
            mass[letters[before]] += math.exp(logprob)
    total = sum(mass.values())
    if not max(LEAST, MASS * (1 - ends)) <= total <= 1.5:
        raise InvalidAnswerError(f"Y and N have a probability of {total:.2f} together where one of them stands")
    return mass["Y"] / total

"""What stands in a card of a user's own: an example of each field and what it means. From this come the card that a
person fills in, and what is said of a field that is missing or wrong."""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import tomli_w
from pydantic import ValidationError

from kidsnanny.faults import UNKNOWN, faults
from kidsnanny.taxonomy import CATEGORIES

Role = Literal["classifier", "detector", "text", "student", "probe", "encoder"]
"""Those of somebody's own models: a profile can use all of them but an encoder, which a probe uses."""
Format = Literal["onnx", "safetensors"]
WHOLE = "the file"
"""Where a fault of the card as a whole is."""
BLANK = "?"
"""Stands in a card where a person has to write something; a card in which it still stands is refused."""


class Explained(NamedTuple):
    """A field of a card."""

    example: Any
    about: str


FIELDS = {
    "role": Explained("classifier", "classifier, detector, text, student, probe or encoder"),
    "what": Explained("NSFW or not", "what it looks for, in a few words"),
    "licence": Explained("Apache-2.0", "of the weights"),
    "path": Explained("model.onnx", "the weights; a relative path counts from the folder of this file"),
    "architecture": Explained("timm:vit_tiny_patch16_224", "timm:NAME, transformers:vit or ultralytics:NAME"),
    "input": Explained(224, "side of the square that the network sees, in pixels"),
    "mean": Explained([0.5, 0.5, 0.5], "subtracted from red, green and blue in 0..1, as when it was trained"),
    "std": Explained(
        [0.5, 0.5, 0.5], "divides what is left; if the network wants 0..255, mean is 0 and std 0.00392157"
    ),
    "interpolation": Explained(
        "bilinear", "how pictures are resized: bilinear, bicubic, or for ONNX lanczos or nearest"
    ),
    "crop": Explained(0.875, "the shorter side becomes input / crop, and the centre is cut out"),
    "layout": Explained("rgb", "rgb; where the colours are the last axis: rgb_last or bgr_last"),
    "probabilities": Explained(False, "true if the network ends in its softmax"),
    "output": Explained(
        "features", "the tensor to take, which may lie inside the network; by default its first output"
    ),
    "kind": Explained("q16", "q16: two vectors, fine and not; linear or prompts: a probability for each label"),
    "encoder": Explained("clip-vit-l-14", "the name of the encoder's card, whose rows it reads"),
}
LABELS = "every output in its order as label = { category = weight in 0..1 }; {} says nothing about any category"
_CLASSIFIER = ("input", "mean", "std", "interpolation", "layout", "probabilities")
_OF_ROLE: dict[Role, tuple[str, ...]] = {
    "classifier": _CLASSIFIER,
    "detector": ("input",),
    "text": (),
    "student": (),
    "probe": ("kind", "encoder"),
    "encoder": ("output", "input", "mean", "std", "interpolation", "layout"),
}
_FORMATS: dict[Role, Format] = {"text": "onnx", "student": "safetensors", "probe": "safetensors"}
_WHAT: dict[Role, str] = {
    "detector": "18 body parts",
    "text": "insults",
    "student": "scene graphs",
    "probe": "what is inappropriate",
    "encoder": "a network of 512 numbers a picture",
}
_EXAMPLE_LABELS = ("nsfw = { sexual = 1.0, nudity = 1.0 }", "sfw = {}")
_Q16_LABELS = ("fine = {}", "inappropriate = { violence = 1.0 }")
_PATHS: dict[Role, str] = {"text": "my-text-model/model", "student": "my-student/model"}
_ONNX_ONLY = ("layout", "output")


def blank_card(
    role: Role, form: Format, known: Mapping[str, Any] | None = None, labels: Sequence[str] = (), name: str = "my-model"
) -> str:
    """A card to fill in, as TOML.

    Args:
        role: the model's.
        form: of its file of weights, for a role that has several.
        known: field -> value, of a file that was read: what nobody knows of it is then BLANK. None: every field has an
            example, so that the card is whole.
        labels: the network's, as far as they are known.
        name: the card's.
    """
    form = _FORMATS.get(role, form)
    fields = ["role", "what", "licence", "path"]
    if form == "safetensors" and role in ("classifier", "detector", "encoder"):
        fields.append("architecture")
    fields += [field for field in _OF_ROLE[role] if form == "onnx" or field not in _ONNX_ONLY]
    examples = {field: FIELDS[field].example for field in fields} if known is None else dict.fromkeys(fields, BLANK)
    values = {**examples, "path": f"{_PATHS.get(role, 'model')}.{form}", **(known or {}), "role": role}
    if known is None:
        values["what"] = _WHAT.get(role, FIELDS["what"].example)
        values["architecture"] = "ultralytics:yolov8n" if role == "detector" else FIELDS["architecture"].example
    fields += [field for field in ("crop",) if field in values]
    lines = [f"[{name}]  # the name by which you use it: lower case letters, digits, - and _"] + [
        f"{field} = {toml(values[field])}  # {FIELDS[field].about}" for field in fields
    ]
    if role in ("text", "student", "encoder"):
        return "\n".join(lines) + "\n"
    lines += ["", f"[{name}.labels]  # {LABELS}", f"# categories: {', '.join(CATEGORIES)}"]
    if known is None:
        return "\n".join([*lines, *(_Q16_LABELS if role == "probe" else _EXAMPLE_LABELS)]) + "\n"
    return "\n".join([*lines, *(f'{toml(label)} = "{BLANK}"' for label in labels)]) + "\n"


def toml(value: Any) -> str:
    """A text, number, truth value or list of them as TOML, in one line."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    return tomli_w.dumps({"x": value}).removeprefix("x = ").rstrip("\n")


def filled_in(fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """A card's fields with an example for each that is BLANK, and a fault for each of those."""
    given, found = dict(fields), list[tuple[str, str]]()
    for field in FIELDS:
        if fields.get(field) == BLANK:
            given[field] = FIELDS[field].example
            found.append((field, f'it still says "{BLANK}"'))
    if isinstance(labels := fields.get("labels"), dict) and (blank := [one for one in labels if labels[one] == BLANK]):
        given["labels"] = labels | {label: {} for label in blank}
        found.append(("labels", f'{len(blank)} of {len(labels)} still say "{BLANK}"'))
    return given, found


def every_fault(
    validate: Callable[[dict[str, Any]], object], given: Mapping[str, Any], well: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Where each fault is and what is wrong there, as `faults` gives them, and WHOLE for the card.

    What is wrong with the fields as a whole shows only when each of them is well. So those that are not are replaced,
    and all are validated again.

    Args:
        validate: raises a ValidationError.
        given: the fields.
        well: field -> what may stand there, where FIELDS has no example of it.
    """
    fields, found = dict(given), dict[str, str]()
    for _ in range(3):
        try:
            validate(fields)
            break
        except ValidationError as error:
            new = {where or WHOLE: why for where, why in faults(error) if (where or WHOLE) not in found}
        found |= new
        examples = {name: explained.example for name, explained in FIELDS.items()} | dict(well)
        for where, why in new.items():
            field = where.split(".")[0]
            fields.pop(field, None)
            if field in examples and (field != where or why != UNKNOWN):
                fields[field] = examples[field]
    return list(found.items())


def told(name: str, where: str, why: str, known: Iterable[str]) -> str:
    """A fault of a card as a sentence with what to do about it.

    Args:
        name: the card's.
        where: keys with dots between, without the name; WHOLE for the card as a whole.
        why: what is wrong there.
        known: the fields that the card may have.
    """
    if where == "name":
        return f"{name}: a card's name is lower case letters, digits, '.', '-' and '_'; choose another."
    field, *inner = where.split(".")
    fix = "correct the file"
    if field == "labels" and (inner or why != UNKNOWN):
        fix = f"list {LABELS}"
        if why == UNKNOWN and inner:
            fix = f"choose a category of {', '.join(CATEGORIES)}"
    elif why == UNKNOWN and not inner:
        near = difflib.get_close_matches(field, list(known), 1)
        fix = f"it may mean {near[0]}" if near else "leave it out"
    elif field in FIELDS:
        example, about = FIELDS[field]
        fix = f"write {field} = {toml(example)} or the like ({about})"
    return f"{name if where == WHOLE else f'{name}.{where}'}: {why}; {fix}."

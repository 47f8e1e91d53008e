"""What a file of weights says of itself, to suggest a card for it, and to check one against it."""

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kidsnanny.errors import CardError, WeightsError
from kidsnanny.models.card_fields import Role, blank_card, toml
from kidsnanny.models.cards import ClassifierCard, NetworkCard, StudentCard, TextCard
from kidsnanny.models.onnx import OnnxSession, onnx_session
from kidsnanny.models.store import safetensors_header

SIDE = 224
"""Pixels, to try a network that takes any size."""
HEADS = ("head.weight", "head.fc.weight", "classifier.weight", "classifier.1.weight", "fc.weight")
"""What timm and transformers call the layer that has a row for each label."""
SAMPLERS = {1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers, which transformers writes."""
_PREFIXES = ("", "timm_model.")
_MISSHAPEN = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, SyntaxError)


class FileFacts(NamedTuple):
    """What a file says of the model in it."""

    role: Role
    outputs: int | None = None
    """How many labels it has."""
    labels: tuple[str, ...] = ()
    """Their names, if they are known."""
    fields: Mapping[str, Any] = {}
    """Field of a card -> value, as far as it is known."""
    side: int | None = None
    """Pixels, if it takes pictures of one size only."""
    colours_last: bool = False


def read_facts(path: Path, side: int = SIDE) -> FileFacts:
    """What a .safetensors or .onnx says.

    Args:
        path: of the file.
        side: pixels to try it with, if it takes any size.

    Raises:
        WeightsError: it is no such file, or its network takes no pictures or gives no labels.
    """
    if path.suffix == ".onnx":
        return _of_onnx(path, side)
    try:
        header = safetensors_header(path)
        shapes = [header[prefix + head]["shape"] for prefix in _PREFIXES for head in HEADS if prefix + head in header]
        names = tuple(map(str, json.loads(header.get("__metadata__", {}).get("names", "[]"))))
    except _MISSHAPEN as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise WeightsError(f"{path}: it is not safetensors ({why}); get the file again.") from error
    if names:  # of `kidsnanny weights convert`, from ultralytics' checkpoints
        return FileFacts("detector", len(names), names)
    return FileFacts("classifier", shapes[0][0] if shapes else None)


def suggested_card(path: Path) -> str:
    """A card for the file, in which `?` stands for what only a person can know. What is published beside it, as timm
    and transformers do, is taken as well.

    Raises:
        WeightsError: see `read_facts`.
    """
    beside = {name.name for name in path.absolute().parent.iterdir()}
    if path.suffix == ".onnx" and beside >= set(TextCard.beside):
        facts = FileFacts("text")
    elif path.suffix == ".safetensors" and beside >= set(StudentCard.beside):
        facts = FileFacts("student")
    else:
        facts = read_facts(path)
    fields, labels = _published(path.parent) if facts.role == "classifier" else ({}, ())
    known = next((names for names in (facts.labels, labels) if len(names) == facts.outputs), ())
    numbered = [f"label {number}" for number in range(1, (facts.outputs or 2) + 1)]
    name = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "-" for c in path.stem.lower()).strip("_-")
    fields |= {**facts.fields, "path": str(path.absolute())}
    return blank_card(
        facts.role, "onnx" if path.suffix == ".onnx" else "safetensors", fields, known or numbered, name or "my-model"
    )


def check_card(card: NetworkCard, path: Path) -> None:
    """Compare a card with the file of its weights.

    Raises:
        CardError: they differ; a sentence for each field says how.
        WeightsError: see `read_facts`.
    """
    if found := list(_differences(card, path)):
        raise CardError(*(f"{card.name}.{fault}." for fault in found))


def _differences(card: NetworkCard, path: Path) -> Iterator[str]:
    facts = read_facts(path, card.input)
    if path.suffix == ".onnx" and facts.role != card.role:
        yield f'role: it is {card.role}, and {path.name} is a {facts.role}; write role = "{facts.role}"'
        return
    for field, value in (("input", facts.side), ("probabilities", facts.fields.get("probabilities"))):
        if value not in (None, own := getattr(card, field, None)):
            yield f"{field}: it is {toml(own)}, and {path.name} has {toml(value)}; write {field} = {toml(value)}"
    if isinstance(card, ClassifierCard) and path.suffix == ".onnx" and facts.colours_last == (card.layout == "rgb"):
        where, fix = ("last", '"rgb_last", or "bgr_last"') if facts.colours_last else ("first", '"rgb"')
        has = f"{path.name} has the colours as its {where} axis"
        yield f"layout: it is {toml(card.layout)}, and {has}; write layout = {fix}"
    if facts.outputs not in (None, len(card.labels)):
        outputs = f"{path.name} has {facts.outputs} outputs"
        yield f"labels: there are {len(card.labels)}, and {outputs}; list one for each output, in their order"


def _of_onnx(path: Path, side: int) -> FileFacts:
    session = onnx_session(path)
    last, fixed = _picture_input(path, session)
    about = session.get_modelmeta().custom_metadata_map
    given: dict[str, Any] = {"input": fixed} if fixed else {}
    rows = np.concatenate([_run(path, session, level, fixed or side, last) for level in (0.0, 0.25, 0.5, 1.0)])
    if rows.ndim == 3 and rows.shape[1] > 4 and not last:
        names = _parsed(about.get("names", ""))
        sides = _parsed(about.get("imgsz", ""))
        given = given or ({"input": sides[0]} if isinstance(sides, list) and sides else {})
        labels = tuple(map(str, names.values())) if isinstance(names, dict) else ()
        return FileFacts("detector", rows.shape[1] - 4, labels, given, fixed)
    if rows.ndim != 2 or rows.shape[1] < 2:
        raise WeightsError(
            f"{path}: its output is {(1, *rows.shape[1:])} where a classifier has (1, labels) with two labels or more "
            "and a YOLO v8 or v11 (1, 4 + labels, anchors); export such a network, without what follows it."
        )
    sums = bool((rows >= 0).all() and (abs(rows.sum(axis=1) - 1) < 1e-3).all())
    if not sums and ((rows >= 0) & (rows <= 1)).all():
        raise WeightsError(
            f"{path}: its outputs are probabilities that do not add up to 1, of labels that may go together, where a "
            "classifier's exclude each other; export a network that ends in a softmax, or in logits for one."
        )
    given |= {"probabilities": sums} | ({} if last else {"layout": "rgb"})
    return FileFacts("classifier", rows.shape[1], (), given, fixed, last)


def _picture_input(path: Path, session: OnnxSession) -> tuple[bool, int | None]:
    """Whether the colours are the last axis, and how many pixels a side the network wants; None: any."""
    given = session.get_inputs()
    found = ", ".join(f"{one.name} {one.type} {one.shape}" for one in given)
    wrong = WeightsError(
        f"{path}: its input is {found} where one of pictures, tensor(float) [batch, 3, side, side], is expected; "
        "export it in float32, for a batch of 1 or of any size."
    )
    if len(given) != 1 or given[0].type != "tensor(float)" or len(given[0].shape) != 4:
        raise wrong
    batch, *shape = given[0].shape
    last = shape[2] == 3 and shape[0] != 3
    sides = {side for side in (shape[:2] if last else shape[1:]) if isinstance(side, int)}
    if (
        len(sides) > 1
        or (isinstance(batch, int) and batch != 1)
        or (isinstance(shape[0], int) and not last and shape[0] != 3)
    ):
        raise wrong
    return last, next(iter(sides), None)


def _run(path: Path, session: OnnxSession, level: float, side: int, last: bool) -> npt.NDArray[np.float32]:
    pixels = np.full((1, side, side, 3) if last else (1, 3, side, side), level, np.float32)
    try:
        return np.asarray(session.run(None, {session.get_inputs()[0].name: pixels})[0], np.float32)
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"{path}: it cannot look at a picture of {side} pixels a side ({why}); say its own side as `input`."
        ) from error


def _parsed(text: str) -> Any:
    """A value that ultralytics wrote as Python; None if it is none."""
    try:
        return ast.literal_eval(text[:100_000])
    except (*_MISSHAPEN, MemoryError):
        return None


def _published(folder: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Fields and labels by config.json and preprocessor_config.json."""
    about, prepares = _json(folder / "config.json"), _json(folder / "preprocessor_config.json")
    fields: dict[str, Any] = {}
    labels: tuple[str, ...] = ()
    try:
        if own := about.get("pretrained_cfg"):  # timm's
            fields = {"architecture": f"timm:{about['architecture']}", "input": own["input_size"][-1]}
            fields |= {"mean": own["mean"], "std": own["std"], "interpolation": own["interpolation"]}
            fields |= {"crop": own["crop_pct"]} if own.get("crop_mode", "center") == "center" else {}
            labels = tuple(map(str, about.get("label_names") or own.get("label_names") or ()))
        elif names := about.get("id2label"):  # transformers'
            labels = tuple(str(names[number]) for number in sorted(names, key=int))
            fields = {"architecture": "transformers:vit"} if about.get("model_type") == "vit" else {}
        if mean := prepares.get("image_mean"):
            fields |= {"mean": mean, "std": prepares["image_std"]}
        if sampler := SAMPLERS.get(prepares.get("resample", -1)):
            fields["interpolation"] = sampler
        if (size := prepares.get("size")) and not prepares.get("do_center_crop"):
            fields["input"] = size if isinstance(size, int) else size["height"]
    except _MISSHAPEN:
        pass
    return fields, labels


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except _MISSHAPEN:
        return {}
    return found if isinstance(found, dict) else {}

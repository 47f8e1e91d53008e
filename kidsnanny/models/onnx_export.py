"""`kidsnanny export`: a card's safetensors as ONNX, so that a machine without torch can run them.

Also `save_random`, for trying things out where the real weights cannot be had: it marks the file, and everything that
loads it says so.
"""

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from kidsnanny.errors import ComponentError, WeightsError
from kidsnanny.models.cards import Card, digest, home, is_random, pin
from kidsnanny.models.runtime import Onnx, build, load

TOLERANCE = 1e-3
"""Of the largest value that the torch module gives: how far the exported file's output may be from it."""


def export(card: Card, out: Path | None = None) -> Path:
    """Write the card's network as ONNX (a student's: image encoder and tags), compare it with torch, and pin it.

    Args:
        card: a classifier, detector or student in safetensors.
        out: the file; by default `onnx/NAME.onnx` in kidsnanny's home.

    Raises:
        WeightsError: the weights are missing, unfit or already ONNX, or the file cannot be written.
        ComponentError: torch or onnx is missing, or the exported network does not give what torch gives.
    """
    path = card.locate()
    if path.suffix != ".safetensors":
        raise WeightsError(f"{card.name}: {path} is not safetensors, so there is nothing to export; use it as it is.")
    module = None if card.role == "student" else load(card, path)
    out = out or home() / "onnx" / f"{card.name}.onnx"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent) as folder:
            made = Path(folder) / out.name
            if module is None:
                from kidsnanny.stage1.student.tagger import export_tags

                export_tags(path.parent, made)
            else:
                _write(card, module, made, random=is_random(path))
                _compare(card, module, made)
            os.replace(made, out)
    except OSError as error:
        raise WeightsError(f"{card.name}: {out} cannot be written ({error.strerror}); choose another file.") from error
    pin(card.name, onnx={"path": str(out.resolve()), "sha256": digest(out)})
    return out


def save_random(card: Card, path: Path, seed: int = 0) -> Path:
    """The card's architecture with random weights, marked as such, as safetensors.

    A classifier's last layer is drawn larger than training would start with, or every picture would get one answer.

    Raises:
        ComponentError: the architecture cannot be built.
    """
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    module = build(card)
    if card.role == "classifier":
        torch.nn.init.normal_([weight for weight in module.parameters() if weight.ndim == 2][-1], std=0.2)
    state = {key: value.contiguous().clone() for key, value in module.state_dict().items()}
    save_file(state, path, {"format": "pt", "kidsnanny": "random"})
    return path


def _inputs(card: Card, count: int) -> "np.ndarray[Any, np.dtype[np.float32]]":
    return np.random.default_rng(0).random((count, 3, card.input or 0, card.input or 0), np.float32)


def _write(card: Card, module: Any, path: Path, *, random: bool) -> None:
    axes = {0: "batch"}
    if card.role == "detector":
        axes |= {2: "height", 3: "width"}  # frames come in rectangles
        head = module.inner.model[-1]
        head.export, head.dynamic, head.format = True, True, "onnx"
    write_onnx(
        module, _inputs(card, 2).shape, path, {"card": card.name} | ({"kidsnanny": "random"} if random else {}), axes
    )


def write_onnx(module: Any, shape: tuple[int, ...], path: Path, facts: dict[str, str], axes: dict[int, str]) -> None:
    """Write a torch module of one input, `pixels`, and one output as ONNX.

    Args:
        module: in evaluation mode.
        shape: of an example of its input.
        path: of the file.
        facts: its metadata.
        axes: the input's axes that may have any size.

    Raises:
        ComponentError: onnx is missing.
    """
    import torch

    try:
        import onnx
    except ImportError as error:
        raise ComponentError(f"{path.stem}: onnx is missing ({error}); run `pip install 'kidsnanny[vit]'`.") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, on constants and its own successor
        torch.onnx.export(
            module,
            (torch.rand(shape, generator=torch.Generator().manual_seed(0)),),
            str(path),
            input_names=["pixels"],
            output_names=["output"],
            dynamic_axes={"pixels": axes, "output": {0: "batch"} | ({2: "anchors"} if len(axes) > 1 else {})}
            if axes
            else None,
            dynamo=False,
        )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, facts)
    onnx.save(model, path)


def _compare(card: Card, module: Any, path: Path) -> None:
    import torch

    given = _inputs(card, 3)
    with torch.inference_mode():
        expected = module(torch.from_numpy(given)).numpy()
    found = Onnx(card, path)(given)()
    drift = float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-9))
    if not drift <= TOLERANCE:
        raise ComponentError(f"{card.name}: the exported network is {drift:.1e} off torch's; keep to the safetensors.")

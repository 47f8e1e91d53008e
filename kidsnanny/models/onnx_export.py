"""`kidsnanny export`: a card's safetensors as ONNX, so that a machine without torch can run them.

Also `save_random`: weights for tests and benchmarks without the real ones. The file is marked, and a verdict from it
says so.
"""

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from kidsnanny.errors import ComponentError, WeightsError
from kidsnanny.models.cards import Card, PictureCard
from kidsnanny.models.runtime import Onnx, build, load
from kidsnanny.models.store import home, is_random, pin_exported

TOLERANCE = 1e-3
"""How far the exported file's output may be from torch's, as a share of torch's largest value."""


def export(card: Card, out: Path | None = None) -> Path:
    """Write the card's network as ONNX (of a student: image encoder and tags), compare it with torch, and pin it.

    Args:
        card: of a classifier, detector, encoder or student in safetensors.
        out: the file; by default `onnx/NAME.onnx` in kidsnanny's home folder.

    Raises:
        WeightsError: the weights are missing, do not fit or are not safetensors, or the file cannot be written.
        ComponentError: torch or onnx is missing, or the exported network's output is not torch's.
    """
    path = card.locate()
    if path.suffix != ".safetensors":
        raise WeightsError(f"{card.name}: {path} is not safetensors, so there is nothing to export; use it as it is.")
    module = load(card, path) if isinstance(card, PictureCard) else None
    out = out or home() / "onnx" / f"{card.name}.onnx"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent) as folder:
            made = Path(folder) / out.name
            if isinstance(card, PictureCard):
                _write(card, module, made, random=is_random(path))
                _compare(card, module, made)
            else:
                from kidsnanny.stage1.student.tagger import export_tags

                export_tags(path.parent, made)
            os.replace(made, out)
    except OSError as error:
        raise WeightsError(f"{card.name}: {out} cannot be written ({error.strerror}); choose another file.") from error
    pin_exported(card.name, out.resolve())
    return out


def save_random(card: PictureCard, path: Path, seed: int = 0) -> Path:
    """Write the card's architecture with random weights, marked as such, as safetensors.

    A classifier's last layer gets larger weights than a library's initial ones, which give every picture the same
    answer.

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


def _inputs(card: PictureCard, count: int) -> "np.ndarray[Any, np.dtype[np.float32]]":
    return np.random.default_rng(0).random((count, 3, card.input, card.input), np.float32)


def _write(card: PictureCard, module: Any, path: Path, *, random: bool) -> None:
    axes = {0: "batch"}
    if card.role == "detector":
        axes |= {2: "height", 3: "width"}  # frames are not square
        head = module.inner.model[-1]
        head.export, head.dynamic, head.format = True, True, "onnx"
    write_onnx(
        module, _inputs(card, 2).shape, path, {"card": card.name} | ({"kidsnanny": "random"} if random else {}), axes
    )


def write_onnx(module: Any, shape: tuple[int, ...], path: Path, facts: dict[str, str], axes: dict[int, str]) -> None:
    """Write a torch module of one input, `pixels`, and one output as ONNX.

    Args:
        module: in evaluation mode.
        shape: of one input.
        path: of the file to write.
        facts: its metadata.
        axes: index and name of the input's axes that may have any size.

    Raises:
        ComponentError: onnx is missing.
    """
    import torch

    try:
        import onnx
    except ImportError as error:
        raise ComponentError(f"{path.stem}: onnx is missing ({error}); run `pip install 'kidsnanny[vit]'`.") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of constants and of its own deprecation
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


def _compare(card: PictureCard, module: Any, path: Path) -> None:
    import torch

    given = _inputs(card, 3)
    with torch.inference_mode():
        expected = module(torch.from_numpy(given)).numpy()
    found = Onnx(card, path)(given)()
    drift = float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-9))
    if not drift <= TOLERANCE:
        raise ComponentError(
            f"{card.name}: the exported network's output is {drift:.1e} off torch's; use the safetensors with torch."
        )

"""ONNX networks that stand in for real ones."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

COLOURS_CARD = """
[colours]
role = "encoder"
what = "the mean colour"
licence = "ours"
path = "n.onnx"
output = "means"
input = 32
mean = [0, 0, 0]
std = [1, 1, 1]
interpolation = "bilinear"
"""
"""Of an encoder whose output is the means that `colour_classifier` computes."""


def colour_classifier(
    path: Path,
    channels: tuple[int, ...],
    *,
    random: bool = False,
    batch: int | str = "batch",
    side: int | str = "side",
    last: bool = False,
    ends_in: str = "",
) -> None:
    """Writes a network whose logits are ten times the means of the named colour channels.

    Args:
        channels: of each label.
        random: whether it says of itself that its weights are random.
        batch, side: what it takes; a name for any number.
        last: whether it takes the colours as the last axis.
        ends_in: an ONNX operator after the logits, such as Softmax.
    """
    weights = np.zeros((3, len(channels)), np.float32)
    weights[channels, range(len(channels))] = 10
    shape = [batch, side, side, 3] if last else [batch, 3, side, side]
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["means"], axes=[1, 2] if last else [2, 3], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["sums"]),
        helper.make_node(ends_in or "Identity", ["sums"], ["logits"]),
    ]
    _save(path, nodes, shape, [batch, len(channels)], weights, {"kidsnanny": "random"} if random else {})


def one_box(path: Path, labels: tuple[str, ...], *, batch: int | str = "batch", side: int | str = "side") -> None:
    """Writes a YOLO's network that finds the first label in a box of 8 x 8 pixels around (16, 16), as surely as the
    picture's first pixel is red, and otherwise nothing."""
    weights = np.zeros((3, 4 + len(labels)), np.float32)
    weights[0, :5] = 16, 16, 8, 8, 1
    nodes = [
        helper.make_node("Slice", ["pixels", "zeros", "ones", "axes"], ["corner"]),
        helper.make_node("ReduceMean", ["corner"], ["colour"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["colour", "weights"], ["row"]),
        helper.make_node("Unsqueeze", ["row", "last"], ["boxes"]),
    ]
    constants = {"zeros": [0, 0], "ones": [1, 1], "axes": [2, 3], "last": [2]}
    about = {"names": str(dict(enumerate(labels))), "imgsz": "[64, 64]"}
    _save(path, nodes, [batch, 3, side, side], [batch, 4 + len(labels), 1], weights, about, constants)


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    takes: list[int | str],
    gives: list[int | str],
    weights: np.ndarray,
    about: dict[str, str],
    constants: dict[str, list[int]] | None = None,
) -> None:
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, takes)],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, gives)],
        [
            numpy_helper.from_array(weights, "weights"),
            *(numpy_helper.from_array(np.array(value, np.int64), name) for name, value in (constants or {}).items()),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, about)
    onnx.save(model, path)

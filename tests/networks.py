"""ONNX networks that stand in for real ones."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def colour_classifier(path: Path, channels: tuple[int, ...], *, random: bool = False) -> None:
    """Writes a network whose logits are ten times the means of the named colour channels."""
    weights = np.zeros((3, len(channels)), np.float32)
    weights[channels, range(len(channels))] = 10
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(channels)])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"kidsnanny": "random"} if random else {})
    onnx.save(model, path)

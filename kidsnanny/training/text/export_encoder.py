"""A trained text encoder as int8 ONNX, with its tokenizer, as `TextEncoder` reads them."""

import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from kidsnanny.stage2.text_encoder import WINDOW
from kidsnanny.training.text.base_encoder import BaseEncoder, tokenizer
from kidsnanny.training.text.train_encoder import EncoderNetwork, padded

WEIGHTS = "model.onnx"
BATCH = 32
MIGRATION = 0.85
"""SmoothQuant's alpha: how much of the activations' range moves into the weights. The paper has .5 for large models;
.85 left the least noise here."""


def export(network: EncoderNetwork, base: BaseEncoder, folder: Path, texts: Sequence[str]) -> None:
    """Write `model.onnx` and `tokenizer.json`: attention, normalisation and activation fused, and each weight matrix as
    bytes with a scale per output, so that a processor computes in bytes as well. What is computed together shares one
    scale, so outliers of a few channels are moved into the weights first.

    Args:
        network: in evaluation mode.
        base: whose tokenizer the network was trained with.
        folder: exists.
        texts: normalised ones, some hundreds, whose activations show the channels' ranges.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer
    from onnxruntime.transformers.fusion_options import FusionOptions

    network.encoder.set_attn_implementation("eager")  # what the fusion recognises
    pieces = torch.randint(5, base.config["vocab_size"], (2, 16))
    mask = torch.ones_like(pieces)
    mask[1, 10:] = 0
    axes = {0: "texts", 1: "length"}
    with tempfile.TemporaryDirectory(dir=folder) as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of constants and of its own deprecation
        plain, fused, made = (Path(scratch) / f"{name}.onnx" for name in ("plain", "fused", "int8"))
        torch.onnx.export(
            network,
            (pieces, mask),
            str(plain),
            input_names=["pieces", "mask"],
            output_names=["logits"],
            dynamic_axes={"pieces": axes, "mask": axes, "logits": {0: "texts"}},
            dynamo=False,
        )
        heads, width = base.config["num_attention_heads"], base.config["hidden_size"]
        optimizer.optimize_model(
            str(plain),
            "bert",
            num_heads=heads,
            hidden_size=width,
            optimization_options=FusionOptions("bert"),
            opt_level=0,
        ).save_model_to_file(str(fused))
        words = tokenizer(base.pieces)
        words.enable_truncation(WINDOW)
        ids = [encoding.ids for encoding in words.encode_batch(list(texts))]
        _smooth(fused, [padded(ids[start : start + BATCH]) for start in range(0, len(ids), BATCH)])
        quantize_dynamic(
            fused,
            made,
            weight_type=QuantType.QInt8,
            per_channel=True,
            extra_options={"DefaultTensorType": TensorProto.FLOAT},
        )
        os.replace(made, folder / WEIGHTS)
    tokenizer(base.pieces).save(str(folder / "tokenizer.json"), pretty=False)


def _smooth(path: Path, batches: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Divide each input channel of a matrix by a factor that its row is multiplied with: SmoothQuant (arXiv 2211.10438,
    equation 4), in place."""
    import onnxruntime

    model = onnx.load(path)
    weights = {one.name: one for one in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in weights]
    inputs = list(dict.fromkeys(node.input[0] for node in products))
    probe = onnx.load(path)
    probe.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inputs)
    session = onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    ranges = dict.fromkeys(inputs, np.float32(1e-4))
    for pieces, mask in batches:
        found = session.run(inputs, {"pieces": pieces.numpy(), "mask": mask.numpy()})
        for name, values in zip(inputs, found, strict=True):
            ranges[name] = np.maximum(ranges[name], np.abs(values).reshape(-1, values.shape[-1]).max(axis=0))
    nodes = []
    for node in model.graph.node:
        if node in products:
            matrix = numpy_helper.to_array(weights[node.input[1]])
            rows = np.maximum(np.abs(matrix).max(axis=1), 1e-4)
            factor = ranges[node.input[0]] ** MIGRATION / rows ** (1 - MIGRATION)
            factor = np.maximum(factor / np.median(factor), 1e-2).astype(np.float32)
            weights[node.input[1]].CopyFrom(numpy_helper.from_array(matrix * factor[:, None], node.input[1]))
            inverse, divided = f"{node.output[0]}_inverse", f"{node.output[0]}_divided"
            model.graph.initializer.append(numpy_helper.from_array(1 / factor, inverse))
            nodes.append(helper.make_node("Mul", [node.input[0], inverse], [divided]))
            node.input[0] = divided
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, path)

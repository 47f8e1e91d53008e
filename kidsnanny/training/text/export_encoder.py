"""A trained text encoder as int8 ONNX, with its tokenizer, as `TextEncoder` reads them."""

import os
import tempfile
import warnings
from pathlib import Path

import torch
from onnx import TensorProto

from kidsnanny.training.text.base_encoder import BaseEncoder, tokenizer
from kidsnanny.training.text.train_encoder import EncoderNetwork

WEIGHTS = "model.onnx"


def export(network: EncoderNetwork, base: BaseEncoder, folder: Path) -> None:
    """Write `model.onnx` and `tokenizer.json`: attention, normalisation and activation fused, and each weight matrix as
    bytes with a scale per output, so that a processor computes in bytes as well.

    Args:
        network: in evaluation mode.
        base: whose tokenizer the network was trained with.
        folder: exists.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer
    from onnxruntime.transformers.fusion_options import FusionOptions

    network.encoder.set_attn_implementation("eager")  # what the fusion recognises
    pieces = torch.randint(5, base.config["vocab_size"], (2, 16))
    mask = torch.ones_like(pieces)
    mask[1, 10:] = 0
    texts = {0: "texts", 1: "length"}
    with tempfile.TemporaryDirectory(dir=folder) as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of constants and of its own deprecation
        plain, fused, made = (Path(scratch) / f"{name}.onnx" for name in ("plain", "fused", "int8"))
        torch.onnx.export(
            network,
            (pieces, mask),
            str(plain),
            input_names=["pieces", "mask"],
            output_names=["logits"],
            dynamic_axes={"pieces": texts, "mask": texts, "logits": {0: "texts"}},
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
        quantize_dynamic(
            fused,
            made,
            weight_type=QuantType.QInt8,
            per_channel=True,
            extra_options={"DefaultTensorType": TensorProto.FLOAT},
        )
        os.replace(made, folder / WEIGHTS)
    tokenizer(base.pieces).save(str(folder / "tokenizer.json"), pretty=False)

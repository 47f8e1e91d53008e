"""Networks of classifiers and detectors: ONNX Runtime or torch, behind one interface.

A card's `architecture` names who builds the module: `timm:NAME`, `transformers:vit` (with `config` as keyword arguments
of ViTConfig) or `ultralytics:NAME`. Weights are loaded from safetensors or ONNX only, never from a pickle.
"""

import json
import os
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from kidsnanny.errors import ComponentError, WeightsError
from kidsnanny.models.cards import Card, ImageEncoderCard, NetworkCard, PictureCard
from kidsnanny.models.onnx import onnx_session
from kidsnanny.models.store import digest, is_random
from kidsnanny.records import ModelId

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "float16", "bfloat16"]
Output = Callable[[], npt.NDArray[np.float32]]


class Network(Protocol):
    """A network whose call starts the computation and returns a function that waits for the output."""

    model_id: ModelId
    """The card's name and the start of the file's checksum; its caveat is `random` if the weights are."""
    device: str
    """Where its input should be: `cpu` (an array) or `cuda` (an array or a tensor)."""

    def __call__(self, inputs: Any) -> Output:
        """(N, 3, height, width) float32 -> a function that waits for the output, float32."""
        ...


class Onnx:
    """An ONNX file on the CPU: its first input, and its first output or, of an encoder, the one that the card names.
    Random weights have `kidsnanny = random` as metadata.

    Many files are made for one picture at a time, and detectors for a whole square: then pictures go through one by
    one, in the top-left corner of a black square.

    Raises:
        WeightsError: ONNX Runtime does not accept the file, or it sees pictures of another size than the card says.
    """

    device = "cpu"

    def __init__(self, card: PictureCard, path: Path) -> None:
        inner = card.output if isinstance(card, ImageEncoderCard) else None
        self._session = onnx_session(path, inner)
        self._outputs = [inner] if inner else None
        given = self._session.get_inputs()[0]
        self._input = given.name
        self._one_by_one = given.shape[:1] == [1]
        sizes = [side for side in given.shape[1:] if isinstance(side, int) and side != 3]
        if wrong := [side for side in sizes if side != card.input]:
            raise WeightsError(
                f"{card.name}: its file sees pictures of {wrong[0]} pixels, and its card says {card.input}; write "
                f"input = {wrong[0]} in the card."
            )
        self._square = card.input if given.shape[1:] == [3, card.input, card.input] else 0
        random = self._session.get_modelmeta().custom_metadata_map.get("kidsnanny") == "random"
        self.model_id = _model_id(card, path, random)

    def __call__(self, inputs: Any) -> Output:
        if self._square and inputs.shape[2:] != (self._square, self._square):
            below, right = (self._square - side for side in inputs.shape[2:])
            inputs = np.pad(inputs, ((0, 0), (0, 0), (0, below), (0, right)))
        batches = np.split(inputs, len(inputs)) if self._one_by_one and len(inputs) > 1 else [inputs]
        outputs = [self._session.run(self._outputs, {self._input: batch})[0] for batch in batches]
        output: npt.NDArray[np.float32] = outputs[0] if len(outputs) == 1 else np.concatenate(outputs)
        return lambda: output


class Torch:
    """Safetensors in a torch module.

    Args:
        card: names the architecture.
        path: of the weights.
        device: "auto" is CUDA where torch finds it. A call on CUDA returns at once, on the CPU after computing.
        precision: `auto` is float32 on the CPU and bfloat16 on CUDA.
        compiled: `torch.compile` with CUDA graphs; the first call of each input shape takes a minute.

    Raises:
        ComponentError: a package or the device is missing.
        WeightsError: the weights do not fit the architecture.
    """

    def __init__(
        self,
        card: PictureCard,
        path: Path,
        device: Device = "cpu",
        precision: Precision = "auto",
        *,
        compiled: bool = False,
    ) -> None:
        torch = _torch(card)
        self.device, self._dtype = device_and_dtype(card.name, device, precision)
        self.model_id = _model_id(card, path, is_random(path))
        module = load(card, path).to(self.device, self._dtype)
        if self.device == "cuda":
            module = module.to(memory_format=torch.channels_last)
        self._module: Any = torch.compile(module, mode="reduce-overhead", dynamic=False) if compiled else module

    def __call__(self, inputs: Any) -> Output:
        import torch

        with torch.inference_mode():
            given = torch.as_tensor(inputs).to(self.device, self._dtype, non_blocking=True)
            output = self._module(given).float().to("cpu", non_blocking=True)
        if self.device == "cpu":
            return lambda: np.asarray(output.numpy(), np.float32)
        done = torch.cuda.Event()
        done.record()

        def wait() -> npt.NDArray[np.float32]:
            done.synchronize()
            return np.asarray(output.numpy(), np.float32)

        return wait


def network(
    card: PictureCard, device: Device = "auto", precision: Precision = "auto", *, compiled: bool = False
) -> Network:
    """The card's network: an ONNX file, on the CPU; of safetensors, torch on CUDA, and on the CPU the ONNX file that
    `kidsnanny export` made, or torch if there is none.

    Args:
        card: of a classifier, detector or encoder.
        device: "auto" (CUDA where torch finds it), "cpu" or "cuda".
        precision: "auto" is float32 on the CPU and bfloat16 on CUDA.
        compiled: see `Torch`.

    Raises:
        WeightsError: the weights are missing, are not those of the card, or do not fit its architecture.
        ComponentError: a package or the device is missing.
    """
    path = card.locate()
    if path.suffix == ".onnx":
        if device == "cuda":
            raise ComponentError(f'{card.name}: its ONNX file runs on the CPU; give device="auto" or "cpu".')
        return Onnx(card, path)
    device = _device(card.name, device)
    if device == "cpu" and precision in ("auto", "float32") and (exported := card.exported()):
        return Onnx(card, exported)
    return Torch(card, path, device, precision, compiled=compiled)


def device_and_dtype(name: str, device: Device, precision: Precision) -> tuple[str, "torch.dtype"]:
    """Where a module runs, and in which type: by default CUDA and bfloat16 where there is one, else CPU and float32.

    Args:
        name: of the model, for the message.
        device, precision: see `network`.

    Raises:
        ComponentError: there is no such device.
    """
    import torch

    where = _device(name, device)
    if where == "cuda" and not torch.cuda.is_available():
        raise ComponentError(f"{name}: torch finds no CUDA device; use device='cpu', or install its driver.")
    if precision == "auto":
        precision = "bfloat16" if where == "cuda" else "float32"
    return where, getattr(torch, precision)


def build(card: PictureCard, settings: dict[str, Any] | None = None) -> "torch.nn.Module":
    """The card's architecture with its library's initial weights, in evaluation mode; an encoder's has no head.

    Args:
        card: names the architecture and its configuration. An encoder of transformers is not built here.
        settings: the content of an ultralytics model's YAML file, for one that is not in the package.

    Raises:
        ComponentError: there is no such architecture, or the package that has it is missing.
    """
    _torch(card)
    library, _, name = (card.architecture or "").partition(":")
    classes = len(card.labels) if isinstance(card, NetworkCard) else 0
    try:
        if library == "timm":
            import timm

            module: torch.nn.Module = timm.create_model(name, pretrained=False, num_classes=classes, **card.config)
        elif library == "transformers" and isinstance(card, NetworkCard):
            from transformers import ViTConfig, ViTForImageClassification

            config = {"image_size": card.input, "num_labels": classes, **card.config}
            module = ViTForImageClassification(ViTConfig(**config))
        elif library == "ultralytics":
            module = quiet_ultralytics().nn.tasks.DetectionModel(settings or f"{name}.yaml", nc=classes, verbose=False)
        else:
            raise ComponentError(
                f"{card.name}: its architecture is {card.architecture}; expected timm:NAME, transformers:vit or "
                "ultralytics:NAME."
            )
    except ImportError as error:
        extra = "yolo" if library == "ultralytics" else "vit"
        fix = f"run `pip install 'kidsnanny[{extra}]'`"
        raise ComponentError(f"{card.name}: {library} cannot be imported ({error}); {fix}.") from error
    except (RuntimeError, TypeError, ValueError, FileNotFoundError) as error:
        raise ComponentError(f"{card.name}: {card.architecture} cannot be built ({error}); fix the card.") from error
    return module.eval()


def load(card: PictureCard, path: Path) -> "torch.nn.Module":
    """The card's architecture with the weights of a safetensors file, returning one tensor.

    Raises:
        WeightsError: the file is not safetensors, or its keys are not exactly those of the architecture.
        ComponentError: the architecture cannot be built.
    """
    from safetensors import SafetensorError, safe_open

    if isinstance(card, ImageEncoderCard) and (card.architecture or "").startswith("transformers:"):
        from kidsnanny.models.transformers_encoders import image_tower

        return image_tower(card, path.parent)
    try:
        with safe_open(path, "pt") as file:
            facts = file.metadata() or {}
            # the prefix of transformers' wrapper of timm
            state = {key.removeprefix("timm_model."): file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise WeightsError(f"{card.name}: {path} is not safetensors ({error}); get the file again.") from error
    module = build(card, json.loads(facts["yaml"]) if "yaml" in facts else None)
    if isinstance(card, ImageEncoderCard):
        head = module.pretrained_cfg["classifier"]
        heads = tuple(f"{name}." for name in ([head] if isinstance(head, str) else head or ()))
        state = {key: value for key, value in state.items() if not key.startswith(heads)}
    try:
        missing, surplus = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise WeightsError(f"{card.name}: {path} does not fit {card.architecture} ({error}).") from error
    if missing or surplus:
        raise WeightsError(
            f"{card.name}: {path} does not fit {card.architecture}: {len(missing)} weights are missing "
            f"({', '.join(missing[:3])}…), {len(surplus)} are unknown to it ({', '.join(surplus[:3])}…); fix the card."
        )
    if card.architecture and card.architecture.startswith("ultralytics"):
        module.fuse(verbose=False)
    return first_output(module)


def first_output(module: "torch.nn.Module") -> "torch.nn.Module":
    """The module with its first output tensor as its only one: logits, or boxes and scores."""
    import torch

    class FirstOutput(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            output = self.inner(pixels)
            first: torch.Tensor = output[0] if isinstance(output, tuple) else getattr(output, "logits", output)
            return first

    return FirstOutput().eval()


_ultralytics_home: tempfile.TemporaryDirectory[str] | None = None


def quiet_ultralytics() -> Any:
    """The ultralytics package, its side effects turned off: its settings are in a temporary folder and not in the home
    directory, it installs nothing, uses no network and does not patch Pillow. Environment variables that are already
    set are kept.

    Raises:
        ImportError: it is not installed.
    """
    global _ultralytics_home
    if not find_spec("ultralytics"):
        raise ImportError("No module named 'ultralytics'")
    if "YOLO_CONFIG_DIR" not in os.environ:
        _ultralytics_home = tempfile.TemporaryDirectory(prefix="kidsnanny-")
        os.environ["YOLO_CONFIG_DIR"] = _ultralytics_home.name
    for name, value in {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}.items():
        os.environ.setdefault(name, value)
    opened = Image.open
    import ultralytics
    import ultralytics.nn.tasks

    Image.open = opened  # ultralytics replaces it to support a format of another package
    return ultralytics


def _torch(card: Card) -> Any:
    try:
        import torch
    except ImportError as error:
        fix = f"run `pip install 'kidsnanny[vit]'`, or `kidsnanny export {card.name}` on a machine with torch"
        raise ComponentError(f"{card.name}: its weights need torch ({error}); {fix}.") from error
    return torch


def _device(name: str, device: Device) -> Literal["cpu", "cuda"]:
    if device not in get_args(Device):
        raise ComponentError(f"{name}: expected a device of {', '.join(get_args(Device))}, got {device!r}.")
    if device != "auto":
        return device
    if not find_spec("torch"):
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _model_id(card: Card, path: Path, random: bool) -> ModelId:
    return ModelId(name=card.name, revision=digest(path)[:12], caveat="random" if random else None)

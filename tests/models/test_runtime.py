"""The same weights give the same output through torch, ONNX Runtime and their own libraries. All are random."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image

from kidsnanny import ComponentError, WeightsError
from kidsnanny.models.cards import CARD, NetworkCard, WeightsFile, cards
from kidsnanny.models.runtime import Onnx, Torch, network, quiet_ultralytics
from kidsnanny.models.store import digest
from kidsnanny.stage1.classifier import Classifier
from kidsnanny.stage1.detector import Yolo

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("own_home"), pytest.mark.filterwarnings("ignore")]

from kidsnanny.models.onnx_export import export, save_random  # noqa: E402

ASTRONAUT = skimage.data.astronaut()
FRAMES = [ASTRONAUT, ASTRONAUT[:300], np.ascontiguousarray(ASTRONAUT[:, 100:240])]
PARITY = 1e-3

SMALL = {  # small members of the families that the shipped cards name
    "timm": {"architecture": "timm:vit_tiny_patch16_224", "crop": 0.9, "interpolation": "bicubic"},
    "timm eva02": {"architecture": "timm:eva02_tiny_patch14_224", "crop": 1.0, "interpolation": "bicubic"},
    "transformers": {
        "architecture": "transformers:vit",
        "config": {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 96},
        "interpolation": "bilinear",
    },
}


def random_card(folder: Path, **facts: object) -> NetworkCard:
    given = {
        "name": "guess",
        "role": "classifier",
        "what": "random",
        "licence": "none",
        "input": 224,
        "labels": {"NSFW": {"sexual": 1.0}, "SFW": {}, "drawing": {}},
        "path": folder / "guess.safetensors",
    } | facts
    if given["role"] == "classifier":
        given = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.4, 0.6), "interpolation": "bicubic"} | given
    card = CARD.validate_python(given)
    return at(card, save_random(card, folder / card.weights))


def at(card: NetworkCard, path: Path) -> NetworkCard:
    """The card with another file of weights."""
    return card.model_copy(update={"path": path.parent, "files": {path.name: WeightsFile(sha256=digest(path))}})


@pytest.mark.parametrize("family", SMALL)
def test_torch_and_onnx_runtime_agree(tmp_path: Path, family: str) -> None:
    card = random_card(tmp_path, **SMALL[family])
    eager = Classifier(card, device="cpu")
    assert isinstance(eager.network, Torch)
    export(card)
    exported = Classifier(card, device="cpu")
    assert isinstance(exported.network, Onnx)
    assert eager.models[0].caveat == "random"
    assert exported.models[0].caveat == "random"
    expected = eager.probabilities(FRAMES)
    assert np.abs(exported.probabilities(FRAMES) - expected).max() <= PARITY
    assert np.ptp(expected, axis=0).max() > PARITY, "pictures must differ, or the comparison proves nothing"


@pytest.mark.parametrize("crop", [0.9, 1.0])
def test_timm_itself_agrees(tmp_path: Path, crop: float) -> None:
    import timm
    from safetensors.torch import load_file

    card = random_card(tmp_path, **(SMALL["timm"] | {"crop": crop}))
    model = timm.create_model("vit_tiny_patch16_224", num_classes=3).eval()
    model.load_state_dict(load_file(card.locate()))
    facts = {"input_size": (3, 224, 224), "crop_pct": crop, "mean": card.mean, "std": card.std}
    transform = timm.data.create_transform(**facts, interpolation="bicubic", is_training=False)
    with torch.inference_mode():
        expected = torch.stack([model(transform(Image.fromarray(f))[None]).softmax(1)[0] for f in FRAMES])
    assert np.abs(Classifier(card, device="cpu").probabilities(FRAMES) - expected.numpy()).max() <= PARITY


def test_transformers_itself_agrees(tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    card = random_card(tmp_path, **SMALL["transformers"])
    model = ViTForImageClassification(ViTConfig(image_size=224, num_labels=3, **card.config)).eval()
    model.load_state_dict(load_file(card.locate()))
    facts = {"size": {"height": 224, "width": 224}, "image_mean": card.mean, "image_std": card.std, "resample": 2}
    processor = ViTImageProcessor(**facts)
    with torch.inference_mode():
        given = processor([Image.fromarray(frame) for frame in FRAMES], return_tensors="pt")
        expected = model(**given).logits.softmax(1).numpy()
    assert np.abs(Classifier(card, device="cpu").probabilities(FRAMES) - expected).max() <= PARITY


def test_a_wrapped_checkpoint_opens(tmp_path: Path) -> None:
    """transformers' wrapper of timm puts its own name before every key."""
    from safetensors.torch import load_file, save_file

    card = random_card(tmp_path, **SMALL["timm"])
    wrapped = {f"timm_model.{key}": value for key, value in load_file(card.locate()).items()}
    save_file(wrapped, tmp_path / "wrapped.safetensors", {"kidsnanny": "random"})
    other = at(card, tmp_path / "wrapped.safetensors")
    assert np.array_equal(
        Classifier(other, device="cpu").probabilities(FRAMES), Classifier(card, device="cpu").probabilities(FRAMES)
    )


def test_the_tensor_route_sees_what_pillow_sees(tmp_path: Path) -> None:
    """CUDA frames are resized by torch: here the same code on a CPU tensor, at most 0.01 in probability off."""
    from kidsnanny.stage1.detector import _letterbox_tensor, letterbox
    from kidsnanny.stage1.preparation import pixels_tensor

    for family in SMALL.values():
        card = random_card(tmp_path, **family)
        model = Classifier(card, device="cpu")
        given = torch.stack([pixels_tensor(torch.from_numpy(frame), card) for frame in FRAMES])
        logits = torch.from_numpy(model.network(given)()).softmax(1).numpy()
        assert np.abs(logits - model.probabilities(FRAMES)).max() <= 0.01
    for frame in FRAMES:
        ours = letterbox(frame, 320)
        tensor = _letterbox_tensor(torch.from_numpy(frame), 320, "area").numpy()
        assert tensor.shape == (3, 320, 320)
        assert np.abs(tensor[:, : ours.shape[1], : ours.shape[2]] - ours).mean() < 0.02


def test_half_precision_is_close(tmp_path: Path) -> None:
    card = random_card(tmp_path, **SMALL["timm"])
    half = Classifier(card, device="cpu", precision="bfloat16")
    assert np.abs(half.probabilities(FRAMES) - Classifier(card, device="cpu").probabilities(FRAMES)).max() <= 0.01


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"architecture": "timm:vit_small_patch16_224"}, "does not fit"),
        ({"architecture": "timm:resnet10t"}, "weights are missing"),
        ({"labels": {"NSFW": {"sexual": 1.0}, "SFW": {}}}, "does not fit"),
    ],
)
def test_weights_of_another_architecture_are_refused(tmp_path: Path, facts: dict[str, object], says: str) -> None:
    card = random_card(tmp_path, **SMALL["timm"])
    with pytest.raises(WeightsError, match=says):
        Classifier(card.model_copy(update=facts), device="cpu")


@pytest.mark.parametrize("architecture", ["timm:no_such_net", "keras:vit", None])
def test_an_architecture_nobody_has_is_named(tmp_path: Path, architecture: str | None) -> None:
    card = random_card(tmp_path, **SMALL["timm"])
    with pytest.raises(ComponentError, match="guess: "):
        Classifier(card.model_copy(update={"architecture": architecture}), device="cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    card = random_card(tmp_path, **SMALL["timm"])
    with pytest.raises(ComponentError, match="no CUDA device"):
        Classifier(card, device="cuda")


# ------------------------------------------------------------------ detectors


@pytest.fixture(scope="module")
def yolo(tmp_path_factory: pytest.TempPathFactory) -> NetworkCard:
    labels = {name: {} for name in ("cat", "dog", "cell phone")}
    facts = {"architecture": "ultralytics:yolov8n", "role": "detector", "input": 320, "labels": labels}
    return random_card(tmp_path_factory.mktemp("yolo"), **facts)


def test_a_detectors_torch_and_onnx_agree(yolo: NetworkCard) -> None:
    eager = network(yolo, "cpu")
    export(yolo)
    exported = network(yolo, "cpu")
    assert isinstance(eager, Torch)
    assert isinstance(exported, Onnx)
    for shape in ((320, 320), (192, 320), (320, 160)):
        given = np.random.default_rng(0).random((2, 3, *shape), np.float32)
        assert np.abs(exported(given)() - eager(given)()).max() <= PARITY


def test_ultralytics_agrees_on_nudenets_weights() -> None:
    """The same letterboxed pixels through its AutoBackend and ours: the same boxes."""
    ultralytics = quiet_ultralytics().YOLO(str(cards()["nudenet-320n"].locate()), task="detect")
    model = Yolo("nudenet-320n", resize="nudenet")
    found = 0
    for frame in (ASTRONAUT, ASTRONAUT[:400, :400], ASTRONAUT[40:300, 100:360]):
        from kidsnanny.stage1.detector import letterbox

        given = torch.from_numpy(letterbox(frame, 320, "nudenet"))[None]
        (theirs,) = ultralytics.predict(given, conf=0.25, iou=0.45, agnostic_nms=True, verbose=False, device="cpu")
        (ours,) = model.screen([frame])
        scale = max(frame.shape[:2]) / 320
        assert [list(model.card.labels)[int(c)] for c in theirs.boxes.cls] == [seen.label for seen in ours]
        for seen, score, box in zip(ours, theirs.boxes.conf, theirs.boxes.xyxy, strict=True):
            assert abs(seen.score - float(score)) <= PARITY
            edges = np.clip(box.numpy() * scale, 0, [*frame.shape[1::-1], *frame.shape[1::-1]])
            assert np.abs(edges - seen.box).max() <= 1
            found += 1
    assert found


QUIET = """
import json, sys
touched = []
def watch(event, arguments):
    if event == "open" and ((arguments[2] or 0) & 0b11 or any(c in (arguments[1] or "") for c in "wax+")):
        touched.append(f"write {arguments[0]}")
    elif event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen", "os.system"):
        touched.append(f"{event} {arguments!r}")
sys.dont_write_bytecode = True
sys.addaudithook(watch)
from PIL import Image
from kidsnanny.models.runtime import quiet_ultralytics, build
from kidsnanny.models.cards import cards
import numpy as np
opened = Image.open
build(cards()["yolo11n-coco"])
model = quiet_ultralytics().YOLO(str(cards()["nudenet-320n"].locate()), task="detect")
model.predict(np.zeros((64, 64, 3), np.uint8), imgsz=320, verbose=False)
assert Image.open is opened
print(json.dumps(touched))
"""


def test_ultralytics_is_kept_quiet(tmp_path: Path) -> None:
    """No network, no installation, nothing in the home directory, and its own settings are gone afterwards."""
    home, scratch = tmp_path / "person", tmp_path / "tmp"
    home.mkdir()
    scratch.mkdir()
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "TMPDIR": str(scratch)}
    result = subprocess.run(
        [sys.executable, "-c", QUIET], capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
    )
    assert result.returncode == 0, result.stderr
    touched = json.loads(result.stdout.splitlines()[-1])
    harmless = (f"write {scratch}", "write /dev/null", "subprocess.Popen ('/sbin/ldconfig'")  # the last is ctypes'
    assert [what for what in touched if not what.startswith(harmless)] == []
    assert list(home.rglob("*")) == []
    assert [path for path in scratch.rglob("*") if not path.name.startswith("torch")] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["person", "tmp"]

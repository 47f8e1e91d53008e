"""What can be read from a file of weights is suggested for its card, and a card that says otherwise is refused."""

import json
import re
from pathlib import Path

import onnx
import pytest
from networks import colour_classifier, one_box
from onnx import TensorProto, helper

from kidsnanny.errors import CardError, WeightsError
from kidsnanny.models.card_fields import blank_card
from kidsnanny.models.cards import Card, make_card, read_cards, shipped
from kidsnanny.models.file_facts import check_card, read_facts, suggested_card


def safetensors(path: Path, shapes: dict[str, list[int]], **metadata: str) -> Path:
    header = {name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()}
    data = json.dumps({"__metadata__": metadata, **header}).encode()
    path.write_bytes(len(data).to_bytes(8, "little") + data)
    return path


def suggested(path: Path) -> dict[str, str]:
    """Field -> what a suggested card has there."""
    return dict(re.findall(r'^"?([\w ]+)"? = (.*?)(?:  # .*)?$', suggested_card(path), re.M))


def test_what_an_onnx_classifier_says_of_itself(tmp_path: Path) -> None:
    colour_classifier(tmp_path / "Über mich 2.onnx", (0, 1, 2), side=32, batch=1, ends_in="Softmax")
    found = suggested(tmp_path / "Über mich 2.onnx")
    assert found["role"] == '"classifier"'
    assert (found["input"], found["probabilities"], found["layout"]) == ("32", "true", '"rgb"')
    assert [found[f"label {number}"] for number in (1, 2, 3)] == ['"?"'] * 3
    assert {name for name, value in found.items() if value == '"?"'} >= {"what", "licence", "mean", "std"}
    assert suggested_card(tmp_path / "Über mich 2.onnx").startswith("[ber-mich-2]")


def test_which_colour_comes_first_is_not_in_a_file(tmp_path: Path) -> None:
    colour_classifier(tmp_path / "x.onnx", (0, 1), side=32, last=True)
    found = suggested(tmp_path / "x.onnx")
    assert (found["layout"], found["probabilities"]) == ('"?"', "false")


def test_a_yolo_names_its_labels(tmp_path: Path) -> None:
    one_box(tmp_path / "x.onnx", ("bare", "face"))
    found = suggested(tmp_path / "x.onnx")
    assert (found["role"], found["input"], found["bare"], found["face"]) == ('"detector"', "64", '"?"', '"?"')


def test_what_is_published_beside_the_weights_is_taken(tmp_path: Path) -> None:
    file = safetensors(tmp_path / "model.safetensors", {"head.weight": [2, 192]})
    own = {"input_size": [3, 384, 384], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic"}
    about = {"architecture": "vit_tiny", "label_names": ["NSFW", "SFW"], "pretrained_cfg": own | {"crop_pct": 1.0}}
    (tmp_path / "config.json").write_text(json.dumps(about))
    found = suggested(file)
    assert (found["architecture"], found["input"], found["crop"]) == ('"timm:vit_tiny"', "384", "1.0")
    assert (found["mean"], found["NSFW"]) == ("[0.5, 0.5, 0.5]", '"?"')
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit", "id2label": {"1": "nsfw", "0": "normal"}}))
    prepares = {"image_mean": [0.4, 0.4, 0.4], "image_std": [0.2, 0.2, 0.2], "resample": 2, "size": {"height": 224}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(prepares))
    found = suggested(file)
    assert (found["architecture"], found["input"], found["std"]) == ('"transformers:vit"', "224", "[0.2, 0.2, 0.2]")
    assert list(found)[-2:] == ["normal", "nsfw"]
    assert found["interpolation"] == '"bilinear"'


@pytest.mark.parametrize("text", ["", "[]", '{"pretrained_cfg": 3}', '{"id2label": ["a"]}', "[" * 100_000])
def test_what_is_beside_it_may_be_anything(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert suggested(safetensors(tmp_path / "model.safetensors", {"fc.weight": [2, 9]}))["architecture"] == '"?"'


def test_converted_weights_of_a_yolo_name_their_labels(tmp_path: Path) -> None:
    facts = read_facts(safetensors(tmp_path / "y.safetensors", {"model.0": [1]}, names='["a", "b"]'))
    assert (facts.role, facts.labels) == ("detector", ("a", "b"))


@pytest.mark.parametrize("name", [name for name, card in shipped().items() if hasattr(card, "labels") and not card.hub])
def test_our_own_cards_say_what_their_files_say(name: str) -> None:
    check_card(shipped()[name], shipped()[name].locate())


def of(path: Path, **change: object) -> Card:
    (path.parent / "card.toml").write_text(blank_card("classifier", "onnx", name="m"))
    fields = read_cards(path.parent / "card.toml")["m"].model_dump(exclude={"name"})
    return make_card("m", fields | {"path": path, "files": {}} | change)


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        ({}, {}, []),
        ({"side": 32}, {"input": 32}, []),
        ({"side": 32}, {}, ["m.input: it is 224, and x.onnx has 32; write input = 32."]),
        (
            {"last": True},
            {},
            ['m.layout: it is "rgb", and x.onnx has the colours as its last axis; write layout = "rgb_'],
        ),
        ({}, {"layout": "bgr_last"}, ["m.layout: it is "]),
        (
            {"ends_in": "Softmax"},
            {},
            ["m.probabilities: it is false, and x.onnx has true; write probabilities = true."],
        ),
        (
            {},
            {"labels": {"a": {}, "b": {}, "c": {}}},
            ["m.labels: there are 3, and x.onnx has 2 outputs; list one for"],
        ),
        (
            {"side": 32, "last": True, "ends_in": "Softmax"},
            {"labels": {"a": {}, "b": {}, "c": {}}},
            ["m.input: ", "m.probabilities: ", "m.layout: ", "m.labels: "],
        ),
    ],
)
def test_a_card_that_differs_from_its_file_is_told_field_by_field(
    tmp_path: Path, file: dict, change: dict, says: list[str]
) -> None:
    colour_classifier(tmp_path / "x.onnx", (0, 1), **file)
    card = of(tmp_path / "x.onnx", **change)
    if not says:
        return check_card(card, tmp_path / "x.onnx")
    with pytest.raises(CardError) as caught:
        check_card(card, tmp_path / "x.onnx")
    assert len(caught.value.faults) == len(says)
    assert all(fault.startswith(said) for fault, said in zip(caught.value.faults, says, strict=True))
    return None


def test_a_detector_is_no_classifier(tmp_path: Path) -> None:
    one_box(tmp_path / "x.onnx", ("a", "b"))
    with pytest.raises(
        CardError, match=r'm\.role: it is classifier, and x\.onnx is a detector; write role = "detector"'
    ):
        check_card(of(tmp_path / "x.onnx"), tmp_path / "x.onnx")


def test_safetensors_have_a_row_for_each_label(tmp_path: Path) -> None:
    file = safetensors(tmp_path / "x.safetensors", {"classifier.weight": [3, 8]})
    card = of(file, architecture="timm:resnet18")
    with pytest.raises(CardError, match=r"m.labels: there are 2, and x.safetensors has 3 outputs"):
        check_card(card, file)


def network(path: Path, kind: int, shape: list[int | str]) -> None:
    given, found = (helper.make_tensor_value_info(name, kind, shape) for name in ("in", "out"))
    graph = helper.make_graph([helper.make_node("Identity", ["in"], ["out"])], "same", [given], [found])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.mark.parametrize(
    ("kind", "shape", "says"),
    [
        (TensorProto.FLOAT16, ["n", 3, 8, 8], "its input is in tensor(float16)"),
        (TensorProto.FLOAT, ["n", 4], "its input is in tensor(float) ['n', 4] where one of pictures"),
        (TensorProto.FLOAT, ["n", 1, 8, 8], "its input is in"),
        (TensorProto.FLOAT, ["n", 3, 8, 16], "its input is in"),
        (TensorProto.FLOAT, [4, 3, 8, 8], "for a batch of 1 or of any size"),
        (TensorProto.FLOAT, ["n", 3, 8, 8], "its output is (1, 3, 8, 8) where a classifier has (1, labels)"),
    ],
)
def test_a_network_that_can_be_neither_is_refused(tmp_path: Path, kind: int, shape: list, says: str) -> None:
    network(tmp_path / "x.onnx", kind, shape)
    with pytest.raises(WeightsError, match=re.escape(says)):
        suggested_card(tmp_path / "x.onnx")


@pytest.mark.parametrize(
    ("channels", "ends_in", "says"),
    [
        ((0,), "", "two labels or more"),
        ((0, 1), "Sigmoid", "of labels that may go together, where a classifier's exclude"),
    ],
)
def test_outputs_that_are_no_classes_are_refused(tmp_path: Path, channels: tuple, ends_in: str, says: str) -> None:
    colour_classifier(tmp_path / "x.onnx", channels, ends_in=ends_in)
    with pytest.raises(WeightsError, match=says):
        read_facts(tmp_path / "x.onnx")


@pytest.mark.parametrize(
    "data", [b"", b"\x08\x00\x00\x00\x00\x00\x00\x00[[[[[[[[", b"\x02\x00\x00\x00\x00\x00\x00\x00[]"]
)
def test_what_is_no_safetensors_is_said(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(data)
    with pytest.raises(WeightsError, match=r"x.safetensors: it is not safetensors \(.+\); get the file again\.$"):
        read_facts(tmp_path / "x.safetensors")

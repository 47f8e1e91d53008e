"""A student of random weights: how it is opened, what it shares, and what it never does."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import gradient

from kidsnanny import ComponentError, Pipeline, WeightsError
from kidsnanny.senben.codec import Codec
from kidsnanny.senben.scenes import VOCABULARY, scene
from kidsnanny.stage1.scene_graph import SceneGraphs
from kidsnanny.stage1.scene_graph import student as named_student

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*(onnx|trac|Trac|dynamo).*"),  # of the exporter
]
FRAMES = [scene(n, 128).image for n in range(3)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from kidsnanny.senben.student import Student
    from kidsnanny.senben.training import targets, tiny, tokenizer

    torch.manual_seed(3)
    words = tokenizer(text for n in range(50) for text in targets(scene(n, 128), Codec(VOCABULARY)))
    model = tiny(words, VOCABULARY).eval()
    for weight in model.parameters():  # what training starts from is too even for a beam to choose by
        weight.data += torch.randn_like(weight) * 0.05
    made = tmp_path_factory.mktemp("student")
    Student(model, words, VOCABULARY, "x").save(made, random=True)
    return made


@pytest.fixture
def student(folder: Path) -> Callable:
    from kidsnanny.senben.student import Student

    return lambda **how: Student.open(folder, device="cpu", **how)


def test_the_published_sizes() -> None:
    from kidsnanny.senben.model import Query2Label

    head = Query2Label(768, labels=16, heads=12, feed_forward=3072)
    assert sum(weight.numel() for weight in head.parameters()) == 9_476_368  # "9.5M"


def test_the_tags_never_teach_the_image_encoder(student: Callable) -> None:
    import torch

    model = student().model
    features = model.features(torch.zeros(2, 3, 128, 128))
    model.tag_head(features).sum().backward()
    assert all(weight.grad is None for name, weight in model.named_parameters() if not name.startswith("tag_head"))
    assert all(weight.grad is not None for weight in model.tag_head.parameters())


@pytest.mark.parametrize("beams", [1, 3])
def test_one_batch_writes_what_each_task_writes_by_itself(student: Callable, beams: int) -> None:
    import torch

    mine = student(beams=beams, constrained=False)
    model = mine.model
    model.generation_config.update(max_new_tokens=24, min_new_tokens=24)
    with torch.inference_mode():
        together = mine.write(mine.features(FRAMES[:1]))
        positions = len(mine.features(FRAMES[:1])[0])
        for row, (prompt, mask) in enumerate(zip(mine.prompts, mine.prompts_mask, strict=True)):
            image = prompt.new_full((positions,), model.config.image_token_id)
            ids = torch.cat([image, prompt[mask.bool()]])[None]
            alone = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                pixel_values=mine.pixels(FRAMES[:1]),
                num_beams=beams,
                do_sample=False,
                max_new_tokens=mine.settings.max_new_tokens,
                min_new_tokens=24,
                return_dict_in_generate=True,
                output_scores=True,
            )
            length = alone.sequences.shape[1]
            assert together.sequences[row, :length].tolist() == alone.sequences[0].tolist()
            if beams > 1:
                assert together.sequences_scores[row].item() == pytest.approx(
                    alone.sequences_scores[0].item(), abs=1e-4
                )


@pytest.mark.parametrize(("ask", "decoded"), [(0.0, 3), (2.0, 0)])
def test_tags_alone_call_no_decoder(student: Callable, ask: float, decoded: int) -> None:
    mine, encoded, rows = student(), [], []
    mine.model.model.vision_tower.register_forward_hook(lambda *_: encoded.append(1))
    mine.model.model.language_model.encoder.register_forward_hook(lambda *seen: rows.append(len(seen[2][0])))
    graphs = mine(FRAMES, ask)
    assert len(encoded) == 1  # whatever is asked, the pictures are looked at once
    assert rows == ([4 * decoded] if decoded else [])
    assert all(graph.tags.keys() == VOCABULARY.tags.keys() for graph in graphs)
    assert all(0 <= p <= 1 for graph in graphs for p in graph.tags.values())


def test_only_frames_whose_tags_ask_for_it_are_described(student: Callable) -> None:
    mine = student()
    tags = mine(FRAMES, 2.0)
    highest = [max(graph.tags.values()) for graph in tags]
    asked = sorted(highest)[1]  # two of three
    described = [bool(graph.objects or graph.caption or graph.dropped) for graph in mine(FRAMES, asked)]
    assert all(not said for said, high in zip(described, highest, strict=True) if high < asked)
    assert any(described)


def test_held_to_the_grammar_only_numbers_and_repetitions_can_be_wrong(student: Callable) -> None:
    for graph in student()(FRAMES):
        assert not [why for why in graph.dropped if "vocabulary" in why]


def test_nothing_is_asked_of_no_frames(student: Callable) -> None:
    assert student()([]) == []


def test_random_weights_say_so_and_never_call_a_picture_safe(student: Callable) -> None:
    mine = student()
    assert mine.name.endswith("#random")
    verdict = Pipeline(stage1=SceneGraphs(mine), stage2=None)(gradient(128, 128))
    assert verdict.label != "safe"
    assert any("random" in missed.reason for missed in verdict.not_inspected)


def test_a_network_that_gives_no_numbers_is_not_inspected(student: Callable) -> None:
    mine = student()
    mine.model.tag_head.bias.data[:] = float("nan")
    verdict = Pipeline(stage1=SceneGraphs(mine), stage2=None)(gradient(128, 128))
    assert verdict.label == "review"
    assert "numbers that are none" in str(verdict.not_inspected[0])


def _config(folder: Path, change: Callable[[dict], object]) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def _weights(folder: Path, change: Callable[[dict], object]) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", {"format": "pt"})


def _shorter(state: dict) -> None:
    state["tag_head.bias"] = state["tag_head.bias"][:5].clone()
    state["old_head.weight"] = state.pop("tag_head.weight")


def _fewer_tags(folder: Path) -> None:
    words = VOCABULARY.model_copy(update={"tags": dict(list(VOCABULARY.tags.items())[:5])})
    words.save(folder / "vocabulary.toml")


@pytest.mark.parametrize(
    ("harm", "says"),
    {
        "no configuration": (lambda f: (f / "config.json").unlink(), "has no config.json; name the folder"),
        "no vocabulary": (lambda f: (f / "vocabulary.toml").unlink(), "vocabulary.toml: the vocabulary cannot be read"),
        "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "it has no tokenizer.json that opens"),
        "no weights": (lambda f: (f / "model.safetensors").unlink(), "it is no checkpoint of Florence-2's kind"),
        "no block of ours": (lambda f: _config(f, lambda c: c.pop("senben")), "config.json has no block `senben`"),
        "an odd block": (
            lambda f: _config(f, lambda c: c["senben"].update(loc_order="xxyy")),
            "its block `senben` .*loc_order",
        ),
        "weights of another head": (
            lambda f: _weights(f, _shorter),
            r"do not fit .*1 missing \(1 of tag_head.weight.*1 surplus \(1 of old_head.weight.*1 of another shape",
        ),
        "another vocabulary": (_fewer_tags, "its head knows 12 tags and the vocabulary kidsnanny-scenes has 5"),
        "a pickle": (
            lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
            "it is no checkpoint of Florence-2's kind",
        ),
    }.values(),
)
def test_a_folder_that_is_not_whole(folder: Path, tmp_path: Path, harm: Callable[[Path], object], says: str) -> None:
    broken = tmp_path / "student"
    shutil.copytree(folder, broken)
    harm(broken)
    with pytest.raises(ComponentError, match=says):
        named_student(str(broken))


def test_exported_tags_are_torchs_and_need_no_torch(folder: Path, student: Callable, tmp_path: Path) -> None:
    from kidsnanny.senben.tagger import export_tags

    export_tags(folder, tmp_path / "tags.onnx")
    tagger = named_student(str(tmp_path / "tags.onnx"))
    assert tagger.name.endswith("#random")
    for ours, torchs in zip(tagger(FRAMES), student()(FRAMES, 2.0), strict=True):
        assert ours.tags == pytest.approx(torchs.tags, abs=1e-3)
    assert tagger([]) == []
    stage1 = SceneGraphs(tagger)
    assert set(stage1.eyes) == {"classifier"}  # nobody writes a graph, so nobody claims to look for things


def test_an_onnx_file_of_something_else() -> None:
    from kidsnanny.weights import cards

    with pytest.raises(WeightsError, match="it holds no student's tags"):
        named_student(str(cards()["nudenet-320n"].locate()))


@pytest.mark.slow
def test_training_writes_a_student_and_its_curve(tmp_path: Path) -> None:
    from kidsnanny.senben.training import train

    train(tmp_path / "made", steps=2)
    (point,) = json.loads((tmp_path / "made" / "curve.json").read_text())
    assert point["scenes"] == 64
    (graph,) = named_student(str(tmp_path / "made"))([np.zeros((10, 20, 3), np.uint8)])
    assert graph.tags.keys() == VOCABULARY.tags.keys()

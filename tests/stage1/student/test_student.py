"""A student of random weights: how it is opened, what it shares, and what it never does."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import gradient

from kidsnanny import ComponentError, Pipeline, WeightsError
from kidsnanny.errors import DataError
from kidsnanny.records import Box, ModelId
from kidsnanny.stage1.scene_graphs import SceneGraphs
from kidsnanny.stage1.scene_graphs import load_student as named_student
from kidsnanny.stage1.student.codec import TAGS_PROMPT, Codec
from kidsnanny.stage1.student.student import TASKS, DecodedText
from kidsnanny.training.student.scenes import VOCABULARY, scene

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*(onnx|trac|Trac|dynamo).*"),  # of the exporter
]
FRAMES = [scene(n, 128).image for n in range(3)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from kidsnanny.stage1.student.student import Student
    from kidsnanny.training.student.tiny_student import tiny, tokenizer
    from kidsnanny.training.student.training_pictures import targets

    torch.manual_seed(3)
    words = tokenizer(text for n in range(50) for text in targets(scene(n, 128), Codec(VOCABULARY)))
    model = tiny(words, VOCABULARY).eval()
    for weight in model.parameters():  # what training starts from is too even for a beam to choose by
        weight.data += torch.randn_like(weight) * 0.05
    made = tmp_path_factory.mktemp("student")
    Student(model, words, VOCABULARY, ModelId(name="x")).save(made, random=True)
    return made


@pytest.fixture
def student(folder: Path) -> Callable:
    from kidsnanny.stage1.student.student import Student

    return lambda **how: Student.open(folder, device="cpu", **how)


def test_the_published_sizes() -> None:
    from kidsnanny.stage1.student.florence import Query2Label

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


@pytest.mark.parametrize(("describe_above", "decoded"), [(0.0, 3), (2.0, 0)])
def test_tags_alone_call_no_decoder(student: Callable, describe_above: float, decoded: int) -> None:
    mine, encoded, rows = student(), [], []
    mine.model.model.vision_tower.register_forward_hook(lambda *_: encoded.append(1))
    mine.model.model.language_model.encoder.register_forward_hook(lambda *seen: rows.append(len(seen[2][0])))
    graphs = mine(FRAMES, describe_above)
    assert len(encoded) == 1  # whatever is asked, the pictures are looked at once
    assert rows == ([4 * decoded] if decoded else [])
    assert all(graph.tags.keys() == VOCABULARY.tags.keys() for graph in graphs)
    assert all(0 <= p <= 1 for graph in graphs for p in graph.tags.values())


def test_only_frames_whose_tags_ask_for_it_are_described_and_each_as_itself(student: Callable) -> None:
    mine = student()
    mine.describe = lambda features: [
        dict.fromkeys(TASKS, DecodedText("", 1, True)) | {"caption": DecodedText(f"{one.sum().item():.3f}", 1, True)}
        for one in features
    ]
    frames = sorted(FRAMES, key=lambda frame: max(mine([frame], 2.0)[0].tags.values()))
    whole = mine(frames)
    assert len({graph.caption for graph in whole}) == 3
    asked = max(whole[1].tags.values())
    assert [graph.caption for graph in mine(frames, asked)] == ["", whole[1].caption, whole[2].caption]


def test_the_order_of_location_tokens_is_its_configurations(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "student")
    _config(tmp_path / "student", lambda c: c["senben"].update(loc_order="xyxy"))
    assert named_student(str(tmp_path / "student")).codec.loc_order == "xyxy"


def test_whether_objects_have_numbers_is_its_configurations(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "student")
    _config(tmp_path / "student", lambda c: c["senben"].update(suffix=False))
    mine = named_student(str(tmp_path / "student"))
    mine.settings = mine.settings.model_copy(update={"max_new_tokens": 24})
    mine.model.generation_config.update(min_new_tokens=24)
    assert not mine.codec.suffix
    written = [one[task].text for one in mine.describe(mine.features(FRAMES)) for task in ("attributes", "relations")]
    assert all(len(text) > 20 and ":" not in text for text in written)


@pytest.fixture
def writes_tags(folder: Path, tmp_path: Path) -> Path:
    """A student whose decoder writes the tags."""
    made = tmp_path / "writes-tags"
    shutil.copytree(folder, made)
    _config(made, lambda c: c["senben"].update(tags_from="text"))
    return made


def test_a_decoder_that_writes_the_tags_is_asked_for_them(writes_tags: Path, student: Callable) -> None:
    mine = named_student(str(writes_tags))
    assert (mine.tasks, student().tasks) == ((*TASKS, "tags"), TASKS)
    assert mine.tokenizer.decode(mine.prompts[4], skip_special_tokens=True) == TAGS_PROMPT
    one = mine.describe(mine.features(FRAMES[:1]))[0]
    assert set(re.split(", ", re.sub("</?s>|<pad>", "", one["tags"].text))) <= {*VOCABULARY.tags, ""}


def test_tags_that_are_written_are_certain_and_the_others_are_not_there(writes_tags: Path) -> None:
    mine = named_student(str(writes_tags))
    mine.describe = lambda _: [
        dict.fromkeys(TASKS, DecodedText("", 1, True)) | {"tags": DecodedText(text, 0.3, complete)}
        for text, complete in zip(("fight, hurt", "", "fight, zebra, hu"), (True, True, False), strict=True)
    ]
    whole, nothing, cut = mine(FRAMES)
    assert whole.tags == dict.fromkeys(VOCABULARY.tags, 0.0) | {"fight": 1.0, "hurt": 1.0}
    assert nothing.tags == dict.fromkeys(VOCABULARY.tags, 0.0)
    assert (whole.dropped, nothing.dropped) == ((), ())
    assert [tag for tag, probability in cut.tags.items() if probability] == ["fight"]
    assert len(cut.dropped) == 3  # the zebra, the half word, and that it was cut off
    assert SceneGraphs(mine).screen(FRAMES[:0]) == []


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda mine: mine(FRAMES, 0.2), "its decoder writes the tags, .*; set describe_above to 0"),
        (lambda mine: mine.tags(mine.features(FRAMES)), "its tag head knows none; let it describe the picture"),
    ],
)
def test_a_head_that_nobody_trained_is_not_asked(ask: Callable, says: str, writes_tags: Path) -> None:
    with pytest.raises(ComponentError, match=says):
        ask(named_student(str(writes_tags)))


def test_a_head_that_nobody_trained_is_not_exported(writes_tags: Path, tmp_path: Path) -> None:
    from kidsnanny.stage1.student.tagger import export_tags

    with pytest.raises(ComponentError, match="its decoder writes the tags and its tag head knows none"):
        export_tags(writes_tags, tmp_path / "tags.onnx")
    assert not (tmp_path / "tags.onnx").exists()


def test_what_is_written_is_the_graph_of_its_frame_with_its_score_and_its_faults(student: Callable) -> None:
    mine = student()
    objects = DecodedText("man<loc_0><loc_0><loc_999><loc_499>zebra", 0.5, True)
    mine.describe = lambda features: (
        [dict.fromkeys(TASKS, DecodedText("", 1, True)) | {"objects": objects}] * len(features)
    )
    (graph,) = mine([np.zeros((100, 200, 3), np.uint8)])
    assert [(man.label, man.box, man.score) for man in graph.objects] == [("man", Box(0, 0, 100, 100), 0.5)]
    assert graph.dropped == ("objects: 'zebra' has no location tokens",)


def test_held_to_the_grammar_only_numbers_and_repetitions_can_be_wrong(student: Callable) -> None:
    for graph in student()(FRAMES):
        assert not [why for why in graph.dropped if "vocabulary" in why]


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("forced", [None, 2], ids=["no end", "an end that is forced, as Florence-2's"])
def test_what_is_cut_off_at_the_limit_is_named_even_where_it_reads_as_whole(
    student: Callable, beams: int, forced: int | None
) -> None:
    mine = student(beams=beams, constrained=False)
    mine.settings = mine.settings.model_copy(update={"max_new_tokens": 4})
    mine.model.generation_config.update(min_new_tokens=4, forced_eos_token_id=forced)
    (graph,) = mine(FRAMES[:1])
    tasks = ("objects", "attributes", "relations", "caption")
    assert [why for why in graph.dropped if "cut off" in why] == [f"{t}: it was cut off after 4 tokens" for t in tasks]
    mine.model.generation_config.update(min_new_tokens=0, suppress_tokens=list(range(3, len(mine.tokenizer))))
    (graph,) = mine(FRAMES[:1])
    assert graph.dropped == ()  # it could only end


def test_a_checkpoints_ban_on_repetition_does_not_hold(student: Callable) -> None:
    """`(man:0, hitting, dog:1)` and `(man:0, holding, cake:2)` begin alike, and Florence-2's settings forbid it."""
    mine = student(beams=3)
    told = mine(FRAMES)
    mine.model.generation_config.no_repeat_ngram_size = 3
    assert mine(FRAMES) == told


@pytest.mark.parametrize("beams", [1, 3])
def test_how_sure_it_is_of_what_does_not_depend_on_where(student: Callable, beams: int) -> None:
    """Words and the end count, with the probabilities that one pass over the whole text gives them."""
    import torch

    mine = student(beams=beams, constrained=False)
    mine.model.generation_config.update(min_new_tokens=24)
    with torch.inference_mode():
        features = mine.features(FRAMES[:1])
        encoded, mask = mine.model.encoded(features, mine.prompts, mine.prompts_mask)
        tokens = mine.write(features).sequences
        logits = mine.model(encoder_outputs=encoded, attention_mask=mask, decoder_input_ids=tokens[:, :-1]).logits
        logits[:, :23, 2] = float("-inf")  # it may not end yet
        told = mine.describe(features)[0].values()
    probabilities = logits.log_softmax(2).gather(2, tokens[:, 1:, None])[..., 0]
    for row, one in zip(range(4), told, strict=True):
        words = mine.tokenizer.batch_decode(tokens[row, 1:, None])
        said = [not word.startswith(("<loc_", "<s>", "<pad>")) for word in words]
        assert any(said) or one.text.count("<loc_") == len(words)
        expected = probabilities[row][said].mean().exp().item() if any(said) else 1
        assert one.score == pytest.approx(expected, abs=1e-4)


def test_saving_leaves_the_student_as_it_is(student: Callable, tmp_path: Path) -> None:
    mine = student()
    told = mine(FRAMES)
    mine.save(tmp_path / "copy")
    assert mine(FRAMES) == told


def test_nothing_is_asked_of_no_frames(student: Callable) -> None:
    assert student()([]) == []


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({}, "beams=3"),
        ({"beams": 1, "constrained": False}, "beams=1,unconstrained"),
        ({"precision": "bfloat16"}, "beams=3,bfloat16"),
    ],
)
def test_its_name_says_how_it_decodes(how: dict[str, Any], says: str, student: Callable) -> None:
    assert re.fullmatch(rf"\w+@[0-9a-f]{{12}},files=[0-9a-f]{{8}},{says}#random", str(student(**how).model_id))


def test_its_name_changes_with_what_its_words_mean(student: Callable, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "a+b @c"  # signs that divide names in the findings text
    shutil.copytree(folder, other)
    VOCABULARY.model_copy(update={"sensitive": {}}).save(other / "vocabulary.toml")
    model_id = named_student(str(other)).model_id
    assert model_id.name == "a_b_c"
    assert model_id.revision != student().model_id.revision


@pytest.mark.parametrize("beams", [0, -3])
def test_it_decodes_with_a_beam_or_more(beams: int, student: Callable) -> None:
    with pytest.raises(ComponentError, match=f"cannot decode with {beams} beams; give 1"):
        student(beams=beams)


def test_random_weights_say_so_and_never_call_a_picture_safe(student: Callable) -> None:
    mine = student()
    assert mine.model_id.caveat == "random"
    verdict = Pipeline(stage1=SceneGraphs(mine), stage2=None)(gradient(128, 128))
    assert verdict.label != "safe"
    assert any("random" in missed.reason for missed in verdict.not_inspected)


@pytest.mark.parametrize("constrained", [True, False])
@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("part", ["tag_head.bias", "model.language_model.decoder.layernorm_embedding.bias"])
def test_a_network_that_gives_no_numbers_is_not_inspected(
    student: Callable, part: str, beams: int, constrained: bool
) -> None:
    mine = student(beams=beams, constrained=constrained)
    mine.model.get_parameter(part).data[:] = float("nan")
    verdict = Pipeline(stage1=SceneGraphs(mine), stage2=None)(gradient(128, 128))
    assert verdict.coverage == {}
    assert "NaN" in str(verdict.not_inspected[0])


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
        "no configuration": (lambda f: (f / "config.json").unlink(), "and it lacks config.json"),
        "no vocabulary": (lambda f: (f / "vocabulary.toml").unlink(), "and it lacks vocabulary.toml"),
        "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "and it lacks tokenizer.json"),
        "no tokenizer's configuration": (
            lambda f: (f / "tokenizer_config.json").unlink(),
            "and it lacks tokenizer_config.json",
        ),
        "a tokenizer without an end": (
            lambda f: (f / "tokenizer_config.json").write_text("{}"),
            "names no token that begins, ends or pads a text; give it the tokenizer_config.json",
        ),
        "a side of nothing": (
            lambda f: _config(f, lambda c: c["senben"].update(input=0)),
            r"senben\.input in config\.json: it is 0, expected at least 1",
        ),
        "a side that is too large": (
            lambda f: _config(f, lambda c: c["senben"].update(input=1024)),
            r"cannot look at 1024 x 1024 pixels \(.*\); correct senben\.input",
        ),
        "no weights": (lambda f: (f / "model.safetensors").unlink(), "and it lacks model.safetensors"),
        "no block of ours": (lambda f: _config(f, lambda c: c.pop("senben")), "config.json has no block `senben`"),
        "an odd block": (
            lambda f: _config(f, lambda c: c["senben"].update(loc_order="xxyy")),
            r"senben\.loc_order in config\.json: it is 'xxyy', expected .*; correct it",
        ),
        "weights of another head": (
            lambda f: _weights(f, _shorter),
            r"do not fit .*1 missing \(1 of tag_head.weight.*1 unexpected \(1 of old_head.weight.*1 of another shape",
        ),
        "no tokenizer's JSON": (
            lambda f: (f / "tokenizer.json").write_text("{}"),
            "tokenizer_config.json do not open",
        ),
        "another vocabulary": (_fewer_tags, "its head knows 12 tags and the vocabulary kidsnanny-scenes has 5"),
        "a pickle": (
            lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
            "and it lacks model.safetensors",
        ),
        "half of the weights": (lambda f: os.truncate(f / "model.safetensors", 100_000), "it is no checkpoint .*again"),
        "heads that do not fit": (
            lambda f: _config(f, lambda c: c["senben"].update(heads=7)),
            r"Florence-2's kind \(embed_dim must be divisible by num_heads\); get it again\.$",
        ),
    }.values(),
)
def test_a_folder_that_is_not_whole(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], harm: Callable[[Path], object], says: str
) -> None:
    broken = tmp_path / "student"
    shutil.copytree(folder, broken)
    harm(broken)
    with pytest.raises(ComponentError, match=says):
        named_student(str(broken))
    assert capsys.readouterr() == ("", "")


def test_a_students_own_ways_of_decoding_do_not_hold(folder: Path, student: Callable, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "own")
    settings = tmp_path / "own" / "generation_config.json"
    ways = {"num_return_sequences": 2, "stop_strings": ["a"], "num_beams": 2}
    settings.write_text(json.dumps(json.loads(settings.read_text()) | ways))
    assert named_student(str(tmp_path / "own"))(FRAMES) == student()(FRAMES)


def test_a_compiled_student_is_saved_as_it_was(student: Callable, tmp_path: Path) -> None:
    mine = student(compiled=True)
    mine.save(tmp_path / "again")
    assert named_student(str(tmp_path / "again"))(FRAMES) == student()(FRAMES)


def test_a_student_that_cannot_be_written(student: Callable, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=f"^{tmp_path}/file: the student cannot be written .*; name another folder"):
        student().save(tmp_path / "file")


def test_exported_tags_are_torchs_and_need_no_torch(folder: Path, student: Callable, tmp_path: Path) -> None:
    from kidsnanny.stage1.student.tagger import export_tags

    export_tags(folder, tmp_path / "my tags.onnx")
    tagger = named_student(str(tmp_path / "my tags.onnx"))
    assert re.fullmatch(r"my_tags@[0-9a-f]{12},tags#random", str(tagger.model_id))  # one word in the findings text
    for ours, torchs in zip(tagger(FRAMES), student()(FRAMES, 2.0), strict=True):
        assert ours.tags == pytest.approx(torchs.tags, abs=1e-3)
    assert tagger([]) == []
    stage1 = SceneGraphs(tagger)
    assert set(stage1.categories) == {"classifier"}  # nobody writes a graph, so nobody claims to look for things


def test_an_exported_demonstration_says_so_and_never_calls_a_picture_safe(tmp_path: Path) -> None:
    from kidsnanny.models.cards import cards
    from kidsnanny.stage1.student.tagger import export_tags

    export_tags(cards()["senben-tiny"].locate().parent, tmp_path / "tags.onnx")
    tagger = named_student(str(tmp_path / "tags.onnx"))
    assert tagger.model_id.caveat == "demo"
    assert Pipeline(stage1=SceneGraphs(tagger), stage2=None)(gradient(128, 128)).label != "safe"


def _says(**facts: str) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for one in model.metadata_props:
            one.value = facts.get(one.key, one.value)

    return change


def _no_numbers(model: Any) -> None:
    import onnx

    (bias,) = (one for one in model.graph.initializer if one.name.endswith("tag_head.bias"))
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(bias.dims, np.nan, np.float32), bias.name))


@pytest.mark.parametrize(
    ("harm", "says"),
    {
        "another network": (lambda m: m.ClearField("metadata_props"), "'settings'"),
        "no vocabulary": (_says(vocabulary="{}"), "2 validation errors for Vocabulary"),
        "another vocabulary": (_says(vocabulary=VOCABULARY.model_copy(update={"tags": {}}).model_dump_json()), "zip"),
        "another side": (_says(settings='{"tags": 12, "input": 64}'), "Got invalid dimensions for input: pixels"),
        "no numbers": (_no_numbers, "it returned NaN or infinity"),
    }.values(),
)
def test_an_onnx_file_that_gives_no_tags(harm: Callable, says: str, folder: Path, tmp_path: Path) -> None:
    import onnx

    from kidsnanny.stage1.student.tagger import export_tags

    path = tmp_path / "tags.onnx"
    export_tags(folder, path)
    model = onnx.load(path)
    harm(model)
    onnx.save(model, path)
    with pytest.raises(
        WeightsError, match=rf"^{path}: it holds no student's tags \(.*{says}[^\n]*\); name a student's"
    ):
        named_student(str(path))

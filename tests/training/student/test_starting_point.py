"""What a training begins with: a folder of Florence-2's kind, which has no tag head, or a student's."""

import json
from pathlib import Path
from typing import Any

import pytest

from kidsnanny.errors import ComponentError, WeightsError
from kidsnanny.records import ModelId
from kidsnanny.training.student.recipe import LADDER, PLAIN, Recipe
from kidsnanny.training.student.scenes import VOCABULARY, scene

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def pictures() -> Any:
    from kidsnanny.training.student.training_pictures import FixedPictures

    drawn = [scene(number, 128) for number in range(4)]
    return FixedPictures("four scenes", VOCABULARY, drawn[:3], drawn[3:], seed=0)


def begun(pictures: Any, recipe: Recipe = PLAIN, folder: Path | None = None) -> Any:
    import torch

    from kidsnanny.training.student.starting_point import starting_point

    torch.manual_seed(0)
    return starting_point("x", pictures, recipe, folder)


@pytest.fixture
def florence(pictures: Any, tmp_path: Path) -> Path:
    """A folder as Florence-2's is: without our settings, our head and our words."""
    from safetensors.torch import load_file, save_file

    begun(pictures).student.save(tmp_path / "florence")
    folder = tmp_path / "florence"
    config = json.loads((folder / "config.json").read_text())
    del config["senben"]
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    bare = {name: weight for name, weight in weights.items() if not name.startswith("tag_head.")}
    save_file(bare, folder / "model.safetensors", {"format": "pt"})
    (folder / "vocabulary.toml").unlink()
    return folder


def test_florence_gets_a_tag_head_of_its_own_size_and_keeps_its_weights(pictures: Any, florence: Path) -> None:
    from safetensors.torch import load_file

    began = begun(pictures, PLAIN, florence)
    assert began.notes == (
        f"{florence}: it has no tag head for these {len(VOCABULARY.tags)} tags, so that is freshly drawn.",
    )
    state = began.student.model.state_dict()
    for name, weight in load_file(florence / "model.safetensors").items():
        assert state[name].equal(weight), name
    assert all(weight.isfinite().all() for weight in began.student.model.tag_head.parameters())
    assert began.student.model_id == ModelId(name="x")
    assert not began.student.settings.demo


@pytest.mark.parametrize("row", ["ce", "suffix", "balanced"])
def test_the_settings_are_the_recipes(pictures: Any, row: str) -> None:
    settings = begun(pictures, LADDER[row]).student.settings
    assert settings.suffix == LADDER[row].suffix
    assert settings.tags_from == ("text" if LADDER[row].tags == "text" else "head")
    assert settings.trained_on == "four scenes"


def test_weights_that_are_missing_are_named(pictures: Any, florence: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(florence / "model.safetensors")
    lost = next(name for name in weights if "decoder" in name)
    save_file({n: w for n, w in weights.items() if n != lost}, florence / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match=lost.replace(".", r"\.")):
        begun(pictures, PLAIN, florence)


def test_a_folder_without_a_tokenizer_is_named(pictures: Any, florence: Path) -> None:
    (florence / "tokenizer.json").unlink()
    with pytest.raises(ComponentError, match=r"tokenizer\.json"):
        begun(pictures, PLAIN, florence)


def test_a_folder_that_is_none_is_named(pictures: Any, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such"):
        begun(pictures, PLAIN, tmp_path / "no such")

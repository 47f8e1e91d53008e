"""What a training begins with: a tiny student of random weights, or a folder of Florence-2's or of a student's."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedTokenizerFast

from kidsnanny.errors import ComponentError, WeightsError
from kidsnanny.records import ModelId
from kidsnanny.stage1.student.codec import Codec
from kidsnanny.stage1.student.florence import SenBen
from kidsnanny.stage1.student.student import Student
from kidsnanny.training.student.recipe import Recipe
from kidsnanny.training.student.tiny_student import tiny, tokenizer
from kidsnanny.training.student.training_pictures import TrainingPictures, targets


class StartingPoint(NamedTuple):
    """An untrained student."""

    student: Student
    notes: tuple[str, ...]
    """What whoever trains it should know of its weights, a sentence each."""


def starting_point(
    name: str, pictures: TrainingPictures, recipe: Recipe, folder: Path | None = None, device: str = "cpu"
) -> StartingPoint:
    """The student that is trained.

    Args:
        name: of the student.
        pictures: what it is trained on.
        recipe: says whether objects have numbers, and whether the decoder writes the tags.
        folder: of its weights, `config.json` and tokenizer; None: tiny and freshly drawn.
        device: where it runs.

    Raises:
        WeightsError: the folder is none of Florence-2's kind, or lacks weights beyond the tag head's.
        ComponentError: its tokenizer does not open or has no location tokens.
    """
    settings = {
        "tags": len(pictures.vocabulary.tags),
        "trained_on": f"{pictures.name}: comic drawings, no photographs" if pictures.generated else pictures.name,
        "demo": pictures.generated,
        "suffix": recipe.suffix,
        "tags_from": "text" if recipe.tags == "text" else "head",
    }
    notes: tuple[str, ...] = ()
    if folder is None:
        codec = Codec(pictures.vocabulary, suffix=recipe.suffix)
        words = tokenizer(text for drawn in pictures.sample() for text in targets(drawn, codec))
        model = tiny(words, pictures.vocabulary, **settings)
    else:
        model, notes = _read(folder, settings)
        words = _tokenizer(folder)
    if torch.device(device).type == "cpu":
        model.set_attn_implementation("eager")  # the fused one takes twice as long backwards
    student = Student(model.to(device), words, pictures.vocabulary, ModelId(name=name), beams=1, constrained=False)
    return StartingPoint(student, notes)


def _read(folder: Path, settings: dict[str, Any]) -> tuple[SenBen, tuple[str, ...]]:
    model, mismatch = SenBen.read(folder, **settings)
    lacking = [*mismatch.missing, *mismatch.shape]
    if wrong := [name for name in lacking if not name.startswith("tag_head.")]:
        raise WeightsError(
            f"{folder}: {len(wrong)} weights of its network are missing or of another shape, such as {wrong[0]}; give "
            "the weights that belong to its config.json."
        )
    notes = []
    if lacking:
        notes.append(f"{folder}: it has no tag head for these {settings['tags']} tags, so that is freshly drawn.")
    if unknown := mismatch.unexpected:
        notes.append(f"{folder}: {len(unknown)} weights that the network lacks are not used, such as {unknown[0]}.")
    return model, tuple(notes)


def _tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    try:
        return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the library's own, and whatever a broken file makes it raise
        why = str(error).partition("\n")[0]
        raise ComponentError(f"{folder}: its tokenizer does not open ({why}); put its tokenizer.json there.") from error

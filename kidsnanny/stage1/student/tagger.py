"""A student's tags alone, through ONNX Runtime: no decoder, no torch. `kidsnanny export` makes the file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kidsnanny.errors import ComponentError, WeightsError
from kidsnanny.media.loader import RGB
from kidsnanny.models.onnx import onnx_session
from kidsnanny.models.store import digest
from kidsnanny.records import SceneGraph
from kidsnanny.stage1.preparation import pixels
from kidsnanny.stage1.student.settings import Settings
from kidsnanny.stage1.student.vocabulary import Vocabulary

TOLERANCE = 1e-3
"""How far a probability of the exported file may be from torch's."""


class Tagger:
    """Writes graphs that have nothing but tags. The file says itself which tags, and how it wants a picture.

    Args:
        path: what `export_tags` wrote.

    Raises:
        WeightsError: it is not such a file.
    """

    def __init__(self, path: Path) -> None:
        self._session = onnx_session(path)
        facts = self._session.get_modelmeta().custom_metadata_map
        try:
            self._settings = Settings.model_validate_json(facts["settings"])
            known = Vocabulary.model_validate_json(facts["vocabulary"])
            self.vocabulary = Vocabulary(name=known.name, partial=known.partial, objects=(), tags=known.tags)
            random = facts.get("kidsnanny") == "random"
            self.model_id = self._settings.model_id(path.stem, f"{digest(path)[:12]},tags", random=random)
            self([np.zeros((1, 1, 3), np.uint8)])
        except Exception as error:  # whatever a file of another kind makes ONNX Runtime raise
            why = str(error).partition("\n")[0]
            fix = "name a student's file that `kidsnanny export` wrote"
            raise WeightsError(f"{path}: it holds no student's tags ({why}); {fix}.") from error

    def __call__(self, frames: Sequence[RGB], describe_above: float = 0.0) -> list[SceneGraph]:  # noqa: ARG002
        """The tags of each (H, W, 3) uint8 RGB frame. Nothing is decoded, whatever `describe_above` says.

        Raises:
            ComponentError: the network returned NaN or infinity.
        """
        given = (pixels(frame, self._settings)[None] for frame in frames)  # a batch is no faster on a CPU
        rows = [self._session.run(None, {"pixels": one})[0][0] for one in given]
        if not all(np.isfinite(row).all() for row in rows):
            raise ComponentError(f"{self.model_id}: it returned NaN or infinity; export the student again.")
        return [SceneGraph(tags=dict(zip(self.vocabulary.tags, row.tolist(), strict=True))) for row in rows]


def export_tags(folder: Path, out: Path) -> None:
    """Write the image encoder and the tag head of the student in `folder` as ONNX, and compare it with torch.

    Raises:
        WeightsError: there is no student.
        ComponentError: a package is missing, the student has no trained tag head, or the file gives other tags than
            torch.
    """
    from kidsnanny.models.onnx_export import write_onnx
    from kidsnanny.stage1.student.student import Student

    student = Student.open(folder, device="cpu")
    import torch  # of which Student.open says so if it is missing

    side = student.settings.input

    class Tags(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = student.model

        def forward(self, pixels: torch.Tensor) -> Any:
            return self.inner.tag_head(self.inner.features(pixels)).sigmoid()

    facts = {"settings": student.settings.model_dump_json(), "vocabulary": student.vocabulary.model_dump_json()}
    facts |= {"kidsnanny": "random"} if student.model_id.caveat == "random" else {}
    shown = [np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8) for seed in range(3)]
    with torch.inference_mode():
        expected = student.tags(student.features(shown))
    write_onnx(Tags().eval(), (1, 3, side, side), out, facts, axes={})
    found = np.array([list(graph.tags.values()) for graph in Tagger(out)(shown)])
    if not np.abs(found - expected).max() <= TOLERANCE:
        raise ComponentError(f"{folder}: the exported tags are not torch's; keep to the safetensors.")

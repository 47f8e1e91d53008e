"""What a student's configuration has beyond Florence-2's."""

import re
from typing import Literal

from pydantic import Field

from kidsnanny.models.cards import Three
from kidsnanny.records import Record
from kidsnanny.stage1.stage1 import DEMO, RANDOM
from kidsnanny.stage1.student.codec import LocOrder


class Settings(Record):
    """The block `senben` of a student's `config.json`. SenBen's own values are not published: all of these are ours."""

    tags: int = Field(ge=1)
    """How many labels the head has: the vocabulary's."""
    heads: int = 12
    feed_forward: int = 3072
    loc_order: LocOrder = "yxyx"
    input: int = Field(default=768, ge=1)
    """Side of the square that a picture is squashed to, in pixels; Florence-2's."""
    mean: Three = (0.485, 0.456, 0.406)
    std: Three = (0.229, 0.224, 0.225)
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"
    crop: None = None
    max_new_tokens: int = Field(default=256, ge=1)
    """Per task; what is cut off there is named in the graph's `dropped`."""
    beams: int = Field(default=3, ge=1)
    """3 in the efficiency table of arXiv 2604.08819; 1 is greedy."""
    trained_on: str = ""
    """The training data, shown to whoever reads its output."""
    demo: bool = False
    """It was trained on drawings only: no picture is `safe` on its output."""

    def named(self, stem: str, revision: str, *, random: bool) -> str:
        """A student's name for provenance: one word of the findings text, marked if what it says means nothing."""
        mark = RANDOM if random else DEMO if self.demo else ""
        return re.sub(r"[\s+@]+", "_", stem) + f"@{revision}{mark}"

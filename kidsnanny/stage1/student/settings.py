"""What a student's configuration has beyond Florence-2's."""

import re
from typing import Literal

from pydantic import Field

from kidsnanny.models.cards import Three
from kidsnanny.records import Caveat, ModelId, Record
from kidsnanny.stage1.student.codec import LocOrder

TagsFrom = Literal["head", "text"]


class Settings(Record):
    """The block `senben` of a student's `config.json`. SenBen's own values are not published: all of these are ours."""

    tags: int = Field(ge=1)
    """How many labels the head has: the vocabulary's."""
    heads: int = 12
    feed_forward: int = 3072
    loc_order: LocOrder = "yxyx"
    suffix: bool = True
    """Whether attributes and relations name an object with its number, as `male:0`: see `codec`."""
    tags_from: TagsFrom = "head"
    """Who finds the tags: the head, or the decoder, which then writes them as a fifth text."""
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

    def model_id(self, stem: str, revision: str, *, random: bool) -> ModelId:
        """A student's identity; its name is one word of the findings text."""
        caveat: Caveat | None = "random" if random else "demo" if self.demo else None
        return ModelId(name=re.sub(r"[\s+@#]+", "_", stem), revision=revision, caveat=caveat)

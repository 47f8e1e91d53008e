"""What a student is trained with: the parts of SenBen's recipe, each of which can be left out (arXiv 2604.08819).

`LADDER` has the rows of the paper's two ablations: each part added to those before it, and each left out of the whole.
"""

from typing import Literal

from pydantic import Field

from kidsnanny.errors import DataError
from kidsnanny.records import Record

Precision = Literal["no", "bf16", "fp16"]
"""Of the network's arithmetic while it trains; `no` is float32."""


class Recipe(Record):
    """Which losses and targets a student is trained with. The paper names the parts; their values are ours."""

    suffix: bool = True
    """Objects are named with their place, `male:0`."""
    var: bool = False
    """Rare words weigh more, and recall of the words of a picture is rewarded (VAR)."""
    min_perm: bool = False
    """The objects of a picture may be written in any order (MinPermCE)."""
    smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of a token's target that is spread over the other tokens, 0 to 1."""
    sampling: float = Field(default=0.0, ge=0, le=1)
    """Highest probability, 0 to 1, with which the decoder goes on from its own token in place of the true one."""
    tags: Literal["text", "bce", "balanced", "aggressive"] = "bce"
    """`text`: the decoder writes the tags, as a fifth task. Else a head finds them: with binary cross-entropy, or with
    the asymmetric loss of that preset."""


SMOOTHING = 0.1
SAMPLING = 0.25

LADDER: dict[str, Recipe] = {
    "ce": (_bare := Recipe(suffix=False, tags="text")),
    "suffix": (_suffix := _bare.model_copy(update={"suffix": True})),
    "var": (_var := _suffix.model_copy(update={"var": True})),
    "min-perm": (_min_perm := _var.model_copy(update={"min_perm": True})),
    "smoothing": (_smoothing := _min_perm.model_copy(update={"smoothing": SMOOTHING})),
    "sampling": (_sampling := _smoothing.model_copy(update={"sampling": SAMPLING})),
    "balanced": (_whole := _sampling.model_copy(update={"tags": "balanced"})),
    "aggressive": _whole.model_copy(update={"tags": "aggressive"}),
    "no-suffix": _whole.model_copy(update={"suffix": False}),
    "no-var": _whole.model_copy(update={"var": False}),
    "no-min-perm": _whole.model_copy(update={"min_perm": False}),
    "no-smoothing": _whole.model_copy(update={"smoothing": 0.0}),
    "no-sampling": _whole.model_copy(update={"sampling": 0.0}),
    "no-asymmetric": _whole.model_copy(update={"tags": "bce"}),
    "var-balanced": _var.model_copy(update={"tags": "balanced"}),
}
"""Name of a row -> its recipe. From `ce` to `balanced` each row adds the part that it is named after to the row before;
`balanced` is the whole recipe, `aggressive` the paper's other preset of it, and each `no-` row leaves one part out.
`var-balanced` is our choice: the suffix, VAR and the tag head, which helped on scenes that no result is measured on."""

PLAIN = Recipe()
"""Cross-entropy with the suffix and a tag head."""
RECIPES: dict[str, Recipe] = {"plain": PLAIN, **LADDER}
"""What `kidsnanny train student --recipe` takes."""


def named(name: str) -> Recipe:
    """A recipe of RECIPES.

    Raises:
        DataError: none has the name.
    """
    if name not in RECIPES:
        raise DataError(f"There is no recipe {name!r}; name one of {', '.join(RECIPES)}.")
    return RECIPES[name]

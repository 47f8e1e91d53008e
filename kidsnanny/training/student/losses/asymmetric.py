"""The asymmetric loss of tags (Ridnik et al. 2021, arXiv 2009.14119): what is easily seen to be absent counts less.

With z a tag's logit, p = sigmoid(z), m the margin and q = max(p - m, 0):

    present:  -(1 - p)^positive * log p
    absent:   -q^negative * log(1 - q)

Both exponents and the margin 0 is binary cross-entropy. An absent tag of a probability below the margin costs nothing.
The published code sums over tags and pictures; here it is the mean, so that it replaces binary cross-entropy as it is.
"""

from typing import NamedTuple

import torch
from torch.nn import functional


class Asymmetry(NamedTuple):
    """How much less easy tags count."""

    positive: float
    """Exponent of the tags that are present, 0 or at least 1."""
    negative: float
    """Exponent of the tags that are absent, 0 or at least 1."""
    margin: float
    """Taken off the probability of the tags that are absent, 0..1."""


BALANCED = Asymmetry(positive=0, negative=2, margin=0.0)
"""With what Query2Label's published code begins (github.com/SlongLiu/query2labels). SenBen's values are not public;
that this is its "balanced" is our choice."""
AGGRESSIVE = Asymmetry(positive=0, negative=4, margin=0.05)
"""With what Ridnik et al. train on MS-COCO: rare tags are found more often, and named in vain more often. That this is
SenBen's "aggressive" is our choice."""


def asymmetric_loss(logits: torch.Tensor, present: torch.Tensor, asymmetry: Asymmetry) -> torch.Tensor:
    """The mean loss of all tags of all pictures, a scalar.

    Args:
        logits: (N, tags).
        present: (N, tags), 0 or 1.
        asymmetry: exponents and margin.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    probability, rest = logits.sigmoid(), (-logits).sigmoid()
    # without a margin `rest` may round to 0, which has no logarithm
    log_absent = (rest + asymmetry.margin).clamp(max=1).log() if asymmetry.margin else functional.logsigmoid(-logits)
    missed = -(rest**asymmetry.positive) * functional.logsigmoid(logits)
    invented = -((probability - asymmetry.margin).clamp(min=0) ** asymmetry.negative) * log_absent
    return (present * missed + (1 - present) * invented).mean()

"""Scheduled sampling (Bengio et al. 2015, arXiv 1506.03099) for a Transformer, in two passes (Mihaylova and Martins
2019, arXiv 1906.07651).

The first pass reads the true text, without gradients. The second reads a text in which some tokens are replaced by
what the first pass found most likely there, and its losses are those of the true tokens. So the decoder learns to go on
after its own mistakes.

The schedules are Bengio et al.'s. They give the share of true tokens, which is 1 minus the following, as a function of
the step; here of t = step / steps, scaled so that about one hundredth of them is left at the end (of `linear`, none):

    linear           t
    exponential      1 - k^t                with k = 0.01
    inverse sigmoid  1 - k / (k + (99 k)^t) with k = 100: 0.01 at first, a half in the middle
"""

from typing import Literal, assert_never

import torch

Schedule = Literal["linear", "exponential", "inverse sigmoid"]

LEFT = 0.01
"""Share of true tokens at the end of `exponential`."""
STEEPNESS = 100
"""The k of `inverse sigmoid`."""


def probability(step: int, steps: int, *, highest: float = 1.0, schedule: Schedule = "linear") -> float:
    """With what probability a token of the second pass is the first's, 0..1.

    Args:
        step: counted from 0.
        steps: of the whole training, at least 1; later ones are as the last.
        highest: what the schedule's share is multiplied by, 0..1; 0 is no scheduled sampling.
        schedule: which one.
    """
    done = min(1.0, step / steps)
    match schedule:
        case "linear":
            share = done
        case "exponential":
            share = 1 - LEFT**done
        case "inverse sigmoid":
            share = 1 - STEEPNESS / (STEEPNESS + (99 * STEEPNESS) ** done)
        case _:
            assert_never(schedule)
    return highest * share


def mixed_inputs(
    inputs: torch.Tensor,
    likely: torch.Tensor,
    probability: float,
    generator: torch.Generator,
    keep: torch.Tensor,
) -> torch.Tensor:
    """The inputs of the second pass.

    Args:
        inputs: (N, L) int64, of the first pass: the start token and the true tokens, each one place later.
        likely: (N, L) int64, the token that it found most likely at each place, which is the next place's input.
        probability: that a token is replaced, 0..1.
        generator: draws which ones; on any device.
        keep: (N, L) bool, the inputs that stay true, such as padding. The first of each row always does.

    Returns:
        (N, L) int64.
    """
    drawn = torch.rand(inputs.shape, generator=generator, device=generator.device).to(inputs.device)
    replaced = (drawn < probability) & ~keep
    replaced[:, 0] = False
    return torch.where(replaced, likely.roll(1, 1), inputs)

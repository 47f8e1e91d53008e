"""Cross-entropy of each token with label smoothing (Szegedy et al. 2016, arXiv 1512.00567); PyTorch's own.

With p the softmax of the V logits, y the wanted token and e the smoothing:

    loss = (1 - e) * -log p[y]  +  e / V * sum over k of -log p[k]

Smoothing 0 is plain cross-entropy.
"""

import torch
from torch.nn import functional


def token_losses(logits: torch.Tensor, wanted: torch.Tensor, smoothing: float, *, padding: int) -> torch.Tensor:
    """The loss of each token.

    Args:
        logits: (N, L, V), of any floating type; what is below float32 is raised to it.
        wanted: (N, L) int64.
        smoothing: 0..1.
        padding: the token that is no part of a text.

    Returns:
        (N, L) in nats, 0 where `wanted` is padding.
    """
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
    losses = functional.cross_entropy(
        precise.flatten(0, 1), wanted.flatten(), ignore_index=padding, label_smoothing=smoothing, reduction="none"
    )
    return losses.view(wanted.shape)

"""From error maps to the photometric term: minimum, auto-mask, predictive mask (Godard et al. 2019, eq. 4 and 5)."""

import torch
from torch import Tensor

from backends.torch.losses.means import mean_of_all


def minimum_error(reprojection: Tensor, identity: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Per pixel the smallest candidate error; identity candidates come first and win ties.

    Args:
        reprojection: (B, N, H, W) errors of the warped sources.
        identity: (B, M, H, W) errors of the unwarped sources, noise included; None: no auto-masking.

    Returns:
        The minimum, (B, H, W), and the auto-mask (B, H, W), true where a reprojection won (None without identity).
    """
    candidates = reprojection if identity is None else torch.cat([identity, reprojection], dim=1)
    if candidates.shape[1] == 1:
        return candidates[:, 0], None
    # The gradient goes to one winner, the first of equals. `amin` would split it.
    minimum, winner = torch.min(candidates, dim=1)
    return minimum, None if identity is None else winner >= identity.shape[1]


def mask_prior(mask: Tensor) -> Tensor:
    """Keeps a predictive mask from vanishing: 0.2 · mean of −log(mask), cut off at −100 (Zhou et al. 2017)."""
    return -0.2 * mean_of_all(torch.clamp(torch.log(mask), min=-100))

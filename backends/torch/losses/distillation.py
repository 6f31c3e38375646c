"""Self-distillation: every output learns from the one that explains a pixel best (Peng et al. 2021, section 3.4)."""

import torch
from torch import Tensor

from backends.torch.losses.hints import log_difference
from backends.torch.losses.means import mean_of_all


def selected_label(sigmoids: list[Tensor], errors: list[Tensor]) -> Tensor:
    """Per pixel the sigmoid whose view fits best, (B, 1, H, W), detached; of equals the first.

    Args:
        sigmoids: of the outputs at full resolution, (B, 1, H, W) each.
        errors: their reprojection errors, (B, 1, H, W) each.
    """
    stacked = torch.cat([error.detach() for error in errors], dim=1)
    return torch.cat([sigmoid.detach() for sigmoid in sigmoids], dim=1).gather(
        1, stacked.argmin(dim=1, keepdim=True)
    )


def distillation_loss(sigmoids: list[Tensor], labels: list[Tensor]) -> Tensor:
    """Mean over the outputs of the mean of log(|label - sigmoid| + 1); a scalar."""
    parts = [
        mean_of_all(log_difference(label, sigmoid)) for sigmoid, label in zip(sigmoids, labels, strict=True)
    ]
    return torch.stack(parts).mean()

"""Self-distillation: every output learns from the one that explains a pixel best (Peng et al. 2021, section 3.4)."""

import paddle
from paddle import Tensor

from backends.paddle.losses.hints import log_difference
from backends.paddle.losses.means import mean_of_all


def selected_label(sigmoids: list[Tensor], errors: list[Tensor]) -> Tensor:
    """Per pixel the sigmoid whose view fits best, (B, 1, H, W), detached; of equals the first.

    Args:
        sigmoids: of the outputs at full resolution, (B, 1, H, W) each.
        errors: their reprojection errors, (B, 1, H, W) each.
    """
    stacked = paddle.concat([error.detach() for error in errors], axis=1)
    # NaN wins, as in PyTorch; `argmin` itself passes over it.
    stacked = paddle.masked_fill(stacked, paddle.isnan(stacked), -float("inf"))
    return paddle.take_along_axis(
        paddle.concat([sigmoid.detach() for sigmoid in sigmoids], axis=1),
        paddle.argmin(stacked, axis=1, keepdim=True),
        axis=1,
    )


def distillation_loss(sigmoids: list[Tensor], labels: list[Tensor]) -> Tensor:
    """Mean over the outputs of the mean of log(|label - sigmoid| + 1); a scalar."""
    parts = [
        mean_of_all(log_difference(label, sigmoid)) for sigmoid, label in zip(sigmoids, labels, strict=True)
    ]
    return paddle.stack(parts).mean()

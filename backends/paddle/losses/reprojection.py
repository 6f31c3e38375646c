"""From error maps to the photometric term: minimum, auto-mask, predictive mask (Godard et al. 2019, eq. 4 and 5)."""

import paddle
from paddle import Tensor

from backends.paddle.losses.means import mean_of_all


def minimum_error(reprojection: Tensor, identity: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Per pixel the smallest candidate error; identity candidates come first and win ties.

    Args:
        reprojection: (B, N, H, W) errors of the warped sources.
        identity: (B, M, H, W) errors of the unwarped sources, noise included; None: no auto-masking.

    Returns:
        The minimum, (B, H, W), and the auto-mask (B, H, W), true where a reprojection won (None without identity).
    """
    candidates = reprojection if identity is None else paddle.concat([identity, reprojection], axis=1)
    if candidates.shape[1] == 1:
        return candidates[:, 0], None
    # The gradient goes to one winner, the first of equals. `min` would split it.
    # `argmin` passes over NaN, which the loss must show: it wins here, as in PyTorch.
    comparable = paddle.masked_fill(candidates.detach(), paddle.isnan(candidates), -float("inf"))
    winner = paddle.argmin(comparable, axis=1, keepdim=True)
    minimum = paddle.take_along_axis(candidates, winner, axis=1)[:, 0]
    return minimum, None if identity is None else winner[:, 0] >= identity.shape[1]


def mask_prior(mask: Tensor) -> Tensor:
    """Keeps a predictive mask from vanishing: 0.2 · mean of −log(mask), cut off at −100 (Zhou et al. 2017)."""
    return -0.2 * mean_of_all(paddle.clip(paddle.log(mask), min=-100))

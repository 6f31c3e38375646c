"""Depth hints: stereo matching teaches where it explains the image better (Watson et al. 2019, section 3.2)."""

import paddle
from paddle import Tensor

NO_HINT = 1000.0  # added to the error where there is none
PREDICTION, IDENTITY, HINT = 0, 1, 2  # who may explain a pixel best


def hint_error(error: Tensor, hint: Tensor) -> Tensor:
    """The photometric error (B, 1, H, W) of a view warped by a hint, out of the running where `hint` is 0."""
    return error + NO_HINT * (hint <= 0).astype(error.dtype)


def winners(reprojection: Tensor, identity: Tensor | None, hint: Tensor | None) -> Tensor:
    """`PREDICTION`, `IDENTITY` or `HINT`, (B, 1, H, W), of the least error; the first of equals in this order.

    Args:
        reprojection: (B, 1, H, W) error of the view warped by the prediction.
        identity: of the view as it is, noise included; None: no auto-mask.
        hint: of the view warped by the hint, see `hint_error`; None: no hints.
    """
    there = [error.detach() for error in (reprojection, identity, hint) if error is not None]
    candidates = paddle.concat(there, axis=1)
    # `argmin` passes over NaN, which the loss must show: it wins here, as in PyTorch.
    comparable = paddle.masked_fill(candidates, paddle.isnan(candidates), -float("inf"))
    winner = paddle.argmin(comparable, axis=1, keepdim=True)
    return HINT * winner if identity is None else winner


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Sum of the values where the mask is true, over their number + 1e-7; a scalar."""
    weights = mask.astype(values.dtype)
    return (values * weights).sum() / (weights.sum() + 1e-7)


def log_difference(label: Tensor, value: Tensor) -> Tensor:
    """log(|label - value| + 1) per pixel."""
    return paddle.log(paddle.abs(label - value) + 1)

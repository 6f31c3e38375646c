"""How far the camera moves, by its measured speed (Guizilini et al. 2020, eq. 7)."""

import torch
from torch import Tensor


def velocity_loss(motions: list[Tensor], true_motions: list[Tensor]) -> Tensor:
    """Mean over sources and batch of the difference of distances, unweighted, a scalar.

    Args:
        motions, true_motions: T_source_target (B, 4, 4) of each source, or their inverses: the distance is the same.
    """
    parts = [
        (distance(motion) - distance(truth)).abs().mean()
        for motion, truth in zip(motions, true_motions, strict=True)
    ]
    return torch.stack(parts).mean()


def distance(T: Tensor) -> Tensor:
    """Length (B,) of the translations of (B, 4, 4); its gradient at 0 is 0."""
    return torch.linalg.vector_norm(T[:, :3, 3], dim=1)

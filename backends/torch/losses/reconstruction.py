"""What the images of an autoencoder differ by (Shu et al. 2020)."""

from torch import Tensor

from backends.torch.geometry import resize
from backends.torch.losses.charbonnier import CharbonnierError
from backends.torch.losses.means import mean_of_all


def reconstruction_terms(images: list[Tensor], target: Tensor, cumulative: bool = False) -> list[Tensor]:
    """Mean error of each scale over their number, scalars: the term is their sum.

    Args:
        images: (B, 3, h, w) in [0, 1], finest first.
        target: (B, 3, H, W), resized to each.
        cumulative: it is resized to a scale from what it was at the one before, as published; otherwise from the
            original.
    """
    terms, resized = [], target
    for image in images:
        resized = resize(resized if cumulative else target, *image.shape[2:])
        terms.append(mean_of_all(CharbonnierError(resized)(image)) / len(images))
    return terms

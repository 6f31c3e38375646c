"""Edge-aware differences of first and second order: smoothness of depth, shape of features (Shu et al. 2020)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from backends.torch.losses.means import mean_of_all
from backends.torch.losses.smoothness import normalize_by_mean

SMOOTHNESS_SHARPNESS, FEATURE_SHARPNESS = 0.5, 1.0  # coefficients of the image's differences in the exponent
LEAST_SIDE = 3  # pixels of what has a second difference
LEAST_IMAGE = 65  # pixels of an image whose fifth feature, rounded up at every halving, has that many


def area_resize(image: Tensor, height: int, width: int) -> Tensor:
    """Each pixel the mean of those it covers."""
    if image.shape[2:] == (height, width):
        return image
    return F.adaptive_avg_pool2d(image, (height, width))


def differences(values: Tensor) -> tuple[Tensor, Tensor]:
    """Next − current along x, (B, C, H, W − 1), and along y, (B, C, H − 1, W)."""
    return values[:, :, :, 1:] - values[:, :, :, :-1], values[:, :, 1:] - values[:, :, :-1]


def edge_aware_orders(values: Tensor, image: Tensor, sharpness: float) -> tuple[Tensor, Tensor]:
    """Sums of mean |∂ values| exp(−sharpness · mean over channels of |∂ image|) of first and of second order, scalars.

    Args:
        values: (B, C, H, W), of at least 3 × 3 pixels; the mean is over all, and the weight shared by the channels.
        image: (B, 3, H, W).

    Raises:
        ValueError: it has fewer pixels, so no second difference along one of the axes.
    """
    height, width = values.shape[2:]
    if min(height, width) < LEAST_SIDE:
        raise ValueError(
            f"a map of {height} x {width} pixels has no second differences; of features, take images of "
            f"{LEAST_IMAGE} or more pixels on each side"
        )
    of_values, of_image = differences(values), differences(image)
    second = [_order_above(*pair, sharpness) for pair in zip(of_values, of_image, strict=True)]
    return _order_above(values, image, sharpness), second[0] + second[1]


def _order_above(values: Tensor, image: Tensor, sharpness: float) -> Tensor:
    """That of the differences of both along x, and along y."""
    (in_x, in_y), (image_x, image_y) = differences(values), differences(image)
    return _weighted(in_x, image_x, sharpness) + _weighted(in_y, image_y, sharpness)


def _weighted(values: Tensor, image: Tensor, sharpness: float) -> Tensor:
    weight = torch.exp(-sharpness * image.abs().mean(dim=1, keepdim=True))
    return mean_of_all(values.abs() * weight)


def smoothness_loss(sigmoid: Tensor, image: Tensor, normalize: bool) -> Tensor:
    """First and second order of a sigmoid map, a scalar.

    Args:
        sigmoid: (B, 1, h, w).
        image: (B, 3, H, W) in [0, 1].
        normalize: the map is divided by its mean over each image first.
    """
    values = normalize_by_mean(sigmoid) if normalize else sigmoid
    image = area_resize(image, *sigmoid.shape[2:])
    return torch.stack(edge_aware_orders(values, image, SMOOTHNESS_SHARPNESS)).sum()


def regularization_terms(
    features: list[Tensor], image: Tensor, discriminative: float, convergent: float
) -> list[Tensor]:
    """What makes features discriminative, by large first differences, and convergent, by small second ones.

    Args:
        features: (B, C, h, w) of each level, finest first.
        image: (B, 3, H, W) in [0, 1].
        discriminative, convergent: weights of the first order, which is subtracted, and of the second.

    Returns:
        A scalar for each, over 2^level and the number of features: the term is their sum.

    Raises:
        ValueError: a feature has less than 3 pixels on a side.
    """
    terms = []
    for level, feature in enumerate(features):
        resized = area_resize(image, *feature.shape[2:])
        first, second = edge_aware_orders(feature, resized, FEATURE_SHARPNESS)
        terms.append((convergent * second - discriminative * first) / 2**level / len(features))
    return terms

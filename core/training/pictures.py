"""Pictures of a training batch for TensorBoard or VisualDL."""

import numpy as np

from core.files.colour import stretch

EXAMPLES = 4


def log_pictures(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the board shows of a batch, under the names of the published program.

    Args:
        arrays: the batch (images (B, 3, H, W) in [0, 1]) and the method's maps.

    Returns:
        uint8 (H, W, 1 or 3) by `color_{frame}_{scale}/{j}`, `color_pred_{frame}_0/{j}`, `disp_{scale}/{j}`
        (`disp/{j}` of a method without sigmoids),
        `automask_{scale}/{j}`, `predictive_mask_{frame}_{scale}/{j}` for the first examples.
    """
    pictures = {}
    for name, array in arrays.items():
        kind, _, rest = name.partition("_")
        for j in range(min(EXAMPLES, len(array))):
            if kind == "image" and rest.endswith("_0"):
                pictures[f"color_{rest}/{j}"] = _to_rgb(array[j])
            elif kind == "warped":
                pictures[f"color_pred_{rest}/{j}"] = _to_rgb(array[j])
            elif kind == "disparity" and "sigmoid_0" not in arrays:
                pictures[f"disp/{j}"] = stretch(array[j, 0])
            elif kind == "sigmoid":
                pictures[f"disp_{rest}/{j}"] = stretch(array[j, 0])
            elif kind in ("automask", "predictive"):
                pictures[f"{name}/{j}"] = (array[j] * 255).astype(np.uint8)[:, :, None]
    return pictures


def _to_rgb(image: np.ndarray) -> np.ndarray:
    """(3, H, W) in [0, 1] → (H, W, 3) uint8."""
    return (np.clip(image, 0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)

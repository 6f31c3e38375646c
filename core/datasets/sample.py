"""What a training item is: a dict of NumPy arrays with these keys, the same for every data set and backend.

| key | type and shape | meaning |
|---|---|---|
| `image_{f}_{s}` | uint8 (H // 2^s, W // 2^s, 3); float32 in [0, 1] where the filter is `float_bilinear` | plain RGB of frame f at scale s: scale 0 of every frame; further scales of the target, of the sources only when `all_scales` |
| `augmented_{f}` | as `image_{f}_0` | scale 0 of frame f, its colours augmented (the plain image where the draw says no); of the sources only when `augmented_sources` |
| `K` | float32 (3, 3) | intrinsics at scale 0, pixels |
| `T_stereo` | float32 (4, 4) | T_source_target of frame `s`; only when `s` is among the frames |
| `T_{f}` | float32 (4, 4) | T_source_target of frame f ≠ 0, only where the camera's motion is known; then `T_stereo` is the measured one |
| `side` | int64 scalar | -1: the left camera of the stereo pair took the target, 1: the right one; also of a mirrored sample |
| `depth` | float32 (1, H, W) | measured camera-z depth of the target, metres, 0 = unknown; for a loss |
| `input_depth` | as `depth` | another one, for a network; where the list names it |
| an extra's name | (…, H, W) | see `core/datasets/extras.py` |
| `index` | int64 scalar | row of the split list, of several lists counted through |

What is there follows from `core.options.needs.Needs`. All of it is cut, mirrored, zoomed and resized alike, see
`core/datasets/preparation.py`. What a prediction is scored by, `dataset.truth(line)`, has its native size and is not here.
f is 0 for the target, an offset in time (-1, 1, …), or `s` for the same moment seen by the other stereo camera.
A batch is the same dict with one axis more in front.
"""  # noqa: E501 (a table)

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Sample = dict[str, np.ndarray]
Frame = int | str


@dataclass(frozen=True)
class Truth:
    """What a sample's prediction is scored by; never in the sample, for it is not resized.

    Attributes:
        depth: (h, w) float32, metres, 0 = unknown, cut as the images were where `Preparation.cut_truth`.
        mirrored: the images were; the depth is mirrored after whatever resizing the protocol asks for.
    """

    depth: np.ndarray
    mirrored: bool = False


def image_key(frame: Frame, scale: int = 0) -> str:
    """Key of a plain image."""
    return f"image_{frame}_{scale}"


def augmented_key(frame: Frame) -> str:
    """Key of a colour-augmented image at scale 0."""
    return f"augmented_{frame}"


def is_image(key: str) -> bool:
    """Whether the key is that of an image, (H, W, 3)."""
    return key.startswith(("image_", "augmented_"))


def input_key(name: str) -> str:
    """Key of what a method's `predict` calls by a name, of the target: the plain image, or the name itself."""
    return image_key(0) if name == "image" else name


def motion_key(frame: Frame) -> str:
    """Key of the known T_source_target of a source."""
    return "T_stereo" if frame == "s" else f"T_{frame}"


def collate(samples: Sequence[Sample]) -> Sample:
    """Stacks samples of equal keys and shapes into a batch: (…) becomes (B, …)."""
    return {key: np.stack([sample[key] for sample in samples]) for key in samples[0]}

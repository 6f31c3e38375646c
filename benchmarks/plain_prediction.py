"""Prediction of a folder of images to the letter: python -m benchmarks.plain_prediction WEIGHTS IMAGES OUTPUT.

Networks with drawn weights, which the files replace; one image after the other, memory in its default layout; disparity
as `.npy`, and in colours at the size of the image.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import cm
from PIL import Image

from backends.torch.networks.depth_decoder import DepthDecoder
from backends.torch.networks.resnet import ResNetEncoder

LEAST, MOST = 1 / 100, 1 / 0.1


def main() -> None:
    """Predicts and writes."""
    weights, images, output = map(Path, sys.argv[1:])
    state = torch.load(weights / "encoder.pth", map_location="cpu", weights_only=True)
    height, width = state["height"], state["width"]
    encoder = ResNetEncoder(18)
    encoder.load_state_dict({name: state[name] for name in encoder.state_dict()})
    decoder = DepthDecoder(encoder.channels, [0, 1, 2, 3])
    decoder.load_state_dict(torch.load(weights / "depth.pth", map_location="cpu", weights_only=True))
    encoder.eval()
    decoder.eval()
    output.mkdir()
    with torch.no_grad():
        for path in sorted(images.iterdir()):
            image = Image.open(path).convert("RGB")
            small = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
            batch = torch.from_numpy(small.transpose(2, 0, 1).copy())[None].float().div(255)
            sigmoid = decoder(encoder(batch))[0]
            np.save(output / f"{path.stem}_disp.npy", (LEAST + (MOST - LEAST) * sigmoid).numpy())
            large = F.interpolate(sigmoid, image.size[::-1], mode="bilinear", align_corners=False)[
                0, 0
            ].numpy()
            norm = mpl.colors.Normalize(vmin=large.min(), vmax=np.percentile(large, 95))
            colours = cm.ScalarMappable(norm=norm, cmap="magma").to_rgba(large)[:, :, :3]
            Image.fromarray((colours * 255).astype(np.uint8)).save(output / f"{path.stem}_disp.jpeg")


if __name__ == "__main__":
    main()

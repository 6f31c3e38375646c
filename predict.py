"""Depth of single images: disparity, depth with its unit, and a colour map at the image's own size."""

from pathlib import Path

from core.errors import UserError, run
from core.options import PredictionOptions
from core.parsing import parse


def main(argv: list[str] | None = None) -> None:
    """Parses, predicts, writes."""
    options = parse(PredictionOptions, argv, __doc__ or "")
    from tqdm import tqdm

    from backends import load_backend
    from core.images import load_image, to_array
    from core.prediction import Prediction, find_images, output_stems

    assert (
        options.image_path is not None and options.load_weights_folder is not None
    )  # validated by the parser
    images = find_images(options.image_path, options.ext)
    stems = output_stems(images, options.output)
    predictor = load_backend(options.backend, "predictor").Predictor(
        options.load_weights_folder,
        options.device,
        num_layers=options.num_layers,
        min_depth=options.min_depth,
        max_depth=options.max_depth,
    )
    if options.pred_metric_depth and not predictor.options.use_stereo:
        raise UserError(
            f"{options.load_weights_folder}: trained without stereo, so its depth has no unit; "
            "leave out --pred_metric_depth"
        )
    model = str(Path(options.load_weights_folder).resolve())
    with tqdm(total=len(images), desc="predict", unit="image", disable=None) as progress:
        for first in range(0, len(images), options.batch_size):
            paths = images[first : first + options.batch_size]
            arrays = [to_array(load_image(path)) for path in paths]
            disparities = predictor.disparity(arrays, options.post_process)
            for path, array, disparity in zip(paths, arrays, disparities, strict=True):
                Prediction(disparity, array.shape[:2], options.pred_metric_depth, model).save(stems[path])
                progress.update()
    print(f"{len(images)} images: *_disp.npy, *_depth.npz and *_disp.jpeg in {stems[images[0]].parent}")


if __name__ == "__main__":
    run(main)

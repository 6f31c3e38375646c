"""Depth metrics of a weights folder, or of saved disparities (then no framework is imported)."""

from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import UserError, run
from core.options import EvaluationOptions
from core.parsing import parse

if TYPE_CHECKING:
    import numpy as np

    from core.splits import SplitLine


def main(argv: list[str] | None = None) -> None:
    """Parses, predicts, compares, reports."""
    options = parse(EvaluationOptions, argv, __doc__ or "")
    from core.evaluation import (
        DepthProtocol,
        evaluate_depth,
        load_disparities,
        save_disparities,
        save_metrics,
    )
    from core.ground_truth import load_ground_truth
    from core.splits import load_split, split_folder

    lines = load_split(options.eval_split, "test")
    truth = None
    if not options.no_eval:  # before the networks run: a missing file should not cost their time
        truth = load_ground_truth(
            Path(options.ground_truth or split_folder(options.eval_split) / "gt_depths.npz"), lines
        )
    if options.ext_disp_to_eval is not None:
        disparities = load_disparities(Path(options.ext_disp_to_eval))
        if len(disparities) != len(lines):
            raise UserError(
                f"{options.ext_disp_to_eval}: holds {len(disparities)} predictions but the split lists "
                f"{len(lines)} images; predict that split, or name theirs with --eval_split"
            )
    else:
        disparities = predict(options, lines)
    if options.save_pred_disps and options.load_weights_folder is not None:
        name = f"disps_{Path(options.eval_split).name}_split.npy"
        save_disparities(Path(options.load_weights_folder) / name, disparities)
    if truth is None:
        return
    protocol = DepthProtocol.from_options(options)
    metrics = evaluate_depth(disparities, truth, protocol)
    print(protocol.describe(len(truth)))
    print(metrics.printed())
    if options.output is not None:
        save_metrics(Path(options.output), metrics)


def predict(options: EvaluationOptions, lines: "list[SplitLine]") -> "np.ndarray":
    """Disparities (N, height, width) of the split's images, at the size of the network."""
    import numpy as np
    from tqdm import tqdm

    from backends import load_backend
    from core.datasets import DATASETS
    from core.loader import batches, number_of_batches
    from core.sample import image_key

    assert options.load_weights_folder is not None  # validated by the parser
    predictor = load_backend(options.backend, "predictor").Predictor(
        options.load_weights_folder,
        options.device,
        num_layers=options.num_layers,
        min_depth=options.min_depth,
        max_depth=options.max_depth,
    )
    dataset = DATASETS["kitti"](
        options.data_path,
        lines,
        [0],
        predictor.height,
        predictor.width,
        [0],
        options.png,
        augment=False,
        seed=0,
    )
    dataset.check_files()
    size, workers = options.batch_size, options.num_workers
    loader = batches(dataset, 0, size, shuffle=False, seed=0, num_workers=workers, drop_last=False)
    total = number_of_batches(len(dataset), size, False)
    progress = tqdm(loader, desc="predict", total=total, unit="batch", disable=None)
    return np.concatenate(
        [predictor.disparity(batch[image_key(0)], options.post_process) for batch in progress]
    )


if __name__ == "__main__":
    run(main)

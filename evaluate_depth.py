"""Depth metrics of a weights folder, or of saved disparities (then no framework is imported)."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import UserError, run, say
from core.options import EvaluationOptions
from core.options.choices import with_choices
from core.options.parsing import parse

if TYPE_CHECKING:
    import numpy as np

    from core.datasets.evaluated_images import EvaluatedImages, Truths
    from core.datasets.sample import Sample
    from core.plausibility.lists import Place, Seen
    from core.weights.npz import NpyRows


def main(argv: list[str] | None = None) -> None:
    """Parses, predicts, compares, reports."""
    options = parse(with_choices(EvaluationOptions), argv, __doc__ or "")
    from core.datasets.evaluated_images import find_evaluated_images
    from core.disparity import STEREO_SCALE_FACTOR
    from core.evaluation.comparison import Scaling
    from core.evaluation.depth import evaluate_depth, printed_scales, save_csv, save_json
    from core.evaluation.disparity_files import free_path, save_disparities, save_unit
    from core.evaluation.groups import groups_to_json, printed_groups
    from core.evaluation.pictures import save_disparity_pictures, save_truth_pictures
    from core.files.inputs import require_no_input
    from core.files.whole import require_writable_folder
    from core.plausibility.evaluation import check_direction, check_one_depth, check_readings, is_flat
    from core.weights.folder import results_folder
    from core.weights.zoo import with_weights

    require_no_input(options, "output", "csv")
    for option in ("disps_path", "pictures"):
        if getattr(options, option) is not None:
            require_writable_folder(Path(getattr(options, option)), option)
    images = find_evaluated_images(options)
    for note in images.notes:
        say(note)
    protocol = options.chosen_protocol
    benchmark = not protocol.rule.metrics  # takes an upload
    # Before the networks run: a missing file should not cost their time.
    truth = None if options.no_eval or benchmark else images.truths()
    moving = None if truth is None else images.regions()
    if truth is not None:
        check_truths(options, images, truth, images.image_sizes(), "images")
    options = with_weights(options)
    predictions: dict[str, Any] = {}
    if options.load_weights_folder is not None:
        predictions, stereo_factor = predict(options, images)
        # All variants are made of the plain prediction; of completions the last has most to show.
        disparities = predictions[""] if "" in predictions else list(predictions.values())[-1]
        check_one_depth(predictions_of(options), sum(map(is_flat, disparities)), len(disparities))
    elif options.pred_depth is not None:
        disparities, stereo_factor = saved_depth(Path(options.pred_depth), len(images.names)), 1.0
    else:
        disparities, stereo_factor = saved_disparities(options, len(images.names)), metres_of(options)
    if options.save_pred_disps and options.load_weights_folder is not None:
        list_of = {
            "split": str(Path(options.split).absolute()),
            "data_path": str(Path(options.data_path).absolute()),
        }
        folder = results_folder(options.load_weights_folder)
        path = free_path(folder / f"disps_{options.split_name}_split.npy", list_of)
        save_disparities(path, disparities)
        save_unit(path, stereo_factor, list_of)
    if options.disps_path is not None:
        save_disparities(Path(options.disps_path) / "disparities.npy", disparities)
    if options.pictures is not None:
        save_disparity_pictures(Path(options.pictures), disparities)
        save_truth_pictures(Path(options.pictures), truth or [])
    if options.no_eval:
        return
    if options.eval_stereo and stereo_factor == STEREO_SCALE_FACTOR and not benchmark:
        check_kitti_baseline(options, images)
    factor = options.pred_depth_scale_factor * (stereo_factor if options.scaling == "unit" else 1.0)
    if benchmark:
        write_upload(options, disparities, factor)
        return
    assert truth is not None
    seen = seen_in_training(options, images)
    check_truths(options, images, truth, predicted_sizes(disparities), "predictions")
    if options.variants or options.input_depth is not None:
        report_rows(options, images, predictions or {"": disparities}, factor, (truth, moving), seen)
        return
    metrics = evaluate_depth(disparities, truth, protocol, Scaling(options.scaling, factor), moving)
    if not check_direction(predictions_of(options), metrics.rank_correlations):
        metres = None if options.scaling == "median" else factor
        check_readings(predictions_of(options), disparities, truth, metres)
    print(metrics.describe())
    print(metrics.counted())
    if seen is not None and seen.mark:
        print(seen.describe())
    if options.accept:
        print(f"accepted: {', '.join(options.accept)}")
    print(metrics.printed())
    if rows := printed_groups(metrics, images.groups):
        print(rows)
    if options.scale_by_sequence and images.sequences:
        print(printed_scales(metrics.scale_by_sequence(images.sequences)))
    if options.output is not None:
        groups = groups_to_json(metrics, images.groups)
        of = origin(options, images, seen)
        save_json(Path(options.output), metrics, images.names, images.sequences, groups, of)
    if options.csv is not None:
        save_csv(Path(options.csv), metrics, images.names)


def check_truths(
    options: EvaluationOptions,
    images: "EvaluatedImages",
    truth: "Truths",
    seen: "Sequence[tuple[int, int] | None]",
    what: str,
) -> None:
    """Makes sure that the truths have the shapes of their images or predictions, where they are all at hand.

    Raises:
        UserError: one is turned.
    """
    from core.plausibility.truth import check_shapes

    if isinstance(truth, list) and len(seen) == len(truth):
        where = images.truth_file() or f"ground truth of {options.split}"
        check_shapes(where, [one.shape for one in truth], seen, images.names, what)


def predictions_of(options: EvaluationOptions) -> str:
    """What is compared, for messages."""
    return options.ext_disp_to_eval or options.pred_depth or options.load_weights_folder or ""


def metres_of(options: EvaluationOptions) -> float:
    """Metres in a unit of saved disparities: as the file beside them says, else as the weights there do, else KITTI's.

    Raises:
        UserError: --eval_stereo asks for metres that nobody knows.
    """
    from core.disparity import STEREO_SCALE_FACTOR
    from core.evaluation.disparity_files import read_unit
    from core.options.parsing import load_method_options
    from core.weights.folder import OPTIONS_FILE, results_folder

    path = Path(options.ext_disp_to_eval or "")
    said = read_unit(path)
    if said is not None:
        return said
    file = results_folder(path) / OPTIONS_FILE
    factor = load_method_options(file).stereo_scale_factor if file.is_file() else None
    if factor is None and options.eval_stereo and (file.is_file() or options.reader == "folder"):
        raise UserError(
            f"{path}: nothing says how many metres its unit has: use --eval_mono --disable_median_scaling "
            "--pred_depth_scale_factor METRES, which is the distance of the stereo cameras in metres times 10"
        )
    return STEREO_SCALE_FACTOR if factor is None else factor


def check_kitti_baseline(options: EvaluationOptions, images: "EvaluatedImages") -> None:
    """Makes sure that the stereo cameras of a tree like KITTI's are KITTI's 0.54 m apart, where a calibration says it.

    Raises:
        UserError: they are not, unless that is accepted.
    """
    if options.reader not in ("kitti", "kitti_depth"):
        return
    from core.datasets.layouts.kitti_raw import check_rig

    for folder in dict.fromkeys(line.folder.split("/")[0] for line in getattr(images, "lines", [])):
        file = Path(options.data_path) / folder / "calib_cam_to_cam.txt"
        if file.is_file():
            check_rig(file, False, True)


def seen_in_training(options: EvaluationOptions, images: "EvaluatedImages") -> "Seen | None":
    """How many test images the weights were trained on, by the `options.yaml` beside them; None: nobody knows."""
    from core.plausibility.lists import Seen, check_lines, check_test, seen_in_training

    tested = [line.place for line in getattr(images, "lines", [])]
    check_lines(f"split {options.split}, test", tested)
    trained = trained_lines(options) if tested else None
    if trained is None:
        return None
    check_test(*trained, tested)
    return Seen(*seen_in_training(trained[1], tested), len(tested))


def trained_lines(options: EvaluationOptions) -> "tuple[str, list[Place]] | None":
    """What weights, or the predictions beside them, were trained on, and what says so; None where nothing does.

    Those that their training started from were trained, too.
    """
    from core.weights.folder import OPTIONS_FILE, results_folder

    source, files, lines = options.load_weights_folder or options.ext_disp_to_eval, [], []
    while source is not None:
        file = results_folder(source) / OPTIONS_FILE
        found = None if file in files or not file.is_file() else listed(file, options.reader)
        if found is None:
            break
        files.append(file)
        lines += found[0]
        source = found[1]
    return (str(files[0]), lines) if files else None


def listed(file: Path, dataset: str) -> "tuple[list[Place], str | None] | None":
    """The training lines of a run by its `options.yaml`, and the weights that it started from; None: unknown.

    Args:
        dataset: the reader whose lines count.
    """
    from core.datasets.splits import load_split
    from core.options.parsing import load_method_options

    try:
        trained = load_method_options(file)
        listings = [one for one in trained.listings("train") if one.dataset == dataset]
        places = [line.place for one in listings for line in load_split(one.split, "train")]
    except UserError:  # lists may lie elsewhere now
        return None
    return places, trained.load_weights_folder


def predicted_sizes(disparities: "Sequence[np.ndarray] | np.ndarray") -> list[tuple[int, int] | None]:
    """(height, width) of each prediction where all are in one array; None of those that have a file each."""
    shape = getattr(disparities, "shape", None)
    return [None if shape is None else (shape[1], shape[2])] * len(disparities)


def origin(options: EvaluationOptions, images: "EvaluatedImages", seen: "Seen | None") -> dict[str, object]:
    """What the numbers are of, for the JSON: where images, predictions and truth lie, and what was found in them."""
    from core.plausibility import checks

    return {
        "data_path": options.data_path,
        "dataset": options.reader,
        "image_files": images.image_files(),
        "split": options.split,
        "weights": options.load_weights_folder,
        "predictions": options.ext_disp_to_eval or options.pred_depth,
        "ground_truth": options.gt_depth if images.truth_file() is None else str(images.truth_file()),
        "seen_in_training": None if seen is None else seen.to_json(),
        "accepted": checks.accepted(),
        "warnings": checks.warnings(),
    }


def report_rows(
    options: EvaluationOptions,
    images: "EvaluatedImages",
    predictions: "dict[str, Sequence[np.ndarray] | np.ndarray]",
    factor: float,
    known: "tuple[Truths, Sequence[np.ndarray] | None]",
    seen: "Seen | None",
) -> None:
    """Measures, prints and writes all variants of the predictions, or those of the image alone and with depth.

    Args:
        predictions: disparities, as `predict` gives them.
        factor: that of predictions that are not scaled by medians.
        known: the truth, and what moves where that is known.
        seen: see `seen_in_training`.
    """
    from core.evaluation.comparison import Scaling
    from core.evaluation.groups import groups_to_json, printed_groups
    from core.evaluation.variants import evaluate_completion, evaluate_variants, save_variants
    from core.plausibility.evaluation import check_direction, check_readings

    protocol, (truth, moving) = options.chosen_protocol, known
    if options.input_depth is not None:
        scaling = Scaling(options.scaling, factor)
        found = evaluate_completion(predictions, truth, protocol, scaling, options.input_depth, moving)
    else:
        unscaled = Scaling("unit" if options.eval_stereo else "none", factor)
        scaled = Scaling("median", options.pred_depth_scale_factor)
        found = evaluate_variants(predictions, truth, protocol, unscaled, scaled, moving)
    first = next(iter(found.metrics.values()))
    if not check_direction(predictions_of(options), first.rank_correlations):
        check_readings(predictions_of(options), next(iter(predictions.values())), truth)
    words = None if seen is None else seen.describe()
    print(f"{found.describe()} |{first.counted()}{f' | {words}' if words else ''}")
    if options.accept:
        print(f"accepted: {', '.join(options.accept)}")
    print(found.printed())
    if rows := printed_groups(found, images.groups):
        print(rows)
    if options.output is not None:
        groups = groups_to_json(found, images.groups)
        of = origin(options, images, seen)
        save_variants(Path(options.output), found, images.names, images.sequences, groups, of)


def saved_depth(folder: Path, images: int) -> "Sequence[np.ndarray]":
    """1 / depth of `--pred_depth`, read one by one, one for each image."""
    from core.datasets.evaluated_images import OnDemand
    from core.evaluation.depth_predictions import find_predictions, read_prediction

    return OnDemand(find_predictions(folder, images), read_prediction)


def saved_disparities(options: EvaluationOptions, images: int) -> "np.ndarray | NpyRows":
    """Disparities (N, height, width) of `--ext_disp_to_eval`, one for each of the split's images."""
    import numpy as np

    from core.datasets.splits import eigen_benchmark_rows, load_split
    from core.evaluation.disparity_files import open_disparities

    path = Path(options.ext_disp_to_eval or "")
    disparities = open_disparities(path)
    if options.eval_eigen_to_benchmark:
        eigen = len(load_split("eigen", "test"))
        if len(disparities) != eigen:
            raise UserError(
                f"{path}: holds {len(disparities)} predictions, but --eval_eigen_to_benchmark chooses from the "
                f"{eigen} of split eigen; leave it out for predictions of eigen_benchmark"
            )
        rows = eigen_benchmark_rows()
        disparities = disparities[rows] if isinstance(disparities, np.ndarray) else disparities.take(rows)
    if len(disparities) != images:
        raise UserError(
            f"{path}: holds {len(disparities)} predictions but the split lists {images} images; "
            "predict that split, or name theirs with --eval_split"
        )
    return disparities


def write_upload(options: EvaluationOptions, disparities: "np.ndarray", scale_factor: float) -> None:
    """Writes the images that KITTI's benchmark takes, beside the weights or the saved disparities."""
    from core.evaluation.disparity_files import BENCHMARK_FOLDER, save_benchmark_images
    from core.weights.folder import results_folder

    beside = results_folder(options.load_weights_folder or options.ext_disp_to_eval or "")
    folder = beside / BENCHMARK_FOLDER
    save_benchmark_images(folder, disparities, scale_factor)
    print(f"{len(disparities)} depth images for KITTI's benchmark (16 bit, value / 256 = metres) in {folder}")


def predict(options: EvaluationOptions, images: "EvaluatedImages") -> "tuple[dict[str, np.ndarray], float]":
    """Disparities (N, height, width) of the images, at the size of the network; metres in a unit of its depth.

    Returns:
        What the options ask for, as ""; of all variants also that averaged with the mirrored image's, as `_pp`; with
        depth beside the image, by the names of the rows. And the metres.

    Raises:
        UserError: images are missing or damaged, or metres are asked of a model that does not know them.
    """

    from backends import load_predictor
    from core.datasets.input_depth import INPUT_DEPTH, require_input_depth
    from core.datasets.sample import image_key
    from core.evaluation.variants import BLENDED, PREDICTION, completion_name

    predictor = load_predictor(options)
    trained = predictor.options
    if options.network:
        values = [f"{name} {getattr(trained, name)}" for name in options.network if hasattr(trained, name)]
        print(f"network: {', '.join(values)}, as {options.chosen_protocol.name} has it unless given")
    factor = trained.stereo_scale_factor
    uses_stereo = "s" in trained.needs("train").frames
    if options.eval_stereo and uses_stereo and factor is None:
        raise UserError(
            f"{options.load_weights_folder}: trained with stereo cameras at an unknown distance: use --eval_mono "
            "--disable_median_scaling --pred_depth_scale_factor METRES, which is their distance in metres times 10"
        )
    if options.eval_stereo and not trained.is_metric:  # no error: the weights may come from elsewhere
        say(
            f"{options.load_weights_folder}: as far as its files say, trained without stereo or known poses, so its "
            "depth has no unit; --eval_mono scales it by medians"
        )
    preparation, blend = trained.preparation("val"), options.post_process
    if options.input_depth is not None:
        require_input_depth(predictor.method.inputs, options.load_weights_folder or "", trained.method)
        depths = {
            completion_name(share): images.samples_with_depth(
                dataclasses.replace(preparation, input_depth_points=share), options.input_depth
            )
            for share in options.input_depth_points
        }
        for note in next(iter(depths.values())).news():
            say(note)
    samples = images.samples(preparation)
    if options.variants:
        pairs = (predictor.disparity_pair(batch[image_key(0)]) for batch in all_batches(options, samples))
        plain, blended = joined(pairs, len(samples))
        return {"": plain, BLENDED: blended}, factor or 1.0
    parts = ((predictor.disparity(batch[image_key(0)], blend),) for batch in all_batches(options, samples))
    (alone,) = joined(parts, len(samples))
    if options.input_depth is None:
        return {"": alone}, factor or 1.0
    rows = {PREDICTION: alone}
    for name, completed in depths.items():
        parts = (
            (predictor.disparity(batch[image_key(0)], blend, {INPUT_DEPTH: batch[INPUT_DEPTH]}),)
            for batch in all_batches(options, completed, name)
        )
        (rows[name],) = joined(parts, len(samples))
    return rows, factor or 1.0


def joined(parts: "Iterable[tuple[np.ndarray, ...]]", count: int) -> "list[np.ndarray]":
    """Arrays of batches, `count` images in all, in one array each, without ever being there twice."""
    import numpy as np

    whole: list[np.ndarray] = []
    filled = 0
    for arrays in parts:
        whole = whole or [np.empty((count, *array.shape[1:]), array.dtype) for array in arrays]
        for target, array in zip(whole, arrays, strict=True):
            target[filled : filled + len(array)] = array
        filled += len(arrays[0])
    assert filled == count
    return whole


def all_batches(options: EvaluationOptions, dataset: Any, title: str = "predict") -> "Iterator[Sample]":
    """Samples in their order, with a bar that says how far it is."""
    from tqdm import tqdm

    from core.datasets.loader import batches, number_of_batches

    size, workers = options.batch_size, options.num_workers
    loader = batches(dataset, 0, size, shuffle=False, seed=0, num_workers=workers, drop_last=False)
    total = number_of_batches(len(dataset), size, False)
    yield from tqdm(loader, desc=title, total=total, unit="batch", disable=None)


if __name__ == "__main__":
    run(main)

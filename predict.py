"""Depth of images, videos and cameras: disparity, depth with its unit, colour maps, point clouds."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import UserError, run
from core.options import PredictionOptions
from core.options.choices import with_choices
from core.options.parsing import parse

if TYPE_CHECKING:
    import numpy as np

    from core.prediction.files import PredictionWriter


def main(argv: list[str] | None = None) -> None:
    """Parses, predicts, writes."""
    options = parse(with_choices(PredictionOptions), argv, __doc__ or "")
    from core.files.inputs import find_video, videos_in

    assert options.image_path is not None  # validated by the parser
    source = find_video(options.image_path)
    require_folder(options.output)
    if source is not None:
        predict_videos(options, [source])
    elif videos := videos_in(options.image_path, options.ext):
        predict_videos(options, videos)
    elif options.frames is not None:
        raise UserError("option frames: only a video or a webcam has frames")
    else:
        predict_images(options, options.image_path)


def require_folder(output: str | None) -> None:
    """Makes sure, before anything is loaded, that results can be written.

    Raises:
        UserError: it is a file, or looks like one; or it cannot be written to.
    """
    from core.files.inputs import OTHER_IMAGES, VIDEO_EXTENSIONS
    from core.files.whole import require_writable_folder

    if output is None:
        return
    file = Path(output)
    if file.suffix.lower() in (*VIDEO_EXTENSIONS, *OTHER_IMAGES, ".npy", ".npz") and not file.is_dir():
        raise UserError(
            f"option output: {output}: is the name of a file; name a folder, the results are called after the input"
        )
    require_writable_folder(file, "output")


def predict_videos(options: PredictionOptions, sources: "Sequence[Path | int]") -> None:
    """Predicts videos, one after the other."""
    if options.input_depth is not None:
        raise UserError("option input_depth: is of images; make images of the video, or leave it out")
    for source in sources:
        predict_video(options, source)


def predict_images(options: PredictionOptions, image_path: str) -> None:
    """Writes the files of each image."""
    from tqdm import tqdm

    from core.files.inputs import find_images, numbered_stems, output_stems
    from core.prediction.beside import Afterwards, ahead
    from core.prediction.files import IN_FOLDERS
    from core.prediction.overwriting import files_of, require_replaceable

    images = find_images(image_path, options.ext)
    kinds = ["disparity", "depth", "colour"] if options.save == ["auto"] else options.save
    if all(kind in IN_FOLDERS for kind in kinds):
        stems = numbered_stems(images, options.output)
    else:
        stems = output_stems(images, options.output, Path(image_path) if Path(image_path).is_dir() else None)
    foreign = require_replaceable(
        files_of(stems.values(), kinds), [*images, *listed(image_path)], options.overwrite
    )
    given = GivenDepth(options, images)
    predictor, writer = load_model(options, kinds)
    given.require(predictor)
    batches = ahead(read_batches(options, images, given, predictor))
    with (
        tqdm(total=len(images), desc="predict", unit="image", disable=None) as progress,
        closing(batches),
        Afterwards() as later,
    ):
        for batch in batches:
            found = predictor.predictions(batch.arrays, options.post_process, batch.inputs)
            for path, array, maps in zip(batch.paths, batch.arrays, found, strict=True):
                later.call(writer.save, stems[path], array, **maps)
                later.call(progress.update)
    made = f"{writer.describe()} in {stems[images[0]].parent}"
    print(f"{len(images)} images{given.describe()}: {made}{replaced(foreign)}")
    print(writer.range())


@dataclass(frozen=True)
class Batch:
    """Images as they came, and what the network takes beside them."""

    paths: list[Path]
    arrays: "list[np.ndarray]"
    inputs: "dict[str, np.ndarray]"


def read_batches(
    options: PredictionOptions, images: list[Path], given: "GivenDepth", predictor: Any
) -> Iterator[Batch]:
    """The images, as many at once as the options say.

    Raises:
        UserError: one is missing or damaged.
    """
    from core.files.images import load_image, to_array
    from core.files.inputs import in_batches

    for paths in in_batches(images, options.batch_size):
        arrays = [to_array(load_image(path)) for path in paths]
        yield Batch(paths, arrays, given.inputs(paths, arrays, predictor))


class GivenDepth:
    """The depth that the user gives beside images, if any.

    Raises:
        UserError: an image has none.
    """

    def __init__(self, options: PredictionOptions, images: list[Path]) -> None:
        from core.datasets.input_depth import find_input_depth

        self.options, self.points = options, 0
        path = options.input_depth
        files = [] if path is None else find_input_depth(Path(path), images)
        self.files = dict(zip(images, files, strict=False))

    def require(self, predictor: Any) -> None:
        """Raises UserError for a model that takes no depth."""
        from core.datasets.input_depth import require_input_depth

        if self.files:
            require_input_depth(predictor.method.inputs, str(predictor.folder), predictor.options.method)

    def inputs(
        self, paths: list[Path], images: "list[np.ndarray]", predictor: Any
    ) -> "dict[str, np.ndarray]":
        """What the predictor takes beside a batch of images."""
        from core.datasets.input_depth import INPUT_DEPTH, network_depths, read_input_depth

        if not self.files:
            return {}
        share = self.options.input_depth_points
        depths = [
            read_input_depth(self.files[path], (image.shape[0], image.shape[1]), share)
            for path, image in zip(paths, images, strict=True)
        ]
        self.points += sum(int((depth > 0).sum()) for depth in depths)
        return {INPUT_DEPTH: network_depths(depths, predictor.preparation)}

    def describe(self) -> str:
        """A few words for the report, once all images are read."""
        if not self.files:
            return ""
        share = self.options.input_depth_points
        some = "" if share == 1 else f", {share:.3g} of those given"
        mean = round(self.points / len(self.files))
        return f" with depth of {self.options.input_depth} ({mean} points per image{some})"


def listed(image_path: str) -> list[Path]:
    """The list of images, where that is what was named."""
    return [Path(image_path)] if Path(image_path).is_file() else []


def replaced(foreign: list[Path]) -> str:
    """The end of the last line, where files of others were replaced."""
    if not foreign:
        return ""
    return f"; replaced, though not written by predict.py: {foreign[0]}" + (
        f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
    )


def predict_video(options: PredictionOptions, source: Path | int) -> None:
    """Writes a video of frames and colour maps, and the files of each frame; Ctrl-C ends a camera's video."""
    from tqdm import tqdm

    from core.files.inputs import in_batches
    from core.files.video import VideoReader, write_video
    from core.prediction.beside import ahead
    from core.prediction.overwriting import files_of_frames, require_replaceable

    reader = VideoReader(source)
    camera = isinstance(source, int)
    stem = Path("webcam") if isinstance(source, int) else source.with_suffix("")
    stem = Path(options.output or stem.parent) / stem.name
    kinds = ["colour"] if options.save == ["auto"] else options.save
    outputs = files_of_frames(stem, [kind for kind in kinds if kind != "colour"])
    outputs += [Path(f"{stem}_disp.mp4")] if "colour" in kinds else []
    inputs = [source] if isinstance(source, Path) else []
    foreign = require_replaceable(outputs, inputs, options.overwrite)
    predictor, writer = load_model(options, [kind for kind in kinds if kind != "colour"])
    limits = [number for number in (options.frames, reader.length) if number is not None]
    total = min(limits, default=None)
    with tqdm(total=total, desc="predict", unit="frame", disable=None) as progress:
        batches = in_batches(islice(reader, options.frames), options.batch_size)
        # A camera's frames should be those of now.
        pairs = predicted_frames(
            options, batches if camera else ahead(batches), predictor, writer, stem, progress
        )
        if "colour" in kinds:
            made = [f"{stem}_disp.mp4"]
            count, interrupted = write_video(Path(made[0]), pairs, reader.frame_rate)
        else:
            made, (count, interrupted) = [], exhaust(pairs)
    reader.close()
    made += [f"{writer.describe()} in {stem}_predictions"] if writer.kinds else []
    announced = f" of {total} announced" if total is not None and count < total else ""
    print(f"{count} frames{announced}: {'; '.join(made)}{replaced(foreign)}", flush=True)
    print(writer.range(), flush=True)
    if interrupted and not camera:  # Ctrl-C is how a camera's video ends
        raise KeyboardInterrupt


def exhaust(frames: "Iterator[np.ndarray]") -> tuple[int, bool]:
    """Takes all frames; their number, and whether Ctrl-C came between."""
    count = 0
    try:
        for _ in frames:
            count += 1
    except KeyboardInterrupt:
        return count, True
    return count, False


def predicted_frames(
    options: PredictionOptions,
    batches: "Iterator[list[np.ndarray]]",
    predictor: Any,
    writer: "PredictionWriter",
    stem: Path,
    progress: Any,
) -> "Iterator[np.ndarray]":
    """Predicts frames; writes the files of each frame and gives it beside its colour map, (H, 2 W, 3) uint8."""
    import numpy as np

    from core.files.colour import SteadyLimits, colour_map

    limits, number = SteadyLimits(), 0
    for frames in batches:
        found = predictor.predictions(frames, options.post_process)
        for frame, maps in zip(frames, found, strict=True):
            writer.save(stem.with_name(f"{stem.name}_predictions") / f"{number:06d}", frame, **maps)
            disparity = maps["disparity"]
            colours = colour_map(disparity, frame.shape[:2], limits.update(disparity))
            yield np.concatenate([frame, colours], axis=1)
            number += 1
            progress.update()


def load_model(options: PredictionOptions, kinds: list[str]) -> "tuple[Any, PredictionWriter]":
    """The predictor, and what writes the files of these kinds.

    Raises:
        UserError: the folder holds no model, or metres are asked of a model that does not know them.
    """
    from backends import load_predictor
    from core.prediction.files import PredictionWriter
    from core.weights.zoo import with_weights

    name = options.load_weights_folder or options.model_name
    options = with_weights(dataclasses.replace(options, load_weights_folder=name))
    predictor = load_predictor(options)
    trained = predictor.options
    if "points" in options.save and options.intrinsics is None and not predictor.has_rays:
        raise UserError(
            "option save: points need --intrinsics fx fy cx cy in units of the image size (KITTI: 0.58 1.92 0.5 0.5)"
        )
    if "rays" in options.save and not predictor.has_rays:
        raise UserError(f"option save: {options.load_weights_folder} finds no rays; leave out rays")
    if options.pred_metric_depth and not trained.is_metric:
        stereo = "s" in trained.needs("train").frames
        reason = "with cameras at an unknown distance" if stereo else "without stereo or known poses"
        raise UserError(
            f"{options.load_weights_folder}: trained {reason}, so its depth has no unit; leave out "
            "--pred_metric_depth, or give a factor that you know by --pred_depth_scale_factor"
        )
    if trained.is_metric and trained.stereo_scale_factor == 1:  # its unit is the metre as it is
        options = dataclasses.replace(options, pred_metric_depth=True)
    model = str(Path(options.load_weights_folder or "").resolve())
    factor = trained.stereo_scale_factor or 1.0
    return predictor, PredictionWriter(options, kinds, model, trained.largest_depth, factor)


if __name__ == "__main__":
    run(main)

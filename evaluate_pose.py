"""Errors of the camera's path: of a weights folder, or of poses in a file (then no framework is imported)."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import UserError, run
from core.options import PoseEvaluationOptions
from core.options.parsing import parse

if TYPE_CHECKING:
    import numpy as np

    from core.datasets.sequences import ImageSequence
    from core.datasets.splits import SplitLine
    from core.odometry.trajectories import Trajectory

SCALE_NOTE = "scale, 7dof and scale_7dof fit the scale, which training on video alone leaves arbitrary"


def main(argv: list[str] | None = None) -> None:
    """Parses, predicts or reads, compares, reports."""
    options = parse(PoseEvaluationOptions, argv, __doc__ or "")
    from core.weights.folder import results_folder
    from core.weights.zoo import with_weights

    options = with_weights(options)
    if options.load_weights_folder is not None:
        evaluate_weights(options, Path(options.output or results_folder(options.load_weights_folder)))
    else:
        evaluate_file(options)


def evaluate_weights(options: PoseEvaluationOptions, folder: Path) -> None:
    """Predicts the motions of a sequence, writes them and their path into a folder, and compares."""
    import numpy as np

    from core.files.inputs import require_no_input
    from core.odometry.report import match_frames, numbered_alike
    from core.odometry.trajectories import Trajectory, chain, save_motions, write_trajectory

    lines = find_lines(options)
    name = sequence_name(options, lines[0].folder)
    sequence = own_images(options, lines[0].folder)
    frames = frame_of(lines[0], sequence) + np.arange(len(lines) + 1)
    truth = None
    if not options.no_eval:  # before the network runs: a missing file should not cost its time
        standing = Trajectory(frames, np.tile(np.eye(4), (len(frames), 1, 1)))
        truth = numbered_alike(
            read_truth(ground_truth_file(options, lines[0].folder), sequence, len(frames)), standing
        )
        match_frames(name, standing, truth)
    results = [folder / file for file in ("poses.npy", f"trajectory_{name}.txt", f"odometry_{name}.json")]
    require_no_input(options, results=results)
    T_next_current = predict(options, lines)
    trajectory = Trajectory(frames, chain(T_next_current))
    save_motions(folder / "poses.npy", T_next_current)
    numbers = frames if sequence is None else np.array([sequence.number_of(int(frame)) for frame in frames])
    write_trajectory(folder / f"trajectory_{name}.txt", replace(trajectory, frames=numbers))
    if truth is not None:
        report(name, trajectory, truth, T_next_current, folder, predicted=True)


def evaluate_file(options: PoseEvaluationOptions) -> None:
    """Compares a user's own poses or motions; writes only where `--output` says."""
    import numpy as np

    from core.datasets.splits import SplitLine
    from core.odometry.trajectories import Trajectory, chain, load_motions, read_trajectory

    folder = None if options.output is None else Path(options.output)
    sequence = None
    if options.ground_truth is None:
        of = find_lines(options)[0].folder
        truth_file, sequence = ground_truth_file(options, of), own_images(options, of)
    else:
        truth_file = Path(options.ground_truth)
    if options.trajectory is not None:
        name, motions = Path(options.trajectory).stem, None
        trajectory = read_trajectory(Path(options.trajectory))
        if sequence is not None and trajectory.numbered:
            frames = [frame_of(SplitLine(of, number), sequence) for number in trajectory.frames.tolist()]
            trajectory = replace(trajectory, frames=np.array(frames))
    else:
        file = Path(options.ext_poses_to_eval or "")
        name, motions = file.stem, load_motions(file)
        trajectory = Trajectory(np.arange(len(motions) + 1), chain(motions), numbered=False)
    truth = read_truth(truth_file, sequence, len(trajectory.frames))
    report(name, trajectory, truth, motions, folder)


def report(
    name: str,
    trajectory: "Trajectory",
    truth: "Trajectory",
    T_next_current: "np.ndarray | None",
    folder: Path | None,
    predicted: bool = False,
) -> None:
    """Prints the errors; writes them as JSON, and a picture of the path, where there is a folder."""
    from core.odometry.plot import save_path_plot
    from core.odometry.report import evaluate_odometry
    from core.plausibility import checks

    result = evaluate_odometry(name, trajectory, truth, T_next_current, predicted)
    print(result.printed())
    print(SCALE_NOTE)
    if checks.accepted():
        print(f"accepted: {', '.join(checks.accepted())}")
    if folder is not None:
        result.save(folder / f"odometry_{name}.json")
        save_path_plot(folder / f"path_{name}.png", name, trajectory, truth)


def find_lines(options: PoseEvaluationOptions) -> "list[SplitLine]":
    """The lines of the path: of the list that is asked for, or of a whole video.

    Raises:
        UserError: they are not one camera's consecutive frames of one sequence.
    """
    if options.eval_split is None and options.dataset == "folder":
        from core.datasets.layouts.folder import all_frames

        lines = all_frames(Path(options.data_path))
        return consecutive(lines, options.data_path, own_images(options, lines[0].folder))
    from core.datasets.splits import load_split

    split = options.eval_split or "odom_9"
    lines = load_split(split, "test")
    return consecutive(lines, f"split {split}", own_images(options, lines[0].folder))


def own_images(options: PoseEvaluationOptions, folder: str) -> "ImageSequence | None":
    """The images of a user's own sequence, in whose names the numbers of lists and poses stand; else None.

    Raises:
        UserError: they are not there.
    """
    if options.dataset != "folder":
        return None
    from core.datasets.layouts.folder import own_sequence

    return own_sequence(Path(options.data_path), folder)


def frame_of(line: "SplitLine", sequence: "ImageSequence | None") -> int:
    """The frame of a line, whose neighbours are one more and one less.

    Raises:
        UserError: no image has its number.
    """
    frame = line.frame if sequence is None else sequence.frame_of(line.frame)
    if frame is None:
        raise UserError(f"{line}: no image of {sequence and sequence.folder} has that number in its name")
    return frame


def read_truth(path: Path, sequence: "ImageSequence | None", count: int) -> "Trajectory":
    """The true poses, by frame, to be compared with so many."""
    if sequence is None:
        from core.odometry.trajectories import read_trajectory

        return read_trajectory(path)
    from core.datasets.layouts.folder import own_truth

    return own_truth(path, sequence, count)


def consecutive(
    lines: "list[SplitLine]", where: str, sequence: "ImageSequence | None" = None
) -> "list[SplitLine]":
    """The lines, if they are one camera's consecutive frames of one sequence.

    Raises:
        UserError: they are not.
    """
    for previous, line in pairwise(lines):
        expected = (previous.folder, previous.side)
        neighbours = frame_of(line, sequence) == frame_of(previous, sequence) + 1
        if (line.folder, line.side) != expected or not neighbours:
            raise UserError(
                f"{where}: {str(line)!r} after {str(previous)!r}; a path needs consecutive frames of one "
                "sequence and camera"
            )
    return lines


def sequence_name(options: PoseEvaluationOptions, folder: str) -> str:
    """`09` of KITTI's sequence 9; of a drive its folder's name, of a whole video its own."""
    if folder.isascii() and folder.isdigit():
        return f"{int(folder):02d}"
    return Path(folder).name or Path(options.data_path).resolve().stem


def ground_truth_file(options: PoseEvaluationOptions, folder: str) -> Path:
    """The file of true poses: as asked for, or KITTI's own of that sequence, or a video's own beside its images.

    Raises:
        UserError: none was asked for, and the drive has no number to find it by.
    """
    if options.ground_truth is not None:
        return Path(options.ground_truth)
    if options.dataset == "folder":
        from core.datasets.layouts.folder import POSES_FILE
        from core.datasets.videos import video_folder

        own = video_folder(Path(options.data_path)) / folder / POSES_FILE
        if own.is_file():
            return own
    name = sequence_name(options, folder)
    if not name.isdigit():
        of = options.data_path if folder == "." else folder
        raise UserError(f"--ground_truth is missing: the file of poses of {of}, in KITTI's format")
    return Path(options.data_path) / "poses" / f"{name}.txt"


def predict(options: PoseEvaluationOptions, lines: "list[SplitLine]") -> "np.ndarray":
    """T_next_current (N, 4, 4) float32 of each line's frame t and the following one."""
    import numpy as np
    from tqdm import tqdm

    from backends import load_backend
    from core.datasets import reader
    from core.datasets.loader import batches, number_of_batches
    from core.datasets.sample import image_key
    from core.datasets.splits import SplitLine
    from core.odometry.windows import PoseWindows
    from core.options.needs import Needs

    assert options.load_weights_folder is not None  # validated by the parser
    predictor = load_backend(options.backend, "predictor").Predictor(
        options.load_weights_folder,
        options.device,
        untold={"height": options.height, "width": options.width},
        num_layers=options.num_layers,
        pose_model_type=options.pose_model_type,
        pose_model_input=options.pose_model_input,
    )
    windows = PoseWindows.plan(predictor.pose_frames(), len(lines) + 1)
    first, size, workers = lines[0], options.batch_size, options.num_workers
    sequence = own_images(options, first.folder)
    centres = [frame_of(first, sequence) + int(centre) for centre in windows.centres]
    numbers = centres if sequence is None else [sequence.number_of(centre) for centre in centres]
    dataset = reader(options.dataset)(
        options.data_path,
        [SplitLine(first.folder, number, first.side) for number in numbers],
        Needs(frames=tuple(windows.frames), augmented=False),
        predictor.options.preparation("val"),
        png=options.png or None,
        cache_images=4 * (size + workers),  # an image belongs to several windows: decoded once
    )
    dataset.check_files()
    loader = batches(dataset, 0, size, shuffle=False, seed=0, num_workers=workers, drop_last=False)
    total = number_of_batches(len(dataset), size, False)
    progress = tqdm(loader, desc="predict", total=total, unit="batch", disable=None)
    found = [predictor.T_sources_target([batch[image_key(f)] for f in windows.frames]) for batch in progress]
    return windows.T_next_current(np.concatenate(found))


if __name__ == "__main__":
    run(main)

"""Every option of the scripts, once: source of the command line, of YAML keys, `--help` and `options.yaml`.

Names and defaults are those that users of Monodepth2 know (`num_layers`, `frame_ids`, …); `core.parsing`
turns a class into a command line. Imports neither NumPy nor a framework: `--help` has to be instant.
"""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

import dataclasses
import os
import re
from dataclasses import dataclass
from typing import Any

from core.errors import UserError

RESNET_LAYERS = (18, 34, 50, 101, 152)
DATASETS = ("kitti", "kitti_odom", "kitti_depth", "kitti_test", "folder")
NOMINAL_BASELINE = 0.1  # what training calls the distance of the stereo cameras: the unit of depth follows from it
KITTI_BASELINE = 0.54  # metres
MODEL_NAMES = ("encoder", "depth", "pose_encoder", "pose", "predictive_mask")

# What the published program had under another name; the parser tells whoever types the old one.
REPLACED = {
    "no_cuda": "use --device cpu",
    "eval_out_dir": "use --output FILE.json for the metrics",
}


def option(
    default: Any,
    help: str,
    choices: tuple[Any, ...] | None = None,
    path: bool = False,
    positional: bool = False,
) -> Any:
    """A dataclass field that is also an option.

    Args:
        default: value when neither YAML nor the command line says otherwise; a tuple for a list.
        help: one line for `--help`.
        choices: the values allowed (of each element, for a list).
        path: the text is a path, in which a leading `~` stands for the home folder.
        positional: given on the command line without its name; one of a class at most.
    """
    metadata = {"help": help, "choices": choices, "path": path, "positional": positional}
    if isinstance(default, tuple):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def require(condition: bool, message: str) -> None:
    """Raises `UserError(message)` unless the condition holds."""
    if not condition:
        raise UserError(message)


def _require_at_least(options: Any, least: int, *names: str) -> None:
    for name in names:
        value = getattr(options, name)
        require(value >= least, f"option {name}: {value} is too small, the least is {least}")


def _require_device(device: str) -> None:
    known = re.fullmatch(r"auto|cpu|cuda(:\d+)?", device) is not None
    require(known, f"option device: {device!r} is none of auto, cpu, cuda, cuda:0, cuda:1, …")


def _require_intrinsics(values: list[float] | None) -> None:
    """In units of the image size. Numbers beyond any lens are pixels, most likely."""
    if values is None:
        return
    require(len(values) == 4, f"option intrinsics: {values} are not four numbers, fx fy cx cy")
    plausible = all(0.1 < value < 10 for value in values[:2]) and all(0 < value < 1 for value in values[2:])
    require(
        plausible,
        f"option intrinsics: {values} is no camera in units of the image size (KITTI: 0.58 1.92 0.5 0.5); "
        "divide pixels by the width (fx, cx) and the height (fy, cy)",
    )


def _require_depth_range(
    min_depth: float | None, max_depth: float | None, names: str = "min_depth, max_depth"
) -> None:
    require(min_depth is None or min_depth > 0, f"options {names}: the minimum {min_depth} must be above 0")
    if min_depth is not None and max_depth is not None:
        require(min_depth < max_depth, f"options {names}: {min_depth} must be below {max_depth}")


@dataclass
class Options:
    """Training, for every method."""

    backend: str = option("torch", "framework", choices=("torch", "paddle"))
    method: str = option("monodepth2", "which paper", choices=("monodepth2",))
    data_path: str = option("kitti_data", "root folder of the data set", path=True)
    log_dir: str = option("runs", "the run folder is LOG_DIR/MODEL_NAME", path=True)
    model_name: str = option("mdp", "the run folder is LOG_DIR/MODEL_NAME")
    split: str = option(
        "eigen_zhou", "folder in splits/, or a path, with train_files.txt and val_files.txt", path=True
    )
    dataset: str = option("kitti", "reader of the data set", choices=DATASETS)
    png: bool = option(False, "read .png images, not .jpg")
    bad_images: str = option(
        "fail", "missing or damaged images: fail, or skip to the next sample", choices=("fail", "skip")
    )
    intrinsics: list[float] | None = option(
        None, "dataset folder: fx fy cx cy in units of the image size (KITTI: 0.58 1.92 0.5 0.5)"
    )
    baseline: float | None = option(
        None, "metres between the cameras of a stereo pair; none: as the data set says (KITTI: 0.54)"
    )
    height: int = option(192, "height of the network input, a multiple of 32")
    width: int = option(640, "width of the network input, a multiple of 32")
    frame_ids: list[int] = option((0, -1, 1), "frames as offsets in time; the first, the target, is 0")
    use_stereo: bool = option(False, "add the other camera of the stereo pair as a source")
    num_layers: int = option(18, "layers of the ResNet encoders", choices=RESNET_LAYERS)
    weights_init: str = option(
        "pretrained",
        "ImageNet weights in the encoders, fetched if they are not there; or none",
        choices=("pretrained", "scratch"),
    )
    min_depth: float = option(0.1, "depth where the network's sigmoid is 1")
    max_depth: float = option(100.0, "depth where the network's sigmoid is 0")
    batch_size: int = option(12, "samples per step, of each process and each accumulated batch")
    accumulate_steps: int = option(1, "batches whose gradients are averaged to one step")
    precision: str = option(
        "32", "bits of the networks' numbers; the losses always have 32", choices=("32", "bf16", "16")
    )
    learning_rate: float = option(1e-4, "rate of Adam")
    num_epochs: int = option(20, "passes over the training list; 0 only writes the initial weights")
    scheduler_step_size: int = option(15, "epochs between divisions of the learning rate by 10")
    decay_one_epoch_early: bool = option(
        False, "divide the rate one epoch early, as the published program does today"
    )
    load_weights_folder: str | None = option(
        None, "folder of weights to start from, or the name of a release in weights/zoo.yml", path=True
    )
    models_to_load: list[str] = option(
        ("encoder", "depth", "pose_encoder", "pose"), "which networks to load from it", choices=MODEL_NAMES
    )
    log_frequency: int = option(250, "steps between log entries, up to step 2000")
    save_frequency: int = option(1, "epochs between checkpoints")
    save_steps: int = option(0, "steps between further checkpoints, of which the newest is kept; 0: none")
    validation: bool = option(
        True, "validate on the whole list after every checkpoint of an epoch, and keep the best as weights_best"
    )
    resume: bool = option(False, "continue the run in LOG_DIR/MODEL_NAME from its newest whole checkpoint")
    num_workers: int = option(12, "threads that load samples; 0 loads in the main thread")
    cache_images: int = option(0, "resized images to keep in memory; 0 keeps none")
    device: str = option("auto", "auto, cpu, cuda or cuda:N; auto takes a GPU if there is one")
    seed: int = option(0, "of weights, order and augmentation")
    dry_run: bool = option(False, "look at the data, run one batch, report, and write nothing")
    dry_run_images: int = option(50, "images that dry_run decodes, evenly chosen; 0: all")

    @property
    def frames(self) -> list[int | str]:
        """The target 0, the sources in time, and "s" for the other camera."""
        return [*self.frame_ids, *(["s"] if self.use_stereo else [])]

    @property
    def stereo_scale_factor(self) -> float | None:
        """Metres in a unit of depth, for a model trained with stereo; None where the baseline is not known.

        Training calls the baseline 0.1.
        """
        baseline = KITTI_BASELINE if self.baseline is None and self.dataset != "folder" else self.baseline
        return None if baseline is None else baseline / NOMINAL_BASELINE

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        _require_at_least(self, 1, "batch_size", "accumulate_steps", "scheduler_step_size")
        _require_at_least(self, 1, "log_frequency", "save_frequency")
        _require_at_least(self, 0, "num_epochs", "num_workers", "cache_images", "save_steps", "seed")
        _require_device(self.device)
        _require_depth_range(self.min_depth, self.max_depth)
        require(self.learning_rate > 0, f"option learning_rate: {self.learning_rate} must be above 0")
        for name in ("height", "width"):
            # 64, because the deepest feature map (1/32) is padded by reflection and needs two rows.
            size = getattr(self, name)
            require(size >= 64 and size % 32 == 0, f"option {name}: {size} is no multiple of 32 from 64 on")
        require(
            self.dataset != "kitti_test",
            "option dataset: kitti_test has single test images, without neighbours: for evaluation only",
        )
        _require_intrinsics(self.intrinsics)
        require(
            self.intrinsics is None or self.dataset == "folder",
            f"option intrinsics: only for --dataset folder; {self.dataset} has its own",
        )
        require(self.baseline is None or self.baseline > 0, "option baseline: must be above 0, in metres")
        ids = self.frame_ids
        require(ids[0] == 0, f"option frame_ids: the first must be 0, the target, not {ids[0]}")
        require(len(set(ids)) == len(ids), f"option frame_ids: {ids} names a frame twice")
        require(
            len(self.frames) > 1, "no source view: add frames to frame_ids (such as 0 -1 1) or use_stereo"
        )
        name_is_plain = self.model_name not in ("", ".", "..") and not re.search(r"[/\\]", self.model_name)
        require(
            name_is_plain, f"option model_name: {self.model_name!r} must be a plain folder name; see log_dir"
        )


@dataclass
class Monodepth2Options(Options):
    """Monodepth2 (Godard et al. 2019)."""

    scales: list[int] = option(
        (0, 1, 2, 3), "scales of the decoder's outputs and of the loss", choices=(0, 1, 2, 3)
    )
    disparity_smoothness: float = option(1e-3, "weight of the smoothness loss")
    v1_multiscale: bool = option(False, "loss of scale s at the resolution of scale s, as in Monodepth 1")
    avg_reprojection: bool = option(False, "mean over the sources, not minimum")
    disable_automasking: bool = option(False, "do not mask pixels that look still")
    predictive_mask: bool = option(False, "learned mask as in SfMLearner; requires disable_automasking")
    no_ssim: bool = option(False, "photometric error without SSIM, L1 only")
    pose_model_type: str = option(
        "separate_resnet", "network for the pose", choices=("separate_resnet", "shared", "posecnn")
    )
    pose_model_input: str = option("pairs", "images the pose network sees at once", choices=("pairs", "all"))
    warp_align_corners_false: bool = option(
        False, "sample the warp with align_corners False, as the published program does on today's PyTorch"
    )

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        super().validate()
        require(self.disparity_smoothness >= 0, "option disparity_smoothness: must not be negative")
        require(0 in self.scales, f"option scales: {self.scales} lacks 0, the scale of the prediction")
        require(
            len(set(self.scales)) == len(self.scales), f"option scales: {self.scales} names a scale twice"
        )
        if self.predictive_mask:
            require(self.disable_automasking, "option predictive_mask: requires disable_automasking as well")


@dataclass
class EvaluationOptions:
    """Evaluation of depth."""

    backend: str = option("torch", "framework", choices=("torch", "paddle"))
    data_path: str = option("kitti_data", "root folder of the data set", path=True)
    load_weights_folder: str | None = option(
        None, "folder of weights to evaluate, or the name of a release in weights/zoo.yml", path=True
    )
    eval_mono: bool = option(False, "scale every prediction by the ratio of medians")
    eval_stereo: bool = option(
        False, "metric prediction of a model trained with stereo: depth times 5.4, no medians"
    )
    eval_split: str = option("eigen", "folder in splits/, or a path, with test_files.txt", path=True)
    eval_eigen_to_benchmark: bool = option(
        False, "of saved disparities of the 697 images of eigen keep the 652 of eigen_benchmark"
    )
    dataset: str | None = option(
        None,
        "reader of the data set; none: kitti_test for benchmark, kitti_odom for odom_*, else kitti",
        choices=DATASETS,
    )
    ground_truth: str | None = option(
        None, "ground truth; none: gt_depths.npz in the split's folder", path=True
    )
    crop: str = option(
        "auto",
        "pixels compared; auto: garg for eigen, none otherwise",
        choices=("auto", "garg", "eigen", "none"),
    )
    depth_cap: float = option(
        80.0, "metres; predictions are clamped to it, and with a crop ground truth beyond is left out"
    )
    min_depth: float | None = option(
        None, "depth where the sigmoid is 1; none: as in the weights' folder, else 0.1"
    )
    max_depth: float | None = option(
        None, "depth where the sigmoid is 0; none: as in the weights' folder, else 100"
    )
    num_layers: int | None = option(
        None, "of the ResNet; none: as in the weights' folder, else 18", choices=RESNET_LAYERS
    )
    disable_median_scaling: bool = option(False, "no scaling by medians")
    pred_depth_scale_factor: float = option(1.0, "multiplies the predicted depth")
    post_process: bool = option(False, "average with the prediction of the mirrored image")
    ext_disp_to_eval: str | None = option(None, ".npy of disparities (1 / depth); no network runs", path=True)
    save_pred_disps: bool = option(False, "write disps_<split>_split.npy into the folder of weights")
    no_eval: bool = option(False, "predict only")
    output: str | None = option(None, "JSON file for the metrics, also of every image", path=True)
    csv: str | None = option(None, "CSV file for the metrics of every image, a row each", path=True)
    png: bool = option(False, "read .png images, not .jpg")
    batch_size: int = option(16, "images per pass")
    num_workers: int = option(12, "threads that load images; 0 loads in the main thread")
    device: str = option("auto", "auto, cpu, cuda or cuda:N; auto takes a GPU if there is one")

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        _require_at_least(self, 1, "batch_size")
        _require_at_least(self, 0, "num_workers")
        _require_device(self.device)
        _require_depth_range(self.min_depth, self.max_depth)
        _require_depth_range(1e-3, self.depth_cap, "depth_cap")
        require(self.pred_depth_scale_factor > 0, "option pred_depth_scale_factor: must be above 0")
        require(self.eval_mono != self.eval_stereo, "choose exactly one of --eval_mono and --eval_stereo")
        given = (self.load_weights_folder is None) + (self.ext_disp_to_eval is None)
        require(given == 1, "choose exactly one of --load_weights_folder and --ext_disp_to_eval")
        require(
            self.save_pred_disps or not self.no_eval,
            "option no_eval: predicts for nothing without --save_pred_disps",
        )
        if self.ext_disp_to_eval is not None:
            for name in ("save_pred_disps", "no_eval", "post_process"):
                require(not getattr(self, name), f"option {name}: makes no sense with --ext_disp_to_eval")
        if self.eval_eigen_to_benchmark:
            require(
                self.ext_disp_to_eval is not None and self.split_name == "eigen_benchmark",
                "option eval_eigen_to_benchmark: needs --ext_disp_to_eval and --eval_split eigen_benchmark",
            )
        if self.split_name == "benchmark":
            require(
                self.eval_stereo or self.disable_median_scaling,
                "option eval_split: benchmark has no ground truth to scale by, and takes metres: use --eval_stereo, "
                "or --eval_mono --disable_median_scaling --pred_depth_scale_factor METRES",
            )
            for name in ("output", "csv", "ground_truth"):
                require(
                    getattr(self, name) is None,
                    f"option {name}: the benchmark keeps its ground truth; its server returns the metrics",
                )

    @property
    def split_name(self) -> str:
        """The last part of the split, where rules of the published splits follow from its name."""
        return os.path.basename(os.path.normpath(self.eval_split))

    @property
    def reader(self) -> str:
        """The name of the data set's reader."""
        by_split = {"benchmark": "kitti_test", "odom_9": "kitti_odom", "odom_10": "kitti_odom"}
        return self.dataset or by_split.get(self.split_name, "kitti")


@dataclass
class PoseEvaluationOptions:
    """Evaluation of the camera's path."""

    backend: str = option("torch", "framework", choices=("torch", "paddle"))
    data_path: str = option("kitti_data", "root folder of the data set", path=True)
    load_weights_folder: str | None = option(
        None, "folder of weights to evaluate, or the name of a release in weights/zoo.yml", path=True
    )
    trajectory: str | None = option(
        None, "file of poses, camera to world, in KITTI's format; no network runs", path=True
    )
    ext_poses_to_eval: str | None = option(
        None, ".npy of motions (N, 4, 4), camera t to camera t + 1; no network runs", path=True
    )
    eval_split: str = option(
        "odom_9", "odom_9, odom_10, or a folder with test_files.txt: each line a frame t, seen with t + 1", path=True
    )
    dataset: str = option("kitti_odom", "reader of the data set", choices=DATASETS)
    ground_truth: str | None = option(
        None, "true poses in KITTI's format; none: DATA_PATH/poses/<sequence>.txt", path=True
    )
    no_eval: bool = option(False, "predict only: write poses and trajectory")
    output: str | None = option(
        None, "folder for poses, trajectory, JSON and picture; none: the folder of weights, if any", path=True
    )
    num_layers: int | None = option(
        None, "of the ResNets; none: as in the weights' folder, else 18", choices=RESNET_LAYERS
    )
    pose_model_type: str | None = option(
        None,
        "network for the pose; none: as in the weights' folder, else separate_resnet",
        choices=("separate_resnet", "shared", "posecnn"),
    )
    pose_model_input: str | None = option(
        None, "images it sees at once; none: as in the weights' folder, else pairs", choices=("pairs", "all")
    )
    png: bool = option(False, "read .png images; otherwise .jpg, where there is one")
    batch_size: int = option(16, "motions per pass")
    num_workers: int = option(12, "threads that load images; 0 loads in the main thread")
    device: str = option("auto", "auto, cpu, cuda or cuda:N; auto takes a GPU if there is one")

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        _require_at_least(self, 1, "batch_size")
        _require_at_least(self, 0, "num_workers")
        _require_device(self.device)
        sources = (self.load_weights_folder, self.trajectory, self.ext_poses_to_eval)
        require(
            sum(source is not None for source in sources) == 1,
            "choose exactly one of --load_weights_folder, --trajectory and --ext_poses_to_eval",
        )
        require(
            self.load_weights_folder is not None or not self.no_eval,
            "option no_eval: nothing to do without --load_weights_folder",
        )


@dataclass
class PredictionOptions:
    """Prediction for images and videos."""

    backend: str = option("torch", "framework", choices=("torch", "paddle"))
    image_path: str | None = option(
        None, "image, folder, glob pattern in quotes, list of images (.txt), video, webcam or webcam:N", path=True
    )
    load_weights_folder: str | None = option(
        None, "folder of weights, or the name of a release in weights/zoo.yml", path=True
    )
    model_name: str | None = option(None, "name of a release: the same as --load_weights_folder NAME")
    output: str | None = option(None, "folder for the results; none: beside each image", path=True)
    save: list[str] = option(
        ("auto",),
        "disparity .npy, depth .npz, colour map .jpeg (of a video .mp4), 16-bit depth .png, coloured points .ply; "
        "auto: disparity depth colour, of a video colour",
        choices=("auto", "disparity", "depth", "colour", "png", "points"),
    )
    size: str = option("network", "size of disparity, depth, png and points", choices=("network", "original"))
    intrinsics: list[float] | None = option(
        None, "for points: fx fy cx cy, fx and cx over the image's width, fy and cy over its height"
    )
    depth_cap: float | None = option(
        None, "points farther than this are left out, in the unit of the depth; none keeps all"
    )
    frames: int | None = option(None, "frames of a video or webcam to predict; none: all")
    ext: list[str] = option(("jpg", "jpeg", "png"), "extensions to look for in a folder")
    pred_metric_depth: bool = option(False, "depth in metres (times 5.4), for models trained with stereo")
    pred_depth_scale_factor: float = option(1.0, "multiplies the depth; other than 1 it is taken to give metres")
    post_process: bool = option(False, "average with the prediction of the mirrored image")
    min_depth: float | None = option(
        None, "depth where the sigmoid is 1; none: as in the weights' folder, else 0.1"
    )
    max_depth: float | None = option(
        None, "depth where the sigmoid is 0; none: as in the weights' folder, else 100"
    )
    num_layers: int | None = option(
        None, "of the ResNet; none: as in the weights' folder, else 18", choices=RESNET_LAYERS
    )
    batch_size: int = option(1, "images per pass")
    device: str = option("auto", "auto, cpu, cuda or cuda:N; auto takes a GPU if there is one")

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        require(
            self.image_path is not None, "--image_path is missing: image, folder, pattern, list, video or webcam"
        )
        require(
            self.load_weights_folder is not None or self.model_name is not None,
            "--load_weights_folder is missing: a folder of weights, or a name of weights/zoo.yml",
        )
        require(
            self.load_weights_folder is None or self.model_name is None,
            "--model_name and --load_weights_folder: give one of them; they mean the same",
        )
        _require_at_least(self, 1, "batch_size")
        _require_device(self.device)
        _require_depth_range(self.min_depth, self.max_depth)
        require(self.save == ["auto"] or "auto" not in self.save, "option save: auto stands alone")
        require(
            "points" not in self.save or self.intrinsics is not None,
            "option save: points need --intrinsics fx fy cx cy in units of the image size (KITTI: 0.58 1.92 0.5 0.5)",
        )
        _require_intrinsics(self.intrinsics)
        require(self.pred_depth_scale_factor > 0, "option pred_depth_scale_factor: must be above 0")
        require(self.depth_cap is None or self.depth_cap > 0, "option depth_cap: must be above 0")
        require(self.frames is None or self.frames > 0, "option frames: must be above 0")


@dataclass
class ExportOptions:
    """Export of ground-truth depth for a split."""

    data_path: str | None = option(None, "root folder of the data set", path=True)
    split: str | None = option(None, "folder in splits/, or a path, with test_files.txt", path=True)
    source: str = option(
        "auto",
        "auto: velodyne for eigen, annotated for eigen_benchmark, else annotated if there",
        choices=("auto", "velodyne", "annotated"),
    )
    output: str | None = option(None, "file to write; none: gt_depths.npz in the split's folder", path=True)
    nearest_point: bool = option(
        False, "keep the nearest point of a pixel, not the published rule with its quirk"
    )

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        require(self.data_path is not None, "--data_path is missing: the root folder of the data set")
        require(
            self.split is not None, "--split is missing: a folder in splits/, or a path, with test_files.txt"
        )


@dataclass
class ReportOptions:
    """Table and picture of a run on a split with training ground truth."""

    data_path: str = option("kitti_data", "root folder of the data set", path=True)
    split: str | None = option(None, "folder in splits/, or a path, with train and test lists", path=True)
    metrics: list[str] = option(("",), "rows of the table: NAME=FILE.json of evaluate_depth.py --output, ...")
    disparities: str | None = option(
        None, ".npy of evaluate_depth.py --save_pred_disps, for the picture", path=True
    )
    rows: int = option(5, "test frames in the picture")
    output: str = option("report", "folder for report.md and report.png", path=True)

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        _require_at_least(self, 1, "rows")
        for entry in self.metrics:
            require("=" in entry, f"option metrics: {entry!r} is not NAME=FILE.json")
        require(
            self.disparities is not None, "--disparities is missing: disps_<split>_split.npy of the weights"
        )


@dataclass
class SplitOptions:
    """Split lists of own images."""

    data_path: str | None = option(None, "folder of images, of sequences or of videos; or a video", path=True)
    output: str | None = option(None, "folder to write; none: splits in the folder of the images", path=True)
    frame_ids: list[int] = option((0, -1, 1), "frames of a sample as offsets in time; all must exist")
    use_stereo: bool = option(False, "the other camera of the stereo pair must exist too")
    validation_share: float = option(
        0.1, "held out: whole sequences, or the end of each where they are few"
    )
    skip_static: float = option(
        0.0, "leave out frames whose neighbours move less: pixels of an image 640 wide, such as 0.5; 0 keeps all"
    )
    png: bool = option(False, "extract the frames of videos as .png, not .jpg")

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        require(self.data_path is not None, "--data_path is missing: a folder of images, or a video")
        require(self.frame_ids[0] == 0, f"option frame_ids: the first must be 0, not {self.frame_ids[0]}")
        require(0 < self.validation_share < 1, "option validation_share: must be between 0 and 1")
        require(self.skip_static >= 0, "option skip_static: must not be negative")
        require(
            self.skip_static == 0 or len(self.frame_ids) > 1,
            "option skip_static: needs neighbours in time, such as --frame_ids 0 -1 1",
        )


# What shapes the networks and the loss, as far as `check_parity.py` asks for it.
MODEL_OPTIONS = (
    *("num_layers", "frame_ids", "use_stereo", "scales", "min_depth", "max_depth"),
    *("v1_multiscale", "avg_reprojection", "disable_automasking", "predictive_mask", "no_ssim"),
    *("disparity_smoothness", "pose_model_type", "pose_model_input", "warp_align_corners_false"),
)


def model_option(name: str) -> Any:
    """An option of Monodepth2 that may be left open: then it is as in the weights' folder, else its default."""
    metadata = Monodepth2Options.__dataclass_fields__[name].metadata
    return option(None, metadata["help"], metadata["choices"])


@dataclass
class ParityOptions:
    """Comparison of the backends; what is none is as in the weights' folder, else as train.py has it."""

    method: str = option("monodepth2", "which paper", choices=("monodepth2",))
    backends: list[str] = option(("torch", "paddle"), "the two to compare", choices=("torch", "paddle"))
    load_weights_folder: str | None = option(
        None, "folder of weights, or a name of the zoo; none: weights made from the seed", path=True
    )
    output: str = option("runs/parity.json", "JSON certificate, or a folder for parity.json", path=True)
    height: int = option(64, "height of the images, a multiple of 32")
    width: int = option(96, "width of the images, a multiple of 32")
    batch_size: int = option(2, "samples per step")
    steps: int = option(10, "training steps whose losses are compared")
    seed: int = option(0, "of everything that is made up")
    threads: int = option(1, "of each backend; more of them add up in another order at every run")
    timeout: float = option(1800.0, "seconds after which a backend counts as hanging")
    num_layers: int | None = model_option("num_layers")
    frame_ids: list[int] | None = model_option("frame_ids")
    use_stereo: bool | None = model_option("use_stereo")
    scales: list[int] | None = model_option("scales")
    min_depth: float | None = model_option("min_depth")
    max_depth: float | None = model_option("max_depth")
    v1_multiscale: bool | None = model_option("v1_multiscale")
    avg_reprojection: bool | None = model_option("avg_reprojection")
    disable_automasking: bool | None = model_option("disable_automasking")
    predictive_mask: bool | None = model_option("predictive_mask")
    no_ssim: bool | None = model_option("no_ssim")
    disparity_smoothness: float | None = model_option("disparity_smoothness")
    pose_model_type: str | None = model_option("pose_model_type")
    pose_model_input: str | None = model_option("pose_model_input")
    warp_align_corners_false: bool | None = model_option("warp_align_corners_false")

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        two = len(self.backends) == 2 and len(set(self.backends)) == 2
        require(two, f"option backends: {' '.join(self.backends)} is no pair to compare; use torch paddle")
        _require_at_least(self, 1, "batch_size", "steps", "threads", "timeout")
        _require_at_least(self, 0, "seed")


@dataclass
class ConversionOptions:
    """Conversion of weights."""

    source: str | None = option(
        None, "folder of weights, or a file; recognised by content", path=True, positional=True
    )
    to: str | None = option(None, "format to write", choices=("torch", "paddle", "safetensors", "h5"))
    output: str | None = option(
        None, "folder to write; none: SOURCE_TO beside a folder, the same folder for a file", path=True
    )
    verify: bool = option(
        False, "load source and result, each in its own backend, and compare what the networks return"
    )
    classifier: bool = option(
        False,
        "add the unused classifier (zeros) to encoders without one: the published program insists on it",
    )
    force: bool = option(False, "replace files that are there already")

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        require(self.source is not None, "SOURCE is missing: a folder of weights, or a file")
        require(self.to is not None, "--to is missing: torch, paddle, safetensors or h5")

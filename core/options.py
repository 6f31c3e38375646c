"""Every option of the scripts, once: source of the command line, of YAML keys, `--help` and `options.yaml`.

Names and defaults are those that users of Monodepth2 know (`num_layers`, `frame_ids`, …); `core.parsing`
turns a class into a command line. Imports neither NumPy nor a framework: `--help` has to be instant.
"""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

from core.errors import UserError

RESNET_LAYERS = (18, 34, 50, 101, 152)
MODEL_NAMES = ("encoder", "depth", "pose_encoder", "pose", "predictive_mask")

# What the published program had under another name; the parser tells whoever types the old one.
REPLACED = {
    "no_cuda": "use --device cpu",
    "eval_out_dir": "use --output FILE.json for the metrics",
    "eval_eigen_to_benchmark": "use --eval_split eigen_benchmark with predictions for its 652 images",
}


def option(default: Any, help: str, choices: tuple[Any, ...] | None = None, path: bool = False) -> Any:
    """A dataclass field that is also an option.

    Args:
        default: value when neither YAML nor the command line says otherwise; a tuple for a list.
        help: one line for `--help`.
        choices: the values allowed (of each element, for a list).
        path: the text is a path, in which a leading `~` stands for the home folder.
    """
    metadata = {"help": help, "choices": choices, "path": path}
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
    dataset: str = option("kitti", "reader of the data set", choices=("kitti",))
    png: bool = option(False, "read .png images, not .jpg")
    height: int = option(192, "height of the network input, a multiple of 32")
    width: int = option(640, "width of the network input, a multiple of 32")
    frame_ids: list[int] = option((0, -1, 1), "frames as offsets in time; the first, the target, is 0")
    use_stereo: bool = option(False, "add the other camera of the stereo pair as a source")
    num_layers: int = option(18, "layers of the ResNet encoders", choices=RESNET_LAYERS)
    weights_init: str = option(
        "pretrained", "ImageNet weights in the encoders or none", choices=("pretrained", "scratch")
    )
    min_depth: float = option(0.1, "depth where the network's sigmoid is 1")
    max_depth: float = option(100.0, "depth where the network's sigmoid is 0")
    batch_size: int = option(12, "samples per step")
    learning_rate: float = option(1e-4, "rate of Adam")
    num_epochs: int = option(20, "passes over the training list; 0 only writes the initial weights")
    scheduler_step_size: int = option(15, "epochs between divisions of the learning rate by 10")
    decay_one_epoch_early: bool = option(
        False, "divide the rate one epoch early, as the published program does today"
    )
    load_weights_folder: str | None = option(None, "folder of weights to start from", path=True)
    models_to_load: list[str] = option(
        ("encoder", "depth", "pose_encoder", "pose"), "which networks to load from it", choices=MODEL_NAMES
    )
    log_frequency: int = option(250, "steps between log entries, up to step 2000")
    save_frequency: int = option(1, "epochs between checkpoints")
    num_workers: int = option(12, "threads that load samples; 0 loads in the main thread")
    cache_images: int = option(0, "resized images to keep in memory; 0 keeps none")
    device: str = option("auto", "auto, cpu, cuda or cuda:N; auto takes a GPU if there is one")
    seed: int = option(0, "of weights, order and augmentation")

    @property
    def frames(self) -> list[int | str]:
        """The target 0, the sources in time, and "s" for the other camera."""
        return [*self.frame_ids, *(["s"] if self.use_stereo else [])]

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        _require_at_least(self, 1, "batch_size", "scheduler_step_size", "log_frequency", "save_frequency")
        _require_at_least(self, 0, "num_epochs", "num_workers", "cache_images", "seed")
        _require_device(self.device)
        _require_depth_range(self.min_depth, self.max_depth)
        require(self.learning_rate > 0, f"option learning_rate: {self.learning_rate} must be above 0")
        for name in ("height", "width"):
            # 64, because the deepest feature map (1/32) is padded by reflection and needs two rows.
            size = getattr(self, name)
            require(size >= 64 and size % 32 == 0, f"option {name}: {size} is no multiple of 32 from 64 on")
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
    load_weights_folder: str | None = option(None, "folder of weights to evaluate", path=True)
    eval_mono: bool = option(False, "scale every prediction by the ratio of medians")
    eval_stereo: bool = option(
        False, "metric prediction of a model trained with stereo: depth times 5.4, no medians"
    )
    eval_split: str = option("eigen", "folder in splits/, or a path, with test_files.txt", path=True)
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
    output: str | None = option(None, "JSON file for the metrics", path=True)
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


@dataclass
class PredictionOptions:
    """Prediction for single images."""

    backend: str = option("torch", "framework", choices=("torch", "paddle"))
    image_path: str | None = option(None, "image, folder of images, or glob pattern in quotes", path=True)
    load_weights_folder: str | None = option(None, "folder of weights", path=True)
    output: str | None = option(None, "folder for the results; none: beside each image", path=True)
    ext: list[str] = option(("jpg", "jpeg", "png"), "extensions to look for in a folder")
    pred_metric_depth: bool = option(False, "depth in metres (times 5.4), for models trained with stereo")
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
        require(self.image_path is not None, "--image_path is missing: an image, a folder or a glob pattern")
        require(self.load_weights_folder is not None, "--load_weights_folder is missing: a folder of weights")
        _require_at_least(self, 1, "batch_size")
        _require_device(self.device)
        _require_depth_range(self.min_depth, self.max_depth)


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

"""Options of train.py."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

import re
from dataclasses import dataclass

from core.options.base import (
    DATASETS,
    KITTI_BASELINE,
    MODEL_NAMES,
    NOMINAL_BASELINE,
    RESNET_LAYERS,
    option,
    require,
    require_at_least,
    require_depth_range,
    require_device,
    require_intrinsics,
    require_seed,
)

MAX_SIDE = 8192  # of the network input


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
    mirroring: bool = option(True, "mirror half of the training samples (off: better for odometry)")
    bad_images: str = option(
        "fail", "missing or damaged images: fail, or skip to the next sample", choices=("fail", "skip")
    )
    intrinsics: list[float] | None = option(
        None, "dataset folder: fx fy cx cy in units of the image size (KITTI: 0.58 1.92 0.5 0.5)"
    )
    baseline: float | None = option(
        None,
        "metres between the cameras of a stereo pair; none: as the data set says (KITTI: 0.54); with known_poses ten "
        "times it is also the unit of one camera's depth (none: 5.4 m)",
    )
    height: int = option(192, "height of the network input, a multiple of 32")
    width: int = option(640, "width of the network input, a multiple of 32")
    frame_ids: list[int] = option((0, -1, 1), "frames as offsets in time; the first, the target, is 0")
    use_stereo: bool = option(False, "add the other camera of the stereo pair as a source")
    known_poses: bool = option(
        False,
        "the camera's motion is measured, not predicted, and depth is metric: oxts of KITTI raw, poses/ of KITTI "
        "odometry, poses.txt in the folder of each sequence",
    )
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
        True,
        "validate on the whole list after every checkpoint of an epoch, and keep the best as weights_best",
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
        """Metres in a unit of depth, for a model trained with stereo or known poses; None where it is not known.

        Training calls the baseline 0.1. Known poses of a single camera are divided by the unit of KITTI.
        """
        nominal = self.dataset != "folder" or (self.known_poses and not self.use_stereo)
        baseline = KITTI_BASELINE if self.baseline is None and nominal else self.baseline
        return None if baseline is None else baseline / NOMINAL_BASELINE

    @property
    def is_metric(self) -> bool:
        """Whether depth times `stereo_scale_factor` is in metres: training knew a distance between its views."""
        return (self.use_stereo or self.known_poses) and self.stereo_scale_factor is not None

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        require_at_least(self, 1, "batch_size", "accumulate_steps", "scheduler_step_size")
        require_at_least(self, 1, "log_frequency", "save_frequency")
        require_at_least(self, 0, "num_epochs", "num_workers", "cache_images", "save_steps")
        require_seed(self.seed)
        require_device(self.device)
        require_depth_range(self.min_depth, self.max_depth)
        require(self.learning_rate > 0, f"option learning_rate: {self.learning_rate} must be above 0")
        for name in ("height", "width"):
            # 64, because the deepest feature map (1/32) is padded by reflection and needs two rows.
            size = getattr(self, name)
            fits = 64 <= size <= MAX_SIDE and size % 32 == 0
            require(fits, f"option {name}: {size} is no multiple of 32 from 64 to {MAX_SIDE}")
        require(
            self.dataset != "kitti_test",
            "option dataset: kitti_test has single test images, without neighbours: for evaluation only",
        )
        require_intrinsics(self.intrinsics)
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
        require(
            len(ids) > 1 or not self.known_poses,
            "option known_poses: there is no motion to know; add frames to frame_ids (such as 0 -1 1)",
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
        for name in ("pose_model_type", "pose_model_input") if self.known_poses else ():
            require(
                getattr(self, name) == getattr(type(self), name),
                f"option {name}: with known_poses there is no pose network; leave one of the two out",
            )
        if self.predictive_mask:
            require(self.disable_automasking, "option predictive_mask: requires disable_automasking as well")

"""Options of train.py that every method has. A method's own are a subclass in `core/options/methods/`."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from core.options.base import (
    DATASETS,
    DEFAULT_DATA,
    NAMED_CAMERAS,
    NOMINAL_BASELINE,
    accept_option,
    different,
    is_name_format,
    option,
    require,
    require_at_least,
    require_device,
    require_intrinsics,
    require_seed,
    require_store,
)
from core.options.needs import AugmentationPolicy, Listing, Needs, Order, Preparation
from core.options.option_files import Translation
from core.options.protocols import PROTOCOLS, measuring_names

MAX_SIDE = 8192  # of the network input
DEPTH_METRIC = "de/abs_rel"  # of a validation, where depth is known


def method_names() -> tuple[str, ...]:
    """The methods that there are."""
    from core.options.methods import OPTIONS

    return tuple(OPTIONS)


def continued(words: list[str]) -> dict[str, Any]:
    """What `--resume FILE` is in ours, for `TRANSLATED` of methods whose authors' flag takes a file of weights."""
    if len(words) != 1:
        raise ValueError(f"{' '.join(words)[:80]!r} is not one file")
    return {"load_weights_folder": words[0], "start_epoch": -1}


def one_gpu(words: list[str]) -> dict[str, Any]:
    """What `--gpu_id 0` and the like are in ours, for `TRANSLATED`."""
    if len(words) != 1 or not words[0].isdigit():
        raise ValueError("several GPUs take a process each, started by torchrun or paddle.distributed.launch")
    return {"device": f"cuda:{words[0]}"}


def criterion_of_mode(mode: str, values: Mapping[str, float]) -> tuple[str, float]:
    """The criterion of a method with an option `validation_mode`: the depth metric, or of `photo` the photometric loss.

    Raises:
        UserError: the validation has no such number.
    """
    name = DEPTH_METRIC if mode == "depth" else "photometric"
    require(name in values, f"option validation_mode: {mode}, but the validation has no {name}")
    return name, values[name]


@dataclass
class Options:
    """Training, for every method."""

    EXAMPLE: ClassVar[str] = "train.py --method {method} --data_path kitti --model_name {method}_first"

    # What a class says of its method besides its options.
    LEAST_SIDE: ClassVar[int] = 64  # pixels of the network's input
    SIDE_MULTIPLE: ClassVar[int] = 32
    NOMINAL_BASELINE: ClassVar[float] = (
        NOMINAL_BASELINE  # the distance of the stereo cameras, in units of depth
    )
    ALIASES: ClassVar[Mapping[str, str]] = {}  # what its authors call an option: our name
    # Their options whose values are ours in other words: {name: words → {our name: value}, or ValueError}. A name that
    # is a flag of ours stays one where it has no words.
    TRANSLATED: ClassVar[Mapping[str, Callable[[list[str]], dict[str, Any]]]] = {}
    REJECTED: ClassVar[Mapping[str, str]] = {}  # their options that are not here: the cure
    # The options that may be chosen for a trained model, too, where it predicts: see `core.options.choices`.
    PREDICTION: ClassVar[tuple[str, ...]] = ()
    # Its compatibility switches: {value of an option `compatibility` of the class: {option: value}}; given ones win.
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    NETWORKS: ClassVar[tuple[str, ...]] = ()  # the files that its models may have, without extension
    COLLAPSE_CURE: ClassVar[str] = (
        "a lower --learning_rate, or another --seed"  # of a scale that learns no more
    )
    MODEL: ClassVar[tuple[str, ...]] = ()  # the options that shape its networks and its loss
    # The kinds of terms of its loss that jump where the choice of a pixel does: see `core/parity/bounds.py`.
    JUMPING_TERMS: ClassVar[tuple[str, ...]] = ()
    SMALL: ClassVar[Mapping[str, Any]] = {}  # its cheapest legal setting, for tests and demonstrations

    backend: str = option("torch", "framework", choices=("torch", "paddle"))
    method: str = option("", "which paper", choices=method_names)
    data_path: str = option(DEFAULT_DATA, "root folder of the data set", path=True)
    log_dir: str = option("runs", "the run folder is LOG_DIR/MODEL_NAME", path=True)
    model_name: str = option("mdp", "the run folder is LOG_DIR/MODEL_NAME")
    split: str = option(
        "eigen_zhou",
        "folder in splits/, or a path, with train_files.txt and val_files.txt; or one list file; for dataset folder "
        "also the form of the images' names, such as {:010d}",
        path=True,
    )
    dataset: str = option("kitti", "reader of the data set", choices=DATASETS)
    cameras: list[str] | None = option(
        None,
        "dataset ddad: names of its cameras, each a list of samples of its own; of those validated the first decides; "
        "none: camera_01",
    )
    png: bool = option(False, "read .png images; off: .jpg or .png, whichever the first line has")
    mirroring: bool = option(True, "mirror half of the training samples (off: better for odometry)")
    accept: list[str] | None = accept_option()
    bad_images: str = option(
        "fail", "missing or damaged images: fail, or skip to the next sample", choices=("fail", "skip")
    )
    intrinsics: list[float] | None = option(
        None, "dataset folder: fx fy cx cy in units of the image size (KITTI: 0.58 1.92 0.5 0.5)"
    )
    baseline: float | None = option(
        None,
        "metres between the cameras of a stereo pair; none: as the data set says (KITTI: 0.54); with known_poses it is "
        "also what one camera's depth has its unit by",
    )
    height: int = option(192, "height of the network input, a multiple of 32")
    width: int = option(640, "width of the network input, a multiple of 32")
    batch_size: int = option(12, "samples per step, of each process and each accumulated batch")
    accumulate_steps: int = option(1, "batches whose gradients are averaged to one step")
    precision: str = option(
        "32", "bits of the networks' numbers; the losses always have 32", choices=("32", "bf16", "16")
    )
    deterministic: bool = option(
        False,
        "on a GPU, kernels that add in one order, where the framework has them, slower; a CPU's always do",
    )
    learning_rate: float = option(1e-4, "rate of Adam")
    num_epochs: int = option(20, "passes over the training list; 0 only writes the initial weights")
    load_weights_folder: str | None = option(
        None,
        "weights to start from: a folder, one file of all networks, or the name of a release in weights/zoo.yml",
        path=True,
    )
    models_to_load: list[str] | None = option(None, "which networks to load from it; none: all that it has")
    allow_partial: bool = option(
        False,
        "load only those of its tensors that fit, say which, and begin Adam's moments at zero; off: all must fit",
    )
    start_epoch: int = option(
        0,
        "epoch to begin with, where those before it made the weights to start from: rates and order are as if this run "
        "had done them; -1: the one after that of the weights' file",
    )
    log_frequency: int = option(250, "steps between log entries, up to step 2000")
    save_frequency: int = option(1, "epochs between checkpoints")
    save_steps: int = option(0, "steps between further checkpoints, of which the newest is kept; 0: none")
    keep_moments: list[int] | None = option(
        None,
        "epochs, counted from 0, whose checkpoints keep Adam's moments, for a run that starts from one; without it "
        "only the newest checkpoint has them",
    )
    max_cpu_seconds: float = option(
        0.0,
        "processor seconds, of all threads of a process since it began, after which a run ends in good order: it "
        "writes a checkpoint and validates; 0: no limit",
    )
    validation: bool = option(
        True,
        "validate on the whole list after every checkpoint of an epoch, and keep the best as weights_best",
    )
    protocol: str = option(
        "eigen",
        "how depth is measured where it is known, in the log and in validations",
        choices=measuring_names,
    )
    resume: bool = option(False, "continue the run in LOG_DIR/MODEL_NAME from its newest whole checkpoint")
    overwrite: bool = option(
        False, "replace the run in LOG_DIR/MODEL_NAME; off: a name that holds one is refused"
    )
    num_workers: int = option(12, "threads that load samples; 0 loads in the main thread")
    cache_images: int | None = option(
        None, "resized images to keep in memory; 0: none; none: as many as a fourth of the free memory holds"
    )
    cache: str | None = option(
        None,
        "folder that keeps resized images for later epochs and runs: H x W x 3 bytes each, 15 GB for KITTI at 640x192",
        path=True,
    )
    device: str = option("auto", "auto, cpu, cuda or cuda:N; auto takes a GPU if there is one")
    seed: int = option(0, "of weights, order and augmentation")
    wandb: bool = option(
        False,
        "also log to Weights & Biases, into the run folder: nothing is sent; needs requirements-extras.txt",
    )
    wandb_send: bool = option(False, "with --wandb: send all that to its server while the run goes on")
    wandb_project: str | None = option(None, "of Weights & Biases; none: as it is set up")
    wandb_entity: str | None = option(None, "of Weights & Biases, a user or a team; none: as it is set up")
    s3_path: str | None = option(
        None,
        "keep the checkpoints in an object store as well, in its folder MODEL_NAME: a URL that fsspec knows, such as "
        "s3://bucket/folder; needs requirements-extras.txt",
    )
    s3_frequency: int = option(
        1, "epochs between uploads to s3_path; the last one's checkpoint is always sent"
    )
    s3_url: str | None = option(None, "address of a server that speaks S3, where s3_path is not at Amazon's")
    dry_run: bool = option(False, "look at the data, run one batch, report, and write nothing")
    dry_run_images: int = option(50, "images that dry_run decodes, evenly chosen; 0: all")

    @classmethod
    def translation(cls, content: Mapping[str, Any]) -> Translation | None:
        """What a nested YAML file of its authors' program is in ours; None for a file that is not theirs.

        Raises:
            ValueError: it has a key that they do not know, or a value that is not here; names the key.
        """
        return None

    # --- what the method is, for data sets, training, validation and prediction ---

    def needs(self, part: str) -> Needs:
        """What a sample of a part ("train", "val") holds."""
        raise NotImplementedError

    def preparation(self, part: str) -> Preparation:
        """How files become samples of a part; only training draws at random."""
        policy = AugmentationPolicy(mirroring=0.5 if self.mirroring else 0.0)
        return Preparation(self.height, self.width, augmentation=policy if part == "train" else None)

    def listings(self, part: str) -> list[Listing]:
        """The lists of a part; those of training are one data set, of those of validation the first decides."""
        truth = PROTOCOLS[self.protocol].subject
        depth = truth.truth if truth.reader == self.dataset else None
        return [
            Listing(self.dataset, self.data_path, self.split, camera=camera, depth=depth)
            for camera in self.cameras_of(self.dataset)
        ]

    def cameras_of(self, dataset: str) -> list[str | None]:
        """The cameras of a reader that there is a listing for, each; [None] where it says them itself."""
        named = self.cameras if dataset in NAMED_CAMERAS else None
        return [*different(named)] if named else [None]

    def order(self) -> Order:
        """How an epoch goes through the training samples."""
        return Order()

    def rates(self, step: int, steps_per_epoch: int) -> list[float]:
        """The learning rate of each of the method's parameter groups at a step, a pure function."""
        raise NotImplementedError

    @property
    def optimizer(self) -> str:
        """The rule of the update: adam or adamw."""
        return "adam"

    @property
    def gradient_clip(self) -> float | None:
        """Largest norm of all gradients together, to which greater ones are scaled."""
        return None

    @property
    def jumping_terms(self) -> tuple[str, ...]:
        """The kinds of terms that jump as these options have them; `JUMPING_TERMS`, where none depends on them."""
        return self.JUMPING_TERMS

    def imagenet(self) -> dict[str, int]:
        """The networks that start from ImageNet's weights, unless they are loaded: layers of their ResNet, by name."""
        return {}

    def starts(self) -> dict[str, tuple[str, str]]:
        """The networks that start from other weights: folder, and the network's name there."""
        if self.load_weights_folder is None:
            return {}
        return {name: (self.load_weights_folder, name) for name in self.models_to_load or self.NETWORKS}

    @property
    def metres_per_unit(self) -> float | None:
        """Metres in a unit of the depth that is trained; None where training knows no distance."""
        return None

    @property
    def stereo_scale_factor(self) -> float | None:
        """`metres_per_unit` of a model trained with a stereo pair of this data set, whether or not this one is."""
        return self.metres_per_unit

    @property
    def scaling(self) -> Literal["median", "unit", "none"]:
        """How a validation gets predictions into metres: by `median`, by `unit` (`metres_per_unit`) or `none`."""
        return "median"

    @property
    def blended_validation(self) -> bool:
        """Whether a validation measures the average with the prediction of the mirrored image, by a second pass."""
        return False

    @property
    def is_metric(self) -> bool:
        """Whether depth can be told in metres."""
        return self.metres_per_unit is not None

    @property
    def largest_depth(self) -> float | None:
        """The largest depth that the network can give, before scaling; None where it has no bound."""
        return None

    def criterion(self, values: Mapping[str, float]) -> tuple[str, float]:
        """The number of a validation that the best checkpoint has least: its name and value.

        Raises:
            UserError: the validation has none to go by.
        """
        name = DEPTH_METRIC if DEPTH_METRIC in values else "loss"
        require(
            name in values,
            "validation: the list has neither source views for a loss nor true depth; give another, or --no_validation",
        )
        return name, values[name]

    def derived(self, values: Mapping[str, float]) -> dict[str, float]:
        """Further numbers for the log, that follow from those of a batch."""
        return {}

    def describe(self) -> str:
        """One line, for certificates and logs: the model, its input, its weights."""
        weights = self.load_weights_folder or f"made from seed {self.seed}"
        return f"{self.method}, {self.width}x{self.height}, batch {self.batch_size}; weights: {weights}"

    # --- checks ---

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        from core.options.methods import OPTIONS

        own = self.method in OPTIONS and isinstance(self, OPTIONS[self.method])
        require(own, f"option method: {self.method!r} is not the method that these options are of")
        require_at_least(self, 1, "batch_size", "accumulate_steps")
        require_at_least(self, 1, "log_frequency", "save_frequency", "s3_frequency")
        require_at_least(self, 0, "num_epochs", "num_workers", "save_steps")
        if self.cache_images is not None:
            require_at_least(self, 0, "cache_images")
        require(
            min(self.keep_moments or [0]) >= 0, "option keep_moments: epochs are counted from 0, such as 9"
        )
        require(
            self.start_epoch == 0 or self.load_weights_folder is not None,
            "option start_epoch: the epochs before it left weights; name them by --load_weights_folder",
        )
        require(
            not self.allow_partial or bool(self.starts()),
            "option allow_partial: there are no weights to start from; name them by --load_weights_folder",
        )
        require(
            -1 <= self.start_epoch < max(self.num_epochs, 1),
            f"option start_epoch: {self.start_epoch} is no epoch of the {self.num_epochs} that --num_epochs asks for",
        )
        require(
            not (self.resume and self.overwrite), "options resume, overwrite: a run goes on or is replaced"
        )
        for name in ("wandb_send", "wandb_project", "wandb_entity"):
            require(self.wandb or not getattr(self, name), f"option {name}: only with --wandb; leave it out")
        require(self.max_cpu_seconds >= 0, "option max_cpu_seconds: must not be negative")
        require_store(self.s3_path, self.s3_url)
        require_seed(self.seed)
        require_device(self.device)
        require(self.learning_rate > 0, f"option learning_rate: {self.learning_rate} must be above 0")
        for name in ("height", "width"):
            size, least, multiple = getattr(self, name), self.LEAST_SIDE, self.SIDE_MULTIPLE
            fits = least <= size <= MAX_SIDE and size % multiple == 0
            cure = f"; take at least {least}" if size < least else ""
            require(
                fits, f"option {name}: {size} is no multiple of {multiple} from {least} to {MAX_SIDE}{cure}"
            )
        require(
            self.dataset != "kitti_test",
            "option dataset: kitti_test has single test images, without neighbours: for evaluation only",
        )
        trained = {listing.split for listing in self.listings("train")}
        twice = [
            one.split for one in self.listings("val") if one.split in trained and one.split.endswith(".txt")
        ]
        require(
            not twice,
            f"option split: {''.join(twice[:1])} is one list, which would be validated on as well; name a folder with "
            "train_files.txt and val_files.txt",
        )
        both = {(one.path, one.split) for one in self.listings("train") if is_name_format(one.split)}
        validated = {(one.path, one.split) for one in self.listings("val")}
        require(
            not (self.validation and both & validated),
            f"option split: {self.split} names all images, which would be validated on as well; make lists with "
            "make_split.py, or give --no_validation",
        )
        require_intrinsics(self.intrinsics)
        require(
            self.intrinsics is None or self.dataset == "folder",
            f"option intrinsics: only for --dataset folder; {self.dataset} has its own",
        )
        named = {listing.dataset for listing in self.listings("train")} & {*NAMED_CAMERAS}
        require(
            self.cameras is None or bool(named),
            f"option cameras: only for --dataset {' or '.join(NAMED_CAMERAS)}, whose cameras have names; leave it out",
        )
        require(self.baseline is None or self.baseline > 0, "option baseline: must be above 0, in metres")
        name_is_plain = self.model_name not in ("", ".", "..") and not re.search(r"[/\\]", self.model_name)
        require(
            name_is_plain, f"option model_name: {self.model_name!r} must be a plain folder name; see log_dir"
        )

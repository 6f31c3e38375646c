"""Options of evaluate_depth.py, evaluate_pose.py, export_gt_depth.py and report_depth.py."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from core.options.base import (
    DATASETS,
    NAMED_CAMERAS,
    PRECISION,
    RESNET_LAYERS,
    accept_option,
    list_name,
    option,
    require,
    require_at_least,
    require_depth_range,
    require_device,
    require_share,
)
from core.options.choices import choice_names
from core.options.protocols import (
    CROPS,
    FORWARD_SCAN,
    MAKE3D,
    NYU_H5,
    PROTOCOLS,
    TESTING,
    Protocol,
    change,
    measuring_names,
    of_split,
    on_list,
    protocol_names,
)


@dataclass
class EvaluationOptions:
    """Evaluation of depth."""

    EXAMPLE: ClassVar[str] = "evaluate_depth.py --data_path kitti --eval_mono --load_weights_folder runs/mdp"

    REJECTED: ClassVar[Mapping[str, str]] = {"split_path": "use --eval_split"}  # of programs that are known

    backend: str = option("torch", "framework", choices=("torch", "paddle"))
    data_path: str = option("kitti_data", "root folder of the data set", path=True)
    load_weights_folder: str | None = option(
        None,
        "weights to evaluate: a folder, one file of all networks, or the name of a release in weights/zoo.yml",
        path=True,
    )
    eval_mono: bool = option(False, "scale every prediction by the ratio of medians")
    eval_stereo: bool = option(
        False,
        "metric prediction of a model trained with stereo or known poses: depth times the metres in a unit, no medians",
    )
    protocol: str | None = option(
        None,
        "what is compared with what, and how; with eval_split on a list of your own; none: that of eval_split",
        choices=protocol_names,
    )
    eval_split: str | None = option(
        None,
        "folder in splits/, or a path, with test_files.txt, or a list file; make3d: all images below data_path; "
        "none: the list of the protocol, else eigen",
        path=True,
    )
    eval_eigen_to_benchmark: bool = option(
        False, "of saved disparities of the 697 images of eigen keep the 652 of eigen_benchmark"
    )
    dataset: str | None = option(
        None,
        "reader of the data set; none: kitti_test for benchmark, kitti_odom for odom_*, else kitti",
        choices=DATASETS,
    )
    cameras: list[str] | None = option(
        None,
        "dataset ddad: names of its cameras; the metrics of several are those of all their images, and of each; none: "
        "camera_01",
    )
    ground_truth: str | None = option(
        None,
        "ground truth; none: in the split's folder gt_depths.npz, of a protocol that scores by one depth alone "
        "gt_depths_<depth>.npz",
        path=True,
    )
    crop: str = option(
        "auto",
        "pixels compared; auto: those of the protocol: garg for eigen, the middle for make3d, none for a list",
        choices=("auto", *CROPS),
    )
    depth_cap: float | None = option(
        None,
        "metres; predictions are clamped to it, and with a crop ground truth beyond is left out; none: that of the "
        "protocol, such as 80, for make3d 70",
    )
    least_depth: float | None = option(
        None,
        "metres; predictions are clamped to it, and ground truth that the protocol limits is left out up to it; 0: "
        "none is too near; none: that of the protocol, such as 0.001",
    )
    count_empty_images: bool = option(
        False,
        "an image without ground truth that counts has 0 in every column of the means, whatever the protocol",
    )
    min_depth: float | None = option(
        None, "depth where the sigmoid is 1; none: as in the weights' folder, else 0.1"
    )
    max_depth: float | None = option(
        None, "depth where the sigmoid is 0; none: as in the weights' folder, else 100"
    )
    height: int | None = option(
        None,
        "of the network's input; none: as in the weights' folder, where it is known, else the method's usual one",
    )
    width: int | None = option(None, "of the network's input; see height")
    num_layers: int | None = option(
        None, "of the ResNet; none: as in the weights' folder, else 18", choices=RESNET_LAYERS
    )
    disable_median_scaling: bool = option(False, "no scaling by medians")
    pred_depth_scale_factor: float = option(1.0, "multiplies the predicted depth")
    post_process: bool = option(False, "average with the prediction of the mirrored image")
    variants: bool = option(
        False,
        "a table of one protocol with a row for each: the prediction, and averaged with that of the mirrored image "
        "(_pp), both also scaled by medians (_gt); of saved predictions without _pp; with --eval_stereo all others are "
        "in the model's metres",
    )
    input_depth: str | None = option(
        None,
        "depth that a model takes beside the image, for a table of one protocol with a row for the prediction (the "
        "image alone) and for the completion: a word of the reader (of KITTI velodyne, annotated, proj_depth/velodyne, "
        "proj_depth/groundtruth), or a folder of files as those of predict.py, one for each image in the order of the "
        "names; files of predictions are of the last row",
    )
    input_depth_points: list[float] = option(
        (1.0,), "shares of the points of that depth which the model sees: a row of completion for each"
    )
    ext_disp_to_eval: str | None = option(None, ".npy of disparities (1 / depth); no network runs", path=True)
    pred_depth: str | None = option(
        None,
        "folder of predicted depth, an .npy (height, width) for each image in the order of the names, as predict.py "
        "--save npy writes it; no network runs",
        path=True,
    )
    gt_depth: str | None = option(
        None,
        "of a protocol for test folders: folder of true depth; none: testing/depth in data_path",
        path=True,
    )
    seg_mask: str | None = option(
        None,
        "of a protocol for test folders: folder of masks with dynamic_colors.txt, the colours of what moves; none: "
        "testing/seg_mask in data_path, if there is one",
        path=True,
    )
    scale_by_sequence: bool = option(False, "print the scale ratios of each sequence, too; the JSON has them")
    save_pred_disps: bool = option(False, "write disps_<split>_split.npy into the folder of weights")
    disps_path: str | None = option(
        None, "folder to write all disparities to, as one file, disparities.npy", path=True
    )
    pictures: str | None = option(
        None,
        "folder for colour pictures of each image: disp0.png, ... of its disparity, ground-truth/gt0.png, ... of 1 / "
        "true depth",
        path=True,
    )
    no_eval: bool = option(False, "predict only")
    output: str | None = option(None, "JSON file for the metrics, also of every image", path=True)
    csv: str | None = option(None, "CSV file for the metrics of every image, a row each", path=True)
    png: bool = option(False, "read .png images; off: .jpg or .png, whichever the first line has")
    accept: list[str] | None = accept_option()
    batch_size: int = option(16, "images per pass")
    num_workers: int = option(12, "threads that load images; 0 loads in the main thread")
    precision: str = option("32", PRECISION, choices=("32", "bf16", "16"))
    device: str = option("auto", "auto, cpu, cuda or cuda:N; auto takes a GPU if there is one")

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        require_at_least(self, 1, "batch_size")
        require_at_least(self, 0, "num_workers")
        require_device(self.device)
        require_depth_range(self.min_depth, self.max_depth)
        require_depth_range(1e-3, self.depth_cap, "depth_cap")
        require(
            self.least_depth is None or 0 <= self.least_depth < self.chosen_protocol.subject.cap,
            f"option least_depth: {self.least_depth} must be at least 0 and below the greatest depth",
        )
        require(self.pred_depth_scale_factor > 0, "option pred_depth_scale_factor: must be above 0")
        require(self.eval_mono != self.eval_stereo, "choose exactly one of --eval_mono and --eval_stereo")
        protocol = self.chosen_protocol  # refuses contradictions
        require(
            protocol.subject.list is not None,
            f"option protocol: {self.protocol} has no list of its own; name one with --eval_split",
        )
        sources = (self.load_weights_folder, self.ext_disp_to_eval, self.pred_depth)
        require(
            sum(source is not None for source in sources) == 1,
            "choose exactly one of --load_weights_folder, --ext_disp_to_eval and --pred_depth",
        )
        require(
            any((self.save_pred_disps, self.disps_path, self.pictures)) or not self.no_eval,
            "option no_eval: predicts for nothing without --save_pred_disps, --disps_path or --pictures",
        )
        for name in ("output", "csv"):
            require(
                getattr(self, name) is None or not self.no_eval,
                f"option {name}: there are no metrics with --no_eval; leave out one of them",
            )
        saved = "ext_disp_to_eval" if self.pred_depth is None else "pred_depth"
        if self.load_weights_folder is None:
            for name in ("save_pred_disps", "disps_path", "no_eval", "post_process"):
                require(not getattr(self, name), f"option {name}: makes no sense with --{saved}")
            for name in ("min_depth", "max_depth", "num_layers", "height", "width", *choice_names()):
                require(
                    getattr(self, name, None) is None,
                    f"option {name}: no network runs with --{saved}; leave it out",
                )
        require(
            self.pred_depth is None or not self.eval_stereo,
            "option pred_depth: saved depth has a unit of its own: use --eval_mono, and for metres "
            "--disable_median_scaling",
        )
        require(
            not self.scale_by_sequence or (self.scaling == "median" and not self.no_eval),
            "option scale_by_sequence: there are no scale ratios without scaling by medians; leave it out",
        )
        if self.variants:
            for name in ("post_process", "disable_median_scaling"):
                require(
                    not getattr(self, name),
                    f"option {name}: one of the variants; leave it out, or --variants",
                )
            for name in ("no_eval", "csv", "scale_by_sequence"):
                require(
                    not getattr(self, name),
                    f"option {name}: not of several variants; leave it out, or --variants",
                )
            require(
                bool(protocol.rule.metrics),
                f"option variants: {protocol.name} measures nothing; leave it out",
            )
        self._validate_input_depth(protocol)
        self._validate_test_folder(protocol)
        if self.eval_eigen_to_benchmark:
            require(
                self.ext_disp_to_eval is not None and self.split_name == "eigen_benchmark",
                "option eval_eigen_to_benchmark: needs --ext_disp_to_eval and --eval_split eigen_benchmark",
            )
        if protocol.subject.reader == MAKE3D:
            require(self.crop == "auto", "option crop: make3d has its own, to 2:1; leave it out")
            for name in ("dataset", "ground_truth", "png"):
                require(
                    not getattr(self, name),
                    f"option {name}: make3d is read from the .jpg and .mat files below --data_path; leave it out",
                )
        if protocol.subject.reader == NYU_H5:
            for name in ("dataset", "ground_truth", "png"):
                require(
                    not getattr(self, name),
                    f"option {name}: {protocol.name} reads the .h5 files in --data_path; leave it out",
                )
        self._validate_cameras()
        if not protocol.rule.metrics:
            require(
                self.pred_depth is None,
                "option pred_depth: the benchmark takes one file of all images: use --ext_disp_to_eval",
            )
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

    def _validate_cameras(self) -> None:
        """What only a data set whose cameras have names has, and what it has not."""
        if self.reader not in NAMED_CAMERAS:
            known = " or ".join(NAMED_CAMERAS)
            require(self.cameras is None, f"option cameras: only for --dataset {known}; leave it out")
            return
        for name in ("ground_truth", "png"):
            require(
                not getattr(self, name),
                f"option {name}: --dataset {self.reader} is read from its scenes; leave it out",
            )

    def _validate_input_depth(self, protocol: Protocol) -> None:
        """What rows of prediction and completion can have."""
        shares = self.input_depth_points
        for share in shares:
            require_share(share, "input_depth_points")
        require(len(set(shares)) == len(shares), f"option input_depth_points: {shares} has one twice")
        if self.input_depth is None:
            require(shares == [1.0], "option input_depth_points: only with --input_depth; leave it out")
            return
        require(
            self.load_weights_folder is not None,
            "option input_depth: no network runs without --load_weights_folder; leave it out",
        )
        for name in ("variants", "no_eval", "csv", "scale_by_sequence"):
            require(
                not getattr(self, name),
                f"option {name}: not of several rows; leave it out, or --input_depth",
            )
        require(
            bool(protocol.rule.metrics),
            f"option input_depth: {protocol.name} measures nothing; leave it out",
        )

    def _validate_test_folder(self, protocol: Protocol) -> None:
        """What only a folder of test images has, and what it has not."""
        if protocol.subject.reader == TESTING:
            for name in ("dataset", "ground_truth", "png"):
                require(
                    not getattr(self, name),
                    f"option {name}: {protocol.name} reads color/ and depth/ of the folder testing in --data_path; "
                    "leave it out",
                )
        else:
            known = ", ".join(name for name, row in PROTOCOLS.items() if row.subject.reader == TESTING)
            for name in ("gt_depth", "seg_mask"):
                require(
                    getattr(self, name) is None,
                    f"option {name}: only for a protocol of a test folder ({known}); leave it out",
                )
        for name in ("gt_depth", "seg_mask"):
            require(
                getattr(self, name) is None or not self.no_eval,
                f"option {name}: nothing is compared with --no_eval; leave out one of them",
            )
        require(
            self.seg_mask is None or protocol.rule.resize == "prediction",
            f"option seg_mask: {protocol.name} resizes the truth, which masks are of; leave it out",
        )

    @property
    def chosen_protocol(self) -> Protocol:
        """The protocol, on its list or another, with what the options change.

        Raises:
            UserError: `protocol` and `eval_split` contradict each other.
        """
        if self.protocol is None:
            protocol = of_split("eigen" if self.eval_split is None else self.eval_split)
        elif self.eval_split is None:
            protocol = PROTOCOLS[self.protocol]
        else:
            protocol = on_list(self.protocol, self.eval_split)
        empty: Literal["zeros"] | None = "zeros" if self.count_empty_images else None
        return change(protocol, CROPS.get(self.crop), self.depth_cap, self.least_depth, empty)

    @property
    def scaling(self) -> Literal["median", "unit", "none"]:
        """How predictions get into metres: by medians, by the unit of the model, or as they are."""
        if self.eval_stereo:
            return "unit"
        return "none" if self.disable_median_scaling else "median"

    @property
    def network(self) -> dict[str, Any]:
        """What a network gets for the subject of the protocol, where its method has such an option."""
        return {name: getattr(self, name) or value for name, value in self.chosen_protocol.subject.network}

    @property
    def split(self) -> str:
        """Name or path of the list."""
        return self.chosen_protocol.subject.list or ""

    @property
    def split_name(self) -> str:
        """The last part of the split."""
        return list_name(self.split)

    @property
    def reader(self) -> str:
        """The name of the data set's reader."""
        by_split = {"odom_9": "kitti_odom", "odom_10": "kitti_odom"}
        return self.dataset or by_split.get(self.split_name, self.chosen_protocol.subject.reader)


@dataclass
class PoseEvaluationOptions:
    """Evaluation of the camera's path."""

    EXAMPLE: ClassVar[str] = (
        "evaluate_pose.py --data_path kitti_odometry --eval_split odom_9 --load_weights_folder runs/odometry"
    )

    backend: str = option("torch", "framework", choices=("torch", "paddle"))
    data_path: str = option("kitti_data", "root folder of the data set", path=True)
    load_weights_folder: str | None = option(
        None,
        "weights to evaluate: a folder, one file of all networks, or the name of a release in weights/zoo.yml",
        path=True,
    )
    trajectory: str | None = option(
        None, "file of poses, camera to world, in KITTI's format; no network runs", path=True
    )
    ext_poses_to_eval: str | None = option(
        None, ".npy of motions (N, 4, 4), camera t to camera t + 1; no network runs", path=True
    )
    eval_split: str | None = option(
        None,
        "odom_9, odom_10, or a folder with test_files.txt: each line a frame t, seen with t + 1; none: odom_9, with "
        "--dataset folder all images of data_path, a folder or a video",
        path=True,
    )
    dataset: str = option("kitti_odom", "reader of the data set", choices=DATASETS)
    ground_truth: str | None = option(
        None,
        "true poses in KITTI's format; none: DATA_PATH/poses/<sequence>.txt, with --dataset folder poses.txt beside "
        "the images",
        path=True,
    )
    no_eval: bool = option(False, "predict only: write poses and trajectory")
    output: str | None = option(
        None, "folder for poses, trajectory, JSON and picture; none: the folder of weights, if any", path=True
    )
    height: int | None = option(
        None,
        "of the network's input; none: as in the weights' folder, where it is known, else the method's usual one",
    )
    width: int | None = option(None, "of the network's input; see height")
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
    accept: list[str] | None = accept_option()
    batch_size: int = option(16, "motions per pass")
    num_workers: int = option(12, "threads that load images; 0 loads in the main thread")
    device: str = option("auto", "auto, cpu, cuda or cuda:N; auto takes a GPU if there is one")

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        require_at_least(self, 1, "batch_size")
        require_at_least(self, 0, "num_workers")
        require_device(self.device)
        sources = (self.load_weights_folder, self.trajectory, self.ext_poses_to_eval)
        require(
            sum(source is not None for source in sources) == 1,
            "choose exactly one of --load_weights_folder, --trajectory and --ext_poses_to_eval",
        )
        require(
            self.load_weights_folder is not None or not self.no_eval,
            "option no_eval: nothing to do without --load_weights_folder",
        )
        require(
            self.dataset not in NAMED_CAMERAS,
            f"option dataset: {self.dataset} is for depth alone; take another",
        )
        require(
            self.dataset != "scenes" or self.eval_split is not None,
            "option dataset: a path is of one scene: use --dataset folder with --data_path FOLDER/training/SCENE",
        )


@dataclass
class ExportOptions:
    """Export of ground-truth depth for a split."""

    EXAMPLE: ClassVar[str] = "export_gt_depth.py --data_path kitti --split eigen"

    data_path: str | None = option(None, "root folder of the data set", path=True)
    split: str | None = option(
        None, "folder in splits/, or a path, with test_files.txt, or a list file", path=True
    )
    source: str = option(
        "auto",
        "auto: velodyne for eigen, annotated for eigen_benchmark, else annotated if there; forward_scan: the maps of "
        "velodyne in a file of their own, for protocols that score by nothing else",
        choices=("auto", "velodyne", "annotated", FORWARD_SCAN),
    )
    output: str | None = option(
        None,
        "file to write; none: in the split's folder gt_depths.npz, of forward_scan gt_depths_forward_scan.npz",
        path=True,
    )
    depth_maps: str | None = option(
        None,
        "instead of a data set: folder of depth pictures (16-bit .png) or arrays (.npy, .npz), one for each "
        "line in the order of their names",
        path=True,
    )
    depth_unit: float | None = option(
        None,
        "metres in a step of depth_maps, such as 0.001; none: 1 of arrays of metres; of pictures it must be said",
    )
    unknown: float | None = option(
        None, "a number in depth_maps that means unknown, as 0, nan and what is below 0 do"
    )
    nearest_point: bool = option(
        False, "keep the nearest point of a pixel, not the published rule with its quirk"
    )
    accept: list[str] | None = accept_option()

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        maps = self.depth_maps is not None
        require(self.data_path is not None or maps, "--data_path is missing: the root folder of the data set")
        for name in ("depth_unit", "unknown"):
            require(
                maps or getattr(self, name) is None, f"option {name}: only with --depth_maps; leave it out"
            )
        require(
            not maps or (self.source == "auto" and not self.nearest_point),
            "options source, nearest_point: of scans and annotated depth, not of --depth_maps; leave them out",
        )
        require(
            self.depth_unit is None or self.depth_unit > 0, "option depth_unit: must be above 0, in metres"
        )
        require(
            self.split is not None, "--split is missing: a folder in splits/, or a path, with test_files.txt"
        )
        require(
            self.split != MAKE3D,
            "option split: make3d needs no export; evaluate_depth.py reads its .mat files",
        )
        require(
            self.source != FORWARD_SCAN or not self.nearest_point,
            f"option nearest_point: {FORWARD_SCAN} is by the published rule alone; leave out one of the two",
        )


@dataclass
class ReportOptions:
    """Table and picture of a run on a split with training ground truth."""

    EXAMPLE: ClassVar[str] = (
        "report_depth.py --split data/drive/splits --data_path data/drive --"
        "disparities disps.npy --metrics mine=metrics.json"
    )

    data_path: str = option("kitti_data", "root folder of the data set", path=True)
    split: str | None = option(None, "folder in splits/, or a path, with train and test lists", path=True)
    metrics: list[str] = option(("",), "rows of the table: NAME=FILE.json of evaluate_depth.py --output, ...")
    disparities: str | None = option(
        None, ".npy of evaluate_depth.py --save_pred_disps, for the picture", path=True
    )
    protocol: str | None = option(
        None, "what all rows must be measured by; none: that of the first", choices=measuring_names
    )
    rows: int = option(5, "test frames in the picture")
    output: str = option("report", "folder for report.md and report.png", path=True)
    accept: list[str] | None = accept_option()

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        require_at_least(self, 1, "rows")
        folder = self.split is None or not self.split.endswith(".txt")
        require(folder, f"option split: {self.split} is one list; name the folder of train and test lists")
        require(
            self.metrics != [""], "--metrics is missing: NAME=FILE.json of evaluate_depth.py --output, ..."
        )
        require(self.split is not None, "--split is missing: the folder of the lists that were evaluated")
        for entry in self.metrics:
            require("=" in entry, f"option metrics: {entry!r} is not NAME=FILE.json")
        require(
            self.disparities is not None, "--disparities is missing: disps_<split>_split.npy of the weights"
        )

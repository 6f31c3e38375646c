"""How predicted and true depth are compared, and on what: one table, `PROTOCOLS`, and the only place that knows a crop.

How a prediction gets its unit (medians, metres, as it is) and whether it is averaged with that of the mirrored image is
the caller's, not the protocol's.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from core.errors import UserError
from core.options.base import published_name

MAKE3D = "make3d"  # the name of its reader and, in place of a list, of all its photographs
TESTING = "testing"  # likewise of a folder of test images and depth files
NYU_H5 = "nyu_h5"  # likewise of a folder of .h5 files, an image and its depth in each
# A scan's depth along the scanner's axis, not the camera's, by the published rule: a word of KITTI's readers.
FORWARD_SCAN = "forward_scan"
# Readers of subjects that list their own images: all that lie below the data path.
OWN_LISTS = (MAKE3D, TESTING, NYU_H5)

Quantity = Literal["disparity", "depth"]
Interpolation = Literal["bilinear", "align_corners", "nearest", "nearest_centres", "top_center"]
Median = Literal["mean", "lower"]
Empty = Literal["error", "skip", "zeros"]

SEVEN = ("abs_rel", "sq_rel", "rmse", "rmse_log", "a1", "a2", "a3")
EIGHT = ("abs_rel", "sq_rel", "log10", "rmse", "rmse_log", "a1", "a2", "a3")
NINE = ("abs_diff", *EIGHT)


@dataclass(frozen=True)
class Crop:
    """The part of an image that is compared.

    Attributes:
        rows, columns: first, and end.
        pixels: they are pixels; otherwise shares of the height and the width, whose products are truncated.
    """

    name: str
    rows: tuple[float, float] = (0.0, 1.0)
    columns: tuple[float, float] = (0.0, 1.0)
    pixels: bool = False

    def bounds(self, height: int, width: int) -> tuple[int, int, int, int]:
        """First row, end of rows, first column, end of columns."""
        rows, columns = (1, 1) if self.pixels else (height, width)
        (top, bottom), (left, right) = self.rows, self.columns
        return int(top * rows), int(bottom * rows), int(left * columns), int(right * columns)


@dataclass(frozen=True)
class Subject:
    """What is compared.

    Attributes:
        name: of the subject.
        reader: of the data set, a name of `DATASETS` or of `OWN_LISTS`.
        list: of the images, a folder in splits/ or a path; None: whichever is asked for. Of `OWN_LISTS` the reader.
        crop: the pixels that count.
        cap: greatest depth, metres.
        truth: the one depth that counts, a word of the reader's `DEPTHS`: it is exported to a file of its own, for the
            usual file of a list may hold another. None: whichever was exported.
        cut: images and truth are cut to the crop, by the reader, before anything else; then all that is left counts.
        network: options that a network gets for these images where the user names no other and its method has them,
            such as ("height", 288).
    """

    name: str
    reader: str
    list: str | None
    crop: Crop
    cap: float
    truth: str | None = None
    cut: bool = False
    network: tuple[tuple[str, float], ...] = ()

    def bounds(self, height: int, width: int) -> tuple[int, int, int, int]:
        """What counts of a map of the truth: first row, end of rows, first column, end of columns."""
        return (0, height, 0, width) if self.cut else self.crop.bounds(height, width)


@dataclass(frozen=True)
class Rule:
    """How it is compared.

    Attributes:
        name: of the rule.
        quantity: what is resized. "disparity": 1 / depth, inverted after it; "depth": inverted before it.
        floor: least disparity that is inverted, before anything else; 0: it must be above 0 as it comes.
        interpolation: of what is resized. "bilinear": half-pixel centres, no antialiasing. "align_corners": bilinear
            between the centres of the corners. "nearest": index floor(i n / N). "nearest_centres": index
            floor((i + 1/2) n / N). "top_center": nothing is resized; the prediction lies at the bottom of the image,
            in the middle of its width, and only what it covers counts.
        resize: "prediction": to the size of the truth. "truth": to that of the prediction, by one of the nearest.
            (height, width): both, the truth by "nearest_centres".
        median: of an even count: the "mean" of the middle two, or the "lower".
        min_truth: truth must be above it, metres, where `limit_truth`.
        clamp: least depth of a prediction, metres; the greatest is the cap.
        clamp_first: before the scaling by medians, too.
        limit_truth: truth must be between `min_truth` and the cap, strictly; otherwise all that is above 0 counts.
        empty: an image without truth that counts is an "error", is left out of the means ("skip"), or counts there
            with 0 in every column ("zeros").
        metrics: what is measured, in the order of the columns.
    """

    name: str
    quantity: Quantity = "disparity"
    interpolation: Interpolation = "bilinear"
    resize: Literal["prediction", "truth"] | tuple[int, int] = "prediction"
    median: Median = "mean"
    min_truth: float = 1e-3
    clamp: float = 1e-3
    clamp_first: bool = False
    limit_truth: bool = True
    empty: Empty = "error"
    metrics: tuple[str, ...] = SEVEN
    floor: float = 0.0

    def __post_init__(self) -> None:
        if self.resize == "truth" and not self.interpolation.startswith("nearest"):
            raise ValueError(f"rule {self.name}: truth has gaps, so it is resized by nearest")


@dataclass(frozen=True)
class Protocol:
    """A rule for a subject.

    Attributes:
        name: of the protocol.
        changed: what is not as the table has it, such as "depth_cap 60".
    """

    name: str
    subject: Subject
    rule: Rule
    changed: tuple[str, ...] = ()

    @property
    def lists_its_own(self) -> bool:
        """Whether the subject is all images of a folder, and no list."""
        return self.subject.reader in OWN_LISTS

    @property
    def title(self) -> str:
        """The name, and what was changed: no changed protocol passes for the published one."""
        return ", ".join((self.name, *self.changed))

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Protocol":
        """What `dataclasses.asdict` and `json` made of one.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        subject, rule = dict(content["subject"]), dict(content["rule"])
        crop = {name: _tuple(value) for name, value in subject["crop"].items()}
        network = tuple((name, value) for name, value in subject.get("network", ()))
        return cls(
            content["name"],
            Subject(**(subject | {"crop": Crop(**crop), "network": network})),
            Rule(**{name: _tuple(value) for name, value in rule.items()}),
            tuple(content["changed"]),
        )


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


GARG = Crop("garg", (0.40810811, 0.99189189), (0.03594771, 0.96405229))  # Garg et al. 2016
EIGEN = Crop("eigen", (0.3324324, 0.91351351), (0.0359477, 0.96405229))  # Eigen et al. 2014
NONE = Crop("none")
CROPS = {crop.name: crop for crop in (GARG, EIGEN, NONE)}

# Godard et al. 2019; the log of its program is a rule of its own.
LIMITED = Rule("monodepth2")
UNLIMITED = Rule("monodepth2_unlimited", limit_truth=False)
MAKE3D_RULE = Rule("monodepth2_make3d", metrics=("abs_rel", "sq_rel", "rmse", "log10"))
UPLOAD = Rule("kitti_upload", resize=(352, 1216), clamp=0.0, limit_truth=False, metrics=())
LOG = Rule(
    "monodepth2_log",
    quantity="depth",
    resize=(375, 1242),
    median="lower",
    clamp_first=True,
    limit_truth=False,
    empty="skip",
)

# Bian et al. 2021: by the tests of training, which are the default, and by a script for saved depth; by the first
# release; and by the community's program, after training and during it. All resize depth.
OFFICIAL_TEST = Rule(
    "sc_depth",
    quantity="depth",
    median="lower",
    min_truth=0.1,
    clamp=0.1,
    empty="skip",
    metrics=NINE,
)
OFFICIAL_SCRIPT = Rule(
    "sc_depth_official_script",
    quantity="depth",
    min_truth=0.1,
    clamp=0.1,
    empty="skip",
    metrics=EIGHT,
)
FIRST_RELEASE = Rule(
    "sc_depth_release2021",
    quantity="depth",
    interpolation="nearest",
    median="lower",
    empty="skip",
    metrics=NINE,
)
COMMUNITY = Rule("sc_depth_seed", quantity="depth", empty="skip")
COMMUNITY_VALIDATION = Rule(
    "sc_depth_seed_validation",
    quantity="depth",
    interpolation="nearest",
    resize="truth",
    median="lower",
    empty="skip",
)

# Peng et al. 2021: at one size of truth, or, as a switch, at its own; and indoors, where log10 is one column more than
# theirs.
OF_ONE_SIZE = Rule("epcdepth_eigen", resize=(375, 1242))
OF_OWN_SIZE = Rule("epcdepth_eigen_native")
INDOORS = Rule("epcdepth_nyu", quantity="depth", clamp=0.1, limit_truth=False, metrics=EIGHT)

# Guizilini et al. 2020: resized, or laid into the image; an image without truth may be counted as zeros by a switch.
AT_CORNERS = Rule(
    "packnet",
    quantity="depth",
    interpolation="align_corners",
    median="lower",
    min_truth=0.0,
    clamp=0.0,
    empty="skip",
    floor=1e-6,
)
LAID_IN = Rule(
    "packnet_top_center",
    quantity="depth",
    interpolation="top_center",
    median="lower",
    min_truth=0.0,
    clamp=0.0,
    empty="skip",
    floor=1e-6,
)

LIMITED_BY_CROP = tuple(rule.name for rule in (LIMITED, UNLIMITED, UPLOAD, LOG))

# Folders of test images, all in one layout. No other rule cuts NYU like this.
TEST_FOLDERS = (
    Subject("kitti", TESTING, TESTING, GARG, 80.0),
    Subject("ddad", TESTING, TESTING, NONE, 200.0),
    Subject("nyu", TESTING, TESTING, Crop("nyu", (45, 471), (41, 601), pixels=True), 10.0),
    Subject("bonn", TESTING, TESTING, NONE, 10.0),
    Subject("tum", TESTING, TESTING, NONE, 10.0),
    Subject("scannet", TESTING, TESTING, NONE, 10.0),
)


# Networks trained outdoors look at it with a range of depth of its own.
NYU_CUT = Subject(
    "nyu",
    NYU_H5,
    NYU_H5,
    Crop("44:471, 40:601", (44, 471), (40, 601), pixels=True),
    10.0,
    cut=True,
    network=(("height", 288), ("width", 384), ("max_depth", 10.0)),
)


def of_test_folders(rule: Rule) -> tuple[Protocol, ...]:
    """A rule for all of `TEST_FOLDERS`, such as `<rule>_nyu`."""
    return tuple(Protocol(f"{rule.name}_{subject.name}", subject, rule) for subject in TEST_FOLDERS)


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("eigen", Subject("kitti_eigen", "kitti", "eigen", GARG, 80.0), LIMITED),
        Protocol(
            "eigen_benchmark",
            Subject("kitti_eigen_benchmark", "kitti", "eigen_benchmark", NONE, 80.0),
            UNLIMITED,
        ),
        # Its reader cuts the photographs and the truth.
        Protocol(
            MAKE3D, Subject(MAKE3D, MAKE3D, MAKE3D, Crop("2:1"), 70.0), MAKE3D_RULE
        ),  # the cap of error C1
        Protocol("benchmark", Subject("kitti_benchmark", "kitti_test", "benchmark", NONE, 80.0), UPLOAD),
        Protocol(
            "monodepth2_log",
            Subject("kitti_scans", "kitti", None, Crop("log", (153, 371), (44, 1197), pixels=True), 80.0),
            LOG,
        ),
        *(
            Protocol(rule.name, Subject("kitti_eigen", "kitti", "eigen", GARG, 80.0), rule)
            for rule in (OFFICIAL_TEST, OFFICIAL_SCRIPT, FIRST_RELEASE, COMMUNITY, COMMUNITY_VALIDATION)
        ),
        *(
            Protocol(rule.name, Subject("kitti_eigen", "kitti", "eigen", GARG, 80.0, FORWARD_SCAN), rule)
            for rule in (OF_ONE_SIZE, OF_OWN_SIZE)
        ),
        *(
            Protocol(rule.name, Subject("kitti_eigen", "kitti", "eigen", GARG, 80.0), rule)
            for rule in (AT_CORNERS, LAID_IN)
        ),
        *(
            Protocol(
                f"{rule.name}_annotated",
                Subject("kitti_eigen_benchmark", "kitti", "eigen_benchmark", GARG, 80.0),
                rule,
            )
            for rule in (AT_CORNERS, LAID_IN)
        ),
        # Those of its images that have points; which split, --eval_split says.
        Protocol(f"{AT_CORNERS.name}_ddad", Subject("ddad", "ddad", "val", NONE, 200.0), AT_CORNERS),
        Protocol(INDOORS.name, NYU_CUT, INDOORS),
        *of_test_folders(OFFICIAL_TEST),
        *of_test_folders(OFFICIAL_SCRIPT),
        *of_test_folders(FIRST_RELEASE),
    )
}


def protocol_names() -> tuple[str, ...]:
    """The protocols that there are."""
    return tuple(PROTOCOLS)


def measuring_names() -> tuple[str, ...]:
    """Those that measure something."""
    return tuple(name for name, protocol in PROTOCOLS.items() if protocol.rule.metrics)


def of_split(split: str) -> Protocol:
    """The protocol of a published list by its name, also at the end of a path; of any other list the rule of
    `eigen_benchmark`, under the name of the list.

    Raises:
        UserError: it is the name of a protocol, but of no list.
    """
    path = os.path.normpath(split)
    name = published_name(split)
    if path in PROTOCOLS and PROTOCOLS[path].subject.list != path:
        raise UserError(
            f"option eval_split: {path} is a protocol; use --protocol {path}, and --eval_split for its list"
        )
    row = PROTOCOLS.get(name)
    if row is None or row.subject.list != name or (row.lists_its_own and path != name):
        row = PROTOCOLS["eigen_benchmark"]
    if split == row.subject.list or row.lists_its_own:
        return row
    return replace(row, name=split, subject=replace(row.subject, name=split, list=split))


def on_list(name: str, split: str) -> Protocol:
    """A protocol of the table on another list.

    Raises:
        UserError: that list is of another protocol, or the protocol takes no list.
    """
    row, other = PROTOCOLS[name], PROTOCOLS.get(os.path.normpath(split))
    if split == row.subject.list:
        return row
    if row.lists_its_own:
        raise UserError(f"options protocol, eval_split: {name} has no list; leave out --eval_split {split}")
    if other is not None and other is not row and (row.subject.list or other.lists_its_own):
        raise UserError(
            f"options protocol, eval_split: {split} is another protocol than {name}; leave out one of the two"
        )
    return replace(row, subject=replace(row.subject, list=split))


def change(
    protocol: Protocol,
    crop: Crop | None = None,
    depth_cap: float | None = None,
    min_depth: float | None = None,
    empty: Empty | None = None,
) -> Protocol:
    """The protocol with other values, each of which is named in `changed`; None leaves what is there.

    Args:
        crop: truth beyond the cap is left out with a crop, and counts without one, by the rules of
            `LIMITED_BY_CROP`.
        depth_cap: greatest depth, metres.
        min_depth: least depth of predictions, and of truth that is limited, metres; 0 is none.
        empty: what becomes of an image without truth that counts.
    """
    subject, rule, changed = protocol.subject, protocol.rule, [*protocol.changed]
    if crop is not None and crop != subject.crop:
        subject = replace(subject, crop=crop)
        if rule.name in LIMITED_BY_CROP:
            rule = replace(rule, limit_truth=crop != NONE)
        changed.append(f"crop {crop.name}")
    if depth_cap is not None and depth_cap != subject.cap:
        subject = replace(subject, cap=depth_cap)
        changed.append(f"depth_cap {depth_cap:g}")
    if min_depth is not None and (min_depth, min_depth) != (rule.min_truth, rule.clamp):
        rule = replace(rule, min_truth=min_depth, clamp=min_depth)
        changed.append(f"min_depth {min_depth:g}")
    if empty is not None and empty != rule.empty:
        rule = replace(rule, empty=empty)
        changed.append(f"images without truth: {empty}")
    return replace(protocol, subject=subject, rule=rule, changed=tuple(changed))

"""Ground-truth depth: scans projected into the image, annotated maps, and the file that keeps them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.datasets.depth_files import find_depth_files, in_order_of_lines, read_map_and_step
from core.datasets.kitti import (
    MAX_IMAGE_SIDE,
    Calibration,
    annotated_depth_path,
    calibration_folder,
    image_path,
    read_annotated_depth,
    read_calibration,
    read_scan,
    scan_path,
)
from core.datasets.motion import spread
from core.datasets.packed_depth import LEVEL, pack_indices, pack_values, unpack_index, unpack_values
from core.datasets.scan_evidence import SCANS, Seen, check_scans
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.files.arrays import as_float32, require_finite, save_arrays
from core.options.base import published_name
from core.plausibility.lists import by_folder
from core.plausibility.truth import check_truth
from core.weights.archives import open_archive
from core.weights.files import unreadable
from core.weights.npz import read_npz, read_object_maps

VERSION = 2
IMAGES = ".png", ".jpg"
_ALWAYS = {"version": "i", "shapes": "i", "counts": "i", "lines": "U"}
# The kinds of the arrays of a file, by its version. The first one had the numbers of `SparseDepth` as they are.
ARRAYS = {1: _ALWAYS | {"index": "i", "values": "f"}, 2: _ALWAYS | {"steps": "u", "bytes": "u"}}
MAX_BYTES = 16 << 30  # of all arrays; the largest training list of KITTI needs 10, the Eigen test 0.1
PUBLISHED = "data"  # the one array of a file that the published program exports
CURE = "mend the depth that it comes from"
REMAKE = "make it again with export_gt_depth.py"
NEEDED = f"needed is {PUBLISHED} (images, height, width), metres, 0 or nan where unknown"


# ---- from a scan to a map --------------------------------------------------------------------------------


def scan_to_depth(
    scan: np.ndarray, calibration: Calibration, camera: int, value: str = "velodyne_x", nearest: bool = False
) -> np.ndarray:
    """Projects a scan into an image.

    The published rule, kept for equal bits, has three quirks: pixels are one to the left and above of the
    rounded projection; pixels (v, w-1) and (v+1, 0) share a number in the search for duplicates, so of two
    points there only one pixel gets the minimum; and points between scanner and camera, whose z is negative,
    are projected through the lens. Their depth is negative in camera z, which erases what shares the pixel.

    Args:
        scan: (N, 4) float32, as `read_scan` gives it.
        camera: 2 or 3.
        value: `velodyne_x`, the forward coordinate of the scanner (what the Eigen split is evaluated on),
            or `camera_z`, the depth.
        nearest: replaces the last two quirks: points behind the camera are dropped and each pixel keeps the
            point nearest to the camera.

    Returns:
        (height, width) float32, metres, 0 = unknown.
    """
    height, width = calibration.image_size
    points = scan.take(np.flatnonzero(scan[:, 0] >= 0), axis=0)
    points[:, 3] = 1
    with np.errstate(divide="ignore", invalid="ignore"):
        u_z, v_z, z = calibration.projection(camera) @ points.T
        column = np.rint(u_z / z) - 1
        inside = (column >= 0) & (column < width)
        if nearest:
            inside &= z > 0
        chosen = np.flatnonzero(inside)  # few rows are left to be looked at
        row = np.rint(v_z[chosen] / z[chosen]) - 1
        hit = (row >= 0) & (row < height)
    chosen = chosen[hit]
    u, v = column[chosen].astype(np.int32), row[hit].astype(np.int32)
    # Clamped and rounded before the least is looked for: either order gives the same.
    values = np.maximum(z[chosen] if value == "camera_z" else points[chosen, 0], 0).astype(np.float32)
    depth = np.zeros((height, width), np.float32)
    if nearest:
        order = np.argsort(-z[chosen], kind="stable")
        u, v, values = u[order], v[order], values[order]
    depth[v, u] = values  # the last point of a pixel stays
    if not nearest:
        _minimum_of_duplicates(depth, u, v, values)
    return depth


def _minimum_of_duplicates(depth: np.ndarray, u: np.ndarray, v: np.ndarray, values: np.ndarray) -> None:
    """Where several points share a number, writes their minimum into the pixel of the first, in place."""
    number = v * (depth.shape[1] - 1) + u  # from 0 on; one more than the published program counts
    place = np.arange(number.size, dtype=np.int32)
    newest = np.empty(depth.size + 1, np.int32)
    newest[number] = place  # what no point has stays undefined, and is not looked at
    shared = np.zeros(depth.size + 1, bool)
    shared[number[newest[number] != place]] = True
    several = np.flatnonzero(shared[number])
    if several.size == 0:
        return
    order = several[np.argsort(number[several], kind="stable")]
    starts = np.flatnonzero(np.diff(number[order], prepend=-1))
    first = order[starts]
    depth[v[first], u[first]] = np.minimum.reduceat(values[order], starts)


# ---- the maps of a split ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class SparseDepth:
    """The known pixels of a depth map.

    Attributes:
        shape: (height, width).
        index: int32 (M,), row-major numbers of the known pixels, ascending.
        values: float32 (M,), metres, above 0.
        line: the line of the split list that the map belongs to.
    """

    shape: tuple[int, int]
    index: np.ndarray
    values: np.ndarray
    line: str

    @classmethod
    def from_dense(cls, depth: np.ndarray, line: SplitLine | str) -> "SparseDepth":
        """Keeps the pixels above 0 of a (height, width) map."""
        index = np.flatnonzero(depth > 0).astype(np.int32)
        return cls(depth.shape, index, depth.ravel()[index].astype(np.float32), str(line))

    def dense(self) -> np.ndarray:
        """(height, width) float32, 0 = unknown."""
        depth = np.zeros(self.shape, np.float32)
        depth.ravel()[self.index] = self.values
        return depth


def ground_truth(
    root: Path, lines: Iterable[SplitLine], source: str, nearest: bool = False
) -> Iterator[SparseDepth]:
    """Makes the ground truth of each line of a split, one after the other.

    Args:
        root: KITTI raw.
        source: `velodyne` or `forward_scan` (scanner x of the projected scan), or `annotated` (camera z of the
            annotated map).
        nearest: see `scan_to_depth`.

    Raises:
        UserError: a scan, a calibration or a map is missing or malformed; names the file.
    """
    calibrations: dict[Path, Calibration] = {}
    for line in lines:
        if source == "annotated":
            depth = read_annotated_depth(annotated_depth_path(root, line.folder, line.frame, line.camera))
        else:
            folder = calibration_folder(root, line.folder)
            if folder not in calibrations:
                calibrations[folder] = read_calibration(folder)
            scan = read_scan(scan_path(root, line.folder, line.frame))
            depth = scan_to_depth(scan, calibrations[folder], line.camera, nearest=nearest)
        yield SparseDepth.from_dense(depth, line)


def check_sources(root: Path, lines: Sequence[SplitLine], source: str) -> None:
    """Makes sure that every line has what its map is made of, before the first is made.

    Args:
        source: see `ground_truth`.

    Raises:
        UserError: some have not; counts them by drive.
    """
    annotated = source == "annotated"
    files = [
        annotated_depth_path(root, line.folder, line.frame, line.camera)
        if annotated
        else scan_path(root, line.folder, line.frame)
        for line in lines
    ]
    lacking = [number for number, file in enumerate(files) if not file.is_file()]
    if lacking:
        what = "image; merge KITTI's annotated depth" if annotated else "scan; unpack the velodyne_points"
        counted = by_folder([lines[number].folder for number in lacking], [line.folder for line in lines])
        raise UserError(
            f"{files[lacking[0]]}: no such {what} there, or give a list of what is here (lack it: {counted})"
        )


def look_at_scans(root: Path, lines: Sequence[SplitLine]) -> None:
    """Says where scans do not lie on their images, as far as these are there; see `core.datasets.scan_evidence`.

    Raises:
        UserError: a scan or a calibration is malformed.
    """
    seen = []
    for line in spread(list(lines), SCANS):
        place = root, line.folder, line.frame
        images, scan = [image_path(*place, line.camera, end) for end in IMAGES], scan_path(*place)
        image = next((file for file in images if file.is_file()), None)
        if image is None or not scan.is_file():
            continue
        calibration = read_calibration(calibration_folder(root, line.folder))
        projection = calibration.projection(line.camera)
        seen.append(Seen(read_scan(scan), projection[:3], image, calibration.image_size))
    check_scans(f"scans of {root}", seen)


def maps_of_folder(
    folder: Path, lines: Sequence[SplitLine], unit: float | None, unknown: float | None
) -> Iterator[SparseDepth]:
    """Makes the ground truth of each line of a list from a folder of depth pictures or arrays, by `in_order_of_lines`.

    Args:
        unit: metres in a step; None: arrays hold metres, and the text of pictures says it, as that of predict.py does.
        unknown: a number that means unknown, as 0, nan and what is below 0 do.

    Raises:
        UserError: their number is not that of the lines, one is damaged, or pictures have no unit.
    """
    files = find_depth_files(folder)
    if len(files) != len(lines):
        raise UserError(
            f"{folder}: {len(files)} files of depth, but the list has {len(lines)} lines; it needs one for each"
        )
    for file, line in zip(in_order_of_lines(files, lines), lines, strict=True):
        depth, step = read_map_and_step(file)
        metres = unit if unit is not None else step
        if metres is None and file.suffix.lower() == ".png":
            raise UserError(
                f"{file}: nothing says what its steps are: give --depth_unit METRES, such as 0.001"
            )
        known = np.isfinite(depth) & (depth > 0)
        if unknown is not None:
            known &= depth != np.float32(unknown)
        yield SparseDepth.from_dense(
            np.where(known, depth, 0) * np.float32(1 if metres is None else metres), line
        )


def choose_source(root: Path, split: str, lines: Sequence[SplitLine]) -> str:
    """`velodyne` or `annotated`: by the published lists for eigen and eigen_benchmark; otherwise annotated
    depth, which is denser and cleaner, if the first line has it."""
    published = {"eigen": "velodyne", "eigen_benchmark": "annotated"}
    if (name := published_name(split)) in published:
        return published[name]
    first = lines[0]
    annotated = annotated_depth_path(root, first.folder, first.frame, first.camera)
    return "annotated" if annotated.is_file() else "velodyne"


def ground_truth_name(depth: str | None = None) -> str:
    """The file, in the folder of a list, of its maps; of one depth alone, see `Subject.truth`, a file of its own."""
    return "gt_depths.npz" if depth is None else f"gt_depths_{depth}.npz"


def require_ground_truth(path: Path, depth: str | None, data_path: str, split: str) -> None:
    """Makes sure that the file of a depth of its own, see `Subject.truth`, is there.

    Raises:
        UserError: it is not; says the command.
    """
    if depth is not None and not path.is_file():
        raise UserError(
            f"{path}: no such ground truth, which is of {depth} alone; make it with export_gt_depth.py "
            f"--data_path {data_path} --split {split} --source {depth}"
        )


def save_ground_truth(path: Path, maps: Sequence[SparseDepth]) -> None:
    """Writes maps as a compressed `.npz` of plain arrays, atomically.

    The arrays: `version`; `shapes` (N, 2); `counts` (N,) known pixels per map; `steps` and `bytes`, see
    `core.datasets.packed_depth`, all maps one after the other; `lines` (N,), the lines of the split list.
    """
    values = np.concatenate([depth.values for depth in maps] or [np.empty(0, np.float32)])
    require_finite(values, f"{path}: not written: values", CURE)
    arrays: dict[str, Any] = {
        "version": np.int32(VERSION),
        "shapes": np.array([depth.shape for depth in maps], np.int32).reshape(-1, 2),
        "counts": np.array([depth.index.size for depth in maps], np.int32),
        "steps": pack_indices([depth.index for depth in maps]),
        "bytes": pack_values(values),
        "lines": np.array([depth.line for depth in maps], np.str_),
    }
    save_arrays(path, arrays, level=LEVEL, cure=CURE)


def load_ground_truth(path: Path, lines: Sequence[SplitLine] | None = None) -> list[SparseDepth]:
    """Reads what `save_ground_truth` or the published program wrote; runs nothing that the file holds.

    The published file (one array of objects, `data`) does not say which lines its maps belong to. In it, and in those
    of other programs, nan is unknown, too.

    Args:
        lines: the split that the maps must belong to, line by line; None skips the check.

    Raises:
        UserError: missing, damaged, another format, made for another split, or not in metres.
    """
    maps = _published_maps(path, lines) if _is_published(path) else _own_maps(path, lines)
    check_maps(path, maps)
    return maps


def check_maps(where: Path | str, maps: Sequence[SparseDepth]) -> None:
    """See `core.plausibility.truth.check_truth`."""
    check_truth(where, [depth.values for depth in maps], [depth.line for depth in maps])


def _own_maps(path: Path, lines: Sequence[SplitLine] | None) -> list[SparseDepth]:
    """The maps that `save_ground_truth` wrote."""
    arrays = _read_arrays(path)
    shapes, counts = arrays["shapes"], arrays["counts"]
    number = len(counts)
    whole: Any = (
        shapes.shape == (number, 2)
        and counts.shape == arrays["lines"].shape == (number,)
        and (counts >= 0).all()
        and ((shapes > 0) & (shapes <= MAX_IMAGE_SIDE)).all()
    )
    known = int(counts.sum(dtype=np.int64))
    packed = "steps" in arrays
    index = arrays["steps" if packed else "index"]
    if packed:
        whole = whole and arrays["bytes"].dtype == np.uint8 and arrays["bytes"].shape == (4, known)
    else:
        whole = whole and arrays["values"].shape == (known,)
    if not whole or index.shape != (known,):
        raise UserError(f"{path}: damaged: its arrays do not fit together; {REMAKE}")
    values = unpack_values(arrays.pop("bytes")) if packed else as_float32(arrays["values"], str(path), REMAKE)
    if not (np.isfinite(values) & (values > 0)).all():
        raise UserError(f"{path}: damaged: holds impossible depths; {REMAKE}")
    maps, start = [], 0
    for (height, width), count, line in zip(shapes.tolist(), counts.tolist(), arrays["lines"], strict=True):
        part = slice(start, start + count)
        places = unpack_index(index[part]) if packed else index[part]
        if ((places < 0) | (places >= height * width)).any() or (packed and (index[part] == 0).any()):
            raise UserError(f"{path}: damaged: holds pixels outside their map; {REMAKE}")
        maps.append(
            SparseDepth((height, width), places.astype(np.int32, copy=False), values[part], str(line))
        )
        start += count
    if lines is not None:
        _check_lines(path, maps, lines)
    return maps


def _is_published(path: Path) -> bool:
    """Whether a file is of the published program; its size is bounded before anything is unpacked."""
    if path.is_dir():
        raise UserError(
            f"{path}: a folder is no ground truth; make the file of it: export_gt_depth.py --depth_maps {path}"
        )
    if not path.is_file():
        raise UserError(f"{path}: no such ground truth; make it with export_gt_depth.py")
    try:
        with open_archive(path, MAX_BYTES) as (archive, _):
            names = archive.namelist()
    except UserError:
        raise
    except Exception as error:  # a damaged file makes zipfile raise almost anything
        raise unreadable(path, "ground-truth file", error, REMAKE) from None
    return f"{PUBLISHED}.npy" in names and "version.npy" not in names


def _published_maps(path: Path, lines: Sequence[SplitLine] | None) -> list[SparseDepth]:
    """The maps of the published program: dense, 0 = unknown."""
    maps = read_object_maps(path, PUBLISHED, REMAKE)
    for depth in maps:
        sides = depth.ndim == 2 and min(depth.shape) > 0 and max(depth.shape) <= MAX_IMAGE_SIDE
        if sides and depth.dtype.kind in "iu":
            raise UserError(
                f"{path}: holds whole numbers ({depth.dtype}, up to {depth.max()}), so its unit is not known; save "
                f"metres as float32, or {REMAKE}"
            )
        if sides and depth.dtype.kind == "f" and np.isinf(depth).any():
            raise UserError(
                f"{path}: has infinite depths; write 0 or nan where depth is unknown, or {REMAKE}"
            )
        if not sides or depth.dtype.kind != "f":
            raise UserError(f"{path}: damaged: holds something else than depth maps; {REMAKE}")
    if maps and all(np.isnan(depth).all() for depth in maps):
        raise UserError(f"{path}: damaged: all its depths are nan, which is unknown; {REMAKE}")
    if lines is not None and len(lines) != len(maps):
        raise UserError(f"{path}: holds {len(maps)} maps but the split has {len(lines)} lines; {REMAKE}")
    return [
        SparseDepth.from_dense(depth, "" if lines is None else lines[row]) for row, depth in enumerate(maps)
    ]


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file, their kinds checked."""
    arrays = read_npz(path, REMAKE, MAX_BYTES)
    version = arrays.get("version", np.int32(VERSION))
    whole = version.shape == () and version.dtype.kind == "i" and int(version) in ARRAYS
    kinds = ARRAYS[int(version) if whole else VERSION]
    missing = [name for name in kinds if name not in arrays]
    if whole and missing:
        there = ", ".join(list(arrays)[:5])
        raise UserError(
            f"{path}: no ground truth of this program: has {there}, lacks {', '.join(missing)}; {NEEDED}; {REMAKE}"
        )
    if not whole or any(arrays[name].dtype.kind != kind for name, kind in kinds.items()):
        raise UserError(f"{path}: ground truth of another version or damaged; {REMAKE}")
    if arrays["counts"].ndim != 1:
        raise UserError(f"{path}: damaged: its arrays do not fit together; {REMAKE}")
    return {name: arrays[name] for name in kinds}


def _check_lines(path: Path, maps: Sequence[SparseDepth], lines: Sequence[SplitLine]) -> None:
    if len(maps) != len(lines):
        raise UserError(f"{path}: holds {len(maps)} maps but the split has {len(lines)} lines; {REMAKE}")
    for row, (depth, line) in enumerate(zip(maps, lines, strict=True)):
        if depth.line != str(line):
            raise UserError(f"{path}: map {row} is of {depth.line!r}, the split says {str(line)!r}; {REMAKE}")

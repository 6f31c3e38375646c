"""All that the checks find in a data folder, without an end at the first: `check_data.py`."""

from pathlib import Path

from core.datasets import reader
from core.datasets.ground_truth import ground_truth_name, load_ground_truth
from core.datasets.motion import spread
from core.datasets.samples import SequenceDataset
from core.datasets.sequences import sizes_of
from core.datasets.splits import PARTS, SplitLine, has_part, list_below, load_split, split_folder
from core.errors import UserError
from core.files.images import BadImageError, image_size
from core.options import CheckOptions
from core.options.needs import Frame, Listing, Needs, Preparation
from core.plausibility.cameras import check_baseline
from core.plausibility.checks import Finding, Findings, collecting
from core.plausibility.lists import check_lines, check_test, check_validation
from core.plausibility.truth import check_shapes, check_unit

FILES = "files"  # of a finding that no check has a name for: something is missing or damaged
SHOWN = 3  # findings of a check
HEADS = 5000  # images of a list, evenly chosen, whose heads are read


def check_data(options: CheckOptions) -> tuple[list[str], list[Finding]]:
    """Looks at every list that there is, at what its lines need, and at the ground truth.

    Returns:
        What was looked at, a line each, and all findings.
    """
    seen = []
    with collecting() as found:
        lists: dict[str, list[SplitLine]] = {}
        if options.baseline is not None:
            check_baseline("option baseline", options.baseline)
        if not reader(options.dataset).takes_split:
            return _check_made_lists(options, found), found.found
        for part in PARTS:
            try:
                split = list_below(options.data_path, options.split)
                if not has_part(split, part):
                    continue
                lists[part] = load_split(split, part)
                seen.append(_check_part(options, part, lists[part]))
            except UserError as error:
                found.add(Finding(FILES, str(error), True, False))
        _check_lists(options, lists)
        if "test" in lists:
            seen += _check_truth(options, lists["test"], found)
    return seen, found.found


def table(found: list[Finding]) -> str:
    """The findings in a Markdown table, of each check the first few."""
    if not found:
        return "nothing found"
    lines = ["| check | what becomes of it | what was found |", "|---|---|---|"]
    for check in dict.fromkeys(finding.check for finding in found):
        of_check = [finding for finding in found if finding.check == check]
        for finding in of_check[:SHOWN]:
            fate = "accepted" if finding.accepted else "error" if finding.impossible else "warning"
            lines.append(f"| {check} | {fate} | {' '.join(finding.message.split())} |")
        if len(of_check) > SHOWN:
            lines.append(f"| {check} | | and {len(of_check) - SHOWN} more |")
    return "\n".join(lines)


def _check_made_lists(options: CheckOptions, found: Findings) -> list[str]:
    """As `check_data`, of a data set that makes its lists itself: all parts that it has, of each camera."""
    source, seen = reader(options.dataset), []
    cameras: list[str | None] = list(options.cameras or [])
    for camera in cameras or [None]:
        lacking = []
        for part in PARTS:
            listing = Listing(options.dataset, options.data_path, "", camera=camera)
            needs, name = _needs(options, part), f"{part}, {camera}" if camera else part
            try:
                lines, _ = source.split_lines(listing, part, needs)
            except UserError as error:
                lacking.append(error)
                continue
            try:
                seen.append(_check_part(options, name, lines, listing, needs))
            except UserError as error:
                found.add(Finding(FILES, str(error), True, False))
        if len(lacking) == len(PARTS):  # else the others are just not there
            found.add(Finding(FILES, str(lacking[0]), True, False))
    return seen


def _needs(options: CheckOptions, part: str) -> Needs:
    frames: list[Frame] = (
        [0] if part == "test" else [*options.frame_ids, *(["s"] if options.use_stereo else [])]
    )
    return Needs(frames=tuple(frames), augmented=False)


def _check_part(
    options: CheckOptions,
    part: str,
    lines: list[SplitLine],
    listing: Listing | None = None,
    needs: Needs | None = None,
) -> str:
    dataset = reader(options.dataset)(
        listing or Listing(options.dataset, options.data_path, options.split),
        lines,
        needs or _needs(options, part),
        Preparation(64, 96),
        png=options.png or None,
        given_intrinsics=options.intrinsics,
    )
    dataset.may_keep = False  # looks, and writes nothing
    dataset.check_files()
    dataset.check_rig(options.baseline)
    for line in {line.folder: line for line in reversed(dataset.lines)}.values():
        dataset.K(line)
    _check_images(dataset)
    dataset.check_scans()
    depths = _check_depth(options, dataset)
    sequences = len({line.folder for line in dataset.lines})
    return f"{part}: {len(dataset.lines)} lines, {sequences} sequences, {depths} depths read"


def _check_images(dataset: SequenceDataset) -> None:
    """Reads the heads of the images: whether they are images, of 8 bits.

    Raises:
        UserError: one is not; says how many.
    """
    paths = sorted({dataset.image_file(line, frame) for line in dataset.lines for frame in dataset.frames})
    bad: list[BadImageError] = []
    for path in spread(paths, HEADS):
        try:
            image_size(path, is_photo=True)
        except BadImageError as error:
            bad.append(error)
    if bad:
        raise UserError(f"{bad[0]} ({len(bad)} of {min(len(paths), HEADS)} images that were looked at)")


def _check_depth(options: CheckOptions, dataset: SequenceDataset) -> int:
    """Reads some of the measured depths, and says how many."""
    if not dataset.DEPTHS:
        return 0
    kind = dataset.DEPTHS[0]
    measured = [line for line in dataset.lines if dataset.has_depth(line, kind)]
    count = min(options.samples, len(measured))
    for line in (measured[n * len(measured) // count] for n in range(count)):
        depth = dataset.measured_depth(line, kind)
        if depth is not None:
            check_unit(f"{dataset.depth_file(line, kind)}", depth[depth > 0])
    return count


def _check_lists(options: CheckOptions, lists: dict[str, list[SplitLine]]) -> None:
    places = {part: [line.place for line in lines] for part, lines in lists.items()}
    where = f"split {options.split}"
    if options.split.endswith(".txt"):
        return  # one list is all parts
    for part in ("val", "test"):
        check_lines(f"{where}, {part}", places.get(part, []))
    check_validation(where, places.get("train", []), places.get("val", []))
    check_test(where, places.get("train", []), places.get("test", []))


def _check_truth(options: CheckOptions, lines: list[SplitLine], found: Findings) -> list[str]:
    """Looks at the ground truth, where there is one."""
    given = options.ground_truth is not None
    path = Path(options.ground_truth or split_folder(options.split) / ground_truth_name())
    if not given and not path.is_file():
        return []
    try:
        maps = load_ground_truth(path, lines)
        dataset = reader(options.dataset)(
            options.data_path, lines, Needs(augmented=False), Preparation(64, 96), png=options.png or None
        )
        files = [dataset.image_path(line, 0) for line in lines]
    except UserError as error:
        found.add(Finding(FILES, str(error), True, False))
        return []
    sizes = sizes_of(files)
    seen = [sizes.get(file) for file in files]
    check_shapes(path, [depth.shape for depth in maps], seen, [str(line) for line in lines])
    pixels = sum(depth.index.size for depth in maps) / len(maps)
    return [f"ground truth: {len(maps)} maps, {pixels:.0f} known pixels each on average"]

"""Which archives of KITTI raw to download: `python -m core.datasets.kitti_archives > kitti_archives_to_download.txt`.

With names of splits, only what these need: `python -m core.datasets.kitti_archives eigen_zhou eigen`. Then
`wget -i kitti_archives_to_download.txt -P kitti_data` fetches them (175 GB in all), and unzipping them there gives
the folders that `--data_path kitti_data` reads.
"""

import argparse
from collections.abc import Sequence

from core.datasets.splits import LISTS, drive_folder, facts, load_split
from core.errors import UserError, run

ADDRESS = "https://s3.eu-central-1.amazonaws.com/avg-kitti/raw_data"


def archives(splits: Sequence[str] = ()) -> list[str]:
    """Addresses of the calibrations of the days and of the drives that the lists name; of all 61 drives for none.

    Raises:
        UserError: no such split, or one that is not of KITTI raw.
    """
    drives = set(map(drive_folder, facts().lengths)) if not splits else set()
    for split in splits:
        if split not in LISTS:
            raise UserError(f"split {split!r}: known are {', '.join(LISTS)}")
        folders = {line.folder for part in LISTS[split] for line in load_split(split, part)}
        drives |= {folder for folder in folders if "/" in folder}  # the others are of other archives
    if not drives:
        raise UserError(f"split {' '.join(splits)}: its frames are not of KITTI raw")
    days = sorted({drive.split("/")[0] for drive in drives})
    names = sorted(drive.split("/")[1] for drive in drives)
    return [
        *(f"{ADDRESS}/{day}_calib.zip" for day in days),
        *(f"{ADDRESS}/{name.removesuffix('_sync')}/{name}.zip" for name in names),
    ]


def main(argv: list[str] | None = None) -> None:
    """Prints the addresses, one a line."""
    parser = argparse.ArgumentParser(
        "python -m core.datasets.kitti_archives",
        description="Addresses of the archives of KITTI raw, one a line.",
        epilog="example: python -m core.datasets.kitti_archives eigen_zhou eigen > kitti_archives_to_download.txt",
    )
    parser.add_argument("splits", nargs="*", metavar="SPLIT", help="only what these need; none: all drives")
    print("\n".join(archives(parser.parse_args(argv).splits)))


if __name__ == "__main__":
    run(main)

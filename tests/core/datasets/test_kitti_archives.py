"""The list of archives to download follows from the drives of the splits."""

import pytest

from core.datasets.kitti_archives import ADDRESS, archives, main
from core.datasets.splits import facts
from core.errors import UserError


def test_all_archives():
    addresses = archives()
    calibrations = [address for address in addresses if address.endswith("_calib.zip")]
    drives = [address for address in addresses if address.endswith("_sync.zip")]
    assert (len(calibrations), len(drives), len(set(addresses))) == (5, 61, 66)
    assert calibrations[0] == f"{ADDRESS}/2011_09_26_calib.zip"
    assert f"{ADDRESS}/2011_10_03_drive_0047/2011_10_03_drive_0047_sync.zip" in drives
    assert len(drives) == len(facts().lengths)


@pytest.mark.parametrize(
    ("splits", "days", "drives"),
    [(["eigen"], 5, 28), (["eigen_full"], 5, 33), (["eigen_zhou", "eigen"], 5, 60), (["benchmark"], 5, 60)],
)
def test_archives_of_splits(splits, days, drives):
    addresses = archives(splits)
    assert len(addresses) == days + drives and set(addresses) < set(archives())


def test_the_command(capsys):
    main([])
    assert capsys.readouterr().out.splitlines() == archives()
    for name, match in [("odom_9", "not of KITTI raw"), ("eigen_zou", "known are eigen_zhou")]:
        with pytest.raises(UserError, match=match):
            main([name])

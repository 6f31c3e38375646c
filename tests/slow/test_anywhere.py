"""Damage at every place of a file, heavy pickles in every format, of which every run of the tests takes some."""

from pathlib import Path

import pytest

from tests.core.datasets.test_mat_file import cut_and_change
from tests.core.payloads import HEAVY
from tests.core.weights.test_hostile_weights import FORMATS, assert_refused, watch_pickles


@pytest.mark.parametrize("compress", [False, True])
def test_a_matlab_file_cut_anywhere_and_changed_anywhere(tmp_path: Path, compress: bool) -> None:
    cut_and_change(tmp_path, compress, step=1, changes=1500)


@pytest.mark.parametrize("kind", FORMATS)
def test_heavy_pickles_in_every_format(tmp_path: Path, kind: str) -> None:
    assert_refused(watch_pickles(tmp_path, {kind: list(HEAVY)}), list(HEAVY))

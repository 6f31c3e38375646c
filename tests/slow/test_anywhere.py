"""Damage at every place of a file; every run of the tests takes some: `python -m pytest tests/slow -k anywhere`."""

from pathlib import Path

import pytest

from tests.core.datasets.test_mat_file import cut_and_change


@pytest.mark.parametrize("compress", [False, True])
def test_a_matlab_file_cut_anywhere_and_changed_anywhere(tmp_path: Path, compress: bool) -> None:
    cut_and_change(tmp_path, compress, step=1, changes=1500)

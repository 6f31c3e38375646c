"""What a weights folder says of its model: its own options, an official encoder file, or nothing."""

from pathlib import Path

import numpy as np
import pytest

from core.errors import UserError
from core.options import Monodepth2Options
from core.parsing import save_options
from core.weights.folder import OPTIONS_FILE, model_options

OFFICIAL = {"height": np.array(320), "width": np.array(1024), "use_stereo": np.array(True)}


def test_options_of_the_training_win_over_the_encoder_file(tmp_path: Path) -> None:
    trained = Monodepth2Options(height=64, width=128, num_layers=34, min_depth=0.5)
    save_options(trained, tmp_path / OPTIONS_FILE)
    assert model_options(tmp_path, OFFICIAL, {}) == trained


def test_official_folder(tmp_path: Path) -> None:
    options = model_options(tmp_path, OFFICIAL, {})
    assert (options.height, options.width, options.use_stereo) == (320, 1024, True)
    assert type(options.height) is int and type(options.use_stereo) is bool
    assert (options.num_layers, options.min_depth, options.max_depth) == (18, 0.1, 100)


def test_encoder_file_without_numbers_means_the_defaults(tmp_path: Path) -> None:
    assert model_options(tmp_path, {"encoder.conv1.weight": np.zeros(1)}, {}) == Monodepth2Options()


def test_overrides_win_where_given(tmp_path: Path) -> None:
    save_options(Monodepth2Options(num_layers=34, max_depth=80), tmp_path / OPTIONS_FILE)
    options = model_options(tmp_path, {}, {"num_layers": 50, "min_depth": 0.2, "max_depth": None})
    assert (options.num_layers, options.min_depth, options.max_depth) == (50, 0.2, 80)


def test_impossible_values(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="min_depth"):
        model_options(tmp_path, {}, {"min_depth": 200.0})
    with pytest.raises(UserError, match="height"):
        model_options(tmp_path, {"height": np.array(33)}, {})
    (tmp_path / OPTIONS_FILE).write_text("hight: 64\n")
    with pytest.raises(UserError, match=r"options\.yaml: unknown option 'hight': did you mean height"):
        model_options(tmp_path, {}, {})


@pytest.mark.parametrize("value", [np.array("tall"), np.zeros(3), np.array(None), np.array(np.nan)])
def test_encoder_file_with_other_things_under_these_names(tmp_path: Path, value: np.ndarray) -> None:
    with pytest.raises(UserError, match="height"):
        model_options(tmp_path, {"height": value}, {})

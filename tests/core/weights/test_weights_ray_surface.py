"""Files of neural ray surfaces: names and shapes of their networks, the program's file of both, and the template."""

import io
import math
import tarfile

import numpy as np
import pytest

from core.errors import UserError
from core.weights.families import matches
from core.weights.families.packnet import ResNetDepth
from core.weights.families.ray_surface import FAMILY, RayDepth, RayPose, configured, join, split
from core.weights.folder import Folder, model_options
from tests.core.packnet_files import Checkpoint, configuration

PARAMETERS = {18: 17_993_231, 34: 28_101_391, 50: 43_583_503}


@pytest.fixture(scope="module")
def names(golden):
    return golden("ray_surface/names.json")


@pytest.mark.parametrize("layers", PARAMETERS)
def test_names_and_shapes_are_the_published_ones(names, layers):
    rule, published = RayDepth(layers), names[f"ray_surface_resnet_{layers}"]
    assert rule.shapes == {name: tuple(shape) for name, shape in published.items()}
    learnt = (shape for name, shape in rule.shapes.items() if "running" not in name and shape)
    assert sum(map(math.prod, learnt)) == PARAMETERS[layers]
    assert FAMILY.recognise(rule.shapes) == rule
    assert rule.left_out == {"ray_template", "valid"}


def test_what_a_file_has_beside_the_published_names():
    for rule in (RayDepth(18, (64, 96)), RayDepth(18, (64, 96), masked=True, progress=True)):
        assert FAMILY.recognise(rule.shapes) == rule
    assert RayDepth(18, (64, 96)).left_out == {"valid"}


def test_told_from_a_depth_network_without_rays():
    """The pose network alone is of either."""
    depth = {"depth": RayDepth(18).shapes, "pose": RayPose(18).shapes}
    assert [match.family.method for match in matches(depth)] == ["ray_surface"]
    plain = {"depth": ResNetDepth(18).shapes, "pose": RayPose(18).shapes}
    assert [match.family.method for match in matches(plain)] == ["packnet"]


def test_both_networks_in_one_file():
    states = {"depth": RayDepth(18, (64, 96), True).shapes, "pose": RayPose(18).shapes}
    assert split(join(states)) == states
    assert split({"encoder.conv1.weight": ()}) is None
    beside = {name: shape for name, shape in join(states).items() if not name.endswith("ray_template")}
    assert split(beside | {"omnicam_ray_template": (1, 3, 64, 96)}) == states


def test_size_of_a_configuration():
    assert configured(configuration(image_shape=[384, 352])) == {"height": 384, "width": 352}
    assert configured({"datasets": {"augmentation": None}}) == {}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """The kind that is published: a checkpoint and the template beside it."""
    folder = tmp_path_factory.mktemp("packed")
    checkpoint = Checkpoint({"depth": RayDepth(18).shapes, "pose": RayPose(18).shapes})
    inside = checkpoint.write(folder / "model.ckpt")
    rays = np.zeros((1, 3, 64, 96), np.float32)
    rays[:, 2] = 1
    stream = io.BytesIO()
    np.save(stream, rays)
    with tarfile.open(folder / "omnicam_pretrained.tar.gz", "w:gz", compresslevel=1) as archive:
        archive.add(inside, "omnicam/model.ckpt")
        member = tarfile.TarInfo("omnicam/omnicam_ray_template.npy")
        member.size = len(stream.getvalue())
        archive.addfile(member, io.BytesIO(stream.getvalue()))
    return folder


def test_an_archive_of_the_published_kind(packed):
    """Its template is that of the model, and another is refused."""
    path = packed / "omnicam_pretrained.tar.gz"
    files = Folder(path)
    options = model_options(path, files, {})
    assert (options.method, options.height, options.width) == ("ray_surface", 64, 96)
    with pytest.raises(UserError, match="rays of their own"):
        model_options(path, files, {"template": ["dummy"]})


def test_a_checkpoint_without_template_takes_one(packed):
    options = model_options(packed / "model.ckpt", Folder(packed / "model.ckpt"), {"template": ["dummy"]})
    assert options.template == ["dummy"]

"""Files of neural ray surfaces: names and shapes of their networks, the program's file of both, and the template."""

import io
import math
import tarfile

import numpy as np
import pytest

from core.errors import UserError
from core.weights.families import matches, packnet
from core.weights.families.packnet import ResNetDepth, join
from core.weights.families.ray_surface import FAMILY, RayDepth, RayPose, configured, reached, split
from core.weights.families.resnet import feature_channels
from core.weights.folder import Folder, model_options
from tests.core.packnet_files import Checkpoint, configuration, node

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
    assert rule.left_out == {"ray_template", "valid", "ray_mean"}


def test_what_a_file_has_beside_the_published_names():
    for beside in ({}, {"masked": True, "progress": True}, {"shared": True}):
        rule = RayDepth(18, (64, 96), **beside)
        assert FAMILY.recognise(rule.shapes) == rule
    assert RayDepth(18, (64, 96)).left_out == {"valid", "ray_mean"}
    shared = RayDepth(18, (64, 96), shared=True)
    assert FAMILY.options_of({"depth": shared}, {}).ray_residual == "shared"
    assert "rays are shared" in shared.denial({"ray_residual": "per_image"})


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


@pytest.mark.parametrize(("epoch", "epochs", "coefficient"), [(5, 50, 0.215443469), (0, 50, 0), (20, 50, 1)])
def test_what_counts_at_the_end_of_their_training(epoch, epochs, coefficient):
    assert reached({"arch": {"max_epochs": epochs}}, epoch) == {"ray_coefficient": pytest.approx(coefficient)}


@pytest.mark.parametrize("arch", [None, {}, {"max_epochs": True}, {"max_epochs": 5}, {"max_epochs": "50"}])
def test_a_file_that_says_nothing_of_that(arch):
    assert reached({"arch": arch}, 9) == {}


@pytest.fixture(scope="module")
def slim():
    """ResNets with an eighth of the channels: an archive is unpacked by every look into it, 120 MB otherwise."""

    def divided(make):
        return lambda *arguments: {
            name: tuple(side // 8 if side >= 64 else side for side in shape)
            for name, shape in make(*arguments).items()
        }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packnet, "resnet_shapes", divided(packnet.resnet_shapes))
        patch.setattr(
            packnet,
            "feature_channels",
            lambda bottleneck: tuple(n // 8 for n in feature_channels(bottleneck)),
        )
        yield


@pytest.fixture(scope="module")
def packed(slim, tmp_path_factory):
    """The kind that is published: a checkpoint and the template beside it."""
    folder = tmp_path_factory.mktemp("packed")
    checkpoint = Checkpoint({"depth": RayDepth(18).shapes, "pose": RayPose(18).shapes})
    checkpoint.content["config"] = node(configuration(max_epochs=50))
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
    assert options.ray_coefficient == pytest.approx(18 ** (4 / 3) / 100)  # it was saved in its epoch 9
    assert model_options(path, files, {"ray_coefficient": 1.0}).ray_coefficient == 1
    with pytest.raises(UserError, match="rays of their own"):
        model_options(path, files, {"template": ["dummy"]})


def test_a_checkpoint_without_template_takes_one(packed):
    options = model_options(packed / "model.ckpt", Folder(packed / "model.ckpt"), {"template": ["dummy"]})
    assert options.template == ["dummy"]

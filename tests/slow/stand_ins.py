"""What the READMEs of methods speak of and no repository holds: files of their authors, made of weights that have
learnt nothing, and tiny data sets in each layout."""

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

import convert_weights
import make_rays
import make_split
import train
from core.options import OPTIONS
from tests.backends.drive import training
from tests.core import ddad_folder
from tests.core.make3d_folder import write_photograph
from tests.core.nyu_h5_folder import write_h5
from tests.core.options.test_packnet_tree import KITTI
from tests.core.options.test_ray_surface import OMNICAM

SIZE = ["--height", "64", "--width", "128"]
# Of a method's own options those that make it cheap; a size is given anyway.
SIZES = ("height", "width", "batch_size")


def small(method: str) -> list[str]:
    """The words for the cheapest legal setting of a method."""
    words = ["--method", method]
    for name, value in OPTIONS[method].SMALL.items():
        if name not in SIZES and value is not False:
            values = value if isinstance(value, list | tuple) else [] if value is True else [value]
            words += [f"--{name}", *map(str, values)]
    return words


def make_weights(folder: Path, method: str, backend: str) -> Path:
    """A folder of weights of a method, for images of 128x64; it has learnt nothing."""
    words = training(
        backend, folder / "kitti", folder / "made", method, "mono", *small(method), "--num_epochs", 0
    )
    start = words.index("--frame_ids")  # of Monodepth2's modes
    train.main([*words[:start], *words[start + 4 :]])
    return folder / "made" / method / "models" / "weights_initial"


def make_epcdepth(world: Path, weights: Path) -> None:
    for name in ("model18.pth.tar", "model50.pth.tar"):
        join(weights, world / name)
    (world / "KITTI").symlink_to("kitti")
    shutil.copy(world / "kitti" / "splits" / "train_files.txt", world / "list.txt")
    rng = np.random.default_rng(0)
    for number in range(2):
        image = rng.integers(0, 256, (480, 640, 3), np.uint8)
        write_h5(
            world / "NYU" / "nyu_test" / f"{number}.h5",
            image,
            rng.uniform(1, 5, (480, 640)).astype(np.float32),
        )


def make_featdepth(world: Path, weights: Path) -> None:
    join(weights, world / "epoch_40.pth")


def make_packnet(world: Path, weights: Path) -> None:
    for name in (
        "selfsup",
        "velsup",
        "semisup",
        "ddad",
        "PackNet01_MR_velsup_CStoK",
        "PackNet01_MR_selfsup_K",
    ):
        join(weights, world / f"{name}.ckpt")
    content = yaml.safe_load(KITTI)
    content["checkpoint"]["filepath"] = "runs"
    for part, name, depth in (("train", "train", ""), ("validation", "val", "groundtruth")):
        there = {"path": ["kitti"], "split": [f"kitti/splits/{name}_files.txt"], "depth_type": [depth]}
        content["datasets"][part] |= there
    (world / "train_kitti.yaml").write_text(yaml.safe_dump(content))
    make_ddad(world / "ddad_train_val")
    shutil.copy(world / "ddad_train_val" / ddad_folder.LIST, world / "ddad.json")
    (world / "scene_01").symlink_to("ddad_train_val/scene_01")


def make_ddad(folder: Path) -> None:
    """Scenes of three cameras."""
    two = ddad_folder.CAMERAS
    ddad_folder.CAMERAS = (*two, "CAMERA_06")
    try:
        ddad_folder.write_scenes(folder)
    finally:
        ddad_folder.CAMERAS = two
    numbers = [dict.fromkeys(ddad_folder.INTRINSICS, 0.0), *3 * [ddad_folder.INTRINSICS]]
    names = ["LIDAR", *two, "CAMERA_06"]
    ddad_folder.write(folder / ddad_folder.CALIBRATION, {"names": names, "intrinsics": numbers})


def make_packnet_san(world: Path, weights: Path) -> None:
    shutil.rmtree(world / "WEIGHTS")
    shutil.copytree(weights, world / "WEIGHTS")
    image = Image.open(world / "photo.jpg")
    scan = np.zeros((image.height, image.width), np.uint16)
    scan[::4, ::4] = 256 * 10
    for folder in ("images", "scans"):
        (world / folder).mkdir()
    for place in ("", "images/"):
        image.save(world / f"{place}image.png")
    for path in ("scan.png", "scans/image.png"):
        Image.fromarray(scan).save(world / path)


def make_ray_surface(world: Path, weights: Path) -> None:
    for folder in ("my_videos/ride", "omnicam", "images"):
        (world / folder).mkdir(parents=True)
        frames = sorted((world / "kitti").glob("**/image_02/data/*.jpg"))
        for number in range(24):  # enough for lists of both parts
            shutil.copy(frames[number % len(frames)], world / folder / f"{number:09d}.jpg")
    make_split.main(["--data_path", str(world / "my_videos"), "--output", str(world / "splits" / "mine")])
    content = yaml.safe_load(OMNICAM)
    content["datasets"]["validation"] = {"dataset": []}
    (world / "train_omnicam.yaml").write_text(yaml.safe_dump(content))
    words = ["--calibration", str(world / "camchain.yaml"), "--camera_name", "cam0", *SIZE]
    make_rays.main([*words, "--output", str(world / "omnicam_ray_template.npy")])
    join(weights, world / "omnicam.ckpt")
    with tarfile.open(world / "omnicam_pretrained.tar.gz", "w:gz") as archive:
        archive.add(world / "omnicam.ckpt", "omnicam.ckpt")


def make_sc_depth(world: Path, weights: Path) -> None:
    for name in ("epoch=93-val_loss=0.1287.ckpt", "last.ckpt"):
        join(weights, world / name)
    shutil.copy(world / "kitti" / "splits" / "gt_depths.npz", world / "gt_depths.npz")


def make_monodepthv2(world: Path, weights: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(2):
        write_photograph(world / "make3d", f"{number}", rng.uniform(1, 60, (21, 305)))


def join(weights: Path, file: Path) -> None:
    """All networks in one file, as the authors' programs write it."""
    convert_weights.main([str(weights), "--joined", str(file), "--force"])


# By the folder of a README in configs/: its method, and what is made for it.
MAKERS: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "epcdepth": ("epcdepth", make_epcdepth),
    "featdepth": ("featdepth", make_featdepth),
    "packnet": ("packnet", make_packnet),
    "packnet_san": ("packnet_san", make_packnet_san),
    "ray_surface": ("ray_surface", make_ray_surface),
    "sc_depth": ("sc_depth", make_sc_depth),
}


def stand_ins(readme: Path, world: Path, backend: str) -> None:
    """Makes what a README speaks of, beside what all have."""
    name = readme.parent.name
    if name == "monodepthv2":
        make_monodepthv2(world, world / "WEIGHTS")
    if name in MAKERS:
        method, make = MAKERS[name]
        make(world, make_weights(world, method, backend))

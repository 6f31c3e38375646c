"""Weights by name: the file that lists them, and how a name becomes a folder or a file."""

import dataclasses
import hashlib
import importlib.util
import io
import json
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from core.errors import UserError
from core.options import EvaluationOptions, PredictionOptions
from core.options.parsing import parse
from core.weights import download as downloading
from core.weights import zoo as module
from core.weights.pretrained import imagenet_state
from core.weights.releases import FOLDER, VARIABLE, load_zoo
from core.weights.zoo import imagenet_file, main, resolve_weights, with_weights
from tests.core import weights_server
from tests.core.weight_files import write_pth
from tests.core.weights.test_download import free_port
from tests.core.weights_server import Server, serve
from tests.scripts import assert_says, refused

FILES = {"encoder.pth": b"encoder" * 999, "depth.pth": b"depth" * 999}


def archive(files: dict[str, bytes] = FILES, inside: str = "") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as opened:
        for name, data in files.items():
            opened.writestr(f"{inside}{name}", data)
    return content.getvalue()


def digits(content: bytes, algorithm: str = "sha256") -> str:
    return hashlib.new(algorithm, content).hexdigest()


def listing(folder: Path) -> set[str]:
    """Files and folders, without what belongs to fetching."""
    return {path.name for path in folder.iterdir()} - {"zoo.yml", ".incoming"}


ARCHIVE = archive()


@pytest.fixture
def encoder(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A `.pth` file as torchvision's: flat names, the old format."""
    rng = np.random.default_rng(0)
    arrays = {
        "conv1.weight": rng.normal(size=(4, 3, 7, 7)).astype(np.float32),
        "fc.bias": np.ones(5, np.float32),
    }
    return write_pth(tmp_path_factory.mktemp("pth") / "a.pth", arrays, legacy=True).read_bytes()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server, encoder: bytes) -> Path:
    """A folder of weights with a zoo of its own, whose address is the test's server; also the scripts' default."""
    folder = tmp_path / "weights"
    server.files = {"/mono_640x192.zip": ARCHIVE, "/odom%2B.zip": ARCHIVE, "/resnet18.pth": encoder}
    write_zoo(folder, server.url, encoder)
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder


def write_zoo(folder: Path, url: str, encoder: bytes) -> None:
    trained = {"family": "own", "num_layers": 18, "data": "KITTI", "files": ["encoder.pth", "depth.pth"]}
    whole = {"num_layers": 18, "data": "KITTI", "checksum": "none", "height": 96, "width": 160}
    start = {"family": "starts", "num_layers": 18, "data": "ImageNet"}
    content = {
        "families": {
            "own": {"kind": "networks", "address": url + "/{file}", "licence": "non-commercial use only"},
            "starts": {"kind": "encoder", "address": url + "/{file}", "licence": "free"},
            "whole": {"kind": "model", "address": url + "/{file}", "licence": "free"},
            "lost": {"kind": "model", "address": "none", "licence": "free"},
        },
        "releases": {
            "mono_640x192": trained
            | {"file": "mono_640x192.zip", "checksum": f"md5:{digits(ARCHIVE, 'md5')}"},
            "odom+_640x192": trained | {"file": "odom+.zip", "checksum": "none"},
            "big": whole | {"family": "whole", "file": "big.pth.tar"},
            "relic": whole | {"family": "lost", "file": "relic.pth.tar"},
            "resnet18": start | {"file": "resnet18.pth", "checksum": f"sha256:{digits(encoder)[:8]}"},
        },
    }
    folder.mkdir(exist_ok=True)
    (folder / "zoo.yml").write_text(json.dumps(content, sort_keys=True))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(downloading, "WAITS", (0.0, 0.0, 0.0))
    with weights_server.running() as running:
        yield running


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*arguments: Any) -> None:
        raise AssertionError(f"connects to {arguments}")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)


# ---- the list ------------------------------------------------------------------------------------------------


def test_all_releases_are_listed() -> None:
    zoo = load_zoo(FOLDER)
    by_hand = {name for name, release in zoo.items() if not release.can_be_fetched}
    assert by_hand == {"model18_lr", "model18", "model50", "featdepth_ms_1024x320"}
    assert all(zoo[name].family.kind == "model" and zoo[name].height for name in by_hand)
    trained = {name for name, release in zoo.items() if release.is_archive}
    sources = ("mono", "stereo", "mono+stereo")
    assert trained == {
        *(f"{source}_{size}" for source in sources for size in ("640x192", "1024x320", "no_pt_640x192")),
        *(f"{source}_odom_640x192" for source in ("mono", "mono+stereo")),
        *(f"mono_resnet50_{kind}640x192" for kind in ("", "no_pt_")),
    }
    packnet = {f"PackNet01_MR_selfsup_{data}" for data in ("K", "D", "CS")}
    packnet |= {f"PackNet01_{kind}_CStoK" for kind in ("MR_velsup", "HR_velsup", "MR_semisup")}
    packnet |= {f"ResNet18_MR_selfsup_{data}" for data in ("K", "D")}
    packnet |= {f"PackNetSAN01_HR_sup_{data}" for data in ("K", "D")}
    others = packnet | {"omnicam_pretrained"}
    assert all(zoo[name].family.kind == "model" and zoo[name].published is None for name in others)
    assert len(trained) == 13 and set(zoo) - trained - by_hand - others == {
        f"resnet{n}" for n in (18, 34, 50, 101, 152)
    }
    for name in trained:
        release = zoo[name]
        assert f"{release.width}x{release.height}" == name.rpartition("_")[2]
        assert release.mode == {"mono": "M", "stereo": "S", "mono+stereo": "MS"}[name.split("_")[0]]
        assert release.pretrained == ("no_pt" not in name) and "non-commercial" in release.family.licence
        assert release.num_layers == (50 if "resnet50" in name else 18)
        assert (release.published is None) == ("odom" in name or "resnet50" in name)
        assert set(release.unverified) <= set(release.metrics)
    checksums = [release.checksum for release in zoo.values() if release.checksum != "none"]
    assert len(set(checksums)) == len(checksums) == 14


def test_addresses_are_quoted() -> None:
    address = load_zoo(FOLDER)["mono+stereo_640x192"].address
    assert address.endswith("/monodepth2/mono%2Bstereo_640x192.zip")


def test_encoders_are_those_of_torchvision() -> None:
    """Address (with the first digits of the checksum), accuracy and size, as the library has them."""
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        pytest.skip("torchvision is not installed")
    text = (Path(found.origin).parent / "models" / "resnet.py").read_text()
    for release in load_zoo(FOLDER).values():
        if not release.is_trained:
            entry = text.partition(f'url="{release.address}"')[2].partition("DEFAULT =")[0]
            assert f'"acc@1": {release.metrics["top1"]:.3f}' in entry, release.name
            assert release.published is not None and release.published.digits in release.address
            mebibytes = float(entry.partition('"_file_size": ')[2].partition(",")[0])
            assert release.megabytes == round(mebibytes * 1024**2 / 1e6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"checksum": "md5:123"}, "checksum: expected md5:"),
        ({"checksum": "sha256:abc"}, "checksum: expected"),
        ({"checksum": None}, "checksum: None is not of the right type"),
        ({"checksums": "none"}, "unknown key 'checksums'; did you mean checksum?"),
        ({"file": "../evil.zip"}, "is no plain file name"),
        ({"file": "/etc/evil.zip"}, "is no plain file name"),
        ({"file": ".incoming"}, "is no plain file name"),
        ({"files": ["../encoder.pth"]}, "files: expected plain|files: name what"),
        ({"files": []}, "files: name what the archive must hold"),
        ({"file": "mono_640x192"}, "must differ from the release's name"),
        ({"family": "none"}, "family: 'none' is none of lost, own, starts, whole"),
        ({"num_layers": "18"}, "num_layers: '18' is not of the right type"),
        ({"height": 192.5}, "height: 192.5 is not"),
        ({"metrics": {"abs_rel": "0.1"}}, "metrics: "),
        ({"scaling": "mean"}, "scaling: "),
    ],
)
def test_mistakes_in_a_release(root: Path, change: dict[str, Any], message: str) -> None:
    content = yaml.safe_load((root / "zoo.yml").read_text())
    content["releases"]["mono_640x192"] |= change
    (root / "zoo.yml").write_text(json.dumps(content, sort_keys=True))
    with pytest.raises(UserError, match=rf"zoo\.yml: mono_640x192: .*({message})"):
        load_zoo(root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("families: {}", "expected the keys families and releases"),
        ("families: {}\nreleases: [a]", "expected names with entries"),
        ("families: {}\nreleases: {../a: {}}", "'../a' is no plain name"),
        ("families: {}\nreleases: {a: 3}", "a: expected lines"),
        ("families: {a: {kind: networks}}\nreleases: {}", "a: lacks address"),
        (
            "families: {a: {kind: x, address: 'http://a/{file}', licence: l}}\nreleases: {}",
            "kind: 'x' is none",
        ),
        ("families: {a: {kind: encoder, address: 'file:///{file}', licence: l}}\nreleases: {}", "address: "),
        ("families: {a: {kind: encoder, address: 'http://a/', licence: l}}\nreleases: {}", "address: "),
        ("a: b: c", "not a readable zoo"),
        ("!!python/object/apply:os.system ['true']", "not a readable zoo"),
        ("\x00", "not a readable zoo"),
    ],
)
def test_mistakes_in_the_zoo(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "zoo.yml").write_text(text)
    with pytest.raises(UserError, match=rf"zoo\.yml: .*{message}") as error:
        load_zoo(tmp_path)
    assert "\n" not in str(error.value)


def test_folder_without_a_zoo_has_the_projects(tmp_path: Path) -> None:
    assert load_zoo(tmp_path) == load_zoo(FOLDER)


# ---- names ---------------------------------------------------------------------------------------------------


def test_name_becomes_a_folder(root: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    folder = resolve_weights("mono_640x192")
    assert folder == root / "mono_640x192"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert listing(root) == {"mono_640x192"} and list((root / ".incoming").iterdir()) == [
        root / ".incoming/lock"
    ]
    announced = capsys.readouterr()
    assert announced.out == "" and len(announced.err.splitlines()) == 2
    assert_says(announced.err, "mono_640x192: fetching", server.url, root, "licence: non-commercial use only")


def test_what_is_there_needs_no_network(root: Path, no_network: None, tmp_path: Path) -> None:
    """A folder wins over a name; a release that was fetched, or unpacked by hand, is used as it is."""
    (root / "mono_640x192").mkdir()
    assert resolve_weights("mono_640x192") == root / "mono_640x192"
    own = tmp_path / "resnet18"
    own.mkdir()
    (root / "zoo.yml").write_text("not read")
    assert resolve_weights(own) == own


def test_folder_in_reach_wins(root: Path, no_network: None, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "mono_640x192").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve_weights("mono_640x192") == Path("mono_640x192")


def test_options_get_the_folder(root: Path) -> None:
    options = EvaluationOptions(load_weights_folder="mono_640x192", eval_mono=True)
    assert with_weights(options) == dataclasses.replace(
        options, load_weights_folder=str(root / "mono_640x192")
    )
    without = EvaluationOptions(ext_disp_to_eval="a.npy", eval_mono=True)
    assert with_weights(without) is without


def test_a_file_that_may_hold_a_whole_model(root: Path, no_network: None, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"whatever")
    assert resolve_weights(path, root) == path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mono_640x129", "no such name in weights/zoo.yml; did you mean mono_640x192"),
        ("absent", "no such name in weights/zoo.yml; there are big, mono_640x192, odom"),
        ("runs/mono_640x192", "no such folder of weights; check the path"),
        ("resnet18", "to train from it: --weights_init pretrained --num_layers 18"),
        (__file__, "a file, not a folder of weights; name the folder it lies in"),
    ],
)
def test_name_that_is_none(root: Path, no_network: None, name: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        resolve_weights(name)
    assert_says(str(error.value), f"{name}: ", message)
    assert listing(root) == set()


def test_model_name_is_the_same_as_the_folder() -> None:
    options = parse(PredictionOptions, ["--image_path", "a.jpg", "--model_name", "mono_640x192"])
    assert options.model_name == "mono_640x192"
    with pytest.raises(UserError, match="--model_name and --load_weights_folder: give one of them"):
        more = ["--load_weights_folder", "folder"]
        parse(PredictionOptions, ["--image_path", "a.jpg", "--model_name", "mono_640x192", *more])
    with pytest.raises(
        UserError, match="--load_weights_folder is missing: a folder of weights, or a name of"
    ):
        parse(PredictionOptions, ["--image_path", "a.jpg"])


def test_misspelt_model_as_the_user_sees_it(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    message = refused(
        "predict.py", "--image_path", "a.png", "--model_name", "mono_640x129", folder=tmp_path, here=True
    )
    assert_says(message, "mono_640x129: no such folder", "did you mean mono_640x192")


# ---- fetching ------------------------------------------------------------------------------------------------


def test_offline(root: Path, server: Server, encoder: bytes) -> None:
    """Address, checksum and folder are named: what it takes to bring the file on a stick."""
    url = f"http://127.0.0.1:{free_port()}"
    write_zoo(root, url, encoder)
    with pytest.raises(UserError) as error:
        resolve_weights("mono_640x192")
    md5 = f"MD5 {digits(ARCHIVE, 'md5')}"
    assert_says(
        str(error.value), f"cannot fetch {url}/mono_640x192.zip: Connection refused", md5, f"into {root}"
    )
    with pytest.raises(UserError) as error:
        imagenet_file(18)
    assert_says(str(error.value), f"{url}/resnet18.pth", f"SHA-256 {digits(encoder)[:8]}…", root)
    assert_says(str(error.value), "train with --weights_init scratch")
    assert listing(root) == set()


def test_a_model_in_one_file(root: Path, server: Server, capsys) -> None:
    """Fetched once; its size is known where its file does not say it."""
    server.files["/big.pth.tar"] = b"big" * 999
    path = root / "big.pth.tar"
    assert resolve_weights("big") == path and path.read_bytes() == b"big" * 999
    server.files.clear()
    options = with_weights(EvaluationOptions(load_weights_folder="big", eval_mono=True))
    assert (options.load_weights_folder, options.height, options.width) == (str(path), 96, 160)
    given = with_weights(EvaluationOptions(load_weights_folder="big", eval_mono=True, height=64, width=64))
    assert (given.height, given.width) == (64, 64)
    named = with_weights(EvaluationOptions(load_weights_folder=str(path), eval_mono=True))
    assert (named.height, named.width) == (None, None)
    path.write_bytes(b"other")
    with pytest.raises(UserError, match=r"big\.pth\.tar: another file than that name stands for"):
        resolve_weights("big")


def test_a_model_whose_address_nobody_knows(root: Path, no_network: None, capsys) -> None:
    """One line names the file and the place; once it lies there it is used."""
    with pytest.raises(UserError) as error:
        resolve_weights("relic")
    assert str(error.value) == (
        "relic: no address of it is known; get relic.pth.tar (no checksum is published) by other means and put it "
        f"into {root}"
    )
    (root / "relic.pth.tar").write_bytes(b"relic")
    assert resolve_weights("relic") == root / "relic.pth.tar"
    main([])
    assert_says(capsys.readouterr().out, "relic", "no address known, to be fetched by hand")


def test_archive_brought_by_hand(root: Path, no_network: None) -> None:
    (root / "mono_640x192.zip").write_bytes(ARCHIVE)
    assert resolve_weights("mono_640x192") == root / "mono_640x192"
    assert listing(root) == {"mono_640x192", "mono_640x192.zip"}


def test_archive_brought_by_hand_is_another(root: Path, no_network: None) -> None:
    content = archive({**FILES, "depth.pth": b"other"})
    (root / "mono_640x192.zip").write_bytes(content)
    with pytest.raises(UserError, match=rf"mono_640x192\.zip: another file than .*{digits(content, 'md5')}"):
        resolve_weights("mono_640x192")
    assert listing(root) == {"mono_640x192.zip"}


def test_swapped_on_the_server(root: Path, server: Server) -> None:
    server.files["/mono_640x192.zip"] = archive({**FILES, "depth.pth": b"other"})
    with pytest.raises(UserError, match=r"cannot fetch .*: another file came"):
        resolve_weights("mono_640x192")
    assert listing(root) == set() and list((root / ".incoming").iterdir()) == [root / ".incoming/lock"]


def test_cut_and_continued_by_the_next_run(root: Path, server: Server) -> None:
    server.answers = [serve(cut=1000)] * 4
    with pytest.raises(UserError, match="try again, or get"):
        resolve_weights("mono_640x192")
    assert listing(root) == set()
    resolve_weights("mono_640x192")
    assert server.requests[-1] == ("/mono_640x192.zip", "bytes=4000-") and server.sent == len(ARCHIVE)


def test_hostile_archive_leaves_nothing(root: Path, server: Server) -> None:
    server.files["/odom%2B.zip"] = archive({**FILES, "../../evil": b"evil"})
    with pytest.raises(UserError, match=r"odom\+\.zip: not a readable archive .*'\.\./\.\./evil'"):
        resolve_weights("odom+_640x192")
    assert listing(root) == set() and listing(root.parent) == {"weights"}
    server.files["/odom%2B.zip"] = ARCHIVE
    assert resolve_weights("odom+_640x192").is_dir()


def test_without_published_checksum_the_first_counts(
    root: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = resolve_weights("odom+_640x192")
    pin = root / "odom+.zip.sha256"
    assert pin.read_text() == f"{digits(ARCHIVE)}  odom+.zip\n"
    assert_says(capsys.readouterr().err, "no checksum of it is published", pin)
    (folder / "depth.pth").unlink()
    for path in [*folder.iterdir(), folder]:
        path.unlink() if path.is_file() else path.rmdir()
    other = archive({**FILES, "depth.pth": b"other"})
    server.files["/odom%2B.zip"] = other
    with pytest.raises(UserError, match=f"it has SHA-256 {digits(other)}, not SHA-256 {digits(ARCHIVE)}"):
        resolve_weights("odom+_640x192")
    assert listing(root) == {pin.name}
    pin.write_text("nonsense")
    with pytest.raises(UserError, match=r"odom\+\.zip\.sha256: holds no SHA-256"):
        resolve_weights("odom+_640x192")
    pin.unlink()
    assert resolve_weights("odom+_640x192").is_dir()


def test_one_fetches_and_the_others_wait(root: Path, server: Server) -> None:
    server.answers = [serve(cut=9000, then=lambda: time.sleep(0.3))]
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(resolve_weights("mono_640x192"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [root / "mono_640x192"] * 4 and server.sent == len(ARCHIVE)


def test_folder_that_cannot_be_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / ".incoming").touch()
    with pytest.raises(UserError, match=r"weights: cannot be written: File exists"):
        resolve_weights("mono_640x192")


# ---- ImageNet ------------------------------------------------------------------------------------------------


def test_encoder_is_fetched_once(root: Path, server: Server, encoder: bytes) -> None:
    assert imagenet_file(18) == root / "resnet18.pth"
    assert (root / "resnet18.pth").read_bytes() == encoder
    # Eight published digits are completed by the whole checksum of what came.
    assert (root / "resnet18.pth.sha256").read_text() == f"{digits(encoder)}  resnet18.pth\n"
    state = imagenet_state(imagenet_file(18), images=2)
    assert len(server.requests) == 1
    assert set(state) == {"encoder.conv1.weight", "encoder.fc.bias"}
    assert state["encoder.conv1.weight"].shape == (4, 6, 7, 7)


def test_encoder_that_is_there_is_checked(root: Path, no_network: None, encoder: bytes) -> None:
    (root / "resnet18.pth").write_bytes(encoder)
    assert imagenet_file(18) == root / "resnet18.pth"
    (root / "resnet18.pth").write_bytes(encoder[:-1])
    with pytest.raises(
        UserError, match=r"resnet18\.pth: another file than that name stands for: .*; get http"
    ):
        imagenet_file(18)


def test_hdf5_file_wins(root: Path, no_network: None, encoder: bytes) -> None:
    (root / "resnet18.pth").write_bytes(encoder)
    (root / "resnet18_pretrain.h5").touch()
    assert imagenet_file(18) == root / "resnet18_pretrain.h5"


def test_encoder_that_the_zoo_lacks(root: Path, no_network: None) -> None:
    with pytest.raises(
        UserError, match=r"resnet34_pretrain\.h5: no such file, and none in the zoo; train with"
    ):
        imagenet_file(34)


# ---- python -m core.weights.zoo ------------------------------------------------------------------------------


def test_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, no_network: None) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    main([])
    printed = capsys.readouterr().out
    assert_says(
        printed, "mono+stereo_1024x320", "1024x320", "abs_rel 0.106", "resnet152", "non-commercial use only"
    )
    assert "ate_09 0.017?" in printed and "abs_rel 0.115 " in printed


def test_fetching_ahead(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["mono_640x192", "resnet18"])
    assert capsys.readouterr().out.splitlines() == [str(root / "mono_640x192"), str(root / "resnet18.pth")]
    with pytest.raises(UserError, match="did you mean resnet18"):
        main(["resnet81"])


def test_weights_go_where_the_variable_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert module.weights_root() == FOLDER
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert module.weights_root() == tmp_path

"""ONNX files: onnxruntime gives what the model gives, at any size; what the files say of themselves; errors."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from commands import run
from conftest import ROOT, StandIn, random_network
from torch import Tensor, nn

import gifnet
from gifnet import Fuser, InputError
from gifnet.checkpoints.format import save_weights
from gifnet.execution.local import LocalForm
from gifnet.networks import Architecture, register, unregister
from gifnet.networks.fast import FastConfig, FastNetwork
from gifnet.networks.graph import Graph, Value
from gifnet.networks.tita import TITA, TITAConfig

# Both add up float32 numbers of order 1, in different orders, through tens of layers.
TOLERANCE = 1e-5
LEVEL = 1 / 255
NETWORKS = ("bundled", "plane", "fast", "tita")
# Every remainder of the windows' 8 pixels and of the padding's 4, sides of one pixel, primes, and both ways around.
SIZES = [
    (1, 1), (1, 2), (2, 1), (1, 20), (19, 1), (2, 2), (3, 5), (4, 4), (5, 12), (6, 7), (7, 3), (8, 8), (9, 16),
    (10, 13), (12, 9), (15, 14), (17, 19), (20, 20), (37, 61),
]  # fmt: skip


def fast() -> nn.Module:
    torch.manual_seed(0)
    made = FastNetwork(FastConfig()).eval()
    with torch.no_grad():
        made.choose.weight.normal_(std=0.3)
        made.improve.weight.normal_(std=0.02)
    return made


def tita(config: TITAConfig) -> nn.Module:
    """Of weights spread enough that every part matters."""
    torch.manual_seed(0)
    made = TITA(config).eval().requires_grad_(False)
    for parameter in made.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.05)
    return made


MAKERS: dict[str, Callable[[], Fuser]] = {
    "bundled": lambda: gifnet.load(device="cpu", dtype="float32"),
    "plane": lambda: Fuser(random_network(growth=4, position_hidden=8, enhance_main="mm"), "cpu"),  # the paper's head
    "fast": lambda: Fuser(fast(), "cpu"),
    "tita": lambda: Fuser(tita(TITAConfig(channels=12, heads=3, window=4, depth=2, groups=2)), "cpu"),
}


class Exported:
    """Each network's fuser and files, made when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fusers = folder, {}  # type: ignore[var-annotated]

    def fuser(self, name: str) -> Fuser:
        if name not in self.fusers:
            self.fusers[name] = MAKERS[name]()
        made: Fuser = self.fusers[name]
        return made

    def file(self, name: str, dtype: str = "float32", enhance: bool = False) -> Path:
        path = self.folder / f"{name}-{dtype}-{enhance}.onnx"
        if not path.exists():
            gifnet.export_onnx(path, self.fuser(name), dtype=dtype, enhance=enhance)
        return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(tmp_path_factory.mktemp("exported"))


def planes(height: int, width: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    a, b = torch.rand(2, 1, 1, height, width, generator=torch.Generator().manual_seed(seed))
    return a, b


def session_of(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # beside other tests
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def difference(session: onnxruntime.InferenceSession, fuser: Fuser, size: tuple[int, int]) -> float:
    a, b = planes(*size)
    (fused,) = session.run(None, {"a": a.numpy(), "b": b.numpy()})
    assert fused.shape == a.shape
    assert fused.dtype == np.float32
    return float(np.abs(fused - fuser.fuse_planes(a, b).numpy()).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_it_gives_what_the_model_gives_at_any_size(exported: Exported, name: str) -> None:
    session = session_of(exported.file(name))
    sizes = SIZES[::4] if name == "bundled" else SIZES  # its graph is that of "plane", only larger
    differences = {size: difference(session, exported.fuser(name), size) for size in sizes}
    assert max(differences.values()) < TOLERANCE, differences


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_all_sides_from_1_to_20(exported: Exported, name: str) -> None:
    session = session_of(exported.file(name))
    sizes = [(height, width) for height in range(1, 21) for width in range(1, 21)]
    differences = {size: difference(session, exported.fuser(name), size) for size in sizes}
    assert max(differences.values()) < TOLERANCE, differences


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bundled", "fast", "tita"])
@pytest.mark.parametrize("size", [(101, 211), (512, 640)])
def test_large_images(exported: Exported, name: str, size: tuple[int, int]) -> None:
    """A mean over millions of values, summed one after the other in float32, would lose three digits."""
    assert difference(session_of(exported.file(name)), exported.fuser(name), size) < TOLERANCE


@pytest.mark.slow
def test_tita_as_the_paper_has_it(tmp_path: Path) -> None:
    fuser = Fuser(tita(TITAConfig()), "cpu")
    gifnet.export_onnx(tmp_path / "tita.onnx", fuser)
    session = session_of(tmp_path / "tita.onnx")
    # Weights as spread as these through 36 blocks make more of a rounding than trained ones do.
    assert max(difference(session, fuser, size) for size in [(1, 1), (7, 20), (53, 97)]) < 1e-4


@pytest.mark.parametrize("name", NETWORKS)
def test_float16_is_within_a_level(exported: Exported, name: str) -> None:
    path = exported.file(name, "float16")
    if name == "bundled":  # in small networks, the operators take most of the room
        assert path.stat().st_size < 0.55 * exported.file(name).stat().st_size
    session = session_of(path)
    for size in [(1, 1), (5, 20), (64, 49)]:
        assert difference(session, exported.fuser(name), size) < LEVEL, size


@pytest.mark.parametrize("name", NETWORKS)
def test_it_enhances(exported: Exported, name: str) -> None:
    """GIFNet by its other branch, the fast network by its other head; TITA fuses the image with itself."""
    fuser, session = exported.fuser(name), session_of(exported.file(name, enhance=True))
    for size in [(1, 1), (13, 22)]:
        x = planes(*size)[0]
        (enhanced,) = session.run(["enhanced"], {"x": x.numpy()})
        wanted = fuser.enhance(x[0, 0].numpy())
        assert np.abs(enhanced[0, 0] - wanted).max() < TOLERANCE
        if size != (1, 1) and name != "tita":
            assert np.abs(enhanced - fuser.fuse_planes(x, x).numpy()).max() > TOLERANCE


def test_another_network_brings_its_graph(tmp_path: Path) -> None:
    class Weighted(nn.Module):
        def __init__(self, config: FastConfig) -> None:
            super().__init__()
            self.config, self.share = config, nn.Parameter(torch.tensor(0.25))

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return torch.lerp(b, a, self.share)

    def graph(graph: Graph, network: Weighted, a: Value, b: Value) -> Value:
        return b + (a - b) * graph.weights(network.share).to("float32")

    def form(network: nn.Module, dtype: torch.dtype) -> LocalForm:
        return LocalForm(network, dtype, halo=0, values=3)

    register(Architecture("weighted", FastConfig, Weighted, form, first="visible", graph=graph))
    try:
        fuser = Fuser(Weighted(FastConfig()), "cpu")
        gifnet.export_onnx(tmp_path / "weighted.onnx", fuser)
        assert difference(session_of(tmp_path / "weighted.onnx"), fuser, (5, 7)) < TOLERANCE
    finally:
        unregister("weighted")


def test_what_it_says_of_itself(exported: Exported) -> None:
    path = exported.file("bundled")
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    said = {one.key: one.value for one in model.metadata_props}
    assert said["network"] == "gifnet"
    assert said["gifnet_version"] == model.producer_version == gifnet.__version__
    assert said["weights_sha256"] == exported.fuser("bundled").sha256
    assert said["licence"] == "Apache-2.0"
    assert json.loads(said["configuration"])["head"] == "blend"
    assert "[0, 1]" in json.loads(said["inputs"])["a"]
    sides = [[side.dim_param or side.dim_value for side in one.type.tensor_type.shape.dim] for one in model.graph.input]
    assert sides == [[1, 1, "height", "width"]] * 2
    assert [one.version for one in model.opset_import] == [18]
    # The weights that reach the result, once, and little else.
    assert path.stat().st_size < (ROOT / "weights" / "gifnet.safetensors").stat().st_size


def test_the_same_model_makes_the_same_file(exported: Exported, tmp_path: Path) -> None:
    gifnet.export_onnx(tmp_path / "again.onnx", exported.fuser("fast"))
    assert (tmp_path / "again.onnx").read_bytes() == exported.file("fast").read_bytes()


def test_the_licence_of_other_weights_is_that_of_their_notes(tmp_path: Path) -> None:
    for notes, licence in (({"licence": "CC-BY-4.0"}, "CC-BY-4.0"), ({}, "not stated")):
        save_weights(fast(), tmp_path / "own.safetensors", notes)
        gifnet.export_onnx(tmp_path / "own.onnx", str(tmp_path / "own.safetensors"))
        said = {one.key: one.value for one in onnx.load(tmp_path / "own.onnx").metadata_props}
        assert (said["licence"], said["network"]) == (licence, "gifnet-fast")


def test_newer_operators(exported: Exported, tmp_path: Path) -> None:
    for name, opset in (("fast", 21), ("tita", 20), ("plane", 22)):
        gifnet.export_onnx(tmp_path / "new.onnx", exported.fuser(name), opset=opset)
        assert [one.version for one in onnx.load(tmp_path / "new.onnx").opset_import] == [opset]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("out.pth", {}, r"\.onnx"),
        ("none/out.onnx", {}, "folder that exists"),
        ("out.onnx", {"opset": 17}, "from 18"),
        ("out.onnx", {"opset": 999}, "999.*up to"),
        ("out.onnx", {"dtype": "bfloat16"}, "float16"),
        ("out.onnx", {"model": Fuser(StandIn(), "cpu")}, "stand-in.*no graph"),
        ("out.onnx", {"model": "nonsense"}, "nonsense"),
    ],
)
def test_what_cannot_be_exported_is_refused(name: str, options: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        gifnet.export_onnx(tmp_path / name, **options)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_weights_beyond_float16_are_refused_and_the_file_stays(tmp_path: Path) -> None:
    network = fast()
    assert isinstance(network, FastNetwork)
    with torch.no_grad():  # the same network, but for numbers that float16 does not have
        network.trunk.enter.weight.mul_(1e7)
        network.trunk.enter.bias.mul_(1e7)  # type: ignore[union-attr]
        network.trunk.down.layers[0].weight.mul_(1e-7)  # type: ignore[operator,union-attr]
    (tmp_path / "out.onnx").write_text("what was there before")
    with pytest.raises(InputError, match=r"out\.onnx: in float16.*use dtype='float32'"):
        gifnet.export_onnx(tmp_path / "out.onnx", Fuser(network, "cpu"), dtype="float16")
    assert [path.name for path in tmp_path.iterdir()] == ["out.onnx"]
    assert (tmp_path / "out.onnx").read_text() == "what was there before"


def test_the_command_writes_the_file_and_says_nothing(exported: Exported, tmp_path: Path) -> None:
    weights = tmp_path / "own.safetensors"
    save_weights(exported.fuser("fast").network, weights)
    done = run("export", "-o", tmp_path / "own.onnx", "--model", weights, "--opset", 19, "--dtype", "float16")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert difference(session_of(tmp_path / "own.onnx"), exported.fuser("fast"), (9, 11)) < LEVEL


def test_exporting_warns_of_nothing(exported: Exported, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gifnet.export_onnx(tmp_path / "fast.onnx", exported.fuser("fast"), dtype="float16")
    assert capfd.readouterr() == ("", "")

"""The paper's checkpoint becomes gifnet's; every other file is refused, and none is run."""

import os
import pickle
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import SHARED
from safetensors.torch import save_file
from torch import Tensor

from gifnet.checkpoints.format import load_weights, save_weights
from gifnet.checkpoints.official import convert_official
from gifnet.errors import CheckpointError
from gifnet.networks.gifnet import GIFNet, GIFNetConfig
from gifnet.networks.gifnet.official import _PARAMETERS, _renamed_modules

OFFICIAL = SHARED / "reference" / "gifnet_official.pth"
LAYER = "extractor_multask.SwinTransformerSpecific.layer1"
UNUSED = ("attn.relative_positions", "layer1.weights.1", "layer1.weights_mfif.1")


@pytest.fixture(scope="module")
def model() -> GIFNet:
    torch.manual_seed(1)
    return GIFNet(GIFNetConfig(main="dp"))


@pytest.fixture(scope="module")
def official(model: GIFNet) -> dict[str, Tensor]:
    """A state dict named and shaped as the paper's, with the model's values."""
    modules = _renamed_modules()
    state = {}
    for name, value in model.state_dict().items():
        module, _, parameter = name.rpartition(".")
        if name in _PARAMETERS:
            state[_PARAMETERS[name]] = value.reshape(1)
        else:
            state[f"{modules[module]}.{parameter}"] = value
    for i in (0, 1):
        state[f"{LAYER}.blocks.{i}.attn.attn.relative_positions"] = torch.zeros(64, 64, 2)
    for branch in ("weights", "weights_mfif"):
        state[f"{LAYER}.{branch}.1"] = torch.tensor([0.1])
    return state


def saved(folder: Path, content: Any, name: str = "official.pth") -> Path:
    path = folder / name
    torch.save(content, path)
    return path


def changed(official: Mapping[str, Tensor], **changes: Any) -> dict[str, Any]:
    """The state dict with entries changed, or left away where None; ``__`` in a name stands for a dot."""
    state = {**official, **{name.replace("__", "."): value for name, value in changes.items()}}
    return {name: value for name, value in state.items() if value is not None}


def refused(path: Path, match: str) -> str:
    """Converting raises a CheckpointError that names the file and matches; returns its message."""
    with pytest.raises(CheckpointError, match=match) as caught:
        convert_official(path)
    assert path.name in str(caught.value)
    return str(caught.value)


def all_values(state: Mapping[str, Tensor]) -> Tensor:
    """Every value of a state dict, in ascending order."""
    return torch.cat([value.flatten() for value in state.values()]).sort().values


def test_official_style_checkpoint(model: GIFNet, official: dict[str, Tensor], tmp_path: Path) -> None:
    converted = convert_official(saved(tmp_path, official))
    assert converted.config == GIFNetConfig(main="dp")
    assert not converted.training
    for name, value in converted.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, model.state_dict()[name]), name


def test_entries_without_effect_may_be_absent(official: dict[str, Tensor], tmp_path: Path) -> None:
    bare = {name: value for name, value in official.items() if not name.endswith(UNUSED)}
    assert len(bare) == len(official) - 4
    assert convert_official(saved(tmp_path, bare)).config.main == "dp"


@pytest.mark.skipif(not OFFICIAL.is_file(), reason="the paper's checkpoint is not beside this checkout")
def test_the_papers_checkpoint(tmp_path: Path) -> None:
    official = torch.load(OFFICIAL, map_location="cpu", weights_only=True)
    converted = convert_official(OFFICIAL)
    state = converted.state_dict()
    # A few by hand, spelled out independently of the renaming table.
    for ours, theirs in {
        "encoder.conv2.weight": "getSharedFeatures.conv_2.conv2d.weight",
        "decoder.complement.2.weight": "cnnDecoder.fuseComplementFeatures.mlp.2.weight",
        "decoder.decode.6.bias": "cnnDecoder.decoder.10.bias",
        "reconstruction.0.weight": "decoder_rec.decoder.1.weight",
        "cfgm.embed.mm.weight": "extractor_multask.SwinTransformerSpecific.patch_embed_ivif.proj.weight",
        "cfgm.embed.dp.weight": "extractor_multask.SwinTransformerSpecific.patch_embed_mfif.proj.weight",
        "cfgm.blocks.1.position_bias.mlp.2.weight": f"{LAYER}.blocks.1.attn.attn.meta.2.weight",
        "cfgm.blocks.0.branches.mm.query_key.weight": f"{LAYER}.blocks.0.attn.QK.weight",
        "cfgm.blocks.0.branches.dp.query_key.weight": f"{LAYER}.blocks.0.attn.QK_mfif.weight",
        "cfgm.blocks.1.branches.dp.norm.rescale.bias": f"{LAYER}.blocks.1.norm1_mfif.meta1.bias",
        "cfgm.blocks.1.branches.mm.norm.rebias.weight": f"{LAYER}.blocks.1.norm1.meta2.weight",
    }.items():
        assert torch.equal(state[ours], official[theirs]), ours
    assert state["cfgm.mix.mm"] == official[f"{LAYER}.weights.0"].item()
    assert state["cfgm.mix.dp"] == official[f"{LAYER}.weights_mfif.0"].item()
    # Every value of the paper's that has an effect is there once.
    used = {name: value for name, value in official.items() if not name.endswith(UNUSED)}
    assert torch.equal(all_values(state), all_values(used))

    path = tmp_path / "official.safetensors"
    save_weights(converted, path)
    for name, value in load_weights(path).state_dict().items():
        assert torch.equal(value, state[name]), name


# Files that can't be read


def test_missing_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.pth", "no such file; give (one of: )?the paper's released")


def test_folder(tmp_path: Path) -> None:
    assert refused(tmp_path, "a folder; give (one of: )?the paper's released")


@pytest.mark.parametrize("content", [b"", b"\x80", b"not a checkpoint", bytes(range(256))])
def test_noise(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "noise.pth"
    path.write_bytes(content)
    assert refused(path, "give (one of: )?the paper's released")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated_file(official: dict[str, Tensor], tmp_path: Path, share: float) -> None:
    path = saved(tmp_path, official)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert refused(path, "not readable as a checkpoint.*zip")


@pytest.mark.parametrize("name", ["x.safetensors", "x.pth"])
def test_safetensors_files(model: GIFNet, official: dict[str, Tensor], tmp_path: Path, name: str) -> None:
    """The paper's tensors may lie in one; gifnet's own file needs no conversion, whatever its name."""
    path, own = tmp_path / name, tmp_path / "own.safetensors"
    save_file({key: value.contiguous() for key, value in official.items()}, path)
    converted = convert_official(path)
    assert isinstance(converted, GIFNet)
    assert torch.equal(converted.encoder.conv1.weight, model.encoder.conv1.weight)
    save_weights(model, own)
    assert refused(own.rename(path), "a safetensors file that gifnet wrote, which needs no conversion")
    path.write_bytes(path.read_bytes()[:-100])
    assert refused(path, "not readable as a safetensors file")


class Harmful:
    """Unpickling it makes a folder."""

    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_plain_pickle_is_not_run(tmp_path: Path, protocol: int) -> None:
    path, target = tmp_path / "harmful.pth", tmp_path / "was-run"
    with open(path, "wb") as file:
        pickle.dump({"a": Harmful(target)}, file, protocol=protocol)
    message = refused(path, "holds other objects, which are never loaded")
    assert not target.exists()
    assert "set to `False`" not in message  # torch's advice


def test_a_pickle_in_a_torch_file_is_not_run(official: dict[str, Tensor], tmp_path: Path) -> None:
    target = tmp_path / "was-run"
    path = saved(tmp_path, {**official, "extra": Harmful(target)})
    message = refused(path, "holds other objects, which are never loaded")
    assert not target.exists()
    assert "set to `False`" not in message


def test_a_whole_module(tmp_path: Path) -> None:
    assert refused(saved(tmp_path, torch.nn.Linear(1, 1)), "holds other objects, which are never loaded")


# Files that hold something else


@pytest.mark.parametrize(("content", "kind"), [([1, 2], "list"), (torch.zeros(3), "Tensor"), (None, "NoneType")])
def test_not_a_dict(tmp_path: Path, content: Any, kind: str) -> None:
    assert refused(saved(tmp_path, content), f"a {kind}, not a state dict of tensors")


@pytest.mark.parametrize("content", [{"epoch": 3}, {"model": {"a": 1}}, {3: torch.zeros(1)}])
def test_a_dict_of_other_things(tmp_path: Path, content: dict[Any, Any]) -> None:
    assert refused(saved(tmp_path, content), f"its entry {next(iter(content))!r} is a ")


def test_empty_dict(tmp_path: Path) -> None:
    assert refused(saved(tmp_path, {}), "not the paper's checkpoint, of any network .*tensors named getSharedFeatures")
    assert refused(saved(tmp_path, {"layer.weight": torch.zeros(3)}), "not the paper's checkpoint, of any network")


def test_missing_entry(official: dict[str, Tensor], tmp_path: Path) -> None:
    path = saved(tmp_path, changed(official, getSharedFeatures__conv_2__conv2d__bias=None))
    assert refused(path, "not the paper's checkpoint: it has no 'getSharedFeatures.conv_2.conv2d.bias'")


def test_unknown_entry(official: dict[str, Tensor], tmp_path: Path) -> None:
    path = saved(tmp_path, changed(official, getSharedFeatures__conv_4__conv2d__bias=torch.zeros(3)))
    assert refused(path, r"unknown entries getSharedFeatures\.conv_4\.conv2d\.bias")


@pytest.mark.parametrize("shape", [(31,), (32, 1), (4, 8), ()])
def test_wrong_shape(official: dict[str, Tensor], tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = saved(tmp_path, changed(official, getSharedFeatures__conv_2__conv2d__bias=torch.zeros(shape)))
    assert refused(path, r"conv_2\.conv2d\.bias is torch\.float32 \(.*\); the paper's is torch\.float32 \(32,\)")


def test_lambda_of_another_shape(official: dict[str, Tensor], tmp_path: Path) -> None:
    name = f"{LAYER}.weights_mfif.0"
    assert refused(saved(tmp_path, {**official, name: torch.tensor(0.1)}), r"the paper's is torch\.float32 \(1,\)")


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.int64])
def test_wrong_dtype(official: dict[str, Tensor], tmp_path: Path, dtype: torch.dtype) -> None:
    path = saved(tmp_path, changed(official, getSharedFeatures__conv_2__conv2d__bias=torch.zeros(32, dtype=dtype)))
    assert refused(path, rf"conv_2\.conv2d\.bias is {dtype} \(32,\)")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_value_that_is_not_finite(official: dict[str, Tensor], tmp_path: Path, value: float) -> None:
    bias = torch.zeros(32)
    bias[5] = value
    path = saved(tmp_path, changed(official, getSharedFeatures__conv_2__conv2d__bias=bias))
    assert refused(path, r"conv_2\.conv2d\.bias has values that are not finite")


# What would take memory that the file has not


def torch_file(path: Path, program: bytes, compression: int = zipfile.ZIP_STORED, data: bytes = bytes(16)) -> Path:
    """A file as ``torch.save`` makes them, with this pickle."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/data/0", data)
        archive.writestr("archive/version", "3")
    return path


def test_a_few_bytes_do_not_ask_for_gigabytes(tmp_path: Path) -> None:
    array = b"\x80\x02c__builtin__\nbytearray\n\x8a\x04\0\0\0\x7f\x85R."  # bytearray(2 GB)
    path = tmp_path / "bomb.pth"
    tracemalloc.start()
    path.write_bytes(array)
    refused(path, "not a checkpoint of plain tensors")
    refused(torch_file(path, array), "not a checkpoint of plain tensors")
    torch.save({"a": torch.zeros(2**20)}, path)
    program = zipfile.ZipFile(path).read("bomb/data.pkl")
    bigger = program.replace((2**20).to_bytes(4, "little"), (2**30).to_bytes(4, "little"))
    assert bigger != program
    refused(torch_file(path, bigger), "not a checkpoint of plain tensors")
    refused(torch_file(path, program, zipfile.ZIP_DEFLATED, bytes(1 << 22)), "not a checkpoint of plain tensors")
    assert tracemalloc.get_traced_memory()[1] < 1 << 27  # writing them included
    tracemalloc.stop()

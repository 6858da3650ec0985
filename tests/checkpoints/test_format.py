"""The weights file: what is in it, that it comes back bit by bit, and that everything else is refused."""

import hashlib
import json
import os
import sys
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from gifnet.checkpoints import format
from gifnet.checkpoints.format import (
    describe,
    file_sha256,
    load_weights,
    read_config,
    read_metadata,
    save_weights,
)
from gifnet.checkpoints.official import convert_official
from gifnet.checkpoints.pretrained import save_folder
from gifnet.errors import CheckpointError, InputError
from gifnet.networks.gifnet import GIFNet, GIFNetConfig

CONFIG = GIFNetConfig(growth=4, position_hidden=8, main="mm")
DESCRIPTION = {
    "format_version": 1,
    "architecture": "gifnet",
    "growth": 4,
    "heads": 2,
    "window": 8,
    "mlp_ratio": 2,
    "position_hidden": 8,
    "main": "mm",
    "enhance_main": None,
    "head": "plane",
}


@pytest.fixture(scope="module")
def model() -> GIFNet:
    torch.manual_seed(1)
    return GIFNet(CONFIG)


@pytest.fixture
def saved(model: GIFNet, tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    save_weights(model, path, notes={"recipe": "a test"})
    return path


Rewrite = Callable[..., Path]


@pytest.fixture
def rewrite(saved: Path) -> Rewrite:
    """Writes the saved file again with another description, other metadata entries or other tensors."""

    def write(
        description: Any = DESCRIPTION,
        entries: Mapping[str, str] | None = None,
        tensors: Mapping[str, Tensor | None] | None = None,  # None: leave it away
    ) -> Path:
        metadata = {"gifnet": description if isinstance(description, str) else json.dumps(description)}
        metadata |= entries or {}
        state: dict[str, Tensor | None] = {**load_file(saved), **(tensors or {})}
        save_file({name: value for name, value in state.items() if value is not None}, saved, metadata=metadata)
        return saved

    return write


def refused(path: Path, match: str, **arguments: Any) -> bool:
    """Loading raises a CheckpointError that names the file and matches; it is an InputError and a ValueError too."""
    with pytest.raises(CheckpointError, match=match) as caught:
        load_weights(path, **arguments)
    assert path.name in str(caught.value)
    return isinstance(caught.value, InputError) and isinstance(caught.value, ValueError)


def test_round_trip_is_bit_exact(model: GIFNet, saved: Path) -> None:
    loaded = load_weights(saved)
    assert loaded.config == CONFIG
    assert not loaded.training
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for name, value in loaded.state_dict().items():
        assert value.dtype == torch.float32
        assert value.device.type == "cpu"
        assert torch.equal(value, model.state_dict()[name]), name


def test_loaded_network_computes_the_same(model: GIFNet, saved: Path) -> None:
    torch.manual_seed(2)
    a, b = torch.rand(2, 1, 1, 11, 13)
    with torch.no_grad():
        assert torch.equal(load_weights(saved)(a, b), model.eval()(a, b))


def test_saving_what_was_loaded_gives_the_same_file(saved: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"
    save_weights(load_weights(saved), again, notes={"recipe": "a test"})
    assert again.read_bytes() == saved.read_bytes()


def test_file_holds_the_parameters_and_its_description_only(model: GIFNet, saved: Path) -> None:
    with safe_open(saved, framework="pt") as file:
        metadata = file.metadata()
        names = set(file.keys())
    assert metadata.keys() == {"gifnet", "notes"}
    assert json.loads(metadata["gifnet"]) == DESCRIPTION
    assert json.loads(metadata["notes"]) == {"recipe": "a test"}
    assert names == {name for name, _ in model.named_parameters()}  # and no derived tables
    assert not any("offsets" in name for name in names)


def test_notes_are_optional(model: GIFNet, tmp_path: Path) -> None:
    path = tmp_path / "plain.safetensors"
    save_weights(model, path)
    assert read_metadata(path) == DESCRIPTION


def test_half_precision_models_are_saved_in_float32(model: GIFNet, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    half = GIFNet(CONFIG)
    half.load_state_dict(model.state_dict())
    save_weights(half.half(), path)
    for name, value in load_weights(path).state_dict().items():
        assert torch.equal(value, model.state_dict()[name].half().float()), name


def test_read_metadata(saved: Path) -> None:
    assert read_metadata(saved) == DESCRIPTION | {"notes": {"recipe": "a test"}}


def test_read_metadata_reads_no_tensors(rewrite: Rewrite) -> None:
    assert read_metadata(rewrite(tensors={"cfgm.mix.dp": torch.tensor(float("nan"))})) == DESCRIPTION


def test_loading_leaves_the_random_numbers_alone(saved: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    load_weights(saved)
    assert torch.equal(torch.rand(4), expected)


def test_hub_folder(model: GIFNet, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    save_folder(model, folder, notes={"source": "a test"})
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "config.json", "README.md"}
    config = read_config(folder / "config.json")
    assert config == describe(model) == DESCRIPTION
    loaded = load_weights(folder / "model.safetensors", config=config)
    assert torch.equal(loaded.cfgm.unembed.weight, model.cfgm.unembed.weight)


@pytest.mark.parametrize("name", ["weights.pth", "weights", "missing/weights.safetensors"])
def test_save_refuses_a_path_that_cannot_be_loaded_or_written(model: GIFNet, tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=r"\.safetensors file in a folder that exists"):
        save_weights(model, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_save_refuses_values_that_are_not_finite_and_keeps_the_old_file(saved: Path) -> None:
    before = saved.read_bytes()
    broken = load_weights(saved)
    with torch.no_grad():
        broken.cfgm.mix["dp"].fill_(float("nan"))
    with pytest.raises(CheckpointError, match=r"cfgm\.mix\.dp has values that are not finite"):
        save_weights(broken, saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_save_refuses_another_kind_of_model(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="not from a Linear"):
        save_weights(torch.nn.Linear(1, 1), tmp_path / "x.safetensors")  # type: ignore[arg-type]


# Files that are no weights file


def test_missing_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.safetensors", "no such file")


def test_folder(tmp_path: Path) -> None:
    assert refused(tmp_path, "is a folder; give the .safetensors file")


@pytest.mark.parametrize(
    "content", [b"", b"x", bytes(range(256)), b"\x02" + bytes(7) + b"{]"], ids=["empty", "one byte", "noise", "no json"]
)
def test_not_a_safetensors_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "noise.safetensors"
    path.write_bytes(content)
    assert refused(path, "not a whole safetensors file.*gifnet convert")


def test_pickle_named_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "pickle.safetensors"
    torch.save({"a": torch.zeros(3)}, path)
    assert refused(path, "not a whole safetensors file")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated_file(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    assert refused(saved, "not a whole safetensors file")


def test_file_with_a_tail(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes() + b"tail")
    assert refused(saved, "not a whole safetensors file")


# Metadata


def test_no_metadata(saved: Path) -> None:
    save_file(load_file(saved), saved)
    assert refused(saved, "no gifnet configuration in its metadata")


def test_no_metadata_but_config_json(model: GIFNet, saved: Path) -> None:
    save_file(load_file(saved), saved, metadata={"format": "pt"})
    loaded = load_weights(saved, config=DESCRIPTION)
    assert loaded.config == CONFIG
    assert torch.equal(loaded.cfgm.unembed.weight, model.cfgm.unembed.weight)


def test_config_json_is_checked_like_metadata(saved: Path) -> None:
    save_file(load_file(saved), saved)
    assert refused(saved, "unknown configuration field 'depth'", config=DESCRIPTION | {"depth": 3})


def test_config_json_that_agrees(saved: Path) -> None:
    assert load_weights(saved, config=DESCRIPTION).config == CONFIG


@pytest.mark.parametrize("change", [{"main": "dp"}, {"extra": 1}, {"format_version": 2}])
def test_config_json_that_disagrees(saved: Path, change: dict[str, Any]) -> None:
    assert refused(saved, f"config.json disagree on '{next(iter(change))}'", config=DESCRIPTION | change)


@pytest.mark.parametrize("content", [b"", b"[1]", b"null", b"{", b"\xff\xfe", b"[" * 100_000])
def test_config_json_that_is_no_object(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"config\.json.*JSON"):
        read_config(path)


def test_config_json_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json: no such file"):
        read_config(tmp_path / "config.json")


@pytest.mark.parametrize("version", [2, 0, "1", 1.0, True, None])
def test_unknown_version(rewrite: Rewrite, version: Any) -> None:
    # The version goes first: a newer file's other fields mean nothing to this reader.
    assert refused(
        rewrite(DESCRIPTION | {"format_version": version, "new": 1}),
        r"format version .* reads version 1: upgrade gifnet",
    )


def test_missing_version(rewrite: Rewrite) -> None:
    assert refused(rewrite({k: v for k, v in DESCRIPTION.items() if k != "format_version"}), "format version None")


@pytest.mark.parametrize("architecture", ["gifnet-large", None, ["gifnet"]])
def test_unknown_architecture(rewrite: Rewrite, architecture: Any) -> None:
    assert refused(rewrite(DESCRIPTION | {"architecture": architecture}), "architecture .*; this gifnet knows 'gifnet'")


def test_unknown_field(rewrite: Rewrite) -> None:
    assert refused(
        rewrite(DESCRIPTION | {"depth": 3}), "unknown configuration field 'depth'; gifnet has 'enhance_main', 'growth'"
    )


@pytest.mark.parametrize("field", ["growth", "heads", "window", "mlp_ratio", "position_hidden", "main"])
def test_missing_field(rewrite: Rewrite, field: str) -> None:
    assert refused(
        rewrite({k: v for k, v in DESCRIPTION.items() if k != field}), f"missing configuration field '{field}'"
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("growth", 0),
        ("growth", "4"),
        ("growth", 4.0),
        ("heads", 3),
        ("window", 6),
        ("mlp_ratio", True),
        ("position_hidden", None),
        ("main", "ir"),
        ("main", ["mm"]),
    ],
)
def test_invalid_field(rewrite: Rewrite, field: str, value: Any) -> None:
    assert refused(rewrite(DESCRIPTION | {field: value}), "invalid configuration: ")


@pytest.mark.parametrize("text", ["", "{", "[1]", '"gifnet"', "[" * 100_000])
def test_metadata_that_is_no_object(rewrite: Rewrite, text: str) -> None:
    assert refused(rewrite(text), "metadata 'gifnet'.*JSON")


def test_unknown_metadata(rewrite: Rewrite) -> None:
    assert refused(
        rewrite(entries={"licence": "x"}), "unknown metadata 'licence'; gifnet's are 'format', 'gifnet', 'notes'"
    )


@pytest.mark.parametrize("notes", ["x", "[]", '{"iterations": 3}'])
def test_malformed_notes(rewrite: Rewrite, notes: str) -> None:
    assert refused(rewrite(entries={"notes": notes}), "note")


# Tensors


def test_missing_tensor(rewrite: Rewrite) -> None:
    assert refused(rewrite(tensors={"cfgm.mix.dp": None}), r"lacks tensors: 'cfgm\.mix\.dp'")


def test_unexpected_tensor(rewrite: Rewrite) -> None:
    assert refused(rewrite(tensors={"cfgm.mix.ir": torch.tensor(0.1)}), r"holds unknown tensors: 'cfgm\.mix\.ir'")


def test_derived_table_is_unexpected(model: GIFNet, rewrite: Rewrite) -> None:
    name = "cfgm.blocks.0.position_bias.offsets"
    assert refused(rewrite(tensors={name: model.get_buffer(name)}), "holds unknown tensors: .*offsets")


@pytest.mark.parametrize("shape", [(1,), (2, 14, 3, 3), (4, 2, 9)])
def test_wrong_shape(rewrite: Rewrite, shape: tuple[int, ...]) -> None:
    match = r"encoder\.conv1\.weight has shape \[.*\]; its configuration makes it \[4, 2, 3, 3\]"
    assert refused(rewrite(tensors={"encoder.conv1.weight": torch.zeros(shape)}), match)


def test_scalar_stored_as_a_list(rewrite: Rewrite) -> None:
    assert refused(rewrite(tensors={"cfgm.mix.dp": torch.zeros(1)}), r"cfgm\.mix\.dp has shape \[1\]; .* makes it \[\]")


def test_configuration_of_another_size(rewrite: Rewrite) -> None:
    assert refused(rewrite(DESCRIPTION | {"growth": 6}), "has shape")


def test_configuration_that_no_memory_would_hold(rewrite: Rewrite) -> None:
    assert refused(rewrite(DESCRIPTION | {"growth": 1_000_000}), "has shape")
    for hidden in (2**20, 2**62, 2**80):
        assert refused(
            rewrite(DESCRIPTION | {"position_hidden": hidden}), "needs a table of .* values; 67108864 are the"
        )
    assert refused(rewrite(DESCRIPTION | {"growth": 10**30}), "does not make a network")
    # 3 MB of weights would make 84 GB of tables
    assert refused(rewrite(DESCRIPTION | {"window": 32, "position_hidden": 20_000}), "needs a table of 79380000 values")
    assert refused(rewrite(DESCRIPTION | {"growth": 30, "window": 32, "heads": 92}), "92 heads needs a table")
    assert GIFNetConfig(window=32).window == 32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int32])
def test_wrong_dtype(rewrite: Rewrite, dtype: torch.dtype) -> None:
    path = rewrite(tensors={"encoder.conv1.bias": torch.zeros(4, dtype=dtype)})
    assert refused(path, r"encoder\.conv1\.bias is [BFI]+\d\d; weights are stored in float32")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_value_that_is_not_finite(rewrite: Rewrite, value: float) -> None:
    bias = torch.zeros(4)
    bias[2] = value
    assert refused(
        rewrite(tensors={"encoder.conv1.bias": bias}), r"encoder\.conv1\.bias has values that are not finite"
    )


# Hash


def test_sha256(saved: Path) -> None:
    expected = hashlib.sha256(saved.read_bytes()).hexdigest()
    assert file_sha256(saved) == expected
    assert load_weights(saved, sha256=expected).config == CONFIG
    assert load_weights(saved, sha256=expected.upper()).config == CONFIG


def test_wrong_sha256(saved: Path) -> None:
    assert refused(saved, f"its sha256 is {file_sha256(saved)}, not {'0' * 64}", sha256="0" * 64)


def test_sha256_comes_before_anything_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "noise.safetensors"
    path.write_bytes(b"noise")
    assert refused(path, "its sha256 is", sha256="0" * 64)


def test_sha256_of_a_missing_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.safetensors", "no such file", sha256="0" * 64)


@pytest.mark.parametrize("sha256", ["", "abc", "g" * 64, "0" * 65])
def test_malformed_sha256(saved: Path, sha256: str) -> None:
    with pytest.raises(CheckpointError, match="sha256 must be 64 hexadecimal digits"):
        load_weights(saved, sha256=sha256)


def test_what_is_hashed_is_what_is_loaded(model: GIFNet, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file takes the name after the hash was wanted, and before the weights are read."""
    expected = file_sha256(saved)
    other = saved.with_name("other.safetensors")
    with torch.no_grad():
        changed = GIFNet(CONFIG)
    save_weights(changed, other)
    real = format.read_header

    def swap(*arguments: Any) -> Any:
        header = real(*arguments)
        os.replace(other, saved)
        return header

    monkeypatch.setattr(format, "read_header", swap)
    loaded = load_weights(saved, sha256=expected)
    assert torch.equal(loaded.cfgm.unembed.weight, model.cfgm.unembed.weight)

    def scribble(*arguments: Any) -> Any:
        header = real(*arguments)
        with open(saved, "r+b") as file:
            file.seek(-400, os.SEEK_END)
            file.write(b"\0" * 400)
        return header

    monkeypatch.setattr(format, "read_header", scribble)
    assert refused(saved, "its sha256 is", sha256=file_sha256(saved))


# Values that make no images


@pytest.mark.parametrize("value", [1e6, 1e18, 1e30, 3e38])
@pytest.mark.parametrize("name", ["encoder.conv1.weight", "decoder.decode.6.weight", "cfgm.unembed.weight"])
def test_enormous_weights(saved: Path, rewrite: Rewrite, name: str, value: float) -> None:
    shape = load_file(saved)[name].shape
    assert refused(rewrite(tensors={name: torch.full(shape, value)}), "give (no numbers|nothing but black and white)")


def test_enormous_weights_of_enhancing(saved: Path, rewrite: Rewrite) -> None:
    """Only the branch that enhances is at fault."""
    name = "cfgm.embed.dp.bias"
    state = {name: torch.full(load_file(saved)[name].shape, 1e30)}
    assert refused(rewrite(DESCRIPTION | {"enhance_main": "dp"}, tensors=state), "give (no numbers|nothing but)")


# Files that are none, and headers that lie


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes")
@pytest.mark.parametrize("function", [load_weights, read_metadata, read_config, file_sha256, convert_official])
def test_pipes_and_devices_are_not_waited_for(tmp_path: Path, function: Callable[[Path], Any]) -> None:
    pipe = tmp_path / "pipe.safetensors"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(CheckpointError, match=f"{path}: is no regular file"):
            function(path)


@pytest.mark.parametrize("function", [load_weights, convert_official])
def test_headers_are_bounded(tmp_path: Path, function: Callable[[Path], Any]) -> None:
    path = tmp_path / "bomb.safetensors"
    entry = {"x": {"dtype": "F32", "shape": [1 << 30], "data_offsets": [0, 1 << 32]}}
    claims: dict[str, tuple[bytes, int]] = {  # the file's start and size; it is sparse
        "ends before": ((1 << 62).to_bytes(8, "little") + b"{}", 32),
        "are the most": ((1 << 30).to_bytes(8, "little") + b"{", 1 << 31),
        "of which its header describes": (_with_length(json.dumps(entry).encode()), 1 << 20),
        "its header": (_with_length(b"[" * 100_000), 100_008),
        "its header: TypeError": (_with_length(b"[]"), 10),
    }
    for message, (start, size) in claims.items():
        with open(path, "wb") as file:
            file.write(start)
            file.truncate(size)
        tracemalloc.start()
        with pytest.raises(CheckpointError, match=f"{path.name}: .*{message}"):
            function(path)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
        tracemalloc.stop()


def test_more_than_weights_ever_take(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    with open(path, "wb") as file:
        file.truncate((1 << 32) + 1)
    assert refused(path, "4294967297 bytes; weights have 4294967296 at most")


def _with_length(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header

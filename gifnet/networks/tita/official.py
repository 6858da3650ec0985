"""The authors' checkpoint of TITA, renamed to gifnet's own layout."""

import logging
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from ...errors import CheckpointError
from ...execution.context import NothingDrawn
from ..registry import Converter
from .config import TITAConfig
from .model import TITA

logger = logging.getLogger("gifnet")

_BLOCK = "residual_group.blocks"
_OWN = ("fafb_A.", "fafb_B.", "layers_Fusion.0.residual_group.blocks.0.relation_judger.")  # beginnings of their names
# In their files, but never used: both inputs go through the convolutions of A.
_UNUSED = {f"conv_first{i}_B.{kind}" for i in (1, 2) for kind in ("weight", "bias")}
_DERIVED = (".relative_position_index", ".attn_mask")  # tables that follow from the sizes, where a file has them


def _swin_group(ours: str, theirs: str, norm: str, depth: int) -> Iterator[tuple[str, str]]:
    """Ours and theirs of a group's modules, but those of attention."""
    yield f"{ours}.norm", norm
    for i in range(depth):
        block, their_block = f"{ours}.blocks.{i}", f"{theirs}.{_BLOCK}.{i}"
        yield f"{block}.norm_attention", f"{their_block}.norm1"
        yield f"{block}.norm_mlp", f"{their_block}.norm2"
        yield f"{block}.mlp.0", f"{their_block}.mlp.fc1"
        yield f"{block}.mlp.2", f"{their_block}.mlp.fc2"
        yield f"{block}.attention.project", f"{their_block}.attn.proj"


def _cross_block(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    """Ours and theirs of a cross block's modules, but those of pixel attention."""
    for stream, suffix in (("x", "A"), ("y", "B")):
        yield f"{ours}.{stream}.norm_attention", f"{theirs}.norm1_{suffix}"
        yield f"{ours}.{stream}.norm_mlp", f"{theirs}.norm2_{suffix}"
        yield f"{ours}.{stream}.mlp.0", f"{theirs}.mlp_{suffix}.fc1"
        yield f"{ours}.{stream}.mlp.2", f"{theirs}.mlp_{suffix}.fc2"
        yield f"{ours}.{stream}.attention.query", f"{theirs}.attn_{suffix}.q"
        yield f"{ours}.{stream}.attention.key_value", f"{theirs}.attn_{suffix}.kv"
        yield f"{ours}.{stream}.attention.project", f"{theirs}.attn_{suffix}.proj"
    for i, layer in ((0, "fc1"), (2, "fc2")):
        yield f"{ours}.ipa.relation.{i}", f"{theirs}.relation_judger.0.{layer}"
    for stream, number in (("x", "0_to_1"), ("y", "1_to_0")):
        yield f"{ours}.ipa.attention_{stream}.project", f"{theirs}.cross_attn_{number}.out_proj"


_GROUPS = (
    ("extraction.group_a", "layers_Ex_A.0", "norm_Ex_A"),
    ("extraction.group_b", "layers_Ex_B.0", "norm_Ex_B"),
    ("reconstruction.group", "layers_Re.0", "norm_Re"),
)


def _renamed_modules(config: TITAConfig) -> dict[str, str]:
    """The authors' name of every module with parameters of its own, by gifnet's."""
    names = {
        "norm": "patch_embed.norm",
        "extraction.convolutions.0": "conv_first1_A",
        "extraction.convolutions.2": "conv_first2_A",
        "interaction.norm_x": "norm_Fusion_A",
        "interaction.norm_y": "norm_Fusion_B",
        "oaf.weigh.0": "weight_gen.2.fc1",
        "oaf.weigh.2": "weight_gen.2.fc2",
    }
    for group in _GROUPS:
        names |= _swin_group(*group, config.depth)
    for i in range(config.groups * config.depth):
        names |= _cross_block(f"interaction.blocks.{i}", _their_cross_block(i, config))
    for stream, suffix in (("x", "A"), ("y", "B")):
        names[f"oaf.{stream}.compress"] = f"fafb_{suffix}.channel_compressor"
        names[f"oaf.{stream}.kernel"] = f"fafb_{suffix}.ahpf_generator.0"
        names[f"oaf.{stream}.residual"] = f"fafb_{suffix}.residual_generator.0"
        names[f"oaf.{stream}.factor"] = f"fafb_{suffix}.weight_generator.0"
    for ours, theirs in ((0, "conv_last1"), (2, "conv_last2"), (4, "conv_last3")):
        names[f"reconstruction.convolutions.{ours}"] = theirs
    return names


def _their_cross_block(index: int, config: TITAConfig) -> str:
    group, block = divmod(index, config.depth)
    return f"layers_Fusion.{group}.{_BLOCK}.{block}"


def _renamed_parameters(config: TITAConfig) -> dict[str, tuple[str, ...]]:
    """Ours that one of theirs holds, in rows one after the other: by the name of theirs."""
    joined: dict[str, tuple[str, ...]] = {}
    for ours, theirs, _ in _GROUPS:
        for i in range(config.depth):
            attention, own = f"{ours}.blocks.{i}.attention", f"{theirs}.{_BLOCK}.{i}.attn"
            joined[f"{own}.relative_position_bias_table"] = (f"{attention}.bias_table",)
            for kind in ("weight", "bias"):
                joined[f"{own}.qkv.{kind}"] = (f"{attention}.query.{kind}", f"{attention}.key_value.{kind}")
    for i in range(config.groups * config.depth):
        block, own = f"interaction.blocks.{i}", _their_cross_block(i, config)
        joined[f"{own}.k_noise.weight"] = (f"{block}.ipa.key_noise",)
        joined[f"{own}.v_noise.weight"] = (f"{block}.ipa.value_noise",)
        for stream, suffix, number in (("x", "A", "0_to_1"), ("y", "B", "1_to_0")):
            joined[f"{own}.attn_{suffix}.relative_position_bias_table"] = (f"{block}.{stream}.attention.bias_table",)
            pixel = f"{block}.ipa.attention_{stream}"
            for kind in ("weight", "bias"):
                parts = tuple(f"{pixel}.{part}.{kind}" for part in ("query", "key", "value"))
                joined[f"{own}.cross_attn_{number}.in_proj_{kind}"] = parts
    return joined


def recognises(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is meant to be theirs: one of its names is."""
    return any(name.startswith(_OWN) for name in state)


def convert(state: Mapping[str, Tensor], file: str) -> TITA:
    """The authors' state dict as a TITA, in float32, on the CPU, in evaluation mode.

    What is never used is dropped, and that is logged. Raises CheckpointError, naming the ``file``, for names that are
    missing or unknown, shapes or dtypes that differ, and values that are not finite.
    """
    theirs = dict(state)
    with NothingDrawn():
        model = TITA().float()
    own = model.state_dict()
    joined = _renamed_parameters(model.config)
    for ours, module in _renamed_modules(model.config).items():
        for kind in ("weight", "bias"):
            joined[f"{module}.{kind}"] = (f"{ours}.{kind}",)
    renamed: dict[str, Tensor] = {}
    for name, parts in joined.items():
        if name not in theirs:
            raise CheckpointError(f"{file}: not the authors' checkpoint of TITA: it has no {name!r}")
        value = theirs.pop(name)
        rows = [len(own[part]) for part in parts]
        shape = (sum(rows), *own[parts[0]].shape[1:])
        if tuple(value.shape) != shape or value.dtype != torch.float32 or value.layout != torch.strided:
            raise CheckpointError(
                f"{file}: {name} is {value.dtype} {tuple(value.shape)}; the authors' is {torch.float32} {shape}"
            )
        if not value.isfinite().all():
            raise CheckpointError(f"{file}: {name} has values that are not finite; weights must be")
        renamed |= zip(parts, value.split_with_sizes(rows), strict=True)
    unused = sorted(theirs.keys() & _UNUSED)
    unknown = sorted(name for name in theirs.keys() - _UNUSED if not name.endswith(_DERIVED))
    if unknown:
        raise CheckpointError(
            f"{file}: not the authors' checkpoint of TITA: it has unknown entries {', '.join(unknown[:3])}"
        )
    model.load_state_dict(renamed, strict=True)
    if unused:
        logger.warning("%s: dropped %s, which the network never uses", file, ", ".join(unused))
    return model.eval()


CONVERTER = Converter(
    "the authors' checkpoint of TITA, with tensors named layers_Fusion.… and fafb_A.…", recognises, convert
)

"""A network as an ONNX file, for programs without Python or torch: written, checked and tried before it appears."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoints.format import describe, file_sha256, read_config, read_metadata
from ..checkpoints.hub import BUNDLED, resolve
from ..errors import InputError
from ..execution.context import in_plain_context
from ..extras import require
from ..files.atomic import atomic_path
from ..fuser import Fuser
from ..models import Model, fuser_of
from ..networks.graph import Array, Graph, Precision, Value
from ..networks.registry import write_graph
from ..options.declarations import ENHANCE, EXPORT_DTYPE, OPSET
from ..options.values import Dtype, Name
from ..version import __version__

PURPOSE = "exporting"
TRIED = (23, 37)  # height and width of what tells whether the file computes what the model does
TOLERANCES: dict[Precision, float] = {"float32": 1e-4, "float16": 1 / 255}
LICENCE = "Apache-2.0"  # of the bundled weights


@in_plain_context
def export_onnx(
    path: Name, model: Model = BUNDLED, *, opset: int = 18, dtype: Dtype = "float32", enhance: bool = False
) -> None:
    """Write a model as an ONNX file, which onnxruntime and other programs run without gifnet or torch.

    Its inputs ``a`` and ``b`` are the luminances of two aligned images, the infrared first where there is one; its
    output ``fused`` is theirs, fused. All are float32 of shape (1, 1, H, W) in [0, 1], with any H and W from 1.
    Padding and statistics of the whole image are part of the graph; colour is not, nor are tiles: docs/deploy.md has
    both. The weights are in the file, and its metadata say which they are: their SHA-256, network, configuration and
    licence, and gifnet's version.

    The file is checked, run once by onnxruntime, and compared with the model before it appears under its name.

    Args:
        path: the file, with the suffix ``.onnx``, in a folder that exists.
        model: ``"gifnet"`` (the bundled weights), a ``.safetensors`` file, or a Hugging Face Hub repository
            ``org/name`` or ``org/name@revision``. The repository holds ``model.safetensors`` and ``config.json``. Or a
            ``Fuser``, which brings its own device and precision.
        opset: the version of ONNX's operators, from 18. Older runtimes know no newer ones.
        dtype: the precision of the weights and features in the file: ``"float32"`` or ``"float16"``, half the size.
            Inputs, outputs and statistics are float32 with both.
        enhance: the graph that enhances one image, ``x`` to ``enhanced``. Without it, that which fuses two.

    Raises:
        InputError: an argument that is none, a network without a graph, or weights whose graph gives other results.
        MissingExtraError: the extra ``[onnx]`` is not installed.
    """
    path = Path(path)
    if path.suffix != ".onnx" or not path.parent.is_dir():
        raise InputError(f"{path}: graphs are written to an .onnx file in a folder that exists")
    opset, precision, enhance = OPSET.check(opset), EXPORT_DTYPE.check(dtype), ENHANCE.check(enhance)
    onnx = require("onnx", "onnx", PURPOSE)
    require("onnxruntime", "onnx", PURPOSE)
    if opset > (newest := onnx.defs.onnx_opset_version()):
        raise InputError(f"opset: {opset}; the installed onnx {onnx.__version__} knows versions up to {newest}")
    fuser = fuser_of(model, "cpu")
    graph = Graph(precision)
    fused = write_graph(graph, fuser.network, *(graph.value(name) for name in _names(enhance)[0]))
    content = _content(graph, fused, opset, enhance, _metadata(model, fuser, precision, enhance))
    _try(content, path, fuser, precision, enhance)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _names(enhance: bool) -> tuple[tuple[str, ...], str]:
    """Of the inputs, and of the output."""
    return (("x",), "enhanced") if enhance else (("a", "b"), "fused")


def _content(graph: Graph, fused: Value, opset: int, enhance: bool, metadata: dict[str, str]) -> bytes:
    """The file."""
    onnx: Any = require("onnx", "onnx", PURPOSE)
    helper, (names, result) = onnx.helper, _names(enhance)

    def plane(name: str) -> Any:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, "height", "width"])

    nodes = [helper.make_node(one.operator, one.inputs, one.outputs, **one.attributes) for one in graph.nodes]
    nodes.append(helper.make_node("Identity", [fused.name], [result]))
    constants = [onnx.numpy_helper.from_array(values, name) for name, values in graph.constants.items()]
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(
        helper.make_graph(nodes, "gifnet", [plane(name) for name in names], [plane(result)], constants),
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="gifnet",
        producer_version=__version__,
    )
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _metadata(model: Model, fuser: Fuser, precision: Precision, enhance: bool) -> dict[str, str]:
    described = describe(fuser.network)
    plane = "float32 (1, 1, height, width), luminance (full-range BT.601) in [0, 1], any height and width from 1"
    inputs = {"x": plane} if enhance else {"a": f"{plane}; of infrared-visible pairs, the infrared", "b": plane}
    return {
        "gifnet_version": __version__,
        "network": described["architecture"],
        "configuration": json.dumps(described, sort_keys=True),
        "weights_sha256": fuser.sha256,
        "licence": _licence(model, fuser),
        "precision": precision,
        "inputs": json.dumps(inputs),
        "outputs": json.dumps({_names(enhance)[1]: plane}),
    }


def _licence(model: Model, fuser: Fuser) -> str:
    """What the weights' notes say; of bundled ones, gifnet's own."""
    if isinstance(model, Fuser):
        notes = {}
    else:
        found = resolve(model)
        config = read_config(found.config_path) if found.config_path else None
        notes = read_metadata(found.path, config).get("notes", {})
    stated = notes.get("licence") or notes.get("license")
    return str(stated or (LICENCE if fuser.sha256 in _bundled() else "not stated"))


def _bundled() -> set[str]:
    """The SHA-256 of each file of weights that lies in gifnet's own folder."""
    folder = resolve(BUNDLED).path.parent
    return {file_sha256(path) for path in folder.glob("*.safetensors")}


def _try(content: bytes, path: Path, fuser: Fuser, precision: Precision, enhance: bool) -> None:
    """Raise InputError unless onnxruntime gives what the model gives, for a small image."""
    runtime: Any = require("onnxruntime", "onnx", PURPOSE)
    planes = np.random.default_rng(0).random((1 if enhance else 2, *TRIED), np.float32)
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # its remarks on the graph are no news
    options.intra_op_num_threads = 1  # the image is small
    try:
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        inputs = {name: plane[None, None] for name, plane in zip(_names(enhance)[0], planes, strict=True)}
        found: Array = session.run(None, inputs)[0][0, 0]
    except Exception as error:  # its own classes have no public base
        message = " ".join(str(error).split())
        raise InputError(f"{path}: onnxruntime {runtime.__version__} does not run this graph ({message})") from error
    exact = fuser.to("cpu", "float32")
    wanted: Array = exact.enhance(planes[0]) if enhance else exact.fuse(planes[0], planes[1])
    difference = float(np.abs(found - wanted).max())
    if not difference <= TOLERANCES[precision]:  # NaN is not
        advice = "; use dtype='float32'" if precision == "float16" else ""
        raise InputError(
            f"{path}: in {precision}, these weights' graph differs from the model by {difference:.2g} of full "
            f"scale{advice}"
        )

"""The paper's information measure φ, on DenseNet-121's features (Huang et al., CVPR 2017), for who has its weights."""

import re
from collections import OrderedDict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints.contents import NotWholeError, opened, read_header, read_tensors
from ..errors import CheckpointError
from .losses import detail_kernel

GROWTH, BOTTLENECK, BLOCKS, INITIAL = 32, 4, (6, 12, 24, 16), 64
STAGES = ((0, 4), (4, 6), (6, 8), (8, 10), (10, 11))  # children of the features, as the paper's code cuts them
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's R, G, B
CONVERT = (
    "python -c \"import torch, safetensors.torch as s; s.save_file(torch.load('{0}.pth', weights_only=True), "
    "'{0}.safetensors')\""
)


class DenseLayer(nn.Sequential):
    """Norm, ReLU, 1x1 to 4·growth channels, norm, ReLU, 3x3 to ``GROWTH`` channels, which join the input's."""

    def __init__(self, channels: int) -> None:
        hidden = BOTTLENECK * GROWTH
        super().__init__(
            OrderedDict(
                norm1=nn.BatchNorm2d(channels),
                relu1=nn.ReLU(),
                conv1=nn.Conv2d(channels, hidden, 1, bias=False),
                norm2=nn.BatchNorm2d(hidden),
                relu2=nn.ReLU(),
                conv2=nn.Conv2d(hidden, GROWTH, 3, padding=1, bias=False),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        new: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return torch.cat([x, new], dim=1)


def densenet121_features() -> nn.Sequential:
    """R, G, B (B, 3, H, W), normalised, to (B, 1024, H/32, W/32); children and parameters named as torchvision's."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv0=nn.Conv2d(3, INITIAL, 7, stride=2, padding=3, bias=False),
        norm0=nn.BatchNorm2d(INITIAL),
        relu0=nn.ReLU(),
        pool0=nn.MaxPool2d(3, stride=2, padding=1),
    )
    channels = INITIAL
    for block, depth in enumerate(BLOCKS, 1):
        dense = {f"denselayer{i + 1}": DenseLayer(channels + i * GROWTH) for i in range(depth)}
        layers[f"denseblock{block}"] = nn.Sequential(OrderedDict(dense))
        channels += depth * GROWTH
        if block < len(BLOCKS):
            layers[f"transition{block}"] = nn.Sequential(
                OrderedDict(
                    norm=nn.BatchNorm2d(channels),
                    relu=nn.ReLU(),
                    conv=nn.Conv2d(channels, channels // 2, 1, bias=False),
                    pool=nn.AvgPool2d(2),
                )
            )
            channels //= 2
    layers["norm5"] = nn.BatchNorm2d(channels)
    return nn.Sequential(layers)


class DenseNetPhi(nn.Module):
    """φ as in the paper: planes (B, 1, H, W) in [0, 1], 32 pixels a side or more, to (B,).

    The mean over five stages of the features' mean squared response to the paper's 3x3 kernel. The plane stands for R,
    G and B, normalised as ImageNet's images are, for that is what the features were trained on; the paper doesn't say.
    Stages' borders are replicated, so that flat features have no response, and any size of them will do.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: nn.Sequential, sha256: str = "") -> None:
        super().__init__()
        self.sha256 = sha256  # of the file that they were read from
        children = list(features.children())
        self.stages = nn.ModuleList(nn.Sequential(*children[start:stop]) for start, stop in STAGES)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None])
        self.eval().requires_grad_(False)

    def forward(self, plane: Tensor) -> Tensor:
        x = (plane - self.mean) / self.deviation
        energies = []
        for stage in self.stages:
            x = stage(x)
            kernel = detail_kernel(x).expand(x.shape[1], 1, 3, 3)
            response = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, groups=x.shape[1])
            energies.append(response.square().mean(dim=(1, 2, 3)))
        return torch.stack(energies).mean(dim=0)


def load_densenet_phi(path: Path) -> DenseNetPhi:
    """φ with the weights in a ``.safetensors`` file, torchvision's state dict of DenseNet-121 (old names as well).

    Raises CheckpointError for any other file.
    """
    if path.suffix != ".safetensors":
        convert = CONVERT.format(path.with_suffix(""))
        raise CheckpointError(
            f"{path}: DenseNet-121's weights must be a .safetensors file; a .pth file becomes one by {convert}"
        )
    try:
        with opened(path) as file:
            found, sha256 = read_tensors(file, read_header(file, path), path)
    except NotWholeError as error:
        raise CheckpointError(f"{path}: not a readable .safetensors file ({error.reason})") from error
    state = {}
    for name, value in found.items():
        renamed = re.sub(r"\.(norm|conv)\.([12])\.", r".\1\2.", name.removeprefix("features."))
        if not renamed.startswith("classifier."):
            state[renamed] = value
    features = densenet121_features()
    try:
        missing, unexpected = features.load_state_dict(state, strict=False)
    except RuntimeError as error:  # of sizes
        raise CheckpointError(f"{path}: not torchvision's DenseNet-121: {' '.join(str(error).split())}") from error
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        name = (missing or unexpected)[0]
        raise CheckpointError(
            f"{path}: not torchvision's DenseNet-121: {name} is {'missing' if missing else 'unknown'}"
        )
    return DenseNetPhi(features, sha256)

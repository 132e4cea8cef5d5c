"""ColorCNN+ as a first reading of the paper would write it: what the benchmark of training compares with.

Everything that the equations name is built: the map of D channels, palettes from (B, 3, C, H, W), the N x N
matrices of the imitation loss. The loader quantizes each image with Pillow and renumbers its index map with
``np.unique``; evaluation is a pass through both networks for each number of colours. It is written from the
paper alone, for comparison, and nothing of the package uses it.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn


def load_batch(pixels: np.ndarray, num_colors: int) -> tuple[Tensor, Tensor]:
    """Decode, mirror and quantize the images of a batch one by one.

    Args:
        pixels: (B, H, W, 3) uint8.
        num_colors: C of the imitation targets.

    Returns:
        Images (B, 3, H, W) float32 and index maps (B, H, W) int64.
    """
    images, targets = [], []
    for array in pixels:
        picture = Image.fromarray(array)
        if np.random.rand() < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        quantized = np.array(picture.quantize(num_colors, Image.Quantize.MEDIANCUT).convert("RGB"))
        colors = np.unique(quantized.reshape(-1, 3), axis=0, return_inverse=True)[1]
        images.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255)
        targets.append(torch.from_numpy(colors.reshape(quantized.shape[:2])))
    return torch.stack(images), torch.stack(targets)


class PlainQuantizer(nn.Module):
    """ColorCNN+ of sections 3.2 and 3.4.

    Args:
        backbone: image to features of the same size; has ``out_channels``.
        bottleneck: channels of the bottleneck layer.
        feature_channels: D.
        top_k: K.
    """

    def __init__(
        self, backbone: nn.Module, bottleneck: int = 16, feature_channels: int = 256, top_k: int = 4
    ) -> None:
        super().__init__()
        self.backbone = backbone
        channels = int(backbone.out_channels)  # type: ignore[arg-type]
        self.bottleneck = nn.Sequential(
            nn.Conv2d(channels, bottleneck, 1), nn.BatchNorm2d(bottleneck), nn.ReLU()
        )
        self.features = nn.Conv2d(bottleneck, feature_channels, 1, bias=False)
        self.top_k = top_k

    def encode(self, images: Tensor) -> Tensor:
        """Map h(x), (B, D, H, W)."""
        return self.features(self.bottleneck(self.backbone(images)))

    def assign(self, features: Tensor, num_colors: int) -> Tensor:
        """Soft assignment (B, C, H, W) of Eq 8 and 9; C divides D."""
        pooled = features.unflatten(1, (num_colors, -1)).mean(dim=2)
        least = pooled.topk(min(self.top_k, num_colors), dim=1).values[:, -1:]
        return pooled.masked_fill(pooled < least, -torch.inf).softmax(dim=1)

    @staticmethod
    def render(images: Tensor, assignment: Tensor) -> Tensor:
        """Quantized image (B, 3, H, W) of Eq 5 and 6."""
        weighted = images.unsqueeze(2) * assignment.unsqueeze(1)  # (B, 3, C, H, W)
        mass = assignment.sum(dim=(2, 3)).unsqueeze(1) + 1e-8
        palette = weighted.sum(dim=(3, 4)) / mass
        return (palette[..., None, None] * assignment.unsqueeze(1)).sum(dim=2)

    def quantize(self, images: Tensor, num_colors: int) -> Tensor:
        """Image of Eq 2 to 4, (B, 3, H, W)."""
        indices = self.assign(self.encode(images), num_colors).argmax(dim=1)
        hard = F.one_hot(indices, num_colors).permute(0, 3, 1, 2).float()
        return self.render(images, hard)


def loss_terms(assignment: Tensor, targets: Tensor, share: float = 0.3) -> Tensor:
    """R_color + R_info + R_conf + 3 L_RP of Eq 7 and 10 to 15, the last on a share of the pixels.

    Args:
        assignment: (B, C, H, W).
        targets: (B, H, W).
        share: of the pixels, drawn once for the batch.
    """
    colors = assignment.shape[1]
    flat = assignment.flatten(2)
    mean = flat.mean(dim=2)
    color = -flat.max(dim=2).values.mean()
    information = (mean * (mean + 1e-16).log()).sum(dim=1).mean()
    confidence = -(flat * (flat + 1e-16).log()).sum(dim=1).mean()
    chosen = torch.randperm(flat.shape[2], device=flat.device)[: max(1, round(share * flat.shape[2]))]
    soft = flat[:, :, chosen]
    hard = F.one_hot(targets.flatten(1)[:, chosen], colors).float().transpose(1, 2)
    ours, theirs = soft.transpose(1, 2) @ soft, hard.transpose(1, 2) @ hard  # (B, N, N)
    difference = F.normalize(ours, dim=2) - F.normalize(theirs, dim=2)
    imitation = difference.square().sum(dim=2).mean()
    return color + information + confidence + 3 * imitation


def jitter(images: Tensor, mean: Tensor, std: Tensor, contrast: float = 4.0) -> Tensor:
    """Colour jitter of section 3.3.2, in image space."""
    return mean + (images - mean) / contrast + std * torch.randn((), device=images.device)

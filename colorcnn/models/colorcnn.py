"""ColorCNN and ColorCNN+: networks that assign every pixel of an image to one of a few colours.

Hou, Zheng and Gould, Learning to Structure an Image with Few Colors and Beyond.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorcnn.errors import UsageError, check_at_least, unknown_name
from colorcnn.models.assignment import (
    lloyd_steps,
    one_hot,
    pool_rows,
    soft_palette,
    top_k_softmax,
)
from colorcnn.models.backbones import create_backbone
from colorcnn.models.learned import LearnedQuantizer
from colorcnn.models.precision import full_precision
from colorcnn.models.sparse import SparseAssignment, top_k_of_product
from colorcnn.paletted import Paletted, from_bytes
from colorcnn.quantizers.base import check_num_colors

ALL_SIZES = tuple(range(1, 65))
POOLINGS = ("blocks", "strided")
TEST_PALETTES = ("hard", "soft")
OF_USE = ("pooling", "refine_from", "refine_steps", "start", "test_palette", "top_k", "view")
"""Options that change the result without changing the weights."""


def expand_sizes(sizes: Sequence[int] | str) -> list[int]:
    """Return the numbers of colours of a training as a list; ``all`` is every number from 1 to 64."""
    return list(ALL_SIZES) if isinstance(sizes, str) else list(sizes)


def quantizer_options(
    architecture: str, sizes: Sequence[int] | str, options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the options to build a learned quantizer.

    Args:
        architecture: ``colorcnn``, ``colorcnn-plus`` or ``palette-attention``.
        sizes: the numbers of colours of the training, or ``all``; one for ColorCNN.
        options: options of the network, which override those from ``sizes``.
    """
    sizes = expand_sizes(sizes)
    defaults = {"num_colors": sizes[0]} if architecture == "colorcnn" else {"trained_sizes": list(sizes)}
    return {**defaults, **(options or {})}


class ColorCNN(LearnedQuantizer):
    """ColorCNN: one model per number of colours (section 3.2).

    Args:
        num_colors: C.
        backbone: a name in :data:`colorcnn.models.backbones.BACKBONES`.
        backbone_kwargs: options of the backbone.
        hidden: channels of an extra 1x1 convolution before the head (256 in the authors' code); 0 for none,
            as in the paper.
    """

    local = True

    def __init__(
        self,
        num_colors: int,
        backbone: str = "unet",
        backbone_kwargs: dict[str, Any] | None = None,
        hidden: int = 0,
    ) -> None:
        super().__init__()
        self.num_colors = check_num_colors(num_colors)
        self.backbone = create_backbone(backbone, **(backbone_kwargs or {}))
        channels = int(self.backbone.out_channels)  # type: ignore[arg-type]
        head: list[nn.Module] = [nn.Conv2d(hidden or channels, num_colors, 1)]
        if hidden:
            head = [nn.Conv2d(channels, hidden, 1), nn.ReLU(inplace=True), *head]
        self.head = nn.Sequential(*head)

    def encode(self, images: Tensor) -> Tensor:
        """See :meth:`LearnedQuantizer.encode`."""
        return self.backbone(images)

    def logits(self, features: Tensor, num_colors: int) -> Tensor:
        """See :meth:`LearnedQuantizer.logits`."""
        if num_colors != self.num_colors:
            raise UsageError(
                f"This ColorCNN was made for {self.num_colors} colours and cannot give {num_colors}: "
                f"choose {self.num_colors}, or use a ColorCNN+ model."
            )
        return self.head(features).to(torch.promote_types(features.dtype, torch.float32))


class OneForEach(nn.Module):
    """Several ColorCNNs, each for another number of colours, combined into one quantizer.

    Args:
        models: the ColorCNNs.

    Raises:
        UsageError: two have the same number of colours, or one is not a ColorCNN.
    """

    def __init__(self, models: Sequence[Any]) -> None:
        super().__init__()
        sizes = [getattr(model, "num_colors", None) for model in models]
        if None in sizes or len(set(sizes)) < len(sizes):
            raise UsageError(
                f"The models are for {sizes} colours: use ColorCNNs, each for another number of colours."
            )
        self.models = nn.ModuleDict({str(size): model for size, model in zip(sizes, models)})

    def quantize_many(self, images: Tensor, sizes: Sequence[int]) -> dict[int, Paletted]:
        """See :meth:`LearnedQuantizer.quantize_many`."""
        for size in sizes:
            if str(size) not in self.models:
                raise UsageError(
                    f"There is no ColorCNN for {size} colours here: choose one of {', '.join(self.models)}."
                )
        return {size: cast(ColorCNN, self.models[str(size)]).quantize(images, size) for size in sizes}

    def soft(self, images: Tensor, num_colors: int) -> Tensor:
        """See :meth:`LearnedQuantizer.soft`; only for the numbers of colours of the models."""
        return cast(ColorCNN, self.models[str(num_colors)]).soft(images, num_colors)


class _Head(nn.Module):
    """The bottleneck layer and the map h of D channels (section 3.4)."""

    def __init__(self, channels: int, bottleneck: int, feature_channels: int) -> None:
        super().__init__()
        self.bottleneck: nn.Module = nn.Identity()
        if bottleneck:
            self.bottleneck = nn.Sequential(
                nn.Conv2d(channels, bottleneck, 1), nn.BatchNorm2d(bottleneck), nn.ReLU(inplace=True)
            )
        self.features = nn.Conv2d(bottleneck or channels, feature_channels, 1, bias=False)


class ColorCNNPlus(LearnedQuantizer):
    """ColorCNN+: one model for every number of colours from 1 to D (section 3.4).

    The D-channel map h(x) is linear in the bottleneck. So pooling it to C channels (Eq 8) is a 1x1
    convolution with averaged weights, and the D-channel map is never stored.

    Args:
        backbone: a name in :data:`colorcnn.models.backbones.BACKBONES`.
        backbone_kwargs: options of the backbone.
        bottleneck: channels of the bottleneck layer; 0 leaves it out (Table 4).
        feature_channels: D.
        top_k: K of Eq 9; 0 is the plain softmax (Table 4).
        trained_sizes: the numbers of colours used in training, for information and for ``own_heads``.
        pooling: channels that are averaged for a colour: neighbours (``blocks``, Eq 8), or channels with
            distance C (``strided``), as in the authors' code.
        test_palette: palette of quantized images: ``hard`` (Eq 3), or ``soft`` (Eq 5), used with hard
            indices, as in a later version of the authors' code.
        own_heads: True for a separate bottleneck and map h for each of the trained sizes, on a common
            backbone (not in the paper). Other numbers of colours use the next larger size, or the largest.
            With one map, the few channels of a small palette are means of the channels of large ones.
        refine_steps: number of Lloyd steps (:func:`lloyd_steps`) after the network (not in the paper). Each
            pixel then takes its nearest colour.
        refine_from: smallest number of colours with Lloyd steps.

    Raises:
        UsageError: the pooling or the palette is unknown, ``own_heads`` has no sizes, a size is larger than
            D, or ``refine_steps`` is used with a soft palette.
    """

    local = True

    def __init__(
        self,
        backbone: str = "unet",
        backbone_kwargs: dict[str, Any] | None = None,
        bottleneck: int = 16,
        feature_channels: int = 256,
        top_k: int = 4,
        trained_sizes: Sequence[int] = (),
        pooling: Literal["blocks", "strided"] = "blocks",
        test_palette: Literal["hard", "soft"] = "hard",
        own_heads: bool = False,
        refine_steps: int = 0,
        refine_from: int = 16,
    ) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise unknown_name("pooling", pooling, POOLINGS)
        if test_palette not in TEST_PALETTES:
            raise unknown_name("test_palette", test_palette, TEST_PALETTES)
        if max(trained_sizes, default=1) > feature_channels:
            raise UsageError(
                f"feature_channels is {feature_channels}: fewer than the largest number of colours; "
                f"choose {max(trained_sizes)} or more, or smaller sizes."
            )
        if test_palette == "soft" and refine_steps:
            raise UsageError(
                "refine_steps needs a hard palette: leave out refine_steps or test_palette=soft."
            )
        check_at_least(0, refine_steps=refine_steps)
        check_at_least(1, refine_from=refine_from)
        self.refine_steps = refine_steps
        self.refine_from = refine_from
        self.pooling = pooling
        self.test_palette = test_palette
        self.top_k = top_k
        self.trained_sizes = tuple(trained_sizes)
        self.backbone = create_backbone(backbone, **(backbone_kwargs or {}))
        channels = int(self.backbone.out_channels)  # type: ignore[arg-type]
        if own_heads and not trained_sizes:
            raise UsageError("own_heads needs trained_sizes, because each size has a head: give the sizes.")
        self.own = nn.ModuleDict()
        for size in sorted(trained_sizes) if own_heads else ():
            self.own[str(size)] = _Head(channels, bottleneck, feature_channels)
        if not own_heads:
            head = _Head(channels, bottleneck, feature_channels)
            self.bottleneck, self.features = head.bottleneck, head.features

    def encode(self, images: Tensor) -> Tensor:
        """See :meth:`LearnedQuantizer.encode`."""
        return self.backbone(images)

    def logits(self, features: Tensor, num_colors: int) -> Tensor:
        """See :meth:`LearnedQuantizer.logits`; h_C(x) of Eq 8."""
        head = self._head(num_colors)
        narrow = head.bottleneck(features)
        with full_precision(features.device):  # Eq 9 compares close values, so no bfloat16
            weight = self._pooled(head, num_colors)
            return F.conv2d(narrow.to(weight.dtype), weight)

    def soft_top_k(
        self, images: Tensor, num_colors: int, temperature: float = 1.0, noise: float = 0.0
    ) -> SparseAssignment:
        """Return the result of :meth:`soft` without its zeros: K entries per pixel, K at most C.

        Args:
            images: (B, 3, H, W) in [0, 1], any H, W >= 1.
            num_colors: C.
            temperature: divisor of the logits.
            noise: scale of the Gumbel noise on the logits.

        Raises:
            UsageError: this model cannot give C colours.
        """
        head = self._head(num_colors)
        narrow = head.bottleneck(self.encode(images))
        with full_precision(images.device):
            weight = self._pooled(head, num_colors).flatten(1) / temperature
            count = min(self.top_k or num_colors, num_colors)
            return top_k_of_product(narrow.to(weight.dtype), weight, count, noise)

    def _pooled(self, head: Any, num_colors: int) -> Tensor:
        """Return the weights (C, F, 1, 1) of the convolution whose output is h_C(x)."""
        return pool_rows(head.features.weight, num_colors, strided=self.pooling == "strided")

    def _head(self, num_colors: int) -> Any:
        if not self.own:
            return self
        sizes = [int(size) for size in self.own]
        return self.own[str(min((size for size in sizes if size >= num_colors), default=sizes[-1]))]

    def adapted(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Convert the weights of a model with one head: every own head starts with a copy of it."""
        found = dict(state)
        for name in [name for name in state if name.startswith(("bottleneck.", "features."))]:
            weights = found.pop(name) if self.own else found[name]
            found.update({f"own.{size}.{name}": weights for size in self.own})
        return found

    def assign(self, logits: Tensor) -> Tensor:
        """See :meth:`LearnedQuantizer.assign`; Eq 9."""
        return top_k_softmax(logits, self.top_k or logits.shape[1])

    def palette(self, images: Tensor, logits: Tensor, indices: Tensor) -> Tensor:
        """See :meth:`LearnedQuantizer.palette`; unused rows are 0 in a soft palette, too."""
        if self.test_palette == "hard":
            return super().palette(images, logits, indices)
        used = one_hot(indices, logits.shape[1], images.dtype).amax(dim=(2, 3))
        return soft_palette(images, self.assign(logits).to(images.dtype)) * used[:, :, None]

    def _decide(self, images: Tensor, features: Tensor, num_colors: int) -> Paletted:
        return self._refined(images, super()._decide(images, features, num_colors), num_colors)

    def _refined(self, images: Tensor, result: Paletted, num_colors: int) -> Paletted:
        if not self.refine_steps or num_colors < self.refine_from:
            return result
        if images.dtype == torch.uint8:
            images = from_bytes(images, result.palette.dtype)
        indices, palette = lloyd_steps(images, result.indices, result.palette, self.refine_steps)
        return Paletted(indices.to(torch.uint8), palette)

    def color_sums(self, images: Tensor, logits: Tensor, indices: Tensor) -> Tensor:
        """See :meth:`LearnedQuantizer.color_sums`; a soft palette weights pixels by m(x) (Eq 5)."""
        if self.test_palette == "hard":
            return super().color_sums(images, logits, indices)
        weights = self.assign(logits).flatten(2).double()
        pixels = torch.cat([images, torch.ones_like(images[:, :1])], dim=1).flatten(2).double()
        return weights @ pixels.transpose(1, 2)

    def tiled_result(self, images: Tensor, indices: Tensor, sums: Tensor) -> Paletted:
        """See :meth:`LearnedQuantizer.tiled_result`; Lloyd steps follow."""
        result = super().tiled_result(images, indices, sums)
        num_colors = result.palette.shape[1]
        if self.test_palette == "soft":  # unused rows are 0
            used = torch.bincount(indices.flatten(), minlength=num_colors) > 0
            return Paletted(indices, result.palette * used[None, :, None])
        return self._refined(images, result, num_colors)

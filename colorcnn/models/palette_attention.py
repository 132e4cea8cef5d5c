"""Palette attention: a learned quantizer that starts exactly at a classical one and learns what to change.

A classical quantizer gives each image its palette t_1..t_C. A pixel's score of colour c has two terms: the
nearest-colour mapping, and attention between the pixel's query q(x) and the key k_c of the colour::

    -a_C |x - t_c|^2 / (2 s)  +  <q(x), k_c> / sqrt(d)

s is the mean squared distance of the image's pixels to their colours, a_C the sharpness. The index map is the
argmax (Eq 2) and the palette the mean colour of each index (Eq 3), as in ColorCNN. The last layer of q starts
at zero: before training the index map is the classical quantizer's, to the pixel. One set of weights serves
every number of colours from 1 to 256, those it was not trained for too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorcnn.errors import UsageError, check_at_least, unknown_name
from colorcnn.graphs import view_size
from colorcnn.models import attention_kernels
from colorcnn.models.assignment import gumbel_noise, hard_palette, row_slices, straight_through
from colorcnn.models.backbones import create_backbone
from colorcnn.models.learned import LearnedQuantizer
from colorcnn.models.stretching import stretched, widened
from colorcnn.paletted import Paletted, to_bytes
from colorcnn.quantizers import QUANTIZERS
from colorcnn.quantizers.base import full_palettes

SHARPNESSES = ("fixed", "learned")
KEY_FEATURES = {"colour": 3, "relative": 3, "mean": 3, "rank": 1, "size": 1, "share": 1}
"""Facts about a palette colour that its key is made of, and the number of channels of each."""

_LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601
_SOFT_UP_TO = 8  # numbers of colours whose nearest-colour term has sharpness 1
_LEAST_SPREAD = 1.0  # of s, in squared levels of 8 bits: images of at most C colours have no distances


class Encoded(NamedTuple):
    """Everything that all palette sizes of a batch share.

    Attributes:
        pixels: (B, 3, H, W), levels from 0 to 255, rounded to whole numbers.
        features: (B, D, h, w) of the backbone; smaller than the images where these are large.
    """

    pixels: Tensor
    features: Tensor


class _Round(NamedTuple):
    """Scores of one round as a function of the pixel: ``scale * (|t|^2 - 2 <x, t>) + <q(x), key>``."""

    colors: Tensor  # (B, C, 3) levels
    scale: Tensor  # (B, 1, 1)
    attention: Tensor  # (B, C, h, w)


class PaletteAttention(LearnedQuantizer):
    """A classical palette for each image, and attention that decides which pixel takes which of its colours.

    Args:
        start: the classical quantizer, a name in :data:`colorcnn.quantizers.QUANTIZERS`.
        backbone: a name in :data:`colorcnn.models.backbones.BACKBONES`.
        backbone_kwargs: its options.
        channels: d, of queries and keys.
        hidden: width of the layer before the queries, and of the one before the keys.
        key_features: facts about a colour that its key is made of, names in :data:`KEY_FEATURES`: the colour,
            the colour relative to mean and spread of the palette, the palette's mean, the share of its
            colours that are darker, log2 C, the share of the pixels that are nearest to it.
        sharpness: a_C is ``fixed``, 1 up to 8 colours and sqrt(C / 8) above, or ``learned`` from there.
        rounds: 2 adds a second round of scores for the palette that the first round gives.
        view: longest side, in pixels, of the image that the backbone sees. Larger images are made smaller for
            it and its queries are interpolated, so that a photograph looks as training images do.
        trained_sizes: the numbers of colours seen in training, for those who want to know.

    Raises:
        UsageError: a name is unknown, or a number is out of range.
    """

    luminance: Tensor

    def __init__(
        self,
        start: str = "wu",
        backbone: str = "unet",
        backbone_kwargs: dict[str, Any] | None = None,
        channels: int = 16,
        hidden: int = 64,
        key_features: Sequence[str] = ("colour", "relative", "mean", "rank", "size"),
        sharpness: Literal["fixed", "learned"] = "fixed",
        rounds: int = 1,
        view: int = 128,
        trained_sizes: Sequence[int] = (),
    ) -> None:
        super().__init__()
        if start not in QUANTIZERS:
            raise unknown_name("start", start, QUANTIZERS)
        if sharpness not in SHARPNESSES:
            raise unknown_name("sharpness", sharpness, SHARPNESSES)
        for name in key_features:
            if name not in KEY_FEATURES:
                raise unknown_name("key feature", name, KEY_FEATURES)
        check_at_least(1, channels=channels, hidden=hidden, view=view)
        if not key_features:
            raise UsageError(f"key_features is empty: name some of {', '.join(KEY_FEATURES)}.")
        if rounds not in (1, 2):
            raise UsageError(f"rounds is {rounds!r}: choose 1 or 2.")
        self.start = start
        self.key_features = tuple(key_features)
        self.view = view
        self.trained_sizes = tuple(trained_sizes)
        self.backbone = create_backbone(backbone, **(backbone_kwargs or {}))
        width = int(self.backbone.out_channels)  # type: ignore[arg-type]
        facts = sum(KEY_FEATURES[name] for name in self.key_features)
        self.queries = nn.ModuleList(_queries(width, hidden, channels) for _ in range(rounds))
        self.keys = nn.ModuleList(_keys(facts, hidden, channels) for _ in range(rounds))
        self.sharpen = nn.Parameter(torch.zeros(2)) if sharpness == "learned" else None
        self.follow = nn.Parameter(torch.zeros(())) if rounds == 2 else None
        # A buffer, because numbers of the host would be copied to a GPU in every step.
        self.register_buffer("luminance", torch.tensor(_LUMINANCE), persistent=False)

    def start_palettes(self, images: Tensor, num_colors: int) -> Tensor:
        """Return the classical palettes of images.

        Args:
            images: (B, 3, H, W), float in [0, 1] or uint8.
            num_colors: C.

        Returns:
            uint8 (B, C, 3). An image of fewer colours repeats its first one, which changes no index map.
        """
        return full_palettes(QUANTIZERS[self.start]()(images.detach(), num_colors))

    def encode(self, images: Tensor, seen: Tensor | None = None) -> Encoded:  # type: ignore[override]
        """See :meth:`LearnedQuantizer.encode`.

        Args:
            images: (B, 3, H, W).
            seen: the images as the backbone sees them, where they are known; see ``view``.
        """
        if seen is None:
            seen = images
            height, width = images.shape[2:]
            if (size := view_size(height, width, self.view)) != (height, width):
                seen = F.interpolate(images, size, mode="area")
        pixels = to_bytes(images).to(torch.promote_types(images.dtype, torch.float32))
        if (
            images.requires_grad
        ):  # an attack wants the gradient of the rounded pixels to be that of the images
            pixels = straight_through(pixels, images * 255)
        return Encoded(pixels, self.backbone(seen))

    def rehearse(self, images: Tensor, num_colors: int) -> None:
        """See :meth:`LearnedQuantizer.rehearse`: scores are computed in slices, which are small."""
        self.encode(images)

    def logits(self, features: Encoded, num_colors: int, start: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """Scores of every pixel for every colour.

        Args:
            features: of :meth:`encode`.
            num_colors: C.
            start: classical palettes (B, C, 3) uint8 that are known already; by default they are computed.

        Returns:
            (B, C, H, W) in float32 or wider.
        """
        with torch.autocast(features.pixels.device.type, enabled=False):
            rounds = self._rounds(features, num_colors, start)
            return _scores(features.pixels, rounds, slice(0, features.pixels.shape[2]))

    def soft(
        self,
        images: Tensor,
        num_colors: int,
        temperature: float = 1.0,
        noise: float = 0.0,
        features: Encoded | None = None,
        start: Tensor | None = None,
    ) -> Tensor:
        """Return the soft assignment m_C(x).

        Args:
            images: as for :meth:`LearnedQuantizer.soft`.
            num_colors: C.
            temperature: as for :meth:`LearnedQuantizer.soft`.
            noise: as for :meth:`LearnedQuantizer.soft`.
            features: of the backbone, to share them between palette sizes.
            start: as for :meth:`logits`.
        """
        features = self.encode(images) if features is None else features
        scores = self.logits(features, num_colors, start) / temperature
        return self.assign(gumbel_noise(scores, noise) if noise else scores)

    def sharpness(self, num_colors: int | Tensor) -> Tensor | float:
        """Return a_C, the weight of the nearest-colour term."""
        fixed = _at_least_one(num_colors / _SOFT_UP_TO) ** 0.5
        if self.sharpen is None:
            return fixed
        return fixed * torch.exp(self.sharpen[0] + self.sharpen[1] * _log2(num_colors) / 8)

    def _rounds(self, features: Encoded, num_colors: int, start: Tensor | None) -> list[_Round]:
        """The first round is that of the classical palette, the second that of the palette it gives."""
        pixels = features.pixels
        if start is None:
            start = self.start_palettes(pixels.detach().round().to(torch.uint8), num_colors)
        colors = start.to(pixels)
        sharpness = self.sharpness(_number_of(colors))
        first = self._round(features, colors, sharpness, 0)
        if self.follow is None:
            return [first]
        indices = torch.cat([part.argmax(dim=1) for part in _parts(pixels.detach(), [first])], dim=1)
        moved = hard_palette(pixels.detach(), indices, num_colors)
        used = torch.zeros(moved.shape[:2], dtype=torch.bool, device=moved.device)
        used.scatter_(1, indices.flatten(1), True)
        moved = torch.where(used[:, :, None], moved, colors)
        second = self._round(features, moved, sharpness, 1)
        # As `follow` grows from 0, distances to the moved palette replace those to the first one.
        stay, go = first.scale * (1 - self.follow), second.scale * self.follow
        return [first._replace(scale=stay), second._replace(scale=go)]

    def _round(self, features: Encoded, colors: Tensor, sharpness: Tensor | float, number: int) -> _Round:
        spread, share = _fit(features.pixels.detach(), colors, "share" in self.key_features)
        keys = self.keys[number](self._facts(colors / 255, share))
        queries = self.queries[number](features.features.to(keys.dtype))
        attention = torch.einsum("bcd,bdhw->bchw", keys, queries) / math.sqrt(keys.shape[2])
        return _Round(colors, -sharpness / (2 * spread), attention)

    def _facts(self, colors: Tensor, share: Tensor) -> Tensor:
        """Return the input of a key, (B, C, F), for colours (B, C, 3) in [0, 1]."""
        mean = colors.mean(dim=1, keepdim=True)
        spread = (colors - mean).square().mean(dim=(1, 2), keepdim=True).sqrt() + 0.01
        light = colors @ self.luminance.to(colors)
        darker = (light[:, None, :] < light[:, :, None]).to(colors).mean(dim=2)
        size = torch.ones_like(light) * (_log2(_number_of(colors)) / 8)
        facts = {
            "colour": colors - 0.5,
            "relative": (colors - mean) / spread,
            "mean": (mean - 0.5).expand_as(colors),
            "rank": darker[..., None],
            "size": size[..., None],
            "share": share[..., None],
        }
        return torch.cat([facts[name] for name in self.key_features], dim=2)

    def _decide(self, images: Tensor, features: Encoded, num_colors: int) -> Paletted:  # type: ignore[override]
        return self.decide(images, features, num_colors)

    def decide(
        self, images: Tensor, features: Encoded, num_colors: int, start: Tensor | None = None
    ) -> Paletted:
        """Quantize encoded images.

        Args:
            images: (B, 3, H, W).
            features: of :meth:`encode`.
            num_colors: C.
            start: as for :meth:`logits`.
        """
        rounds = self._rounds(features, num_colors, start)
        if len(rounds) == 1 and _compiles(features.pixels, rounds[0].colors, rounds[0].attention):
            indices = torch.cat(list(_compiled_indices(features.pixels.detach(), rounds[0])), dim=1)
            if _compiles(images) and not images.requires_grad:
                return Paletted(indices, attention_kernels.mean_colors(images, indices, num_colors))
        else:
            parts = [part.argmax(dim=1).to(torch.uint8) for part in _parts(features.pixels, rounds)]
            indices = torch.cat(parts, dim=1)
        return Paletted(indices, hard_palette(images, indices, num_colors))


def _queries(width: int, hidden: int, channels: int) -> nn.Sequential:
    last = nn.Conv2d(hidden, channels, 1, bias=False)
    nn.init.zeros_(last.weight)
    return nn.Sequential(nn.Conv2d(width, hidden, 1), nn.ReLU(inplace=True), last)


def _keys(facts: int, hidden: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(facts, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, channels))


def _distances(pixels: Tensor, colors: Tensor) -> Tensor:
    """|x - t_c|^2 - |x|^2 of pixels (B, 3, h, w) and colours (B, C, 3): exact, for whole levels."""
    sizes = colors.square().sum(dim=2, keepdim=True)
    flat = pixels.flatten(2)
    return torch.baddbmm(sizes, colors, flat, alpha=-2).unflatten(2, pixels.shape[2:])


def _fit(pixels: Tensor, colors: Tensor, counted: bool) -> tuple[Tensor, Tensor]:
    """s (B, 1, 1), the mean squared distance of pixels to their colours, and the colours' shares (B, C)."""
    # Sums in float32 depend on their order, and lose digits over millions of pixels.
    wide = pixels.dtype if pixels.device.type == "mps" else torch.float64
    if _compiles(pixels, colors):
        total, counts = attention_kernels.least_distances(pixels, colors)  # exact integers
        total = total.to(wide)
    else:
        total, counts = _least_distances(pixels, colors, counted, wide)
    area = pixels.shape[2] * pixels.shape[3]
    spread = (total / area).to(pixels.dtype).clamp_min(_LEAST_SPREAD)
    return spread[:, None, None], counts.to(pixels.dtype) / area


def _least_distances(
    pixels: Tensor, colors: Tensor, counted: bool, wide: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Sums (B,) of squared distances to the nearest colours, and numbers of the pixels of each (B, C)."""
    total = pixels.square().sum(dim=(1, 2, 3), dtype=wide)
    counts = torch.zeros(colors.shape[:2], dtype=pixels.dtype, device=pixels.device)
    for rows in row_slices(pixels.shape, colors.shape[1]):
        least, nearest = _distances(pixels[:, :, rows], colors).min(dim=1)
        total = total + least.sum(dim=(1, 2), dtype=wide)
        if counted:
            counts.scatter_add_(1, nearest.flatten(1), torch.ones_like(least).flatten(1))
    return total, counts


def _compiles(*tensors: Tensor) -> bool:
    """Return True if compiled code may replace operations of PyTorch: they are not recorded or translated."""
    return not torch.compiler.is_compiling() and attention_kernels.serves(*tensors)


def _number_of(colors: Tensor) -> int | Tensor:
    """C of palettes (B, C, 3): a tensor while a graph is exported, which serves every C then."""
    if torch.compiler.is_exporting():
        return torch.scalar_tensor(colors.shape[1], dtype=torch.float64)
    return colors.shape[1]


def _log2(number: Any) -> Any:
    return number.log2() if isinstance(number, Tensor) else math.log2(number)


def _at_least_one(number: Any) -> Any:
    return number.clamp_min(1.0) if isinstance(number, Tensor) else max(1.0, number)


def _parts(pixels: Tensor, rounds: Sequence[_Round]) -> Iterator[Tensor]:
    """The scores (B, C, h, W), some rows of the images at a time."""
    for rows in row_slices(pixels.shape, rounds[0].colors.shape[1]):
        yield _scores(pixels, rounds, rows)


def _scores(pixels: Tensor, rounds: Sequence[_Round], rows: slice) -> Tensor:
    """The sum of the rounds' scores (B, C, h, W) for some rows of the images."""
    total: Any = 0
    for each in rounds:
        near = _distances(pixels[:, :, rows], each.colors) * each.scale[..., None]
        total = total + near + stretched(each.attention, pixels.shape[2:], rows)
    return total


def _compiled_indices(pixels: Tensor, only: _Round) -> Iterator[Tensor]:
    """The indices of the best scores, uint8 (B, h, W), some rows of the images at a time."""
    maps, scales = only.attention.detach(), only.scale.detach().flatten()
    for rows in row_slices(pixels.shape, maps.shape[1]):
        wide, *between = widened(maps, pixels.shape[2:], rows)
        yield attention_kernels.best_indices(pixels[:, :, rows], only.colors, scales, wide, between)

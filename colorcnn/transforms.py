"""Quantization as a transform for :mod:`torchvision.transforms.v2`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from colorcnn.arrays import as_batch
from colorcnn.images import LEARNED_PIXELS
from colorcnn.methods import load_quantizer, parse_method, takes_large_images
from colorcnn.quantizers import check_num_colors


class Quantize(v2.Transform):
    """Reduce images to a few colours.

    It takes uint8 and float tensors (3, H, W) or (..., 3, H, W), and Pillow images, and returns RGB of the
    same kind and type. Labels, masks and boxes of a sample are not changed.

    Args:
        num_colors: maximum number of colours per image, 1..256.
        method: ``NAME[:CHECKPOINT][+DITHER]``, see :func:`colorcnn.methods.load_quantizer`.
        background: colour behind transparent pixels.
        max_pixels: maximum number of pixels per image. By default
            :data:`colorcnn.images.LEARNED_PIXELS` for an ONNX file, else no limit.
        options: options of :func:`colorcnn.methods.load_quantizer`: ``device``, ``seed``, ``dither``,
            ``palette``, ``keep``, and those of the method.

    Raises:
        UsageError: the method, the number of colours or an option is invalid.
        ColorCNNError: the method's checkpoint is damaged.

    Example:
        >>> transform = v2.Compose([colorcnn.Quantize(4, "median-cut", dither=True), v2.ToImage()])
    """

    _transformed_types = (v2.functional.is_pure_tensor, tv_tensors.Image, tv_tensors.Video, Image.Image)

    def __init__(
        self,
        num_colors: int,
        method: str = "k-means",
        *,
        background: Any = "white",
        max_pixels: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.num_colors = check_num_colors(num_colors)
        self.method = method
        self.background = background
        self.quantizer: Any = load_quantizer(method, **options)
        bounded = "palette" not in options and not takes_large_images(parse_method(method))
        self.max_pixels = LEARNED_PIXELS if max_pixels is None and bounded else max_pixels

    def train(self, mode: bool = True) -> Quantize:
        """Stay in evaluation mode, so that a learned quantizer does not change."""
        return super().train(False)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Quantize one image, or a tensor of several.

        Args:
            inpt: a tensor or a Pillow image.
            params: unused; part of torchvision's interface.
        """
        if isinstance(inpt, Image.Image):
            images, last = as_batch(inpt, None, self.background, self.max_pixels)
            return Image.fromarray(np.asarray(self.quantizer(images, self.num_colors, channels_last=last)))
        tensor = inpt.as_subclass(torch.Tensor)
        flat = tensor.flatten(0, -4) if tensor.ndim > 4 else tensor
        images, last = as_batch(flat, False, self.background, self.max_pixels)
        result = self.quantizer(images, self.num_colors, channels_last=last).render(tensor.dtype)
        result = result.to(tensor.device).reshape(*tensor.shape[:-3], *result.shape[-3:])
        return tv_tensors.wrap(result, like=inpt) if isinstance(inpt, tv_tensors.TVTensor) else result

    def extra_repr(self) -> str:
        """Return the number of colours and the method, for the printed form."""
        return f"num_colors={self.num_colors}, method={self.method!r}"

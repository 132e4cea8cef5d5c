"""Rounding to integers, one channel at a time: ``uq-aun`` and ``uq-ste``."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from colorcnn.errors import UsageError
from colorcnn.vq.entropy import FactorizedDensity
from colorcnn.vq.estimators import straight_through
from colorcnn.vq.quantizer import LatentQuantizer, Quantized


class UniformQuantizer(LatentQuantizer):
    """Rounding, with a factorized density for its rate.

    Args:
        channels: C.
        dimension: 1.
        trade_off: unused; part of the interface of :class:`LatentQuantizer`.
        init_scale: initial width of the density.

    Raises:
        UsageError: ``dimension`` is not 1, or ``init_scale`` is not positive.
    """

    def __init__(
        self, channels: int, dimension: int = 1, trade_off: float = 1.0, init_scale: float = 10.0
    ) -> None:
        super().__init__(channels, dimension, trade_off)
        if dimension != 1:
            raise UsageError(f"dimension is {dimension}, but rounding needs 1: use a method with a codebook.")
        if not 0 < init_scale < math.inf:
            raise UsageError(f"init_scale is {init_scale}: choose a number above 0.")
        self.density = FactorizedDensity(channels, init_scale)

    def quantize(self, latent: Tensor) -> Quantized:
        """See :meth:`LatentQuantizer.quantize`."""
        rounded = latent.detach().round()
        return self._with_rate(rounded, rounded)

    def dequantize(self, indices: Tensor) -> Tensor:
        """See :meth:`LatentQuantizer.dequantize`."""
        return indices.to(self.density.biases[0].dtype)

    def table(self, low: int, high: int) -> Tensor:
        """See :meth:`LatentQuantizer.table`."""
        return self.density.table(low, high)

    def _with_rate(self, passed: Tensor, rounded: Tensor) -> Quantized:
        bits = self.density.bits(self.split_groups(passed))
        return Quantized(passed, rounded.long(), self.join_groups(bits, passed.shape), passed.new_zeros(()))


class UniformNoise(UniformQuantizer):
    """``uq-aun``: uniform noise of width 1 replaces rounding in training (J. Balle et al., 2017)."""

    def approximate(self, latent: Tensor) -> Quantized:
        """See :meth:`LatentQuantizer.approximate`."""
        return self._with_rate(latent + torch.rand_like(latent) - 0.5, latent.detach().round())


class UniformSTE(UniformQuantizer):
    """``uq-ste``: rounding with a gradient of 1 (Y. Bengio et al., 2013)."""

    def approximate(self, latent: Tensor) -> Quantized:
        """See :meth:`LatentQuantizer.approximate`."""
        rounded = latent.detach().round()
        return self._with_rate(straight_through(rounded, latent), rounded)

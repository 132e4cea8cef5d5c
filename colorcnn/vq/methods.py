"""Registry of the quantizers of latents."""

from __future__ import annotations

from typing import Any

from colorcnn.errors import UsageError, shortened, unknown_name
from colorcnn.vq.codebook import Rotation, VectorSTE
from colorcnn.vq.constrained import FiniteScalar, LinearCodebook
from colorcnn.vq.noise import DirectionalNoise, SphereNoise, SurfaceNoise
from colorcnn.vq.quantizer import LatentQuantizer
from colorcnn.vq.soft import Gumbel, ReinMax, SoftToHard
from colorcnn.vq.uniform import UniformNoise, UniformSTE

METHODS: dict[str, type[LatentQuantizer]] = {
    "uq-aun": UniformNoise,
    "uq-ste": UniformSTE,
    "vq-ste": VectorSTE,
    "rotation": Rotation,
    "simvq": LinearCodebook,
    "fsq": FiniteScalar,
    "soft-to-hard": SoftToHard,
    "gumbel": Gumbel,
    "reinmax": ReinMax,
    "nsvq": SurfaceNoise,
    "diveq": DirectionalNoise,
    "sphere": SphereNoise,
}


def create_quantizer(method: str, /, channels: int, **options: Any) -> LatentQuantizer:
    """Build a quantizer of latents.

    Args:
        method: a key of :data:`METHODS`.
        channels: C of the latents.
        **options: options of the class.

    Raises:
        UsageError: the name or an option is unknown, or a value is invalid.
    """
    if method not in METHODS:
        raise unknown_name("quantization method", method, METHODS)
    try:
        return METHODS[method](channels, **options)
    except TypeError as error:
        raise UsageError(
            f"Quantization method {method!r} does not take {shortened(options)}: {shortened(str(error))}."
        ) from error

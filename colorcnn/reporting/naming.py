"""Conversion of method names to the names that readers see."""

from __future__ import annotations

from collections.abc import Iterable

from colorcnn.quantizers import DITHERS

_NAMES = {
    "aum": "AUM",
    "avif": "AVIF",
    "ccs-aum": "CCS (AUM)",
    "ccs-el2n": "CCS (EL2N)",
    "ccs-forgetting": "CCS (Forgetting)",
    "colorcnn": "ColorCNN",
    "colorcnn-plus": "ColorCNN+",
    "palette-attention": "palette attention",
    "dcq": "DCQ",
    "ecsq": "ECSQ",
    "ecvq": "ECVQ",
    "el2n": "EL2N",
    "entropy": "Entropy",
    "forgetting": "Forgetting",
    "jpeg": "JPEG",
    "jpeg-xl": "JPEG XL",
    "k-means": "k-means",
    "max-coverage": "Maximum coverage",
    "median-cut": "MedianCut",
    "ntc": "NTC",
    "octree": "Octree",
    "png": "PNG",
    "random": "Random",
    "stochastic": "Stochastic Quantization",
    "variance-cut": "Variance cut",
    "webp": "WebP",
    "wu": "Wu",
}
PICTURES = {
    "grid": "What the classifier sees",
    "depths": "Every number of colours",
    "attention": "What attention changes",
    "cam": "Where the classifier looks",
    "cam-depths": "Where the classifier looks, at every number of colours",
    "soft": "Soft images beside the files",
}
"""File name of a figure, without ``.png`` -> its title."""

_ATTACKS = {"fgsm": "FGSM", "pgd": "PGD", "square": "Square"}
_PATHS = {"": "", "adaptive": " through the quantizer", "soft": " through the soft image"}


def split_method(method: str) -> tuple[str, str, str]:
    """Split ``NAME[:WEIGHTS][+DITHER]`` into three strings. A missing part is an empty string."""
    head, _, dither = method.rpartition("+")
    if dither not in DITHERS:
        head, dither = method, ""
    name, _, weights = head.partition(":")
    if weights.isidentifier() and name.partition(" (")[0] not in _NAMES:
        return head, "", dither  # module:Class, a quantizer outside of the package
    return name, weights, dither


def family(method: str) -> str:
    """Return a method without its weights: ``colorcnn+dither`` for ``colorcnn:mine+dither``."""
    name, _, dither = split_method(method)
    return f"{name}+{dither}" if dither else name


def display_names(methods: Iterable[str]) -> dict[str, str]:
    """Return readable names. Weights are part of a name only if a method appears with several."""
    methods = list(methods)
    families = [family(method) for method in methods]
    return {method: _display(method, with_weights=families.count(family(method)) > 1) for method in methods}


def _display(method: str, *, with_weights: bool) -> str:
    name, weights, dither = split_method(method)
    base, bracket, variant = name.partition(" (")
    text = _NAMES.get(base, base) + bracket + variant
    if with_weights and weights:
        text += f" ({weights})"
    if dither:
        text += " + dither" if dither == "floyd-steinberg" else f" + {dither}"
    return text


def plural(number: int, noun: str) -> str:
    """Return a number with its noun, such as ``1 colour`` or ``2 colours``.

    Args:
        number: a whole number.
        noun: the noun in the singular.
    """
    return f"{number} {noun}{'s' * (number != 1)}"


def bits_of(num_colors: int) -> str:
    """Return ``2 bits`` for 4; an empty string for 1 and for numbers that are not a power of two."""
    bits = num_colors.bit_length() - 1
    return plural(bits, "bit") if bits and num_colors == 1 << bits else ""


def colors_and_bits(num_colors: int) -> str:
    """Return ``4 colours (2 bits)`` for 4; only powers of two have bits."""
    bits = bits_of(num_colors)
    return plural(num_colors, "colour") + (f" ({bits})" if bits else "")


def attack_title(attack: str) -> str:
    """Return ``PGD through the quantizer`` for ``pgd:adaptive``."""
    name, _, path = attack.partition(":")
    return _ATTACKS.get(name, name) + _PATHS[path]


def codec_name(codec: str) -> str:
    """Return ``JPEG 50`` for ``jpeg:50``."""
    name, _, quality = codec.partition(":")
    return f"{_NAMES.get(name, name)} {quality}".strip()

"""Method names as the command line writes them, and as people read them."""

from __future__ import annotations

from collections.abc import Iterable

from colorcnn.quantizers import DITHERS

_NAMES = {
    "aum": "AUM",
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
"""Pictures of an evaluation, by the name of their file; their titles."""

_PATHS = {"": "", "adaptive": ", through the quantizer", "soft": ", through its soft image"}


def split_method(method: str) -> tuple[str, str, str]:
    """Take ``NAME[:WEIGHTS][+DITHER]`` apart into three strings, empty where a part is missing."""
    head, _, dither = method.rpartition("+")
    if dither not in DITHERS:
        head, dither = method, ""
    name, _, weights = head.partition(":")
    return name, weights, dither


def family(method: str) -> str:
    """The method without its weights: ``colorcnn:mine+floyd-steinberg`` is ``colorcnn+floyd-steinberg``."""
    name, _, dither = split_method(method)
    return f"{name}+{dither}" if dither else name


def display_names(methods: Iterable[str]) -> dict[str, str]:
    """Readable names; weights are told only where one method appears with several."""
    methods = list(methods)
    families = [family(method) for method in methods]
    return {method: _display(method, tell_weights=families.count(family(method)) > 1) for method in methods}


def _display(method: str, *, tell_weights: bool) -> str:
    name, weights, dither = split_method(method)
    base, bracket, variant = name.partition(" (")
    text = _NAMES.get(base, base) + bracket + variant
    if tell_weights and weights:
        text += f" ({weights})"
    if dither:
        text += " + dither" if dither == "floyd-steinberg" else f" + {dither}"
    return text


def colors_and_bits(num_colors: int) -> str:
    """``4 colours (2 bits)``; the bits are told for powers of two only."""
    text = f"{num_colors} colour{'s' * (num_colors != 1)}"
    bits = num_colors.bit_length() - 1
    if bits and num_colors == 1 << bits:
        text += f" ({bits} bit{'s' * (bits != 1)})"
    return text


def attack_title(attack: str) -> str:
    """``PGD, through the quantizer`` for ``pgd:adaptive``."""
    name, _, path = attack.partition(":")
    return name.upper() + _PATHS[path]


def codec_name(codec: str) -> str:
    """``JPEG 50`` for ``jpeg:50``."""
    name, _, quality = codec.partition(":")
    return f"{_NAMES[name]} {quality}".strip()

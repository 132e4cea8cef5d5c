"""The quantizer that the options of ``colorcnn quantize`` describe."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from colorcnn.commands.quantize.options import QuantizeOptions
from colorcnn.errors import UsageError, named_by_option
from colorcnn.methods import load_quantizer, parse_method
from colorcnn.quantizers import Dithered
from colorcnn.quantizers.palette_files import read_palette


def build_quantizer(options: QuantizeOptions) -> tuple[Any, QuantizeOptions]:
    """Load the quantizer that the options describe.

    Args:
        options: the options, with the dither as a part of ``method``.

    Returns:
        The quantizer, and the options. With a palette file, its number of colours and method are filled in.

    Raises:
        UsageError: options conflict with each other or with the method.
        ColorCNNError: the palette file cannot be read.
    """
    if options.palette is None:
        chosen = {"quality": options.effort} if options.effort is not None else {}
        quantizer = load_quantizer(
            options.method,
            options.device,
            options.seed,
            keep=options.keep,
            serpentine=options.serpentine,
            space=options.space,
            **chosen,
        )
        return quantizer, options
    for name, value in (
        ("quality", options.effort), ("keep", options.keep), ("shared-palette", options.shared_palette)
    ):  # fmt: skip
        if value:
            raise UsageError(f"--palette gives all colours, so --{name} changes nothing: remove it.")
    from colorcnn.quantizers.palettes import Fixed

    dither = parse_method(options.method).dither
    with named_by_option():
        palette = read_palette(options.palette)
    if options.serpentine and not dither:
        raise UsageError("--serpentine needs dithering: add --dither.")
    options = replace(
        options,
        colors=len(palette) if options.colors is None else options.colors,
        method=f"palette{f'+{dither}' if dither else ''}",
    )
    fixed = Fixed(palette, space=options.space or "srgb")
    quantizer = Dithered(fixed, dither, serpentine=options.serpentine) if dither else fixed
    return quantizer, options


def with_palette(quantizer: Any, palette: Any) -> Any:
    """Return a copy of a quantizer with another palette, in the same space and with the same dithering.

    Args:
        quantizer: a quantizer with a palette.
        palette: (n, 3) uint8.
    """
    from colorcnn.quantizers.palettes import Fixed

    dithered = quantizer if isinstance(quantizer, Dithered) else None
    inner = dithered.quantizer if dithered else quantizer
    fixed = Fixed(palette, space=getattr(inner, "space", "srgb"))
    if dithered is None:
        return fixed
    return Dithered(fixed, dithered.dither, space=dithered.space, **dithered.options)

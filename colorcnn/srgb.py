"""Conversion of images of any mode, depth, orientation and colour profile to upright 8-bit sRGB."""

from __future__ import annotations

import contextlib
import io
import sys
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms

from colorcnn.errors import UsageError

# As in PIL.ImageOps.exif_transpose, which also rewrites the metadata and fails if they are invalid.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# 16 bits to 8 bits: division by 257, rounded to nearest, so that k * 257 becomes k.
SIXTEEN_TO_EIGHT = ((np.arange(65536, dtype=np.uint32) + 128) // 257).astype(np.uint8)


def normalize(picture: Image.Image) -> Image.Image:
    """Convert any Pillow image to upright 8-bit sRGB, mode RGB or RGBA, without metadata.

    Raises:
        UsageError: its values are not colours (floats or integers above 16 bits).
    """
    picture.load()
    picture = _in_eight_bits(_upright(picture))
    if picture.mode == "La":
        picture = picture.convert("LA")
    alpha = picture.convert("RGBA").getchannel("A") if picture.has_transparency_data else None
    colors = _in_srgb(picture)
    if alpha is not None:
        colors.putalpha(alpha)
    colors.info = {}
    return colors


def low_byte_mode(picture: Image.Image) -> str | None:
    """Return the raw mode to decode the low bytes of 16-bit colour, which Pillow drops.

    It is the mode of the opposite byte order.

    Args:
        picture: an open image that is not loaded yet.

    Returns:
        The mode; None if nothing is dropped: 8 bits, or 16-bit grey, for which Pillow has a mode.
    """
    tiles = getattr(picture, "tile", ())
    if picture.format not in ("PNG", "TIFF") or picture.mode not in ("RGB", "RGBA") or not tiles:
        return None
    raw_mode = tiles[0].args if isinstance(tiles[0].args, str) else tiles[0].args[0]
    if raw_mode == "LA;16B":
        return "RGBA"
    opposite = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
    return raw_mode[:-1] + opposite[raw_mode[-1]] if raw_mode[:-1].endswith(";16") else None


def with_raw_mode(tile: Any, raw_mode: str) -> Any:
    """Return one of Pillow's decoding steps with another raw mode.

    Args:
        tile: an entry of ``picture.tile``.
        raw_mode: a mode from :func:`low_byte_mode`.
    """
    args = raw_mode if isinstance(tile.args, str) else (raw_mode, *tile.args[1:])
    return tile._replace(args=args)


def _upright(picture: Image.Image) -> Image.Image:
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow raises many types for damaged metadata; the image is still usable
        return picture
    if orientation not in _UPRIGHT:
        return picture
    upright = picture.transpose(_UPRIGHT[orientation])
    upright.info = dict(picture.info)
    return upright


def _in_eight_bits(picture: Image.Image) -> Image.Image:
    """Convert modes I and I;16 (16-bit grey) and F (0..1, 0..255 or 0..65535) to 8 bits."""
    if picture.mode == "F":
        values = _float_grey(np.asarray(picture))
        transparent = None
    elif picture.mode == "I" or picture.mode.startswith("I;16"):
        deep = np.asarray(picture)
        if deep.min() < 0 or deep.max() > 65535:
            raise UsageError("its grey values are not in 0..65535: save it with 8 or 16 bits per value.")
        values = SIXTEEN_TO_EIGHT[deep]
        transparent = picture.info.get("transparency")
    else:
        return picture
    result = Image.fromarray(values)
    result.info = {key: value for key, value in picture.info.items() if key != "transparency"}
    if isinstance(transparent, int):
        result.putalpha(Image.fromarray(np.where(deep == transparent, 0, 255).astype(np.uint8)))
    return result


def _float_grey(values: np.ndarray) -> np.ndarray:
    top = values.max()
    if not np.isfinite(values).all() or values.min() < 0 or top > 65535:
        raise UsageError("its float values are not in 0..1, 0..255 or 0..65535: rescale them to 0..1.")
    scale = 255.0 if top <= 1 else 1.0 if top <= 255 else 1 / 257
    return np.floor(values * scale + 0.5).astype(np.uint8)


def _in_srgb(picture: Image.Image) -> Image.Image:
    """Return the colours of an image without alpha, in mode RGB."""
    if picture.mode in ("P", "RGBa") and picture.has_transparency_data:
        picture = picture.convert("RGBA")
    mode = {"1": "L", "L": "L", "LA": "L", "CMYK": "CMYK", "LAB": "LAB"}.get(picture.mode, "RGB")
    colors = picture.convert(mode)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")) if mode == "LAB" else _profile(picture)
    if profile is not None:
        wanted = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}.get(
            profile.profile.xcolor_space.strip()
        )
        if mode == "L" and wanted == "RGB":
            colors, mode = colors.convert("RGB"), "RGB"
        if mode == wanted:
            srgb = ImageCms.createProfile("sRGB")
            with contextlib.suppress(ImageCms.PyCMSError):
                return ImageCms.profileToProfile(colors, profile, srgb, outputMode="RGB") or colors
    return colors.convert("RGB")


def _profile(picture: Image.Image) -> ImageCms.ImageCmsProfile | None:
    """Return the embedded profile, or None if it is missing, damaged, or sRGB."""
    data = picture.info.get("icc_profile")
    if not data:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        is_srgb = ImageCms.getProfileDescription(profile).strip().startswith("sRGB")
    except (OSError, ImageCms.PyCMSError):
        return None
    return None if is_srgb else profile

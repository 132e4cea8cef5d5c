"""The explorer without a server: requests in, answers out."""

from __future__ import annotations

import contextlib
import io
import math
import re
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import numpy as np
import torch
from PIL import Image

from colorcnn.alpha import dither_visible, index_visible
from colorcnn.errors import ColorCNNError, UnknownName, UsageError
from colorcnn.evaluation.metrics import psnr
from colorcnn.explorer import protocol
from colorcnn.explorer.bounded import Bounded
from colorcnn.explorer.classifying import PictureClassifier
from colorcnn.explorer.sources import MOST_BYTES, Added, Pixels, Source, bring_to, take_apart
from colorcnn.images import LEARNED_PIXELS
from colorcnn.indexed import Indexed, count_indices
from colorcnn.methods import ONNX, WHOLE_METHODS, is_classical, load_quantizer, parse_method
from colorcnn.models.learned import LearnedQuantizer
from colorcnn.quantizers import DITHERS, Dithered
from colorcnn.quantizers.histogram import Histogram
from colorcnn.quantizers.palette_files import gpl_text
from colorcnn.reporting.naming import display_names
from colorcnn.version import __version__

SHOWN_METHODS = 3
"""Methods that the page shows at the beginning."""

_OPTIMIZED = 1 << 18  # pixels of a file whose smallest form is worth the time
_DECODED = 1 << 26  # pixels of decoded pictures that are kept
_QUANTIZED = 1 << 27  # likewise of results
_FEATURES = 1 << 27  # bytes of a network's features that are kept
_THUMBNAIL = 96
_THUMBNAILS = 32 << 20  # bytes


class Explorer:
    """Answers the requests of the page. Threads may share it.

    Args:
        source: the pictures, or None where they are added in the page alone.
        methods: those that are offered, as :func:`colorcnn.methods.parse_method` takes them.
        classifier: is asked about every picture.
        device: where learned methods compute.
        seed: for methods that draw random numbers.
        size: side of the square that pictures are brought to at the beginning.
    """

    def __init__(
        self,
        source: Source | None,
        methods: Sequence[str],
        classifier: PictureClassifier | None = None,
        device: str | torch.device = "cpu",
        seed: int = 0,
        size: int | None = None,
    ) -> None:
        self.source = source
        self.methods = {method: parse_method(method) for method in methods}
        self.classifier = classifier
        self.device = device
        self.seed = seed
        self.size = size
        self.added = Added()
        self._quantizers: dict[tuple[str, str | None], _Loaded] = {}
        self._lock = threading.Lock()
        self._networks = threading.Lock()  # one network computes at a time, so that memory has a bound
        self._decoded: Bounded[Pixels] = Bounded(_DECODED, 256)
        self._results: Bounded[tuple[Indexed, float]] = Bounded(_QUANTIZED, 1024)
        self._thumbnails: Bounded[bytes] = Bounded(_THUMBNAILS, 10_000)

    def state(self) -> protocol.State:
        """Return the facts that the page needs at its beginning."""
        names = display_names(self.methods)
        shown = list(self.methods)[:SHOWN_METHODS]
        return protocol.State(
            title="" if self.source is None else self.source.title,
            total=0 if self.source is None else len(self.source),
            methods=[
                protocol.Method(
                    method, names[method], not is_classical(parsed), method in shown, bool(parsed.dither)
                )
                for method, parsed in self.methods.items()
            ],
            dithers=sorted(DITHERS),
            classifier=None if self.classifier is None else self.classifier.name,
            size=self.size,
            most_bytes=MOST_BYTES,
            version=__version__,
            added=[protocol.Picture(f"added-{number}", name) for number, name in self.added.names().items()],
        )

    def pictures(self, request: protocol.ListRequest) -> protocol.Pictures:
        """Return the names of some pictures.

        Args:
            request: their positions.
        """
        total = 0 if self.source is None else len(self.source)
        positions = range(request.first, min(total, request.first + request.count))
        return protocol.Pictures(
            request.first, total, [self._described(f"data-{position}") for position in positions]
        )

    def add(self, name: str, data: bytes) -> protocol.Picture:
        """Add a picture, which stays in memory.

        Args:
            name: of the file.
            data: its bytes.

        Raises:
            ColorCNNError: it is no image, or too large.
        """
        return self._described(f"added-{self.added.add(name, data)}")

    def thumbnail(self, picture: str) -> bytes:
        """Return a small PNG file of a picture.

        Raises:
            ColorCNNError: the picture does not exist or cannot be read.
        """
        found = self._thumbnails.get(picture)
        if found is None:
            small = self._read(picture)[2]
            if max(small.size) > _THUMBNAIL:
                small = small.copy()
                small.thumbnail((_THUMBNAIL, _THUMBNAIL), reducing_gap=2.0)
            found = _png(small)
            if not picture.startswith("added"):
                self._thumbnails.keep(picture, found, len(found))
        return found

    def original(self, request: protocol.OriginalRequest) -> protocol.Original:
        """Return a picture in full colour, and the classifier's answer.

        Raises:
            ColorCNNError: the picture does not exist or cannot be read.
        """
        pixels, _, label = self._open(request)
        seen = pixels.colors[pixels.visible]
        height, width, _ = pixels.colors.shape
        shown = Image.fromarray(pixels.colors)
        if pixels.transparent is not None:
            shown.putalpha(Image.fromarray(np.where(pixels.visible, 255, 0).astype(np.uint8)))
        return protocol.Original(
            width=width,
            height=height,
            colors=len(Histogram(seen[None]).colors) if len(seen) else 0,
            png=_png(shown),
            recognition=self._recognition(pixels.flat, label, None, request.maps),
        )

    def quantized(self, request: protocol.QuantizedRequest) -> protocol.Quantized:
        """Return a picture in few colours, its error and size, and the classifier's answer.

        Raises:
            UsageError: the method is not offered, or cannot give this number of colours.
            ColorCNNError: the picture does not exist, cannot be read, or is too large for the method.
        """
        pixels, name, label = self._open(request)
        found, seconds = self._quantize(request, pixels)
        height, width = found.indices.shape
        hidden = pixels.transparent
        # The file is compressed beside the rest, which is about as much work.
        with ThreadPoolExecutor(1) as pool:
            file = pool.submit(found.png, optimize=height * width <= _OPTIMIZED, transparent=hidden)
            shown = _over_white(found, pixels)
            error = _psnr(shown, pixels)
            recognition = self._recognition(shown, label, pixels.flat, request.maps)
        png = file.result()
        title = f"{_plain(name)}-{_plain(request.method)}-c{request.colors}"
        usage = count_indices(found.indices[pixels.visible], len(found.palette))
        return protocol.Quantized(
            width=width,
            height=height,
            png=png,
            bits=png[24],
            palette=[
                protocol.Swatch("#{:02x}{:02x}{:02x}".format(*color), count)
                for color, count in zip(found.palette.tolist(), usage.tolist())
            ],
            transparent=0 if hidden is None else int(hidden.sum()),
            psnr=error if error is not None and math.isfinite(error) else None,
            exact=error == math.inf,
            milliseconds=1000 * seconds,
            gpl=gpl_text(found.palette, title),
            file=title,
            recognition=recognition,
        )

    def warm_up(self) -> None:
        """Load what the answers need, so that the first ones come at once. Problems are left for later."""
        if self.classifier is not None:
            self.classifier.recognition(_noise()[:32, :32], None, maps=True)
        for dither in (None, *sorted(DITHERS)):
            for method in self.methods:
                with contextlib.suppress(ColorCNNError):
                    self._quantizer(method, dither)

    def _described(self, picture: str) -> protocol.Picture:
        kind, position = self._place(picture)
        if kind == "added":
            return protocol.Picture(picture, self.added.get(position)[0])
        source = self._source(position)
        return protocol.Picture(picture, source.name(position), source.label(position))

    def _place(self, picture: str) -> tuple[str, int]:
        match = re.fullmatch(r"(data|added)-([0-9]{1,15})", picture, re.ASCII)
        if match is None:
            raise UsageError(f"There is no picture {picture!r}: choose one of the page.")
        return match[1], int(match[2])

    def _source(self, position: int) -> Source:
        if self.source is None or position >= len(self.source):
            raise UsageError(f"There is no picture {position}: choose one of the page.")
        return self.source

    def _read(self, picture: str) -> tuple[str, str | None, Image.Image]:
        """Return name, label and pixels of a picture."""
        kind, position = self._place(picture)
        if kind == "added":
            name, image = self.added.get(position)
            return name, None, image
        source = self._source(position)
        return source.name(position), source.label(position), source.read(position)

    def _open(self, request: protocol.OriginalRequest) -> tuple[Pixels, str, str | None]:
        """Return the pixels, the name and the label of a picture; pixels are kept."""
        described = self._described(request.picture)
        key = (request.picture, request.size)
        pixels = self._decoded.get(key)
        if pixels is None:
            image = self._read(request.picture)[2]
            pixels = take_apart(image if request.size is None else bring_to(image, request.size))
            self._decoded.keep(key, pixels, pixels.visible.size)
        return pixels, described.name, described.label

    def _quantize(self, request: protocol.QuantizedRequest, pixels: Pixels) -> tuple[Indexed, float]:
        """Return the result of a method without unused colours, and its seconds; results are kept."""
        key = (request.picture, request.size, request.method, request.dither, request.colors)
        found = self._results.get(key)
        if found is not None:
            return found
        parsed = self.methods.get(request.method)
        if parsed is None:
            raise UnknownName("method", request.method, self.methods)
        height, width, _ = pixels.colors.shape
        if parsed.name in (*WHOLE_METHODS, ONNX) and height * width > LEARNED_PIXELS:
            raise ColorCNNError(
                f"The picture is {width} x {height}, and {parsed.name} takes at most {LEARNED_PIXELS:,} "
                "pixels: choose a smaller size."
            )
        quantizer = self._quantizer(request.method, request.dither)
        if request.dither is not None and not parsed.dither and pixels.visible.any():
            raw, seconds = self._dithered(quantizer, request, pixels)
        else:
            colors = request.colors if pixels.transparent is None else min(request.colors, 255)
            raw, seconds = self._run(request.method, quantizer, pixels.colors, pixels.visible, colors)
        result = raw.compact(transparent=pixels.transparent), seconds
        return self._results.keep(key, result, raw.indices.size)

    def _dithered(
        self, quantizer: Dithered, request: protocol.QuantizedRequest, pixels: Pixels
    ) -> tuple[Indexed, float]:
        """Dither with the palette of the result without dithering, which may be kept; return all seconds."""
        plain, seconds = self._quantize(msgspec.structs.replace(request, dither=None), pixels)
        start = time.perf_counter()
        found = dither_visible(quantizer, pixels.colors, pixels.visible, plain.palette)
        return found, seconds + time.perf_counter() - start

    def _run(
        self, method: str, quantizer: Any, colors: np.ndarray, visible: np.ndarray, num_colors: int
    ) -> tuple[Indexed, float]:
        """Return the result of a quantizer and its seconds; one network runs at a time."""
        learned = not is_classical(self.methods[method])
        with self._networks if learned else contextlib.nullcontext():
            start = time.perf_counter()
            found = index_visible(quantizer, colors, visible, num_colors, self.device if learned else "cpu")
            return found, time.perf_counter() - start

    def _quantizer(self, method: str, dither: str | None) -> Any:
        """Return a method's quantizer, loaded and compiled once."""
        if dither is not None and dither not in DITHERS:
            raise UnknownName("dither", dither, DITHERS)
        dither = None if self.methods[method].dither else dither
        with self._lock:
            loaded = self._quantizers.setdefault((method, dither), _Loaded())
        with loaded.lock:
            if loaded.quantizer is None:
                loaded.quantizer = self._load(method, dither)
        return loaded.quantizer

    def _load(self, method: str, dither: str | None) -> Any:
        if dither is None:
            found: Any = load_quantizer(method, self.device, self.seed)
            if isinstance(found, LearnedQuantizer):  # one picture is asked for in several sizes
                found.keep_features(_FEATURES)
        else:
            found = Dithered(self._quantizer(method, None), dither)
        # Kernels compile at their first use, which would count as the time of the first picture.
        pixels = _noise()
        for num_colors in (2, 8, 64):
            with contextlib.suppress(UsageError):  # a model may be made for other numbers of colours
                self._run(method, found, pixels, np.ones(pixels.shape[:2], dtype=bool), num_colors)
        return found

    def _recognition(
        self, pixels: np.ndarray, label: str | None, original: np.ndarray | None, maps: bool
    ) -> protocol.Recognition | None:
        if self.classifier is None:
            return None
        return self.classifier.recognition(pixels, label, original, maps=maps)


class _Loaded:
    """A place for a quantizer, and the lock of the thread that loads it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.quantizer: Any = None


def _noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def _over_white(found: Indexed, pixels: Pixels) -> np.ndarray:
    """Return the (H, W, 3) colours of a result, white where nothing is visible."""
    if pixels.transparent is None:
        return found.pixels()
    shown = np.full_like(pixels.colors, 255)
    shown[pixels.visible] = found.palette[found.indices[pixels.visible]]
    return shown


def _psnr(shown: np.ndarray, pixels: Pixels) -> float | None:
    """Return the PSNR over the visible pixels, infinite where none changed; None where none is visible."""
    if not pixels.visible.any():
        return None
    whole = pixels.transparent is None
    found, wanted = (each if whole else each[pixels.visible][None] for each in (shown, pixels.colors))
    return float(psnr(_batch(found), _batch(wanted)))


def _batch(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _plain(text: str) -> str:
    """Turn a name into letters that every file system takes."""
    stem = re.sub(r"\.[A-Za-z0-9]{1,4}$", "", text.rsplit("/", 1)[-1])
    return re.sub(r"[^A-Za-z0-9+.-]+", "-", stem).strip("-.")[:60] or "picture"

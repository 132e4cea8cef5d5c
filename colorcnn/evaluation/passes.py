"""One quantizer or codec on its way through the batches of an evaluation."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.evaluation.judging import Panel
from colorcnn.evaluation.scores import Score
from colorcnn.evaluation.tally import Tally
from colorcnn.paletted import Paletted, from_bytes

if TYPE_CHECKING:
    from colorcnn.evaluation.codecs import Coder


class QuantizesMany(Protocol):
    """What is evaluated: a quantizer that takes all palette sizes of a batch in one call."""

    def quantize_many(self, images: Tensor, sizes: Sequence[int]) -> dict[int, Paletted]:
        """Quantize float images (B, 3, H, W) in [0, 1] to each of the sizes."""


class QuantizerPass:
    """One method on its way through the batches."""

    def __init__(
        self, name: str, quantizer: QuantizesMany, sizes: Sequence[int], device: torch.device
    ) -> None:
        self.name = name
        self.quantizer = quantizer
        self.device = device
        self.tallies = {size: Tally() for size in sizes}
        self.unavailable: dict[int, str] = {}
        self.settled = False
        self.first: tuple[int, float] | None = None
        self.made, self.seconds = 0, 0.0

    @property
    def images_per_second(self) -> float:
        """Without the first batch, where there are several."""
        made, seconds = (self.made, self.seconds) if self.made else self.first or (0, 0.0)
        return made / seconds if seconds else 0.0

    def state(self) -> dict[str, Any]:
        """How far it is, as plain values."""
        return {
            "tallies": {size: tally.state() for size, tally in self.tallies.items()},
            "unavailable": self.unavailable,
            "made": self.made,
            "seconds": self.seconds,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; the batch that comes first then is slow again, and not timed."""
        self.tallies = {size: Tally(**tally) for size, tally in state["tallies"].items()}
        self.unavailable = dict(state["unavailable"])
        self.made, self.seconds = state["made"], state["seconds"]
        self.settled = True

    def scores(self, rank: Tensor) -> dict[int, Score]:
        """The scores by the number of colours; images in the order of ``rank`` (n,)."""
        return {size: tally.score(rank) for size, tally in self.tallies.items()}

    def step(self, panel: Panel, originals: Tensor, labels: Tensor) -> None:
        """Quantize one batch, once for all sizes, and measure it."""
        if not self.tallies:
            return
        images = from_bytes(originals.to(self.device))
        for size, paletted in self._quantize(images).items():
            _check_contract(self.name, size, paletted, originals)
            pixels = paletted.render(torch.uint8)
            self.tallies[size].add(paletted, pixels.cpu(), originals, panel.ask(pixels, labels), labels)

    def _quantize(self, images: Tensor) -> dict[int, Paletted]:
        try:
            start = self._now()
            done = self.quantizer.quantize_many(images, list(self.tallies))
        except UsageError:
            if self.settled:  # sizes are settled on the first batch; this is something else
                raise
            self._drop_refused_sizes(images)
            if not self.tallies:
                return {}
            start = self._now()
            done = self.quantizer.quantize_many(images, list(self.tallies))
        self._note(len(images) * len(self.tallies), self._now() - start)
        self.settled = True
        return done

    def _note(self, made: int, seconds: float) -> None:
        if self.first is None:
            self.first = made, seconds
        else:
            self.made += made
            self.seconds += seconds

    def _drop_refused_sizes(self, images: Tensor) -> None:
        for size in list(self.tallies):
            try:
                self.quantizer.quantize_many(images, [size])
            except UsageError as refusal:
                self.unavailable[size] = str(refusal)
                del self.tallies[size]

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


class CodecPass:
    """One codec on its way through the batches."""

    def __init__(self, name: str, codec: Coder) -> None:
        self.name = name
        self.codec = codec
        self.tally = Tally()

    def state(self) -> dict[str, Any]:
        """How far it is, as plain values."""
        return {"tally": self.tally.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.tally = Tally(**state["tally"])

    def step(self, panel: Panel, originals: Tensor, labels: Tensor) -> None:
        """Write one batch as files, read it back, and measure it."""
        pixels, bits = self.codec(originals)
        if pixels.shape != originals.shape or pixels.dtype != torch.uint8 or len(bits) != len(originals):
            raise ColorCNNError(
                f"{self.name} made {len(bits)} files and {tuple(pixels.shape)} {pixels.dtype} of images "
                f"{tuple(originals.shape)}: its codec is at fault."
            )
        self.tally.add_decoded(pixels, bits, originals, panel.ask(pixels, labels), labels)


def _check_contract(name: str, size: int, paletted: Paletted, originals: Tensor) -> None:
    expected = (len(originals), *originals.shape[2:])
    if tuple(paletted.indices.shape) != expected:
        raise ColorCNNError(
            f"{name} made index maps {tuple(paletted.indices.shape)} of images that ask for {expected}: "
            "its quantizer is at fault."
        )
    if not paletted.palette.isfinite().all():
        raise ColorCNNError(
            f"{name} made a palette with values that are not finite at {size} colours: "
            "its weights are broken; train it again or use another checkpoint."
        )
    most = int(paletted.num_colors.max())
    if most > size:
        raise ColorCNNError(
            f"{name} made {most} colours where {size} were asked for: its quantizer is at fault."
        )

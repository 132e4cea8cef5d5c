"""The classifier's likeliest classes of a picture, and its activation map."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from colorcnn.classifiers import Prepared, load_classifier
from colorcnn.errors import ColorCNNError
from colorcnn.evaluation.classifier_set import predict
from colorcnn.evaluation.saliency import activation_maps
from colorcnn.explorer.protocol import Likely, Recognition
from colorcnn.explorer.sources import Source
from colorcnn.paletted import from_bytes

SHOWN_CLASSES = 5
MOST_PIXELS = 1 << 18
"""The most pixels that a network without a size of its own is shown."""

_MAP_SIDE = 512


class PictureClassifier:
    """A classifier that is asked about one picture at a time.

    Args:
        name: as the command line writes it.
        network: maps images (B, 3, H, W) in [0, 1] to logits (B, K).
        class_names: names of the data's classes, for networks that have none.
        device: where the network computes.
        several_labels: True for independent classes, each with a probability of its own.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        class_names: Sequence[str] = (),
        device: str | torch.device = "cpu",
        several_labels: bool = False,
    ) -> None:
        self.name = name
        self.network = network.to(device).eval()
        self.device = torch.device(device)
        self.several_labels = several_labels
        self._names = tuple(getattr(network, "classes", ())) or tuple(class_names)
        self._lock = threading.Lock()  # activation maps hook into the network, which threads share

    def logits(self, pixels: np.ndarray) -> Tensor:
        """Return the logits of a picture, (K,).

        Args:
            pixels: (H, W, 3) uint8.

        Raises:
            ColorCNNError: the picture is too large, or the network failed.
        """
        height, width, _ = pixels.shape
        if height * width > MOST_PIXELS and not isinstance(self.network, Prepared):
            raise ColorCNNError(
                f"The picture has {height * width:,} pixels and this classifier is shown at most "
                f"{MOST_PIXELS:,}: choose a smaller size."
            )
        with self._lock:
            found = predict(self.network, _batch(pixels), self.device)
        if found.ndim != 2:
            raise ColorCNNError(f"{self.name} finds masks: choose a network that tells classes of pictures.")
        return found[0]

    def recognition(
        self, pixels: np.ndarray, label: str | None, original: np.ndarray | None = None, *, maps: bool = False
    ) -> Recognition:
        """Return the likeliest classes, or a note that says why the network has no answer.

        Args:
            pixels: (H, W, 3) uint8.
            label: name of the true class, or None.
            original: the picture in full colour, whose likeliest class the map is of where the true class is
                not known; by default ``pixels``.
            maps: draw the activation map, too.
        """
        try:
            logits = self.logits(pixels)
            found = Recognition(self._likeliest(logits, label))
            if maps:
                number = self._map_class(logits if original is None else self.logits(original), label)
                found.map, found.map_class = self._map(pixels, number), self._class_name(number, len(logits))
            return found
        except ColorCNNError as error:
            return Recognition([], note=str(error))

    def _likeliest(self, logits: Tensor, label: str | None) -> list[Likely]:
        confidence = logits.sigmoid() if self.several_labels else logits.softmax(dim=0)
        values, numbers = confidence.nan_to_num().topk(min(SHOWN_CLASSES, len(logits)))
        names = [self._class_name(int(number), len(logits)) for number in numbers]
        return [Likely(name, value, name == label) for name, value in zip(names, values.tolist())]

    def _class_name(self, number: int, classes: int) -> str:
        return self._names[number] if len(self._names) == classes else f"class {number}"

    def _map_class(self, logits: Tensor, label: str | None) -> int:
        if len(self._names) == len(logits) and label in self._names:
            return self._names.index(label)
        return int(logits.argmax())

    def _map(self, pixels: np.ndarray, number: int) -> bytes:
        """Return the activation map of a class over a picture, as a PNG file."""
        from colorcnn.reporting.figures.cam import overlay  # needs matplotlib, which takes a second

        images = _batch(pixels)
        with self._lock:
            maps, _ = activation_maps(
                self.network,
                from_bytes(images.to(self.device)),
                torch.tensor([number], device=self.device),
            )
        picture = overlay(images, maps, _MAP_SIDE)[0].permute(1, 2, 0).contiguous().numpy()
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()


def load_picture_classifier(
    spec: str, source: Source | None, device: str | torch.device = "cpu"
) -> PictureClassifier:
    """Load a classifier.

    Args:
        spec: as :func:`colorcnn.classifiers.load_classifier` takes it.
        source: the pictures, whose classes it tells apart if they have any.
        device: where it computes.

    Raises:
        UsageError: there is no classifier of that name.
        ColorCNNError: it is damaged.
    """
    names = () if source is None else source.class_names
    network = load_classifier(spec, len(names) or None)
    return PictureClassifier(spec, network, names, device, source is not None and source.several_labels)


def _batch(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]

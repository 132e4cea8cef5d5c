"""Options of a ColorCNN's training that depend on the number of colours or on the progress."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from colorcnn.errors import UsageError
from colorcnn.quantizers.base import check_num_colors

_SHARES = (
    "straight_through",
    "hardening",
    "confidence_warmup",
    "distillation",
    "imitation_pixels",
    "imitation_until",
)
_ABOVE_ZERO = ("temperature", "jitter_contrast", "imitation_pixels", "task_batches")
_FROM_ZERO = ("imitation_weight", "recognition_weight", "score_noise")
_OF_SIZES = ("imitation_weight", "imitation_until", "score_noise")


class Schedules:
    """Values of the options that depend on the number of colours, on the progress, or on both.

    Args:
        options: options of :class:`colorcnn.tasks.ColorCNNTask`.
        sizes: the numbers of colours to train for.

    Raises:
        UsageError: an option is out of range, or options conflict.
    """

    def __init__(self, options: Mapping[str, Any], sizes: Sequence[int]) -> None:
        self._options = options
        self._sizes = list(sizes)
        self._check_ranges()
        self._check_sizes()
        self._check_together()

    def imitation_weight(self, num_colors: int) -> float:
        """Return lambda, the weight of the imitation loss, for a number of colours."""
        weight = self._of_size("imitation_weight", num_colors)
        return weight * imitation_factor(self._options["imitation_schedule"], num_colors)

    def imitates(self, num_colors: int, progress: float) -> bool:
        """Return True if the imitation loss is used.

        Args:
            num_colors: C.
            progress: share of the training that is done, in [0, 1].
        """
        early = progress < self._of_size("imitation_until", num_colors)
        return early and self.imitation_weight(num_colors) > 0

    def confidence_weight(self, num_colors: int, progress: float) -> float:
        """Return beta, the weight of R_conf.

        Args:
            num_colors: C.
            progress: share of the training that is done, in [0, 1].
        """
        weight, warmup = self._options["confidence_weight"], self._options["confidence_warmup"]
        if self._options["confidence_schedule"] == "sigmoid":
            weight *= 1 - imitation_factor("sigmoid", num_colors)
        return weight * min(1.0, progress / warmup if warmup else 1.0)

    def temperature(self, progress: float) -> float:
        """Return the temperature of the soft assignment at a share of the training, in [0, 1]."""
        first, last = (1.0, *_listed(self._options["temperature"]))[-2:]
        return first * (last / first) ** progress

    def score_noise(self, num_colors: int, progress: float) -> float:
        """Return the scale of the noise on the logits.

        Args:
            num_colors: C.
            progress: share of the training that is done, in [0, 1].
        """
        return self._of_size("score_noise", num_colors) * progress

    def _of_size(self, option: str, num_colors: int) -> float:
        """Return an option's value for a number of colours."""
        value = self._options[option]
        return value[self._sizes.index(num_colors)] if isinstance(value, list) else value

    def _check_ranges(self) -> None:
        for name in _SHARES:
            if not all(0 <= share <= 1 for share in _listed(self._options[name])):
                raise UsageError(f"{name} is {self._options[name]}: choose a share from 0 to 1.")
        for name in _ABOVE_ZERO:
            if min(_listed(self._options[name]), default=0) <= 0:
                raise UsageError(f"{name} is {self._options[name]}: choose a number above 0.")
        for name in _FROM_ZERO:
            if not all(value >= 0 for value in _listed(self._options[name])):
                raise UsageError(f"{name} is {self._options[name]}: choose 0 or more.")
        if len(_listed(self._options["temperature"])) > 2:
            raise UsageError(
                f"temperature is {self._options['temperature']}: give one number or [start, end]."
            )
        for name in ("classifiers", "sizes"):
            if not self._options[name]:
                raise UsageError(f"{name} is empty: give at least one.")

    def _check_sizes(self) -> None:
        for size in self._sizes:
            check_num_colors(size)
        if len(set(self._sizes)) < len(self._sizes):
            raise UsageError(f"sizes is {self._sizes}: give each number of colours once.")
        weights = self._options["size_weights"]
        negative = weights and not all(weight >= 0 for weight in weights)
        if weights and (len(weights) != len(self._sizes) or negative or not sum(weights)):
            raise UsageError(
                f"size_weights is {weights}: give 0 or more for each of the sizes {self._sizes}, not all 0."
            )
        for name in _OF_SIZES:
            value = self._options[name]
            if isinstance(value, list) and len(value) != len(self._sizes):
                raise UsageError(
                    f"{name} is {value}: give one number, or one for each of the sizes {self._sizes}."
                )

    def _check_together(self) -> None:
        if self._options["crop_before"] and any(self.imitation_weight(size) for size in self._sizes):
            raise UsageError(
                "crop_before moves pixels away from their imitation targets: set one of crop_before and "
                "imitation_weight to 0."
            )
        several = self._options["sizes_per_batch"]
        possible = sum(weight > 0 for weight in self._options["size_weights"] or [1] * len(self._sizes))
        if not 1 <= several <= possible:
            raise UsageError(
                f"sizes_per_batch is {several}: choose 1 to {possible}, the sizes with a weight above 0."
            )
        if several > 1 and any(self.imitation_weight(size) for size in self._sizes):
            raise UsageError("sizes_per_batch above 1 has no imitation targets: set imitation_weight to 0.")
        if self._options["frozen_backbone"] and not self._options["start_from"]:
            raise UsageError("frozen_backbone would keep random weights: give trained ones with start_from.")
        if self._options["architecture"] == "colorcnn" and len(self._sizes) != 1:
            raise UsageError(
                f"A ColorCNN has one number of colours, but sizes is {self._sizes}: give one, "
                "or train colorcnn-plus."
            )


def imitation_factor(schedule: str, num_colors: int) -> float:
    """Return the factor of the imitation weight for a number of colours, in [0, 1].

    Args:
        schedule: ``constant`` is 1, as in the paper. ``large`` is 0 up to 8 colours and 1 above. ``sigmoid``
            rises from 0 to 1 around 16 colours. The last two are from two versions of the authors' code.
        num_colors: C.
    """
    if schedule == "sigmoid":
        return 1 / (1 + math.exp(4 - math.log2(num_colors)))
    return float(schedule == "constant" or num_colors > 8)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]

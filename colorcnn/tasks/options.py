"""Options of a ColorCNN's training in five groups, and the flat names that they had before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from colorcnn.errors import UsageError, unknown_name
from colorcnn.tasks.base import OptimizerName, ScheduleName


@dataclass(frozen=True)
class Recognition:
    """Losses of the classifiers.

    Args:
        weight: of the recognition loss; 10 for Pascal VOC in the authors' code.
        distillation: share of knowledge distillation in the recognition loss; 0 is cross-entropy alone.
        perceptual_weight: delta, of the mean squared difference between a classifier's last feature maps of
            the quantized image and of the original, which is augmented alike; a later version of the code
            has it.
    """

    weight: float = 1.0
    distillation: float = 0.0
    perceptual_weight: float = 0.0


@dataclass(frozen=True)
class Imitation:
    """Imitation of a classical quantizer.

    Args:
        weight: lambda; a list has one for each of the sizes.
        schedule: lambda's course over the numbers of colours, see
            :func:`colorcnn.tasks.schedules.imitation_factor`.
        method: the classical quantizer that is imitated.
        maps: ``cached`` computes the maps of all training images once and keeps them on disk; ``computed``
            makes those of each batch anew, for data sets with too many maps to keep.
        until: share of the training with imitation; a list has one for each of the sizes. 1 is the paper's. A
            classical quantizer is a good start. At 2 and 4 colours the classifier alone teaches more
            afterwards.
        pixels: share of an image's pixels that the imitation loss looks at; 1 looks at all.
    """

    weight: float | list[float] = 3.0
    schedule: Literal["constant", "large", "sigmoid"] = "constant"
    method: str = "median-cut"
    maps: Literal["cached", "computed"] = "cached"
    until: float | list[float] = 1.0
    pixels: float = 0.3


@dataclass(frozen=True)
class Regularization:
    """Regularisation of the soft assignment.

    Args:
        weight: gamma.
        information_weight: alpha.
        confidence_weight: beta.
        confidence_schedule: beta's course over the numbers of colours: ``constant`` is the paper's;
            ``sigmoid`` fades it out around 16. With few colours it keeps the soft image from showing more.
        confidence_warmup: share of the training over which beta rises from 0 in a straight line. Confident
            from the start, palettes of 4 and 8 colours end with 2.
        entropy_scale: ``nats`` is the paper's; ``colors`` divides R_info and R_conf by the number of colours,
            as an earlier version of the authors' code does.
    """

    weight: float = 1.0
    information_weight: float = 1.0
    confidence_weight: float = 1.0
    confidence_schedule: Literal["constant", "sigmoid"] = "constant"
    confidence_warmup: float = 0.0
    entropy_scale: Literal["nats", "colors"] = "nats"


@dataclass(frozen=True)
class Augmentation:
    """Augmentation before and after the images are quantized.

    Args:
        jitter: xi, standard deviation of the noise in the classifier's normalised space.
        jitter_contrast: the quantized image's contrast is divided by this before the noise: 4 in the paper,
            1 for AlexNet on other data sets than CIFAR.
        jitter_noise: ``scalar`` is the paper's: one number for the whole batch. ``per-pixel`` draws one for
            every pixel and channel, which hides the image where xi is 1.
        jitter_schedule: ``constant`` is the paper's; ``colors`` goes by the number of colours as a later
            version of the authors' code does, see :func:`colorcnn.data.jitter.jitter_by_colors`.
        contrast: largest relative change of a quantized image's contrast, a milder jitter.
        brightness: largest shift of its brightness, likewise.
        flip_before: mirror half of the images (and their imitation targets) before they are quantized.
        crop_before: padding of a random crop before quantization in pixels, or ``eighth`` of the side, as
            ColorCNN has it; without imitation only.
        after: done to the quantized images, as options of :class:`colorcnn.data.augment.Augment`; by default
            a crop with a padding of one eighth of the side, rotation 15, erasing 0.5 and flip.
    """

    jitter: float = 1.0
    jitter_contrast: float = 4.0
    jitter_noise: Literal["scalar", "per-pixel"] = "scalar"
    jitter_schedule: Literal["constant", "colors"] = "constant"
    contrast: float = 0.0
    brightness: float = 0.0
    flip_before: bool = True
    crop_before: int | Literal["eighth"] = 0
    after: dict[str, Any] | None = None


@dataclass(frozen=True)
class Optimization:
    """Optimiser, task selection, and the way from soft to hard images.

    Args:
        size_weights: how often each of the sizes is drawn, in proportion; equally often by default.
        task_batches: a new number of colours is drawn every so many batches (section 3.6.3).
        sizes_per_batch: how many different sizes are drawn each time; they share the pass through the
            backbone, and the loss is their mean. More than 1 needs an imitation weight of 0.
        straight_through: share of the training, at its end, whose forward pass shows something else than the
            soft image, with the soft one's gradient; 0 is the paper's soft training.
        forward_substitute: what it shows: the hard ``assignment`` (and with it the palette), the hard
            ``palette`` alone, ``reinmax``, a hard assignment drawn from the soft one with a gradient of
            second order, or ``simplex-noise``, which disturbs the assignment as much as hardening would.
        hardening: share of the training over which ever more pixels, drawn at random, are shown by their hard
            assignment, as ``straight_through`` shows all; from its end on all are. 0 shows none.
        temperature: of the soft assignment at the end of training, to which it falls geometrically from 1; a
            list of two is where it starts and ends, for weights that are sure of their pixels already.
        score_noise: scale of the Gumbel noise on the scores (divided by the temperature) at the end of
            training, to which it rises from 0 in a straight line. What the noise can turn is paid for, so
            that the network learns to be sure of every pixel by itself. A list has one for each of the sizes.
        assignment_form: ``sparse`` keeps the K entries of a pixel that are not 0, ``dense`` all C; values and
            gradients are equal. ``auto`` is sparse on a CPU for more than 2 K colours, where it is faster.
        compile: compile the backbone and the classifiers with torch.compile; worth its minutes in a long
            training on a GPU. Results differ in their last digits.
        optimizer: ``sgd`` or ``adamw``.
        learning_rate: its peak.
        weight_decay: L2 penalty.
        schedule: of the learning rate.
        restart_epochs: period of ``cosine-restarts``.
    """

    size_weights: list[float] | None = None
    task_batches: int = 20
    sizes_per_batch: int = 1
    straight_through: float = 0.0
    forward_substitute: Literal["assignment", "palette", "reinmax", "simplex-noise"] = "assignment"
    hardening: float = 0.0
    temperature: float | list[float] = 1.0
    score_noise: float | list[float] = 0.0
    assignment_form: Literal["auto", "dense", "sparse"] = "auto"
    compile: bool = False
    optimizer: OptimizerName = "sgd"
    learning_rate: float = 0.01
    weight_decay: float = 5e-4
    schedule: ScheduleName = "cosine-restarts"
    restart_epochs: int = 20


GROUPS: dict[str, type[Any]] = {
    "recognition": Recognition,
    "imitation": Imitation,
    "regularization": Regularization,
    "augmentation": Augmentation,
    "optimization": Optimization,
}
_RENAMED = {
    ("recognition", "weight"): "recognition_weight",
    ("regularization", "weight"): "regularization_weight",
    ("augmentation", "after"): "augment",
    ("optimization", "forward_substitute"): "stand_in",
    **{("imitation", each.name): f"imitation_{each.name}" for each in fields(Imitation)},
}
FLAT: dict[str, tuple[str, str]] = {
    _RENAMED.get((group, each.name), each.name): (group, each.name)
    for group, kind in GROUPS.items()
    for each in fields(kind)
}
"""Flat name of an option -> its group and its name there. Checkpoints keep options by their flat names."""


def grouped(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of a configuration with those of flat names in their groups.

    Args:
        options: of :class:`colorcnn.tasks.ColorCNNTask`, as in a configuration of any version.

    Raises:
        UsageError: a group has no option of a name, or an option is given by its flat name and in its group.
    """
    result = {name: value for name, value in options.items() if name not in FLAT}
    for group, kind in GROUPS.items():
        known = [each.name for each in fields(kind)]
        for name in result[group] if isinstance(result.get(group), Mapping) else ():
            if name not in known:
                raise unknown_name(f"option of {group}", name, known)
    for flat, (group, name) in FLAT.items():
        given = result.get(group) or {}
        if flat in options and isinstance(given, Mapping):
            if name in given:
                raise UsageError(f"{flat} and {group}.{name} are one option: keep one of them.")
            result[group] = {**given, name: options[flat]}
    return result


def flattened(groups: Iterable[object], flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of the groups by their flat names.

    Args:
        groups: one of each of :data:`GROUPS`, in this order.
        flat: options by their flat names, which replace those of the groups.

    Raises:
        UsageError: an option is unknown.
    """
    for name in flat:
        if name not in FLAT:
            raise unknown_name("option of ColorCNNTask", name, FLAT)
    values = {
        (name, option): value
        for name, group in zip(GROUPS, groups, strict=True)
        for option, value in vars(group).items()
    }
    return {name: flat.get(name, values[place]) for name, place in FLAT.items()}


DEFAULTS = flattened([kind() for kind in GROUPS.values()], {})
"""Flat name of an option -> its default."""

"""Options of a ColorCNN's training in five groups, and their old flat names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from colorcnn.errors import UsageError, unknown_name
from colorcnn.tasks.base import OptimizerName, ScheduleName


@dataclass(frozen=True)
class Recognition:
    """Losses of the classifiers.

    Args:
        weight: weight of the recognition loss; 10 for Pascal VOC in the authors' code.
        distillation: share of knowledge distillation in the recognition loss; 0 is only cross-entropy.
        perceptual_weight: delta, weight of the perceptual loss: the mean squared difference between a
            classifier's last feature maps of the quantized image and of the original with the same
            augmentation. From a later version of the authors' code.
    """

    weight: float = 1.0
    distillation: float = 0.0
    perceptual_weight: float = 0.0


@dataclass(frozen=True)
class Imitation:
    """Imitation of a classical quantizer.

    Args:
        weight: lambda; a list has one value per number of colours.
        schedule: dependence of lambda on the number of colours, see
            :func:`colorcnn.tasks.schedules.imitation_factor`.
        method: the imitated classical quantizer.
        maps: ``cached`` computes the maps of all training images once and keeps them on disk. ``computed``
            computes the maps of each batch, for data sets whose maps are too large for the disk.
        until: share of the training with imitation; a list has one value per number of colours. The paper
            uses 1. A smaller value can help with 2 and 4 colours.
        pixels: share of an image's pixels in the imitation loss; 1 uses all.
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
        confidence_schedule: dependence of beta on the number of colours. ``constant`` as in the paper;
            ``sigmoid`` lowers it to 0 around 16 colours. With few colours R_conf prevents soft images with
            more than C colours.
        confidence_warmup: share of the training in which beta rises linearly from 0. With the full beta from
            the start, only 2 of 4 or 8 colours stay in use.
        entropy_scale: ``nats`` as in the paper; ``colors`` divides R_info and R_conf by the number of
            colours, as in an earlier version of the authors' code.
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
        jitter_contrast: divisor of the quantized image's contrast before the noise: 4 in the paper, 1 for
            AlexNet on other data sets than CIFAR.
        jitter_noise: ``scalar`` draws one number for the whole batch, as in the paper. ``per-pixel`` draws
            one for every pixel and channel, which hides the image if xi is 1.
        jitter_schedule: ``constant`` as in the paper; ``colors`` depends on the number of colours, as in a
            later version of the authors' code, see :func:`colorcnn.data.jitter.jitter_by_colors`.
        contrast: maximum relative change of a quantized image's contrast, a weaker jitter.
        brightness: maximum shift of a quantized image's brightness, a weaker jitter.
        flip_before: True to mirror half of the images (and their imitation targets) before quantization.
        crop_before: padding in pixels of a random crop before quantization, or ``eighth`` of the side, as for
            ColorCNN. Not with imitation.
        after: augmentation of the quantized images, options of :class:`colorcnn.data.augment.Augment`; by
            default a crop with a padding of one eighth of the side, rotation 15, erasing 0.5 and flip.
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
    """Optimiser, task selection, and the change from soft to hard images.

    Args:
        size_weights: relative frequencies of the numbers of colours; None draws all equally often.
        task_batches: number of batches after which a new number of colours is drawn (section 3.6.3).
        sizes_per_batch: number of different numbers of colours per batch. They share the pass through the
            backbone, and the loss is their mean. More than 1 needs an imitation weight of 0.
        straight_through: share of the training, at its end, whose forward pass replaces the soft image by the
            forward substitute, with the gradient of the soft image; 0 is the paper's soft training.
        forward_substitute: replacement of the soft image: ``assignment`` (hard assignment and palette),
            ``palette`` (only the hard palette), ``reinmax`` (a hard assignment sampled from the soft one,
            with a second-order gradient), or ``simplex-noise`` (noise on the assignment as large as the
            change by hardening).
        hardening: share of the training in which more and more random pixels get their hard assignment; after
            it all pixels have it. 0 uses none.
        temperature: temperature of the soft assignment at the end of training; it falls geometrically from 1.
            A list is [start, end], to continue a training that ended at a low temperature.
        score_noise: scale of the Gumbel noise on the logits (divided by the temperature) at the end of
            training; it rises linearly from 0. The noise can change uncertain pixels, which costs accuracy,
            so the network learns confident assignments. A list has one value per number of colours.
        assignment_form: ``sparse`` keeps the K nonzero entries of a pixel, ``dense`` all C. Values and
            gradients are equal. ``auto`` is sparse on a CPU for more than 2 K colours, where it is faster.
        compile: True to compile the backbone and the classifiers with torch.compile, which takes minutes and
            pays off in a long training on a GPU. Results differ in their last digits.
        optimizer: ``sgd`` or ``adamw``.
        learning_rate: peak learning rate.
        weight_decay: L2 penalty.
        schedule: schedule of the learning rate.
        restart_epochs: period of ``cosine-restarts`` in epochs.
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
_HINTS = {group: get_type_hints(kind) for group, kind in GROUPS.items()}
_CHOICES = {
    flat: get_args(_HINTS[group][name])
    for flat, (group, name) in FLAT.items()
    if get_origin(_HINTS[group][name]) is Literal
}
"""Flat name of an option with a few possible values -> these values."""


def grouped(options: Mapping[str, Any]) -> dict[str, Any]:
    """Move flat options of a configuration into their groups.

    Args:
        options: options of :class:`colorcnn.tasks.ColorCNNTask`, from a configuration of any version.

    Raises:
        UsageError: a group's option is unknown, or an option is given both flat and in its group.
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
                raise UsageError(f"{flat} and {group}.{name} are the same option: keep one of them.")
            result[group] = {**given, name: options[flat]}
    return result


def flattened(groups: Iterable[object], flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of the groups by their flat names.

    Args:
        groups: one object of each class in :data:`GROUPS`, in this order.
        flat: options by their flat names, which override the groups.

    Raises:
        UsageError: an option is unknown, or it has a value that is not one of its choices.
    """
    for name in flat:
        if name not in FLAT:
            raise unknown_name("option of ColorCNNTask", name, FLAT)
    values = {
        (name, option): value
        for name, group in zip(GROUPS, groups, strict=True)
        for option, value in vars(group).items()
    }
    options = {name: flat.get(name, values[key]) for name, key in FLAT.items()}
    for name, choices in _CHOICES.items():
        if options[name] not in choices:
            raise unknown_name(name, options[name], choices)
    return options


DEFAULTS = flattened([kind() for kind in GROUPS.values()], {})
"""Flat name of an option -> its default."""

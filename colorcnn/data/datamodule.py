"""Opening of data sets by name, folder or description, and the built-in PhotoDigits data sets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, get_type_hints

import msgspec
import numpy as np

from colorcnn.data.base import ImageDataModule
from colorcnn.data.datasets import ImageSplit
from colorcnn.data.decode import fitted_split
from colorcnn.data.folders import ImageFolder
from colorcnn.data.photo_digits import SIZE, photo_digit_masks, photo_digit_scenes, photo_digits
from colorcnn.data.registry import DATASETS, check_data
from colorcnn.data.tiny_imagenet import TinyImageNet200
from colorcnn.data.torchvision_sets import CIFAR10, CIFAR100, STL10, VOC2012, VOC2012Masks
from colorcnn.errors import UsageError, quoted, unknown_name


class PhotoDigits(ImageDataModule):
    """Handwritten digits on photographs, built in memory: see :mod:`colorcnn.data.photo_digits`.

    Args:
        train_size: number of training images.
        validation_size: number of validation images.
        test_size: number of test images.
        options: options of :class:`ImageDataModule`; ``root`` and ``val_size`` have no effect.

    Raises:
        UsageError: a size is below 1.
    """

    name = "photo-digits"
    num_classes = 10
    class_names = tuple("0123456789")
    native_size = SIZE
    known_statistics = ((0.4650, 0.4278, 0.3668), (0.3064, 0.2535, 0.2730))

    def __init__(
        self, train_size: int = 8000, validation_size: int = 1000, test_size: int = 2000, **options: Any
    ) -> None:
        super().__init__(**options)
        self.sizes = {"train": train_size, "val": validation_size, "test": test_size}
        if min(self.sizes.values()) < 1:
            raise UsageError(
                f"The sizes of train, validation and test are {', '.join(map(str, self.sizes.values()))}: "
                "choose at least 1 for each."
            )

    @cached_property
    def _arrays(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return photo_digits(self.split_seed, **self.sizes)

    def load_split(self, part: str) -> ImageSplit:
        """See :meth:`ImageDataModule.load_split`."""
        return fitted_split(*self._arrays[part], self.resize, self.short_side)


class PhotoDigitMasks(PhotoDigits):
    """PhotoDigits for segmentation: the class of every pixel, 0 for the photograph and 1..10 for the digits.

    Args:
        options: options of :class:`PhotoDigits`.
    """

    name = "photo-digit-masks"
    num_classes = 11
    masks = True
    class_names = ("photograph", *"0123456789")

    @cached_property
    def _arrays(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return photo_digit_masks(self.split_seed, **self.sizes)


class PhotoDigitScenes(PhotoDigits):
    """One to three handwritten digits on a photograph of 64x64 pixels, with several labels per image.

    Args:
        options: options of :class:`PhotoDigits`.
    """

    name = "photo-digit-scenes"
    multi_label = True
    native_size = 2 * SIZE
    known_statistics = ((0.4855, 0.4489, 0.3838), (0.3238, 0.2735, 0.2903))

    @cached_property
    def _arrays(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return photo_digit_scenes(self.split_seed, **self.sizes)


def open_data(spec: str, **options: Any) -> ImageDataModule:
    """Open a data set by its name or its folder.

    Args:
        spec: a name in :data:`DATASETS`, or a folder: absolute, relative, or below the data root.
        options: options of the data set's class.

    Raises:
        UsageError: the data set is unknown, or an option is invalid.
    """
    if spec in DATASETS:
        return DATASETS[spec](**options)
    check_data(spec, options.get("root"))
    return ImageFolder(spec, **options)


def open_described(spec: str | Mapping[str, Any], **options: Any) -> ImageDataModule:
    """Open a data set by its name, its folder, or its description in a configuration.

    Args:
        spec: a name, a folder, or a mapping of ``class_path`` and ``init_args``.
        options: options of the data set's class; ``init_args`` override them.

    Raises:
        UsageError: the data set is unknown, or an option is invalid.
    """
    if isinstance(spec, str):
        return open_data(spec, **options)
    path, given = spec.get("class_path"), spec.get("init_args") or {}
    if not isinstance(path, str) or not isinstance(given, Mapping):
        raise UsageError(f"The data set is {quoted(dict(spec))}: give a class_path, and init_args if any.")
    name = path.rpartition(".")[2]
    classes: list[type[ImageDataModule]] = [*DATASETS.values(), ImageFolder]
    known = {cls.__name__: cls for cls in classes}
    if name not in known:
        raise unknown_name("data set class", name, known)
    _check_types(known[name], given)
    return known[name](**{**options, **given})


def _check_types(cls: type[ImageDataModule], given: Mapping[str, Any]) -> None:
    """Raise UsageError for options of wrong types, which the class would find later or never.

    Args:
        cls: class of the data set.
        given: options of a configuration; the class itself refuses unknown names.
    """
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("colorcnn."):
            hints |= get_type_hints(vars(base).get("__init__", object))
    for key, value in given.items():
        try:
            msgspec.convert(value, hints.get(key, Any))
        except msgspec.ValidationError as error:
            raise UsageError(
                f"The option {key} of {cls.__name__} is {quoted(value)}: correct it ({error})."
            ) from error


__all__ = [
    "CIFAR10",
    "CIFAR100",
    "DATASETS",
    "STL10",
    "VOC2012",
    "ImageDataModule",
    "ImageFolder",
    "PhotoDigitMasks",
    "PhotoDigitScenes",
    "PhotoDigits",
    "TinyImageNet200",
    "VOC2012Masks",
    "open_data",
    "open_described",
]

"""Data sets that torchvision reads: CIFAR-10, CIFAR-100, STL-10 and Pascal VOC 2012."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree

import numpy as np
import torchvision

from colorcnn.data.base import ImageDataModule
from colorcnn.data.class_folders import Listing
from colorcnn.data.datasets import ImageSplit
from colorcnn.data.decode import fitted_split, read_masks
from colorcnn.data.folders import FolderModule
from colorcnn.errors import ColorCNNError, MissingDataset, UsageError, shortened

_Set = TypeVar("_Set")

_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
_CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel
can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur
dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion
lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree
pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea
seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank
telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
_STL10 = "airplane bird car cat deer dog horse monkey ship truck"
_VOC2012 = """
aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person
pottedplant sheep sofa train tvmonitor
"""


class TorchvisionArrays(ImageDataModule):
    """Base class of data sets that torchvision loads into memory as one array."""

    @abstractmethod
    def open_torchvision(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Return uint8 (N, H, W, 3) pixels and (N,) labels of "train" or "test"."""

    def load_split(self, part: str) -> ImageSplit | None:
        """See :meth:`ImageDataModule.load_split`."""
        if part == "val":
            return None
        return fitted_split(*self.open_torchvision(part), self.resize, self.short_side)


class CIFAR10(TorchvisionArrays):
    """CIFAR-10: 50,000 and 10,000 images of 10 classes, 32x32 (A. Krizhevsky, 2009).

    For the options see :class:`ImageDataModule`.
    """

    name = "cifar10"
    num_classes = 10
    class_names = tuple(_CIFAR10.split())
    native_size = 32
    known_statistics = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
    reader: Callable[..., Any] = torchvision.datasets.CIFAR10

    def open_torchvision(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`TorchvisionArrays.open_torchvision`."""
        found = fetch(
            self, lambda: type(self).reader(str(self.root), train=part == "train", download=self.download)
        )
        return found.data, np.array(found.targets, dtype=np.int64)


class CIFAR100(CIFAR10):
    """CIFAR-100: 50,000 and 10,000 images of 100 classes, 32x32 (A. Krizhevsky, 2009).

    For the options see :class:`ImageDataModule`.
    """

    name = "cifar100"
    num_classes = 100
    class_names = tuple(_CIFAR100.split())
    known_statistics = ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))
    reader = torchvision.datasets.CIFAR100


class STL10(TorchvisionArrays):
    """STL-10: 5,000 and 8,000 labelled images of 10 classes, 96x96 (A. Coates, H. Lee, A. Ng, AISTATS 2011).

    Args:
        fold: number, 0 to 9, of the predefined fold of 1,000 training images; None uses all 5,000.
        options: options of :class:`ImageDataModule`.

    Raises:
        UsageError: ``fold`` is not 0 to 9.
    """

    name = "stl10"
    num_classes = 10
    class_names = tuple(_STL10.split())
    native_size = 96
    known_statistics = ((0.4467, 0.4398, 0.4066), (0.2603, 0.2566, 0.2713))
    reader: Callable[..., Any] = torchvision.datasets.STL10

    def __init__(self, fold: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        if fold is not None and not 0 <= fold <= 9:
            raise UsageError(
                f"fold is {fold}: choose one of 0 to 9, or leave it out for all training images."
            )
        self.fold = fold

    def open_torchvision(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`TorchvisionArrays.open_torchvision`."""
        folds = self.fold if part == "train" else None
        found = fetch(
            self,
            lambda: type(self).reader(str(self.root), split=part, folds=folds, download=self.download),
        )
        return np.ascontiguousarray(found.data.transpose(0, 2, 3, 1)), found.labels.astype(np.int64)


class VOC2012(FolderModule):
    """Pascal VOC 2012 as classification with several labels of 20 classes (M. Everingham et al.).

    The annotations of the official test images are not public, so the official val is the test split, and val
    is cut from train. The channel statistics are ImageNet's. The paper's images have 112 pixels:
    ``image_size: 112, short_side: 128``.

    Args:
        difficult: True to count objects marked as difficult, like the paper's authors; the challenge leaves
            them out.
        options: options of :class:`FolderModule` and :class:`ImageDataModule`.
    """

    name = "voc2012"
    num_classes = 20
    multi_label = True
    class_names = tuple(_VOC2012.split())
    native_size = 224
    known_statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

    def __init__(self, difficult: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self.difficult = difficult

    def list_split(self, part: str) -> Listing | None:
        """See :meth:`FolderModule.list_split`."""
        if part == "val":
            return None
        # torchvision would unpack its archive again on every call with download=True.
        missing = not (self.root / "VOCdevkit" / "VOC2012").is_dir()
        found = fetch(
            self,
            lambda: torchvision.datasets.VOCDetection(
                str(self.root),
                year="2012",
                image_set="train" if part == "train" else "val",
                download=self.download and missing,
            ),
        )
        labels = np.stack([self._objects(Path(path)) for path in found.annotations])
        return [Path(path) for path in found.images], labels

    def _objects(self, annotation: Path) -> np.ndarray:
        """Return (20,) float32 of 0 and 1."""
        present = np.zeros(self.num_classes, dtype=np.float32)
        try:
            objects = ElementTree.parse(annotation).getroot().iter("object")
            for item in objects:
                if self.difficult or item.findtext("difficult", "0").strip() != "1":
                    present[self.class_names.index((item.findtext("name") or "").strip())] = 1
        except (OSError, ElementTree.ParseError, ValueError) as error:
            raise ColorCNNError(
                f"{annotation} is not a VOC annotation ({shortened(str(error))}): download the data again."
            ) from error
        return present


class VOC2012Masks(FolderModule):
    """Pascal VOC 2012 segmentation: the class of every pixel, 0 for the background and 255 for the outlines.

    The official val is the test split, and val is cut from train.

    Args:
        options: options of :class:`FolderModule` and :class:`ImageDataModule`.
    """

    name = "voc2012-masks"
    num_classes = 21
    masks = True
    class_names = ("background", *_VOC2012.split())
    native_size = 224
    known_statistics = VOC2012.known_statistics

    def list_split(self, part: str) -> Listing | None:
        """See :meth:`FolderModule.list_split`."""
        if part == "val":
            return None
        found = fetch(
            self,
            lambda: torchvision.datasets.VOCSegmentation(
                str(self.root),
                year="2012",
                image_set="train" if part == "train" else "val",
                download=self.download and not (self.root / "VOCdevkit" / "VOC2012").is_dir(),
            ),
        )
        masks = [Path(path) for path in found.masks]
        labels = read_masks(masks, self.resize or self.native_size or 0, self.short_side)
        return [Path(path) for path in found.images], labels


def fetch(data: ImageDataModule, read: Callable[[], _Set]) -> _Set:
    """Read a data set with torchvision, which may download it; convert its errors to one sentence.

    Args:
        data: the data set, for its name and folder.
        read: function that reads it.

    Raises:
        UsageError: the data set is missing.
        ColorCNNError: the data set could not be downloaded.
    """
    try:
        return read()
    except (RuntimeError, OSError) as error:
        if data.download:
            raise ColorCNNError(
                f"{data.name} could not be downloaded to {data.root} ({error}): check the connection and "
                "the disk, or copy the data set there by hand."
            ) from error
        raise MissingDataset(data.name, data.root, can_download=True) from error

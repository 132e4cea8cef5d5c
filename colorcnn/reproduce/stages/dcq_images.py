"""Helpers of the stages that store a training set: images, pruning, and costs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorcnn.errors import UsageError
from colorcnn.files import write_atomically
from colorcnn.reproduce.options import Text
from colorcnn.reproduce.stages.base import StageContext

if TYPE_CHECKING:
    from colorcnn.data.base import ImageDataModule
    from colorcnn.dcq.sources import ImageSource

COSTS = "costs.json"
"""The file with the costs of a stored training set, see :func:`costs`, beside the stage's output."""


@dataclass(frozen=True)
class Pruning:
    """Options that keep only some of the images, see :func:`colorcnn.dcq.pruning.prune`.

    Attributes:
        method: the pruning method, which orders the images.
        share: the share of the images to keep, from 0 to 1.
        dynamics: ``${training.dynamics}``, for methods that need the dynamics of a training.
        dropped: the share of the hardest images that is dropped first.
    """

    method: Text
    share: float | None = None
    dynamics: str | None = None
    dropped: float = 0.0


def open_training_data(spec: str | Mapping[str, Any], context: StageContext) -> tuple[ImageDataModule, str]:
    """Open a data set.

    Args:
        spec: a name, or ``class_path`` and ``init_args``.
        context: its ``download`` states if data sets may be downloaded.

    Returns:
        The data set, and the name that opens it again without its options.
    """
    from colorcnn.data import open_described

    data = open_described(spec, **(context.data_options() or {}))
    if isinstance(spec, str):
        return data, spec
    return data, str((spec.get("init_args") or {}).get("path", data.name))


def training_split(data: ImageDataModule, shorter_side: int | None = None) -> ImageSource:
    """Return the training images of a data set, without val and the images beyond ``train_limit``.

    Args:
        data: the data set.
        shorter_side: scale larger images down to this shorter side; None leaves them as they are.
    """
    import numpy as np

    from colorcnn.data import training_images
    from colorcnn.dcq.sources import Chosen

    return Chosen(training_images(data, shorter_side), np.sort(data.train.rows))


def pruned(source: ImageSource, pruning: Pruning | None, share: float | None, seed: int) -> ImageSource:
    """Return the images that pruning keeps.

    Args:
        source: the images of a training.
        pruning: the options; None keeps all images.
        share: the share of the images to keep, from 0 to 1; None for the share in the options.
        seed: the seed of random choices.

    Raises:
        UsageError: no share is given, or the dynamics were recorded on other images.
    """
    if pruning is None:
        return source
    import numpy as np

    from colorcnn.dcq.pruning import prune, read_dynamics
    from colorcnn.dcq.sources import Chosen

    kept = pruning.share if share is None else share
    if kept is None:
        raise UsageError("Pruning has no share of the images to keep: give prune a share.")
    dynamics = None
    if pruning.dynamics is not None:
        found = read_dynamics(pruning.dynamics)
        if not np.array_equal(np.sort(found.rows), source.rows):
            raise UsageError(
                f"{pruning.dynamics} was recorded on other images: give both stages the same data."
            )
        dynamics = found._replace(rows=np.searchsorted(source.rows, found.rows))
    rows = prune(pruning.method, len(source), kept, dynamics, dropped=pruning.dropped, seed=seed)
    return Chosen(source, rows)


def open_copies(stored: str | Path, name: str, data: ImageDataModule) -> ImageSource:
    """Open the images of a stored training set.

    Args:
        stored: the folder of the stored training set, ``${stage}``.
        name: the name that opens the originals.
        data: the originals, whose options that decide the splits are used again.
    """
    from colorcnn.data import ImageFolder, RecodedFolder
    from colorcnn.dcq.sources import FileImages
    from colorcnn.dcq.storage import Store
    from colorcnn.dcq.store_folder import MANIFEST

    if (Path(stored) / MANIFEST).exists():
        return Store(Path(stored))
    copies = RecodedFolder(
        str(stored),
        name,
        str(data.root),
        test_size=data.tree.test_size if isinstance(data, ImageFolder) else None,
        split_seed=data.split_seed,
        download=data.download,
    )
    return FileImages(copies.files, copies.copied_labels, copies.class_names)


def write_costs(
    folder: Path, whole: ImageSource, kept: ImageSource, copies: ImageSource, **found: Any
) -> None:
    """Write the bytes and the errors of a stored training set.

    Args:
        folder: the stage's folder.
        whole: all images of the training set.
        kept: the images that are stored.
        copies: the stored copies of ``kept``.
        **found: further entries, such as ``bytes`` of all stored images together.
    """
    from colorcnn.dcq.fidelity import fidelity

    classes = len(whole.class_names)
    bits = 8 * found["bytes"]["coded"] / classes
    content = {"images": len(kept), "of": len(whole), "classes": classes, "bits_per_class": bits}
    content |= {**found, **fidelity(kept, copies)}
    write_atomically(folder / COSTS, (json.dumps(content, indent=1) + "\n").encode())


def costs(stored: str) -> dict[str, Any]:
    """Read the bytes and the errors of a stored training set.

    Args:
        stored: the folder of the stored training set, ``${stage}``.

    Returns:
        ``images``: number of stored images. ``of``: number of images of the whole set. ``bytes`` holds
        ``coded`` (for image files without the headers and tables that the files could share), ``files``
        (image files with everything), and the entries of a store's manifest. ``classes`` and
        ``bits_per_class``: of the ``coded`` bytes. ``mse`` and ``inconsistency``: see
        :func:`colorcnn.dcq.fidelity.fidelity`. ``quality``: of JPEG and WebP. ``palettes``: of a store.
    """
    return json.loads((Path(stored).parent / COSTS).read_text())

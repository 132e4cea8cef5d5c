"""What the stages that store a training set share: its images, which of them are kept, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorcnn.errors import UsageError
from colorcnn.files import write_atomically
from colorcnn.reproduce.options import check_options
from colorcnn.reproduce.stages.base import StageContext

if TYPE_CHECKING:
    from colorcnn.data.base import ImageDataModule
    from colorcnn.dcq.sources import ImageSource

COSTS = "costs.json"
"""Where a stage that stores a training set says what it costs, see :func:`costs`; beside its output."""

PRUNE = {"method": None, "share": None, "dynamics": None, "dropped": 0.0}
"""Options of pruning: see :func:`colorcnn.dcq.pruning.prune`. ``dynamics`` is ``${training.dynamics}``."""


def check_pruning(options: Mapping[str, Any], where: str) -> None:
    """Refuse an option ``prune`` that cannot be meant."""
    if options.get("prune") is not None:
        check_options(options["prune"], list(PRUNE), ["method"], f"{where}, prune")


def open_training_data(spec: str | Mapping[str, Any], context: StageContext) -> tuple[ImageDataModule, str]:
    """A data set, and the name that opens it again without its options."""
    from colorcnn.data import open_described

    data = open_described(spec, **(context.data_options() or {}))
    if isinstance(spec, str):
        return data, spec
    return data, str((spec.get("init_args") or {}).get("path", data.name))


def training_split(data: ImageDataModule, shorter_side: int | None = None) -> ImageSource:
    """The images that a training on these data sees: neither val nor what ``train_limit`` leaves out."""
    import numpy as np

    from colorcnn.data import training_images
    from colorcnn.dcq.sources import Chosen

    return Chosen(training_images(data, shorter_side), np.sort(data.train.rows))


def pruned(
    source: ImageSource, options: Mapping[str, Any] | None, share: float | None, seed: int
) -> ImageSource:
    """The images that pruning keeps.

    Args:
        source: the images of a training.
        options: with the keys of :data:`PRUNE`; None keeps all.
        share: of the images to keep; None takes that of the options.
        seed: of what is drawn.

    Raises:
        UsageError: there is no share, or the dynamics are of a training on other images.
    """
    if options is None:
        return source
    import numpy as np

    from colorcnn.dcq.pruning import prune, read_dynamics
    from colorcnn.dcq.sources import Chosen

    options = {**PRUNE, **options}
    kept = options["share"] if share is None else share
    if kept is None:
        raise UsageError("Pruning has no share of the images to keep: give prune a share.")
    dynamics = None
    if options["dynamics"] is not None:
        found = read_dynamics(options["dynamics"])
        if not np.array_equal(np.sort(found.rows), source.rows):
            raise UsageError(
                f"{options['dynamics']} is of a training on other images: give both stages the same data."
            )
        dynamics = found._replace(rows=np.searchsorted(source.rows, found.rows))
    rows = prune(options["method"], len(source), kept, dynamics, dropped=options["dropped"], seed=seed)
    return Chosen(source, rows)


def open_copies(stored: str | Path, name: str, *, download: bool = False) -> ImageSource:
    """The images of a stored training set.

    Args:
        stored: its folder, as ``${stage}`` gives it.
        name: opens the originals.
        download: whether these may be fetched.
    """
    from colorcnn.data import RecodedFolder
    from colorcnn.dcq.sources import FileImages
    from colorcnn.dcq.storage import MANIFEST, Store

    if (Path(stored) / MANIFEST).exists():
        return Store(Path(stored))
    copies = RecodedFolder(str(stored), name, download=download)
    return FileImages(copies.files, copies.copied_labels, copies.class_names)


def write_costs(
    folder: Path, whole: ImageSource, kept: ImageSource, copies: ImageSource, **found: Any
) -> None:
    """Write what a stored training set costs and loses.

    Args:
        folder: of the stage.
        whole: all images of the training set.
        kept: those that are stored.
        copies: as they are stored.
        found: what else is known; ``bytes`` are those of all images that are stored.
    """
    from colorcnn.dcq.fidelity import fidelity

    content = {"images": len(kept), "of": len(whole), **found, **fidelity(kept, copies)}
    write_atomically(folder / COSTS, (json.dumps(content, indent=1) + "\n").encode())


def costs(stored: str) -> dict[str, Any]:
    """What a stored training set costs.

    Args:
        stored: its folder, as ``${stage}`` gives it.

    Returns:
        ``images`` that are stored ``of`` so many; ``bytes``: ``coded`` as stored (of image files: less the
        headers and tables that a set could share), ``files`` of image files with everything, and what a
        store's manifest says; ``mse`` and ``inconsistency`` of :func:`colorcnn.dcq.fidelity.fidelity`;
        ``quality`` of JPEG and WebP; ``palettes`` of a store.
    """
    return json.loads((Path(stored).parent / COSTS).read_text())

"""The pictures that the names on a command line stand for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from colorcnn.data.registry import DATASETS, candidate_folders, check_data, data_root
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.images import find_images

if TYPE_CHECKING:
    from colorcnn.explorer.sources import FilePictures, Source


def open_source(
    names: Sequence[str],
    *,
    split: str | None = None,
    root: str | None = None,
    image_size: int | None = None,
    download: bool = False,
) -> Source | None:
    """Open the pictures that the names stand for.

    Args:
        names: a data set or a folder, or any number of image files and folders; none for no pictures.
        split: one of :data:`colorcnn.evaluation.config.SPLITS`, for a data set or a folder of classes. By
            default test, or all of a folder without test images.
        root: folder of the data sets.
        image_size: side of the squares that a data set is brought to; files are left as they are.
        download: download a data set that is missing.

    Returns:
        The pictures, or None without names.

    Raises:
        UsageError: there is no such data set, folder or file.
        ColorCNNError: a folder holds no image, or cannot be read.
    """
    if not names:
        return None
    check_pictures(names, root)
    if len(names) > 1 or Path(names[0]).expanduser().is_file():
        files: list[Path] = []
        for name in names:
            path = Path(name).expanduser()
            files += find_images(path, recursive=True) if path.is_dir() else [path]
        return _listed(names[0], files)
    # Classes of data sets need Lightning, which takes seconds to import; plain files do not.
    if names[0] in DATASETS:
        from colorcnn.explorer.splits import open_dataset

        return open_dataset(names[0], split or "test", root=root, image_size=image_size, download=download)
    folder = next(each for each in candidate_folders(names[0], data_root(root)) if each.is_dir())
    if find_images(folder) or not any(place.is_dir() for place in folder.iterdir()):
        return _listed(folder, find_images(folder, recursive=True))
    from colorcnn.explorer.splits import open_folder

    return open_folder(folder, split)


def check_pictures(names: Sequence[str], root: str | None = None) -> None:
    """Check that names stand for pictures, without reading any.

    Args:
        names: as :func:`open_source` takes them.
        root: folder of the data sets.

    Raises:
        UsageError: there is no such data set, folder or file.
    """
    if len(names) == 1 and not Path(names[0]).expanduser().is_file():
        check_data(names[0], root)
        return
    for name in names:
        if not Path(name).expanduser().exists():
            raise UsageError(f"{name} does not exist: check the path.")


def _listed(name: str | Path, files: Sequence[Path]) -> FilePictures:
    if not files:
        raise ColorCNNError(f"{name} holds no image: name a folder that holds some.")
    from colorcnn.explorer.sources import FilePictures

    return FilePictures("1 picture" if len(files) == 1 else f"{len(files):,} pictures", files)

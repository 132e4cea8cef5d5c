"""Stratified cuts of a data set."""

from __future__ import annotations

import numpy as np

from colorcnn.errors import UsageError


def stratified_cut(labels: np.ndarray, size: int | float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut a set into two with the same proportions of classes; labels (N, classes) are cut at random.

    Args:
        labels: (N,) integers, or (N, classes).
        size: size of the second part: a number of images, or a fraction in (0, 1).
        seed: seed of the choice; equal seeds give the same images on every machine.

    Returns:
        The positions of the first and of the second part, both ascending.

    Raises:
        UsageError: the size is not between 0 and the size of the set.
    """
    total = len(labels)
    count = round(size * total) if 0 < size < 1 else size
    if not 0 < count < total or count != int(count):
        raise UsageError(
            f"{size} of {total} images cannot be cut off: choose a fraction between 0 and 1, "
            f"or a number below {total}."
        )
    count = int(count)
    # NumPy guarantees RandomState's stream; a Generator's may change with its version.
    order = np.random.RandomState(seed).permutation(total)
    groups = labels[order] if labels.ndim == 1 else np.zeros(total, dtype=np.int64)
    classes, sizes = np.unique(groups, return_counts=True)
    share = sizes * count / total
    quota = np.floor(share).astype(int)
    missing = count - quota.sum()
    quota[np.argsort(-(share - quota), kind="stable")[:missing]] += 1
    chosen = [order[groups == label][:number] for label, number in zip(classes, quota, strict=True)]
    second = np.sort(np.concatenate(chosen))
    return np.setdiff1d(np.arange(total), second), second

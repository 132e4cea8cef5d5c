"""Choice of training images to keep, by scores of one training run (Tables 1 and 4)."""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np

from colorcnn.errors import ColorCNNError, UsageError, unknown_name
from colorcnn.files import write_atomically

EARLY_EPOCHS = 10
STRATA = 50
DYNAMICS = "dynamics.npz"


class Dynamics(NamedTuple):
    """Results of N images in each of E epochs of a training; NaN if an image was not used.

    Attributes:
        error: (E, N) Euclidean distance of the probabilities to the label's one-hot vector.
        margin: (E, N) the label's probability minus the largest other probability.
        entropy: (N,) entropy of the probabilities after the training, in evaluation mode.
        rows: (N,) positions of the images in the original data set.
    """

    error: np.ndarray
    margin: np.ndarray
    entropy: np.ndarray
    rows: np.ndarray

    def write(self, path: Path) -> None:
        """Write the file that :func:`read_dynamics` reads."""
        buffer = io.BytesIO()
        np.savez(buffer, **self._asdict())
        write_atomically(path, buffer.getvalue())


def read_dynamics(path: str | os.PathLike[str]) -> Dynamics:
    """Read the training dynamics that a run has recorded.

    Args:
        path: ``dynamics.npz``, or the folder of the run that wrote it.

    Raises:
        ColorCNNError: the file is missing, or holds something else.
    """
    path = Path(path)
    if path.is_dir():
        path = path / DYNAMICS
    try:
        with np.load(path, allow_pickle=False) as content:
            found = Dynamics(**{name: content[name] for name in Dynamics._fields})
    except FileNotFoundError as error:
        raise ColorCNNError(
            f"{path} does not exist",
            "record it with the callback TrainingDynamics while training",
            code="missing-dynamics",
        ) from error
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error, MemoryError) as error:
        raise ColorCNNError(f"{path} holds no training dynamics: use a file {DYNAMICS}.") from error
    count = len(found.rows)
    if (
        found.error.shape != found.margin.shape
        or found.error.shape[1:] != (count,)
        or len(found.entropy) != count
    ):
        raise ColorCNNError(
            f"{path} is inconsistent (its arrays differ in length): record the training again."
        )
    return found


def margins(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the label's probability minus the largest other probability, (n,).

    Args:
        probabilities: (n, classes).
        labels: (n,).
    """
    rows = np.arange(len(labels))
    own = probabilities[rows, labels]
    others = probabilities.copy()
    others[rows, labels] = -np.inf
    return own - others.max(axis=1)


def errors(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the Euclidean distance of the probabilities from the label's one-hot vector, (n,).

    Args:
        probabilities: (n, classes).
        labels: (n,).
    """
    difference = probabilities.copy()
    difference[np.arange(len(labels)), labels] -= 1
    return np.sqrt((difference**2).sum(axis=1))


def entropies(probabilities: np.ndarray) -> np.ndarray:
    """Return the entropy in nats of probabilities (n, classes), (n,)."""
    return -(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(axis=1)


def el2n(dynamics: Dynamics) -> np.ndarray:
    """Return the mean error of the first ten epochs, large for hard images (M. Paul et al., NeurIPS 2021)."""
    return _mean(dynamics.error[:EARLY_EPOCHS])


def aum(dynamics: Dynamics) -> np.ndarray:
    """Return the mean margin over all epochs, small for hard images (G. Pleiss et al., NeurIPS 2020)."""
    return _mean(dynamics.margin)


def forgetting(dynamics: Dynamics) -> np.ndarray:
    """Count how often a recognised image was forgotten; infinite if never recognised (M. Toneva, 2019)."""
    events = np.zeros(dynamics.margin.shape[1])
    before = np.zeros(len(events), bool)
    ever = np.zeros(len(events), bool)
    for margin in dynamics.margin:
        seen = ~np.isnan(margin)
        right = seen & (np.nan_to_num(margin) > 0)
        events += seen & before & ~right
        ever |= right
        before = np.where(seen, right, before)
    return np.where(ever, events, np.inf)


def _mean(values: np.ndarray) -> np.ndarray:
    seen = ~np.isnan(values)
    return np.where(seen, values, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)


def coverage(
    hardness: np.ndarray, difficulty: np.ndarray, keep: int, dropped: float, seed: int
) -> np.ndarray:
    """Choose images by coverage-centric selection (H. Zheng et al., ICLR 2023).

    The hardest images may be mislabelled and are left out. The range of the others' difficulty is divided
    into 50 strata of equal width. Each stratum gets the same number of images, drawn at random; smaller
    strata are used up first.

    Args:
        hardness: (N,) score by which images are left out, the largest first.
        difficulty: (N,) score that defines the strata.
        keep: number of images to keep.
        dropped: share of the images that are left out, in [0, 1).
        seed: seed of the draws.

    Returns:
        (keep,) positions, ascending; fewer if too many were left out.
    """
    order = np.argsort(-hardness, kind="stable")
    rest = order[round(dropped * len(order)) :]
    scores = difficulty[rest]
    finite = np.isfinite(scores)
    top = scores[finite].max() if finite.any() else 0.0
    scores = np.where(finite, scores, top + 1)  # images never learned are the hardest
    edges = np.linspace(scores.min(), scores.max(), STRATA + 1)
    strata = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, STRATA - 1)
    members = [rest[strata == stratum] for stratum in range(STRATA)]
    members = sorted((group for group in members if len(group)), key=len)
    random = np.random.RandomState(seed)
    chosen: list[np.ndarray] = []
    left = keep
    for number, group in enumerate(members):
        count = min(len(group), left // (len(members) - number))
        chosen.append(random.permutation(group)[:count])
        left -= count
    return np.sort(np.concatenate(chosen))


PRUNINGS = ("random", "entropy", "forgetting", "el2n", "aum", "ccs-aum", "ccs-forgetting", "ccs-el2n")


def prune(
    method: str,
    images: int,
    share: float,
    dynamics: Dynamics | None = None,
    *,
    dropped: float = 0.0,
    seed: int = 0,
) -> np.ndarray:
    """Choose the training images to keep.

    Args:
        method: one of :data:`PRUNINGS`; the plain ones keep the hardest images, as published.
        images: N of the data set. Images without dynamics, such as a validation split's, are left out.
        share: share of the N images to keep, in (0, 1].
        dynamics: dynamics of one training run; random needs none.
        dropped: for ccs: share of the hardest images that are left out first.
        seed: seed of the draws.

    Returns:
        (n,) positions in the data set, ascending.

    Raises:
        UsageError: the method or a share is invalid, or dynamics are missing.
    """
    if method not in PRUNINGS:
        raise unknown_name("pruning", method, PRUNINGS)
    if not 0 < share <= 1 or not 0 <= dropped < 1:
        raise UsageError(
            f"The shares {share} and {dropped} are out of range: keep above 0 and at most 1, drop below 1."
        )
    rows = np.arange(images) if dynamics is None else dynamics.rows
    if dynamics is None and method != "random":
        raise UsageError(
            f"{method} needs a training run's {DYNAMICS}", "pass that file", code="unnamed-dynamics"
        )
    if len(rows) and rows.max() >= images:
        raise UsageError(
            f"The training dynamics have an entry for image {rows.max()}, but the data set has {images} "
            "images: use the dynamics of a training on these data."
        )
    keep = min(max(1, round(share * images)), len(rows))
    if method == "random" or dynamics is None:
        return np.sort(np.random.RandomState(seed).permutation(rows)[:keep])
    scores = {
        "entropy": dynamics.entropy,
        "forgetting": forgetting(dynamics),
        "el2n": el2n(dynamics),
        "aum": -aum(dynamics),
    }
    name = method.removeprefix("ccs-")
    if name != method:
        return rows[coverage(scores["aum"], scores[name], keep, dropped, seed)]
    return np.sort(rows[np.argsort(-scores[name], kind="stable")[:keep]])

"""Stage 1, chromaticity-aware clustering: groups of images of similar colours, which share a palette."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import IncrementalPCA
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from colorcnn.errors import UsageError

Chunks = Sequence[Callable[[], np.ndarray]]
"""The features of all images in pieces (n, D) float32, in order. Calling a piece reads it."""

MOST_AT_ONCE = 200_000
"""Above this number of images, mini-batch k-means is used."""

_COMPONENTS = 64
_STARTS = 3
_PASSES = 3
_BATCH = 1 << 14


def given_clusters(name: str, labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return clusters that need no features: one for each class, or random ones.

    Args:
        name: ``label`` or ``random``.
        labels: (N,) class numbers.
        count: number of random clusters.
        seed: seed of the random clusters.

    Returns:
        (N,) int64.

    Raises:
        UsageError: images have several labels.
    """
    if name == "random":
        return np.random.default_rng([seed, 1]).integers(0, count, len(labels))
    if labels.ndim == 2:
        raise UsageError("These images have several labels each: use other features than label.")
    return labels.astype(np.int64)


def cluster_images(
    chunks: Chunks, images: int, count: int, *, standardise: bool = False, reduce: bool = False, seed: int = 0
) -> np.ndarray:
    """Run k-means on the features of all images; mini-batch k-means above 200,000 images.

    Args:
        chunks: the features.
        images: N.
        count: number of clusters, at most N.
        standardise: True to scale every feature to mean 0 and variance 1 first.
        reduce: True to keep 64 principal components only.
        seed: seed of the initial centres.

    Returns:
        (N,) int64, each below ``count``.
    """
    count = min(count, images)
    # One thread: the order of a sum changes its last bits, which can change the clusters.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different images than clusters
        chunks = _reduced(chunks) if reduce else chunks
        chunks = _standardised(chunks) if standardise else chunks
        if images <= MOST_AT_ONCE:
            return _at_once(_matrix(chunks, images), count, seed)
        return _in_batches(chunks, count, seed)


def _matrix(chunks: Chunks, images: int) -> np.ndarray:
    """Return all features. Filled piece by piece, because concatenation would need twice the memory."""
    matrix, row = np.empty((images, chunks[0]().shape[1]), np.float32), 0
    for read in chunks:
        features = read()
        matrix[row : row + len(features)] = features
        row += len(features)
    return matrix


def _at_once(matrix: np.ndarray, count: int, seed: int) -> np.ndarray:
    best = None
    for start in tqdm(range(_STARTS), desc="Clustering", unit="start", disable=None):
        model = KMeans(count, n_init=1, random_state=seed + start, copy_x=False).fit(matrix)
        if best is None or model.inertia_ < best.inertia_:
            best = model
    assert best is not None
    return best.labels_.astype(np.int64)


def _in_batches(chunks: Chunks, count: int, seed: int) -> np.ndarray:
    model = MiniBatchKMeans(count, n_init=_STARTS, random_state=seed, batch_size=_BATCH)
    random = np.random.RandomState(seed)
    order = [number for _ in range(_PASSES) for number in random.permutation(len(chunks))]
    held: list[np.ndarray] = []
    for done, number in enumerate(tqdm(order, desc="Clustering", unit="piece", disable=None), 1):
        held.append(chunks[number]())
        enough = max(_BATCH, count)  # the model takes no fewer rows than it has clusters
        if sum(map(len, held)) >= enough or done == len(order):
            batch = np.concatenate(held)
            if len(batch) >= count:
                model.partial_fit(batch)
            held = []
    return np.concatenate([model.predict(read()) for read in chunks]).astype(np.int64)


def _reduced(chunks: Chunks) -> Chunks:
    first = chunks[0]()
    model = IncrementalPCA(min(_COMPONENTS, *first.shape))
    for read in chunks:
        features = read()
        if len(features) >= model.n_components:  # partial_fit takes no fewer rows than components
            model.partial_fit(features)

    def reduced(read: Callable[[], np.ndarray]) -> Callable[[], np.ndarray]:
        return lambda: model.transform(read()).astype(np.float32)

    return [reduced(read) for read in chunks]


def _standardised(chunks: Chunks) -> Chunks:
    count, total, squares = 0, 0.0, 0.0
    for read in chunks:
        features = read().astype(np.float64)
        count += len(features)
        total = total + features.sum(axis=0)
        squares = squares + (features**2).sum(axis=0)
    mean = np.asarray(total) / count
    std = np.sqrt(np.maximum(np.asarray(squares) / count - mean**2, 0))
    std[std < 1e-12] = 1

    def standardised(read: Callable[[], np.ndarray]) -> Callable[[], np.ndarray]:
        return lambda: ((read() - mean) / std).astype(np.float32)

    return [standardised(read) for read in chunks]

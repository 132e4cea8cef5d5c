"""Clusters of more images than fit into memory."""

from __future__ import annotations

import numpy as np

from colorcnn.dcq import clusters


def test_pieces_smaller_than_clusters_are_many_still_teach_them(monkeypatch) -> None:
    monkeypatch.setattr(clusters, "MOST_AT_ONCE", 10)
    monkeypatch.setattr(clusters, "_BATCH", 4)
    features = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    pieces = [lambda start=start: features[start : start + 6] for start in range(0, 60, 6)]
    found = clusters.cluster_images(pieces, 60, 20)
    assert found.shape == (60,)
    assert 10 < len(np.unique(found)) <= 20

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from colorcnn.data.cuts import stratified_cut
from colorcnn.data.sampling import EpochSampler
from colorcnn.errors import UsageError


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 1000),
)
def test_a_cut_is_a_partition_with_every_class_in_proportion(
    sizes: list[int], share: float, seed: int
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    count = round(share * len(labels))
    if not 0 < count < len(labels):
        return
    first, second = stratified_cut(labels, share, seed)
    assert sorted([*first, *second]) == list(range(len(labels)))
    assert len(second) == count
    for label, size in enumerate(sizes):
        assert abs((labels[second] == label).sum() - size * count / len(labels)) < 1


def test_the_seed_decides_the_cut() -> None:
    labels = np.arange(100) % 5
    same = [stratified_cut(labels, 20, 3)[1].tolist() for _ in range(2)]
    assert same[0] == same[1] != stratified_cut(labels, 20, 4)[1].tolist()


def test_a_number_and_a_fraction_mean_the_same() -> None:
    labels = np.arange(50) % 5
    np.testing.assert_array_equal(stratified_cut(labels, 0.2, 0)[1], stratified_cut(labels, 10, 0)[1])


def test_images_with_several_labels_are_cut_too() -> None:
    first, second = stratified_cut(np.ones((10, 3)), 4, 0)
    assert (len(first), len(second)) == (6, 4)


@pytest.mark.parametrize("size", [0, 0.0, -1, 10, 11, 1.5, 0.01, float("nan")])
def test_cuts_outside_the_set_are_refused(size: float) -> None:
    with pytest.raises(UsageError, match="of 10 images cannot be cut off"):
        stratified_cut(np.zeros(10), size, 0)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = EpochSampler(50, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    torch.manual_seed(1)
    first = order(0, 3)
    state = torch.get_rng_state()
    assert order(0, 3) == first
    assert torch.equal(state, torch.get_rng_state())
    assert sorted(first) == list(range(50))
    assert len({tuple(order(seed, epoch)) for seed in range(4) for epoch in range(4)}) == 16

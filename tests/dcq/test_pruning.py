from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from colorcnn.dcq.pruning import (
    PRUNINGS,
    Dynamics,
    aum,
    coverage,
    el2n,
    entropies,
    errors,
    forgetting,
    margins,
    prune,
    read_dynamics,
)
from colorcnn.errors import ColorCNNError, UsageError

NAN = np.nan


@pytest.fixture
def dynamics() -> Dynamics:
    random = np.random.default_rng(0)
    margin = random.uniform(-1, 1, (12, 60))
    return Dynamics(1 - margin / 2, margin, random.random(60), np.arange(60) + 10)


def test_scores_of_one_prediction() -> None:
    probabilities, labels = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3]]), np.array([0, 2])
    np.testing.assert_allclose(margins(probabilities, labels), [0.5, -0.2])
    np.testing.assert_allclose(errors(probabilities, labels), [np.sqrt(0.14), np.sqrt(0.04 + 0.25 + 0.49)])
    np.testing.assert_allclose(entropies(np.full((1, 4), 0.25)), np.log(4))


def test_el2n_looks_at_ten_epochs_and_aum_at_all() -> None:
    error = np.concatenate([np.full((10, 1), 0.5), np.full((10, 1), 9.0)])
    found = Dynamics(error, error, np.zeros(1), np.arange(1))
    assert el2n(found) == 0.5
    assert aum(found) == 4.75


def test_forgetting_counts_falls_and_never_learned_is_infinite() -> None:
    margin = np.array([[1, 1, -1, 1], [-1, 1, -1, NAN], [1, 1, -1, -1], [-1, 1, -1, 1]])
    found = Dynamics(margin, margin, np.zeros(4), np.arange(4))
    assert forgetting(found).tolist() == [2, 0, np.inf, 1]


def test_coverage_shares_the_budget_from_the_smallest_stratum_up() -> None:
    difficulty = np.concatenate([np.zeros(90), np.full(7, 0.5), np.ones(3)])
    chosen = coverage(difficulty, difficulty, 30, 0.0, 0)
    assert [int((difficulty[chosen] == value).sum()) for value in (0, 0.5, 1)] == [20, 7, 3]
    without = coverage(difficulty, difficulty, 30, 0.03, 0)
    assert difficulty[without].max() == 0.5


@pytest.mark.parametrize("method", PRUNINGS)
def test_every_method_keeps_the_share_asked_for_the_same_for_a_seed(method: str, dynamics: Dynamics) -> None:
    rows = prune(method, 70, 0.2, dynamics, seed=3)
    assert len(rows) == len(set(rows.tolist())) == 14
    assert rows.min() >= 10
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(rows, prune(method, 70, 0.2, dynamics, seed=3))


def test_the_plain_methods_keep_the_hardest(dynamics: Dynamics) -> None:
    for method, hardness in (
        ("aum", -aum(dynamics)),
        ("el2n", el2n(dynamics)),
        ("entropy", dynamics.entropy),
    ):
        assert set(prune(method, 70, 0.1, dynamics) - 10) == set(np.argsort(-hardness)[:7])


def test_dynamics_are_kept_in_a_file(dynamics: Dynamics, tmp_path: Path) -> None:
    dynamics.write(tmp_path / "dynamics.npz")
    for given in (tmp_path, tmp_path / "dynamics.npz"):
        np.testing.assert_array_equal(read_dynamics(given).margin, dynamics.margin)
    with pytest.raises(ColorCNNError, match="TrainingDynamics"):
        read_dynamics(tmp_path / "other.npz")
    whole = (tmp_path / "dynamics.npz").read_bytes()
    for damaged in (b"no", b"", whole[:100], whole[:-30], whole.replace(b"margin", b"nigram")):
        (tmp_path / "dynamics.npz").write_bytes(damaged)
        with pytest.raises(ColorCNNError, match="no training dynamics"):
            read_dynamics(tmp_path)


@pytest.mark.parametrize(("method", "share"), [("x", 0.1), ("aum", 0.1), ("random", 0.0), ("random", 2.0)])
def test_what_cannot_be_meant_is_refused(method: str, share: float) -> None:
    with pytest.raises(UsageError):
        prune(method, 10, share)

"""A measurement that is stopped goes on: the same numbers, and nothing is measured twice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from colorcnn.data.datasets import ImageSplit, InOrder
from colorcnn.errors import UsageError
from colorcnn.evaluation.attacks import parse_attack
from colorcnn.evaluation.codecs import Codec
from colorcnn.evaluation.evaluate import evaluate
from colorcnn.evaluation.progress_file import ProgressFile
from colorcnn.evaluation.robustness import Defence, measure_robustness
from colorcnn.quantizers.median_cut import MedianCut

SIDE, COUNT, BATCH = 12, 10, 4
SIZES = [2, 3, 4]
RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (COUNT, SIDE, SIDE, 3), dtype=np.uint8)
LABELS = {"one label": RANDOM.integers(0, 3, COUNT), "several": RANDOM.integers(0, 2, (COUNT, 3))}


class Interrupted(MedianCut):
    """Not for 3 colours; Ctrl-C is pressed in its call of the number ``at``."""

    def __init__(self, at=None):
        super().__init__()
        self.at = at
        self.calls = 0

    def quantize_many(self, images, sizes):
        if 3 in sizes:
            raise UsageError("Three colours are a crowd.")
        self.calls += 1
        if self.calls == self.at:
            raise KeyboardInterrupt
        return super().quantize_many(images, sizes)


def judge(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 3))


def batches(labels):
    return InOrder(ImageSplit(PIXELS, LABELS[labels]), BATCH)


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Keep where it stands after every batch."""
    monkeypatch.setattr(ProgressFile, "SECONDS", 0)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "folder" / "kept.pt"


@pytest.mark.parametrize("limit", [None, 9])
@pytest.mark.parametrize("judges", [1, 2])
@pytest.mark.parametrize("labels", LABELS)
def test_it_goes_on_behind_the_images_that_are_done(labels, judges, limit, file):
    panel = {f"judge {seed}": judge(seed) for seed in range(judges)}

    def measure(method, kept):
        codecs = {"jpeg:50": Codec("jpeg", 50)}
        options = {"codecs": codecs, "limit": limit, "progress": False, "progress_file": kept}
        found = evaluate({"mine": method}, panel, batches(labels), SIZES, **options).to_json()
        assert found["methods"]["mine"].pop("images_per_second") > 0
        return found

    whole = measure(Interrupted(), None)
    assert list(whole["methods"]["mine"]["unavailable"]) == ["3"]
    with pytest.raises(KeyboardInterrupt):  # in the last of three batches; in the first, sizes are tried
        measure(Interrupted(at=5), ProgressFile(file))
    rest = Interrupted()
    assert measure(rest, ProgressFile(file)) == whole
    assert rest.calls == 1


def test_what_is_done_is_not_done_again(file):
    results = [
        evaluate(
            {"mine": method},
            judge(),
            batches("one label"),
            [2],
            progress=False,
            progress_file=ProgressFile(file),
        )
        for method in (MedianCut(), Interrupted(at=1))
    ]
    assert results[0].to_json() == results[1].to_json()


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 of an archive, the half"])
def test_a_file_that_cannot_be_read_is_begun_again(content, file):
    file.parent.mkdir()
    file.write_bytes(content)
    kept = evaluate(
        {"mine": MedianCut()},
        judge(),
        batches("one label"),
        [2],
        progress=False,
        progress_file=ProgressFile(file),
    )
    assert kept.n == COUNT


def test_between_two_writings_some_time_passes(monkeypatch, file):
    monkeypatch.setattr(ProgressFile, "SECONDS", 1000)
    with pytest.raises(KeyboardInterrupt):
        evaluate(
            *({"mine": Interrupted(at=3)}, judge(), batches("one label"), [2]),
            progress=False,
            progress_file=ProgressFile(file),
        )
    assert not file.exists()


def test_attacks_go_on_with_the_random_starts_they_would_have(tmp_path):
    attacks = [parse_attack(text, steps=2) for text in ("pgd", "pgd:adaptive")]

    def measure(method, folder):
        def keep(label):
            return folder and ProgressFile(folder / f"{label.replace('/', ' of ')}.pt")

        source = batches("one label")
        clean = evaluate({"mine": method}, judge(), source, [2], progress=False, progress_file=keep("clean"))
        options = {"progress": False}
        defence = Defence(judge(), source, {"mine": method}, {}, "cpu", options, keep)
        return measure_robustness(defence, attacks, [8], clean).to_json()

    uninterrupted = Interrupted()
    whole = measure(uninterrupted, None)
    attempts = []
    for at in (
        5,
        3,
        4,
        None,
    ):  # attacking the judge's images, then through the quantizer: three calls a batch
        attempts.append(Interrupted(at))
        if at is not None:
            with pytest.raises(KeyboardInterrupt):
                measure(attempts[-1], tmp_path)
    assert measure(attempts[-1], tmp_path) == whole
    wasted = sum(attempt.calls for attempt in attempts) - uninterrupted.calls
    assert 3 <= wasted <= 3 * 3  # what was begun of three batches

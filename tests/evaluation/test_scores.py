"""Typed results against the metrics of records: JSON and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from colorcnn.evaluation.scores import (
    AttackResult,
    ColorCount,
    Evaluation,
    Robustness,
    Score,
    SoftScore,
    Verdict,
)
from colorcnn.records import read_record

RESULTS = Path(__file__).parents[2] / "experiments" / "results"


def evaluations():
    for path in sorted(RESULTS.glob("*.json")):
        metrics = json.loads(path.read_text())["metrics"]
        runs = metrics.get("per_seed", {"": metrics})
        if {"sizes", "original", "methods"} <= metrics.keys():
            scores = [score for each in metrics["methods"].values() for score in each["scores"].values()]
            if not any("bytes" in score for score in scores):
                yield from ((path, seed) for seed in runs)


@pytest.mark.parametrize(
    ("path", "seed"), list(evaluations()), ids=lambda value: getattr(value, "stem", value)
)
def test_every_committed_evaluation_survives_a_round_trip(path, seed):
    record = read_record(path)
    metrics = record.metrics["per_seed"][seed] if seed else record.metrics
    metrics = {key: value for key, value in metrics.items() if key != "published"}
    found = Evaluation.from_json(metrics, record.n).to_json()
    assert found == metrics
    assert json.dumps(found, sort_keys=True) == json.dumps(metrics, sort_keys=True)


def test_every_part_of_a_result_survives_a_round_trip():
    verdict = Verdict(0.5, (0.2, 0.8), np.array([True, False]))
    score = Score(
        **vars(verdict),
        colors=ColorCount(1.5, 1, 2),
        file_bpp=3.0,
        judges={"net": verdict},
        soft={"0.1": SoftScore(0.5, 0.25)},
    )
    attack = AttackResult({0: verdict, 4: verdict}, {"octree": {2: {0: verdict}}}, {"png": {0: verdict}})
    whole = Evaluation(
        2,
        (2,),
        score,
        {"octree": {2: score}},
        {"octree": {4: "Too many colours."}},
        {"octree": 10.0},
        {"png": score},
        ("net",),
        Robustness((0, 4), 10, {"fgsm": attack}),
        (0.1,),
    )
    content = whole.to_json()
    again = Evaluation.from_json(json.loads(json.dumps(content)), 2)
    assert again.to_json() == content
    assert again.attacks.results["fgsm"].methods["octree"][2][0].correct.tolist() == [True, False]
    assert again.scores["octree"][2].soft["0.1"].entropy == 0.25
    assert again.scores["octree"][2].colors.most == 2

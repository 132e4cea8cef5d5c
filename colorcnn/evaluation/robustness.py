"""Accuracy under attack: every quantizer as a defence, by the one evaluator on attacked images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from colorcnn.errors import UsageError
from colorcnn.evaluation.attacks import (
    Attack,
    Attacked,
    Network,
    check_epsilons,
    through_codec,
    through_quantizer,
)
from colorcnn.evaluation.evaluate import evaluate
from colorcnn.evaluation.passes import QuantizesMany
from colorcnn.evaluation.scores import Evaluation, Score, Verdict

if TYPE_CHECKING:
    from colorcnn.data.datasets import Batch
    from colorcnn.evaluation.codecs import Coder
    from colorcnn.evaluation.kept import Kept

Metrics = Mapping[str, Any]
Cells = dict[str, Any]


def _nowhere(label: str) -> None:
    """Keep nothing of an evaluation."""


@dataclass(frozen=True)
class Defence:
    """What is attacked, and with it everything that may stand between the attacker and the classifier.

    Attributes:
        classifier: the judge.
        batches: uint8 images, labels and index; gone through many times.
        methods: name -> quantizer.
        codecs: name -> codec.
        device: where networks compute.
        options: of the evaluator: ``limit``, ``num_classes``, ``progress``.
        keep: where to keep how far an evaluation is, by its label; nowhere by default.
    """

    classifier: nn.Module
    batches: Iterable[Batch]
    methods: Mapping[str, QuantizesMany]
    codecs: Mapping[str, Coder] = field(default_factory=dict)
    device: torch.device | str = "cpu"
    options: Mapping[str, Any] = field(default_factory=dict)
    keep: Callable[[str], Kept | None] = _nowhere

    def under(
        self,
        attack: Attack,
        epsilon: int,
        network: Network,
        sizes: Sequence[int],
        methods: Mapping[str, QuantizesMany],
        codecs: Mapping[str, Coder],
        target: str,
    ) -> Evaluation:
        """Evaluate on images attacked through ``network``; ``target`` says what that is."""
        attacked = Attacked(self.batches, attack, network, epsilon, self.device)
        label = f"{attack} {epsilon}/255{target and f', {target}'}"
        return evaluate(
            methods,
            self.classifier,
            attacked,
            sizes,
            codecs=codecs,
            device=self.device,
            label=label,
            kept=self.keep(label),
            **self.options,
        )


def measure_robustness(
    defence: Defence, attacks: Sequence[Attack], epsilons: Sequence[int], clean: Evaluation
) -> dict[str, Any]:
    """Accuracies of every method under every attack, as the ``attacks`` of a record's metrics.

    An adaptive attack has a target of its own for each method and number of colours. Where no quantizer
    stands in its way it is the attack on the bare classifier, so that one is measured with it.

    Args:
        defence: what is attacked.
        attacks: how.
        epsilons: how much a value may change, of 255; 0, the clean evaluation, is added.
        clean: the evaluation without an attack; its methods and sizes are attacked.

    Returns:
        ``{"epsilons": [...], "steps": of PGD, "results": {attack: {"original": {epsilon: cell}, "methods":
        {method: {size: {epsilon: cell}}}, "codecs": {codec: {epsilon: cell}}}}}``, a cell being the JSON of a
        :class:`colorcnn.evaluation.scores.Verdict`.

    Raises:
        UsageError: an epsilon is no whole number from 0 to 255, or there is nothing to do.
    """
    epsilons = check_epsilons(epsilons)
    if not attacks:
        raise UsageError("There is nothing to measure: give at least one attack.")
    bare = {str(attack): attack for attack in (replace(attack, path="") for attack in attacks)}
    results = {name: _curves(_bare(defence, attack, epsilons, clean)) for name, attack in bare.items()}
    for attack in attacks:
        if attack.path:
            known = _known(results, attack, defence.methods)
            adaptive = _merged(known, _curves(_adaptive(defence, attack, epsilons, clean, known)))
            results[str(attack)] = {"original": results[attack.name]["original"], **adaptive}
    return {"epsilons": epsilons, "steps": attacks[0].steps, "results": results}


def _known(results: Cells, attack: Attack, methods: Mapping[str, QuantizesMany]) -> Cells:
    """What the adaptive attack has measured of the soft one: all that has no soft image."""
    if attack.path != "soft":
        return {}
    found = results.get(f"{attack.name}:adaptive", {})
    hard = {name: cells for name, cells in found.get("methods", {}).items() if not _is_soft(methods[name])}
    return {"methods": hard, "codecs": found.get("codecs", {})}


def _merged(known: Cells, found: Cells) -> Cells:
    parts = {part: {**known.get(part, {}), **found.get(part, {})} for part in ("methods", "codecs")}
    return {part: cells for part, cells in parts.items() if cells}


def _is_soft(method: QuantizesMany) -> bool:
    return hasattr(method, "soft")


Cell = tuple[tuple[str, ...], int, Score]
"""Where a score belongs, below which epsilon, and the score."""


def _bare(defence: Defence, attack: Attack, epsilons: Sequence[int], clean: Evaluation) -> Iterator[Cell]:
    for epsilon in epsilons:
        found = clean
        if epsilon:
            found = defence.under(
                *(attack, epsilon, defence.classifier, clean.sizes, defence.methods, defence.codecs, "")
            )
        yield ("original",), epsilon, found.original
        for name, scores in found.scores.items():
            for size, score in scores.items():
                yield ("methods", name, str(size)), epsilon, score
        for name, score in found.codecs.items():
            yield ("codecs", name), epsilon, score


def _adaptive(
    defence: Defence, attack: Attack, epsilons: Sequence[int], clean: Evaluation, known: Cells
) -> Iterator[Cell]:
    for name, scores in clean.scores.items():
        if name in known.get("methods", {}):
            continue
        quantizer = defence.methods[name]
        soft = attack.path == "soft" and _is_soft(quantizer)
        for size in scores:
            network = through_quantizer(defence.classifier, quantizer, size, soft=soft)
            target = f"{name} at {size} colours"
            for epsilon in epsilons:
                found = clean
                if epsilon:
                    found = defence.under(attack, epsilon, network, [size], {name: quantizer}, {}, target)
                yield ("methods", name, str(size)), epsilon, found.scores[name][size]
    for name in clean.codecs:
        if name in known.get("codecs", {}):
            continue
        codec = defence.codecs[name]
        network = through_codec(defence.classifier, codec)
        for epsilon in epsilons:
            found = clean
            if epsilon:
                found = defence.under(attack, epsilon, network, clean.sizes, {}, {name: codec}, name)
            yield ("codecs", name), epsilon, found.codecs[name]


def _curves(cells: Iterable[Cell]) -> dict[str, Any]:
    """Nest cells by their places: accuracy over epsilon at the leaves."""
    found: dict[str, Any] = {}
    for path, epsilon, score in cells:
        place = found
        for part in path:
            place = place.setdefault(part, {})
        verdict = Verdict(score.accuracy, score.interval, score.correct)
        place[str(epsilon)] = verdict.to_json()
    return found

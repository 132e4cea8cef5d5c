"""Accuracy under attack. Every quantizer is a defence and is evaluated on attacked images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from colorcnn.errors import UsageError
from colorcnn.evaluation.attack_options import check_epsilons
from colorcnn.evaluation.attacks import (
    Attack,
    Attacked,
    Network,
    through_codec,
    through_quantizer,
)
from colorcnn.evaluation.evaluate import evaluate
from colorcnn.evaluation.passes import QuantizesMany
from colorcnn.evaluation.scores import AttackResult, Evaluation, Robustness, Score, Verdict

if TYPE_CHECKING:
    from colorcnn.data.datasets import Batch
    from colorcnn.evaluation.codecs import Coder
    from colorcnn.evaluation.progress_file import ProgressFile


def _no_progress(label: str) -> None:
    """Return no progress file."""


@dataclass(frozen=True)
class Defence:
    """The attacked classifier, the images, and the quantizers and codecs that defend the classifier.

    Attributes:
        classifier: maps images (B, 3, H, W) in [0, 1] to logits (B, K).
        batches: uint8 images, labels and index. They are read many times.
        methods: name -> quantizer.
        codecs: name -> codec.
        device: device of the networks, or several.
        options: ``limit``, ``num_classes`` and ``progress`` of the evaluator.
        progress_file: function from the label of an evaluation to its progress file; by default None.
    """

    classifier: nn.Module
    batches: Iterable[Batch]
    methods: Mapping[str, QuantizesMany]
    codecs: Mapping[str, Coder] = field(default_factory=dict)
    device: torch.device | str | Sequence[str] = "cpu"
    options: Mapping[str, Any] = field(default_factory=dict)
    progress_file: Callable[[str], ProgressFile | None] = _no_progress

    def measure(
        self,
        attack: Attack,
        epsilon: int,
        network: Network,
        sizes: Sequence[int],
        methods: Mapping[str, QuantizesMany],
        codecs: Mapping[str, Coder],
        target: str,
    ) -> Evaluation:
        """Evaluate on images that an attack has changed.

        Args:
            attack: the attack.
            epsilon: the largest change of a value, in 1..255.
            network: the attacked network.
            sizes: the palette sizes to measure.
            methods: name -> quantizer to measure.
            codecs: name -> codec to measure.
            target: name of the attacked network; empty for the classifier alone.
        """
        attacked = Attacked(self.batches, attack, network, epsilon)
        label = f"{attack} {epsilon}/255{target and f', {target}'}"
        return evaluate(
            methods,
            self.classifier,
            attacked,
            sizes,
            codecs=codecs,
            device=self.device,
            label=label,
            progress_file=self.progress_file(label),
            **self.options,
        )


def measure_robustness(
    defence: Defence, attacks: Sequence[Attack], epsilons: Sequence[int], clean: Evaluation
) -> Robustness:
    """Measure the accuracy of every method under every attack.

    An adaptive attack has another target for each method and palette size. The same attack on the classifier
    alone runs first. It gives the accuracy in full colour.

    Args:
        defence: the classifier, the images, and the quantizers and codecs.
        attacks: the attacks, at least one.
        epsilons: largest changes of a value, whole numbers in 0..255. 0 (no attack) is added.
        clean: the evaluation without an attack. Its methods and palette sizes are attacked.

    Raises:
        UsageError: an epsilon is not a whole number from 0 to 255, or there is no attack.
    """
    epsilons = check_epsilons(epsilons)
    if not attacks:
        raise UsageError("There is nothing to measure: give at least one attack.")
    plain = {str(attack): attack for attack in (replace(attack, path="") for attack in attacks)}
    results = {name: _curves(_plain(defence, attack, epsilons, clean)) for name, attack in plain.items()}
    for attack in attacks:
        if attack.path:
            known = _same_results(results, attack, defence.methods)
            found = _curves(_adaptive(defence, attack, epsilons, clean, known))
            results[str(attack)] = AttackResult(
                results[attack.name].original,
                {**known.methods, **found.methods},
                {**known.codecs, **found.codecs},
            )
    queries = next((each.queries for each in attacks if each.name == "square"), None)
    return Robustness(tuple(epsilons), attacks[0].steps, results, queries)


def _same_results(
    results: Mapping[str, AttackResult], attack: Attack, methods: Mapping[str, QuantizesMany]
) -> AttackResult:
    """Return the adaptive results of methods without a soft image: their soft results are the same."""
    found = results.get(f"{attack.name}:adaptive")
    if attack.path != "soft" or found is None:
        return AttackResult({})
    hard = {name: curves for name, curves in found.methods.items() if not _is_soft(methods[name])}
    return AttackResult({}, hard, found.codecs)


def _is_soft(method: QuantizesMany) -> bool:
    return hasattr(method, "soft")


@dataclass(frozen=True)
class _Result:
    """Score at one epsilon of a method at a palette size, of a codec, or of the classifier alone."""

    epsilon: int
    score: Score
    method: str = ""
    size: int = 0
    codec: str = ""


def _plain(defence: Defence, attack: Attack, epsilons: Sequence[int], clean: Evaluation) -> Iterator[_Result]:
    for epsilon in epsilons:
        found = clean
        if epsilon:
            found = defence.measure(
                *(attack, epsilon, defence.classifier, clean.sizes, defence.methods, defence.codecs, "")
            )
        yield _Result(epsilon, found.original)
        for name, scores in found.scores.items():
            for size, score in scores.items():
                yield _Result(epsilon, score, name, size)
        for name, score in found.codecs.items():
            yield _Result(epsilon, score, codec=name)


def _adaptive(
    defence: Defence, attack: Attack, epsilons: Sequence[int], clean: Evaluation, known: AttackResult
) -> Iterator[_Result]:
    for name, scores in clean.scores.items():
        if name in known.methods:
            continue
        quantizer = defence.methods[name]
        soft = attack.path == "soft" and _is_soft(quantizer)
        for size in scores:
            network = through_quantizer(defence.classifier, quantizer, size, soft=soft)
            target = f"{name} at {size} colours"
            for epsilon in epsilons:
                found = clean
                if epsilon:
                    found = defence.measure(attack, epsilon, network, [size], {name: quantizer}, {}, target)
                yield _Result(epsilon, found.scores[name][size], name, size)
    for name in clean.codecs:
        if name in known.codecs:
            continue
        codec = defence.codecs[name]
        network = through_codec(defence.classifier, codec)
        for epsilon in epsilons:
            found = clean
            if epsilon:
                found = defence.measure(attack, epsilon, network, clean.sizes, {}, {name: codec}, name)
            yield _Result(epsilon, found.codecs[name], codec=name)


def _curves(cells: Iterable[_Result]) -> AttackResult:
    """Sort cells by method, palette size and codec into curves over epsilon."""
    original: dict[int, Verdict] = {}
    methods: dict[str, dict[int, dict[int, Verdict]]] = {}
    codecs: dict[str, dict[int, Verdict]] = {}
    for cell in cells:
        curve = original
        if cell.method:
            curve = methods.setdefault(cell.method, {}).setdefault(cell.size, {})
        elif cell.codec:
            curve = codecs.setdefault(cell.codec, {})
        curve[cell.epsilon] = Verdict(cell.score.accuracy, cell.score.interval, cell.score.correct)
    return AttackResult(original, methods, codecs)

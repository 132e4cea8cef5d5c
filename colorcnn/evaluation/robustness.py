"""Accuracy under attack: every quantizer as a defence, by the one evaluator on attacked images."""

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


def _nowhere(label: str) -> None:
    """Keep nothing of an evaluation."""


@dataclass(frozen=True)
class Defence:
    """The attacked classifier, the images, and the quantizers and codecs that defend the classifier.

    Attributes:
        classifier: maps images (B, 3, H, W) in [0, 1] to logits (B, K).
        batches: uint8 images, labels and index; read many times.
        methods: name -> quantizer.
        codecs: name -> codec.
        device: device of the networks.
        options: ``limit``, ``num_classes`` and ``progress`` of the evaluator.
        keep: label of an evaluation -> its progress file; by default none.
    """

    classifier: nn.Module
    batches: Iterable[Batch]
    methods: Mapping[str, QuantizesMany]
    codecs: Mapping[str, Coder] = field(default_factory=dict)
    device: torch.device | str = "cpu"
    options: Mapping[str, Any] = field(default_factory=dict)
    keep: Callable[[str], ProgressFile | None] = _nowhere

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
        """Evaluate on images that are attacked through a network.

        Args:
            attack: the attack.
            epsilon: the largest change of a value, in 1..255.
            network: the attacked network.
            sizes: the palette sizes to measure.
            methods: name -> quantizer to measure.
            codecs: name -> codec to measure.
            target: name of the attacked network; empty for the classifier alone.
        """
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
            progress_file=self.keep(label),
            **self.options,
        )


def measure_robustness(
    defence: Defence, attacks: Sequence[Attack], epsilons: Sequence[int], clean: Evaluation
) -> Robustness:
    """Measure the accuracy of every method under every attack.

    An adaptive attack has another target for each method and palette size. Each adaptive attack is preceded
    by the same attack on the classifier alone, which gives the accuracy in full colour.

    Args:
        defence: the classifier, the images, and the quantizers and codecs.
        attacks: the attacks, at least one.
        epsilons: largest changes of a value, whole numbers of 0..255; 0, the clean evaluation, is added.
        clean: the evaluation without an attack. Its methods and palette sizes are attacked.

    Raises:
        UsageError: an epsilon is no whole number from 0 to 255, or there is no attack.
    """
    epsilons = check_epsilons(epsilons)
    if not attacks:
        raise UsageError("There is nothing to measure: give at least one attack.")
    bare = {str(attack): attack for attack in (replace(attack, path="") for attack in attacks)}
    results = {name: _result(_bare(defence, attack, epsilons, clean)) for name, attack in bare.items()}
    for attack in attacks:
        if attack.path:
            known = _known(results, attack, defence.methods)
            found = _result(_adaptive(defence, attack, epsilons, clean, known))
            results[str(attack)] = AttackResult(
                results[attack.name].original,
                {**known.methods, **found.methods},
                {**known.codecs, **found.codecs},
            )
    return Robustness(tuple(epsilons), attacks[0].steps, results)


def _known(
    results: Mapping[str, AttackResult], attack: Attack, methods: Mapping[str, QuantizesMany]
) -> AttackResult:
    """Return the results of the adaptive attack that hold for the soft one: methods without a soft image."""
    found = results.get(f"{attack.name}:adaptive")
    if attack.path != "soft" or found is None:
        return AttackResult({})
    hard = {name: curves for name, curves in found.methods.items() if not _is_soft(methods[name])}
    return AttackResult({}, hard, found.codecs)


def _is_soft(method: QuantizesMany) -> bool:
    return hasattr(method, "soft")


@dataclass(frozen=True)
class _Cell:
    """A score below one epsilon: of a method at a palette size, of a codec, or of the classifier alone."""

    epsilon: int
    score: Score
    method: str = ""
    size: int = 0
    codec: str = ""


def _bare(defence: Defence, attack: Attack, epsilons: Sequence[int], clean: Evaluation) -> Iterator[_Cell]:
    for epsilon in epsilons:
        found = clean
        if epsilon:
            found = defence.under(
                *(attack, epsilon, defence.classifier, clean.sizes, defence.methods, defence.codecs, "")
            )
        yield _Cell(epsilon, found.original)
        for name, scores in found.scores.items():
            for size, score in scores.items():
                yield _Cell(epsilon, score, name, size)
        for name, score in found.codecs.items():
            yield _Cell(epsilon, score, codec=name)


def _adaptive(
    defence: Defence, attack: Attack, epsilons: Sequence[int], clean: Evaluation, known: AttackResult
) -> Iterator[_Cell]:
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
                    found = defence.under(attack, epsilon, network, [size], {name: quantizer}, {}, target)
                yield _Cell(epsilon, found.scores[name][size], name, size)
    for name in clean.codecs:
        if name in known.codecs:
            continue
        codec = defence.codecs[name]
        network = through_codec(defence.classifier, codec)
        for epsilon in epsilons:
            found = clean
            if epsilon:
                found = defence.under(attack, epsilon, network, clean.sizes, {}, {name: codec}, name)
            yield _Cell(epsilon, found.codecs[name], codec=name)


def _result(cells: Iterable[_Cell]) -> AttackResult:
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

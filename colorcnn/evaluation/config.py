"""Configuration of an evaluation: names of data, classifiers and methods, and options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from colorcnn.evaluation.attack_options import EPSILONS, QUERIES, STEPS

if TYPE_CHECKING:
    from colorcnn.evaluation.attacks import Attack

SPLITS = ("test", "val", "train", "all")
PALETTE_SIZES = (2, 4, 8, 16, 32, 64)
BATCH_SIZE = 128


@dataclass(frozen=True)
class EvaluationConfig:
    """The options of an evaluation. ``colorcnn evaluate`` and the stages of experiments use them.

    Attributes:
        data: a known data set or a folder, or a mapping with ``class_path`` and ``init_args``.
        classifier: a pretrained name, a checkpoint, or ``module:function``, see
            :func:`colorcnn.classifiers.load_classifier`; or name -> classifier. All classify the same pixels.
            Scores, attacks and pictures use the first.
        methods: name -> method. A method is a quantizer such as ``colorcnn:mine+floyd-steinberg``, see
            :func:`colorcnn.methods.load_quantizer`; or a list of ColorCNNs, one per number of colours; or a
            codec such as ``jpeg:30``, see :func:`colorcnn.evaluation.codecs.find_codecs`, which keeps its own
            name.
        colors: the palette sizes, each in 1..256.
        classes: class of the data -> classes of the classifiers that count as it, see
            :func:`colorcnn.class_map.read_class_map`; None if data and classifiers have the same classes.
        split: one of :data:`SPLITS`; ``all`` is train, val and test together.
        limit: size of a sample of the images, stratified by class; None for all images.
        seed: seed of random methods.
        sample_seed: seed of the sample; None to use ``seed``.
        batch_size: number of images in a batch.
        device: device of the networks.
        options: ``root``, ``image_size`` and ``download`` of a data set that ``data`` names.
        attacks: names, see :func:`colorcnn.evaluation.attack_options.split_attack`.
        epsilons: strengths of the attacks: largest changes of a value, in 1..255.
        attack_steps: number of PGD steps.
        attack_queries: number of queries of Square for each image.
    """

    data: str | Mapping[str, Any]
    classifier: str | Mapping[str, str]
    methods: Mapping[str, str | Sequence[str]]
    colors: Sequence[int] = PALETTE_SIZES
    split: str = "test"
    limit: int | None = None
    seed: int = 0
    sample_seed: int | None = None
    batch_size: int = BATCH_SIZE
    device: str = "cpu"
    options: Mapping[str, Any] | None = None
    attacks: Sequence[str] = ()
    epsilons: Sequence[int] = EPSILONS
    attack_steps: int = STEPS
    attack_queries: int = QUERIES
    classes: Mapping[str, Sequence[int | str]] | None = None

    @property
    def classifiers(self) -> dict[str, str]:
        """Name -> classifier in the given order. A single classifier is its own name."""
        if isinstance(self.classifier, Mapping):
            return dict(self.classifier)
        return {self.classifier: self.classifier}

    def parsed_attacks(self) -> list[Attack]:
        """Return the attacks, parsed.

        Raises:
            UsageError: an attack is unknown, or has no steps or queries.
        """
        from colorcnn.evaluation.attacks import parse_attack

        budget = {"steps": self.attack_steps, "queries": self.attack_queries, "seed": self.seed}
        return [parse_attack(attack, **budget) for attack in self.attacks]

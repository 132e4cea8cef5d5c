"""What is to be measured, in names: opened, checked, and put to the evaluator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorcnn.errors import ColorCNNError, UsageError, unknown_name
from colorcnn.evaluation.attacks import EPSILONS, STEPS, check_epsilons, parse_attack
from colorcnn.evaluation.codecs import Codec, find_codecs

if TYPE_CHECKING:
    from torch import nn

    from colorcnn.data.base import ImageDataModule
    from colorcnn.data.datasets import ImageSplit, InOrder
    from colorcnn.evaluation.kept import Kept
    from colorcnn.evaluation.scores import Evaluation

SPLITS = ("test", "val", "train")


@dataclass(frozen=True)
class Question:
    """Which methods, on which images, judged by whom.

    Attributes:
        data: a known data set or a folder, or ``class_path`` and ``init_args`` as configurations have them.
        classifier: as :func:`colorcnn.classifiers.load_classifier` takes it; or several by name, which all
            judge the same pixels. Scores, attacks and pictures are about the first.
        methods: what a method is called -> as :func:`colorcnn.methods.load_quantizer` takes it, or several
            ColorCNNs, each for another number of colours, or a codec as
            :func:`colorcnn.evaluation.codecs.find_codecs` takes it, which is called by its own name.
        colors: the numbers of colours.
        split: in :data:`SPLITS`.
        limit: measure on a sample of that many images, every class in proportion.
        seed: of the methods that draw random numbers.
        sample_seed: of the sample; by default the same.
        batch_size: images at a time.
        device: where networks compute.
        options: of the data set, where it is named: ``root``, ``image_size``, ``download``.
        attacks: as :func:`colorcnn.evaluation.attacks.parse_attack` takes them.
        epsilons: how much an attack may change a value, of 255.
        attack_steps: of PGD.
    """

    data: str | Mapping[str, Any]
    classifier: str | Mapping[str, str]
    methods: Mapping[str, str | Sequence[str]]
    colors: Sequence[int]
    split: str = "test"
    limit: int | None = None
    seed: int = 0
    sample_seed: int | None = None
    batch_size: int = 128
    device: str = "cpu"
    options: Mapping[str, Any] | None = None
    attacks: Sequence[str] = ()
    epsilons: Sequence[int] = EPSILONS
    attack_steps: int = STEPS

    @property
    def classifiers(self) -> dict[str, str]:
        """Name -> classifier, the first one first; a single one is named by what it is."""
        if isinstance(self.classifier, Mapping):
            return dict(self.classifier)
        return {self.classifier: self.classifier}

    def open(self) -> OpenQuestion:
        """Load everything that is named.

        Raises:
            UsageError: a name is unknown, or the classifier was made for other data.
            ColorCNNError: something is damaged or missing.
        """
        from colorcnn.pretrained import find_device

        find_device(self.device)
        for attack in self.attacks:
            parse_attack(attack, steps=self.attack_steps)
        check_epsilons(self.epsilons)
        codecs: dict[str, Codec] = {}
        methods: dict[str, Any] = {}
        for name, spec in self.methods.items():
            found = find_codecs(spec) if isinstance(spec, str) else []
            codecs.update({str(codec): codec for codec in found})
            if not found:
                methods[name] = self._load_method(spec)
        data = self._open_data()
        split = self._open_split(data)
        judges = {name: self._load_classifier(spec, data) for name, spec in self.classifiers.items()}
        return OpenQuestion(self, methods, codecs, data, split, judges)

    def _load_classifier(self, spec: str, data: ImageDataModule) -> nn.Module:
        from colorcnn import classifiers

        classifier = classifiers.load_classifier(spec, data.num_classes)
        told = getattr(classifier, "num_classes", data.num_classes)
        if told != data.num_classes:
            raise UsageError(
                f"{spec} tells {told} classes apart and {data.name} has {data.num_classes}: "
                "choose a classifier that was trained on these data."
            )
        return classifier

    def _load_method(self, spec: str | Sequence[str]) -> Any:
        from colorcnn.methods import load_quantizer
        from colorcnn.models.colorcnn import OneForEach

        if isinstance(spec, str):
            return load_quantizer(spec, self.device, self.seed)
        return OneForEach([load_quantizer(one, self.device, self.seed) for one in spec])

    def _open_data(self) -> ImageDataModule:
        from colorcnn.data import open_described

        return open_described(self.data, **{"batch_size": self.batch_size, **(self.options or {})})

    def _open_split(self, data: ImageDataModule) -> ImageSplit:
        """The split to measure on, or the sample of it."""
        from colorcnn.data.sampling import stratified_cut

        if self.split not in SPLITS:
            raise unknown_name("split", self.split, SPLITS)
        split = getattr(data, self.split)
        if self.limit is None or self.limit >= len(split):
            return split
        seed = self.seed if self.sample_seed is None else self.sample_seed
        return split.take(stratified_cut(split.labels.numpy(), self.limit, seed)[1])


@dataclass(frozen=True)
class OpenQuestion:
    """A question with everything loaded.

    Attributes:
        question: what was asked.
        methods: name -> quantizer.
        codecs: name -> codec.
        data: the data set.
        split: the images to measure on.
        judges: name -> classifier.
    """

    question: Question
    methods: Mapping[str, Any]
    codecs: Mapping[str, Codec]
    data: ImageDataModule
    split: ImageSplit
    judges: Mapping[str, nn.Module]

    @property
    def classifier(self) -> nn.Module:
        """The judge, or the first of several."""
        return next(iter(self.judges.values()))

    def remarks(self) -> list[str]:
        """Sentences on methods that were not trained for a number of colours."""
        found = []
        for name, quantizer in self.methods.items():
            trained = getattr(getattr(quantizer, "quantizer", quantizer), "trained_sizes", ())
            strange = [str(size) for size in self.question.colors if trained and size not in trained]
            if strange:
                found.append(f"note: {name} was not trained for {', '.join(strange)} colours.")
        return found

    def batches(self) -> InOrder:
        """The images to measure on, in their order."""
        from colorcnn.data.datasets import InOrder

        return InOrder(self.split, self.question.batch_size)

    def measure(self, folder: Path | None = None) -> dict[str, Any]:
        """The metrics of a record.

        Args:
            folder: where to keep how far it is, and to go on from; it is for this question alone.

        Raises:
            ColorCNNError: no method can give any of the numbers of colours, or one breaks its contract.
        """
        from colorcnn.data.cache import content_key
        from colorcnn.evaluation.evaluate import evaluate
        from colorcnn.evaluation.kept import Kept

        def keep(label: str) -> Kept | None:
            return None if folder is None else Kept(folder / f"{content_key(self.split.key, label)}.pt")

        question, loader = self.question, self.batches()
        result = evaluate(
            self.methods,
            self.judges if len(self.judges) > 1 else self.classifier,
            loader,
            question.colors,
            codecs=self.codecs,
            device=question.device,
            num_classes=self.data.num_classes,
            kept=keep("clean"),
        )
        if self.methods and not any(result.scores.values()):
            reasons = [why for refused in result.unavailable.values() for why in refused.values()]
            raise ColorCNNError(f"No method can give any of these numbers of colours: {reasons[0]}")
        metrics = result.to_json()
        if question.attacks:
            metrics["attacks"] = self._attack(loader, result, keep)
        return metrics

    def _attack(
        self, loader: InOrder, clean: Evaluation, keep: Callable[[str], Kept | None]
    ) -> dict[str, Any]:
        from colorcnn.evaluation.robustness import Defence, measure_robustness

        question = self.question
        attacks = [
            parse_attack(attack, steps=question.attack_steps, seed=question.seed)
            for attack in question.attacks
        ]
        options = {"num_classes": self.data.num_classes}
        defence = Defence(self.classifier, loader, self.methods, self.codecs, question.device, options, keep)
        return measure_robustness(defence, attacks, question.epsilons, clean)

    def check_maps(self) -> None:
        """Find out, before the work, whether the classifier has what activation maps are drawn from.

        Raises:
            UsageError: it has no feature maps, or does not fit the data.
            ColorCNNError: it fails.
        """
        import torch

        from colorcnn.evaluation.judging import Panel, evaluating
        from colorcnn.evaluation.saliency import activation_maps
        from colorcnn.paletted import from_bytes

        if not (self.data.multi_label or self.data.masks):
            batch, device = self.split.__getitems__([0]), torch.device(self.question.device)
            with evaluating([self.classifier], device):
                Panel(self.classifier, device, self.data.num_classes).ask(batch.images, batch.labels)
                activation_maps(self.classifier, from_bytes(batch.images.to(device)), batch.labels.to(device))

    def config(self) -> dict[str, Any]:
        """The configuration of a record, as far as it is about the images and the judge."""
        return {
            "data": self.data.name,
            "split": self.question.split,
            "split_key": self.split.key,
            "image_size": list(self.split.image_size),
            "limit": self.question.limit,
            "classifier": next(iter(self.question.classifiers.values())),
            "colors": list(self.question.colors),
            "batch_size": self.question.batch_size,
            **({"judges": self.question.classifiers} if len(self.judges) > 1 else {}),
            **({"attacks": list(self.question.attacks)} if self.question.attacks else {}),
        }

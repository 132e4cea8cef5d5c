"""What is to be measured, in names: opened, checked, and put to the evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from colorcnn.errors import ColorCNNError, UsageError, unknown_name

if TYPE_CHECKING:
    from torch import nn

    from colorcnn.data.base import ImageDataModule
    from colorcnn.data.datasets import ImageSplit

SPLITS = ("test", "val", "train")


@dataclass(frozen=True)
class Question:
    """Which methods, on which images, judged by whom.

    Attributes:
        data: a known data set or a folder, or ``class_path`` and ``init_args`` as configurations have them.
        classifier: as :func:`colorcnn.zoo.load_classifier` takes it.
        methods: what a method is called -> as :func:`colorcnn.zoo.load_quantizer` takes it, or several
            ColorCNNs, each for another number of colours.
        colors: the numbers of colours.
        split: in :data:`SPLITS`.
        limit: measure on a sample of that many images, every class in proportion.
        seed: of the methods that draw random numbers.
        sample_seed: of the sample; by default the same.
        batch_size: images at a time.
        device: where networks compute.
        options: of the data set, where it is named: ``root``, ``image_size``, ``download``.
    """

    data: str | Mapping[str, Any]
    classifier: str
    methods: Mapping[str, str | Sequence[str]]
    colors: Sequence[int]
    split: str = "test"
    limit: int | None = None
    seed: int = 0
    sample_seed: int | None = None
    batch_size: int = 128
    device: str = "cpu"
    options: Mapping[str, Any] | None = None

    def open(self) -> OpenQuestion:
        """Load everything that is named.

        Raises:
            UsageError: a name is unknown, or the classifier was made for other data.
            ColorCNNError: something is damaged or missing.
        """
        from colorcnn import zoo

        zoo.find_device(self.device)
        methods = {name: self._load_method(spec) for name, spec in self.methods.items()}
        data = self._open_data()
        split = self._open_split(data)
        classifier = zoo.load_classifier(self.classifier, data.num_classes)
        told = getattr(classifier, "num_classes", data.num_classes)
        if told != data.num_classes:
            raise UsageError(
                f"{self.classifier} tells {told} classes apart and {data.name} has {data.num_classes}: "
                "choose a classifier that was trained on these data."
            )
        return OpenQuestion(self, methods, data, split, classifier)

    def _load_method(self, spec: str | Sequence[str]) -> Any:
        from colorcnn import zoo
        from colorcnn.models.colorcnn import OneForEach

        if isinstance(spec, str):
            return zoo.load_quantizer(spec, self.device, self.seed)
        return OneForEach([zoo.load_quantizer(one, self.device, self.seed) for one in spec])

    def _open_data(self) -> ImageDataModule:
        import colorcnn.data as sets

        options = {"batch_size": self.batch_size, **(self.options or {})}
        if isinstance(self.data, str):
            return sets.open_data(self.data, **options)
        name = self.data["class_path"].rpartition(".")[2]
        known = {cls.__name__: cls for cls in (*sets.DATASETS.values(), sets.ImageFolder)}
        if name not in known:
            raise unknown_name("data set class", name, known)
        return known[name](**{**options, **(self.data.get("init_args") or {})})

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
        data: the data set.
        split: the images to measure on.
        classifier: the judge.
    """

    question: Question
    methods: Mapping[str, Any]
    data: ImageDataModule
    split: ImageSplit
    classifier: nn.Module

    def remarks(self) -> list[str]:
        """Sentences on methods that were not trained for a number of colours."""
        found = []
        for name, quantizer in self.methods.items():
            trained = getattr(getattr(quantizer, "quantizer", quantizer), "trained_sizes", ())
            strange = [str(size) for size in self.question.colors if trained and size not in trained]
            if strange:
                found.append(f"note: {name} was not trained for {', '.join(strange)} colours.")
        return found

    def measure(self) -> dict[str, Any]:
        """The metrics of a record.

        Raises:
            ColorCNNError: no method can give any of the numbers of colours, or one breaks its contract.
        """
        from torch.utils.data import DataLoader

        from colorcnn.data.datasets import as_is
        from colorcnn.evaluation.evaluate import evaluate

        question = self.question
        loader = DataLoader(self.split, batch_size=question.batch_size, collate_fn=as_is)
        result = evaluate(
            self.methods,
            self.classifier,
            loader,
            question.colors,
            device=question.device,
            num_classes=self.data.num_classes,
        )
        if not any(result.scores.values()):
            reasons = [why for refused in result.unavailable.values() for why in refused.values()]
            raise ColorCNNError(f"No method can give any of these numbers of colours: {reasons[0]}")
        return result.to_json()

    def config(self) -> dict[str, Any]:
        """The configuration of a record, as far as it is about the images and the judge."""
        return {
            "data": self.data.name,
            "split": self.question.split,
            "split_key": self.split.key,
            "image_size": list(self.split.image_size),
            "limit": self.question.limit,
            "classifier": self.question.classifier,
            "colors": list(self.question.colors),
            "batch_size": self.question.batch_size,
        }

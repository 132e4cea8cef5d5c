"""An evaluation with its data, classifiers and methods loaded, ready to measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorcnn.errors import ColorCNNError, UsageError, unknown_name
from colorcnn.evaluation.attack_options import check_epsilons
from colorcnn.evaluation.codecs import Codec, check_available, find_codecs, libraries
from colorcnn.evaluation.config import SPLITS, EvaluationConfig
from colorcnn.evaluation.scores import Evaluation, Robustness

if TYPE_CHECKING:
    from torch import nn

    from colorcnn.data.base import ImageDataModule
    from colorcnn.data.datasets import ImageSplit, InOrder
    from colorcnn.evaluation.progress_file import ProgressFile


@dataclass(frozen=True)
class LoadedEvaluation:
    """An evaluation that is loaded. :func:`load_evaluation` returns it.

    Attributes:
        config: the options.
        methods: name -> quantizer.
        codecs: name -> codec.
        data: the data set.
        split: the images to measure on.
        classifiers: name -> classifier.
    """

    config: EvaluationConfig
    methods: Mapping[str, Any]
    codecs: Mapping[str, Codec]
    data: ImageDataModule
    split: ImageSplit
    classifiers: Mapping[str, nn.Module]

    @property
    def classifier(self) -> nn.Module:
        """The first classifier."""
        return next(iter(self.classifiers.values()))

    def remarks(self) -> list[str]:
        """Return a sentence for each method that was not trained for a requested palette size."""
        found = []
        for name, quantizer in self.methods.items():
            trained = getattr(getattr(quantizer, "quantizer", quantizer), "trained_sizes", ())
            untrained = [str(size) for size in self.config.colors if trained and size not in trained]
            if untrained:
                found.append(f"note: {name} was not trained for {', '.join(untrained)} colours.")
        return found

    def libraries(self) -> dict[str, str]:
        """Return the versions of the codecs' libraries, for a record."""
        return libraries(self.codecs.values())

    def batches(self) -> InOrder:
        """Return the images to measure on, in their order."""
        from colorcnn.data.datasets import InOrder

        return InOrder(self.split, self.config.batch_size)

    def measure(self, folder: Path | None = None, devices: Sequence[str] = ()) -> Evaluation:
        """Measure the methods, and their accuracy under attack if the options name attacks.

        Args:
            folder: folder of the progress files, used for this configuration alone. An interrupted run
                resumes from them. None to save no progress.
            devices: devices that share the work; by default the device of the configuration.

        Raises:
            ColorCNNError: no method accepts any of the palette sizes, or a method breaks its contract.
        """
        from colorcnn.data.cache import content_key
        from colorcnn.evaluation.evaluate import evaluate
        from colorcnn.evaluation.progress_file import ProgressFile

        def progress_file(label: str) -> ProgressFile | None:
            return (
                None if folder is None else ProgressFile(folder / f"{content_key(self.split.key, label)}.pt")
            )

        batches, devices = self.batches(), devices or [self.config.device]
        result = evaluate(
            self.methods,
            self.classifiers if len(self.classifiers) > 1 else self.classifier,
            batches,
            self.config.colors,
            codecs=self.codecs,
            device=devices,
            num_classes=self.data.num_classes,
            progress_file=progress_file("clean"),
        )
        if self.methods and not any(result.scores.values()):
            reasons = [why for refused in result.unavailable.values() for why in refused.values()]
            raise ColorCNNError(f"No method accepts any of these numbers of colours: {reasons[0]}")
        if not self.config.attacks:
            return result
        return replace(result, attacks=self._attack(batches, result, progress_file, devices))

    def _attack(
        self,
        batches: InOrder,
        clean: Evaluation,
        progress_file: Callable[[str], ProgressFile | None],
        devices: Sequence[str],
    ) -> Robustness:
        from colorcnn.evaluation.robustness import Defence, measure_robustness

        defence = Defence(
            self.classifier,
            batches,
            self.methods,
            self.codecs,
            devices,
            {"num_classes": self.data.num_classes},
            progress_file,
        )
        return measure_robustness(defence, self.config.parsed_attacks(), self.config.epsilons, clean)

    def check_maps(self) -> None:
        """Check that the classifier has feature maps for activation maps. Call this before measuring.

        Raises:
            UsageError: the classifier has no feature maps, or does not fit the data.
            ColorCNNError: the classifier fails.
        """
        import torch

        from colorcnn.evaluation.classifier_set import ClassifierSet, evaluating
        from colorcnn.evaluation.saliency import activation_maps
        from colorcnn.paletted import from_bytes

        if not (self.data.multi_label or self.data.masks):
            batch, device = self.split.__getitems__([0]), torch.device(self.config.device)
            with evaluating([self.classifier], device):
                ClassifierSet(self.classifier, device, self.data.num_classes).ask(batch.images, batch.labels)
                activation_maps(self.classifier, from_bytes(batch.images.to(device)), batch.labels.to(device))

    def record_config(self) -> dict[str, Any]:
        """Return the part of a record's configuration that describes the images and the classifiers."""
        names = self.config.classifiers
        return {
            "data": self.data.name,
            "split": self.config.split,
            "split_key": self.split.key,
            "image_size": list(self.split.image_size),
            "limit": self.config.limit,
            "classifier": next(iter(names.values())),
            "colors": list(self.config.colors),
            "batch_size": self.config.batch_size,
            **({} if self.data.multi_label or self.data.masks else {"num_classes": self.data.num_classes}),
            **({"classes": dict(self.config.classes)} if self.config.classes is not None else {}),
            **({"judges": names} if len(self.classifiers) > 1 else {}),
            **({"attacks": list(self.config.attacks)} if self.config.attacks else {}),
        }


def load_evaluation(config: EvaluationConfig) -> LoadedEvaluation:
    """Load the data, the classifiers and the methods of an evaluation.

    Raises:
        UsageError: a name is unknown, or a classifier was trained on other classes.
        ColorCNNError: a file is damaged or missing.
    """
    from colorcnn.pretrained import find_device

    find_device(config.device)
    config.parsed_attacks()
    check_epsilons(config.epsilons)
    codecs: dict[str, Codec] = {}
    methods: dict[str, Any] = {}
    for name, spec in config.methods.items():
        found = find_codecs(spec) if isinstance(spec, str) else []
        codecs.update({str(codec): codec for codec in found})
        if not found:
            methods[name] = _load_method(spec, config)
    check_available(codecs.values())
    data = _open_data(config)
    split = _open_split(data, config)
    classifiers = {
        name: _load_classifier(spec, data, config.classes) for name, spec in config.classifiers.items()
    }
    return LoadedEvaluation(config, methods, codecs, data, split, classifiers)


def _load_method(spec: str | Sequence[str], config: EvaluationConfig) -> Any:
    from colorcnn.methods import load_quantizer
    from colorcnn.models.colorcnn import OneForEach

    if isinstance(spec, str):
        return load_quantizer(spec, config.device, config.seed)
    return OneForEach([load_quantizer(one, config.device, config.seed) for one in spec])


def _open_data(config: EvaluationConfig) -> ImageDataModule:
    from colorcnn.data import open_described

    return open_described(config.data, **{"batch_size": config.batch_size, **(config.options or {})})


def _open_split(data: ImageDataModule, config: EvaluationConfig) -> ImageSplit:
    """Return the split, or a sample of it if ``limit`` is set."""
    from colorcnn.data.cuts import stratified_cut

    if config.split not in SPLITS:
        raise unknown_name("split", config.split, SPLITS)
    split = getattr(data, config.split)
    if config.limit is None or config.limit >= len(split):
        return split
    seed = config.seed if config.sample_seed is None else config.sample_seed
    return split.take(stratified_cut(split.labels.numpy(), config.limit, seed)[1])


def _load_classifier(
    spec: str, data: ImageDataModule, class_map: Mapping[str, Sequence[int | str]] | None
) -> nn.Module:
    from colorcnn import classifiers

    if class_map is not None:
        from colorcnn.class_map import regroup

        if data.multi_label or data.masks:
            raise UsageError(f"{data.name} has several labels per image: a class map needs one.")
        return regroup(classifiers.load_classifier(spec), class_map, data.class_names)
    classifier = classifiers.load_classifier(spec, data.num_classes)
    num_classes = getattr(classifier, "num_classes", data.num_classes)
    if num_classes != data.num_classes:
        raise UsageError(
            f"{spec} has {num_classes} classes and {data.name} has {data.num_classes}",
            "use a classifier that was trained on these data, or map its classes",
            code="other-classes",
        )
    return classifier

"""Stages of kind ``dcq-build``: a training set, quantized into a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorcnn.reproduce.options import Content, PositiveInt, option_names
from colorcnn.reproduce.stages.base import StageContext, StageKind
from colorcnn.reproduce.stages.dcq_images import (
    COSTS,
    Pruning,
    open_training_data,
    pruned,
    training_split,
    write_costs,
)
from colorcnn.reproduce.stages.fit import changes_of, merged

if TYPE_CHECKING:
    from colorcnn.data.base import ImageDataModule
    from colorcnn.dcq.build import Extract
    from colorcnn.dcq.settings import Settings
    from colorcnn.dcq.sources import ImageSource

STORE = "store"


@dataclass(frozen=True)
class DcqBuildOptions:
    """Options of :class:`DcqBuildStage`.

    Attributes:
        data: the training set: a name, or ``class_path`` and ``init_args``.
        recipe: a name in :data:`colorcnn.dcq.settings.RECIPES`. Unlike the command, the default is ``paper``.
        settings: changes to the recipe: a mapping with the names of :class:`colorcnn.dcq.settings.Settings`,
            or a list of mappings that are applied one after the other.
        classifier: the network that computes features and attention, if the settings need them.
        prune: keep only some of the images.
        shorter_side: scale larger images down to this shorter side first.
        classifier_size: side of the images that the classifier sees.
    """

    data: str | Content
    recipe: str = "paper"
    settings: Content | list[Content] = field(default_factory=dict)
    classifier: str | None = None
    prune: Pruning | None = None
    shorter_side: PositiveInt | None = None
    classifier_size: PositiveInt | None = None


class DcqBuildStage(StageKind):
    """Stage that builds a store of the training images. Its output is the store."""

    options_type = DcqBuildOptions
    resumes = True

    def describe(self, options: Mapping[str, Any], home: Path) -> dict[str, Any]:
        """See :meth:`StageKind.describe`: all settings, and a classifier only if the settings need one."""
        found = super().describe(options, home)
        settings, space = _settings(found, 0)
        uses_classifier = settings.layer is not None or settings.attends
        chosen = {key: value for key, value in settings.to_json().items() if key != "seed"}
        chosen["refinement"].pop("seed")
        classifier = found["classifier"] if uses_classifier else None
        return {**found, "settings": chosen, "classifier": classifier, "method_space": space}

    def run(self, description: Mapping[str, Any], context: StageContext) -> None:
        """See :meth:`StageKind.run`."""
        from colorcnn.dcq.storage import Store
        from colorcnn.dcq.store_folder import MANIFEST

        names = option_names(DcqBuildOptions)
        options: DcqBuildOptions = self.read({name: description[name] for name in names})
        data, name = open_training_data(options.data, context)
        whole = training_split(data, options.shorter_side)
        kept = pruned(whole, options.prune, None, context.seed)
        store = self.output(context.folder, "")
        if not (store / MANIFEST).exists():
            settings = _resolved_settings(description["settings"], context.seed)
            _build(options, settings, description["method_space"], context, kept, data, name)
        found = Store(store)
        manifest = found.manifest
        palettes = int(manifest.palettes["count"])
        write_costs(
            context.folder,
            whole,
            kept,
            found,
            bytes={**manifest.bytes, "palettes": palettes * 3 << manifest.bits},
            palettes=dict(manifest.palettes),
            notes=list(manifest.report["notes"]),
        )

    def output(self, folder: Path, part: str) -> Path:
        """See :meth:`StageKind.output`: the store, or ``costs``, see :func:`dcq_images.costs`."""
        if part not in ("", "costs"):
            return super().output(folder, part)
        return folder / (COSTS if part else STORE)


def _settings(description: Mapping[str, Any], seed: int) -> tuple[Settings, str | None]:
    """Return the settings, and the requested colour space or None."""
    from colorcnn.dcq.settings import settings_of
    from colorcnn.errors import UsageError

    given: dict[str, Any] = {}
    for change in changes_of(description, "settings"):
        given = merged(given, change)
    settings, idle = settings_of(description["recipe"], {**given, "seed": seed})
    if idle:
        raise UsageError(
            f"{idle[0]} changes nothing for {settings.palettes} palettes with these settings: leave it out."
        )
    return settings, given.get("space")


def _resolved_settings(described: Mapping[str, Any], seed: int) -> Settings:
    """Return the settings of a description, with the seed of the run."""
    from colorcnn.dcq.refine import Refinement
    from colorcnn.dcq.settings import Settings

    values = dict(described)
    refinement = Refinement(**values.pop("refinement"), seed=seed)
    return Settings(**values, refinement=refinement, seed=seed)


def _build(
    options: DcqBuildOptions,
    settings: Settings,
    space: str | None,
    context: StageContext,
    kept: ImageSource,
    data: ImageDataModule,
    name: str,
) -> None:
    from colorcnn import methods
    from colorcnn.dcq.build import Build

    quantizer = None
    if settings.method is not None:
        quantizer = methods.load_quantizer(settings.method, context.torch_device(), context.seed, space=space)
    Build(
        kept,
        settings,
        context.folder / STORE,
        extract=_extract(options, context, data),
        quantizer=quantizer,
        data=name,
        classifier=options.classifier and _name_of(options.classifier),
        say=context.say,
    ).run()


def _name_of(classifier: str) -> str:
    """Return the name of a classifier for a store's manifest. For a checkpoint it is the name of its run."""
    return Path(classifier).parent.parent.name if classifier.endswith(".ckpt") else classifier


def _extract(options: DcqBuildOptions, context: StageContext, data: ImageDataModule) -> Extract | None:
    if options.classifier is None:
        return None
    from colorcnn import classifiers
    from colorcnn.tasks.extract import extract

    network = classifiers.load_classifier(options.classifier, data.num_classes)
    return partial(
        extract, network, devices=[str(context.torch_device())], image_size=options.classifier_size
    )

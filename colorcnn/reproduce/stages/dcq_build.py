"""Stages of kind ``dcq-build``: a training set, quantized into a store."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from colorcnn.reproduce.stages.base import StageContext, StageKind
from colorcnn.reproduce.stages.dcq_images import (
    COSTS,
    check_pruning,
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


class DcqBuildStage(StageKind):
    """Builds a store of the images that a training on the same data would see; its output is the folder.

    Options:
        data: the training set, as a training takes it: ``class_path`` and ``init_args``.
        recipe: a name in :data:`colorcnn.dcq.settings.RECIPES`; ``paper`` unless given, unlike the command's.
        settings: what differs from it, as :class:`colorcnn.dcq.settings.Settings` has it; a mapping, or a
            list of mappings, made in turn.
        classifier: whose features and attention are used by settings that ask for those, and which others
            leave alone.
        prune: keep only some of the images: ``method``, ``share``, ``dynamics`` and ``dropped``, as
            :func:`colorcnn.dcq.pruning.prune` takes them.
        shorter_side: bring larger images to this side first.
        classifier_size: side of the images the classifier sees.
    """

    required = ("data",)
    resumes = True
    optional: ClassVar = {
        "recipe": "paper",
        "settings": {},
        "classifier": None,
        "prune": None,
        "shorter_side": None,
        "classifier_size": None,
    }

    def check(self, options: Mapping[str, Any], where: str) -> None:
        """See :meth:`StageKind.check`."""
        super().check(options, where)
        check_pruning(options, where)

    def describe(self, options: Mapping[str, Any], home: Path) -> dict[str, Any]:
        """See :meth:`StageKind.describe`: all settings, and a classifier only where they ask for one."""
        found = super().describe(options, home)
        settings, space = _settings(found, 0)
        uses_classifier = settings.layer is not None or settings.attends
        chosen = {key: value for key, value in settings.to_json().items() if key != "seed"}
        chosen["refinement"].pop("seed")
        classifier = found["classifier"] if uses_classifier else None
        return {**found, "settings": chosen, "classifier": classifier, "method_space": space}

    def run(self, description: Mapping[str, Any], context: StageContext) -> None:
        """See :meth:`StageKind.run`."""
        from colorcnn.dcq.storage import MANIFEST, Store

        data, name = open_training_data(description["data"], context)
        whole = training_split(data, description["shorter_side"])
        kept = pruned(whole, description["prune"], None, context.seed)
        store = self.output(context.folder, "")
        if not (store / MANIFEST).exists():
            _build(description, context, kept, data, name)
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
    """The settings, and the colour space where one was asked for."""
    from colorcnn.dcq.settings import described
    from colorcnn.errors import UsageError

    given: dict[str, Any] = {}
    for change in changes_of(description, "settings"):
        given = merged(given, change)
    settings, idle = described(description["recipe"], {**given, "seed": seed})
    if idle:
        raise UsageError(
            f"{idle[0]} changes nothing for {settings.palettes} palettes with these settings: leave it out."
        )
    return settings, given.get("space")


def _build(
    description: Mapping[str, Any], context: StageContext, kept: ImageSource, data: ImageDataModule, name: str
) -> None:
    from colorcnn import methods
    from colorcnn.dcq.build import Build
    from colorcnn.dcq.refine import Refinement
    from colorcnn.dcq.settings import Settings

    values, classifier = dict(description["settings"]), description["classifier"]
    refinement = Refinement(**values.pop("refinement"), seed=context.seed)
    settings = Settings(**values, refinement=refinement, seed=context.seed)
    quantizer = None
    if settings.method is not None:
        space, device = description["method_space"], context.torch_device()
        quantizer = methods.load_quantizer(settings.method, device, context.seed, space=space)
    Build(
        kept,
        settings,
        context.folder / STORE,
        extract=_extract(description, context, data),
        quantizer=quantizer,
        data=name,
        classifier=classifier and _name_of(classifier),
        say=context.say,
    ).run()


def _name_of(classifier: str) -> str:
    """What a store says of the classifier: the run of a checkpoint, wherever that lies."""
    return Path(classifier).parent.parent.name if classifier.endswith(".ckpt") else classifier


def _extract(description: Mapping[str, Any], context: StageContext, data: ImageDataModule) -> Extract | None:
    if description["classifier"] is None:
        return None
    from colorcnn import classifiers
    from colorcnn.tasks.extract import extract

    network = classifiers.load_classifier(description["classifier"], data.num_classes)
    return partial(extract, network, device=context.torch_device(), image_size=description["classifier_size"])

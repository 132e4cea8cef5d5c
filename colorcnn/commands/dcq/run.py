"""``colorcnn dcq``: write a training set in a few colours to a store, and use the store."""

from __future__ import annotations

import argparse
import json
import logging
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from colorcnn.commands.claims import sole_writer
from colorcnn.commands.dcq.options import build_settings
from colorcnn.commands.dcq.parser import parse
from colorcnn.data.registry import check_data
from colorcnn.dcq.formats import EXPORTS, check_export
from colorcnn.dcq.store_folder import check_store
from colorcnn.errors import UsageError, named_by_option
from colorcnn.methods import parse_method
from colorcnn.parallel import connected
from colorcnn.pretrained import check_classifier

if TYPE_CHECKING:
    from torch import nn

    from colorcnn.data.base import ImageDataModule
    from colorcnn.dcq.build import Build
    from colorcnn.dcq.settings import Settings
    from colorcnn.dcq.sources import ImageSource
    from colorcnn.dcq.storage import Manifest

_log = logging.getLogger(__name__)

PICTURE = "examples.png"
"""File in the folder of a store that shows some of its images."""

_SHOWN = 10


def main(argv: list[str]) -> int:
    """Run the command.

    Args:
        argv: its arguments.

    Returns:
        0, or 1 when ``verify`` found damage.

    Raises:
        UsageError: the options are invalid.
        ColorCNNError: the data, the classifier or the store is damaged, or files cannot be written.
    """
    options = parse(argv)
    run: dict[str, Callable[[argparse.Namespace], int]] = {
        "build": _build, "export": _export, "verify": _verify, "recode": _recode,
    }  # fmt: skip
    return run[options.command](options)


def _build(options: argparse.Namespace) -> int:
    check_data(options.data, options.root)
    if options.method is not None:
        parse_method(options.method)
    if options.classifier is not None:
        check_classifier(options.classifier)
    if options.out.exists() and not options.out.is_dir():
        raise UsageError(f"{options.out} is a file: give a folder with --out.")
    from colorcnn.dcq.build import Build, prepare_folder
    from colorcnn.methods import load_quantizer
    from colorcnn.pretrained import find_devices
    from colorcnn.records import weights_hash

    settings = build_settings(options)
    devices = find_devices(options.device)
    quantizer = None
    if settings.method is not None:
        quantizer = load_quantizer(settings.method, devices[0], settings.seed, space=options.space)
    data = _open_data(options)
    source = _source(options, data)
    network = _classifier(options, settings, data)
    with sole_writer(options.out):
        manifest = _unfinished_store(options, settings, source, network is not None)
        if manifest is None:
            prepare_folder(options.out, force=options.force)
            build = Build(
                source,
                settings,
                options.out,
                extract=_extractor(network, options, devices) if network is not None else None,
                quantizer=quantizer,
                data=options.data,
                classifier=options.classifier,
                classifier_input=None
                if network is None
                else [weights_hash(network), options.classifier_size],
                jobs=options.jobs,
                devices=devices,
                say=_log.info,
            )
            with connected(options.parallel):
                manifest = _run(build, options)
        _draw_examples(source, options.out)
    _print_sizes(manifest)
    return 0


def _run(build: Build, options: argparse.Namespace) -> Manifest:
    """Run a build. If it is stopped, print the command that resumes it."""
    try:
        return build.run()
    except KeyboardInterrupt:
        words = shlex.join(word for word in options.argv if word != "--force")
        _log.info(f"stopped, the finished work is kept in {options.out}: resume with `colorcnn dcq {words}`.")
        raise


def _unfinished_store(
    options: argparse.Namespace, settings: Settings, source: ImageSource, classified: bool
) -> Manifest | None:
    """Return the manifest of a store that this command wrote without its examples, or None.

    Args:
        options: options of the command.
        settings: settings of the build.
        source: the images.
        classified: True if the build uses a classifier.
    """
    from colorcnn.dcq.build import WORK
    from colorcnn.dcq.storage import read_manifest
    from colorcnn.dcq.store_folder import MANIFEST

    folder = options.out
    if options.force or not (folder / MANIFEST).is_file() or (folder / PICTURE).exists():
        return None
    manifest = read_manifest(folder)
    chosen = settings if classified else settings.without_classifier()[0]
    config = json.loads(json.dumps({**chosen.to_json(), "classifier": options.classifier}))
    stored = {name: value for name, value in manifest.config.items() if name != "hash"}
    if (manifest.data, stored, manifest.report.get("source")) != (options.data, config, source.key):
        return None
    shutil.rmtree(folder / WORK, ignore_errors=True)
    return manifest


def _draw_examples(source: ImageSource, folder: Path) -> None:
    """Write an image of evenly spaced images and their stored copies."""
    from colorcnn.dcq.storage import Store
    from colorcnn.evaluation.gallery import evenly_spaced
    from colorcnn.files import write_atomically
    from colorcnn.reporting.figures.canvas import to_png
    from colorcnn.reporting.figures.gallery import picture_rows

    chosen = evenly_spaced(len(source), _SHOWN)
    rows = {"original": source.read(chosen), "stored": Store(folder).read(chosen)}
    write_atomically(folder / PICTURE, to_png(picture_rows(rows)))


def _open_data(options: argparse.Namespace) -> ImageDataModule:
    from colorcnn.data import DATASETS, open_data

    common = {"root": options.root, "image_size": options.image_size, "download": options.download}
    if options.data not in DATASETS:
        size = options.test_size or 0
        return open_data(options.data, test_size=int(size) if size >= 1 else size, **common)
    if options.test_size is not None:
        raise UsageError(f"{options.data} has its own test split: remove --test-size.")
    return open_data(options.data, **common)


def _source(options: argparse.Namespace, data: ImageDataModule) -> ImageSource:
    """Return the training images, or those that pruning keeps."""
    from colorcnn.data import training_images
    from colorcnn.dcq.pruning import prune, read_dynamics
    from colorcnn.dcq.sources import Chosen

    source = training_images(data, options.shorter_side)
    if options.prune is None:
        for name in ("kept_images", "dynamics", "dropped"):
            if getattr(options, name) is not None:
                raise UsageError(f"--{name.replace('_', '-')} needs --prune: add it with a method.")
        return source
    if options.kept_images is None:
        raise UsageError("--prune needs --kept-images, the share of the images to keep, such as 0.1.")
    if options.dropped is not None and not options.prune.startswith("ccs-"):
        raise UsageError(f"--dropped changes nothing for {options.prune}: remove it, or use ccs-...")
    with named_by_option():
        dynamics = None if options.dynamics is None else read_dynamics(options.dynamics)
    rows = prune(
        options.prune,
        len(source),
        options.kept_images,
        dynamics,
        dropped=options.dropped or 0.0,
        seed=options.seed,
    )
    _log.info(f"{options.prune} keeps {len(rows):,} of {len(source):,} images")
    return Chosen(source, rows)


def _classifier(options: argparse.Namespace, settings: Settings, data: ImageDataModule) -> nn.Module | None:
    if options.classifier is None:
        return None
    if settings.layer is None and not settings.attends:
        raise UsageError("None of these steps uses a classifier: remove --classifier.")
    from colorcnn.classifiers import load_classifier

    return load_classifier(options.classifier, data.num_classes)


def _extractor(
    network: nn.Module, options: argparse.Namespace, devices: Sequence[str]
) -> Callable[..., None]:
    from functools import partial

    from colorcnn.tasks.extract import extract

    return partial(extract, network, devices=devices, image_size=options.classifier_size)


def _export(options: argparse.Namespace) -> int:
    check_export(options.format)
    check_store(options.store)
    from colorcnn.dcq.archives import export_archives
    from colorcnn.dcq.export import export_store
    from colorcnn.dcq.storage import Store

    store = Store(options.store)
    if options.format != EXPORTS[0]:
        total = export_archives(store, options.out, options.format, jobs=options.jobs)
        print(f"{len(store):,} images in {options.format} files of {total / len(store):,.1f} bytes per image")
        return 0
    total = export_store(store, options.out, jobs=options.jobs)
    print(f"{len(store):,} PNG files of {total / len(store):,.1f} bytes on average")
    return 0


def _verify(options: argparse.Namespace) -> int:
    check_store(options.store)
    from colorcnn.dcq.storage import read_manifest, verify_store

    problems = verify_store(options.store)
    for problem in problems:
        _log.error("%s", problem)
    if problems:
        return 1
    manifest = read_manifest(options.store)
    shards = "1 shard" if len(manifest.shards) == 1 else f"{len(manifest.shards):,} shards"
    print(f"{options.store} is whole: {manifest.images:,} images in {shards}.")
    return 0


def _recode(options: argparse.Namespace) -> int:
    check_data(options.data, options.root)
    from colorcnn.dcq.export import recode

    source = _source(options, _open_data(options))
    found = recode(
        source,
        options.out,
        options.format,
        target=options.bytes,
        quality=options.quality,
        jobs=options.jobs,
        seed=options.seed,
    )
    quality = "" if found.quality is None else f" at quality {found.quality}"
    print(
        f"{len(source):,} {options.format} files{quality}: {found.file_bytes:,.1f} bytes on average, "
        f"{found.payload_bytes:,.1f} without headers and tables"
    )
    return 0


def size_lines(manifest: Manifest) -> Sequence[str]:
    """Return the four sizes of a store as lines of text."""
    raw = manifest.bytes["raw"]
    rows = [
        ("nominal (q / 24)", manifest.bytes["nominal"]),
        ("packed indices", manifest.bytes["packed"]),
        ("coded, as stored", manifest.bytes["coded"]),
        ("source files", manifest.bytes["source"]),
    ]
    return [
        f"{name:18} {total / manifest.images:10,.1f} bytes per image  {raw / total:6.1f} times less than raw"
        for name, total in rows
        if total
    ]


def _print_sizes(manifest: Manifest) -> None:
    count = manifest.palettes["count"]
    print(f"{manifest.images:,} images, {count:,} palettes of {1 << manifest.bits} colours")
    print("\n".join(size_lines(manifest)))
    if (source := manifest.bytes["source"]) is not None:
        print(
            f"The store is {source / manifest.bytes['coded']:.1f} times smaller than the files it came from."
        )

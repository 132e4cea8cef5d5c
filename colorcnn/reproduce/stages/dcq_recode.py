"""Stages of kind ``dcq-recode``: a training set as image files of few bytes, or fewer of its files."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from colorcnn.errors import UsageError
from colorcnn.reproduce.stages.base import StageContext, StageKind
from colorcnn.reproduce.stages.dcq_images import (
    COSTS,
    check_pruning,
    costs,
    open_copies,
    open_training_data,
    pruned,
    training_split,
    write_costs,
)

FILES = "files"


class DcqRecodeStage(StageKind):
    """Writes the images that a training on the same data would see as files; its output is the folder.

    Options:
        data: the training set, as a training takes it: ``class_path`` and ``init_args``.
        format: ``jpeg`` or ``webp``; ``png``, or ``source`` for the images' own files, to keep some of them.
        like: a store whose coded bytes an image shall have in the mean: decides the quality, or the share of
            the images that pruning keeps.
        bytes: so many bytes an image in the mean, in place of ``like``.
        quality: of JPEG and WebP, in place of ``like``.
        prune: keep only some of the images: ``method``, ``share``, ``dynamics`` and ``dropped``, as
            :func:`colorcnn.dcq.pruning.prune` takes them.
    """

    required = ("data", "format")
    optional: ClassVar = {"like": None, "bytes": None, "quality": None, "prune": None}

    def check(self, options: Mapping[str, Any], where: str) -> None:
        """See :meth:`StageKind.check`."""
        from colorcnn.dcq.export import LOSSLESS

        super().check(options, where)
        check_pruning(options, where)
        chosen = [key for key in ("like", "bytes", "quality") if options.get(key) is not None]
        chosen += ["share"] * ((options.get("prune") or {}).get("share") is not None)
        if len(chosen) > 1:
            raise UsageError(f"{where}: {' and '.join(chosen)} both say how large the files are; give one.")
        if chosen and options["format"] in LOSSLESS and not options.get("prune"):
            raise UsageError(
                f"{where}: {options['format']} files have the size they have, whatever {chosen[0]} says; "
                "keep fewer of them with prune, or leave it out."
            )

    def run(self, description: Mapping[str, Any], context: StageContext) -> None:
        """See :meth:`StageKind.run`; files of an interrupted stage are written again."""
        from colorcnn.dcq.export import LOSSLESS, mean_payload, recode

        data, name = open_training_data(description["data"], context)
        whole = training_split(data)
        target, share = description["bytes"], None
        if description["like"] is not None:
            like = costs(description["like"])
            target = like["bytes"]["coded"] / like["of"]
        if description["format"] in LOSSLESS and target is not None:
            share = min(1.0, target / mean_payload(whole, description["format"], seed=context.seed))
            target = None
        kept = pruned(whole, description["prune"], share, context.seed)
        out = self.output(context.folder, "")
        shutil.rmtree(out, ignore_errors=True)
        found = recode(
            kept, out, description["format"], target=target, quality=description["quality"], seed=context.seed
        )
        write_costs(
            context.folder,
            whole,
            kept,
            open_copies(out, name, download=context.download),
            bytes={
                "coded": round(found.payload_bytes * len(kept)),
                "files": round(found.file_bytes * len(kept)),
                "source": kept.size_bytes(),
            },
            quality=found.quality,
        )

    def output(self, folder: Path, part: str) -> Path:
        """See :meth:`StageKind.output`: the files, or ``costs``, see :func:`dcq_images.costs`."""
        if part not in ("", "costs"):
            return super().output(folder, part)
        return folder / (COSTS if part else FILES)

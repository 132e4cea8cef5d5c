"""Stages of kind ``dcq-recode``: a training set as small image files, or as fewer of its own files."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from colorcnn.errors import UsageError
from colorcnn.reproduce.options import Content, PositiveFloat, PositiveInt
from colorcnn.reproduce.stages.base import StageContext, StageKind
from colorcnn.reproduce.stages.dcq_images import (
    COSTS,
    Pruning,
    costs,
    open_copies,
    open_training_data,
    pruned,
    training_split,
    write_costs,
)

FILES = "files"


@dataclass(frozen=True)
class DcqRecodeOptions:
    """Options of :class:`DcqRecodeStage`.

    At most one of ``like``, ``bytes``, ``quality`` and the share of ``prune`` may be given.

    Attributes:
        data: the training set: a name, or ``class_path`` and ``init_args``.
        format: ``jpeg``, ``webp`` or ``png``; or ``source`` for the images' own files.
        like: a store, whose mean number of coded bytes per image is the target. The quality, or the share of
            images that pruning keeps, is chosen to match.
        bytes: the target in bytes per image, in place of ``like``.
        quality: the quality of JPEG and WebP, in place of ``like``.
        prune: keep only some of the images.
    """

    data: str | Content
    format: Literal["jpeg", "webp", "png", "source"]
    like: str | None = None
    bytes: PositiveFloat | None = None
    quality: PositiveInt | None = None
    prune: Pruning | None = None

    def __post_init__(self) -> None:
        from colorcnn.dcq.export import LOSSLESS

        chosen = [key for key in ("like", "bytes", "quality") if getattr(self, key) is not None]
        chosen += ["share"] * (self.prune is not None and self.prune.share is not None)
        if len(chosen) > 1:
            raise UsageError(f"{' and '.join(chosen)} both decide the size of the files; give one.")
        if chosen and self.format in LOSSLESS and self.prune is None:
            raise UsageError(
                f"{chosen[0]} cannot change the size of {self.format} files; "
                f"add prune to keep fewer of them, or remove {chosen[0]}."
            )


class DcqRecodeStage(StageKind):
    """Stage that writes the images of a training on the same data as files. Its output is the folder."""

    options_type = DcqRecodeOptions

    def run(self, description: Mapping[str, Any], context: StageContext) -> None:
        """See :meth:`StageKind.run`. The files of an interrupted stage are written again."""
        from colorcnn.dcq.export import LOSSLESS, mean_payload, recode

        options: DcqRecodeOptions = self.read(description)
        data, name = open_training_data(options.data, context)
        whole = training_split(data)
        target, share = options.bytes, None
        if options.like is not None:
            like = costs(options.like)
            target = like["bytes"]["coded"] / like["of"]
        if options.format in LOSSLESS and target is not None:
            share = min(1.0, target / mean_payload(whole, options.format, seed=context.seed))
            target = None
        kept = pruned(whole, options.prune, share, context.seed)
        out = self.output(context.folder, "")
        shutil.rmtree(out, ignore_errors=True)
        found = recode(kept, out, options.format, target=target, quality=options.quality, seed=context.seed)
        write_costs(
            context.folder,
            whole,
            kept,
            open_copies(out, name, data),
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

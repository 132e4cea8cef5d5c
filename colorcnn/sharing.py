"""Methods of a network for the checkpoint folder and the Hugging Face Hub."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import nn

from colorcnn.checkpoint_config import Config
from colorcnn.errors import UsageError


class Shareable(nn.Module):
    """Base class of networks that a checkpoint folder can hold.

    The methods call the functions of :mod:`colorcnn` with the same names.

    Attributes:
        kind: kind of its checkpoints, one of :data:`colorcnn.checkpoint_config.KINDS`.
        config: description of the network, set if the network is built by name, trained or loaded.
    """

    kind: ClassVar[str]
    config: Config | None = None

    def describe(self, architecture: str, kwargs: Mapping[str, Any]) -> Self:
        """Keep the name and the options that build this network, and return it.

        Args:
            architecture: a key of :data:`colorcnn.models.MODELS`.
            kwargs: options as JSON values.
        """
        self.config = Config(self.kind, architecture, dict(kwargs))
        return self

    @classmethod
    def from_pretrained(cls, name_or_dir: str | os.PathLike[str], **options: Any) -> Self:
        """Load a pretrained network of this class.

        Args:
            name_or_dir: a name, a folder or a repository, see :func:`colorcnn.from_pretrained`.
            **options: options of :func:`colorcnn.from_pretrained`.

        Raises:
            UsageError: the network does not exist, or is of another class.
            ColorCNNError: the checkpoint is damaged, or the download failed.
        """
        import colorcnn

        model = colorcnn.from_pretrained(name_or_dir, **options)
        if not isinstance(model, cls):
            raise UsageError(
                f"{os.fspath(name_or_dir)} is a {type(model).__name__}, not a {cls.__name__}: "
                "load it with colorcnn.from_pretrained."
            )
        return model

    def save_pretrained(self, directory: str | os.PathLike[str], **options: Any) -> Path:
        """Write a checkpoint folder with a model card; see :func:`colorcnn.save_pretrained`.

        Args:
            directory: the folder.
            **options: options of that function.
        """
        import colorcnn

        return colorcnn.save_pretrained(self, directory, **options)

    def push_to_hub(self, repo: str, **options: Any) -> str:
        """Upload the network to the Hugging Face Hub; see :func:`colorcnn.push_to_hub`.

        Args:
            repo: ``USER/REPO``.
            **options: options of that function.
        """
        import colorcnn

        return colorcnn.push_to_hub(self, repo, **options)

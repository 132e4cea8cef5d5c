"""Checkpoint folders on the Hugging Face Hub.

``hf:USER/REPO`` is a repository of the Hub, ``hf:USER/REPO@REVISION`` a branch, tag or commit of it. Only
config.json and model.safetensors are downloaded, and neither can hold code. The client library is imported
only if such a name is used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from colorcnn.checkpoint_config import CONFIG, WEIGHTS
from colorcnn.errors import ColorCNNError, UsageError, quoted, shortened
from colorcnn.version import __version__

PREFIX = "hf:"
PUSHED = (CONFIG, WEIGHTS, "README.md", "config.yaml", "scores.jsonl")
"""The files of a checkpoint folder that are uploaded."""

_NAME = re.compile(r"(?:hf:)?([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", re.ASCII)


def is_hub_name(spec: str) -> bool:
    """Return True if a name begins with ``hf:``."""
    return spec.startswith(PREFIX)


def is_repository(name: str) -> bool:
    """Return True if a name has the form ``USER/REPO`` without ``hf:``, and is not a path.

    ``runs/plus`` is a path if the folder ``runs`` exists, so that a misspelled path causes no request.
    """
    return not is_hub_name(name) and bool(_NAME.fullmatch(name)) and not Path(name).parent.exists()


def parse_hub_name(name: str) -> tuple[str, str | None]:
    """Return the repository ``USER/REPO`` and the revision, or None, of a name.

    Args:
        name: ``USER/REPO`` or ``USER/REPO@REVISION``, with or without ``hf:``.

    Raises:
        UsageError: the name has another form.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise _invalid_name(name)
    return found[1], found[2]


def fetch(
    name: str,
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
) -> Path:
    """Download a checkpoint folder if it is not in the Hub's cache.

    Args:
        name: ``USER/REPO`` or ``USER/REPO@REVISION``, with or without ``hf:``.
        revision: a branch, tag or commit; the main branch by default.
        cache_dir: the Hub's cache; by default that of ``HF_HOME`` or ``HF_HUB_CACHE``.
        token: token for private repositories; by default ``HF_TOKEN`` or the token of ``hf auth login``.
        local_files_only: True to use only the cache, like ``HF_HUB_OFFLINE=1``.
        force_download: True to download files that are in the cache, too.

    Returns:
        The folder in the cache.

    Raises:
        UsageError: the name is invalid, or the repository or revision does not exist.
        ColorCNNError: the download failed, or the repository holds no checkpoint.
    """
    repo, named = parse_hub_name(name)
    if named and revision and named != revision:
        raise UsageError(f"{name} has a revision and revision is {quoted(revision)}: give one of them.")
    from huggingface_hub import snapshot_download

    with _readable_errors(repo):
        folder = Path(
            snapshot_download(
                repo,
                revision=revision or named,
                cache_dir=None if cache_dir is None else Path(cache_dir),
                token=token,
                local_files_only=local_files_only,
                force_download=force_download,
                allow_patterns=[CONFIG, WEIGHTS],
                library_name="colorcnn",
                library_version=__version__,
            )
        )
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).is_file():
            raise ColorCNNError(
                f"{repo} of the Hugging Face Hub has no {file}",
                "use a repository that colorcnn pushed, or download it again",
                code="hub-no-checkpoint",
                repo=repo,
            )
    return folder


@cache
def fetch_once(name: str) -> Path:
    """Download a checkpoint folder with the default options, once per process.

    Args:
        name: ``USER/REPO`` or ``USER/REPO@REVISION``, with or without ``hf:``.
    """
    return fetch(name)


def push(
    folder: str | os.PathLike[str],
    repo: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    revision: str | None = None,
    message: str | None = None,
    create_pr: bool = False,
) -> str:
    """Upload a checkpoint folder; create the repository if it is missing.

    Args:
        folder: the folder with config.json and model.safetensors.
        repo: ``USER/REPO``.
        private: True for a private new repository; by default the account's setting.
        token: the token; by default ``HF_TOKEN`` or the token of ``hf auth login``.
        revision: the branch, created if it is missing; the main branch by default.
        message: commit message.
        create_pr: True to open a pull request instead of a commit.

    Returns:
        The address of the commit or of the pull request.

    Raises:
        UsageError: the name is invalid, or the token has no write access.
        ColorCNNError: the upload failed.
    """
    repo, named = parse_hub_name(repo)
    revision = revision or named
    from huggingface_hub import HfApi

    with _readable_errors(repo):
        api = HfApi(token=token, library_name="colorcnn", library_version=__version__)
        api.create_repo(repo, private=private, exist_ok=True)
        if revision and not create_pr:
            api.create_branch(repo, branch=revision, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo,
            folder_path=Path(folder),
            allow_patterns=list(PUSHED),
            revision=revision,
            commit_message=message or "Upload a colorcnn checkpoint",
            create_pr=create_pr,
        )
    return str(commit.pr_url or commit.commit_url)


def _invalid_name(name: str) -> UsageError:
    problem = f"{quoted(name)} is not the name of a repository of the Hugging Face Hub"
    return UsageError(problem, "write hf:USER/REPO", code="hub-name")


@contextmanager
def _readable_errors(repo: str) -> Iterator[None]:
    """Convert each error of the client library to one sentence."""
    from huggingface_hub import utils

    offline = (utils.OfflineModeIsEnabled, utils.LocalEntryNotFoundError)
    try:
        yield
    except utils.HFValidationError as error:
        raise _invalid_name(repo) from error
    except utils.RevisionNotFoundError as error:
        raise UsageError(
            f"{repo} of the Hugging Face Hub has no such revision",
            "use one of its branches, tags or commits",
            code="hub-missing",
            repo=repo,
        ) from error
    except utils.RepositoryNotFoundError as error:  # includes gated and private repositories
        raise UsageError(
            f"The Hugging Face Hub shows no repository {repo}",
            "check its name, and use a token with access (HF_TOKEN, or `hf auth login`)",
            code="hub-missing",
            repo=repo,
        ) from error
    except offline as error:
        raise ColorCNNError(
            f"{repo} is not in the cache of the Hugging Face Hub, and the Hub is offline or not reachable",
            "check the connection, HF_HUB_OFFLINE and the cache, or use a checkpoint folder",
            code="hub-offline",
            repo=repo,
        ) from error
    except Exception as error:  # connections, proxies, certificates and full disks fail in many ways
        reason = shortened((str(error) or type(error).__name__).splitlines()[0].rstrip("."), 200)
        raise ColorCNNError(
            f"The transfer of {repo} from or to the Hugging Face Hub failed ({reason})",
            "check the connection and the token (HF_TOKEN, or `hf auth login`)",
            code="hub-failed",
            repo=repo,
        ) from error

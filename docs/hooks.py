"""Hooks of the site: pictures and records of experiments/results become files of the site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

RESULTS = Path(__file__).resolve().parent.parent / "experiments" / "results"
LINK = "../../../experiments/results/"
"""The start of a link from a page of results to a record, as it works in the repository, too."""


def on_files(files: Files, config: Any) -> Files:
    """Add every record and picture below ``records/``."""
    for path in sorted(RESULTS.iterdir()):
        files.append(File.generated(config, f"records/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point links that work in the repository to the files of the site."""
    return markdown.replace(LINK, "../records/")

"""Hooks of the site: files of the repository outside docs/pages/ become files of the site.

A page may link to ``../../experiments/results/NAME.png``. The link works where the repository is browsed. For
the site the file is copied to ``repository/`` and the link is changed. A link to a missing file stays, and
MkDocs reports it. CONTRIBUTING.md and CHANGELOG.md become pages.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
PAGES = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
"""Pages of the site that are files at the root of the repository."""
_LINK = re.compile(r"(\]\()([^)#\s]+)")
_COPIES = "repository"


def on_files(files: Files, config: Any) -> Files:
    """Add the pages at the root, and every linked file outside docs/pages/."""
    for uri, name in PAGES.items():
        files.append(File.generated(config, uri, content=_moved((ROOT / name).read_text(encoding="utf-8"))))
    for page in list(files.documentation_pages()):
        for path in _outside(page.content_string, page.src_uri, Path(config.docs_dir)).values():
            uri = _copy_of(path)
            if files.get_file_from_path(uri) is None:
                files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point links to files outside docs/pages/ at their copies."""
    uri = page.file.src_uri
    found = _outside(markdown, uri, Path(config.docs_dir))
    folder = posixpath.dirname(uri) or "."

    def changed(match: re.Match[str]) -> str:
        path = found.get(match[2])
        return match[0] if path is None else match[1] + posixpath.relpath(_copy_of(path), folder)

    return _LINK.sub(changed, markdown)


def _moved(markdown: str) -> str:
    """Return a page of the root with links as from docs/pages/."""
    for uri, name in PAGES.items():
        markdown = markdown.replace(f"]({name})", f"]({uri})")
    return markdown.replace("](docs/pages/", "](")


def _outside(markdown: str, uri: str, docs: Path) -> dict[str, Path]:
    """Return the links of a page that name files of the repository outside docs/pages/, no pages."""
    return {link: path for link, path in _targets(markdown, uri, docs) if path.is_file()}


def _targets(markdown: str, uri: str, docs: Path) -> Iterator[tuple[str, Path]]:
    for match in _LINK.finditer(markdown):
        if not re.match(r"[a-z]+:", match[2]):
            path = Path(os.path.normpath(docs / posixpath.dirname(uri) / match[2]))
            if ROOT in path.parents and docs not in path.parents and path.suffix != ".md":
                yield match[2], path


def _copy_of(path: Path) -> str:
    return f"{_COPIES}/{path.relative_to(ROOT).as_posix()}"

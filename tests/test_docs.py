"""Links, anchors, navigation and names of the pages lead to what exists; the README is short."""

import configparser
import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from colorcnn.pretrained import available
from colorcnn.reporting.published import PUBLISHED

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "docs" / "pages"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "experiments/README.md")),
    *sorted((ROOT / "checkpoints").glob("*/README.md")),
    *sorted(SITE.rglob("*.md")),
]
GENERATED = {"contributing.md", "changelog.md"}
LINK = re.compile(r"\]\(([^)\s]+)\)")


def without_code(text):
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors(page):
    """The anchors of a page: its headings as GitHub and MkDocs write them, and the names of its API."""
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", without_code(text), flags=re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.replace("`", "")).strip().lower() for heading in headings)
    return {re.sub(r"[ -]+", "-", heading) for heading in plain}


def documented(page):
    return re.findall(r"^::: ([\w.]+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)


def look_up(name):
    """The object that a dotted name stands for."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise AssertionError(f"nothing is called {name}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page):
    for link in LINK.findall(without_code(page.read_text(encoding="utf-8"))):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = page if not path else Path(os.path.normpath(page.parent / path))
        assert target.exists(), f"{link}: no such file"
        if anchor.startswith("colorcnn."):
            assert any(anchor == name or anchor.startswith(f"{name}.") for name in documented(target)), link
            look_up(anchor)
        elif anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{link}: no such heading"


def test_the_navigation_lists_every_page_once():
    text = re.sub(r"!!python\S+", "", (ROOT / "docs" / "mkdocs.yml").read_text())

    def leaves(entry):
        if isinstance(entry, str):
            yield entry
        else:
            for item in entry.values() if isinstance(entry, dict) else entry:
                yield from leaves(item)

    listed = list(leaves(yaml.safe_load(text)["nav"]))
    pages = {path.relative_to(SITE).as_posix() for path in SITE.rglob("*.md")}
    assert sorted(listed) == sorted(pages | GENERATED)


def test_the_api_pages_name_what_exists():
    names = [name for page in (SITE / "api").glob("*.md") for name in documented(page)]
    assert len(names) == len(set(names))
    for name in names:
        look_up(name)


def test_every_convention_names_a_test_that_exists():
    named = re.findall(
        r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (SITE / "ecosystem.md").read_text(encoding="utf-8")
    )
    assert named
    for path, name in named:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^\s*(def|class) {name}\b", text, flags=re.MULTILINE) if name else text, path


def test_every_equation_names_a_function_in_its_file():
    rows = re.findall(r"^\| (?:Eq|section) .*$", (SITE / "equations.md").read_text(), flags=re.MULTILINE)
    numbers = {number for row in rows for number in re.findall(r"\d+", row.split("|")[1]) if "Eq" in row[:5]}
    assert {"1", "9", "16"} <= numbers
    for row in rows:
        _, _, _, functions, file, _ = row.split("|")
        module = file.strip(" `").removesuffix(".py").replace("/", ".")
        for name in re.findall(r"`([\w.]+)`", functions):
            look_up(f"{module}.{name}")


def test_the_questions_of_a_new_reader_have_a_heading():
    headings = {anchor for page in SITE.rglob("*.md") for anchor in anchors(page)}
    assert {
        "what-decides-a-stages-cache-key",
        "which-command-made-this-number",
        "what-is-in-a-dcq-shard",
        "your-own-quantizer",
        "equations",
        "prediction-by-context",
        "why-does-the-result-have-fewer-colours-than-i-asked-for",
        "how-many-colours-should-i-take",
        "what-does-this-error-mean",
    } <= headings


def test_the_page_on_evaluate_names_every_published_table():
    section = (SITE / "evaluate.md").read_text().partition("## Published numbers")[2].partition("\n## ")[0]
    assert set(re.findall(r"`([\w]+-[\w-]+)`", section.replace("--published", ""))) == set(PUBLISHED)


def test_the_page_on_training_names_the_recipe_of_every_pretrained_model():
    rows = re.findall(
        r"^\| `([\w.-]+)` \| `(experiments/[\w./-]+)` \|$", (SITE / "train.md").read_text(), re.M
    )
    assert {name for name, _ in rows} == set(available())
    for name, recipe in rows:
        assert (ROOT / recipe).is_file()
        assert f"| Recipe | `{recipe}` |" in (ROOT / "checkpoints" / name / "README.md").read_text()


def test_the_readme_is_short_and_begins_with_a_photograph_that_looks_good():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    first = next(line for line in text.splitlines() if line.startswith("colorcnn quantize"))
    assert "--method k-means" in first


def test_the_strict_rules_hold_for_the_whole_package():
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    rules = ("disallow_any_generics", "disallow_untyped_calls", "disallow_untyped_defs", "strict_equality")
    assert all(mypy[rule] for rule in rules)
    excepted = {
        name
        for entry in mypy["overrides"]
        if entry.get("disallow_untyped_defs") is False
        for name in entry["module"]
    }
    for name in excepted:
        path = (ROOT / name.replace(".", "/")).with_suffix(".py")
        assert "njit" in path.read_text(encoding="utf-8"), f"{name} compiles no kernel"


def test_the_workflows_test_every_python_that_the_package_names():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    named = re.findall(r":: (3\.\d+)", setup["metadata"]["classifiers"])
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]
    assert jobs["tests"]["strategy"]["matrix"]["python"] == named
    assert len(jobs["tests"]["strategy"]["matrix"]["os"]) == 3


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    for name in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(name)
    site = tmp_path / "site"
    build = ["build", "--strict", "-f", "docs/mkdocs.yml", "-d", site]
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", *build],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    page = (site / "equations" / "index.html").read_text()
    assert "colorcnn.models.assignment.top_k_softmax" in page
    assert "fonts.googleapis" not in page

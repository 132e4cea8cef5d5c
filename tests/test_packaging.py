"""The source distribution, the recipe of conda-forge and the Dockerfile agree with setup.cfg and git."""

import configparser
import fnmatch
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from colorcnn import cli

ROOT = Path(__file__).resolve().parents[1]
PACKAGING = ROOT / "tools" / "packaging"
CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
OF_EXTRAS = {"docstring_parser", "typeshed-client"}  # jsonargparse[signatures]; conda has no extras


def setup_cfg():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


def setup_version():
    return re.search(r'"(.+)"', (ROOT / "colorcnn" / "version.py").read_text().split("__version__")[1])[1]


def requirements():
    """Name -> limits of the versions, as conda writes them."""
    lines = setup_cfg()["options"]["install_requires"].split("\n")
    found = (re.fullmatch(r"([\w-]+)(?:\[\w+\])?(.*)", line.strip()) for line in lines if line.strip())
    return {CONDA.get(match[1], match[1]): match[2] for match in found}


def test_the_source_distribution_holds_everything_that_git_has():
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no checkout")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    rules = [line.split() for line in (ROOT / "MANIFEST.in").read_text().splitlines() if line[:1] not in "#"]
    grafted = {name for rule in rules if rule[0] == "graft" for name in rule[1:]}
    included = {name for rule in rules if rule[0] == "include" for name in rule[1:]}
    always = {"MANIFEST.in", "README.md", "LICENSE", "setup.cfg", "pyproject.toml"}  # setuptools takes them
    packages = {"colorcnn", "checkpoints"}  # package_data names their files
    for name in listed.stdout.splitlines():
        top = name.partition("/")[0]
        assert top in grafted | included | always | packages, f"{name}: add it to MANIFEST.in"


def test_every_file_of_the_package_is_package_data():
    config = setup_cfg()["options.package_data"]
    for package, patterns in (("colorcnn.checkpoints", "checkpoints"), ("colorcnn.explorer", None)):
        folder = ROOT / (patterns or package.replace(".", "/"))
        globs = config[package].replace(",", " ").split() if package in config else []
        for path in folder.rglob("*"):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                assert any(fnmatch.fnmatch(name, each) for each in globs), f"{package}: {name}"


def test_the_recipe_for_conda_forge_has_the_requirements_of_setup_cfg():
    recipe = yaml.safe_load((PACKAGING / "recipe.yaml").read_text())
    found = dict(line.partition(" ")[::2] for line in recipe["requirements"]["run"])
    assert found.pop("python") == setup_cfg()["options"]["python_requires"]
    assert {name: limits for name, limits in found.items() if name not in OF_EXTRAS} == requirements()
    entry = setup_cfg()["options.entry_points"]["console_scripts"].strip()
    assert recipe["build"]["python"]["entry_points"] == [entry]
    assert recipe["context"]["version"] == setup_version()


def test_the_recipe_renders():
    builder = pytest.importorskip("rattler_build")
    recipe = builder.Stage0Recipe.from_file(str(PACKAGING / "recipe.yaml"))
    (variant,) = recipe.render(builder.VariantConfig())
    rendered = variant.recipe.to_dict()
    assert rendered["package"] == {"name": "colorcnn", "version": setup_version()}
    assert "pytorch" in str(rendered["requirements"]["run"])


def test_the_dockerfile_has_no_fault_that_hadolint_knows():
    program = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([program, str(PACKAGING / "Dockerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_library_that_is_not_installed_is_told_in_a_sentence(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "msgspec", None)
    monkeypatch.setitem(cli.COMMANDS, "toy", cli.Command("msgspec", "needs a library"))
    assert cli.main(["toy"]) == 1
    message = capsys.readouterr().err
    assert "msgspec is not installed" in message
    assert message.count("\n") == 1


def test_the_image_gets_what_the_package_is_built_of():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    folders = setup_cfg()["options"]["package_dir"].split()[2::3]
    assert {"setup.cfg", "pyproject.toml", "README.md", "LICENSE", "colorcnn", *folders} <= kept
    dockerfile = (PACKAGING / "Dockerfile").read_text()
    for name in ("torch", "torchvision"):  # installed in a layer of their own, before the package
        limits = requirements()[CONDA.get(name, name)]
        assert f'"{name}{limits}"' in dockerfile

"""Direction of imports: a room imports only rooms listed before it, and there is no cycle."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import colorcnn

PACKAGE = Path(colorcnn.__file__).parent
ROOMS = [
    "errors", "compiled", "schema", "trust", "lazy", "version", "files", "parallel", "colors", "indexed",
    "paletted", "srgb", "images", "arrays", "records", "checkpoint_config", "graphs", "sharing", "vq",
    "quantizers", "models", "losses", "recognition", "alpha", "weights", "hub", "pretrained", "compression",
    "cards", "publishing", "classifiers", "class_map", "methods", "named_weights", "api", "transforms",
    "export", "dcq", "data", "evaluation", "reporting", "explorer", "tasks", "reproduce", "commands", "cli",
    "__main__",
]  # fmt: skip
NAMED = {"models", "weights", "pretrained", "classifiers", "methods", "api"}
FORBIDDEN = {"data": NAMED, "evaluation.metrics": {*NAMED, "data"}}
MAY_IMPORT_LIGHTNING = ("tasks.", "data.", "commands.")


def module_name(path):
    return (
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")
    )


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
NAMES = [name for name in MODULES if name]


def imports(name):
    """Every module named by an import statement of a module, those inside functions too."""
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            for alias in node.names:
                longer = f"{node.module}.{alias.name}"
                yield longer if longer.removeprefix("colorcnn.") in MODULES else str(node.module)


def own_imports(name):
    return {
        found.removeprefix("colorcnn.") for found in imports(name) if found.startswith("colorcnn.")
    }  # fmt: skip


def test_every_module_has_a_room():
    assert {name.split(".")[0] for name in NAMES} <= set(ROOMS)


@pytest.mark.parametrize("name", NAMES)
def test_a_module_imports_only_rooms_before_its_own(name):
    room = name.split(".")[0]
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    for key, banned in FORBIDDEN.items():
        if name == key or name.startswith(f"{key}."):
            allowed -= banned
    assert {found.split(".")[0] for found in own_imports(name)} <= allowed


def test_no_imports_go_in_a_circle():
    order = graphlib.TopologicalSorter({name: own_imports(name) - {name} for name in NAMES})
    assert list(order.static_order())


@pytest.mark.parametrize("name", NAMES)
def test_lightning_stays_in_its_rooms(name):
    found = {imported.split(".")[0] for imported in imports(name)}
    assert "lightning" not in found, "import pytorch_lightning instead, and never both"
    if not name.startswith(MAY_IMPORT_LIGHTNING):
        assert "pytorch_lightning" not in found


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import colorcnn", {"torch", "numpy", "PIL"}),
        ("import colorcnn.cli", {"torch", "numpy", "PIL"}),
        (
            "import colorcnn.api, colorcnn.commands.quantize.run, colorcnn.classifiers, colorcnn.publishing",
            {
                "pytorch_lightning",
                "torchvision",
                "matplotlib",
                "torchmetrics",
                "sklearn",
                "jsonargparse",
                "segmentation_models_pytorch",
                "timm",
                "bjontegaard",
                "constriction",
                "zstandard",
                "huggingface_hub",
                "onnxruntime",
                "onnxscript",
            },
        ),
    ],
)
def test_importing_stays_light(code, absent):
    check = f"{code}; import sys; print(sorted({absent!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

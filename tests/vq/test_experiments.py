"""The configurations of experiments/vq describe compressors that can be built."""

from pathlib import Path

import pytest

from colorcnn.reproduce.yaml_file import read_yaml
from colorcnn.tasks.vq import VQTask
from colorcnn.vq.sources import SOURCES

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "vq"
FILES = [path for path in sorted(FOLDER.glob("*.yaml")) if read_yaml(path)["kind"] == "fit"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_configuration_builds_its_compressor(file):
    content = read_yaml(file)
    data, model = content["data"], content["model"]
    assert model["class_path"] == "VQTask"
    dimension = None
    if data["class_path"] == "VectorSource":
        dimension = SOURCES[data["init_args"]["source"]](data["init_args"].get("dimension")).dimension
    task = VQTask(dimension, **model["init_args"])
    assert task.compressor.quantizer.groups >= 1
    assert f"experiments/vq/{file.name}" in file.read_text(), "the command is in its first lines"

"""The configurations of experiments/vq describe compressors that can be built."""

from pathlib import Path

import pytest
import yaml

from colorcnn.tasks.vq import VQTask
from colorcnn.vq.sources import SOURCES

FILES = sorted((Path(__file__).resolve().parents[2] / "experiments" / "vq").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_configuration_builds_its_compressor(file):
    content = yaml.safe_load(file.read_text())
    assert content["kind"] == "fit"
    data, model = content["data"], content["model"]
    assert model["class_path"] == "VQTask"
    dimension = None
    if data["class_path"] == "VectorSource":
        dimension = SOURCES[data["init_args"]["source"]](data["init_args"].get("dimension")).dimension
    task = VQTask(dimension, **model["init_args"])
    assert task.compressor.quantizer.groups >= 1
    assert f"experiments/vq/{file.name}" in file.read_text(), "the command is in its first lines"

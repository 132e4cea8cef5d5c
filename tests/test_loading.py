"""Networks by every name that a user may give: runs, checkpoints, and networks of other libraries."""

import shutil

import pytest
import timm
import torch
from torchvision import models as torchvision_models
from toy_checkpoints import PLUS

import colorcnn
from colorcnn.classifiers import load_classifier
from colorcnn.errors import ColorCNNError, UnknownName
from colorcnn.methods import Method, load_quantizer, parse_method
from colorcnn.models import create_model

IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def run(tmp_path):
    torch.manual_seed(0)
    model = create_model("colorcnn-plus", **PLUS)
    options = {"architecture": "colorcnn-plus", "sizes": [2, 4], "quantizer_kwargs": PLUS}
    state = {f"quantizer.{key}": value for key, value in model.state_dict().items()}
    folder = tmp_path / "runs" / "mine" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save({"state_dict": state, "hyper_parameters": options}, folder / "best.ckpt")
    shutil.copy(folder / "best.ckpt", folder / "last.ckpt")
    return folder.parent


@pytest.mark.parametrize("part", ["", "checkpoints", "checkpoints/last.ckpt"])
def test_a_run_loads_everywhere_by_its_folder_its_checkpoints_and_its_file(run, part):
    place = str(run / part)
    expected = colorcnn.from_pretrained(str(run)).quantize(IMAGES, 2).indices
    assert torch.equal(colorcnn.from_pretrained(place).quantize(IMAGES, 2).indices, expected)
    for method in (f"colorcnn-plus:{place}", place):
        assert torch.equal(load_quantizer(method)(IMAGES, 2).indices, expected)
    with pytest.raises(ColorCNNError, match="is a quantizer: use a classifier"):
        load_classifier(place)


def test_a_checkpoint_is_a_method_by_its_name_alone(checkpoints):
    assert parse_method("toy-plus+ordered") == Method("colorcnn-plus", "toy-plus", "ordered")


def test_loaded_networks_tell_their_configuration(checkpoints):
    model = colorcnn.from_pretrained("toy-plus")
    assert (model.config.architecture, model.classes) == ("colorcnn-plus", ())


def test_names_are_found_by_kind_and_wildcard(checkpoints):
    assert "toy-plus" in colorcnn.available("quantizer", "toy-*")
    assert colorcnn.available(pattern="nothing*") == []


def test_networks_of_timm_bring_their_normalisation_and_size(monkeypatch):
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained, real=timm.create_model: real(name))
    model = load_classifier("timm:test_resnet")
    expected = timm.data.resolve_model_data_config(model.network)
    assert model.size == expected["input_size"][1:]
    assert torch.allclose(model.mean.flatten(), torch.tensor(expected["mean"]))
    assert model(IMAGES).shape == (2, model.num_classes)
    with pytest.raises(UnknownName, match="did you mean"):
        load_classifier("timm:test_resnett")


def test_networks_of_torchvision_bring_their_classes(monkeypatch):
    real = torchvision_models.get_model
    monkeypatch.setattr(torchvision_models, "get_model", lambda name, weights: real(name, weights=None))
    model = load_classifier("torchvision:squeezenet1_1")
    assert (len(model.classes), model.num_classes, model.size) == (1000, 1000, (224, 224))
    assert model(IMAGES).shape == (2, 1000)


def test_weights_that_cannot_be_downloaded_are_told_in_a_sentence(monkeypatch):
    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ColorCNNError, match=r"could not be downloaded .no route to host") as caught:
        load_classifier("timm:test_resnet")
    assert caught.value.code == "no-weights"

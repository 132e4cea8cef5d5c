"""Classifiers: their forms for small images, normalisation inside, and freezing that holds."""

import pytest
import tiny
import torch
from torch import nn

from colorcnn.errors import UsageError
from colorcnn.models import CLASSIFIERS, create_classifier, frozen

SMALL = {"alexnet": 2.25e6, "vgg16": 14.7e6, "resnet18": 11.17e6, "resnet9": 0.93e6}


@pytest.mark.parametrize(("name", "weights"), SMALL.items())
def test_small_image_forms(name, weights):
    model = create_classifier(name, 10, mean=[0.5] * 3, std=[0.25] * 3).eval()
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    assert model.num_classes == 10
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(weights, rel=0.01)


def test_normalisation_lives_inside():
    model = create_classifier("resnet9", 3, width=4, mean=[0.2, 0.3, 0.4], std=[0.5, 0.25, 0.125])
    images = torch.tensor([0.7, 0.3, 0.525]).view(1, 3, 1, 1)
    torch.testing.assert_close(model.normalize(images).flatten(), torch.tensor([1.0, 0.0, 1.0]))


def test_torchvisions_networks_take_imagenet_sizes():
    model = create_classifier("torchvision", 5, name="mobilenet_v3_small").eval()
    assert model(torch.rand(1, 3, 224, 224)).shape == (1, 5)
    with pytest.raises(UsageError, match="torchvision cannot build"):
        create_classifier("torchvision", 5, name="nothing")


def test_frozen_stays_as_it_is_and_passes_gradients_to_the_image():
    network = create_classifier("resnet9", 4, width=4)
    judge = frozen(network)
    nn.Sequential(judge).train()
    assert not any(module.training for module in judge.modules())
    before = {key: value.clone() for key, value in judge.state_dict().items()}
    images = torch.rand(4, 3, 16, 16, requires_grad=True)
    judge(images).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in judge.parameters())
    assert all(torch.equal(before[key], value) for key, value in judge.state_dict().items())


def test_anothers_network_sees_images_in_the_usual_layout():
    images = torch.rand(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    assert frozen(tiny.viewing())(images).shape == (2, 10)


@pytest.mark.parametrize("name", SMALL)
def test_ours_compute_channels_last_whatever_the_images_come_in(name):
    features = create_classifier(name, 10).eval().features
    maps = features(torch.rand(2, 3, 32, 32))
    assert maps.is_contiguous(memory_format=torch.channels_last)
    assert not maps.is_contiguous()


def test_unknown_names_and_options_are_told():
    with pytest.raises(UsageError, match="alexnet, resnet18, resnet9, smp, torchvision, vgg16"):
        create_classifier("lenet", 10)
    with pytest.raises(UsageError, match="does not take"):
        create_classifier("alexnet", 10, width=3)
    assert set(SMALL) < set(CLASSIFIERS)


@pytest.mark.parametrize("size", [(8, 8), (33, 40)])
def test_a_segmentation_network_gives_every_pixel_a_class(size):
    network = create_classifier(
        "smp", 3, encoder_name="resnet18", encoder_depth=3, decoder_channels=[8, 8, 8]
    )
    logits = network.eval()(torch.rand(2, 3, *size))
    assert logits.shape == (2, 3, *size)
    with pytest.raises(UsageError, match="segmentation-models-pytorch cannot build"):
        create_classifier("smp", 3, encoder_name="nothing")

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from colorcnn.dcq.attention import CAMS, Probe, attention_maps, pool_features, resolve_layer, rise
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.models import CLASSIFIERS, create_classifier


class Linear(nn.Module):
    """Logits that are weighted sums of the red and the green channel: every map can be worked out by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Identity()
        self.weights = nn.Parameter(torch.tensor([[3.0, 0.0, 0.0], [0.0, 2.0, -1.0]]))

    def forward(self, images: Tensor) -> Tensor:
        return torch.einsum("bchw,kc->bk", self.look(images), self.weights)


def spots() -> Tensor:
    """Black but for a red pixel at (1, 2) and a green one at (3, 0)."""
    images = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    images[0, 0, 1, 2] = images[0, 1, 3, 0] = 255
    return images


@pytest.mark.parametrize("method", CAMS)
@pytest.mark.parametrize(("label", "place"), [(0, (1, 2)), (1, (3, 0))])
def test_attention_lies_where_the_class_is(method: str, label: int, place: tuple[int, int]) -> None:
    maps, logits = attention_maps(
        Probe(Linear(), ("look",), "look"), spots(), torch.tensor([label]), method, "look"
    )
    assert maps.shape == (1, 4, 4)
    assert tuple(torch.nonzero(maps[0]).tolist()[0]) == place
    assert (maps > 0).sum() == 1
    torch.testing.assert_close(logits, torch.tensor([[3.0, 2.0]]))


def test_the_predicted_class_is_taken_where_no_label_is_given() -> None:
    maps, _ = attention_maps(Probe(Linear(), ("look",), "look"), spots(), None, "gradcam", "look")
    assert maps[0, 1, 2] > 0


def test_grad_cam_plus_plus_agrees_with_its_definition() -> None:
    torch.manual_seed(0)
    activations, gradients = torch.rand(2, 5, 3, 4), torch.randn(2, 5, 3, 4)
    expected = torch.zeros(2, 3, 4)
    for image in range(2):
        for channel in range(5):
            g, a = gradients[image, channel], activations[image, channel]
            alpha = g**2 / (2 * g**2 + (a * g**3).sum())
            expected[image] += (alpha * g.clamp(min=0)).sum() * a
    torch.testing.assert_close(CAMS["gradcam++"](activations, gradients), expected.clamp(min=0))


@pytest.mark.parametrize("method", CAMS)
def test_a_network_without_gradients_gives_maps_of_zero_not_of_nan(method: str) -> None:
    assert not CAMS[method](torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 3)).any()


def test_rise_finds_the_half_that_matters() -> None:
    images = torch.rand(1, 3, 16, 16)
    network = nn.Sequential(nn.Identity())
    network.forward = lambda x: torch.stack([8 * x[:, :, :, :8].mean((1, 2, 3)), x.new_zeros(len(x))], dim=1)
    maps = rise(network, images, torch.tensor([0]), masks=400)
    assert maps[0, :, :5].mean() > maps[0, :, -5:].mean()
    torch.testing.assert_close(maps, rise(network, images, torch.tensor([0]), masks=400))


@pytest.mark.parametrize("name", [name for name in CLASSIFIERS if name != "torchvision"])
def test_every_classifier_names_four_stages_that_make_feature_maps(name: str) -> None:
    network = create_classifier(name, 3).eval()
    layers = ("shallow", "middle1", "middle2", "final")
    probe = Probe(network, layers, "final")
    attention_maps(probe, torch.zeros(1, 3, 32, 32, dtype=torch.uint8), None, "gradcam", "final")
    widths = [probe.seen[layer].shape[-1] for layer in layers]
    assert widths == sorted(widths, reverse=True)


def test_layers_are_found_by_their_usual_names_or_named_in_the_error() -> None:
    network = create_classifier("torchvision", 3, name="resnet18")
    assert resolve_layer(network, "middle1") == "head.layer2"
    assert resolve_layer(network, "head.layer2.0") == "head.layer2.0"
    with pytest.raises(UsageError, match=r"no layer 'shallow'.*look"):
        resolve_layer(Linear(), "shallow")


def test_pooling_averages_and_one_adds_the_deviation() -> None:
    maps = torch.arange(32.0).reshape(1, 2, 4, 4)
    assert pool_features(maps, 2).shape == (1, 8)
    assert pool_features(maps, 0).shape == (1, 32)
    assert pool_features(maps, 1024).equal(pool_features(maps, 0))  # larger maps would only repeat values
    torch.testing.assert_close(pool_features(maps, 1)[0, :2], torch.tensor([7.5, 23.5]))


def test_strange_labels_and_layers_are_refused() -> None:
    with pytest.raises(ColorCNNError, match="has 2 classes, but a label is 5"):
        attention_maps(Probe(Linear(), ("look",), "look"), spots(), torch.tensor([5]), "gradcam", "look")
    network = create_classifier("resnet9", 3, width=4)
    with pytest.raises(UsageError, match="feature maps"):
        Probe(network, ("head.1",))(torch.zeros(1, 3, 16, 16))

"""ColorCNN and ColorCNN+: the contract of a learned quantizer, and what is particular to each."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from colorcnn.errors import UsageError
from colorcnn.models import BACKBONES, ColorCNN, ColorCNNPlus, create_backbone, create_model
from colorcnn.models.assignment import (
    hard_indices,
    hard_palette,
    lloyd_steps,
    pool_channels,
    soft_palette,
    top_k_softmax,
)
from colorcnn.models.backbones import UNet
from colorcnn.models.colorcnn import quantizer_options
from colorcnn.paletted import to_bytes

TINY = {"backbone_kwargs": {"width": 4, "depth": 2}}


def plus(**options):
    torch.manual_seed(0)
    return ColorCNNPlus(**{**TINY, "feature_channels": 40, **options}).eval()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 19), st.integers(1, 19), st.integers(1, 40), st.integers(1, 3))
def test_any_size_and_any_number_of_colours_up_to_d(height, width, colors, batch):
    images = torch.rand(batch, 3, height, width)
    model = plus()
    paletted = model(images, colors)
    assert paletted.indices.shape == (batch, height, width)
    assert paletted.palette.shape == (batch, colors, 3)
    assert paletted.indices.dtype == torch.uint8
    assert paletted.indices.max() < colors
    assert (paletted.num_colors <= colors).all()
    assert (paletted.palette[paletted.usage == 0] == 0).all()
    assignment = model.soft(images, colors)
    torch.testing.assert_close(assignment.sum(dim=1), torch.ones(batch, height, width))


def test_more_colours_than_channels_are_refused():
    with pytest.raises(UsageError, match="choose 1 to 40"):
        plus()(torch.rand(1, 3, 4, 4), 41)
    with pytest.raises(UsageError, match="1 to 256"):
        plus()(torch.rand(1, 3, 4, 4), 300)
    with pytest.raises(UsageError, match="1 to 256"):
        plus()(torch.rand(1, 3, 4, 4), 0)


@pytest.mark.parametrize("colors", [1, 3, 7, 40])
def test_the_folded_head_equals_pooling_the_d_channel_map(colors):
    model = plus().double()
    features = model.encode(torch.rand(2, 3, 8, 8, dtype=torch.float64))
    whole = torch.nn.functional.conv2d(model.bottleneck(features), model.features.weight)
    expected = top_k_softmax(pool_channels(whole, colors), 4)
    torch.testing.assert_close(model.assign(model.logits(features, colors)), expected, rtol=0, atol=1e-10)


def test_quantizing_is_the_hard_path_of_the_equations():
    model, images = plus(), torch.rand(2, 3, 8, 8)
    paletted = model(images, 5)
    with torch.no_grad():
        indices = hard_indices(model.soft(images, 5))
    assert torch.equal(paletted.indices.long(), indices)
    torch.testing.assert_close(paletted.palette, hard_palette(images, indices, 5))


def test_strided_channels_make_a_colour_where_that_is_asked_for():
    model = plus(pooling="strided").double()
    features = model.encode(torch.rand(2, 3, 8, 8, dtype=torch.float64))
    whole = torch.nn.functional.conv2d(model.bottleneck(features), model.features.weight)
    expected = torch.stack([whole[:, color::7].mean(dim=1) for color in range(7)], dim=1)
    torch.testing.assert_close(model.logits(features, 7), expected, rtol=0, atol=1e-10)
    assert not torch.allclose(model.logits(features, 7), plus().double().logits(features, 7))


def test_a_soft_palette_in_use_is_looked_up_by_hard_indices():
    images = torch.rand(3, 3, 8, 8)
    hard, soft = plus()(images, 40), plus(test_palette="soft")(images, 40)
    assert torch.equal(hard.indices, soft.indices)
    expected = soft_palette(images, plus().soft(images, 40).detach())
    for image in range(3):
        used = torch.zeros(40, dtype=torch.bool)
        used[soft.indices[image].long().unique()] = True
        assert not used.all()
        torch.testing.assert_close(soft.palette[image, used], expected[image, used])
        assert (soft.palette[image, ~used] == 0).all()
    assert not torch.allclose(hard.palette, soft.palette)


@pytest.mark.parametrize("option", ["pooling", "test_palette"])
def test_variants_that_there_are_not_are_refused(option):
    with pytest.raises(UsageError, match=f"Unknown {option} 'magic': choose one of"):
        plus(**{option: "magic"})


def test_one_pass_through_the_backbone_serves_all_sizes():
    model, passes = plus(), []
    model.backbone.register_forward_hook(lambda *_: passes.append(1))
    images = torch.rand(2, 3, 8, 8)
    many = model.quantize_many(images, [2, 4, 8])
    assert len(passes) == 1
    for size, paletted in many.items():
        assert torch.equal(paletted.indices, model(images, size).indices)


def test_bytes_and_channels_last_mean_the_same_image():
    model, images = plus(), torch.rand(1, 3, 6, 5)
    pixels = to_bytes(images)
    from_floats = model(pixels.float() / 255, 4)
    assert torch.equal(model(pixels, 4).indices, from_floats.indices)
    last = model(pixels.permute(0, 2, 3, 1), 4, channels_last=True)
    assert torch.equal(last.indices, from_floats.indices)


def test_variants_without_bottleneck_and_without_top_k():
    model = plus(bottleneck=0, top_k=0)
    assignment = model.soft(torch.rand(1, 3, 8, 8), 12)
    assert (assignment > 0).all()
    assert ((plus().soft(torch.rand(1, 3, 8, 8), 12) > 0).sum(dim=1) == 4).all()


def test_a_colorcnn_refuses_another_number_of_colours():
    model = ColorCNN(4, **TINY).eval()
    assert model(torch.rand(1, 3, 9, 9), 4).palette.shape == (1, 4, 3)
    with pytest.raises(UsageError, match="made for 4 colours and cannot give 2"):
        model(torch.rand(1, 3, 9, 9), 2)


def test_the_hidden_layer_of_the_authors_code():
    assert len(ColorCNN(2, **TINY).head) == 1
    assert ColorCNN(2, **TINY, hidden=16).head[0].out_channels == 16


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("unet", {"width": 4, "depth": 3}),
        ("dncnn", {"width": 4, "depth": 3}),
        (
            "smp",
            {"encoder_name": "tu-resnet18", "encoder_depth": 3, "decoder_channels": [16, 8, 8]},
        ),
    ],
)
@pytest.mark.parametrize("size", [(1, 1), (13, 30), (32, 32)])
def test_backbones_keep_height_and_width(name, options, size):
    assert name in BACKBONES
    backbone = create_backbone(name, **options).eval()
    features = backbone(torch.rand(2, 3, *size))
    assert features.shape == (2, backbone.out_channels, *size)


def test_the_papers_unet_has_its_widths():
    backbone = create_backbone("unet", width=64, depth=4)
    widths = [backbone.stem[1][0].out_channels, *(down[1][0].out_channels for down in backbone.down)]
    assert widths == [64, 128, 256, 512, 512]


def test_the_papers_decoder_halves_its_width():
    unet = UNet(width=64, depth=4)
    assert [up[1][0].out_channels for up in reversed(unet.up)] == [256, 128, 64, 64]
    assert sum(weights.numel() for weights in unet.parameters()) == pytest.approx(13.4e6, rel=2e-3)
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        UNet().eval()(torch.zeros(1, 3, 32, 32))
    assert counter.get_total_flops() / 2 == pytest.approx(483e6, rel=1e-3)


def test_the_light_unet_follows_the_same_rule():
    unet = create_backbone("unet", width=16, depth=3)
    assert [up[1][0].out_channels for up in reversed(unet.up)] == [32, 16, 16]
    wide = create_backbone("unet", width=16, depth=3, decoder="wide")
    assert [up[1][0].out_channels for up in reversed(wide.up)] == [64, 32, 16]


def test_dncnn_ends_in_a_convolution_alone():
    backbone = create_backbone("dncnn", width=4, depth=3).eval()
    assert isinstance(backbone.layers[-1], torch.nn.Conv2d)
    assert len(backbone.layers) == 3
    assert backbone(torch.rand(1, 3, 8, 8)).min() < 0


def test_all_sizes_are_those_of_the_papers_text():
    options = quantizer_options("colorcnn-plus", "all")
    assert options["trained_sizes"] == list(range(1, 65))


def test_unknown_names_and_options_are_told():
    with pytest.raises(UsageError, match="dncnn, smp, unet"):
        create_backbone("vnet")
    with pytest.raises(UsageError, match="does not take"):
        create_backbone("unet", breadth=3)
    with pytest.raises(UsageError, match="segmentation-models-pytorch cannot build"):
        create_backbone("smp", encoder_name="nothing")
    with pytest.raises(UsageError, match="colorcnn-plus"):
        create_model("colornet")


def test_training_in_bfloat16_keeps_the_assignment_in_float32():
    model, images = plus().train(), torch.rand(2, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.soft(images, 5).dtype == torch.float32
        assert ColorCNN(2, **TINY).soft(images, 2).dtype == torch.float32


def test_images_of_any_float_type_are_taken():
    model, images = plus(), torch.rand(2, 3, 8, 8)
    whole = model.quantize(images, 5)
    assert torch.equal(model.quantize(images.double(), 5).indices, whole.indices)
    assert model.quantize(images.half(), 5).palette.dtype == torch.float32


@pytest.mark.parametrize(
    ("images", "problem"),
    [
        (torch.rand(3, 8, 8), r"images are \(3, 8, 8\): give a batch"),
        (torch.rand(1, 8, 8, 3), r"images are \(1, 8, 8, 3\): give a batch"),
        (torch.rand(0, 3, 8, 8), r"images are \(0, 3, 8, 8\): give a batch"),
        (torch.ones(1, 3, 8, 8, dtype=torch.int64), "int64: give uint8, or floats"),
    ],
)
def test_what_is_no_batch_of_images_is_refused(images, problem):
    with pytest.raises(UsageError, match=problem):
        plus().quantize(images, 4)


def test_heads_of_their_own_begin_as_the_one_they_come_from():
    options = {"backbone_kwargs": {"width": 4, "depth": 1}, "feature_channels": 32, "trained_sizes": [2, 8]}
    one, several = ColorCNNPlus(**options).eval(), ColorCNNPlus(own_heads=True, **options).eval()
    several.load_state_dict(several.adapted(one.state_dict()))
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for size in (1, 2, 5, 8, 32):
            torch.testing.assert_close(several.soft(images, size), one.soft(images, size))
        before = {size: several.soft(images, size) for size in (2, 3, 8, 9)}
        several.own["8"].features.weight.mul_(-1)
        changed = [size for size, was in before.items() if not torch.equal(several.soft(images, size), was)]
    assert changed == [3, 8, 9], "a number of colours takes the next head up, or the largest"
    assert several.adapted(several.state_dict()).keys() == several.state_dict().keys()
    assert one.adapted(one.state_dict()).keys() == one.state_dict().keys()


def test_more_colours_than_channels_are_not_trained_for():
    with pytest.raises(UsageError, match=r"feature_channels is 40: .* choose 64 or more"):
        plus(trained_sizes=[2, 64])


def test_heads_need_sizes():
    with pytest.raises(UsageError, match="own_heads needs trained_sizes"):
        ColorCNNPlus(own_heads=True)


def test_many_colours_are_refined_in_use_and_few_are_as_drawn(monkeypatch):
    images, scores = torch.rand(2, 3, 8, 8), torch.rand(2, 5, 8, 8)
    monkeypatch.setattr(ColorCNNPlus, "logits", lambda self, features, colors: scores[:, :colors])
    drawn, refined = plus(), plus(refine_steps=2, refine_from=5)
    assert torch.equal(refined(images, 4).indices, drawn(images, 4).indices)
    before, after = drawn(images, 5), refined(images, 5)
    indices, palette = lloyd_steps(images, before.indices, before.palette, 2)
    assert torch.equal(after.indices.long(), indices)
    assert torch.equal(after.palette, palette)
    assert not torch.equal(after.indices, before.indices)
    assert torch.equal(refined.soft(images, 5), drawn.soft(images, 5)), "it is not for training"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"refine_steps": -1}, "refine_steps is -1"),
        ({"refine_from": 0}, "refine_from is 0"),
        ({"refine_steps": 1, "test_palette": "soft"}, "refine_steps needs a hard palette"),
    ],
)
def test_refinements_that_cannot_be_meant_are_refused(options, problem):
    with pytest.raises(UsageError, match=problem):
        plus(**options)

"""Palette attention: exactly the classical quantizer at the start, and a learned quantizer's contract."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from colorcnn.errors import UsageError
from colorcnn.models import attention_kernels, create_model
from colorcnn.models.assignment import hard_indices, hard_palette
from colorcnn.models.palette_attention import KEY_FEATURES
from colorcnn.paletted import from_bytes, to_bytes
from colorcnn.quantizers import QUANTIZERS

VARIANTS = [
    {},
    {"start": "k-means"},
    {"sharpness": "learned"},
    {"rounds": 2},
    {"key_features": list(KEY_FEATURES)},
    {"view": 8},
]


def make(trained=False, **options):
    """A tiny model; ``trained`` gives queries, sharpness and the second round weights as training would."""
    torch.manual_seed(0)
    options = {"backbone_kwargs": {"width": 4, "depth": 2}, "channels": 4, "hidden": 8, **options}
    model = create_model("palette-attention", **options).eval()
    if trained:
        for queries in model.queries:
            torch.nn.init.normal_(queries[-1].weight, std=4)
        for extra in (model.sharpen, model.follow):
            if extra is not None:
                torch.nn.init.constant_(extra, 0.5)
    return model


def pictures(*shape, seed=0):
    """Smooth pictures with some noise, as bytes in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    ramp = torch.linspace(0, 1, shape[-1]) * torch.rand(*shape[:2], 1, 1, generator=generator)
    return from_bytes(to_bytes(ramp + 0.3 * torch.rand(shape, generator=generator)))


@pytest.mark.parametrize("options", VARIANTS)
@pytest.mark.parametrize("colors", [1, 2, 3, 4, 5, 24, 64, 100, 256])
def test_before_training_it_is_the_classical_quantizer_to_the_pixel(options, colors):
    images = pictures(2, 3, 20, 17)
    found = make(**options)(images, colors)
    classical = QUANTIZERS[options.get("start", "wu")]()(images, colors)
    assert torch.equal(found.indices, classical.indices)
    assert torch.equal(found.palette, hard_palette(images, classical.indices, colors))


def test_before_training_other_palettes_get_the_nearest_colour():
    images = pictures(2, 3, 20, 17)
    found = make(start="median-cut")(images, 6)
    palette = to_bytes(QUANTIZERS["median-cut"]()(images, 6).palette).long()
    pixels = to_bytes(images).long().flatten(2).mT
    nearest = (pixels[:, :, None] - palette[:, None]).square().sum(dim=3).argmin(dim=2)
    assert torch.equal(found.indices.long().flatten(1), nearest)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 19), st.integers(1, 19), st.integers(1, 256), st.integers(1, 3), st.booleans())
def test_any_size_and_any_number_of_colours(height, width, colors, batch, grey):
    images = torch.rand(batch, 3, height, width)
    images = images.round() if grey else images  # images of few colours, too
    model = make(trained=True)
    paletted = model(images, colors)
    assert paletted.indices.shape == (batch, height, width)
    assert paletted.palette.shape == (batch, colors, 3)
    assert paletted.indices.dtype == torch.uint8
    assert int(paletted.indices.max()) < colors
    assert (paletted.num_colors <= colors).all()
    assert (paletted.palette[paletted.usage == 0] == 0).all()
    assignment = model.soft(images, colors)
    assert assignment.isfinite().all()
    torch.testing.assert_close(assignment.sum(dim=1), torch.ones(batch, height, width))


@pytest.mark.parametrize("options", VARIANTS)
def test_training_changes_the_index_map_and_quantizing_is_the_argmax_of_the_scores(options):
    images, model = pictures(2, 3, 20, 17), make(trained=True, **options)
    paletted = model(images, 5)
    assert not torch.equal(paletted.indices, make(**options)(images, 5).indices)
    with torch.no_grad():
        indices = hard_indices(model.soft(images, 5))
    assert torch.equal(paletted.indices.long(), indices)
    torch.testing.assert_close(paletted.palette, hard_palette(images, indices, 5))


@pytest.mark.parametrize("options", VARIANTS)
def test_every_weight_learns(options):
    model, images = make(trained=True, **options), pictures(2, 3, 20, 17)
    with torch.no_grad():
        target = torch.rand(2, 5, 20, 17).softmax(dim=1)
    model.train()
    (model.soft(images, 5) * target).sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_queries_that_start_at_zero_still_receive_gradients():
    model, images = make().train(), pictures(2, 3, 20, 17)
    (model.soft(images, 5) * torch.rand(2, 5, 20, 17)).sum().backward()
    assert model.queries[0][-1].weight.grad.abs().sum() > 0


def test_known_start_palettes_replace_the_computed_ones(monkeypatch):
    model, images = make(trained=True), pictures(2, 3, 20, 17)
    known = model.start_palettes(images, 5)
    expected = model.soft(images, 5)
    monkeypatch.setattr(model, "start_palettes", lambda *_: pytest.fail("computed again"))
    torch.testing.assert_close(model.soft(images, 5, start=known), expected)


def test_one_pass_through_the_backbone_serves_all_sizes():
    model, passes = make(trained=True), []
    model.backbone.register_forward_hook(lambda *_: passes.append(1))
    images = pictures(2, 3, 8, 8)
    many = model.quantize_many(images, [2, 4, 8])
    assert len(passes) == 1
    for size, paletted in many.items():
        assert torch.equal(paletted.indices, model(images, size).indices)


def test_bytes_and_channels_last_mean_the_same_image():
    model, images = make(trained=True), pictures(1, 3, 6, 5)
    expected = model(images, 4)
    pixels = to_bytes(images)
    assert torch.equal(model(pixels, 4).indices, expected.indices)
    assert torch.equal(model(pixels.permute(0, 2, 3, 1), 4, channels_last=True).indices, expected.indices)


@pytest.mark.parametrize("rounds", [1, 2])
def test_pieces_of_a_large_image_give_what_the_whole_gives(rounds, monkeypatch):
    model, images = make(trained=True, view=16, rounds=rounds), pictures(1, 3, 50, 37)
    expected = model(images, 6)
    monkeypatch.setattr("colorcnn.models.assignment._CHUNK", 6 * 37 * 7)
    found = model(images, 6)
    assert (found.indices == expected.indices).float().mean() > 0.999  # sums of floats in another order
    with torch.no_grad():
        scores = model.logits(model.encode(images), 6)
    assert (hard_indices(scores) == expected.indices).float().mean() > 0.999


def test_the_backbone_sees_large_images_no_larger_than_the_view():
    model, seen = make(view=16), []
    model.backbone.register_forward_hook(lambda _, given, __: seen.append(given[0].shape[2:]))
    model(pictures(1, 3, 50, 25), 4)
    model(pictures(1, 3, 1, 90), 4)
    model(pictures(1, 3, 16, 9), 4)
    assert [tuple(shape) for shape in seen] == [(16, 8), (1, 16), (16, 9)]


def test_an_attack_gets_the_gradient_of_the_images():
    images = pictures(1, 3, 8, 8).requires_grad_()
    (make().soft(images, 3) * torch.rand(1, 3, 8, 8)).sum().backward()
    assert images.grad.isfinite().all()
    assert images.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "magic"}, "Unknown start 'magic': choose one of"),
        ({"sharpness": "magic"}, "Unknown sharpness 'magic'"),
        ({"key_features": ["magic"]}, "Unknown key feature 'magic'"),
        ({"key_features": []}, "key_features is empty"),
        ({"rounds": 3}, "rounds is 3: choose 1 or 2"),
        ({"view": 0}, "view is 0"),
    ],
)
def test_invalid_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        make(**options)


COMPILED = [
    ({}, (3, 3, 20, 17), 5),
    ({"key_features": list(KEY_FEATURES), "sharpness": "learned"}, (2, 3, 20, 17), 256),
    ({"view": 8}, (2, 3, 9, 31), 3),
    ({"view": 128}, (1, 3, 700, 941), 16),
]


@pytest.mark.parametrize(("options", "shape", "colors"), COMPILED)
def test_compiled_code_gives_what_the_tensors_give(options, shape, colors, monkeypatch):
    model, images = make(trained=True, **options), pictures(*shape)
    found = model(images, colors)
    monkeypatch.setattr(attention_kernels, "serves", lambda *_: False)
    expected = model(images, colors)
    assert torch.equal(found.indices, expected.indices)
    assert torch.equal(found.palette, expected.palette)
    assert len(found.indices.unique()) > 1


def test_several_threads_share_the_pixels(monkeypatch):
    model = make(trained=True, view=16)
    monkeypatch.setattr(attention_kernels, "_WORTH", 1)
    for shape in ((1, 3, 50, 37), (7, 3, 8, 8), (1, 3, 1, 5)):
        images = pictures(*shape)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
        expected = model(images, 6)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
        assert torch.equal(model(images, 6).indices, expected.indices)


def test_features_of_the_latest_images_may_be_kept():
    model, passes = make(trained=True), []
    model.backbone.register_forward_hook(lambda *_: passes.append(1))
    first, second = pictures(1, 3, 8, 8), pictures(1, 3, 8, 8, seed=1)
    expected = model(first, 4)
    model.keep_features(1 << 20)
    model(first, 2)
    del passes[:]
    assert torch.equal(model(first.clone(), 4).indices, expected.indices)
    assert not passes
    model(second, 4)
    assert torch.equal(model(first, 4).indices, expected.indices)
    assert len(passes) == 2
    model.keep_features(8)  # too small for any
    model(first, 4)
    model(first, 4)
    assert len(passes) == 4

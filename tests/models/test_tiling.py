"""Large images in tiles: the index maps are those of the whole image."""

import pytest
import torch

from colorcnn.models import create_model, tiling
from colorcnn.models.colorcnn import ColorCNNPlus
from colorcnn.models.memory import needed_bytes
from colorcnn.models.tiling import can_tile, quantize_in_tiles, tile_side

WIDE = {"width": 6, "depth": 2, "decoder": "wide"}
NARROW = {"width": 6, "depth": 2}
DEEP = {"width": 4, "depth": 3}
MODELS = {
    "colorcnn": ("colorcnn", {"num_colors": 5, "backbone_kwargs": WIDE}, 0),
    "dncnn": ("colorcnn-plus", {"backbone": "dncnn", "backbone_kwargs": {"width": 8, "depth": 5}}, 0),
    "wide": ("colorcnn-plus", {"backbone_kwargs": WIDE}, 0),
    "own heads": ("colorcnn-plus", {"backbone_kwargs": WIDE, "own_heads": True, "trained_sizes": [2, 5]}, 0),
    "soft palette": ("colorcnn-plus", {"backbone_kwargs": WIDE, "test_palette": "soft"}, 0),
    "refined": ("colorcnn-plus", {"backbone_kwargs": WIDE, "refine_steps": 2, "refine_from": 2}, 0),
    # Upsampling with aligned corners is computed by another formula in a tile: scores differ by rounding.
    "narrow": ("colorcnn-plus", {"backbone_kwargs": NARROW}, 1e-3),
    "narrow, refined": (
        "colorcnn-plus", {"backbone_kwargs": NARROW, "refine_steps": 1, "refine_from": 2}, 1e-3
    ),
    "deep": ("colorcnn", {"num_colors": 5, "backbone_kwargs": DEEP}, 1e-3),
}  # fmt: skip


def make(name):
    """A network whose normalisation fits its features, so that scores differ clearly from pixel to pixel."""
    architecture, options, share = MODELS[name]
    torch.manual_seed(3)
    model = create_model(architecture, **options).train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the statistics of the first batch
    with torch.no_grad():
        logits = model.logits(model.encode(picture(64, 64) / 255), 5)
        if architecture == "colorcnn":
            model.head[-1].bias -= logits.mean(dim=(0, 2, 3))
    return model.eval(), share


def picture(height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 8 + 2, width // 8 + 2, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    noise = 0.2 * torch.rand(1, 3, height, width, generator=generator)
    return ((smooth + noise).clamp(0, 1) * 255).byte()


@pytest.mark.parametrize(("height", "width", "side"), [(61, 83, 32), (1, 103, 16), (50, 34, 200)])
@pytest.mark.parametrize("name", MODELS)
def test_index_maps_of_tiles_are_those_of_the_whole_image(name, height, width, side):
    model, share = make(name)
    images = torch.cat([picture(height, width, seed) for seed in range(2 if height == 1 else 1)])
    sizes = [5] if model.__class__.__name__ == "ColorCNN" else [2, 5, 32]
    expected = model.quantize_many(images, sizes)
    found = quantize_in_tiles(model, images, sizes, side)
    for size in sizes:
        different = (found[size].indices != expected[size].indices).float().mean()
        assert different <= share
        tolerance = 1e-5 if not different else 0.02
        torch.testing.assert_close(found[size].palette, expected[size].palette, rtol=0, atol=tolerance)


def test_the_networks_of_this_test_use_several_colours():
    for name in MODELS:
        model, _ = make(name)
        assert len(model(picture(61, 83), 5).indices.unique()) >= 3, name


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_the_overlap_is_as_large_as_the_receptive_field(depth):
    """A pixel further away than ``halo`` changes nothing, and one almost so far changes something."""
    torch.manual_seed(0)
    backbone = create_model(
        "colorcnn", num_colors=2, backbone_kwargs={"width": 4, "depth": depth, "decoder": "wide"}
    ).backbone.eval()
    side, at = 4 * 2**depth * (backbone.halo // 2**depth + 1), backbone.halo + 2**depth
    images = torch.rand(1, 3, 8, side).double()
    with torch.no_grad():
        backbone.double()
        for module in backbone.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.abs_()  # nothing cancels, and no ReLU stops it
        plain = backbone(images)
        images[..., at] += 1
        moved = (backbone(images) != plain).any(dim=1)[0].any(dim=0).nonzero().flatten()
    reach = max(at - int(moved.min()), int(moved.max()) - at)
    assert reach <= backbone.halo
    assert reach >= backbone.halo // 2


def test_large_images_are_computed_in_tiles_by_themselves(monkeypatch):
    model, _ = make("wide")
    images = picture(70, 50)
    expected = model(images, 4)
    monkeypatch.setattr("colorcnn.models.learned.LEARNED_PIXELS", 1000)
    monkeypatch.setattr(tiling, "tile_side", lambda model, num_colors: 16)
    monkeypatch.setattr(model, "encode", lambda images: pytest.fail("the whole image is encoded"))
    found = model(images, 4)
    assert torch.equal(found.indices, expected.indices)


def test_tiles_are_as_large_as_their_memory_allows(monkeypatch):
    model, _ = make("wide")
    assert tile_side(model, 4) == tiling._LARGEST
    monkeypatch.setattr(tiling, "TILE_BYTES", 1 << 26)
    side = tile_side(model, 4)
    assert tiling._SMALLEST < side < tiling._LARGEST
    whole = side + 2 * model.backbone.halo
    assert needed_bytes(model, whole, whole, 4) <= 1 << 26


def test_what_needs_the_whole_image_is_not_tiled():
    assert not can_tile(create_model("palette-attention").eval())
    assert not can_tile(ColorCNNPlus(backbone_kwargs=WIDE).train())
    assert can_tile(ColorCNNPlus(backbone_kwargs=WIDE).eval())

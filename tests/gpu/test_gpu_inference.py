"""Results of a GPU beside those of the CPU: index maps, targets, augmentation, losses."""

import pytest
import torch

from colorcnn.data.augment import random_crop
from colorcnn.data.datasets import ImageSplit
from colorcnn.data.imitation import ComputedTargets, ImitationTargets
from colorcnn.losses import color_appearance, confidence_entropy, imitation_loss, information_entropy
from colorcnn.models import create_model
from colorcnn.models.assignment import soft_palette, soft_render, top_k_softmax
from colorcnn.models.sparse import top_k_of_product, top_k_sparse
from colorcnn.models.tiling import quantize_in_tiles
from colorcnn.tasks.finite import FiniteCheck

SIZES = [2, 5, 16, 64]
DEVICE = "cuda"


@pytest.fixture
def images():
    coarse = torch.rand(16, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, (37, 32), mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("allowed", [False, True])
def test_quantize_many_gives_the_index_maps_of_the_cpu(allowed, images):
    """Also where TF32 is allowed: quantizing is done in full precision whatever the settings are."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.manual_seed(1)
    model = create_model("colorcnn-plus", backbone_kwargs={"width": 16, "depth": 3}, refine_steps=1).eval()
    expected = model.quantize_many(images, SIZES)
    found = model.to(DEVICE).quantize_many(images.to(DEVICE), SIZES)
    for size in SIZES:
        same = (found[size].indices.cpu() == expected[size].indices).float().mean()
        assert same > 0.9999, "a tie or two may fall the other way"
        torch.testing.assert_close(found[size].palette.cpu(), expected[size].palette, rtol=0, atol=1e-3)


@pytest.mark.parametrize("decoder", ["narrow", "wide"])
def test_tiles_on_the_gpu_give_the_index_maps_of_the_cpu(decoder, monkeypatch):
    """The image stays on the host; only tiles go to the GPU."""
    coarse = torch.rand(1, 3, 9, 11, generator=torch.Generator().manual_seed(5))
    image = torch.nn.functional.interpolate(coarse, (201, 163), mode="bicubic").clamp(0, 1)
    torch.manual_seed(1)
    options = {"width": 16, "depth": 2, "decoder": decoder}
    model = create_model("colorcnn-plus", backbone_kwargs=options).eval()
    expected = model.quantize_many(image, SIZES)
    found = quantize_in_tiles(model.to(DEVICE), image, SIZES, 64)
    for size in SIZES:
        assert found[size].indices.device.type == "cpu"
        assert (found[size].indices == expected[size].indices).float().mean() > 0.9999
    monkeypatch.setattr("colorcnn.models.learned.LEARNED_PIXELS", 1000)
    again = model.quantize_many(image.to(DEVICE), [SIZES[0]])[SIZES[0]]
    assert again.indices.device.type == DEVICE
    assert (again.indices.cpu() == expected[SIZES[0]].indices).float().mean() > 0.9999


@pytest.mark.parametrize("form", [top_k_softmax, top_k_sparse])
def test_the_terms_and_their_gradients_are_those_of_the_cpu(form, images):
    logits = torch.randn(16, 12, 37, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    targets = torch.randint(9, (16, 37, 32), generator=torch.Generator().manual_seed(3))
    found = []
    for device in ("cpu", DEVICE):
        scores = logits.to(device).requires_grad_()
        assignment, shown = form(scores, 4), images.double().to(device)
        terms = [
            color_appearance(assignment),
            information_entropy(assignment),
            confidence_entropy(assignment),
        ]
        terms.append(imitation_loss(assignment, targets.to(device), num_clusters=9))
        terms.append(soft_render(soft_palette(shown, assignment), assignment).square().mean())
        torch.stack(terms).sum().backward()
        found.append((torch.stack(terms).detach().cpu(), scores.grad.cpu()))
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-9)


def test_the_best_of_a_product_are_those_of_the_cpu():
    features, weight = torch.randn(2, 4, 9, 8, dtype=torch.float64), torch.randn(20, 4, dtype=torch.float64)
    expected = top_k_of_product(features, weight, 4)
    found = top_k_of_product(features.to(DEVICE), weight.to(DEVICE), 4)
    assert torch.equal(found.indices.cpu(), expected.indices)
    torch.testing.assert_close(found.values.cpu(), expected.values)


def test_a_crop_is_that_of_the_cpu(images):
    expected = random_crop(images, 4, 0.5, torch.Generator().manual_seed(4))
    found = random_crop(images.to(DEVICE), 4, 0.5, torch.Generator().manual_seed(4))
    torch.testing.assert_close(found.cpu(), expected)


@pytest.mark.parametrize("fits", [False, True])
def test_targets_come_to_the_device_without_waiting(fits, images, tmp_path, monkeypatch):
    if not fits:
        monkeypatch.setattr("colorcnn.data.classical._SHARE_OF_DEVICE", 0.0)
    pixels = (images.permute(0, 2, 3, 1) * 255).byte().numpy()
    split = ImageSplit(pixels, torch.zeros(16, dtype=torch.int64).numpy())
    targets = ImitationTargets(split, [4], cache_dir=tmp_path)
    index = torch.tensor([3, 0, 9])
    expected = targets.lookup(index, 4)
    targets.to(torch.device(DEVICE))
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = targets.lookup(index, 4, torch.device(DEVICE))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert found.device.type == DEVICE
    assert torch.equal(found.cpu(), expected)


def test_losses_are_looked_at_without_waiting():
    check = FiniteCheck(every=4)
    losses = [torch.tensor(value, device=DEVICE) for value in (1.0, torch.nan, torch.inf)]
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert [check.note(loss, step) for step, loss in enumerate(losses)] == [None] * 3
    finally:
        torch.cuda.set_sync_debug_mode("default")
    found = check.check()
    assert found is not None
    assert found.step == 1


@pytest.mark.parametrize("size", [2, 16, 64])
@pytest.mark.parametrize("method", ["median-cut", "wu"])
def test_targets_made_on_the_device_are_those_of_the_quantizer(method, size, images):
    computed = ComputedTargets(method)
    index = torch.arange(len(images))
    expected = computed.of(images, index, size)
    found = computed.of(images.to(DEVICE), index, size)
    assert found.device.type == DEVICE
    for ours, theirs in zip(found.cpu().flatten(1), expected.flatten(1)):
        pairs = torch.stack([ours, theirs]).unique(dim=1).shape[1]
        assert pairs == len(ours.unique()) == len(theirs.unique())

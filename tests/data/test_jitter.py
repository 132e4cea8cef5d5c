"""The colour jitter of section 3.3.2, handed back in image space."""

import math

import pytest
import torch

from colorcnn.data.jitter import contrast_jitter, gaussian_jitter, jitter_by_colors

MEAN = torch.tensor([0.4, 0.5, 0.6], dtype=torch.float64).view(1, 3, 1, 1)
STD = torch.tensor([0.2, 0.25, 0.3], dtype=torch.float64).view(1, 3, 1, 1)


@pytest.mark.parametrize(("per_pixel", "shape"), [(False, ()), (True, (2, 3, 64, 64))])
def test_a_classifier_sees_the_papers_jitter(per_pixel, shape):
    """The paper draws one number for the whole batch."""
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    torch.manual_seed(0)
    seen = gaussian_jitter(images, MEAN, STD, noise=1.0, contrast=4.0, per_pixel=per_pixel)
    torch.manual_seed(0)
    expected = (images - MEAN) / (4 * STD) + torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close((seen - MEAN) / STD, expected, rtol=0, atol=1e-10)


def test_one_number_a_batch_keeps_the_structure_of_the_images():
    """A gradient that means something: two draws of the scalar change it little, noise per pixel wholly."""
    images = torch.rand(4, 3, 8, 8, dtype=torch.float64)
    seen = gaussian_jitter(images, MEAN, STD, noise=1.0, contrast=1.0)
    shift = (seen - images) / STD
    torch.testing.assert_close(shift, shift[:1, :1, :1, :1].expand_as(shift), rtol=0, atol=1e-10)


def test_no_jitter_changes_nothing():
    images = torch.rand(2, 3, 4, 4)
    assert gaussian_jitter(images, MEAN, STD, noise=0.0, contrast=1.0) is images
    assert contrast_jitter(images, 0.0, 0.0) is images


def test_contrast_jitter_keeps_the_structure_of_each_image():
    images = torch.rand(8, 3, 5, 5, dtype=torch.float64)
    seen = contrast_jitter(images, contrast=0.5, brightness=0.1)
    middle = images.mean((1, 2, 3), keepdim=True)
    ratio = (seen - seen.mean((1, 2, 3), keepdim=True)) / (images - middle)
    assert torch.allclose(ratio, ratio[:, :1, :1, :1].expand_as(ratio))
    assert ((ratio > 0.5 - 1e-9) & (ratio < 1.5 + 1e-9)).all()
    assert ((seen - images).mean((1, 2, 3)).abs() <= 0.1 + 1e-9).all()
    assert ratio[:, 0, 0, 0].unique().numel() == 8


@pytest.mark.parametrize("colors", [1, 2, 8])
def test_few_colours_are_moved_by_one_number_a_batch(colors):
    images = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    torch.manual_seed(0)
    seen = (jitter_by_colors(images, MEAN, STD, colors, noise=0.5, contrast=4.0) - MEAN) / STD
    torch.manual_seed(0)
    shift = torch.randn((), dtype=torch.float64) * 0.5 / max(1.0, math.log2(colors))
    torch.testing.assert_close(seen, (images - MEAN) / (4 * STD) + shift, rtol=0, atol=1e-10)


def test_many_colours_keep_their_contrast_and_have_no_noise():
    image = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1).expand(1, 3, 4, 4).requires_grad_()
    drawn = []
    for seed in range(50):
        torch.manual_seed(seed)
        seen = jitter_by_colors(image, MEAN.float(), STD.float(), 9, noise=1e6, contrast=1e6)
        assert torch.allclose(seen, seen[:, :, :1, :1].expand_as(seen)), "one colour stays one colour"
        drawn.append(seen[0, :, 0, 0].detach())
    brightness = torch.stack(drawn).mean(dim=1)
    assert brightness.min() > 0.15
    assert brightness.max() < 0.65
    assert brightness.std() > 0.05
    assert torch.autograd.grad(seen.sum(), image)[0].abs().sum() > 0

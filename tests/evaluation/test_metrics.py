from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from torchmetrics.functional.image import structural_similarity_index_measure

from colorcnn.errors import UsageError
from colorcnn.evaluation import metrics
from colorcnn.recognition import recognition_of


@given(st.integers(1, 5000), st.data())
def test_interval_is_the_wilson_interval_of_scipy(n, data):
    correct = data.draw(st.integers(0, n))
    expected = binomtest(correct, n).proportion_ci(0.95, method="wilson")
    low, high = metrics.accuracy_interval(correct, n)
    assert low == pytest.approx(expected.low, abs=1e-12)
    assert high == pytest.approx(expected.high, abs=1e-12)
    assert 0 <= low <= correct / n <= high <= 1


def test_interval_by_hand():
    # 8 of 10 by the published formula with z = 1.96: (0.8 + 0.19208 ± 0.30445...) / 1.38416
    low, high = metrics.accuracy_interval(8, 10)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))


def test_interval_of_nothing_is_everything():
    assert metrics.accuracy_interval(0, 0) == (0, 1)


def test_psnr_by_hand():
    originals = torch.zeros(3, 3, 2, 2, dtype=torch.uint8)
    images = originals.clone()
    images[0, 0, 0, 0] = 12  # MSE = 144 / 12 = 12
    images[1] = 255  # MSE = 255², the worst there is
    values = metrics.psnr(images, originals)
    assert values[0].item() == pytest.approx(10 * math.log10(255**2 / 12), abs=1e-12)
    assert values[1].item() == pytest.approx(0, abs=1e-12)
    assert values[2].item() == math.inf


def test_psnr_error_does_not_wrap_around():
    dark, light = torch.full((2, 1, 3, 1, 1), 5, dtype=torch.uint8)
    light = light + 251  # wraps to 0: an error of 5
    assert metrics.psnr(light, dark).item() == pytest.approx(10 * math.log10(255**2 / 25))


def test_mean_psnr_counts_an_exact_image_as_the_cap():
    assert metrics.mean_psnr(torch.tensor([20.0, math.inf])) == pytest.approx((20 + metrics.PSNR_CAP) / 2)


def test_ssim_of_two_flat_images_by_hand():
    # No variance: only the luminance term remains, (2ab + c1) / (a² + b² + c1), c1 = (0.01 * 255)².
    images = torch.full((1, 3, 16, 16), 100, dtype=torch.uint8)
    originals = torch.full((1, 3, 16, 16), 150, dtype=torch.uint8)
    c1 = 2.55**2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert metrics.ssim(images, originals).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", [(11, 11), (12, 40), (32, 32)])
def test_ssim_is_that_of_torchmetrics(shape):
    generator = torch.Generator().manual_seed(0)
    originals = torch.randint(0, 256, (2, 3, *shape), dtype=torch.uint8, generator=generator)
    images = originals // 64 * 64 + 32
    expected = structural_similarity_index_measure(
        images.double(), originals.double(), data_range=255.0, reduction="none"
    )
    assert metrics.ssim(images, originals) == pytest.approx(expected.numpy(), abs=1e-9)


def test_ssim_is_one_for_equal_images_and_falls_with_noise():
    generator = torch.Generator().manual_seed(0)
    originals = torch.randint(0, 200, (2, 3, 20, 20), dtype=torch.uint8, generator=generator)
    noisy = originals + torch.randint(0, 50, originals.shape, dtype=torch.uint8, generator=generator)
    assert metrics.ssim(originals, originals) == pytest.approx([1, 1], abs=1e-5)
    assert (metrics.ssim(noisy, originals) < 0.99).all()


def test_ssim_does_not_depend_on_how_the_batch_is_cut(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    images, originals = torch.randint(0, 256, (2, 5, 3, 12, 12), dtype=torch.uint8, generator=generator)
    whole = metrics.ssim(images, originals)
    monkeypatch.setattr(metrics, "_SSIM_VALUES", 2 * 3 * 12 * 12)
    assert metrics.ssim(images, originals) == pytest.approx(whole.numpy(), abs=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (10, 32), (32, 10)])
def test_ssim_is_undefined_for_images_smaller_than_its_window(shape):
    images = torch.zeros(2, 3, *shape, dtype=torch.uint8)
    assert metrics.ssim(images, images).isnan().all()


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim])
def test_unrounded_pixels_are_refused(measure):
    pixels = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    with pytest.raises(UsageError, match="uint8"):
        measure(pixels.float() / 255, pixels)
    with pytest.raises(UsageError, match="uint8"):
        measure(pixels, pixels.float() / 255)
    with pytest.raises(UsageError, match="one shape"):
        measure(pixels, pixels[:, :, :12])


def test_predictions_of_single_labels():
    nan = math.nan
    logits = torch.tensor([[1.0, 2.0], [2.0, 1.0], [nan, 3.0], [math.inf, 0.0]])
    labels = torch.tensor([1, 1, 1, 0])
    assert recognition_of(labels).correct(logits, labels).tolist() == [True, False, False, False]


def test_predictions_of_several_labels_must_all_be_right():
    logits = torch.tensor([[1.0, -1.0], [1.0, 1.0], [-1.0, -0.1], [0.0, 1.0], [math.nan, 1.0]])
    labels = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert recognition_of(labels).correct(logits, labels).tolist() == [True, False, True, True, False]


def test_mean_average_precision_by_hand():
    # First label: ranked right, wrong, right -> (1 + 2/3) / 2 = 5/6. Second: right last of three -> 1/3.
    logits = torch.tensor([[30.0, 5.0], [20.0, 40.0], [-10.0, -200.0]])
    labels = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    assert metrics.mean_average_precision(logits, labels) == pytest.approx((5 / 6 + 1 / 3) / 2, abs=1e-6)


def test_mean_average_precision_leaves_absent_labels_out():
    logits = torch.tensor([[3.0, 5.0, 1.0], [-2.0, 4.0, 1.0]])
    labels = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert metrics.mean_average_precision(logits, labels) == pytest.approx(1)
    assert math.isnan(metrics.mean_average_precision(logits, torch.zeros(2, 3)))


def test_mean_average_precision_ranks_what_is_not_finite_last():
    logits = torch.tensor([[math.nan], [-5.0]])
    assert metrics.mean_average_precision(logits, torch.tensor([[1.0], [0.0]])) == pytest.approx(0.5)


def test_mean_average_precision_tells_large_logits_apart():
    logits = torch.tensor([[25.0], [24.0]])  # their sigmoids are equal in float32
    assert metrics.mean_average_precision(logits, torch.tensor([[1.0], [0.0]])) == pytest.approx(1)


def test_colours_are_counted_per_image():
    images = torch.zeros(2, 3, 2, 2, dtype=torch.uint8)
    images[1, 0, 0, 0] = 1
    images[1, 2, 0, 1] = 1
    assert metrics.count_colors(images).tolist() == [1, 3]
    assert metrics.count_colors(images[:, :, :1, :1]).tolist() == [1, 1]

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.evaluation.evaluate import evaluate
from colorcnn.evaluation.scores import pack_bits, unpack_bits
from colorcnn.paletted import Paletted
from colorcnn.quantizers import Dithered, Quantizer
from colorcnn.quantizers.median_cut import MedianCut


class Batch(NamedTuple):
    images: Tensor
    labels: Tensor
    index: Tensor


class RedAboveHalf(nn.Module):
    """Two classes: whether the mean red exceeds one half."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []
        self.modes: list[bool] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        self.modes.append(self.training)
        excess = images[:, 0].mean(dim=(1, 2)) - 0.5
        return torch.stack([-excess, excess], dim=1)


class Flat:
    """Each image becomes one colour, its mean; at 2 colours and more it is given back in black."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def quantize_many(self, images: Tensor, sizes: list[int]) -> dict[int, Paletted]:
        self.calls.append(list(sizes))
        return {size: self.one(images, size) for size in sizes}

    def one(self, images: Tensor, size: int) -> Paletted:
        palette = torch.zeros(len(images), size, 3)
        if size == 1:
            palette[:, 0] = images.mean(dim=(2, 3))
        return Paletted(torch.zeros(len(images), *images.shape[2:], dtype=torch.uint8), palette)


class OnlyFour(Flat):
    """A model made for four colours."""

    def quantize_many(self, images: Tensor, sizes: list[int]) -> dict[int, Paletted]:
        if list(sizes) != [4]:
            self.calls.append(list(sizes))
            raise UsageError("This model was made for 4 colours.")
        return super().quantize_many(images, sizes)


def flat_images(*reds: int, side: int = 16) -> Tensor:
    images = torch.zeros(len(reds), 3, side, side, dtype=torch.uint8)
    images[:, 0] = torch.tensor(reds, dtype=torch.uint8)[:, None, None]
    return images


def batches(labels=(1, 1, 0, 0, 0)) -> list[Batch]:
    images = flat_images(200, 250, 10, 250, 20)  # the fourth is labelled wrongly
    whole = Batch(images, torch.tensor(labels), torch.arange(5))
    return [Batch(*(part[:3] for part in whole)), Batch(*(part[3:] for part in whole))]


def run(methods, data=None, sizes=(1, 2), **options):
    data = batches() if data is None else data
    return evaluate(methods, RedAboveHalf(), data, sizes, progress=False, **options)


def test_known_answers():
    result = run({"flat": Flat()})
    assert result.n == 5
    assert result.original.accuracy == 4 / 5
    assert result.original.correct.tolist() == [True, True, True, False, True]
    assert result.original.colors == (1, 1, 1)
    one, two = result.scores["flat"][1], result.scores["flat"][2]
    assert one.accuracy == 4 / 5
    assert one.interval[0] < 4 / 5 < one.interval[1]
    assert (one.lossless, one.psnr, one.ssim) == (5, 100, pytest.approx(1))
    assert two.correct.tolist() == [False, False, True, True, True]  # black is class 0
    assert two.lossless == 0
    mse = [red**2 / 3 for red in (200, 250, 10, 250, 20)]
    assert two.psnr == pytest.approx(np.mean([10 * math.log10(255**2 / error) for error in mse]))
    assert two.colors == (1, 1, 1)
    assert two.packed_bpp == 1
    assert two.palette_bpp == pytest.approx(24 / 256)
    assert two.png_bpp > two.packed_bpp / 8
    assert result.images_per_second["flat"] > 0
    assert result.unavailable == {"flat": {}}


def test_quantize_many_is_called_once_per_batch_and_method():
    first, second = Flat(), Flat()
    run({"first": first, "second": second}, sizes=(1, 2, 16))
    assert first.calls == second.calls == [[1, 2, 16], [1, 2, 16]]


def test_the_classifier_sees_8_bit_pixels_only():
    classifier = RedAboveHalf()
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (3, 3, 12, 12), dtype=torch.uint8, generator=generator)
    data = [Batch(images, torch.tensor([0, 1, 1]), torch.arange(3))]
    evaluate({"flat": Flat()}, classifier, data, [1, 4], progress=False)
    assert len(classifier.seen) == 3  # the originals and two sizes
    for pixels in classifier.seen:
        steps = pixels.double() * 255
        assert (steps - steps.round()).abs().max() < 1e-4


def test_what_is_measured_are_the_pixels_of_the_png_file():
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (2, 3, 12, 12), dtype=torch.uint8, generator=generator)
    seen = RedAboveHalf()
    data = [Batch(images, torch.tensor([0, 1]), torch.arange(2))]
    evaluate({"median-cut": MedianCut()}, seen, data, [4], progress=False)
    paletted = MedianCut()(images, 4)
    for image in range(2):
        decoded = np.asarray(paletted.to_pil(image).convert("RGB"))
        pixels = (seen.seen[1][image] * 255).round().byte().permute(1, 2, 0).numpy()
        assert (decoded == pixels).all()


def test_networks_are_evaluated_in_evaluation_mode_and_left_as_they_were():
    classifier = nn.Sequential(RedAboveHalf(), nn.Dropout(0.9))
    classifier[0].eval()
    classifier[1].train()
    evaluate({"flat": Flat()}, classifier, batches(), [1], progress=False)
    assert not any(classifier[0].modes)
    assert (classifier[0].training, classifier[1].training) == (False, True)


def test_a_network_inside_a_wrapper_is_put_in_evaluation_mode_too():
    class Net(nn.Module):
        def quantize_many(self, images, sizes):
            assert not self.training
            return {size: Flat().one(images, size) for size in sizes}

    net = Net()
    run({"dithered": Dithered(net)}, sizes=(1,))
    assert net.training


def test_a_refused_size_is_left_out_and_said():
    method = OnlyFour()
    result = run({"fixed": method, "flat": Flat()}, sizes=(2, 4))
    assert list(result.scores["fixed"]) == [4]
    assert result.unavailable["fixed"] == {2: "This model was made for 4 colours."}
    assert list(result.scores["flat"]) == [2, 4]
    assert method.calls[-1] == [4]  # later batches ask for what works only


def test_a_method_that_refuses_everything_leaves_the_others_alone():
    result = run({"fixed": OnlyFour(), "flat": Flat()}, sizes=(1, 2))
    assert result.scores["fixed"] == {}
    assert set(result.unavailable["fixed"]) == {1, 2}
    assert set(result.scores["flat"]) == {1, 2}


def test_a_refusal_in_the_middle_is_an_error():
    class Tired(Flat):
        def quantize_many(self, images, sizes):
            if self.calls:
                raise UsageError("no more")
            return super().quantize_many(images, sizes)

    with pytest.raises(UsageError, match="no more"):
        run({"tired": Tired()})


def test_the_limit_counts_images():
    result = run({"flat": Flat()}, limit=4)
    assert result.n == 4
    assert result.original.correct.tolist() == [True, True, True, False]


def test_the_limit_asks_for_no_further_batch():
    def endless():
        yield batches()[0]
        raise AssertionError("a batch too many")

    assert run({"flat": Flat()}, endless(), limit=3).n == 3


def test_correctness_is_kept_in_the_order_of_the_index():
    shuffled = [Batch(b.images.flip(0), b.labels.flip(0), b.index.flip(0)) for b in reversed(batches())]
    assert run({"flat": Flat()}, shuffled).original.correct.tolist() == [True, True, True, False, True]


def test_logits_that_are_not_finite_are_wrong_and_counted():
    class Broken(nn.Module):
        def forward(self, images):
            logits = torch.zeros(len(images), 2)
            logits[0] = math.nan
            return logits

    result = evaluate({"flat": Flat()}, Broken(), batches((0,) * 5), [1], progress=False)
    assert result.original.not_finite == 2  # the first of each batch
    assert result.original.correct.tolist() == [False, True, True, False, True]


def test_several_labels_per_image_get_precision_as_well():
    class TwoLabels(nn.Module):
        def forward(self, images):
            red = images[:, 0].mean(dim=(1, 2))
            return torch.stack([red - 0.5, 0.5 - red], dim=1) * 10

    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    data = [Batch(flat_images(250, 10, 200), labels, torch.arange(3))]
    result = evaluate({"flat": Flat()}, TwoLabels(), data, [1], progress=False)
    score = result.scores["flat"][1]
    assert score.accuracy == 2 / 3
    # First label ranked right, right, wrong; second ranked right, right, wrong.
    assert score.mean_average_precision == pytest.approx(1)
    assert run({"flat": Flat()}).scores["flat"][1].mean_average_precision is None


def test_masks_are_judged_by_their_mean_iou():
    class Bright(nn.Module):
        def forward(self, images):
            return torch.stack([0.5 - images[:, 0], images[:, 0] - 0.5], dim=1)

    images = flat_images(250, 10, 200)
    masks = torch.ones(3, *images.shape[2:], dtype=torch.uint8)
    masks[1, :, 0] = 255
    data = [Batch(images, masks, torch.arange(3))]
    result = evaluate({"flat": Flat()}, Bright(), data, [1], progress=False)
    score = result.scores["flat"][1]
    assert score.correct.tolist() == [True, False, True]
    wrong = (masks[1] == 1).sum().item() / (masks == 1).sum().item()
    assert score.mean_iou == pytest.approx((0 + 1 - wrong) / 2), "background is predicted, and never there"
    assert score.to_json()["mean_iou"] == score.mean_iou
    assert "mean_iou" not in run({"flat": Flat()}).scores["flat"][1].to_json()


def test_images_may_differ_in_size_between_batches():
    small = Batch(flat_images(200, side=8), torch.tensor([1]), torch.tensor([5]))
    result = run({"flat": Flat()}, [*batches(), small])
    assert result.n == 6
    assert result.scores["flat"][1].ssim is None  # smaller than the window


@pytest.mark.parametrize("size", [0, 300, 2.5])
def test_numbers_of_colours_out_of_range_are_refused(size):
    with pytest.raises(UsageError, match="from 1 to 256"):
        run({"flat": Flat()}, sizes=(2, size))


def test_nothing_to_evaluate_is_refused():
    with pytest.raises(UsageError, match="at least one"):
        run({})
    with pytest.raises(UsageError, match="at least one"):
        run({"flat": Flat()}, sizes=())
    with pytest.raises(UsageError, match="at least 1 image"):
        run({"flat": Flat()}, limit=0)
    with pytest.raises(ColorCNNError, match="no images"):
        run({"flat": Flat()}, [])


def test_a_classifier_of_other_data_is_refused():
    with pytest.raises(UsageError, match="has 2 classes and the data have 10"):
        run({"flat": Flat()}, num_classes=10)
    with pytest.raises(UsageError, match="has 2 classes and the data have 8"):
        run({"flat": Flat()}, batches((1, 1, 7, 0, 0)))


def test_a_classifier_without_logits_is_refused():
    with pytest.raises(UsageError, match="returns logits"):
        evaluate({"flat": Flat()}, nn.Identity(), batches(), [1], progress=False)


def test_float_images_are_refused():
    data = [Batch(batch.images / 255, batch.labels, batch.index) for batch in batches()]
    with pytest.raises(UsageError, match="uint8"):
        run({"flat": Flat()}, data)


def test_a_method_that_breaks_its_contract_is_named():
    class Greedy(Flat):
        def one(self, images, size):
            indices = torch.arange(256).reshape(1, 16, 16).repeat(len(images), 1, 1)
            return Paletted(indices, torch.linspace(0, 1, 256)[None, :, None].repeat(len(images), 1, 3))

    class Cropping(Flat):
        def one(self, images, size):
            return super().one(images[:, :, 1:], size)

    class Broken(Flat):
        def one(self, images, size):
            return super().one(images * math.nan, size)

    for method, problem in (
        (Greedy(), "256 colours, but at most 1"),
        (Cropping(), "index maps"),
        (Broken(), "not finite"),
    ):
        with pytest.raises(ColorCNNError, match=f"mine returned .*{problem}"):
            run({"mine": method})


def test_a_toy_quantizer_needs_no_more_than_its_own_method():
    class Threshold(Quantizer):
        def quantize_pixels(self, pixels, num_colors):
            return np.zeros(pixels.shape[:2], np.uint8), np.array([[255, 0, 0]], np.uint8)

    result = run({"threshold": Threshold()})
    assert result.scores["threshold"][2].accuracy == 2 / 5


def test_json_holds_everything_and_which_images_were_right():
    content = run({"flat": Flat(), "fixed": OnlyFour()}, sizes=(1, 4)).to_json()
    flat = content["methods"]["flat"]
    assert flat["scores"]["1"]["accuracy"] == 4 / 5
    assert unpack_bits(flat["scores"]["1"]["correct"], 5).tolist() == [True, True, True, False, True]
    assert flat["scores"]["4"]["colors"] == {"mean": 1, "min": 1, "max": 1}
    assert content["methods"]["fixed"]["unavailable"] == {"1": "This model was made for 4 colours."}
    assert content["sizes"] == [1, 4]


@pytest.mark.parametrize("n", [0, 1, 8, 13])
def test_packed_bits_come_back(n):
    flags = np.random.default_rng(n).random(n) < 0.5
    assert (unpack_bits(pack_bits(flags), n) == flags).all()


class BlueAboveHalf(RedAboveHalf):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.flip(1))


def test_several_judges_see_the_same_pixels_and_the_first_gives_the_scores():
    judges = {"red": RedAboveHalf(), "blue": BlueAboveHalf()}
    method = Flat()
    result = evaluate({"flat": method}, judges, batches(), [1, 2], progress=False)
    assert method.calls == [[1, 2], [1, 2]]  # quantized once for both
    alone = run({"flat": Flat()})
    for size in (1, 2):
        score = result.scores["flat"][size]
        assert score.accuracy == score.judges["red"].accuracy == alone.scores["flat"][size].accuracy
        assert score.judges["blue"].correct.tolist() == [False, False, True, True, True]  # never class 1
    assert result.original.judges["blue"].accuracy == 3 / 5
    content = result.to_json()
    assert content["judges"] == ["red", "blue"]
    cell = content["methods"]["flat"]["scores"]["2"]["judges"]["blue"]
    assert cell["accuracy"] == 3 / 5
    assert unpack_bits(cell["correct"], 5).tolist() == [False, False, True, True, True]
    assert "judges" not in alone.to_json()
    assert "judges" not in alone.to_json()["original"]


def test_a_judge_of_other_data_is_named():
    judges = {"red": RedAboveHalf(), "other": nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4))}
    with pytest.raises(UsageError, match="other has 4 classes and the data have 2"):
        evaluate({"flat": Flat()}, judges, batches(), [1], progress=False, num_classes=2)

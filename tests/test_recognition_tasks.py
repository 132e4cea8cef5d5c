"""Recognition tasks: losses and recognised images by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from colorcnn.errors import UsageError
from colorcnn.recognition import IGNORED, Masks, accuracy, mean_iou, recognition_of


def one_hot_logits(masks, classes, sure=10.0):
    return sure * F.one_hot(masks.long(), classes).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        (torch.zeros(2, dtype=torch.int64), "classes"),
        (torch.zeros(2, 3), "several labels"),
        (torch.zeros(2, 4, 5, dtype=torch.uint8), "masks"),
    ],
)
def test_the_shape_of_the_labels_names_the_task(labels, name):
    assert recognition_of(labels).name == name


def test_labels_of_another_shape_are_refused():
    with pytest.raises(UsageError, match=r"labels are \(2, 3, 4, 5\)"):
        recognition_of(torch.zeros(2, 3, 4, 5))


def test_the_confusion_of_masks_counts_pixels_and_leaves_ignored_ones_out():
    truth = torch.tensor([[[0, 0, 1], [1, 2, IGNORED]]], dtype=torch.uint8)
    answer = torch.tensor([[[0, 1, 1], [1, 0, 2]]])
    counts = Masks.confusion(one_hot_logits(answer, 3), truth)
    assert counts.tolist() == [[[1, 1, 0], [0, 2, 0], [1, 0, 0]]]


def test_mean_iou_by_hand():
    """IoU: class 0 is 1 of 3 pixels, class 1 is 2 of 3, class 2 is 0 of 1; class 3 does not occur."""
    counts = torch.tensor([[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    assert mean_iou(counts).item() == pytest.approx((1 / 3 + 2 / 3 + 0) / 3)
    assert mean_iou(torch.zeros(3, 3)).item() == 0


def test_a_mask_is_found_from_a_mean_iou_of_one_half_on():
    truth = torch.tensor([[[0, 0, 1, 1]]] * 3)
    answers = torch.tensor([[[0, 0, 1, 1]], [[0, 0, 0, 1]], [[1, 1, 0, 0]]])
    logits = one_hot_logits(answers, 2)
    assert recognition_of(truth).correct(logits, truth).tolist() == [True, True, False]
    assert accuracy(logits, truth).item() == pytest.approx(2 / 3)
    logits[0, 0, 0, 0] = math.nan
    assert recognition_of(truth).correct(logits, truth).tolist() == [False, True, False]


def test_the_loss_of_masks_is_the_mean_over_the_pixels_that_count():
    truth = torch.tensor([[[0, IGNORED]]], dtype=torch.uint8)
    logits = torch.tensor([[[[0.0, 5.0]], [[1.0, -5.0]]]])
    expected = math.log(1 + math.exp(1))
    assert recognition_of(truth).loss(logits, truth).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "answer", [None, torch.zeros(2, 3), torch.zeros(2, 3, 4, 4), torch.zeros(1, 3, 8, 8)]
)
def test_answers_of_another_shape_are_refused(answer):
    with pytest.raises(UsageError, match="use a classifier that returns logits"):
        Masks().check_logits(answer, torch.zeros(2, 3, 8, 8))

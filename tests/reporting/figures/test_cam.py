"""Pictures of activation maps."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import nn

from colorcnn.data.datasets import ImageSplit
from colorcnn.evaluation.gallery import PictureSource
from colorcnn.models.classifiers import Classifier
from colorcnn.quantizers.median_cut import MedianCut
from colorcnn.reporting.figures.cam import map_rows, overlay
from colorcnn.reporting.figures.gallery import CELL, grid_picture


def network(head: nn.Sequential) -> Classifier:
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 5, 3, stride=2, padding=1), nn.ReLU(inplace=True))
    return Classifier(features, head, 4).eval()


def averaging() -> Classifier:
    torch.manual_seed(1)
    linear = nn.Linear(5, 4)
    return network(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), linear))


def test_an_overlay_is_red_where_the_map_is_high_and_blue_where_it_is_low():
    pixels = torch.full((1, 3, 8, 8), 128, dtype=torch.uint8)
    maps = torch.zeros(1, 2, 2)
    maps[0, :, 1] = 0.9
    shown = overlay(pixels, maps, 64).float()
    assert shown.shape == (1, 3, 64, 64)
    left, right = shown[0, :, 32, 8], shown[0, :, 32, 56]
    assert left[2] > left[0]
    assert right[0] > right[2]


def test_a_picture_names_the_classes_and_tells_confidences():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 12, 12, 3), dtype=np.uint8)
    split = ImageSplit(pixels, np.array([0, 1, 2, 3]))
    names = ["cat", "dog", "frog", "ship"]
    source = PictureSource({"median-cut": MedianCut()}, averaging(), split, names)
    picture = grid_picture(source, [2], count=3, make_row=map_rows(source, 3), caption="The maps.")
    assert picture.caption == "The maps."
    light = Image.open(io.BytesIO(picture.light))
    assert light.width > 3 * CELL
    assert light.size == Image.open(io.BytesIO(picture.dark)).size

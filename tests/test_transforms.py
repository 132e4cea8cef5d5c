"""The transform for torchvision: kinds of images, samples with labels, learned models."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

import colorcnn
from colorcnn.errors import ColorCNNError, UsageError

PIXELS = torch.randint(256, (3, 8, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
EXPECTED = colorcnn.quantize(PIXELS, 4, "median-cut").render(torch.uint8)[0]
TRANSFORM = colorcnn.Quantize(4, "median-cut")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_tensors_keep_their_type_and_shape(dtype):
    image = PIXELS if dtype == torch.uint8 else PIXELS.to(dtype) / 255
    expected = EXPECTED if dtype == torch.uint8 else EXPECTED.to(dtype) / 255
    for given in (image, image[None], image.expand(2, 2, 3, 8, 6)):
        result = TRANSFORM(given)
        assert result.dtype == dtype
        assert torch.equal(result, expected.expand(given.shape))


def test_pillow_images_stay_pillow_images():
    picture = Image.fromarray(PIXELS.permute(1, 2, 0).numpy())
    result = TRANSFORM(picture)
    assert result.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(result), EXPECTED.permute(1, 2, 0).numpy())


def test_of_a_sample_the_image_alone_is_quantized():
    mask = tv_tensors.Mask(torch.arange(48, dtype=torch.uint8).reshape(1, 8, 6))
    image, same, label = v2.Compose([TRANSFORM])(tv_tensors.Image(PIXELS), mask, 3)
    assert isinstance(image, tv_tensors.Image)
    assert torch.equal(image.as_subclass(torch.Tensor), EXPECTED)
    assert torch.equal(same, mask)
    assert label == 3


def test_options_reach_the_method():
    dithered = colorcnn.quantize(PIXELS, 4, "median-cut", dither=True).render(torch.uint8)[0]
    assert torch.equal(colorcnn.Quantize(4, "median-cut", dither=True)(PIXELS), dithered)
    clear = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    assert np.asarray(colorcnn.Quantize(2, "octree", background="red")(clear)).tolist()[0][0] == [255, 0, 0]


def test_a_learned_model_is_a_part_and_stays_in_evaluation_mode(checkpoints):
    transform = colorcnn.Quantize(4, "colorcnn-plus:toy-plus", max_pixels=48)
    expected = colorcnn.quantize(PIXELS, 4, "colorcnn-plus:toy-plus").render(torch.uint8)[0]
    assert not transform.train().quantizer.training
    assert torch.equal(transform(PIXELS), expected)
    with pytest.raises(ColorCNNError, match="more than 48 pixels"):
        transform(torch.zeros(3, 8, 8))


def test_workers_of_a_data_loader_get_a_copy():
    assert torch.equal(pickle.loads(pickle.dumps(TRANSFORM))(PIXELS), EXPECTED)
    assert repr(TRANSFORM) == "Quantize(num_colors=4, method='median-cut')"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [((0,), "number of colours is 0"), ((4, "mediancut"), "did you mean median-cut")],
)
def test_a_wrong_method_is_refused_when_it_is_made(arguments, problem):
    with pytest.raises(UsageError, match=problem):
        colorcnn.Quantize(*arguments)


def test_floats_outside_0_to_1_are_refused():
    with pytest.raises(UsageError, match="not all in"):
        TRANSFORM(PIXELS.float())


def test_nothing_is_imported_before_it_is_used():
    code = "import colorcnn, sys; 'Quantize' in dir(colorcnn); print('torchvision' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_networks_take_photographs_of_any_size():
    assert colorcnn.Quantize(4, "palette-attention").max_pixels is None
    assert colorcnn.Quantize(4, "colorcnn-plus").max_pixels is None

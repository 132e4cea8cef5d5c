"""Names: methods, classifiers and pretrained models, and the one call that quantizes an image."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

import colorcnn
from colorcnn import api, methods, models
from colorcnn.classifiers import load_classifier
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.methods import Method, load_quantizer, parse_method
from colorcnn.pretrained import find_device
from colorcnn.quantizers import QUANTIZERS, Dithered, Quantizer

IMAGES = torch.rand(2, 3, 9, 7, generator=torch.Generator().manual_seed(0))


class TestClassifiers:
    def test_pretrained_names_load_and_quantizers_are_refused(self, checkpoints):
        assert load_classifier("toy-net").num_classes == 3
        with pytest.raises(UsageError, match="toy-plus is a quantizer"):
            load_classifier("toy-plus")

    def test_ones_own_function_is_called(self, tmp_path, monkeypatch):
        (tmp_path / "my_nets.py").write_text(
            "from torch import nn\n"
            "def plain(): return nn.Linear(2, 5)\n"
            "def sized(num_classes=7): return nn.Linear(2, num_classes)\n"
            "def fails(): raise RuntimeError('no weights')\n"
            "def number(): return 3\n"
            "constant = 3\n"
        )
        monkeypatch.chdir(tmp_path)
        assert load_classifier("my_nets:plain").out_features == 5
        assert not load_classifier("my_nets:plain").training
        assert load_classifier("my_nets:sized").out_features == 7
        assert load_classifier("my_nets:sized", num_classes=4).out_features == 4
        for spec, problem in {
            "my_nets:none": "has no 'none'",
            "no_such_module:f": "could not be imported",
            "my_nets:fails": "RuntimeError: no weights",
            "my_nets:number": "returned a int",
            "my_nets:constant": "failed",
        }.items():
            with pytest.raises(ColorCNNError, match=problem):
                load_classifier(spec)


class TestMethods:
    @pytest.mark.parametrize(
        ("text", "method"),
        [
            ("octree", Method("octree")),
            ("median-cut+floyd-steinberg", Method("median-cut", None, "floyd-steinberg")),
            ("colorcnn-plus", Method("colorcnn-plus", "colorcnn-plus-cifar10")),
            ("palette-attention", Method("palette-attention", "palette-attention-cifar10")),
            ("colorcnn:runs/a/last.ckpt", Method("colorcnn", "runs/a/last.ckpt")),
            ("colorcnn-plus:x+floyd-steinberg", Method("colorcnn-plus", "x", "floyd-steinberg")),
        ],
    )
    def test_the_grammar(self, text, method):
        assert parse_method(text) == method

    def test_a_plus_in_a_path_is_part_of_it(self, tmp_path):
        folder = tmp_path / "a+b"
        folder.mkdir()
        assert parse_method(f"colorcnn:{folder}") == Method("colorcnn", str(folder))
        assert parse_method(f"colorcnn:{folder}+floyd-steinberg").dither == "floyd-steinberg"

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (
                "mediancut",
                r"'mediancut' \(did you mean median-cut\?\): choose one of colorcnn, .*median-cut",
            ),
            ("", "Unknown method ''"),
            ("octree+noise", "Unknown dither 'noise'"),
            ("octree:x", "has no checkpoints"),
            ("colorcnn-plus:nothing", "no pretrained model 'nothing'"),
            ("colorcnn-plus:toy-net", "toy-net is a classifier"),
            ("colorcnn-plus:toy-two", "write colorcnn:toy-two"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, checkpoints, text, problem):
        with pytest.raises(UsageError, match=problem):
            load_quantizer(text)

    def test_the_bare_name_of_a_learned_method_is_its_default_model(self, checkpoints, monkeypatch):
        monkeypatch.setitem(methods.DEFAULTS, "colorcnn-plus", "toy-plus")
        assert isinstance(load_quantizer("colorcnn-plus"), models.ColorCNNPlus)

    def test_learned_models_answer_the_same_calls_as_classical_methods(self, checkpoints):
        pixels = (IMAGES * 255).to(torch.uint8)
        for method in ("colorcnn-plus:toy-plus", "octree"):
            quantizer = load_quantizer(method)
            result = quantizer(pixels, 4)
            last = quantizer(pixels.permute(0, 2, 3, 1), 4, channels_last=True)
            assert torch.equal(result.indices, last.indices)
            assert torch.equal(quantizer.quantize_many(pixels, [2, 4])[4].indices, result.indices)

    def test_dither_wraps_learned_models_too(self, checkpoints):
        quantizer = load_quantizer("colorcnn:toy-two+floyd-steinberg")
        assert isinstance(quantizer, Dithered)
        assert int(quantizer(IMAGES, 2).num_colors.max()) <= 2
        with pytest.raises(UsageError, match="made for 2 colours and cannot give 4"):
            quantizer(IMAGES, 4)

    def test_a_dithered_model_encodes_a_batch_once_for_all_sizes(self, checkpoints, monkeypatch):
        quantizer = load_quantizer("colorcnn-plus:toy-plus+floyd-steinberg")
        expected = {size: quantizer(IMAGES, size) for size in (2, 4)}
        calls = []
        encode = quantizer.quantizer.encode
        monkeypatch.setattr(quantizer.quantizer, "encode", lambda images: calls.append(1) or encode(images))
        for size, result in quantizer.quantize_many(IMAGES, [2, 4]).items():
            assert torch.equal(result.indices, expected[size].indices)
        assert len(calls) == 1

    def test_the_seed_reaches_methods_that_draw(self, monkeypatch):
        class Drawn(Quantizer):
            def __init__(self, seed=0):
                self.seed = seed

            def quantize_pixels(self, pixels, num_colors):
                raise NotImplementedError

        monkeypatch.setitem(QUANTIZERS, "drawn", Drawn)
        assert load_quantizer("drawn", seed=5).seed == 5
        assert load_quantizer("octree", seed=5)

    @pytest.mark.parametrize("device", ["nonsense", "cuda:99", ""])
    def test_devices_that_are_not_there_are_named(self, device):
        with pytest.raises(UsageError, match=f"Device '{device}' is not available"):
            find_device(device)


class TestQuantize:
    def test_a_damaged_pillow_image_is_told(self, tmp_path):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)).save(
            tmp_path / "a.png"
        )
        whole = (tmp_path / "a.png").read_bytes()
        (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ColorCNNError, match="The image is corrupt"):
            colorcnn.quantize(Image.open(tmp_path / "a.png"), 4, "median-cut")

    def test_arrays_of_another_byte_order_are_taken(self):
        pixels = np.random.default_rng(0).random((9, 7, 3), dtype=np.float32)
        swapped = colorcnn.quantize(pixels.astype(">f4"), 4, "median-cut")
        assert torch.equal(swapped.indices, colorcnn.quantize(pixels, 4, "median-cut").indices)

    @pytest.mark.parametrize("seed", [-1, 0.5, "a"])
    def test_a_seed_is_a_whole_number_from_0_up(self, seed):
        with pytest.raises(UsageError, match=r"seed is .*: choose a whole number"):
            colorcnn.quantize(IMAGES, 4, "stochastic", seed=seed)

    PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)

    def test_every_way_to_give_the_same_image_gives_the_same(self, tmp_path):
        picture = Image.fromarray(self.PIXELS)
        picture.save(tmp_path / "a.png")
        tensor = torch.from_numpy(self.PIXELS)
        expected = colorcnn.quantize(self.PIXELS, 4, "median-cut")
        assert expected.indices.shape == (1, 6, 9)
        for image in (
            tmp_path / "a.png",
            str(tmp_path / "a.png"),
            picture,
            tensor,
            tensor.permute(2, 0, 1),
            tensor.permute(2, 0, 1).float() / 255,
            self.PIXELS[None],
            self.PIXELS / 255,
            self.PIXELS[::-1][::-1],
            tensor.permute(2, 0, 1)[None],
            (tmp_path / "a.png").read_bytes(),
            io.BytesIO((tmp_path / "a.png").read_bytes()),
            [picture],
            np.dstack([self.PIXELS, np.full((6, 9), 255, np.uint8)]),
            np.dstack([self.PIXELS / 255, np.ones((6, 9))]).transpose(2, 0, 1),
        ):
            result = colorcnn.quantize(image, 4, "median-cut")
            assert torch.equal(result.indices, expected.indices)
            assert torch.equal(result.palette, expected.palette)

    def test_a_list_of_images_of_one_size_gives_a_batch(self, tmp_path):
        Image.fromarray(self.PIXELS).save(tmp_path / "a.png")
        grey = self.PIXELS[..., 0]
        images = [tmp_path / "a.png", torch.from_numpy(self.PIXELS).permute(2, 0, 1), grey]
        result = colorcnn.quantize(images, 4, "median-cut")
        expected = [colorcnn.quantize(image, 4, "median-cut") for image in images]
        assert torch.equal(result.render(), torch.cat([one.render() for one in expected]))
        floats = colorcnn.quantize([self.PIXELS, self.PIXELS / 255], 4, "median-cut")
        assert torch.equal(floats[0].render(), floats[1].render())

    def test_grey_arrays_may_have_a_dimension_of_one_channel(self):
        grey = self.PIXELS[..., 0]
        expected = colorcnn.quantize(grey, 4, "median-cut").render()
        for image in (grey[None], grey[..., None], grey[None, None]):
            assert torch.equal(colorcnn.quantize(image, 4, "median-cut").render(), expected)

    @pytest.mark.parametrize("scale", [1, 255.0])
    def test_arrays_with_alpha_are_laid_over_the_background(self, scale):
        image = np.zeros((4, 2, 5), np.uint8)
        result = colorcnn.quantize(image / scale if scale > 1 else image, 2, "octree", background=(1.0, 0, 0))
        assert np.asarray(result).reshape(-1, 3).tolist() == [[255, 0, 0]] * 10

    def test_options_of_the_command_are_options_here(self, tmp_path):
        dithered = colorcnn.quantize(self.PIXELS, 4, "median-cut+floyd-steinberg")
        for dither in (True, "floyd-steinberg"):
            result = colorcnn.quantize(self.PIXELS, 4, "median-cut", dither=dither)
            assert torch.equal(result.render(), dithered.render())
        (tmp_path / "two.hex").write_text("000000\nff0000\n")
        for palette in (tmp_path / "two.hex", ["black", "#f00"], np.array([[0, 0, 0], [1.0, 0, 0]])):
            result = colorcnn.quantize(self.PIXELS, palette=palette)
            assert result.palette[0].tolist() == [[0, 0, 0], [1, 0, 0]]
        kept = colorcnn.quantize(np.zeros((2, 2, 3), np.uint8), 4, "k-means", keep=["black"])
        assert kept.num_colors.tolist() == [1]

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            ({"method": "octree"}, "num_colors is missing"),
            ({"num_colors": 2, "method": "octree+ordered", "dither": True}, "give one of them"),
            ({"num_colors": 2, "method": "octree", "dither": "noise"}, "Unknown dither 'noise'"),
            ({"palette": ["red"], "keep": ["blue"]}, "so keep has no effect"),
            ({"palette": []}, "has no colour"),
            ({"num_colors": 1, "palette": ["red", "blue"]}, "has 2 colours, but only 1 are allowed"),
        ],
    )
    def test_options_that_conflict_are_refused(self, options, problem):
        with pytest.raises(UsageError, match=problem):
            colorcnn.quantize(self.PIXELS, **options)

    def test_one_limit_of_pixels_holds_for_methods_without_tiles(self, checkpoints, tmp_path, monkeypatch):
        monkeypatch.setattr(api, "LEARNED_PIXELS", 50)
        monkeypatch.setattr(api, "takes_large_images", lambda method: method.name == "octree")
        Image.fromarray(self.PIXELS).save(tmp_path / "a.png")
        for image in (self.PIXELS, tmp_path / "a.png", Image.fromarray(self.PIXELS), [self.PIXELS]):
            with pytest.raises(ColorCNNError, match="is 9 x 6, more than 50 pixels"):
                colorcnn.quantize(image, 4, "colorcnn-plus:toy-plus")
            colorcnn.quantize(image, 4, "colorcnn-plus:toy-plus", max_pixels=54)
            colorcnn.quantize(image, 4, "octree")

    def test_a_model_takes_the_same_images(self, checkpoints, tmp_path):
        model = colorcnn.from_pretrained("toy-plus")
        picture = Image.fromarray(self.PIXELS)
        picture.save(tmp_path / "a.png")
        expected = model.quantize(torch.from_numpy(self.PIXELS).permute(2, 0, 1)[None], 4)
        for image in (picture, [picture], tmp_path / "a.png", (tmp_path / "a.png").read_bytes(), self.PIXELS):
            assert torch.equal(model.quantize(image, 4).indices, expected.indices)
        with pytest.raises(ColorCNNError, match="more than 50 pixels"):
            model.quantize(picture, 4, max_pixels=50)

    def test_a_batch_gives_a_batch(self):
        assert len(colorcnn.quantize(np.stack([self.PIXELS] * 3), 4, "octree")) == 3

    def test_grey_becomes_grey(self):
        result = colorcnn.quantize(self.PIXELS[..., 0], 4, "median-cut").render(torch.uint8)
        assert torch.equal(result[:, 0], result[:, 2])

    def test_shapes_that_leave_it_open_want_to_be_told(self):
        image = np.zeros((3, 5, 3), dtype=np.uint8)
        with pytest.raises(UsageError, match=r"set channels_last=True or False"):
            colorcnn.quantize(image, 2, "octree")
        assert colorcnn.quantize(image, 2, "octree", channels_last=True).indices.shape == (1, 3, 5)
        assert colorcnn.quantize(image, 2, "octree", channels_last=False).indices.shape == (1, 5, 3)

    @pytest.mark.parametrize(
        ("image", "problem"),
        [
            (np.zeros((4, 4, 4), np.uint8), "set channels_last=True or False"),
            (np.zeros((5, 4, 2), np.uint8), "give RGB, RGBA or grey"),
            ([], "list of images is empty"),
            ([np.zeros((4, 5, 3), np.uint8), np.zeros((5, 5, 3), np.uint8)], "are 4 x 5 and 5 x 5"),
            (np.zeros((4, 5, 3), np.int64), "torch.int64"),
            (np.zeros((4, 5, 3), object), "object"),
            (np.full((4, 5, 3), 255.0), r"not all in \[0, 1\]"),
            (np.full((4, 5, 3), np.nan), r"not all in \[0, 1\]"),
            (np.zeros((0, 5, 3), np.uint8), "at least one pixel"),
            (np.zeros(5, np.uint8), r"give \(H, W\)"),
            (3, "A int is not an image"),
            ([3], "A int is not an image"),
            (b"", "is empty"),
            (b"no image", "not an image of a known format"),
        ],
    )
    def test_what_is_no_image_is_refused(self, image, problem):
        with pytest.raises(ColorCNNError, match=problem):
            colorcnn.quantize(image, 2, "octree")

    def test_a_read_only_array_is_neither_changed_nor_warned_about(self, recwarn):
        pixels = self.PIXELS.copy()
        pixels.flags.writeable = False
        colorcnn.quantize(pixels, 2, "octree")
        assert not recwarn.list

    def test_alpha_is_laid_over_the_background(self):
        picture = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
        assert colorcnn.quantize(picture, 2, "median-cut").render().min() == 1
        assert colorcnn.quantize(picture, 2, "median-cut", background="black").render().max() == 0

    def test_learned_models_take_the_same_images(self, checkpoints):
        for image in (
            self.PIXELS,
            self.PIXELS / 255,
            self.PIXELS[..., 0],
            torch.from_numpy(self.PIXELS).double() / 255,
        ):
            result = colorcnn.quantize(image, 4, "colorcnn-plus:toy-plus")
            assert result.indices.shape == (1, 6, 9)
            assert int(result.num_colors) <= 4

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(ColorCNNError, match="does not exist"):
            colorcnn.quantize(tmp_path / "none.png", 2)

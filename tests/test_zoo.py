import json
import os
import pathlib

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from toy_checkpoints import CLASSES, PLUS, TWO_COLORS, publish_all

import colorcnn
from colorcnn import models, weights, zoo
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.quantizers import QUANTIZERS, Dithered, Quantizer
from colorcnn.weights import Config, load_lightning, read_config, save_pretrained
from colorcnn.zoo import Method, find_device, load_classifier, load_quantizer, parse_method

IMAGES = torch.rand(2, 3, 9, 7, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def checkpoints(tmp_path, monkeypatch):
    root = publish_all(tmp_path / "checkpoints")
    monkeypatch.setenv("COLORCNN_CHECKPOINTS", str(root))
    return root


def edit_config(folder, **changes):
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, **changes}))


def save_ckpt(path, state, **options):
    torch.save({"state_dict": state, "hyper_parameters": options, "epoch": 1}, path)
    return path


def prefixed(prefix, model):
    return {f"{prefix}.{key}": value for key, value in model.state_dict().items()}


class TestCheckpoints:
    def test_what_was_saved_comes_back_in_evaluation_mode(self, checkpoints):
        torch.manual_seed(0)
        original = models.MODELS["colorcnn-plus"](**PLUS).eval()
        loaded = colorcnn.from_pretrained("toy-plus")
        assert not loaded.training
        assert torch.equal(loaded.quantize(IMAGES, 4).indices, original.quantize(IMAGES, 4).indices)
        assert loaded.trained_sizes == (2, 4)

    def test_names_and_folders_both_load(self, checkpoints, monkeypatch):
        assert colorcnn.from_pretrained("toy-net").num_classes == 3
        assert colorcnn.from_pretrained(checkpoints / "toy-net").num_classes == 3
        monkeypatch.chdir(checkpoints)
        assert colorcnn.from_pretrained("./toy-net").num_classes == 3

    def test_available_lists_what_is_found(self, checkpoints):
        (checkpoints / "notes").mkdir()
        assert {"toy-net", "toy-plus", "toy-two"} <= set(colorcnn.available())
        assert "notes" not in colorcnn.available()

    def test_available_lists_one_kind_when_asked_and_passes_over_damage(self, checkpoints):
        (checkpoints / "toy-two" / "config.json").write_text("{")
        quantizers, classifiers = colorcnn.available("quantizer"), colorcnn.available("classifier")
        assert "toy-plus" in quantizers
        assert "toy-net" in classifiers
        assert not {"toy-net", "toy-two"} & set(quantizers)
        assert not {"toy-plus", "toy-two"} & set(classifiers)
        with pytest.raises(UsageError, match="Unknown kind of checkpoint 'network'"):
            colorcnn.available("network")

    def test_the_environment_comes_before_the_repository(self, checkpoints, tmp_path, monkeypatch):
        package = tmp_path / "copy" / "colorcnn"
        package.mkdir(parents=True)
        (tmp_path / "copy" / "checkpoints").mkdir()
        (package / "checkpoints").mkdir()
        monkeypatch.setattr(zoo, "__file__", str(package / "zoo.py"))
        assert zoo.checkpoint_folders() == [checkpoints, package / "checkpoints"]
        (tmp_path / "copy" / "pyproject.toml").touch()
        assert zoo.checkpoint_folders() == [
            checkpoints,
            tmp_path / "copy" / "checkpoints",
            package / "checkpoints",
        ]

    def test_unknown_names_list_those_there_are(self, checkpoints):
        with pytest.raises(UsageError, match=r"no pretrained model 'toy'.*toy-net, toy-plus, toy-two"):
            colorcnn.from_pretrained("toy")
        with pytest.raises(UsageError, match="no checkpoint folder"):
            colorcnn.from_pretrained("some/where")
        with pytest.raises(UsageError, match="is no checkpoint"):
            colorcnn.from_pretrained(checkpoints)

    def test_no_folder_at_all_says_how_to_name_one(self, monkeypatch):
        monkeypatch.setattr(zoo, "checkpoint_folders", lambda: [])
        with pytest.raises(UsageError, match="set COLORCNN_CHECKPOINTS"):
            colorcnn.from_pretrained("toy")

    def test_a_toy_architecture_is_one_entry(self, tmp_path, monkeypatch):
        monkeypatch.setitem(models.MODELS, "linear", nn.Linear)
        kwargs = {"in_features": 2, "out_features": 3}
        config = Config("classifier", "linear", kwargs, classes=("a", "b", "c"), seed=1)
        saved = save_pretrained(nn.Linear(2, 3), tmp_path / "toy", config)
        assert read_config(tmp_path / "toy") == saved
        assert colorcnn.from_pretrained(tmp_path / "toy").out_features == 3

    def test_an_existing_checkpoint_is_replaced_only_when_asked(self, checkpoints):
        model, config = models.MODELS["resnet9"](**CLASSES), Config("classifier", "resnet9", CLASSES)
        with pytest.raises(ColorCNNError, match="holds a checkpoint already"):
            save_pretrained(model, checkpoints / "toy-net", config)
        save_pretrained(model, checkpoints / "toy-net", config, overwrite=True)
        assert torch.equal(colorcnn.from_pretrained("toy-net").head[2].bias, model.head[2].bias)

    def test_a_configuration_that_does_not_build_the_network_is_not_published(self, tmp_path):
        model = models.MODELS["resnet9"](**CLASSES)
        with pytest.raises(ColorCNNError, match="does not fit its architecture"):
            save_pretrained(model, tmp_path / "new", Config("classifier", "resnet9", {**CLASSES, "width": 8}))
        assert not (tmp_path / "new").exists()

    def test_channels_last_weights_are_saved(self, tmp_path):
        model = models.MODELS["resnet9"](**CLASSES).to(memory_format=torch.channels_last)
        save_pretrained(model, tmp_path / "new", Config("classifier", "resnet9", CLASSES))
        assert torch.equal(
            colorcnn.from_pretrained(tmp_path / "new").features[0][0].weight, model.features[0][0].weight
        )


class TestDamage:
    @pytest.mark.parametrize(
        ("damage", "problem"),
        [
            (lambda path: path.unlink(), "is missing: fetch"),
            (lambda path: path.write_bytes(path.read_bytes()[:-9]), "truncated or corrupt"),
            (lambda path: path.write_bytes(b""), "truncated or corrupt"),
            (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"!"), "does not have the sha256"),
            (
                lambda path: path.write_text(
                    "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
                ),
                "Git LFS pointer.*git lfs pull",
            ),
        ],
        ids=["missing", "truncated", "empty", "changed", "lfs"],
    )
    def test_damaged_weights_are_named_with_the_cure(self, checkpoints, damage, problem):
        damage(checkpoints / "toy-net" / "model.safetensors")
        with pytest.raises(ColorCNNError, match=problem) as caught:
            colorcnn.from_pretrained("toy-net")
        assert str(checkpoints / "toy-net" / "model.safetensors") in str(caught.value)

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"format_version": 2}, "format version 2.*update colorcnn"),
            ({"architecture": "transformer"}, "architecture 'transformer'.*alexnet.*update colorcnn"),
            ({"architecture": None}, "lacks architecture"),
            ({"kind": "codec"}, "unknown kind 'codec'"),
            ({"kwargs": {**CLASSES, "depth": 2}}, "can be built.*depth"),
            ({"kwargs": {**CLASSES, "num_classes": 4}}, "weights of another shape"),
            ({"architecture": "alexnet", "kwargs": {"num_classes": 3}}, "lacks .* of its weights"),
        ],
    )
    def test_configurations_that_do_not_fit_are_named(self, checkpoints, changes, problem):
        edit_config(checkpoints / "toy-net", **changes)
        with pytest.raises(ColorCNNError, match=problem):
            colorcnn.from_pretrained("toy-net")

    @pytest.mark.parametrize(("text", "problem"), [("{", "not valid JSON"), ("[]", "no JSON object")])
    def test_broken_json_is_named(self, checkpoints, text, problem):
        (checkpoints / "toy-net" / "config.json").write_text(text)
        with pytest.raises(ColorCNNError, match=problem):
            colorcnn.from_pretrained("toy-net")

    def test_keys_of_later_versions_of_the_same_format_are_ignored(self, checkpoints):
        edit_config(checkpoints / "toy-net", licence="MIT")
        assert colorcnn.from_pretrained("toy-net").num_classes == 3

    def test_a_network_does_not_download_weights_that_are_about_to_be_replaced(
        self, checkpoints, monkeypatch
    ):
        seen = {}

        def build(**kwargs):
            seen.update(kwargs)
            return models.MODELS["resnet9"](**CLASSES)

        monkeypatch.setitem(models.MODELS, "fetching", build)
        edit_config(checkpoints / "toy-net", architecture="fetching", kwargs={"weights": "IMAGENET1K_V2"})
        colorcnn.from_pretrained("toy-net")
        assert seen == {"weights": None}


class Malicious:
    def __reduce__(self):
        return (pathlib.Path.touch, (pathlib.Path(os.environ["HARM"]),))


class TestLightning:
    @pytest.fixture
    def classifier_ckpt(self, tmp_path):
        torch.manual_seed(0)
        model = models.create_model("resnet9", **CLASSES, mean=[0.1, 0.2, 0.3], std=[0.5, 0.6, 0.7])
        path = save_ckpt(
            tmp_path / "last.ckpt", prefixed("classifier", model), network="resnet9", num_classes=3,
            network_kwargs={"width": 4}, mean=[0.1, 0.2, 0.3], std=[0.5, 0.6, 0.7], learning_rate=0.1,
        )  # fmt: skip
        return path, model.eval()

    def test_a_classifier_task_gives_its_classifier(self, classifier_ckpt):
        path, model = classifier_ckpt
        loaded = load_classifier(path)
        assert loaded.num_classes == 3
        assert not loaded.training
        assert torch.equal(loaded(IMAGES.tile(1, 1, 2, 2)), model(IMAGES.tile(1, 1, 2, 2)))

    @pytest.mark.parametrize(
        ("architecture", "kwargs", "sizes", "extra"),
        [("colorcnn-plus", PLUS, [2, 4], {"trained_sizes"}), ("colorcnn", TWO_COLORS, [2], {"num_colors"})],
    )
    def test_a_colorcnn_task_gives_its_quantizer(self, tmp_path, architecture, kwargs, sizes, extra):
        torch.manual_seed(0)
        model = models.create_model(architecture, **kwargs).eval()
        path = save_ckpt(
            tmp_path / "last.ckpt", {**prefixed("quantizer", model), "mean": torch.zeros(3)},
            architecture=architecture, sizes=sizes, classifiers=["toy-net"],
            quantizer_kwargs={key: value for key, value in kwargs.items() if key not in extra},
        )  # fmt: skip
        loaded = load_quantizer(f"{architecture}:{path}")
        assert torch.equal(loaded(IMAGES, 2).indices, model(IMAGES, 2).indices)
        assert json.loads(json.dumps(load_lightning(path)[1].kwargs)) == kwargs

    def test_nothing_in_the_file_is_run(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HARM", str(tmp_path / "harm"))
        path = save_ckpt(
            tmp_path / "bad.ckpt", {"classifier.x": Malicious()}, network="resnet9", num_classes=3
        )
        with pytest.raises(ColorCNNError, match="more than weights and plain values"):
            load_classifier(path)
        assert not (tmp_path / "harm").exists()

    def test_damaged_and_foreign_files_are_named(self, tmp_path, classifier_ckpt):
        path = classifier_ckpt[0]
        (tmp_path / "cut.ckpt").write_bytes(path.read_bytes()[:-500])
        (tmp_path / "text.ckpt").write_text("hello")
        (tmp_path / "lfs.ckpt").write_text("version https://git-lfs.github.com/spec/v1\n")
        (tmp_path / "folder.ckpt").mkdir()
        torch.save([1], tmp_path / "list.ckpt")
        save_ckpt(tmp_path / "other.ckpt", {}, rate=1)
        save_ckpt(tmp_path / "short.ckpt", {}, network="resnet9", num_classes=3)
        for name, problem in {
            "none": "does not exist",
            "cut": "truncated or no checkpoint",
            "text": "truncated or no checkpoint",
            "lfs": "git lfs pull",
            "folder": "is a directory",
            "list": "no Lightning checkpoint",
            "other": "of another task",
            "short": "lacks .* of its weights",
        }.items():
            with pytest.raises(ColorCNNError, match=problem) as caught:
                load_classifier(tmp_path / f"{name}.ckpt")
            assert f"{name}.ckpt" in str(caught.value)


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
            "my_nets:number": "returned int",
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
            ("mediancut", "Unknown method 'mediancut': choose one of colorcnn, colorcnn-plus, .*median-cut"),
            ("", "Unknown method ''"),
            ("octree+noise", "Unknown dither 'noise'"),
            ("octree:x", "has no checkpoints"),
            ("colorcnn", "needs a checkpoint"),
            ("colorcnn-plus:nothing", "no pretrained model 'nothing'"),
            ("colorcnn-plus:toy-net", "toy-net is a classifier"),
            ("colorcnn-plus:toy-two", "write colorcnn:toy-two"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, checkpoints, text, problem):
        with pytest.raises(UsageError, match=problem):
            load_quantizer(text)

    def test_the_bare_name_of_a_learned_method_is_its_default_model(self, checkpoints, monkeypatch):
        monkeypatch.setitem(zoo.DEFAULTS, "colorcnn-plus", "toy-plus")
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
        ):
            result = colorcnn.quantize(image, 4, "median-cut")
            assert torch.equal(result.indices, expected.indices)
            assert torch.equal(result.palette, expected.palette)

    def test_a_batch_gives_a_batch(self):
        assert len(colorcnn.quantize(np.stack([self.PIXELS] * 3), 4, "octree")) == 3

    def test_grey_becomes_grey(self):
        result = colorcnn.quantize(self.PIXELS[..., 0], 4, "median-cut").render(torch.uint8)
        assert torch.equal(result[:, 0], result[:, 2])

    def test_shapes_that_leave_it_open_want_to_be_told(self):
        image = np.zeros((3, 5, 3), dtype=np.uint8)
        with pytest.raises(UsageError, match=r"say channels_last=True or False"):
            colorcnn.quantize(image, 2, "octree")
        assert colorcnn.quantize(image, 2, "octree", channels_last=True).indices.shape == (1, 3, 5)
        assert colorcnn.quantize(image, 2, "octree", channels_last=False).indices.shape == (1, 5, 3)

    @pytest.mark.parametrize(
        ("image", "problem"),
        [
            (np.zeros((4, 4, 4), np.uint8), "without alpha"),
            (np.zeros((4, 5, 3), np.int64), "torch.int64"),
            (np.zeros((4, 5, 3), object), "object"),
            (np.full((4, 5, 3), 255.0), r"lie in \[0, 1\]"),
            (np.full((4, 5, 3), np.nan), r"lie in \[0, 1\]"),
            (np.zeros((0, 5, 3), np.uint8), "at least one pixel"),
            (np.zeros(5, np.uint8), r"give \(H, W\)"),
            (3, "A int is no image"),
            (b"", "A bytes is no image"),
        ],
    )
    def test_what_is_no_image_is_refused(self, image, problem):
        with pytest.raises(UsageError, match=problem):
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


def test_lfs_pointers_are_recognised_by_their_first_line():
    assert weights.is_lfs_pointer(b"version https://git-lfs.github.com/spec/v1\n")
    assert not weights.is_lfs_pointer(b"\x00" * 50)

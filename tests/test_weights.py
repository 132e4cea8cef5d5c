"""Checkpoints: what was saved comes back, and damage, strangers and traps are named."""

import hashlib
import json
import os
import pathlib

import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import nn
from toy_checkpoints import CLASSES, PLUS, TWO_COLORS

import colorcnn
from colorcnn import models, pretrained, weights
from colorcnn.classifiers import load_classifier
from colorcnn.cli import main
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.methods import load_quantizer
from colorcnn.pretrained import available
from colorcnn.weights import Config, load_lightning, read_config, save_pretrained

IMAGES = torch.rand(2, 3, 9, 7, generator=torch.Generator().manual_seed(0))


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
        monkeypatch.setattr(pretrained, "__file__", str(package / "pretrained.py"))
        assert pretrained.checkpoint_folders() == [checkpoints, package / "checkpoints"]
        (tmp_path / "copy" / "pyproject.toml").touch()
        assert pretrained.checkpoint_folders() == [
            checkpoints,
            tmp_path / "copy" / "checkpoints",
            package / "checkpoints",
        ]

    def test_unknown_names_list_those_there_are(self, checkpoints):
        with pytest.raises(UsageError, match=r"no pretrained model 'toy'.*toy-net, toy-plus, toy-two"):
            colorcnn.from_pretrained("toy")
        with pytest.raises(UsageError, match="no checkpoint folder"):
            colorcnn.from_pretrained("no/such/place")
        with pytest.raises(UsageError, match="is not a checkpoint"):
            colorcnn.from_pretrained(checkpoints)

    def test_no_folder_at_all_says_how_to_name_one(self, monkeypatch):
        monkeypatch.setattr(pretrained, "checkpoint_folders", lambda: [])
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
            (lambda path: path.unlink(), "is missing: download"),
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
            ({"kwargs": {**CLASSES, "width": 10**9}}, "more than .* weights"),
            ({"kwargs": {**CLASSES, "width": 10**30}}, "can be built"),
            ({"kwargs": {**CLASSES, "width": 0}}, "weights of another shape"),
            ({"kwargs": {**CLASSES, "width": "4"}}, "can be built"),
            ({"kwargs": {**CLASSES, "width": {"class_path": "os.system"}}}, "can be built"),
            ({"kwargs": [1]}, r"config\.json is invalid \(kwargs: "),
            ({"classes": 3}, r"config\.json is invalid \(classes: "),
            ({"seed": "x" * 10_000}, r"config\.json is invalid \(seed: "),
            ({"format_version": 10**9}, "update colorcnn"),
            (
                {"architecture": "colorcnn", "kwargs": {**TWO_COLORS, "backbone_kwargs": {"depth": 10**6}}},
                "can be built",
            ),
            (
                {
                    "architecture": "colorcnn",
                    "kwargs": {"num_colors": 2, "backbone": "dncnn", "backbone_kwargs": {"depth": 10**6}},
                },
                "more than .* tensors",
            ),
            ({"architecture": "alexnet", "kwargs": {"num_classes": 3}}, "lacks .* of its weights"),
        ],
    )
    def test_configurations_that_do_not_fit_are_named(self, checkpoints, changes, problem):
        edit_config(checkpoints / "toy-net", **changes)
        with pytest.raises(ColorCNNError, match=problem):
            colorcnn.from_pretrained("toy-net")

    def test_weights_that_are_no_numbers_are_refused(self, checkpoints, capsys):
        folder = checkpoints / "toy-plus"
        state = safetensors.torch.load_file(folder / "model.safetensors")
        next(each for each in state.values() if each.is_floating_point()).view(-1)[0] = float("nan")
        data = safetensors.torch.save(state)
        (folder / "model.safetensors").write_bytes(data)
        edit_config(folder, sha256=hashlib.sha256(data).hexdigest())
        with pytest.raises(ColorCNNError, match="not finite numbers"):
            colorcnn.from_pretrained("toy-plus")
        Image.new("RGB", (8, 8)).save(folder / "in.png")
        argv = ["quantize", str(folder / "in.png"), "--method", "colorcnn-plus:toy-plus", "--colors", "2"]
        assert main(argv) == 1
        assert capsys.readouterr().err.count("not finite numbers") == 1

    def test_a_damaged_neighbour_breaks_no_other_name(self, checkpoints, capsys):
        (checkpoints / "toy-bad").mkdir()
        for content in (b"[" * 100_000, b"\xff", b'{"kwargs": 3}', b""):
            (checkpoints / "toy-bad" / "config.json").write_bytes(content)
            assert colorcnn.from_pretrained("toy-net").num_classes == 3
            assert "toy-bad" not in available("classifier")
            assert main(["quantize", "--help"]) == 0
        (checkpoints / "toy-bad" / "config.json").unlink()
        (checkpoints / "toy-bad" / "config.json").mkdir()
        assert main(["quantize", "--help"]) == 0
        assert "toy-net" in available("classifier")

    @pytest.mark.parametrize(("text", "problem"), [("{", "not valid JSON"), ("[]", "not a JSON object")])
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
        save_ckpt(tmp_path / "number.ckpt", {}, network="resnet9", num_classes="many")
        save_ckpt(
            tmp_path / "huge.ckpt", {}, network="resnet9", num_classes=3, network_kwargs={"width": 10**9}
        )
        save_ckpt(tmp_path / "kwargs.ckpt", {}, network="resnet9", num_classes=3, network_kwargs=[3])
        save_ckpt(tmp_path / "plain.ckpt", {"classifier.x": 3}, network="resnet9", num_classes=3)
        deep = {}
        for _ in range(100):
            deep = {"a": deep}
        save_ckpt(tmp_path / "deep.ckpt", {}, network="resnet9", num_classes=3, network_kwargs=deep)
        for name, problem in {
            "none": "does not exist",
            "cut": "truncated or not a checkpoint",
            "text": "truncated or not a checkpoint",
            "lfs": "git lfs pull",
            "folder": "is a directory",
            "list": "not a Lightning checkpoint",
            "other": "of another task",
            "short": "lacks .* of its weights",
            "number": r"hyper-parameters is invalid \(num_classes: ",
            "huge": "more than .* weights",
            "kwargs": r"hyper-parameters is invalid \(network_kwargs: ",
            "deep": "levels deep",
            "plain": "weights that are not tensors",
        }.items():
            with pytest.raises(ColorCNNError, match=problem) as caught:
                load_classifier(tmp_path / f"{name}.ckpt")
            assert f"{name}.ckpt" in str(caught.value)


def test_lfs_pointers_are_recognised_by_their_first_line():
    assert weights.is_lfs_pointer(b"version https://git-lfs.github.com/spec/v1\n")
    assert not weights.is_lfs_pointer(b"\x00" * 50)

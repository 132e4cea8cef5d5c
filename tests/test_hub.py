"""Checkpoints on the Hugging Face Hub, without a network: a cache folder in its layout, a recorded client."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
import yaml
from huggingface_hub import ModelCard, utils
from toy_checkpoints import CLASSES, PLUS, publish, publish_all

import colorcnn
from colorcnn import hub
from colorcnn.cards import model_card
from colorcnn.checkpoint_config import Config, read_config
from colorcnn.cli import main
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.methods import load_quantizer, parse_method
from colorcnn.models import Classifier, ColorCNN, ColorCNNPlus, create_classifier, create_model
from colorcnn.vq.compressor import create_compressor
from colorcnn.weights import load_folder

ROOT = Path(__file__).parents[1]
IMAGES = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def put_into_cache(cache, repo, source, revision="main"):
    """Move a folder into a cache, in the layout of the Hub's client."""
    place = cache / f"models--{repo.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "snapshots").mkdir()
    (place / "refs" / revision).write_text(COMMIT)
    source.rename(place / "snapshots" / COMMIT)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache with a quantizer, a classifier and a repository of something else; the network is off."""
    root, cache = publish_all(tmp_path / "made"), tmp_path / "cache"
    (root / "other").mkdir()
    (root / "other" / "pytorch_model.bin").write_bytes(b"a pickle")
    put_into_cache(cache, "user/plus", root / "toy-plus")
    put_into_cache(cache, "user/net", root / "toy-net", "v1.0")
    put_into_cache(cache, "user/other", root / "other")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    hub.fetch_once.cache_clear()
    yield cache
    hub.fetch_once.cache_clear()


@pytest.fixture
def asked(monkeypatch):
    """The options of each call of the client's download, which finds nothing."""
    calls = []

    def download(repo, **options):
        calls.append({"repo": repo, **options})
        raise utils.LocalEntryNotFoundError("nothing here")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    hub.fetch_once.cache_clear()
    return calls


@pytest.fixture
def pushed(monkeypatch):
    """The calls of the client's upload; the files that are uploaded are read."""
    calls = []

    class Api:
        def __init__(self, **options):
            calls.append(("api", options))

        def create_repo(self, repo, **options):
            calls.append(("create_repo", {"repo": repo, **options}))

        def create_branch(self, repo, **options):
            calls.append(("create_branch", {"repo": repo, **options}))

        def upload_folder(self, folder_path, **options):
            files = {path.name: path.read_bytes() for path in Path(folder_path).iterdir()}
            calls.append(("upload_folder", {"files": files, **options}))
            return SimpleNamespace(commit_url="https://hub.example/commit", pr_url=None)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    return calls


def weights(model):
    return torch.cat([value.flatten().double() for value in model.state_dict().values()])


class TestLoading:
    def test_a_repository_loads_by_its_name_and_from_its_cache(self, cache, tmp_path):
        for name in ("user/plus", "hf:user/plus", "hf:user/plus@main"):
            model = colorcnn.from_pretrained(name)
            assert isinstance(model, ColorCNNPlus)
            assert model.config.dataset == "toy"
            assert model.quantize(IMAGES, 4).num_colors.max() <= 4
        net = colorcnn.from_pretrained("user/net", revision="v1.0", cache_dir=cache, local_files_only=True)
        assert net(IMAGES).shape == (1, 3)
        assert torch.equal(weights(net), weights(colorcnn.from_pretrained("user/net@v1.0")))

    def test_options_reach_the_client_and_only_two_files_are_asked_for(self, asked, tmp_path):
        given = {"revision": "v2", "cache_dir": tmp_path, "token": "hf_x", "local_files_only": True}
        with pytest.raises(ColorCNNError):
            colorcnn.from_pretrained("user/repo", force_download=True, **given)
        assert asked[0].items() >= {"repo": "user/repo", "force_download": True, **given}.items()
        assert sorted(asked[0]["allow_patterns"]) == ["config.json", "model.safetensors"]

    def test_commands_and_methods_take_repositories_by_one_explicit_prefix(self, cache, tmp_path, capsys):
        from PIL import Image

        Image.new("RGB", (9, 7), (200, 10, 10)).save("a.png")
        assert parse_method("hf:user/plus").name == "colorcnn-plus"
        expected = load_quantizer("hf:user/plus")(IMAGES, 2).indices
        assert torch.equal(load_quantizer("colorcnn-plus:hf:user/plus")(IMAGES, 2).indices, expected)
        assert main(["quantize", "a.png", "--colors", "2", "--method", "hf:user/plus+floyd-steinberg"]) == 0
        assert main(["evaluate", "photo-digits", "--classifier", "hf:user/plus"]) == 2
        assert "use a classifier" in capsys.readouterr().err

    def test_a_folder_or_a_shipped_name_wins_and_a_command_never_asks_unbidden(
        self, asked, tmp_path, monkeypatch, capsys
    ):
        monkeypatch.chdir(tmp_path)
        publish(tmp_path / "user", "plus", "colorcnn-plus", PLUS)
        assert isinstance(colorcnn.from_pretrained("user/plus"), ColorCNNPlus)
        with pytest.raises(UsageError, match="no checkpoint folder"):
            colorcnn.from_pretrained("user/slip")  # the folder user is there, so this is a path
        assert colorcnn.from_pretrained("resnet9-cifar10").config.kind == "classifier"
        assert main(["quantize", "a.png", "--colors", "2", "--method", "you/none"]) == 2
        assert "hf:you/none" in capsys.readouterr().err
        assert main(["evaluate", "photo-digits", "--classifier", "you/none"]) == 2
        assert "hf:you/none" in capsys.readouterr().err
        assert asked == []

    def test_a_process_asks_once_for_a_name(self, monkeypatch, tmp_path):
        folder, calls = publish(tmp_path, "plus", "colorcnn-plus", PLUS), []
        monkeypatch.setattr(
            huggingface_hub, "snapshot_download", lambda repo, **_: calls.append(repo) or str(folder)
        )
        hub.fetch_once.cache_clear()
        for _ in range(3):
            load_quantizer("hf:user/plus")
        assert calls == ["user/plus"]
        hub.fetch_once.cache_clear()

    @pytest.mark.parametrize(
        ("name", "options", "problem", "code"),
        [
            ("user/none", {}, "Hub is offline or not reachable", "hub-offline"),
            ("hf:user/plus@v9", {}, "Hub is offline or not reachable", "hub-offline"),
            ("user/other", {}, "has no config.json", "hub-no-checkpoint"),
            ("hf:user", {}, "write hf:USER/REPO", "hub-name"),
            ("hf:../up", {}, "write hf:USER/REPO", "hub-name"),
            ("hf:user/plus@a", {"revision": "b"}, "give one of them", "usage"),
            ("resnet9-cifar10", {"revision": "b"}, "not a repository", "usage"),
        ],
    )
    def test_what_cannot_be_loaded_is_told_in_a_sentence(self, cache, name, options, problem, code):
        with pytest.raises(ColorCNNError, match=problem) as caught:
            colorcnn.from_pretrained(name, **options)
        assert caught.value.code == code
        assert "\n" not in str(caught.value)

    def test_errors_of_the_client_are_told_by_their_kind(self, monkeypatch):
        response = SimpleNamespace(headers={}, status_code=404, request=None)

        def made(kind):
            error = kind.__new__(kind)
            error.response, error.args = response, ("gone",)
            return error

        for error, code, kind in (
            (made(utils.RepositoryNotFoundError), "hub-missing", UsageError),
            (made(utils.RevisionNotFoundError), "hub-missing", UsageError),
            (utils.OfflineModeIsEnabled("off"), "hub-offline", ColorCNNError),
            (ConnectionResetError("cut\noff"), "hub-failed", ColorCNNError),
        ):

            def fail(repo, error=error, **options):
                raise error

            monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
            with pytest.raises(kind) as caught:
                colorcnn.from_pretrained("user/repo")
            assert caught.value.code == code

    def test_the_client_is_imported_when_a_repository_is_named_and_not_before(self, tmp_path):
        code = (
            "import sys\nfrom colorcnn.pretrained import find_checkpoint\n"
            "find_checkpoint('resnet9-cifar10')\n"
            "print('huggingface_hub' in sys.modules)\n"
            "try: find_checkpoint('hf:user/none')\nexcept Exception as error: print(error.code)\n"
            "print('huggingface_hub' in sys.modules)"
        )
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
        )
        assert done.stdout.split() == ["False", "hub-offline", "True"]


class TestSaving:
    @pytest.mark.parametrize(
        "build",
        [
            lambda: create_model("colorcnn-plus", **PLUS),
            lambda: create_classifier("resnet9", 3, width=4, mean=(0.5, 0.5, 0.5)),
            lambda: create_compressor(None, 0.01, "vq-ste", {"size": 4}, {"width": 4}),
            lambda: create_compressor(4, 0.01, "vq-ste", {"size": 4}, {"width": 4}),
        ],
        ids=["quantizer", "classifier", "compressor", "vector compressor"],
    )
    def test_a_network_goes_to_a_folder_and_comes_back(self, build, tmp_path):
        model = build()
        model.config = replace(model.config, dataset="toys", metrics={"test accuracy": 0.5})
        folder = model.save_pretrained(tmp_path / "net", note="A toy.")
        again = type(model).from_pretrained(folder)
        assert torch.equal(weights(again), weights(model))
        assert replace(again.config, sha256="").to_json() == model.config.to_json()
        assert "A toy." in (folder / "README.md").read_text()
        with pytest.raises(ColorCNNError, match="overwrite=True") as raised:
            again.save_pretrained(folder)
        assert raised.value.code == "file-exists"
        assert again.save_pretrained(folder, overwrite=True) == folder

    def test_a_class_loads_only_its_own(self, tmp_path):
        publish(tmp_path, "plus", "colorcnn-plus", PLUS)
        with pytest.raises(UsageError, match="not a ColorCNN:"):
            ColorCNN.from_pretrained(tmp_path / "plus")

    def test_a_network_that_cannot_be_built_again_is_not_saved(self, tmp_path):
        with pytest.raises(UsageError, match="create_model"):
            ColorCNNPlus(**PLUS).save_pretrained(tmp_path / "net")
        changed = create_classifier("resnet9", 3, width=4)
        changed.head = torch.nn.Flatten()
        with pytest.raises(ColorCNNError, match="does not fit"):
            changed.save_pretrained(tmp_path / "net")
        assert not (tmp_path / "net").exists()


class TestPushing:
    def test_a_network_is_uploaded_with_its_card(self, pushed, tmp_path):
        model = load_folder(publish(tmp_path, "net", "resnet9", CLASSES, "classifier"))
        assert isinstance(model, Classifier)
        model.config = read_config(tmp_path / "net")
        url = model.push_to_hub("me/net", private=True, token="hf_x", revision="v2", message="New weights")
        assert url == "https://hub.example/commit"
        steps = dict(pushed)
        assert list(steps) == ["api", "create_repo", "create_branch", "upload_folder"]
        assert steps["api"]["token"] == "hf_x"
        assert steps["create_repo"] == {"repo": "me/net", "private": True, "exist_ok": True}
        upload = steps["upload_folder"]
        assert (upload["repo_id"], upload["revision"]) == ("me/net", "v2")
        assert upload["commit_message"] == "New weights"
        assert set(upload["files"]) == {"config.json", "model.safetensors", "README.md"}
        assert set(upload["files"]) <= set(upload["allow_patterns"])
        assert b"--classifier hf:me/net" in upload["files"]["README.md"]
        assert upload["files"]["config.json"] == (tmp_path / "net" / "config.json").read_bytes()

    def test_the_command_uploads_a_folder_and_nothing_else(self, pushed, tmp_path, capsys):
        folder = publish(tmp_path, "net", "resnet9", CLASSES, "classifier")
        assert main(["publish", str(folder), "--push", "me/net", "--private"]) == 0
        assert capsys.readouterr().out == "https://hub.example/commit\n"
        assert [step for step, _ in pushed] == ["api", "create_repo", "upload_folder"]
        for arguments in (["--private"], ["--push", "net"], ["--push", "me/net"]):
            assert main(["publish", str(folder), str(tmp_path / "out"), *arguments][: 2 + 2]) in (1, 2)
        (tmp_path / "notes").mkdir()
        assert main(["publish", str(tmp_path / "notes"), "--push", "me/notes"]) == 1
        assert "is not a checkpoint" in capsys.readouterr().err
        assert len(pushed) == 3


class TestCards:
    def test_the_hub_reads_the_front_matter(self):
        config = Config(
            "classifier",
            "resnet9",
            CLASSES,
            "CIFAR-10 (JPEG)",
            metrics={"n": 3, "test accuracy": {"original": 0.5}},
        )
        card = ModelCard(model_card("net", config, 12, "Only a toy."))
        assert (card.data.license, card.data.library_name) == ("mit", "colorcnn")
        assert card.data.datasets == ["cifar-10"]
        assert {"colorcnn", "resnet9"} <= set(card.data.tags)
        result = card.data.eval_results[0]
        assert (result.dataset_name, result.metric_type, result.metric_value) == (
            "CIFAR-10 (JPEG)",
            "accuracy",
            0.5,
        )
        assert len(card.data.eval_results) == 1

    def test_a_score_may_name_its_own_data_and_none_is_made_up(self):
        scores = {"Kodak, PSNR in dB": 30.0, "Kodak, bits per pixel": 0.5, "n": 24}
        config = Config("compressor", "factorized-prior", dataset="Tiny-ImageNet-200, some", metrics=scores)
        results = ModelCard(model_card("codec", config, 1)).data.eval_results
        assert {(each.dataset_name, each.metric_type) for each in results} == {
            ("Kodak", "psnr"),
            ("Kodak", "bpp"),
        }
        bare = ModelCard(model_card("net", Config("classifier", "resnet9", metrics={"accuracy": 0.5}), 1))
        assert bare.data.eval_results is None
        assert bare.data.datasets is None

    @pytest.mark.parametrize(
        "path", sorted(ROOT.glob("checkpoints/*/README.md")), ids=lambda path: path.parent.name
    )
    def test_a_shipped_card_is_the_one_that_its_configuration_gives(self, path):
        name, text = path.parent.name, path.read_text(encoding="utf-8")
        _, front, body = text.split("---\n", 2)
        note = body.partition(f"# {name}\n")[2].partition("| | |\n")[0].strip()
        parameters = sum(weight.numel() for weight in load_folder(path.parent).parameters())
        _, made_front, made_body = model_card(name, read_config(path.parent), parameters, note).split(
            "---\n", 2
        )
        assert body == made_body
        assert yaml.safe_load(front) == yaml.safe_load(made_front)  # the client decides on the order of lines

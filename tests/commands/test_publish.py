import configparser
import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from toy_checkpoints import CLASSES, PLUS

import colorcnn
from colorcnn.cli import main
from colorcnn.methods import load_quantizer
from colorcnn.models import create_model
from colorcnn.publishing import publish
from colorcnn.vq.compressor import ImageCompressor
from colorcnn.weights import Config

ROOT = Path(__file__).parents[2]
LARGEST = 60_000_000  # bytes of a file; a repository is no place for more
IMAGES = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def ckpt(tmp_path):
    torch.manual_seed(0)
    model = create_model("colorcnn-plus", **PLUS)
    options = {"architecture": "colorcnn-plus", "sizes": [2, 4], "quantizer_kwargs": PLUS}
    state = {f"quantizer.{key}": value for key, value in model.state_dict().items()}
    torch.save({"state_dict": state, "hyper_parameters": options}, tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


def test_a_codec_is_published_with_the_configuration_of_its_stage(tmp_path, monkeypatch, capsys):
    compressor = ImageCompressor(0.01, "vq-ste", {"size": 4}, width=4)
    options = {"source_dimension": None, "trade_off": 0.01, "method": "vq-ste", "options": {"size": 4}}
    state = {f"compressor.{key}": value for key, value in compressor.state_dict().items()}
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text("default_root_dir: /somebody/else\n")
    (run / "fit.yaml").write_text("kind: fit\n")
    hyper_parameters = {**options, "network_kwargs": {"width": 4}}
    torch.save({"state_dict": state, "hyper_parameters": hyper_parameters}, run / "checkpoints" / "last.ckpt")
    root = tmp_path / "checkpoints"
    root.mkdir()
    monkeypatch.setenv("COLORCNN_CHECKPOINTS", str(root))
    assert main(["publish", str(run), str(root / "codec")]) == 0
    assert (root / "codec" / "config.yaml").read_text() == "kind: fit\n"
    assert "colorcnn compress photo.png --model codec" in (root / "codec" / "README.md").read_text()
    reconstruction, quantized = colorcnn.from_pretrained("codec")(IMAGES)
    assert reconstruction.shape == IMAGES.shape
    assert quantized.bits.sum() > 0


def test_a_training_becomes_a_checkpoint_with_its_card_and_an_index(ckpt, tmp_path, monkeypatch, capsys):
    (tmp_path / "record.json").write_text(json.dumps({"metrics": {"accuracy": {"1": 0.51239}}, "n": 3}))
    (tmp_path / "classes.txt").write_text("cat\nsea lion\n")
    root = tmp_path / "checkpoints"
    root.mkdir()
    monkeypatch.setenv("COLORCNN_CHECKPOINTS", str(root))
    arguments = [
        "publish", str(ckpt), str(root / "toy"), "--index", str(root), "--dataset", "toys",
        "--recipe", "experiments/toy.yaml",
        "--seed", "7", "--metrics", str(tmp_path / "record.json"), "--classes", str(tmp_path / "classes.txt"),
        "--note", "Only a toy.",
    ]  # fmt: skip
    assert main(arguments) == 0
    assert capsys.readouterr().out.split() == [str(root / "toy"), str(root / "index.json")]
    assert "toy" in colorcnn.available()
    assert torch.equal(
        colorcnn.from_pretrained("toy").quantize(IMAGES, 4).indices,
        load_quantizer(f"colorcnn-plus:{ckpt}")(IMAGES, 4).indices,
    )
    card = (root / "toy" / "README.md").read_text()
    for words in ("# toy", "Only a toy.", "toys", "`experiments/toy.yaml`", "| Seed | 7 |", "cat, sea lion",
                  "| accuracy, 1 | 0.5124 |", "--method colorcnn-plus:toy"):  # fmt: skip
        assert words in card
    entry = json.loads((root / "index.json").read_text())["checkpoints"]["toy"]
    (root / "index.json").unlink()
    assert main(["publish", "--index", str(root)]) == 0
    assert set(json.loads((root / "index.json").read_text())["checkpoints"]) == {"toy"}
    assert entry["metrics"] == {"accuracy": {"1": 0.51239}}
    assert entry["bytes"] == (root / "toy" / "model.safetensors").stat().st_size
    assert main(arguments) == 1
    message = capsys.readouterr().err
    assert "holds a checkpoint already" in message
    assert "--force" in message
    assert main([*arguments, "--force"]) == 0


def test_the_card_may_have_another_name_than_the_folder(ckpt, tmp_path):
    assert main(["publish", str(ckpt), str(tmp_path / "out"), "--name", "mine"]) == 0
    assert "\n# mine\n" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("place", ["checkpoints/toy", "my models/toy"])
def test_the_examples_of_a_card_work_where_it_was_published(ckpt, tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    assert main(["publish", ckpt.name, place]) == 0
    card = Path(place, "README.md").read_text()
    command = shlex.split(re.search(r"^colorcnn .*", card, re.M)[0])
    (method,) = re.findall(r'method="(.*)"', card)
    assert command[command.index("--method") + 1] == method
    assert load_quantizer(method)(IMAGES, 4).indices.shape == (1, 8, 8)


def test_a_name_that_stands_for_another_checkpoint_is_not_on_the_card(ckpt, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLORCNN_CHECKPOINTS", "first")
    for place in ("first/toy", "second/toy"):
        assert main(["publish", ckpt.name, place]) == 0
    assert "colorcnn-plus:toy" in Path("first/toy/README.md").read_text()
    assert "colorcnn-plus:second/toy" in Path("second/toy/README.md").read_text()


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ({"class_path": "colorcnn.data.ImageFolder", "init_args": {"path": "photos"}}, "photos"),
        ({"class_path": "colorcnn.data.ImageFolder", "init_args": {"path": "/home/me/photos"}}, "photos"),
        ({"class_path": "colorcnn.data.CIFAR10", "init_args": {"root": None}}, "CIFAR10"),
        ("PhotoDigits", "PhotoDigits"),
    ],
)
def test_the_card_takes_data_recipe_and_seed_from_the_run(ckpt, tmp_path, data, shown):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    ckpt.rename(run / "checkpoints" / "last.ckpt")
    (run / "config.yaml").write_text(json.dumps({"seed_everything": 0, "data": data}))
    for options, seed in (((), 0), (("--seed", "7", "--force"), 7)):
        assert main(["publish", str(run), str(tmp_path / "out"), *options]) == 0
        card = (tmp_path / "out" / "README.md").read_text()
        for row in (f"| Trained on | {shown} |", "| Recipe | `config.yaml` |", f"| Seed | {seed} |"):
            assert row in card


def test_a_classifier_has_a_card_of_its_own(tmp_path):
    config = Config("classifier", "resnet9", CLASSES)
    publish(create_model("resnet9", **CLASSES), tmp_path / "net", config)
    card = (tmp_path / "net" / "README.md").read_text()
    assert f"--classifier {tmp_path / 'net'} " in card
    assert "No scores are recorded." in card


def test_what_cannot_be_published_is_refused(ckpt, tmp_path, capsys):
    out = str(tmp_path / "out")
    (tmp_path / "bad.json").write_text("[]")
    (tmp_path / "deep.json").write_text('{"a": ' + "[" * 3000 + "]" * 3000 + "}")
    (tmp_path / "wrong.json").write_text('{"metrics": {"methods": {}, "original": 1}}')
    (tmp_path / "empty").mkdir()
    for arguments, status, problem in (
        ([str(tmp_path / "none.ckpt"), out], 2, "none.ckpt does not exist"),
        ([str(tmp_path / "empty"), out], 2, "empty holds no checkpoint"),
        ([str(ckpt), out, "--metrics", str(tmp_path / "bad.json")], 2, "is not a JSON object"),
        ([str(ckpt), out, "--metrics", str(tmp_path / "none.json")], 2, "none.json does not exist"),
        ([str(ckpt), out, "--metrics", str(tmp_path / "deep.json")], 2, "levels deep"),
        ([str(ckpt), out, "--metrics", str(tmp_path / "wrong.json")], 2, "is invalid (original"),
        ([str(ckpt), out, "--classes", str(tmp_path / "none.txt")], 2, "could not be read"),
        ([str(ckpt)], 2, "needs RUN and OUT"),
        ([], 2, "needs RUN and OUT"),
        (["--index", str(tmp_path / "none")], 2, "is not a folder"),
    ):
        assert main(["publish", *arguments]) == status
        message = capsys.readouterr().err
        assert problem in message
        assert message.count("\n") == 1
    assert not Path(out).exists()


def test_the_index_of_the_repository_is_up_to_date(tmp_path):
    published = ROOT / "checkpoints" / "index.json"
    entries = json.loads(published.read_text())["checkpoints"]
    assert sorted(entries) == sorted(path.parent.name for path in published.parent.glob("*/config.json"))
    for name, entry in entries.items():
        assert entry["bytes"] <= LARGEST
        assert entry["sha256"] == json.loads((published.parent / name / "config.json").read_text())["sha256"]


def test_no_published_configuration_names_a_place_on_a_machine():
    for path in (ROOT / "checkpoints").glob("*/config.yaml"):
        named = [line for line in path.read_text().splitlines() if ": /" in line or ": ~" in line]
        assert not named, path


def test_every_package_is_listed_for_the_wheel():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    found = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "colorcnn").rglob("__init__.py")
    }
    assert listed == found | {"colorcnn.checkpoints", "colorcnn.experiments"}


def test_the_log_and_the_configuration_of_the_run_go_with_the_weights(ckpt, tmp_path):
    run = tmp_path / "runs" / "plus"
    (run / "checkpoints").mkdir(parents=True)
    moved = ckpt.rename(run / "checkpoints" / "last.ckpt")
    (run / "scores.jsonl").write_text('{"epoch": 0}\n')
    (run / "config.yaml").write_text("seed_everything: 1\n")
    record = {
        "n": 3,
        "metrics": {
            "original": {"accuracy": 0.75},
            "methods": {"octree": {"scores": {"2": {"accuracy": 0.5, "psnr": 20.0}}}},
        },
    }
    (tmp_path / "record.json").write_text(json.dumps(record))
    root = tmp_path / "published"
    argv = ["publish", str(moved), str(root / "plus"), "--metrics", str(tmp_path / "record.json")]
    assert main(argv) == 0
    assert (root / "plus" / "scores.jsonl").read_text() == '{"epoch": 0}\n'
    assert (root / "plus" / "config.yaml").exists()
    metrics = json.loads((root / "plus" / "config.json").read_text())["metrics"]
    assert metrics == {"n": 3, "test accuracy": {"original": 0.75, "octree": {"2": 0.5}}}

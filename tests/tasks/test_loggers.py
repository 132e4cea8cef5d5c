"""Pictures of a training in each logger, and one folder for a run, whatever logger it has."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from colorcnn.cli import main
from colorcnn.tasks.loggers import show_picture

CONF = Path(__file__).resolve().parent.parent / "conf"
KEY = "val/pictures"


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


@pytest.fixture
def wandb(monkeypatch, tmp_path):
    """W&B without a network, and without a process that outlives the test."""
    module = pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    for name, value in {"MODE": "offline", "SILENT": "true", "CACHE_DIR": "cache"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    yield module
    module.teardown()


@pytest.fixture
def mlflow(monkeypatch, tmp_path):
    """MLflow with a database in a file."""
    pytest.importorskip("sqlalchemy")
    module = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    return module


def pixels(path):
    with Image.open(path) as opened:
        return np.array(opened.convert("RGB"))


def test_tensorboard_shows_the_picture_and_its_caption(tmp_path, picture):
    logger = TensorBoardLogger(tmp_path, name="", version="run")
    show_picture(logger, KEY, picture, 7, "ours")
    logger.finalize("success")
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    (image,) = events.Images(KEY)
    assert (image.step, image.width, image.height) == (7, 9, 6)


def test_wandb_keeps_the_picture_offline(wandb, tmp_path, picture):
    logger = WandbLogger(save_dir=str(tmp_path), offline=True, project="colours")
    show_picture(logger, KEY, picture, 7, "ours")
    wandb.finish()
    (file,) = tmp_path.rglob("media/images/val/pictures*.png")
    assert (pixels(file) == picture).all()


@pytest.mark.slow
def test_mlflow_keeps_the_picture_in_a_local_store(mlflow, tmp_path, picture):
    logger = MLFlowLogger("colours", tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    show_picture(logger, KEY, picture, 7, "ours")
    logger.finalize("success")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    names = [entry.path for entry in client.list_artifacts(logger.run_id, "images")]
    (name,) = [name for name in names if name.endswith(".png")]
    file = client.download_artifacts(logger.run_id, name, str(tmp_path))
    assert (pixels(file) == picture).all()


def test_csv_has_no_pictures_and_does_not_fail(tmp_path, picture):
    logger = CSVLogger(tmp_path)
    show_picture(logger, KEY, picture, 7, "ours")
    assert not list(tmp_path.rglob("*.png"))


def test_a_logger_of_ones_own_needs_log_image_alone(picture):
    seen = []

    class Mine(CSVLogger):
        def log_image(self, key, images, step, **more):
            seen.append((key, len(images), step, more))

    show_picture(Mine("unused"), KEY, picture, 7, "ours")
    assert seen == [(KEY, 1, 7, {"caption": ["ours"]})]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run `colorcnn` for an epoch with a logger, as YAML has it; returns the exit status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLORCNN_CACHE", str(tmp_path / "cache"))

    def start(command, logger):
        (tmp_path / "logger.yaml").write_text(f"trainer: {{max_epochs: 1, logger: {json.dumps(logger)}}}\n")
        config = ["--config", str(CONF / "colorcnn-plus.yaml"), "--config", str(tmp_path / "logger.yaml")]
        return main([command, *config, "--name", "mine", "--allow-module", "tiny"])

    return start


def check(folder):
    lines = (folder / "scores.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [0]
    assert (folder / "config.yaml").is_file()
    assert {file.name for file in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_a_run_with_csv_keeps_its_numbers_when_it_is_tested(run, tmp_path):
    logger = {"class_path": "CSVLogger"}
    assert run("fit", logger) == 0
    check(tmp_path / "runs" / "mine")
    numbers = (tmp_path / "runs" / "mine" / "metrics.csv").read_bytes()
    assert run("test", logger) == 0
    assert (tmp_path / "runs" / "mine" / "metrics.csv").read_bytes() == numbers


def test_a_run_with_wandb_lies_in_its_own_folder(wandb, run, tmp_path):
    logger = {"class_path": "WandbLogger", "init_args": {"project": "colours", "offline": True}}
    assert run("fit", logger) == 0
    wandb.finish()
    check(tmp_path / "runs" / "mine")
    assert list(tmp_path.rglob("media/images/val/pictures*.png"))

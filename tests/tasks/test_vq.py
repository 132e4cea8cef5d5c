"""Compressors through the real command line: trained, resumed, tested, used on pictures, and refused."""

import json
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from colorcnn.cli import main
from colorcnn.data.compression import PictureCrops, VectorSource
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.tasks.callbacks import EpochSeed
from colorcnn.tasks.vq import VQTask
from colorcnn.vq.compressor import Terms, VectorCompressor, frozen_parameters
from colorcnn.vq.methods import create_quantizer
from colorcnn.vq.sources import random_crops

CONF = Path(__file__).resolve().parent.parent / "conf"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run `colorcnn` in an empty folder, in this process; returns its exit status."""
    monkeypatch.chdir(tmp_path)
    return lambda *argv: main([str(word) for word in argv])


@pytest.fixture
def pictures(tmp_path):
    """Eight small pictures in a folder."""
    draws = np.random.RandomState(0)
    (tmp_path / "pictures").mkdir()
    for number in range(8):
        coarse = Image.fromarray(draws.randint(256, size=(4, 5, 3), dtype=np.uint8))
        coarse.resize((50, 37), Image.Resampling.BICUBIC).save(tmp_path / "pictures" / f"{number}.png")
    return tmp_path / "pictures"


def lines(folder):
    return [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]


def state(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


OVERRIDES = {
    "in turn": [],
    "jointly": ["--model.init_args.method", "uq-aun", "--model.init_args.options", "null"],
}


@pytest.mark.parametrize("how", OVERRIDES)
def test_a_resumed_training_ends_where_the_uninterrupted_one_does(how, run, tmp_path, monkeypatch):
    def stop_after_the_second_epoch(task):
        if task.current_epoch == 2:
            raise KeyboardInterrupt

    command = ["fit", "--config", CONF / "vq.yaml", *OVERRIDES[how]]
    assert run(*command, "--name", "whole") == 0
    with monkeypatch.context() as patch:
        patch.setattr(VQTask, "on_train_epoch_start", stop_after_the_second_epoch, raising=False)
        assert run(*command, "--name", "broken") != 0
    assert len(lines(tmp_path / "runs" / "broken")) == 2
    assert run(*command, "--name", "broken", "--ckpt_path", "last") == 0
    whole, broken = (state(tmp_path / "runs" / name) for name in ("whole", "broken"))
    assert whole["global_step"] == broken["global_step"] == 24, (
        "a batch is one step, though two optimisers make it"
    )
    for key, value in whole["state_dict"].items():
        assert torch.equal(value, broken["state_dict"][key]), key
    for first, second in zip(whole["lr_schedulers"], broken["lr_schedulers"], strict=True):
        assert first["last_epoch"] == second["last_epoch"] == 24


def test_the_run_says_what_it_measured_and_codes_the_test_set(run, tmp_path, capsys):
    assert run("fit", "--config", CONF / "vq.yaml") == 0
    last = lines(tmp_path / "runs" / "vq")[-1]
    assert last["val/loss"] == pytest.approx(last["val/rate"] + 8 * last["val/mse"], rel=1e-4)
    assert last["train/codewords"] <= 16
    capsys.readouterr()
    assert run("test", "--config", CONF / "vq.yaml") == 0
    assert "test/coded_rate" in capsys.readouterr().out
    assert run("predict", "--config", CONF / "vq.yaml") == 2
    Image.new("RGB", (20, 20)).save(tmp_path / "x.png")
    assert run("compress", "x.png", "--model", "runs/vq/checkpoints/last.ckpt") == 2
    assert "is a vector compressor: use a compressor" in capsys.readouterr().err


def test_an_image_model_is_trained_and_codes_a_picture(run, tmp_path, pictures, capsys):
    assert run("fit", "--config", CONF / "vq-images.yaml") == 0
    assert run("test", "--config", CONF / "vq-images.yaml") == 0
    model = tmp_path / "runs" / "vq-images" / "checkpoints" / "last.ckpt"
    capsys.readouterr()
    assert run("compress", pictures / "0.png", "--model", model, "-o", "small.cvq") == 0
    shown = capsys.readouterr()
    assert shown.out == "small.cvq\n"
    assert "bits per pixel" in shown.err
    assert run("decompress", "small.cvq", "--model", model, "-o", "back.png") == 0
    back = Image.open(tmp_path / "back.png")
    assert (back.size, back.mode) == ((50, 37), "RGB")
    refusals(run, tmp_path, pictures, model, capsys)


def test_a_picture_is_coded_with_the_pretrained_codec_by_default(run, pictures, capsys):
    assert run("compress", pictures / "0.png", "-o", "a.cvq") == 0
    assert run("decompress", "a.cvq", "-o", "back.png") == 0
    capsys.readouterr()
    data = bytearray(Path("a.cvq").read_bytes())
    name = b"factorized-prior-tiny-imagenet"
    place = data.index(name)
    data[place : place + len(name)] = b"/tmp/a/path/that/leads/nowhere"
    data[-4:] = zlib.crc32(data[:-4]).to_bytes(4, "big")
    Path("path.cvq").write_bytes(data)
    assert run("decompress", "path.cvq", "-o", "other.png") == 1
    assert "which is not installed" in capsys.readouterr().err
    assert run("decompress", pictures, "-o", "other.png") == 2
    assert "is a folder: use a file" in capsys.readouterr().err


def refusals(run, tmp_path, pictures, model, capsys):
    data = (tmp_path / "small.cvq").read_bytes()
    (tmp_path / "cut.cvq").write_bytes(data[:-9])
    (tmp_path / "bad.cvq").write_bytes(data[:-9] + b"\0" + data[-8:])
    cases = [
        (1, "exists already", ["compress", pictures / "0.png", "--model", model, "-o", "small.cvq"]),
        (1, "truncated", ["decompress", "cut.cvq", "--model", model]),
        (1, "corrupt", ["decompress", "bad.cvq", "--model", model]),
        (1, "not a compressed image", ["decompress", pictures / "0.png", "--model", model, "-o", "x.png"]),
        (1, "not installed", ["decompress", "small.cvq", "-o", "x.png"]),
        (
            1,
            "more than 9 pixels",
            ["decompress", "small.cvq", "--model", model, "-o", "x.png", "--max-pixels", 9],
        ),
        (1, "does not exist", ["decompress", "no.cvq", "--model", model]),
        (2, "ends in .png", ["decompress", "small.cvq", "--model", model, "-o", "x.jpg"]),
        (2, ". is a folder: use a file", ["compress", ".", "--model", model]),
        (2, "overwrite the input", ["compress", "small.cvq", "--model", model, "-o", "small.cvq", "--force"]),
        (2, "use a compressor", ["compress", pictures / "0.png", "--model", "resnet9-cifar10"]),
        (2, "at least 1", ["compress", pictures / "0.png", "--model", model, "--max-pixels", 0]),
    ]
    for status, words, command in cases:
        assert run(*command) == status, command
        assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--trainer.precision", "bf16-mixed"], "32-true"),
        (["--trainer.gradient_clip_val", "1"], "gradient_clip"),
        (["--model.init_args.warm_up", "2"], "warm_up"),
        (["--model.init_args.trade_off", "0"], "trade-off"),
        (["--model.init_args.learning_rate", "-1"], "learning_rate"),
        (["--model.init_args.decoder_learning_rate", "0"], "decoder_learning_rate"),
        (["--model.init_args.prior_factor", "-1"], "prior_factor"),
        (["--model.init_args.latent_weight", "0"], "latent_weight"),
        (["--model.init_args.decoder_steps", "0"], "decoder_steps"),
        (["--model.init_args.decoder_steps", "2", "--model.init_args.alternate", "false"], "alternating"),
        (["--model.init_args.network_kwargs", "{width: 0}"], "width"),
        (["--trainer.max_epochs", "-1"], "number of steps"),
        (["--trainer.overfit_batches", "2"], "overfit_batches"),
        (["--trainer.devices", "2"], "one device"),
        (["--model.init_args.network_kwargs", "{height: 3}"], "does not take"),
        (["--data.init_args.epoch_steps", "0"], "epoch_steps"),
    ],
)
def test_what_a_compressor_cannot_be_trained_with_is_refused(option, words, run, capsys):
    assert run("fit", "--config", CONF / "vq.yaml", *option) == 2
    assert words in capsys.readouterr().err


def test_a_training_does_not_go_on_at_another_length(run, capsys):
    command = ["fit", "--config", CONF / "vq.yaml", "--model.init_args.schedule", "constant"]
    assert run(*command, "--trainer.max_epochs", "1") == 0
    assert run(*command, "--trainer.max_epochs", "3", "--ckpt_path", "last") == 2
    assert "training of 8 steps, but this run has 24" in capsys.readouterr().err


def test_another_method_is_not_loaded_from_a_checkpoint(run, capsys):
    assert run("fit", "--config", CONF / "vq.yaml", "--trainer.max_epochs", "1") == 0
    nsvq = ["--model.init_args.method", "nsvq", "--name", "vq"]
    assert run("test", "--config", CONF / "vq.yaml", *nsvq) == 2
    assert "differ in method" in capsys.readouterr().err


def test_in_turn_the_decoder_learns_from_real_codewords_and_the_encoder_alone_from_noise():
    torch.manual_seed(0)
    made = VectorCompressor(2, 8.0, "sphere", {"dimension": 2, "size": 9}, width=8, depth=1)
    source = torch.randn(64, 2)
    latent = made.latent(source)
    made.loss(made.terms(source, made.quantizer.quantize(latent.detach()))).backward()
    assert all(parameter.grad is None for parameter in made.encoder.parameters())
    learnt = [*made.decoder.parameters(), *made.quantizer.parameters()]
    before = [parameter.grad.clone() for parameter in learnt]
    with frozen_parameters(made.decoder, made.quantizer):
        made.loss(made.terms(source, made.quantizer.approximate(latent))).backward()
    assert any(parameter.grad.abs().sum() > 0 for parameter in made.encoder.parameters())
    assert all(torch.equal(parameter.grad, grad) for parameter, grad in zip(learnt, before))
    assert all(parameter.requires_grad for parameter in learnt)


def test_more_decoder_steps_are_one_step_of_the_training(run, tmp_path, monkeypatch):
    counts = {"decoder": 0, "encoder": 0}

    def counted(name, step):
        def call(task, *args, **kwargs):
            counts[name] += 1
            return step(task, *args, **kwargs)

        return call

    for name in counts:
        method = f"_step_{name}"
        monkeypatch.setattr(VQTask, method, counted(name, getattr(VQTask, method)))
    options = ["--model.init_args.decoder_steps", "3", "--model.init_args.decoder_distance", "true"]
    assert run("fit", "--config", CONF / "vq.yaml", "--model.init_args.warm_up", "0", *options) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    steps = lines(folder)[-1]["step"]
    assert counts == {"decoder": 3 * steps, "encoder": steps}


def test_the_weight_of_the_latent_distance_is_an_option_of_its_own():
    made = VectorCompressor(2, 8.0, "vq-ste", {"dimension": 2, "size": 9}, width=8, depth=1)
    terms = Terms(torch.tensor(1.0), torch.tensor(2.0), torch.tensor(3.0))
    assert float(made.loss(terms)) == 1 + 8 * 2 + 8 * 3
    made.latent_weight = 0.5
    assert float(made.loss(terms)) == 1 + 8 * 2 + 0.5 * 3


def test_mixed_transforms_are_bfloat16_in_training_alone():
    task = VQTask(None, 0.01, "vq-ste", {"size": 8}, {"width": 8}, mixed=True)
    inside = []
    for transform in (task.compressor.encoder, task.compressor.decoder):
        transform[0].register_forward_hook(lambda module, inputs, output: inside.append(output.dtype))
    images = torch.rand(2, 3, 32, 32)
    for training, expected in ((True, torch.bfloat16), (False, torch.float32)):
        task.train(training)
        reconstruction, quantized = task.compressor(images)
        assert {*inside} == {expected}
        assert {reconstruction.dtype, quantized.latent.dtype, quantized.bits.dtype} == {torch.float32}
        inside.clear()


def test_vectors_are_drawn_by_step_and_never_twice():
    data = VectorSource("laplace", dimension=3, batch_size=5, epoch_steps=4, val_size=7, test_size=9, seed=1)
    assert data.source_dimension == 3
    loader = data.train_dataloader()
    first = list(loader)
    loader.sampler.set_epoch(1)
    second = list(loader)
    assert len(first) == 4
    assert all(batch.shape == (5, 3) for batch in first)
    assert len({float(batch[0, 0]) for batch in first + second}) == 8
    assert torch.equal(data.draw_batch(6), second[2])
    assert sum(len(part) for part in data.val_dataloader()) == 7
    assert not torch.equal(next(iter(data.val_dataloader()))[:7], next(iter(data.test_dataloader()))[:7])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_codebook_starts_from_all_over_the_first_batch(seed):
    """The draws that choose the first codewords are not those that the batch was made of."""
    batch = VectorSource("gaussian", seed=seed).draw_batch(0)
    quantizer = create_quantizer("vq-ste", 1, size=64)
    with torch.random.fork_rng():
        EpochSeed(seed).on_train_epoch_start(SimpleNamespace(current_epoch=0, global_rank=0), None)
        quantizer.start(batch)
    assert 0.7 < quantizer.codebook.detach().std() < 1.3
    assert quantizer.codebook.detach().mean().abs() < 0.5


def test_crops_come_from_training_pictures_alone(pictures):
    data = PictureCrops(str(pictures), crop_size=16, batch_size=3, epoch_steps=2, val_images=2, test_images=1)
    parts = data.files
    assert [len(parts[part]) for part in ("train", "val", "test")] == [5, 2, 1]
    assert len(set(parts["train"]) | set(parts["val"]) | set(parts["test"])) == 8
    assert data.draw_batch(0).shape == (3, 3, 16, 16)
    assert torch.equal(data.draw_batch(1), data.draw_batch(1))
    assert next(iter(data.val_dataloader())).shape == (1, 3, 37, 50)
    with pytest.raises(ColorCNNError, match="smaller than a crop"):
        PictureCrops(str(pictures), crop_size=64, val_images=1, test_images=1).draw_batch(0)
    with pytest.raises(UsageError, match="kept from training"):
        PictureCrops(str(pictures), val_images=8).draw_batch(0)


def test_pictures_smaller_than_a_crop_are_passed_over(pictures):
    for number in range(6):
        Image.new("RGB", (9, 9)).save(pictures / f"{number}.png")
    files = sorted(pictures.iterdir())
    crops = random_crops(files, 12, 30, (0, 0))
    assert crops.shape == (12, 3, 30, 30)
    assert (crops.flatten(1).float().std(dim=1) > 0).all()


def test_what_is_wrong_in_a_data_process_is_one_sentence(run, pictures, capsys):
    options = ["--data.init_args.crop_size", "100", "--data.init_args.num_workers", "1"]
    assert run("fit", "--config", CONF / "vq-images.yaml", *options) == 1
    told = capsys.readouterr().err
    assert "are smaller than a crop" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("options", "network", "dimension"),
    [
        ({}, {"width": 10**7}, None),
        ({}, {"channels": 10**8}, None),
        ({"size": 10**12}, {}, 2),
        ({"size": 16}, {"width": 10**6}, 2),
        ({"size": 16}, {"depth": 10**6}, 2),
    ],
)
def test_a_network_over_the_budget_of_weights_is_refused_before_memory_is_taken(options, network, dimension):
    method = "uq-ste" if dimension is None else "vq-ste"
    with pytest.raises(UsageError):
        VQTask(dimension, 0.01, method, options, network)


def test_a_large_codebook_within_the_budget_is_built():
    task = VQTask(2, 8, "vq-ste", {"size": 4096}, {"width": 4, "depth": 1})
    assert {weights.device.type for weights in task.parameters()} == {"cpu"}
    assert all(torch.isfinite(weights).all() for weights in task.parameters())

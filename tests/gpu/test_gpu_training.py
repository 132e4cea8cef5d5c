"""Every training task on a GPU beside the same one on the CPU: twenty steps in float32.

Draws differ between devices, so that everything random is switched off. Sums are formed in another order:
losses agree to 1 %, and to 0.1 % at the first step.
"""

import csv

import pytest
import torch
from PIL import Image
from pytorch_lightning.loggers import CSVLogger

from colorcnn.data import PhotoDigits
from colorcnn.data.compression import PictureCrops
from colorcnn.tasks.classifier import ClassifierTask
from colorcnn.tasks.colorcnn import ColorCNNTask
from colorcnn.tasks.trainer import Trainer
from colorcnn.tasks.vq import VQTask

STEPS = 20
DEVICES = ("cpu", "gpu")
COLORS = (0.465, 0.4235, 0.367), (0.25, 0.25, 0.25)
UNET = {"width": 8, "depth": 2}
NETWORK = {"backbone_kwargs": UNET, "feature_channels": 64}
QUIET = {
    "classifiers": ["tiny:classifier"],
    "num_classes": 10,
    "mean": COLORS[0],
    "std": COLORS[1],
    "augment": {},
    "flip_before": False,
    "imitation_pixels": 1.0,
    "jitter": 0.0,
    "schedule": "constant",
    "learning_rate": 1e-3,
}
TASKS = {
    "classifier": lambda: ClassifierTask(
        "resnet9",
        10,
        *COLORS,
        network_kwargs={"width": 4},
        augment={},
        learning_rate=1e-3,
        schedule="constant",
    ),
    "colorcnn": lambda: ColorCNNTask(
        **QUIET,
        architecture="colorcnn",
        sizes=[4],
        quantizer_kwargs={"backbone_kwargs": {"width": 8, "depth": 2}},
    ),
    "colorcnn-plus, 4 colours": lambda: ColorCNNTask(**QUIET, sizes=[4], quantizer_kwargs=NETWORK),
    "colorcnn-plus, 32 colours": lambda: ColorCNNTask(**QUIET, sizes=[32], quantizer_kwargs=NETWORK),
    "sparse on both": lambda: ColorCNNTask(
        **QUIET, sizes=[32], quantizer_kwargs=NETWORK, assignment_form="sparse"
    ),
    "palette-attention": lambda: ColorCNNTask(
        **QUIET,
        architecture="palette-attention",
        sizes=[8],
        imitation_weight=0.0,
        quantizer_kwargs={"backbone_kwargs": UNET},
    ),
    "perceptual and distilled": lambda: ColorCNNTask(
        **QUIET, sizes=[8], quantizer_kwargs=NETWORK, perceptual_weight=0.5, distillation=0.5
    ),
}


def fit(make, accelerator, folder, data, precision="32-true", **options):
    """Train for 20 steps, and return the loss of each."""
    torch.manual_seed(0)
    logger = CSVLogger(folder)
    trainer = Trainer(
        accelerator=accelerator,
        devices=1,
        precision=precision,
        max_steps=STEPS,
        limit_val_batches=0,
        log_every_n_steps=1,
        logger=logger,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(make(), datamodule=data)
    logger.save()
    with open(f"{logger.log_dir}/metrics.csv") as stream:
        rows = [float(row["train/loss"]) for row in csv.DictReader(stream) if row["train/loss"]]
    assert len(rows) == STEPS
    return torch.tensor(rows)


def agree(found, expected):
    torch.testing.assert_close(found[:1], expected[:1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3)


def digits():
    return PhotoDigits(train_size=96, validation_size=32, test_size=32, batch_size=32)


@pytest.mark.parametrize("make", TASKS.values(), ids=TASKS)
def test_an_image_task_trains_as_on_the_cpu(make, tmp_path):
    losses = [fit(make, where, tmp_path / where, digits()) for where in DEVICES]
    agree(losses[1], losses[0])
    assert losses[0].unique().numel() == STEPS


def test_a_compressor_trains_as_on_the_cpu(tmp_path):
    for number in range(6):
        noise = torch.randint(
            256, (40, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(number)
        )
        Image.fromarray(noise.numpy()).save(tmp_path / f"{number}.png")

    def make():
        return VQTask(None, 0.01, method="uq-ste", network_kwargs={"width": 8})

    def pictures():
        return PictureCrops(
            path=str(tmp_path), crop_size=32, batch_size=2, epoch_steps=STEPS, val_images=2, test_images=2
        )

    losses = [fit(make, where, tmp_path / where, pictures()) for where in DEVICES]
    agree(losses[1], losses[0])


@pytest.mark.parametrize(
    "options", [{"precision": "auto"}, {"precision": "32-true", "deterministic": "warn"}]
)
def test_the_modes_of_a_gpu_train(options, tmp_path):
    make = TASKS["colorcnn-plus, 32 colours"]
    expected = fit(make, DEVICES[1], tmp_path / "plain", digits())
    found = fit(make, DEVICES[1], tmp_path / "mode", digits(), **options)
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)

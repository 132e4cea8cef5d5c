from __future__ import annotations

import sys
from pathlib import Path

import jsonargparse
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.cli import LightningCLI

from colorcnn.data import DATASETS, ImageDataModule, ImageFolder, PhotoDigits, open_data
from colorcnn.data.decode import fit_image
from colorcnn.errors import UsageError


def small(**options: object) -> ImageDataModule:
    return open_data("photo-digits", train_size=60, validation_size=20, test_size=30, **options)


@pytest.mark.parametrize("name", DATASETS)
def test_what_a_set_is_can_be_asked_without_its_files(name: str, tmp_path: Path) -> None:
    data = DATASETS[name](root=str(tmp_path))
    assert data.num_classes >= 10
    assert data.name == name
    assert data.image_size[0] >= 32
    if name != "tiny-imagenet-200":  # whose words come with the files
        assert len(data.class_names) == data.num_classes


def test_an_unknown_name_is_answered_with_the_names_and_the_places(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError,
        match=r"'cifar11'.*mean cifar10.*looked for .*cifar11 and .*cifar10, .*voc2012.*COLORCNN_DATA",
    ):
        open_data("cifar11", root=str(tmp_path))


@pytest.mark.parametrize(
    "options", [{"batch_size": 0}, {"image_size": 0}, {"train_limit": 0}, {"num_workers": -1}, {"seed": -1}]
)
def test_options_out_of_range_are_named(options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(options))} is "):
        small(**options)


def test_train_drops_the_last_batch_and_the_others_do_not() -> None:
    data = small(batch_size=16)
    sizes = [[len(batch.labels) for batch in loader] for loader in loaders(data)]
    assert sizes == [[16, 16, 16], [16, 4], [16, 14], [16, 14]]
    index = torch.cat([batch.index for batch in data.val_dataloader()])
    assert torch.equal(index, torch.arange(20))


def loaders(data: ImageDataModule) -> list[torch.utils.data.DataLoader]:
    return [
        data.train_dataloader(),
        data.val_dataloader(),
        data.test_dataloader(),
        data.predict_dataloader(),
    ]


def test_a_batch_larger_than_the_training_set_is_refused() -> None:
    with pytest.raises(UsageError, match="batch_size is 64 and photo-digits has 60 training images"):
        small(batch_size=64).train_dataloader()


def test_a_limited_training_set_keeps_its_classes_in_proportion_and_its_val() -> None:
    data, whole = small(train_limit=30), small()
    assert len(data.train) == 30
    difference = data.train.labels.bincount(minlength=10) - whole.train.labels.bincount(minlength=10) / 2
    assert difference.abs().max() < 1
    assert data.val.key == whole.val.key
    assert len(small(train_limit=1000).train) == 60


def test_the_loaders_leave_the_global_generator_alone() -> None:
    data = small(batch_size=16)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    for loader in loaders(data):
        for _ in loader:
            continue
    assert torch.equal(state, torch.get_rng_state())


def test_workers_give_the_same_batches() -> None:
    first, second = (list(small(batch_size=16, num_workers=n).train_dataloader()) for n in (0, 1))
    assert len(first) == len(second)
    assert all(torch.equal(a.images, b.images) for a, b in zip(first, second, strict=True))


class Task(pl.LightningModule):
    def __init__(
        self, num_classes: int = 0, mean: tuple[float, ...] = (), std: tuple[float, ...] = ()
    ) -> None:
        super().__init__()
        self.given = (num_classes, mean, std)


class LinkedCLI(LightningCLI):
    def add_arguments_to_parser(self, parser: jsonargparse.ArgumentParser) -> None:
        for name in ("num_classes", "mean", "std"):
            parser.link_arguments(f"data.{name}", f"model.init_args.{name}", apply_on="instantiate")


def run_cli(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> LightningCLI:
    monkeypatch.setattr(sys, "argv", ["colorcnn", *arguments])
    return LinkedCLI(
        Task,
        ImageDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        run=False,
        save_config_callback=None,
        trainer_defaults={"logger": False, "accelerator": "cpu"},
    )


def test_the_command_line_opens_a_folder_and_links_what_it_finds(
    tmp_path: Path, make_tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tree(tmp_path / "pets", {"cat": 9, "dog": 9, "owl": 9})
    arguments = ["--model", f"{__name__}.Task", "--data", "ImageFolder", "--data.init_args.path", "pets"]
    arguments += ["--data.init_args.root", str(tmp_path), "--data.init_args.batch_size", "4"]
    arguments += ["--data.init_args.on_corrupt", "skip", "--data.init_args.val_size", "0.2"]
    cli = run_cli(arguments, monkeypatch)
    data = cli.datamodule
    assert isinstance(data, ImageFolder)
    assert (data.batch_size, data.on_corrupt, data.val_size) == (4, "skip", 0.2)
    assert cli.model.given == (3, data.mean, data.std)


def test_the_command_line_knows_the_sets_by_class_name(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--model", f"{__name__}.Task", "--data", "PhotoDigits", "--data.init_args.seed", "3"]
    cli = run_cli([*arguments, "--data.init_args.train_size", "50"], monkeypatch)
    assert isinstance(cli.datamodule, PhotoDigits)
    assert (cli.datamodule.seed, cli.datamodule.sizes["train"]) == (3, 50)
    assert cli.model.given[0] == 10


@pytest.mark.data
def test_cifar10_as_jpeg_is_complete(real_data: str) -> None:
    data = open_data("cifar10-jpeg", root=real_data)
    assert data.class_names[0] == "airplane"
    assert data.class_names[9] == "truck"
    for part, count in (("train", 5000), ("test", 1000)):
        files, labels = data.list_split(part)
        assert np.bincount(labels).tolist() == [count] * 10
        assert len(set(files)) == 10 * count
    with Image.open(files[-1]) as image:
        assert (image.size, image.format) == ((32, 32), "JPEG")


def test_without_validation_images_all_are_trained_on() -> None:
    data = DATASETS["photo-digits"](train_size=20, validation_size=4, test_size=4)
    assert len(data.val) == 4, "a data set's own validation images stay"


def test_val_size_0_cuts_nothing_from_train(tmp_path: Path) -> None:
    for label in ("a", "b"):
        for part, count in (("train", 4), ("test", 2)):
            folder = tmp_path / part / label
            folder.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
    data = ImageFolder(str(tmp_path), val_size=0, batch_size=2)
    data.setup("fit")
    assert [len(data.train), len(data.val), len(data.test)] == [8, 0, 4]
    assert data.val_dataloader() == []


def test_the_shorter_side_may_be_longer_than_the_crop() -> None:
    ramp = Image.fromarray(np.tile(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], (64, 1, 3)))
    whole, part = fit_image(ramp, 32), fit_image(ramp, 32, short_side=64)
    assert whole.shape == part.shape == (32, 32, 3)
    assert np.array_equal(part, np.asarray(ramp)[16:48, 16:48])
    with pytest.raises(UsageError, match="short_side is 20"):
        small(image_size=32, short_side=20)

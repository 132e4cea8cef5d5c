"""Files that `colorcnn predict` writes."""

from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from colorcnn.data import ImageFolder, PhotoDigits
from colorcnn.paletted import Paletted
from colorcnn.tasks.callbacks import PredictionFiles


def predict(tmp_path, data, prediction):
    """Write the prediction for the first three test images; return the files' names."""
    trainer = SimpleNamespace(
        log_dir=str(tmp_path / "run"), datamodule=data, world_size=1, is_global_zero=True
    )
    batch, files = data.test.__getitems__([0, 1, 2]), PredictionFiles()
    files.write_on_batch_end(trainer, None, prediction, None, batch, 0, 0)
    files.on_predict_epoch_end(trainer, None)
    folder = tmp_path / "run" / "predictions"
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*.*"))


def photos(tmp_path):
    for part in ("train", "test"):
        for name in ("cat/a.png", "cat/a.jpg", "dog/b.png"):
            file = tmp_path / "photos" / part / name
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(file)
    return ImageFolder(str(tmp_path / "photos"), val_size=0)


QUANTIZED = {2: Paletted(torch.zeros(3, 8, 8, dtype=torch.uint8), torch.zeros(3, 2, 3))}


def test_pictures_keep_the_names_of_their_files(tmp_path):
    names = predict(tmp_path, photos(tmp_path), QUANTIZED)
    assert names == ["cat/a.jpg-c2.png", "cat/a.png-c2.png", "dog/b-c2.png"]


def test_answers_stand_beside_the_names_of_their_files(tmp_path):
    assert predict(tmp_path, photos(tmp_path), torch.tensor([0, 0, 1])) == ["classes.csv"]
    lines = (tmp_path / "run" / "predictions" / "classes.csv").read_text().splitlines()
    assert lines == ["cat/a.jpg,0", "cat/a.png,0", "dog/b.png,1"]


def test_images_in_memory_have_their_positions(tmp_path):
    data = PhotoDigits(train_size=4, validation_size=4, test_size=4)
    assert predict(tmp_path, data, QUANTIZED) == [f"{image:06d}-c2.png" for image in range(3)]
    predict(tmp_path, data, torch.from_numpy(np.arange(3)))
    assert (tmp_path / "run" / "predictions" / "classes.csv").read_text() == "0,0\n1,1\n2,2\n"


def test_the_answers_of_all_processes_are_in_one_file(tmp_path, monkeypatch):
    data, folder = PhotoDigits(train_size=4, validation_size=4, test_size=4), tmp_path / "run"
    ranks = [PredictionFiles(), PredictionFiles()]
    trainer = SimpleNamespace(log_dir=str(folder), datamodule=data, world_size=2, is_global_zero=True)
    for images, files in zip(([2, 0], [3, 1]), ranks):
        answers = torch.tensor(images) * 10
        files.write_on_batch_end(trainer, None, answers, None, data.test.__getitems__(images), 0, 0)
    kept = [files._rows for files in ranks]
    monkeypatch.setattr(
        torch.distributed, "all_gather_object", lambda parts, _: parts.__setitem__(slice(None), kept)
    )
    ranks[0].on_predict_epoch_end(trainer, None)
    assert (folder / "predictions" / "classes.csv").read_text() == "0,0\n1,10\n2,20\n3,30\n"

"""`colorcnn compress` and `decompress` over several files, pipes and pictures with alpha."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import colorcnn
from colorcnn.cli import main
from colorcnn.errors import ColorCNNError

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 16, 4), dtype=np.uint8)


class Pipe(io.BytesIO):
    """Standard input or output that keeps bytes."""

    @property
    def buffer(self):
        return self

    def isatty(self):
        return False


@pytest.fixture(autouse=True)
def pictures(tmp_path, monkeypatch):
    """A current folder with an opaque and a transparent picture."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PIXELS[..., :3].copy()).save("a.png")
    Image.fromarray(PIXELS).save("b.png")


def test_several_files_are_compressed_and_a_bad_one_fails_alone(capsys):
    Path("bad.png").write_bytes(b"hello")
    assert main(["compress", "a.png", "bad.png", "b.png", "--out-dir", "small"]) == 1
    shown = capsys.readouterr()
    assert shown.out == "small/a.cvq\nsmall/b.cvq\n"
    assert "error: bad.png is not an image" in shown.err
    assert "the transparency of b.png is not kept" in shown.err
    assert "the transparency of a.png" not in shown.err
    assert main(["decompress", "small/a.cvq", "small/b.cvq", "--out-dir", "back"]) == 0
    assert Image.open("back/b.png").size == (16, 16)


def test_pipes_give_the_same_bytes(monkeypatch):
    assert main(["compress", "a.png"]) == 0
    pipe = Pipe()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", Pipe(Path("a.png").read_bytes()))
        patch.setattr(sys, "stdout", pipe)
        assert main(["compress", "-"]) == 0
    assert pipe.getvalue() == Path("a.cvq").read_bytes()
    back = Pipe()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", Pipe(pipe.getvalue()))
        patch.setattr(sys, "stdout", back)
        assert main(["decompress", "-"]) == 0
    assert main(["decompress", "a.cvq", "-o", "back.png"]) == 0
    assert back.getvalue() == Path("back.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["compress", "a.png", "b.png", "-o", "c.cvq"], "use --out-dir"),
        (["compress", "a.png", "-o", "c.cvq", "--out-dir", "d"], "give one of them"),
        (["compress", "a.png", "./a.png"], "would become one file"),
        (["compress", "a.png", "-"], "can hold one file"),
        (["compress", "a.png", "--background", "rgb(300,0,0)"], "is not a colour"),
    ],
)
def test_options_that_conflict_are_refused_before_any_work(arguments, problem, capsys):
    assert main(arguments) == 2
    assert problem in capsys.readouterr().err
    assert not list(Path().glob("*.cvq"))


def test_decompress_looks_at_the_signature_first(capsys):
    assert main(["decompress", "a.png"]) == 1
    assert "a.png is not a compressed image" in capsys.readouterr().err


class TestPython:
    def test_functions_give_what_the_commands_write(self):
        data = colorcnn.compress("a.png")
        assert main(["compress", "a.png"]) == main(["decompress", "a.cvq", "-o", "back.png"]) == 0
        assert data == Path("a.cvq").read_bytes()
        back = np.asarray(Image.open("back.png"))
        for file in (data, "a.cvq", Path("a.cvq")):
            np.testing.assert_array_equal(np.asarray(colorcnn.decompress(file)), back)

    def test_images_come_in_every_form_and_a_model_is_loaded_once(self):
        codec = colorcnn.from_pretrained("factorized-prior-tiny-imagenet")
        pixels = PIXELS[..., :3]
        floats = torch.from_numpy(pixels).permute(2, 0, 1) / 255
        files = {colorcnn.compress(image, codec) for image in ("a.png", pixels, Image.open("a.png"), floats)}
        assert len(files) == 1
        assert colorcnn.decompress(files.pop(), codec).size == (16, 16)

    def test_transparent_parts_are_laid_over_a_colour(self):
        clear = np.zeros((16, 16, 4), np.uint8)
        red = np.zeros((16, 16, 3), np.uint8) + np.uint8([255, 0, 0])
        assert colorcnn.compress(clear, background="red") == colorcnn.compress(red)

    @pytest.mark.parametrize(
        ("call", "problem"),
        [
            (lambda: colorcnn.compress(PIXELS[None].repeat(2, 0)), "There are 2 images"),
            (lambda: colorcnn.compress("a.png", object()), "A object is not a codec"),
            (lambda: colorcnn.compress("a.png", "none"), "There is no pretrained model 'none'"),
            (lambda: colorcnn.compress("a.png", max_pixels=9), "more than 9 pixels"),
            (lambda: colorcnn.decompress("none.cvq"), "none.cvq does not exist"),
            (lambda: colorcnn.decompress(b"hello"), "The data is not a compressed image"),
        ],
    )
    def test_what_cannot_be_done_is_told(self, call, problem):
        with pytest.raises(ColorCNNError, match=problem):
            call()

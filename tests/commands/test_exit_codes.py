"""Exit codes: 2 for what an option names and is missing or wrong, 1 for work that failed."""

import pytest
from PIL import Image

from colorcnn.cli import main

QUANTIZE = ("quantize", "a.png", "--colors", "4")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8), "red").save("a.png")
    (tmp_path / "bad.gpl").write_text("no palette\n")
    (tmp_path / "bad.yaml").write_text("- no mapping\n")
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    Image.new("RGB", (8, 8), "red").save("photos/cat/a.png")
    (tmp_path / "there").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ((*QUANTIZE, "--palette"), "none.gpl"),
        ((*QUANTIZE, "--palette"), "none.png"),
        ((*QUANTIZE, "--palette"), "bad.gpl"),
        ((*QUANTIZE, "--method"), "none.onnx"),
        ((*QUANTIZE, "--method"), "none.ckpt"),
        ((*QUANTIZE, "--method"), "there/none"),
        ((*QUANTIZE, "--method"), "there/none.ckpt"),
        ((*QUANTIZE, "--method"), "colorcnn-plus:there/none.ckpt"),
        (("evaluate", "photos", "--colors", "4", "--classifier"), "there/none"),
        (("evaluate", "photos", "--colors", "4", "--classifier"), "none.ckpt"),
        (
            ("evaluate", "photos", "--colors", "4", "--classifier", "resnet9-cifar10", "--classes"),
            "none.json",
        ),
        (("fit", "--config"), "none.yaml"),
        (("fit", "--config"), "bad.yaml"),
    ],
)
def test_what_an_option_names_and_is_missing_or_wrong_gives_2(command, named, folder, capsys):
    assert main([*command, named]) == 2
    message = capsys.readouterr().err
    assert named.removeprefix("colorcnn-plus:") in message
    assert "Unknown method" not in message
    assert sorted(path.name for path in folder.glob("a*")) == ["a.png"]


@pytest.mark.parametrize("picture", ["none.png", "bad.gpl", "a.png"])
def test_a_picture_that_cannot_be_read_and_a_result_that_exists_give_1(picture, folder, capsys):
    (folder / "a-c4.png").write_text("mine")
    assert main(["quantize", picture, "--colors", "4", "--method", "octree"]) == 1
    assert picture.partition(".")[0] in capsys.readouterr().err
    assert (folder / "a-c4.png").read_text() == "mine"

"""Help and refusals of every command come before anything heavy is imported."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from colorcnn import cli
from colorcnn.commands import training

HEAVY = ("torch", "numba", "pytorch_lightning", "torchvision", "matplotlib", "scipy", "sklearn", "joblib")
LIGHT = [
    *([name, "--help"] for name in cli.COMMANDS),
    *(["dcq", name, "--help"] for name in ("build", "export", "verify", "recode")),
    ["quantise"],
    ["quantize", "none.png", "--colors", "4"],
    ["quantize", "none.png", "--colors", "4", "--method", "kmeans"],
    ["quantize", "a.png", "--colors", "4", "--device", "abacus"],
    ["quantize", "a.png", "--colors", "4", "--quality", "2-1"],
    ["quantize", "a.png", "--colors", "4", "--method", "median-cut", "--force"],
    ["evaluate"],
    ["evaluate", "none", "--classifier", "resnet9-cifar10"],
    ["evaluate", "photo-digits", "--classifier", "none"],
    ["evaluate", "photo-digits", "--classifier", "resnet9-cifar10", "--methods", "none"],
    ["evaluate", "photo-digits", "--classifier", "resnet9-cifar10", "--attack", "none"],
    ["explore", "none"],
    ["explore", "--methods", "none"],
    ["explore", "--classifier", "none"],
    ["report", "none.json"],
    ["reproduce", "none"],
    ["reproduce", "vq-toy", "--scale", "none"],
    ["dcq", "build", "none", "-o", "out"],
    ["dcq", "build", "photo-digits", "-o", "out", "--method", "none"],
    ["dcq", "recode", "none", "-o", "out", "--format", "png"],
    ["dcq", "export", "none", "-o", "out"],
    ["dcq", "verify", "none"],
    ["compress", "none.png"],
    ["decompress", "none.cvq"],
    ["decompress", "a.png"],
    ["init", "none"],
    ["publish", "none", "out"],
    ["export", "none"],
    ["export", "colorcnn-plus-cifar10"],
    ["demo", "--device", "abacus"],
    *([name] for name in training.OWN),
    ["fit", "--config", "none.yaml"],
    ["fit", "--config", "none"],
    ["fit", "--config", "accuracy-bits"],
    ["test", "--nonsense", "1"],
]
RUN = """
import contextlib, io, json, sys
from colorcnn.cli import main
heavy, cases = json.loads(sys.argv[1])
for arguments in cases:
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        status = main(arguments)
    found = sorted(set(heavy) & set(sys.modules))
    print(json.dumps([arguments, status, out.getvalue(), error.getvalue(), found]))
"""


def run(cases, heavy=HEAVY, **options):
    """Run commands one after the other in a process of their own; heavy modules that were imported stay."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps([heavy, cases])],
        capture_output=True,
        text=True,
        check=True,
        **options,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_help_and_refusals_import_nothing_heavy(picture):
    for arguments, status, out, error, imported in run(LIGHT, cwd=picture.parent):
        assert imported == [], arguments
        assert "Traceback" not in error
        if "--help" in arguments:
            assert (status, out.startswith("usage: colorcnn ")) == (0, True), arguments
        elif "--force" in arguments:
            assert (status, out) == (0, "a-c4.png\n"), error
        else:
            assert status in (1, 2), arguments
            assert "error: " in error or "usage: " in error, arguments


def test_classical_methods_quantize_without_torch(picture):
    methods = (
        ["k-means"],
        ["wu+ordered"],
        ["median-cut", "--keep", "red", "--strip"],
        ["octree", "--quality", "-60"],
    )
    cases = [["quantize", "a.png", "--colors", "4", "--force", "--method", *options] for options in methods]
    for _, status, out, error, imported in run(cases, ("torch", "pytorch_lightning"), cwd=picture.parent):
        assert (status, out, imported) == (0, "a-c4.png\n", []), error


def test_configurations_are_written_without_torch(picture):
    for label in ("cats", "dogs"):
        (picture.parent / "photos" / label).mkdir(parents=True)
        for number in range(5):
            (picture.parent / "photos" / label / f"{number}.png").write_bytes(picture.read_bytes())
    ((_, status, out, error, imported),) = run([["init", "photos"]], cwd=picture.parent)
    assert (status, imported) == (0, []), error
    assert out.splitlines() == ["photos-classifier.yaml", "photos-quantizer.yaml"]


@pytest.mark.parametrize("name", training.OWN)
def test_the_help_of_training_knows_the_options_of_its_parser(name, capsys):
    """The full parser is asked: an option that it has and the short check refuses could not be given."""
    assert cli.main([name, "--help-all"]) == 0
    options = set(re.findall(r"--[a-z_]+", capsys.readouterr().out)) - {"--help", "--allow"}
    assert options == {*training.COMMON, *training.OWN[name], *training.PLACES}
    assert cli.main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    for option in ("--config", "--ckpt_path", "--device", "--model.help", "--data.help", "--help-all"):
        assert option in shown

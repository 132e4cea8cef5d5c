"""The command ``explore``: its address, its end, its refusals."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from PIL import Image

from colorcnn.cli import main


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def page(picture):
    """A running command and the address that it printed."""
    argv = ["explore", str(picture), "--methods", "octree,wu", "--port", "0", "--no-browser"]
    process = subprocess.Popen(
        [sys.executable, "-m", "colorcnn", *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for other processes")
def test_the_page_is_there_until_ctrl_c(page):
    process, address = page
    assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+/", address)
    with urllib.request.urlopen(address) as answer:
        assert b"<title>colorcnn explore</title>" in answer.read()
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=20)[1]
    assert process.returncode == 130
    assert error.splitlines()[-1] == "colorcnn: interrupted"
    assert "Traceback" not in error


def test_a_port_in_use_is_one_sentence(picture, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["explore", str(picture), "--port", str(port), "--no-browser"]) == 1
    message = capsys.readouterr().err
    assert f"Port {port}" in message
    assert "--port" in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    "argv",
    [
        ["none"],
        ["a.png", "none.png"],
        ["--methods", "kmeans"],
        ["--methods", ","],
        ["--classifier", "none"],
        ["--port", "65536"],
        ["--image-size", "0"],
        ["--image-size", "5000"],
        ["--device", "abacus"],
        ["--split", "none"],
    ],
)
def test_wrong_options_are_refused(argv, picture, monkeypatch, capsys):
    monkeypatch.chdir(picture.parent)
    assert (
        main(
            ["explore", *argv, "--no-browser", "--port", "0"] if "--port" not in argv else ["explore", *argv]
        )
        == 2
    )
    assert "Traceback" not in capsys.readouterr().err

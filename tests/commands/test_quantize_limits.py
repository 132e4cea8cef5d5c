"""`colorcnn quantize` with limits of quality and size, colours with alpha, bad inputs and closed streams."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colorcnn.cli import main
from colorcnn.commands.quantize import advice as advice_module
from colorcnn.commands.quantize.options import QuantizeOptions
from colorcnn.commands.quantize.quality import QualityRange, largest_error, parse_quality, quality_of

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (20, 30, 3), dtype=np.uint8)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="devices of Linux")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def picture(name, pixels=PIXELS, **options):
    Image.fromarray(pixels).save(name, **options)
    return name


def run(*arguments, method="median-cut", colors=4):
    options = [] if colors is None else ["--colors", str(colors)]
    return main(["quantize", *map(str, arguments), *options, "--method", method])


class TestQuality:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("60-80", (60, 80)), ("60-", (60, 100)), ("-80", (0, 80)), ("80", (72, 80)),
            ("best", None), (None, None), ("-", None),
        ],
    )  # fmt: skip
    def test_ranges_are_read_as_pngquant_does(self, text, found):
        assert parse_quality(text) == (None if found is None else QualityRange(*found))

    def test_the_scale_falls_and_is_inverted(self):
        errors = [largest_error(quality) for quality in range(101)]
        assert errors == sorted(errors, reverse=True)
        assert [quality_of(error) for error in errors[1:]] == list(range(1, 101))
        assert quality_of(1e9) == 0

    @pytest.mark.parametrize(
        ("off", "quality"),
        [
            (0, 100),  # exact
            (1, 95),  # (1/255)^2: 48.13 dB, (48.13 - 10) / 0.4 = 95.3
            (25.5, 25),  # a tenth of the range: 20 dB
            (51, 9),  # a fifth: 13.98 dB
            (255, 0),  # 0 dB
        ],
    )
    def test_quality_is_psnr_in_steps(self, off, quality):
        assert quality_of(3 * (off / 255) ** 2) == quality

    def test_the_error_of_a_quality_is_that_of_its_psnr(self):
        assert largest_error(50) == pytest.approx(3 * 0.001)  # 30 dB
        assert largest_error(75) == pytest.approx(3 * 0.0001)  # 40 dB
        assert largest_error(90) == pytest.approx(3 * 10**-4.6)  # 46 dB

    def test_as_few_colours_as_the_quality_needs(self, capsys):
        ramp = np.linspace(0, 255, 64).astype(np.uint8)[None, :, None].repeat(8, 0).repeat(3, 2)
        assert run(picture("a.png", ramp), "--quality", "-80", "--json", method="k-means", colors=None) == 0
        report = json.loads(capsys.readouterr().out)
        assert 2 < report["colors"] < 64
        assert report["quality"] >= 80
        assert report["mse"] <= largest_error(80)
        fewer = report["colors"] - 1
        assert run("a.png", "--quality", "-100", "--json", method="k-means", colors=fewer) == 0
        assert json.loads(capsys.readouterr().out)["quality"] < 80

    def test_a_picture_below_the_least_quality_is_not_written(self, capsys):
        picture("grey.png", np.full((4, 4, 3), 9, np.uint8))
        assert run(picture("a.png"), "grey.png", "--quality", "90-100", "--json") == 99
        shown = capsys.readouterr()
        skipped, written = map(json.loads, shown.out.splitlines())
        assert skipped == {"input": "a.png", "skipped": "quality"}
        assert written["quality"] == 100
        assert "a.png reaches quality" in shown.err
        assert not os.path.exists("a-c4.png")

    @pytest.mark.parametrize("value", ["80-60", "101", "0-999999999"])
    def test_ranges_that_are_none_are_refused(self, capsys, value):
        assert run(picture("a.png"), "--quality", value) == 2
        assert "two numbers from 0 to 100" in capsys.readouterr().err

    def test_a_result_larger_than_its_file_is_not_written(self, capsys):
        noise = picture("noise.jpg", quality=1)
        flat = picture("flat.bmp", np.full((9, 9, 3), 7, np.uint8))
        assert run(noise, flat, "--skip-if-larger", colors=256) == 98
        assert capsys.readouterr().out == "flat-c256.png\n"


class TestExisting:
    def test_results_that_exist_are_skipped(self, capsys):
        picture("a.png")
        Path("a-c4.png").write_bytes(b"mine")
        assert run("a.png", picture("b.png"), "--skip-existing") == 0
        shown = capsys.readouterr()
        assert shown.out == "b-c4.png\n"
        assert "1 left out, whose results exist" in shown.err
        assert Path("a-c4.png").read_bytes() == b"mine"
        assert run("a.png", "--skip-existing", "--force") == 2

    def test_a_missing_strip_is_completed_and_the_picture_kept(self):
        picture("a.png")
        Path("a-c4.png").write_bytes(b"mine")
        assert run("a.png", "--strip", "--skip-existing") == 0
        assert Path("a-c4.png").read_bytes() == b"mine"
        assert os.path.exists("a-c4-palette.png")

    def test_frames_that_are_missing_are_completed(self):
        shades = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (250, 130, 10)]
        shades[0].save("a.gif", save_all=True, append_images=shades[1:])
        assert run("a.gif", "--all-frames") == 0
        os.remove("a-c4-frame002.png")
        assert run("a.gif", "--all-frames") == 0
        assert os.path.exists("a-c4-frame002.png")


class TestAlpha:
    def soft(self):
        alpha = np.linspace(0, 255, 30).astype(np.uint8)[None].repeat(20, 0)
        colors = np.zeros_like(PIXELS)
        colors[10:] = (200, 40, 90)
        return picture("a.png", np.dstack([colors, alpha]))

    def test_full_alpha_is_kept(self, capsys):
        assert run(self.soft(), "--alpha", "full", "--json", method="k-means", colors=16) == 0
        report = json.loads(capsys.readouterr().out)
        decoded = Image.open("a-c16.png")
        assert decoded.mode == "P"
        assert len(decoded.getpalette()) // 3 <= 16
        shown = np.asarray(decoded.convert("RGBA")).astype(int)
        original = np.asarray(Image.open("a.png")).astype(int)
        assert len(np.unique(shown[..., 3])) > 3
        assert np.abs(shown[..., 3] - original[..., 3]).mean() < 12
        assert report["transparent"] == bool((shown[..., 3] == 0).any())

    def test_few_colours_come_back_exactly(self):
        rgba = np.zeros((4, 4, 4), np.uint8)
        rgba[:2] = (10, 20, 30, 128)
        rgba[2, :, 3] = 255
        assert run(picture("a.png", rgba), "--alpha", "full", method="k-means") == 0
        np.testing.assert_array_equal(np.asarray(Image.open("a-c4.png").convert("RGBA")), rgba)

    def test_an_opaque_picture_is_as_without(self):
        assert run(picture("a.png"), "--alpha", "full", "-o", "full.png", method="k-means") == 0
        assert run("a.png", "-o", "plain.png", method="k-means") == 0
        assert Path("full.png").read_bytes() == Path("plain.png").read_bytes()

    @pytest.mark.parametrize(
        "arguments", [["--method", "octree"], ["--dither"], ["--background", "white"], ["--shared-palette"]]
    )
    def test_what_has_no_alpha_is_refused(self, capsys, arguments):
        assert (
            main(
                [
                    "quantize",
                    self.soft(),
                    "--colors",
                    "4",
                    "--alpha",
                    "full",
                    "--method",
                    "k-means",
                    *arguments,
                ]
            )
            == 2
        )
        assert "--alpha full" in capsys.readouterr().err


class TestBadInputs:
    @LINUX
    def test_a_device_a_circle_of_links_and_a_failing_disk_cost_themselves_alone(self, capsys, monkeypatch):
        monkeypatch.setattr("colorcnn.images._STREAM_BYTES", 1 << 16)
        os.symlink("loop.png", "loop.png")
        picture("bad.png")
        usual = open

        def failing(path, *arguments, **options):
            if os.fspath(path) == "bad.png":
                raise OSError(5, "Input/output error")
            return usual(path, *arguments, **options)

        monkeypatch.setattr("builtins.open", failing)
        assert run("/dev/zero", "loop.png", "bad.png", picture("a.png"), "--out-dir", "out") == 1
        shown = capsys.readouterr()
        assert shown.out == "out/a-c4.png\n"
        for name, problem in {
            "/dev/zero": "does not end within", "loop.png": "remove the link that leads to itself",
            "bad.png": "Input/output error): check the disk",
        }.items():  # fmt: skip
            assert any(
                line.startswith(f"colorcnn: error: {name} ") and problem in line
                for line in shown.err.splitlines()
            )

    @LINUX
    @pytest.mark.parametrize(
        ("redirection", "status"),
        [(">&-", 1), (">/dev/full", 1), ("2>&-", 0), ("2>/dev/full", 0), ("<&- >/dev/full 2>/dev/full", 1)],
    )
    def test_closed_and_full_streams_lose_no_picture(self, redirection, status):
        picture("a.png")
        picture("b.png")
        script = (
            f"'{sys.executable}' -m colorcnn quantize a.png b.png --colors 2 --method octree {redirection}"
        )
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        assert {"a-c2.png", "b-c2.png"} < set(os.listdir())

    def test_names_on_a_terminal_hold_no_control_characters(self, monkeypatch, capsys):
        class Terminal(io.StringIO):
            def isatty(self):
                return True

        terminal = Terminal()
        picture("a\x1b[31m.png")
        monkeypatch.setattr(sys, "stdout", terminal)
        assert run("a\x1b[31m.png") == 0
        assert run("b\x1b[31m.png") == 1
        assert terminal.getvalue() == "a\\x1b[31m-c4.png\n"
        assert "\x1b" not in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (["--background", "rgb(300,0,0)"], "is not a colour"),
            (["--background", "x" * 500], f"'{'x' * 40}...' is not a colour"),
            (["--seed", "4294967296"], "--seed is 4294967296"),
            (["--seed", "-1"], "--seed is -1"),
            (["--background", "--", "a.png"], "--background has no value"),
            (["--space=--"], "median-cut has no space"),
            (["-o", "x\0y"], "null byte"),
            (["--out-dir", "x\0y"], "null byte"),
        ],
    )
    def test_odd_values_are_told_in_a_sentence(self, capsys, arguments, problem):
        assert run(picture("a.png"), *arguments) == 2
        assert problem in capsys.readouterr().err
        assert os.listdir() == ["a.png"]


@pytest.mark.parametrize(("size", "told"), [((32, 32), False), ((640, 480), True), ((640, 40), False)])
def test_a_model_of_small_images_names_what_fits_a_photograph(size, told, monkeypatch):
    monkeypatch.setattr(advice_module, "_training", lambda checkpoint: ("CIFAR-10", 32))
    note = advice_module.advice(QuantizeOptions(("a.png",), colors=2), size)
    assert (note is not None) == told
    if note:
        assert "was trained on 32 x 32 images" in note
        assert "--method k-means" in note
        assert "colorcnn-1bit" in note
    assert advice_module.advice(QuantizeOptions(("a.png",), colors=2, method="octree"), size) is None

"""``colorcnn quantize`` as a user meets it, through the real command line: every row of its behaviour."""

import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from colorcnn.cli import main
from colorcnn.methods import load_quantizer

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def picture(name, pixels=PIXELS, **options):
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    Image.fromarray(pixels).save(name, **options)
    return name


def run(*arguments, method="median-cut", colors=4):
    return main(["quantize", *map(str, arguments), "--colors", str(colors), "--method", method])


class Pipe(io.BytesIO):
    """Standard input or output that keeps bytes."""

    def __init__(self, content=b"", terminal=False):
        super().__init__(content)
        self.buffer = self
        self.terminal = terminal

    def isatty(self):
        return self.terminal


def stdin(monkeypatch, content=b"", terminal=False):
    monkeypatch.setattr(sys, "stdin", Pipe(content, terminal))


def stdout(monkeypatch, terminal=False):
    pipe = Pipe(terminal=terminal)
    monkeypatch.setattr(sys, "stdout", pipe)
    return pipe


def parts(path):
    """Bit depth, palette entries and pixels (RGBA) of a PNG file."""
    png = Path(path).read_bytes()
    start = png.index(b"PLTE")
    entries = int.from_bytes(png[start - 4 : start]) // 3
    decoded = Image.open(io.BytesIO(png))
    assert decoded.mode == "P"
    return png[24], entries, np.asarray(decoded.convert("RGBA"))


def errors(capsys):
    return [line for line in capsys.readouterr().err.splitlines() if "error:" in line]


class TestNames:
    def test_the_result_lies_beside_the_picture_and_its_path_is_printed(self, capsys):
        assert run(picture("sub/photo.jpg")) == 0
        assert capsys.readouterr().out == "sub/photo-c4.png\n"
        assert os.path.exists("sub/photo-c4.png")

    def test_out_dir_takes_the_results(self, capsys):
        assert run(picture("a/x.png"), picture("b/y.png"), "--out-dir", "new/results") == 0
        assert sorted(os.listdir("new/results")) == ["x-c4.png", "y-c4.png"]

    @pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
    def test_names_that_are_no_text_are_printed_as_they_are(self, monkeypatch):
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "utf-8", errors="strict"))
        os.rename(picture("a.png"), b"\xff.png")
        assert run(os.fsdecode(b"\xff.png")) == 0
        assert sys.stdout.buffer.getvalue() == b"\xff-c4.png\n"

    def test_names_that_begin_with_a_dash_follow_two_dashes(self, capsys):
        picture("-a.png")
        assert (
            main(["quantize", "--colors", "4", "--method", "median-cut", "--", "-a.png", picture("b.png")])
            == 0
        )
        assert capsys.readouterr().out == "-a-c4.png\nb-c4.png\n"

    @pytest.mark.parametrize("options", [(), ("--all-frames",)])
    def test_a_pipe_is_read_once(self, options):
        os.mkfifo("pipe")
        content = Path(picture("a.png")).read_bytes()
        writer = threading.Thread(target=Path("pipe").write_bytes, args=(content,), daemon=True)
        writer.start()
        assert run("pipe", "--out-dir", "out", *options) == 0
        writer.join(10)
        assert parts("out/pipe-c4.png")[1] == 4

    def test_a_name_the_system_refuses_spares_the_other_pictures(self, capsys):
        assert run("x" * 300 + ".png", picture("a.png")) == 1
        shown = capsys.readouterr()
        assert shown.out == "a-c4.png\n"
        assert "File name too long" in shown.err

    def test_the_longest_names_can_be_written(self):
        assert run(picture("x" * 248 + ".png")) == 0
        assert run("x" * 248 + ".png", "-o", "y" * 251 + ".png") == 0

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
    @pytest.mark.parametrize("output", ["-", "b.png"])
    def test_a_full_disk_behind_standard_output_is_told(self, output):
        command = [sys.executable, "-m", "colorcnn", "quantize", picture("a.png"), "--colors", "4"]
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [*command, "--method", "octree", "-o", output], stdout=full, stderr=subprocess.PIPE, text=True
            )
        assert done.returncode == 1
        assert done.stderr.splitlines() == [
            "colorcnn: error: The output could not be read or written (No space left on device): "
            "check the path, its access rights and the free space."
        ]

    def test_o_names_the_result_of_one_picture(self):
        assert run(picture("a.png"), "-o", "new/two.png") == 0
        assert parts("new/two.png")[1] == 4

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (["a.png", "b.png", "-o", "c.png"], "several pictures: use --out-dir"),
            (["a.png", "-o", "c.png", "--out-dir", "d"], "give one of them"),
            (["a.png", "-o", "c.jpg"], "a name that ends in .png"),
            (["a.png", "-o", "."], "is a folder: write --out-dir"),
            (["a.png", "-o", "c.png", "--all-frames"], "use --out-dir"),
            (["a.png", "--out-dir", "b.png"], "b.png is a file: name a folder"),
            (["a.png", "-o", "-", "--json"], "--json and the image cannot both"),
            (["a.png", "b.png", "-o", "-"], "can hold one image"),
            (["a.png", "-", "--all-frames"], "can hold one image"),
            (["a.png", "--background", "blurple"], "is not a colour"),
            (["a.png", "--dither", "noise"], "Unknown dither 'noise'"),
            (["a.png", "--max-pixels", "0"], "at least 1"),
        ],
    )
    def test_options_that_cannot_be_meant_write_nothing(self, capsys, monkeypatch, arguments, problem):
        stdin(monkeypatch)
        picture("a.png")
        picture("b.png")
        assert run(*arguments) == 2
        (message,) = errors(capsys)
        assert problem in message
        assert sorted(os.listdir()) == ["a.png", "b.png"]

    def test_two_inputs_of_one_result_fail_alone(self, capsys):
        assert run(picture("a.png"), picture("a.jpg"), picture("0.png")) == 1
        shown = capsys.readouterr()
        assert "error: a.png and a.jpg would both become a-c4.png: use different names" in shown.err
        assert "error: a.jpg and a.png would both become a-c4.png" in shown.err
        assert shown.out == "0-c4.png\n"
        assert sorted(os.listdir()) == ["0-c4.png", "0.png", "a.jpg", "a.png"]

    def test_inputs_of_one_name_in_two_folders_fail_alone(self, capsys):
        assert run(picture("a/x.png"), picture("b/x.png"), picture("b/y.png"), "--out-dir", "out") == 1
        assert os.listdir("out") == ["y-c4.png"]

    def test_a_suffix_tells_them_apart(self, capsys):
        arguments = (picture("a.png"), picture("a.jpg"), "--suffix", "-{ext}-{colors}-{method}")
        assert run(*arguments) == 0
        assert capsys.readouterr().out == "a-png-4-median-cut.png\na-jpg-4-median-cut.png\n"
        assert run(".", "--suffix", "-{ext}-{colors}-{method}", "--skip-existing") == 0
        assert "2 earlier results in . are left out" in capsys.readouterr().err

    @pytest.mark.parametrize("suffix", ["/x", "{size}"])
    def test_a_suffix_that_is_none_is_refused(self, capsys, suffix):
        assert run(picture("a.png"), "--suffix", suffix) == 2
        assert "--suffix" in errors(capsys)[0]

    def test_a_result_never_overwrites_another_input(self, capsys):
        assert run(picture("a.png"), picture("a-c4.png"), "--force") == 1
        assert "a.png would become a-c4.png, another input" in errors(capsys)[0]
        assert sorted(os.listdir()) == ["a-c4-c4.png", "a-c4.png", "a.png"]

    def test_the_same_picture_twice_is_done_once(self, capsys):
        assert run(picture("a.png"), "./a.png", ".") == 0
        assert capsys.readouterr().out == "a-c4.png\n"

    def test_an_existing_result_is_refused_and_force_overwrites(self, capsys):
        picture("a.png")
        Path("a-c4.png").touch()
        assert run("a.png") == 1
        assert "a-c4.png exists already" in errors(capsys)[0]
        assert os.path.getsize("a-c4.png") == 0
        assert run("a.png", "--force") == 0
        assert parts("a-c4.png")[1] == 4

    def test_a_picture_may_become_its_own_result(self):
        assert run(picture("a.png"), "-o", "a.png", "--force") == 0
        assert parts("a.png")[1] == 4


class TestFolders:
    def test_a_folder_stands_for_its_pictures(self, capsys):
        picture("in/b.png")
        picture("in/a.jpg")
        picture("in/deep/c.png")
        Path("in/notes.txt").touch()
        assert run("in") == 0
        assert capsys.readouterr().out == "in/a-c4.png\nin/b-c4.png\n"

    def test_recursive_keeps_the_tree(self, capsys):
        picture("in/a.png")
        picture("in/deep/a.png")
        assert run("in", "--recursive", "--out-dir", "in/out") == 0
        assert capsys.readouterr().out == "in/out/a-c4.png\nin/out/deep/a-c4.png\n"
        assert (
            run("in", "--recursive", "--out-dir", "in/out", "--force") == 0
        )  # what it wrote is not taken up
        assert len(capsys.readouterr().out.splitlines()) == 2

    def test_earlier_results_are_not_taken_up_again(self, capsys):
        picture("in/a.png")
        assert run("in") == 0
        assert run("in", colors=8) == 0
        assert sorted(os.listdir("in")) == ["a-c4.png", "a-c8.png", "a.png"]
        assert "1 earlier results in in are left out" in capsys.readouterr().err

    def test_a_folder_without_pictures_is_an_error(self, capsys):
        os.mkdir("empty")
        assert run("empty") == 1
        assert "empty is a folder without pictures: name another, or look below it" in errors(capsys)[0]


class TestColors:
    @pytest.mark.parametrize("colors", [0, -1, 257, 300])
    def test_outside_1_to_256_is_refused(self, capsys, colors):
        assert run(picture("a.png"), colors=colors) == 2
        assert errors(capsys) == [
            f"colorcnn: error: The number of colours is {colors}: choose a whole number from 1 to 256."
        ]

    @pytest.mark.parametrize(
        ("colors", "bits"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 4), (16, 4), (17, 8), (256, 8)]
    )
    def test_files_are_packed_and_hold_exactly_the_colours_used(self, colors, bits):
        assert run(picture("a.png"), colors=colors) == 0
        depth, entries, pixels = parts(f"a-c{colors}.png")
        assert depth == bits
        assert entries == len(np.unique(pixels.reshape(-1, 4), axis=0)) <= colors

    @pytest.mark.parametrize("method", ["median-cut", "octree", "max-coverage", "median-cut+floyd-steinberg"])
    def test_the_file_holds_what_the_method_decoded(self, method):
        assert run(picture("a.png"), method=method) == 0
        expected = load_quantizer(method)(torch.from_numpy(PIXELS)[None], 4, channels_last=True)
        np.testing.assert_array_equal(
            parts("a-c4.png")[2][..., :3], expected.render(torch.uint8)[0].permute(1, 2, 0).numpy()
        )

    def test_dither_is_a_flag_or_takes_a_name(self):
        picture("a.png")
        for number, arguments in enumerate(
            (["--dither", "a.png"], ["a.png", "--dither"], ["a.png", "--dither", "floyd-steinberg"])
        ):
            assert run(*arguments, "-o", f"{number}.png") == 0
        assert run("a.png", "-o", "same.png", method="median-cut+floyd-steinberg") == 0
        contents = {Path(f"{name}.png").read_bytes() for name in (0, 1, 2, "same")}
        assert len(contents) == 1
        assert run("a.png", "--dither", method="median-cut+floyd-steinberg") == 2


class TestTransparency:
    ALPHA = np.where(np.arange(30) < 10, 127, np.where(np.arange(30) < 20, 128, 255)).astype(np.uint8)

    def rgba(self, name="a.png"):
        alpha = np.broadcast_to(self.ALPHA, (20, 30))
        return picture(name, np.dstack([PIXELS, alpha]))

    def test_alpha_is_thresholded_into_one_extra_entry(self, capsys):
        assert run(self.rgba(), "--json") == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["colors"], report["transparent"], report["bits"]) == (4, True, 4)
        _, entries, pixels = parts("a-c4.png")
        assert entries == 5
        np.testing.assert_array_equal(pixels[0, :, 3], np.where(self.ALPHA < 128, 0, 255))

    def test_transparent_pixels_do_not_vote(self):
        assert run(self.rgba()) == 0
        assert run(picture("opaque.png", PIXELS[:, 10:])) == 0
        np.testing.assert_array_equal(parts("a-c4.png")[2][:, 10:], parts("opaque-c4.png")[2])

    def test_at_most_255_colours_stay_beside_it(self):
        assert run(self.rgba(), colors=256) == 0
        assert parts("a-c256.png")[1] <= 256

    def test_background_flattens(self):
        assert run(self.rgba(), "--background", "#ff0000", colors=256) == 0
        assert parts("a-c256.png")[2][..., 3].min() == 255

    def test_a_wholly_transparent_picture_is_one_entry(self):
        picture("none.png", np.zeros((4, 4, 4), dtype=np.uint8))
        assert run("none.png") == 0
        assert parts("none-c4.png")[1] == 1

    def test_alpha_that_hides_nothing_costs_no_entry(self):
        picture("all.png", np.dstack([PIXELS, np.full((20, 30), 200, dtype=np.uint8)]))
        assert run("all.png") == 0
        assert parts("all-c4.png")[1] == 4


class TestReading:
    def test_orientation_is_applied(self):
        exif = Image.Exif()
        exif[0x0112] = 6
        assert run(picture("a.png", exif=exif)) == 0
        assert parts("a-c4.png")[2].shape == (30, 20, 4)

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "I;16"])
    def test_other_modes_are_read(self, mode):
        image = Image.fromarray(PIXELS)
        image = (
            Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
        )
        image.save("a.tif" if mode == "CMYK" else "a.png")
        assert run("a.tif" if mode == "CMYK" else "a.png", colors=256) == 0
        expected = image.convert("RGB") if mode != "I;16" else Image.fromarray(PIXELS[..., 0]).convert("RGB")
        result = parts("a-c256.png")[2][..., :3].astype(int)
        assert np.abs(result - np.asarray(expected)).mean() < 10

    def test_one_bad_file_does_not_stop_the_rest(self, capsys):
        picture("good.png")
        Path("empty.png").touch()
        Path("text.png").write_text("hello")
        Path("cut.jpg").write_bytes(Path(picture("whole.jpg")).read_bytes()[:-200])
        assert run("empty.png", "text.png", "none.png", "cut.jpg", "good.png") == 1
        captured = capsys.readouterr()
        assert captured.out == "good-c4.png\n"
        lines = captured.err.splitlines()
        assert len(lines) == 5
        for line, (name, problem) in zip(
            lines,
            {
                "empty.png": "is empty",
                "text.png": "not an image",
                "none.png": "not exist",
                "cut.jpg": "corrupt",
            }.items(),
        ):
            assert line.startswith(f"colorcnn: error: {name}")
            assert problem in line
        assert lines[-1] == "colorcnn: 1 written, 4 failed."

    def test_too_large_a_picture_is_refused(self, capsys):
        assert run(picture("a.png"), "--max-pixels", 599) == 1
        assert "20, more than 599 pixels" in errors(capsys)[0]
        assert run("a.png", "--max-pixels", 600) == 0

    @pytest.mark.parametrize("kind", ["gif", "png", "webp"])
    def test_of_an_animation_the_first_frame_is_taken_with_a_warning(self, capsys, kind):
        self.animation(f"a.{kind}")
        assert run(f"a.{kind}") == 0
        captured = capsys.readouterr()
        assert captured.out == "a-c4.png\n"
        assert f"warning: a.{kind} has 3 frames and only the first is used" in captured.err
        assert abs(int(parts("a-c4.png")[2][0, 0, 0]) - 250) <= 8

    def test_all_frames_writes_each(self, capsys):
        self.animation("a.gif")
        picture("still.png")
        assert run("a.gif", "still.png", "--all-frames", "--json") == 0
        reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [report["output"] for report in reports] == [
            "a-c4-frame001.png", "a-c4-frame002.png", "a-c4-frame003.png", "still-c4.png",
        ]  # fmt: skip
        assert [report["frame"] for report in reports] == [1, 2, 3, 1]
        assert [
            abs(int(parts(r["output"])[2][0, 0, 0]) - s) <= 8 for r, s in zip(reports, (250, 130, 10))
        ] == [True] * 3

    def test_a_broken_animation_does_not_stop_the_rest_of_its_folder(self, capsys):
        picture("in/b.png")
        Path("in/a.gif").write_bytes(b"GIF89a nothing")
        assert run("in", "--all-frames") == 1
        assert capsys.readouterr().out == "in/b-c4.png\n"

    def animation(self, name):
        shades = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (250, 130, 10)]
        shades[0].save(name, save_all=True, append_images=shades[1:])


class TestStreams:
    def test_a_dash_reads_standard_input_and_writes_standard_output(self, monkeypatch, capsys):
        assert run(picture("a.png")) == 0
        capsys.readouterr()
        stdin(monkeypatch, Path("a.png").read_bytes())
        pipe = stdout(monkeypatch)
        assert run("-") == 0
        assert capsys.readouterr() == ("", "")
        assert pipe.getvalue() == Path("a-c4.png").read_bytes()

    def test_a_dash_may_be_written_to_a_file(self, monkeypatch, capsys):
        content = Path(picture("a.png")).read_bytes()
        stdin(monkeypatch, content)
        assert run("-", "-o", "b.png", "--json") == 0
        assert json.loads(capsys.readouterr().out)["input"] == "-"
        stdin(monkeypatch, content)
        assert run("-", "a.png", "--out-dir", "out") == 0
        assert sorted(os.listdir("out")) == ["a-c4.png", "stdin-c4.png"]

    def test_a_file_may_be_written_to_standard_output(self, monkeypatch):
        pipe = stdout(monkeypatch)
        assert run(picture("a.png"), "-o", "-") == 0
        assert pipe.getvalue().startswith(b"\x89PNG")

    def test_bad_standard_input_is_named(self, monkeypatch, capsys):
        stdin(monkeypatch, b"hello")
        pipe = stdout(monkeypatch)
        assert run("-") == 1
        assert "standard input is not an image" in errors(capsys)[0]
        assert pipe.getvalue() == b""

    def test_terminals_are_refused(self, monkeypatch, capsys):
        stdin(monkeypatch, terminal=True)
        assert run("-", "-o", "a.png") == 2
        assert "pipe an image in" in errors(capsys)[0]
        stdout(monkeypatch, terminal=True)
        assert run("-") == 2
        assert "printed on the terminal" in errors(capsys)[0]

    def test_json_tells_what_was_done(self, capsys):
        picture("a.png")
        assert run("a.png", "none.png", "--json") == 1
        failed, report = map(json.loads, capsys.readouterr().out.splitlines()[::-1])
        seconds = report.pop("seconds")
        assert 0 <= seconds < 60
        assert report == {
            "input": "a.png", "output": "a-c4.png", "method": "median-cut", "width": 30, "height": 20,
            "colors": 4, "transparent": False, "bits": 2, "bytes": os.path.getsize("a-c4.png"),
        }  # fmt: skip
        assert failed == {"input": "none.png", "error": "none.png does not exist: check the path."}

    def test_help_says_everything(self, capsys):
        assert main(["quantize", "--help"]) == 0
        out = capsys.readouterr().out
        for word in (
            "1 to 256",
            "median-cut",
            "hf:USER/REPO",
            "FILE.onnx",
            "module:Class",
            "floyd-steinberg",
            "--max-pixels",
            "examples:",
            "default: cpu",
        ):
            assert word in out


@pytest.mark.usefixtures("checkpoints")
class TestLearned:
    def test_the_file_holds_what_the_model_decoded(self):
        assert run(picture("a.png"), method="colorcnn-plus:toy-plus") == 0
        model = load_quantizer("colorcnn-plus:toy-plus")
        expected = model(torch.from_numpy(PIXELS)[None], 4, channels_last=True)
        np.testing.assert_array_equal(
            parts("a-c4.png")[2][..., :3], expected.render(torch.uint8)[0].permute(1, 2, 0).numpy()
        )

    def test_numbers_of_colours_it_was_not_trained_for_are_pointed_out(self, capsys):
        assert run(picture("a.png"), method="colorcnn-plus:toy-plus", colors=3) == 0
        assert "trained for 2, 4 colours, not 3" in capsys.readouterr().err
        assert run("a.png", method="colorcnn-plus:toy-plus") == 0
        assert capsys.readouterr().err == ""

    def test_numbers_of_colours_it_cannot_give_are_refused_before_any_work(self, capsys):
        assert run(picture("a.png"), method="colorcnn:toy-two") == 2
        assert "made for 2 colours" in errors(capsys)[0]
        assert run("a.png", method="colorcnn-plus:toy-plus", colors=33) == 2

    def test_missing_and_damaged_checkpoints_are_named(self, capsys, checkpoints):
        assert run(picture("a.png"), method="colorcnn-plus:none") == 2
        assert "no pretrained model 'none'" in errors(capsys)[0]
        (checkpoints / "toy-plus" / "model.safetensors").write_bytes(b"")
        assert run("a.png", method="colorcnn-plus:toy-plus") == 1
        assert "truncated" in errors(capsys)[0]

    def test_transparent_pictures_work(self):
        alpha = np.where(np.arange(30) < 10, 0, 255).astype(np.uint8)
        picture("a.png", np.dstack([PIXELS, np.broadcast_to(alpha, (20, 30))]))
        assert run("a.png", method="colorcnn-plus:toy-plus") == 0
        np.testing.assert_array_equal(parts("a-c4.png")[2][0, :, 3], alpha)

    def test_a_full_memory_is_a_sentence(self, capsys, monkeypatch):
        def full(*_, **__):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")

        monkeypatch.setattr("colorcnn.commands.quantize.reduce.index_visible", full)
        assert run(picture("a.png")) == 1
        assert "a.png (30 x 20) does not fit into memory" in errors(capsys)[0]

    def test_a_picture_that_needs_more_memory_than_there_is_fails_alone(self, capsys, monkeypatch):
        monkeypatch.setattr("colorcnn.models.memory.LEARNED_PIXELS", 100)
        monkeypatch.setattr("colorcnn.models.memory.free_bytes", lambda device: 1 << 14)
        pictures = picture("a.png"), picture("b.png", PIXELS[:5, :5])
        assert run(*pictures, method="colorcnn-plus:toy-plus") == 1
        assert "a.png: 30 x 20 pixels need about" in errors(capsys)[0]
        assert os.path.exists("b-c4.png")

    def test_a_device_that_is_not_there_is_refused(self, capsys):
        assert run(picture("a.png"), "--device", "cuda:99", method="colorcnn-plus:toy-plus") == 2
        assert "Device 'cuda:99' is not available" in errors(capsys)[0]


class TestPalettes:
    SHADES = np.array([[0, 0, 0], [90, 90, 90], [255, 255, 255]], np.uint8)

    def colors(self, path):
        return {tuple(color) for color in parts(path)[2][..., :3].reshape(-1, 3).tolist()}

    def test_a_palette_file_takes_the_place_of_a_method(self, capsys):
        picture("a.png")
        Path("three.hex").write_text("000000\n5a5a5a\nffffff\n")
        assert main(["quantize", "a.png", "--palette", "three.hex", "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["output"], report["method"], report["colors"]) == ("a-c3.png", "palette", 3)
        assert self.colors("a-c3.png") == set(map(tuple, self.SHADES.tolist()))
        assert main(["quantize", "a.png", "--palette=three.hex", "--dither", "--serpentine", "--force"]) == 0
        assert self.colors("a-c3.png") == set(map(tuple, self.SHADES.tolist()))

    def test_kept_colours_are_kept(self):
        assert run(picture("a.png"), "--keep", "black, rgb(255, 0, 0)", method="median-cut") == 0
        assert {(0, 0, 0), (255, 0, 0)} <= self.colors("a-c4.png")

    def test_a_shared_palette_is_one(self, capsys):
        picture("a.png", np.full((4, 4, 3), 20, np.uint8))
        picture("b.png")
        Path("c.png").write_bytes(b"nothing")
        assert run("a.png", "b.png", "c.png", "--shared-palette", method="k-means", colors=3) == 1
        assert capsys.readouterr().out == "a-c3.png\nb-c3.png\n"
        assert self.colors("a-c3.png") < self.colors("b-c3.png")
        assert len(self.colors("b-c3.png")) == 3

    @pytest.mark.parametrize("method", ["median-cut", "k-means+ordered"])
    def test_a_shared_palette_works_with_any_method_and_transparency(self, method):
        alpha = np.where(np.arange(30) < 10, 0, 255).astype(np.uint8)
        picture("a.png", np.dstack([PIXELS, np.broadcast_to(alpha, (20, 30))]))
        picture("b.png", PIXELS[::-1])
        assert run("a.png", "b.png", "--shared-palette", method=method, colors=256) == 0
        assert len(self.colors("a-c256.png") | self.colors("b-c256.png")) <= 256

    def test_a_strip_of_the_palette_comes_beside_the_picture(self, capsys):
        assert run(picture("a.png"), "--strip") == 0
        assert capsys.readouterr().out == "a-c4.png\n"
        assert self.colors("a-c4-palette.png") == self.colors("a-c4.png")
        assert run("a.png", "--strip") == 1
        assert "a-c4.png exists already" in errors(capsys)[0]
        assert run(".", "--strip", "--force") == 0
        assert sorted(os.listdir()) == ["a-c4-palette.png", "a-c4.png", "a.png"]

    @pytest.mark.parametrize("missing", ["a-c4.png", "a-c4-palette.png"])
    def test_the_same_command_completes_a_picture_and_its_strip(self, missing, capsys):
        assert run(picture("a.png"), "--strip") == 0
        content = Path(missing).read_bytes()
        os.remove(missing)
        assert run("a.png", "--strip") == 0
        assert Path(missing).read_bytes() == content
        os.remove(missing)
        (other,) = {"a-c4.png", "a-c4-palette.png"} - {missing}
        Path(other).write_bytes(b"somebody's")
        assert run("a.png", "--strip") == 1
        assert f"{other} exists already" in errors(capsys)[0]
        assert Path(other).read_bytes() == b"somebody's"

    def test_quality_and_space_reach_the_method(self):
        picture("a.png")
        seen = []
        for extra in ([], ["--quality", "fast"], ["--space", "oklab"], ["--space=linear", "--dither"]):
            assert run("a.png", *extra, "--force", method="k-means", colors=16) == 0
            seen.append(Path("a-c16.png").read_bytes())
        assert len(set(seen)) == 4

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (["--quality", "best"], "median-cut has no quality"),
            (["--space", "oklab"], "median-cut has no space"),
            (["--space", "hsv", "--dither"], "Unknown colour space 'hsv'"),
            (["--serpentine"], "needs dithering"),
            (["--keep", "black,blurple"], "'blurple' is not a colour"),
            (["--keep", "#000,#111,#222,#333"], "leaves none to choose"),
            (["--palette", "none.gpl"], "none.gpl does not exist"),
            (["--palette", "none.gpl", "--keep", "black"], "so --keep changes nothing"),
            (["--strip", "-o", "-"], "--strip writes beside a file"),
        ],
    )
    def test_what_cannot_be_meant_writes_nothing(self, capsys, arguments, problem):
        assert run(picture("a.png"), *arguments) in (1, 2)
        assert problem in errors(capsys)[0]
        assert os.listdir() == ["a.png"]


def test_a_model_for_another_number_of_colours_is_refused_in_one_sentence(checkpoints, tmp_path, capsys):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    argv = ["quantize", str(tmp_path / "a.png"), "--method", "colorcnn:toy-two", "--colors", "8"]
    assert main(argv) == 2
    assert capsys.readouterr().err == (
        "colorcnn: error: This ColorCNN was made for 2 colours and cannot give 8: "
        "choose 2, or use a ColorCNN+ model.\n"
    )
    assert [path.name for path in tmp_path.glob("*.png")] == ["a.png"]

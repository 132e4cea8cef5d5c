from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from toy_checkpoints import CLASSES as THREE_CLASSES
from toy_checkpoints import publish

from colorcnn.cli import main
from colorcnn.evaluation.scores import unpack_bits
from colorcnn.models.colorcnn import ColorCNN
from colorcnn.quantizers import QUANTIZERS, Quantizer
from colorcnn.records import read_record

CLASSES = ("blue", "green", "red")
MODULE = '''
import torch
from torch import nn

class Brightest(nn.Module):
    """Blue, green or red, whichever channel is the brightest."""

    def forward(self, images):
        return images.mean(dim=(2, 3)).flip(1)

def brightest():
    return Brightest()

def darkest():
    return nn.Sequential(Brightest(), Negative())

class Negative(nn.Module):
    def forward(self, logits):
        return -logits

def convolving():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

def of_ten(num_classes=10):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10))

class Six(nn.Module):
    classes = ("sky", "sea", "grass", "leaf", "fire", "blood")

    def forward(self, images):
        return 100 * images.mean(dim=(2, 3)).flip(1).repeat_interleave(2, 1)

def six():
    return Six()

def picky():
    return nn.Linear(7, 3)

class Pair(nn.Module):
    def forward(self, images):
        return images, images

def broken():
    raise RuntimeError("no weights")
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return the working folder: a user's module, and photos/ with 4 test images of each of 3 classes."""
    random = np.random.default_rng(0)
    for part in ("train", "test"):
        for place, name in enumerate(CLASSES):
            (tmp_path / "photos" / part / name).mkdir(parents=True)
            for number in range(4):
                pixels = random.integers(0, 60, (12, 12, 3), dtype=np.uint8)
                pixels[..., 2 - place] += 150
                Image.fromarray(pixels).save(tmp_path / "photos" / part / name / f"{number}.png")
    (tmp_path / "evaluate_toys.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLORCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLORCNN_CHECKPOINTS", str(tmp_path))
    monkeypatch.delenv("COLORCNN_DATA", raising=False)
    yield tmp_path
    sys.modules.pop("evaluate_toys", None)


def run(*argv: str) -> int:
    defaults = () if "--classifier" in argv else ("--classifier", "evaluate_toys:brightest")
    return main(["evaluate", *argv, *defaults])


def sentence(capsys) -> str:
    """The one line of an error."""
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("colorcnn: error: ")]
    assert len(lines) == 1, error
    assert "Traceback" not in error
    return lines[0]


def test_a_folder_of_images_from_end_to_end(folder, capsys):
    status = run(
        "photos", "--methods", "median-cut,octree,median-cut+floyd-steinberg", "--colors", "2,4",
        "--batch-size", "5", "-o", "out",
    )  # fmt: skip
    assert status == 0
    shown = capsys.readouterr()
    assert (
        "On 12 test images of photos, the classifier evaluate_toys:brightest recognises 100.0 %" in shown.out
    )
    rows = [line.split()[:3] for line in shown.out.splitlines()]
    for method in ("median-cut", "octree", "median-cut+floyd-steinberg"):
        assert [method, "2", "100.00"] in rows
        assert [method, "4", "100.00"] in rows
    record = read_record("out/record.json")
    assert record.n == 12
    assert record.command.startswith("colorcnn evaluate photos --methods median-cut,octree")
    assert record.config["data"] == "photos"
    assert record.seeds == {"seed": 0}
    score = record.metrics["methods"]["median-cut"]["scores"]["4"]
    assert unpack_bits(score["correct"], 12).all()
    assert score["colors"] == {"mean": 4, "min": 4, "max": 4}
    assert score["packed_bpp"] == 2  # 12 pixels of 2 bits fill 3 bytes
    assert (folder / "out" / "report.html").read_text().count("<img") == 3
    assert Image.open("out/figure.png").format == "PNG"


def test_json_alone_goes_to_standard_output(folder, capsys):
    assert run("photos", "--colors", "2", "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["metrics"]["sizes"] == [2]
    assert content["config"]["split"] == "test"


def test_a_limit_draws_a_stratified_sample(folder, capsys):
    assert run("photos", "--colors", "2", "--limit", "6", "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["n"] == 6
    assert run("photos", "--colors", "2", "--limit", "6") == 0
    assert "a sample of 6 images drawn with seed 0" in capsys.readouterr().out


def test_other_splits_can_be_measured(folder, capsys):
    assert run("photos", "--colors", "2", "--split", "val", "--json") == 0
    assert json.loads(capsys.readouterr().out)["n"] < 12


def test_published_numbers_stand_in_their_own_column(folder, capsys):
    assert run("photos", "--colors", "2", "--published", "cifar100-resnet18", "-o", "out") == 0
    out = capsys.readouterr().out
    assert "published %" in out
    assert "10.2" in out
    assert read_record("out/record.json").metrics["published"]["name"] == "cifar100-resnet18"


def test_a_registered_toy_quantizer_can_be_evaluated(folder, capsys, monkeypatch):
    class Grey(Quantizer):
        def quantize_pixels(self, pixels, num_colors):
            return np.zeros(pixels.shape[:2], np.uint8), np.full((1, 3), 128, np.uint8)

    monkeypatch.setitem(QUANTIZERS, "grey", Grey)
    assert run("photos", "--methods", "grey", "--colors", "2", "-o", "out") == 0
    assert ["grey", "2", "33.33"] in [line.split()[:3] for line in capsys.readouterr().out.splitlines()]


def use_model(monkeypatch, model) -> None:
    from colorcnn import methods

    real = methods.load_quantizer
    monkeypatch.setattr(
        methods, "load_quantizer", lambda name, *rest: model if name == "colorcnn:two" else real(name, *rest)
    )


def test_a_model_of_one_size_leaves_the_other_cells_empty(folder, capsys, monkeypatch):
    torch.manual_seed(0)
    use_model(monkeypatch, ColorCNN(2, backbone_kwargs={"width": 4}))
    assert run("photos", "--methods", "median-cut,colorcnn:two", "--colors", "2,4", "-o", "out") == 0
    out = capsys.readouterr().out
    assert "colorcnn:two at 4 colours is not available: This ColorCNN was made for 2 colours" in out
    methods = read_record("out/record.json").metrics["methods"]
    assert list(methods["colorcnn:two"]["scores"]) == ["2"]
    assert list(methods["median-cut"]["scores"]) == ["2", "4"]


def test_a_model_that_can_give_nothing_asked_for_is_an_error(folder, capsys, monkeypatch):
    use_model(monkeypatch, ColorCNN(2, backbone_kwargs={"width": 4}))
    assert run("photos", "--methods", "colorcnn:two", "--colors", "4,8") == 1
    assert "No method accepts any of these numbers of colours" in sentence(capsys)


@pytest.mark.parametrize(
    ("argv", "status", "problem"),
    [
        (["photos", "--methods", "median-cut,magic"], 2, "Unknown method 'magic'"),
        (["photos", "--methods", ","], 2, "give at least one"),
        (["photos", "--methods", "median-cut+magic"], 2, "magic"),
        (["photos", "--methods", "colorcnn-plus:nowhere"], 2, "nowhere"),
        (["photos", "--classifier", "nobody"], 2, "nobody"),
        (["photos", "--classifier", "evaluate_toys:nobody"], 2, "nobody"),
        (["photos", "--classifier", "evaluate_toys:broken"], 1, "no weights"),
        (
            ["photos", "--classifier", "evaluate_toys:picky"],
            1,
            "The classifier failed on images (12, 3, 12, 12)",
        ),
        (["photos", "--classifier", "evaluate_toys:Pair"], 2, "The classifier returned a tuple"),
        (["photos", "--out", "evaluate_toys.py/out"], 1, "Nothing can be written to evaluate_toys.py/out"),
        (["photo-digits", "--on-corrupt", "skip"], 2, "is not a data set of image files"),
        (["cifar10"], 2, "with --root or COLORCNN_DATA, or download it with --download."),
        (["photos", "--classifier", "evaluate_toys:of_ten"], 2, "has 10 classes and the data have 3"),
        (["nowhere"], 2, "nowhere"),
        (["empty"], 2, "empty"),
        (["photos", "--colors", "0"], 2, "from 1 to 256"),
        (["photos", "--colors", "2,300"], 2, "from 1 to 256"),
        (["photos", "--colors", "two"], 2, "whole numbers such as 2,4,8"),
        (["photos", "--published", "magic"], 2, "Unknown published table 'magic'"),
        (["photos", "--limit", "0"], 2, "--limit is 0"),
        (["photos", "--batch-size", "0"], 2, "--batch-size is 0"),
        (["photos", "--seed", "-1"], 2, "--seed is -1"),
        (["photos", "--out", "evaluate_toys.py"], 2, "is a file"),
        (["photos", "--methods", "median-cut,jpeg:0"], 2, "jpeg:0: the quality is '0'"),
        (["photos", "--attack", "magic"], 2, "Unknown attack 'magic'"),
        (["photos", "--attack", "pgd:magic"], 2, "Unknown path of pgd 'magic'"),
        (["photos", "--attack", "pgd", "--attack-steps", "0"], 2, "0 steps"),
        (["photos", "--attack", "fgsm", "--epsilon", "2/255"], 2, "whole numbers from 0 to 255"),
        (["photos", "--attack", "fgsm", "--epsilon", "300"], 2, "from 0 to 255"),
        (["photos", "--epsilon", "2"], 2, "--epsilon is given without an attack"),
        (["photos", "--cam"], 2, "give a folder with --out"),
    ],
)
def test_bad_input_is_told_in_one_sentence(folder, capsys, argv, status, problem):
    (folder / "empty").mkdir()
    assert run(*argv) == status
    assert problem in sentence(capsys)


def test_a_name_that_is_no_device_is_refused(folder, capsys):
    assert run("photos", "--device", "magic") == 2
    assert "Unknown device 'magic': choose one of auto, cpu, cuda" in sentence(capsys)


def test_unreadable_images_are_refused_or_left_out(folder, capsys):
    (folder / "photos" / "test" / "red" / "1.png").write_bytes(b"no image")
    assert run("photos", "--colors", "2") == 1
    told = sentence(capsys)
    assert "1 of 12 image files cannot be read" in told
    assert "leave them out with --on-corrupt skip" in told
    assert "red/1.png" in told
    with pytest.warns(UserWarning, match="red/1.png"):
        assert run("photos", "--colors", "2", "--on-corrupt", "skip", "--json") == 0
    assert json.loads(capsys.readouterr().out)["n"] == 11


def test_a_limit_beyond_the_data_is_no_sample(folder, capsys):
    assert run("photos", "--colors", "2", "--limit", "1000") == 0
    assert "sample" not in capsys.readouterr().out


def stop_before_the_report(monkeypatch, *argv):
    """Run a command that is interrupted when its record and its figure are written."""

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("colorcnn.reporting.page.write_report", stop)
        assert run(*argv) == 130


def test_the_same_command_completes_results_without_measuring_again(folder, monkeypatch):
    argv = ("photos", "--colors", "2", "-o", "results")
    stop_before_the_report(monkeypatch, *argv)
    record = (folder / "results" / "record.json").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("colorcnn.evaluation.loaded.LoadedEvaluation.measure", lambda *_: 1 / 0)
        assert run(*argv) == 0
    assert (folder / "results" / "record.json").read_bytes() == record
    assert (folder / "results" / "report.html").exists()
    assert not (folder / "results" / ".unfinished").exists()
    assert run(*argv) == 1


def test_the_same_command_resumes_after_the_images_that_are_done(folder, monkeypatch, capsys):
    monkeypatch.setattr("colorcnn.evaluation.progress_file.ProgressFile.SECONDS", 0)
    argv = ("photos", "--colors", "2", "--batch-size", "2", "-o", "results")
    quantize, seen = QUANTIZERS["median-cut"].__call__, []

    def stop_after_three(self, images, num_colors):
        seen.append(len(images))
        if len(seen) == 4:
            raise KeyboardInterrupt
        return quantize(self, images, num_colors)

    monkeypatch.setattr(QUANTIZERS["median-cut"], "__call__", stop_after_three)
    assert run(*argv) == 130
    assert [path.name for path in (folder / "results").iterdir() if path.name != ".lock"] == [".progress"]
    assert run(*argv) == 0
    assert "resumes after the images that are done" in capsys.readouterr().err
    record = read_record("results/record.json")
    assert record.n == 12
    assert not (folder / "results" / ".progress").exists()
    assert run(*argv[:-1], "uninterrupted") == 0
    whole = read_record("uninterrupted/record.json")
    scores = [each.metrics["methods"]["median-cut"]["scores"] for each in (record, whole)]
    assert scores[0] == scores[1]


def test_only_the_same_command_on_the_same_images_completes_interrupted_results(folder, monkeypatch):
    argv = ("photos", "--colors", "2", "-o", "results")
    stop_before_the_report(monkeypatch, *argv)
    assert run("photos", "--colors", "4", "-o", "results") == 1
    before = read_record("results/record.json")
    assert before.metrics["sizes"] == [2]
    (folder / "photos" / "test" / CLASSES[0] / "0.png").unlink()
    assert run(*argv) == 0
    assert read_record("results/record.json").n == before.n - 1


def test_other_weights_of_the_same_name_are_measured_anew(folder, monkeypatch):
    publish(folder, "toy-net", "resnet9", THREE_CLASSES, "classifier")
    argv = ("photos", "--colors", "2", "-o", "results", "--classifier", "toy-net")
    stop_before_the_report(monkeypatch, *argv)
    before = read_record("results/record.json").config["weights"]
    assert list(before) == ["toy-net"]
    shutil.rmtree(folder / "toy-net")
    publish(folder, "toy-net", "resnet9", THREE_CLASSES, "classifier", seed=1)
    assert run(*argv) == 0
    assert read_record("results/record.json").config["weights"] != before


def test_results_are_not_overwritten_unasked(folder, capsys):
    (folder / "out").mkdir()
    (folder / "out" / "report.html").write_text("mine")
    assert run("photos", "--colors", "2", "--out", "out") == 1
    assert "report.html exists already" in sentence(capsys)
    assert [path.name for path in (folder / "out").iterdir()] == ["report.html"]
    assert run("photos", "--colors", "2", "--out", "out", "--force") == 0
    assert (folder / "out" / "report.html").read_text() != "mine"


def test_several_labels_per_image_are_measured_and_drawn(folder, capsys, monkeypatch):
    from colorcnn.data import DATASETS as datasets_by_name
    from colorcnn.data import base, datasets

    class Labelled(base.ImageDataModule):
        name, num_classes, class_names, multi_label = "labelled", 3, CLASSES, True

        def load_split(self, part):
            pixels = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
            return datasets.ImageSplit(pixels, np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]])

    monkeypatch.setitem(datasets_by_name, "labelled", Labelled)
    assert run("labelled", "--colors", "2", "-o", "out", "--limit", "5") == 0
    assert "mAP %" in capsys.readouterr().out
    page = (folder / "out" / "report.html").read_text()
    assert page.count("<img") == 3
    assert (folder / "out" / "grid.png").is_file()


def test_image_files_are_measured_beside_quantizers(folder, capsys):
    assert run("photos", "--methods", "median-cut,jpeg:30,png", "--colors", "2", "-o", "out") == 0
    rows = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    assert ["jpeg:30", "all", "100.00"] in rows
    metrics = read_record("out/record.json").metrics
    assert list(metrics["methods"]) == ["median-cut"]
    assert list(metrics["codecs"]) == ["jpeg:30", "png"]
    assert metrics["codecs"]["png"]["file_bpp"] == metrics["original"]["png_bpp"]


def test_accuracy_under_attack_is_measured_on_request(folder, capsys):
    argv = ["--colors", "2", "--methods", "median-cut", "--attack", "fgsm,pgd:adaptive", "--epsilon", "200"]
    assert run("photos", *argv, "--attack-steps", "2", "-o", "out") == 0
    assert "accuracy % under attack" in capsys.readouterr().out
    record = read_record("out/record.json")
    attacks = record.metrics["attacks"]
    assert (attacks["epsilons"], attacks["steps"]) == ([0, 200], 2)
    assert list(attacks["results"]) == ["fgsm", "pgd", "pgd:adaptive"]
    assert attacks["results"]["fgsm"]["original"]["0"]["accuracy"] == 1
    assert attacks["results"]["fgsm"]["original"]["200"]["accuracy"] == 0
    assert record.config["attacks"] == ["fgsm", "pgd:adaptive"]
    assert "Under attack, with 2 colours" in (folder / "out" / "report.html").read_text()


def test_all_images_are_one_split(folder, capsys):
    assert run("photos", "--split", "all", "--colors", "2", "-o", "out") == 0
    record = read_record("out/record.json")
    assert (record.n, record.config["split"]) == (24, "all")
    assert run("photos/train", "--split", "all", "--colors", "2", "--json") == 0
    shown = capsys.readouterr()
    assert "set aside" not in shown.err
    assert json.loads(shown.out[shown.out.index("{") :])["n"] == 12


def test_classes_of_a_classifier_are_set_beside_those_of_the_data(folder):
    content = {"blue": ["sky", 1], "green": [2, "leaf"], "red": "Fire"}
    (folder / "map.json").write_text(json.dumps(content))
    argv = ["--colors", "8", "--classifier", "evaluate_toys:six", "--classes", "map.json", "-o", "out"]
    assert run("photos", *argv) == 0
    record = read_record("out/record.json")
    assert record.metrics["original"]["accuracy"] == 1
    assert record.config["classes"]["red"] == ["Fire"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"blue": 0, "green": 1}, "lacks the class 'red'"),
        ({"blue": 0, "green": 1, "red": 2, "pink": 3}, "has 'pink'"),
        ({"blue": 0, "green": 1, "red": "fir"}, "no class 'fir', did you mean 'fire'?"),
        ({"blue": 0, "green": 1, "red": 6}, "has class 6, but the classifier has only 6"),
        ({"blue": 0, "green": 1, "red": -1}, "count from 0"),
        ({"blue": 0, "green": 1, "red": []}, "gives 'red' no class"),
        ({"blue": 0, "green": 1, "red": 1.5}, "map.json is invalid"),
        (None, "map.json does not exist"),
    ],
)
def test_a_wrong_map_of_classes_is_told(folder, capsys, content, problem):
    if content is not None:
        (folder / "map.json").write_text(json.dumps(content))
    argv = ["--colors", "8", "--classifier", "evaluate_toys:six", "--classes", "map.json"]
    assert run("photos", *argv) in (1, 2)
    assert problem in sentence(capsys)


def test_several_classifiers_judge_the_same_images(folder, capsys):
    judges = ["evaluate_toys:brightest", "evaluate_toys:darkest"]
    argv = [part for judge in judges for part in ("--classifier", judge)]
    assert run("photos", "--colors", "2", *argv, "-o", "out") == 0
    assert "accuracy % with every classifier" in capsys.readouterr().out
    record = read_record("out/record.json")
    assert record.metrics["judges"] == judges
    assert record.config["classifier"] == judges[0]
    verdicts = record.metrics["methods"]["octree"]["scores"]["2"]["judges"]
    assert [verdicts[judge]["accuracy"] for judge in judges] == [1, 0]


def test_where_the_classifier_looks_is_drawn_on_request(folder, capsys):
    argv = ["--colors", "2", "--classifier", "evaluate_toys:convolving", "--cam", "-o", "out"]
    assert run("photos", *argv) == 0
    assert Image.open("out/cam.png").format == Image.open("out/grid.png").format == "PNG"
    assert "Where the classifier looks" in (folder / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("network", "problem"),
    [("brightest", "no feature maps"), ("picky", "failed on images"), ("of_ten", "has 10 classes")],
)
def test_where_there_is_nothing_to_look_at_nothing_is_measured(network, problem, folder, capsys, monkeypatch):
    monkeypatch.setattr("colorcnn.evaluation.loaded.LoadedEvaluation.measure", None)
    argv = ["photos", "--colors", "2", "--classifier", f"evaluate_toys:{network}", "--cam", "-o", "out"]
    assert run(*argv) in (1, 2)
    assert problem in sentence(capsys)


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from colorcnn.cli import main; assert main(['evaluate', '--help']) == 0;"
        "print([name for name in ('torch', 'matplotlib', 'pytorch_lightning') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"

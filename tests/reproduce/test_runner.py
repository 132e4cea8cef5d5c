"""`colorcnn reproduce` on hardly any data: run, interrupted at every point, gone on with, listed, drawn."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import running
import torch
import yaml
from PIL import Image
from running import halt

from colorcnn.cli import INTERRUPTED, main
from colorcnn.errors import ColorCNNError
from colorcnn.evaluation import evaluate as evaluator
from colorcnn.evaluation.classifier_set import ClassifierSet
from colorcnn.evaluation.progress_file import ProgressFile
from colorcnn.records import read_record
from colorcnn.reproduce import runner
from colorcnn.reproduce.locks import claimed
from colorcnn.reproduce.state import State
from colorcnn.reproduce.yaml_file import read_yaml

CONF = Path(__file__).resolve().parent.parent / "conf" / "experiment.yaml"


def reproduce(folder, *argv):
    """Run the command with everything in a folder; returns its exit status."""
    with torch.random.fork_rng():
        return main(
            ["reproduce", str(CONF), "-o", str(folder / "runs"), "--results", str(folder / "results"), *argv]
        )


def numbers(folder):
    """Return the measured numbers without the speed, which is never twice the same."""
    metrics = dict(read_record(folder / "results" / "experiment_cpu.json").metrics)
    return {
        "original": metrics["original"],
        **{name: result["scores"] for name, result in metrics["methods"].items()},
    }


def stage_folder(folder, stage):
    (found,) = (folder / "runs").glob(f"{stage}-*")
    return found


def epochs(run):
    return [json.loads(line)["epoch"] for line in (run / "scores.jsonl").read_text().splitlines()]


def edited(folder, name, old, new):
    """The experiment with a change, and the configurations it names, in another folder."""
    for config in ("classifier", "colorcnn", "colorcnn-plus"):
        shutil.copy(CONF.with_name(f"{config}.yaml"), folder)
    path = folder / name
    path.write_text(CONF.read_text().replace(old, new))
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The experiment, run with one seed and never interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    assert reproduce(folder, "--seeds", "1") == 0
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of it to be damaged."""
    shutil.copytree(whole, tmp_path / "copy")
    return tmp_path / "copy"


def test_the_record_tells_everything(whole):
    record = read_record(whole / "results" / "experiment_cpu.json")
    assert record.command == "colorcnn reproduce experiment.yaml --size cpu --seeds 1"
    assert record.n == 32
    assert record.seeds == {"seed 1": 1}
    assert list(record.metrics["methods"]) == ["colorcnn-plus", "colorcnn", "median-cut"]
    assert set(record.metrics["methods"]["colorcnn"]["scores"]) == {"2", "4"}, "two networks, one curve"
    assert record.metrics["published"]["accuracy"]["colorcnn"]["2"] == 0.174
    assert record.config["classifier"] == "judge"
    assert record.config["data"] == "photo-digits"
    assert [run["stage"] for run in record.config["runs"]] == [
        "judge",
        "first-2",
        "first-4",
        "plus",
        "accuracy",
    ]
    assert record.config["stages"]["plus"]["model"]["init_args"]["classifiers"] == ["${judge.best}"]
    assert record.wall_seconds == pytest.approx(sum(run["wall_seconds"] for run in record.config["runs"]))
    assert record.cpu_seconds > 0
    assert str(whole) not in record.to_json(), "a record does not tell where it was made"
    assert Image.open(whole / "results" / "experiment_cpu.png").width > 500


def test_the_files_say_what_was_trained(whole):
    plus = json.loads((stage_folder(whole, "plus") / "state.json").read_text())
    assert plus["done"] is True
    assert epochs(stage_folder(whole, "plus")) == [0, 1, 2]
    assert "max_epochs: 3" in (stage_folder(whole, "plus") / "fit.yaml").read_text()


def test_what_is_done_is_not_done_again(copy, monkeypatch, capsys):
    before = (copy / "results" / "experiment_cpu.json").read_bytes()
    monkeypatch.setattr("colorcnn.commands.lightning.main", lambda *_: pytest.fail("it was trained again"))
    assert reproduce(copy, "--seeds", "1") == 0
    assert (copy / "results" / "experiment_cpu.json").read_bytes() == before
    told = capsys.readouterr()
    assert told.err.count("done already") == 5
    assert "5 done and 0 started already; expected time of all stages: seconds" in told.err
    assert "is up to date" in told.err
    assert "| ColorCNN+, *published* | 19.9 |" in told.out


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_training_that_was_interrupted_goes_on(stop, copy, whole):
    for stage in ("plus", "accuracy"):
        shutil.rmtree(stage_folder(copy, stage))
    (copy / "results" / "experiment_cpu.json").unlink()
    command = ["reproduce", CONF, "--seeds", "1", "-o", copy / "runs", "--results", copy / "results"]
    saving = "colorcnn.tasks.checkpoints.WholeCheckpoints.save_checkpoint"
    process = halt(command, copy / "ready", saving, "last.ckpt")
    process.send_signal(stop)
    said = process.told()
    plus = stage_folder(copy, "plus")
    assert len(epochs(plus)) < 3
    if stop == signal.SIGINT:
        assert process.returncode == INTERRUPTED
        assert "the same command resumes" in said
        assert "Traceback" not in said
        assert json.loads((plus / "state.json").read_text())["wall_seconds"] > 0
    assert not (copy / "results" / "experiment_cpu.json").exists()
    assert reproduce(copy, "--seeds", "1") == 0
    assert stage_folder(copy, "plus") == plus
    assert epochs(plus) == [0, 1, 2]
    assert numbers(copy) == numbers(whole)


@pytest.mark.parametrize("point", ["measuring", "before the marker", "before the record"])
def test_the_same_command_goes_on_from_any_other_point(point, copy, whole, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    shutil.rmtree(stage_folder(copy, "accuracy"))
    (copy / "results" / "experiment_cpu.json").unlink()
    with monkeypatch.context() as patch:
        if point == "measuring":
            patch.setattr(evaluator, "evaluate", stop)
        elif point == "before the marker":
            patch.setattr(State, "write", stop)
        else:
            patch.setattr("colorcnn.reproduce.results.gather", stop)
        assert reproduce(copy, "--seeds", "1") == INTERRUPTED
    assert not (copy / "results" / "experiment_cpu.json").exists()
    assert reproduce(copy, "--seeds", "1") == 0
    assert numbers(copy) == numbers(whole)


@pytest.mark.slow
def test_measuring_goes_on_behind_the_images_that_are_done(copy, whole, monkeypatch, capsys):
    """Four batches, of each of which the judge sees seven: originals, and three methods in two sizes."""
    in_batches = edited(copy, "experiment.yaml", "colors: [2, 4]\n", "colors: [2, 4]\n      batch_size: 8\n")
    command = ["reproduce", str(in_batches), "--seeds", "1", "-o", str(copy / "runs"), "--results"]
    seen, ask = [], ClassifierSet.ask

    def stops(panel, images, labels):
        if len(seen) == 2 * 7 + 3:
            raise KeyboardInterrupt
        return counts(panel, images, labels)

    def counts(panel, images, labels):
        seen.append(len(images))
        return ask(panel, images, labels)

    monkeypatch.setattr(ProgressFile, "SECONDS", 0)
    monkeypatch.setattr(ClassifierSet, "ask", stops)
    assert main([*command, str(copy)]) == INTERRUPTED
    assert "the same command resumes it" in capsys.readouterr().err
    monkeypatch.setattr(ClassifierSet, "ask", counts)
    seen.clear()
    assert main([*command, str(copy / "results"), "--force"]) == 0
    assert seen == [8] * 2 * 7
    assert numbers(copy) == numbers(whole)
    assert not list((copy / "runs").glob("*/kept"))


def test_a_training_that_ended_without_its_marker_is_not_repeated(copy, whole):
    state = stage_folder(copy, "plus") / "state.json"
    weights = torch.load(state.parent / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    state.unlink()
    assert reproduce(copy, "--seeds", "1") == 0
    after = torch.load(state.parent / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(weights[key], after[key]) for key in weights)
    assert json.loads(state.read_text())["done"] is True
    assert numbers(copy) == numbers(whole)


@pytest.mark.slow
def test_more_seeds_add_to_a_record_and_fewer_do_not_replace_it(copy, capsys):
    judge = (stage_folder(copy, "judge") / "state.json").read_bytes()
    assert reproduce(copy, "--seeds", "2") == 0
    record = read_record(copy / "results" / "experiment_cpu.json")
    assert record.seeds == {"seed 1": 1, "seed 2": 2}
    assert set(record.metrics["per_seed"]) == {"1", "2"}
    assert (stage_folder(copy, "judge") / "state.json").read_bytes() == judge, "shared by the seeds"
    one, two = (record.metrics["per_seed"][seed]["methods"]["colorcnn-plus"] for seed in "12")
    mean = record.metrics["methods"]["colorcnn-plus"]["scores"]["2"]["psnr"]
    assert mean == pytest.approx((one["scores"]["2"]["psnr"] + two["scores"]["2"]["psnr"]) / 2)
    assert "mean ± std of 2 seeds" in capsys.readouterr().out
    assert reproduce(copy, "--seeds", "1") == 1
    error = capsys.readouterr().err
    assert "was made with more seeds" in error
    assert "replace it with --force" in error
    assert reproduce(copy, "--seeds", "1", "--force") == 0
    assert read_record(copy / "results" / "experiment_cpu.json").seeds == {"seed 1": 1}


def test_a_record_says_what_was_measured_here_and_how_it_is_told_now(copy):
    path = copy / "results" / "experiment_cpu.json"
    theirs = path.read_text().replace('"n": 32', '"n": 999')
    path.write_text(theirs)
    assert reproduce(copy, "--seeds", "1") == 0
    assert read_record(path).n == 32
    changed = edited(copy, "experiment.yaml", "title: Every", "title: Again every")
    argv = ["-o", str(copy / "runs"), "--results", str(copy / "results"), "--seeds", "1"]
    assert main(["reproduce", str(changed), *argv]) == 0
    assert read_record(path).config["title"].startswith("Again every")


def test_a_changed_experiment_leaves_earlier_work_alone(copy):
    changed = edited(copy, "experiment.yaml", "median-cut: median-cut", "octree: octree")
    argv = ["-o", str(copy / "runs"), "--results", str(copy / "results"), "--seeds", "1"]
    assert main(["reproduce", str(changed), *argv]) == 1, "the record is of other work"
    assert main(["reproduce", str(changed), *argv, "--force"]) == 0
    assert len(list((copy / "runs").glob("accuracy-*"))) == 2
    assert len(list((copy / "runs").glob("plus-*"))) == 1, "found again by its key"
    record = read_record(copy / "results" / "experiment_cpu.json")
    assert list(record.metrics["methods"]) == ["colorcnn-plus", "colorcnn", "octree"]


def test_two_processes_do_not_work_on_one_stage(tmp_path):
    lock = tmp_path / "locks" / "key"
    with claimed(lock), pytest.raises(ColorCNNError, match="another process"), claimed(lock):
        pass


@pytest.mark.slow
def test_stages_of_other_processes_are_waited_for(copy, monkeypatch, capsys):
    """While another process evaluates with the first seed, this one does all of the second."""
    key = stage_folder(copy, "accuracy").name.rpartition("-")[2]
    with ExitStack() as held:
        held.enter_context(claimed(copy / "runs" / "locks" / key))
        monkeypatch.setattr(runner, "sleep", lambda seconds: held.close())
        assert reproduce(copy, "--seeds", "2") == 0
    told = capsys.readouterr().err
    waiting = told.index("waiting for other processes")
    assert told.index("accuracy, seed 2: starts") < waiting < told.index("accuracy, seed 1: done already")
    assert read_record(copy / "results" / "experiment_cpu.json").seeds == {"seed 1": 1, "seed 2": 2}


@pytest.mark.slow
def test_two_processes_share_the_work(copy, tmp_path):
    """Both write the same record, and nothing is done twice."""
    for stage in ("first-2", "first-4", "accuracy"):
        shutil.rmtree(stage_folder(copy, stage))
    (copy / "results" / "experiment_cpu.json").unlink()
    command = ["reproduce", CONF, "--seeds", "1", "-o", copy / "runs", "--results", copy / "results"]
    both = [running.run(command) for _ in range(2)]
    told = [process.told() for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    starts = [line.split(": ")[1] for text in told for line in text.splitlines() if ": starts in" in line]
    assert len(starts) == len(set(starts)) == 3


def test_a_failed_stage_is_one_sentence_and_not_done(copy, monkeypatch, capsys):
    def fail(*args, **kwargs):
        raise ColorCNNError("The disk is full: free some space.")

    shutil.rmtree(stage_folder(copy, "accuracy"))
    (copy / "results" / "experiment_cpu.json").unlink()
    monkeypatch.setattr(evaluator, "evaluate", fail)
    assert reproduce(copy, "--seeds", "1") == 1
    assert "error: The disk is full" in capsys.readouterr().err
    assert json.loads((stage_folder(copy, "accuracy") / "state.json").read_text())["done"] is False


def test_a_measurement_that_was_damaged_is_told_with_its_cure(copy, capsys):
    (stage_folder(copy, "accuracy") / "record.json").write_text("{")
    assert reproduce(copy, "--seeds", "1") == 1
    assert "is marked as done, but its record.json is lost or damaged: delete" in capsys.readouterr().err


def test_a_record_that_is_none_is_replaced_by_force(copy, whole, capsys):
    (copy / "results" / "experiment_cpu.json").write_bytes(b"\xff\xfe")
    assert reproduce(copy, "--seeds", "1") == 1
    assert "experiment_cpu.json is not valid JSON" in capsys.readouterr().err
    assert reproduce(copy, "--seeds", "1", "--force") == 0
    assert numbers(copy) == numbers(whole)


def test_an_output_that_no_stage_has_is_told_before_any_work(tmp_path, capsys):
    changed = edited(tmp_path, "refused.yaml", "${judge.best}", "${judge.bst}")
    assert main(["reproduce", str(changed), "-o", str(tmp_path / "runs"), "--results", str(tmp_path)]) == 2
    assert "no output 'bst'" in capsys.readouterr().err
    assert not list(tmp_path.glob("runs/*/*"))


def test_a_configuration_that_is_refused_is_named(copy, capsys):
    changed = edited(copy, "refused.yaml", "augment: {}", "jitter_contrast: 0.0")
    argv = ["-o", str(copy / "runs"), "--results", str(copy), "--seeds", "1"]
    assert main(["reproduce", str(changed), *argv]) == 2
    error = capsys.readouterr().err
    assert "jitter_contrast is 0.0" in error
    assert "fit.yaml: " in error


@pytest.mark.parametrize("data", [{"class_path": "ImageFolder", "init_args": 0.5}, "x", 3, ["x"]])
def test_an_experiment_of_malformed_data_is_listed_and_refused_without_a_traceback(data, tmp_path, capsys):
    content = yaml.safe_load(CONF.read_text())
    (word,) = {"scales", "sizes"} & content.keys()
    for stage in content[word]["cpu"]["stages"]:
        if "data" in stage:
            stage["data"] = data
    path = shutil.copytree(CONF.parent, tmp_path / "conf") / "experiment.yaml"
    path.write_text(yaml.safe_dump(content))
    assert main(["reproduce", str(path), "--list", "--results", str(tmp_path)]) in (0, 2)
    assert main(["reproduce", str(path), "--dry-run", "-o", str(tmp_path / "runs")]) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("section", "content"),
    [("model", "x"), ("model", {"class_path": 3}), ("data", {"init_args": [1]}), ("trainer", 0.5)],
)
def test_a_training_of_malformed_sections_is_refused(section, content, tmp_path, capsys):
    conf = shutil.copytree(CONF.parent, tmp_path / "conf")
    training = yaml.safe_load((conf / "classifier.yaml").read_text())
    (conf / "classifier.yaml").write_text(yaml.safe_dump({**training, section: content}))
    for options in (["--list", "--results", str(tmp_path)], ["--dry-run", "-o", str(tmp_path / "runs")]):
        assert main(["reproduce", str(conf / "experiment.yaml"), *options]) == 1
        assert f"classifier.yaml is invalid ({section}" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="a device of POSIX")
def test_a_device_in_the_place_of_a_configuration_is_refused(tmp_path):
    with pytest.raises(ColorCNNError, match="/dev/zero is not a file"):
        read_yaml(Path("/dev/zero"))


def test_missing_data_are_told_in_the_words_of_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLORCNN_DATA", str(tmp_path))
    digits = re.search(r"class_path: PhotoDigits\n.*\n", CONF.read_text())[0]
    changed = edited(tmp_path, "other.yaml", digits, "class_path: CIFAR10\n")
    assert main(["reproduce", str(changed), "-o", str(tmp_path / "runs"), "--results", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "COLORCNN_DATA" in error
    assert "--download" in error
    assert "init_args" not in error


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        ([], "No experiment is given"),
        (["magic"], "Unknown experiment 'magic'"),
        ([str(CONF), "--size", "huge"], "Unknown scale of experiment 'huge': choose one of cpu, paper"),
        ([str(CONF), "--size", "paper", "--panel", "6"], "Unknown variant '6': choose one of 4, 5"),
        ([str(CONF), "--variant", "6"], "experiment has no variants: leave out --variant"),
        ([str(CONF), "--seeds", "0"], "--seeds is 0"),
        ([str(CONF), "--device", "cuda:99"], "Device 'cuda:99' is not available here"),
    ],
)
def test_wrong_options_are_told_in_one_sentence(argv, problem, capsys):
    assert main(["reproduce", *argv]) == 2
    error = capsys.readouterr().err
    assert problem in error
    assert "Traceback" not in error


def test_a_dry_run_tells_what_is_done_and_what_is_expected(copy, capsys):
    shutil.rmtree(stage_folder(copy, "accuracy"))
    (stage_folder(copy, "plus") / "state.json").unlink()
    assert reproduce(copy, "--seeds", "1", "--dry-run") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "experiment, scale cpu: Every kind of stage, on hardly any data"
    assert re.fullmatch(r"  \[1/5\] judge, seed 1: done, in \d+\.\d minutes", shown[1])
    assert shown[4] == "  [4/5] plus, seed 1: started, will resume"
    assert shown[5] == "  [5/5] accuracy, seed 1: to do"
    last = "5 stages with 1 seed, 3 done and 1 started already; expected time of all stages: seconds"
    assert shown[6:] == [last]
    assert not list((copy / "runs").glob("accuracy-*")), "nothing was done"


def test_the_list_sets_measured_beside_published(whole, capsys):
    assert main(["reproduce", str(CONF), "--list", "--results", str(whole / "results")]) == 0
    shown = capsys.readouterr().out
    assert "Every kind of stage, on hardly any data (no paper)" in shown
    assert "run: 20" in shown
    assert "| ColorCNN, *published* | 17.4 |" in shown
    assert "not run: 4, 5" in shown


def test_listing_and_help_load_no_torch():
    code = (
        "import sys; from colorcnn.cli import main; assert main(['reproduce', '--help']) == 0;"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_a_classifier_whose_name_is_a_number_is_refused(tmp_path, capsys):
    conf = shutil.copytree(CONF.parent, tmp_path / "conf")
    training = yaml.safe_load((conf / "colorcnn.yaml").read_text())
    training["model"]["init_args"]["classifiers"] = [3]
    (conf / "colorcnn.yaml").write_text(yaml.safe_dump(training))
    content = yaml.safe_load((conf / "experiment.yaml").read_text())
    (word,) = {"scales", "sizes"} & content.keys()
    for stage in content[word]["cpu"]["stages"]:
        stage.get("model", {}).pop("classifiers", None) if isinstance(stage.get("model"), dict) else None
    (conf / "experiment.yaml").write_text(yaml.safe_dump(content))
    assert main(["reproduce", str(conf / "experiment.yaml"), "--dry-run", "-o", str(tmp_path / "runs")]) == 2
    assert "classifiers is [3]: give a list of names" in capsys.readouterr().err

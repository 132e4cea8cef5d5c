"""Work in processes and on local Dask and Ray clusters: the same results, in the same order."""

import os
import socket

import joblib
import numpy as np
import pytest
import torch
from PIL import Image

from colorcnn import parallel
from colorcnn.cli import main
from colorcnn.commands.fit_arguments import prepare_arguments
from colorcnn.data import ImageSplit, ImitationTargets
from colorcnn.data.start_palettes import StartPalettes
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.parallel import Workers, connected, in_parallel, parse_workers
from colorcnn.tasks.base import Task
from colorcnn.tasks.classifier import ClassifierTask
from colorcnn.tasks.trainer import Trainer

CALLS = [(number, 7) for number in range(20)]
QUOTIENTS = [divmod(*call) for call in CALLS]


@pytest.fixture(scope="module")
def cluster():
    """A Dask scheduler and one worker in this process, behind a port."""
    distributed = pytest.importorskip("distributed")
    options = {"processes": False, "protocol": "tcp://", "dashboard_address": None}
    with distributed.LocalCluster(1, threads_per_worker=2, host="127.0.0.1", **options) as found:
        yield found.scheduler_address.removeprefix("tcp://")


@pytest.mark.parametrize(
    ("text", "workers"),
    [
        ("1", Workers("processes", 1)),
        ("64", Workers("processes", 64)),
        ("ray", Workers("ray")),
        ("dask://node-1.lan:8786", Workers("dask", address="node-1.lan:8786")),
        ("dask://[::1]:8786", Workers("dask", address="[::1]:8786")),
    ],
)
def test_workers_are_read(text, workers):
    assert parse_workers(text) == workers


@pytest.mark.parametrize(
    "text", ["0", "-1", "99999", "", "dask", "dask://", "dask://node", "tcp://a:1", "Ray"]
)
def test_unknown_workers_are_refused(text):
    with pytest.raises(UsageError) as raised:
        parse_workers(text)
    assert raised.value.code == "unknown-workers"
    assert raised.value.parts["workers"] == text


@pytest.mark.parametrize("jobs", [None, 1, 3, -1])
def test_threads_give_results_in_order(jobs):
    assert list(in_parallel(divmod, iter(CALLS), jobs=jobs)) == QUOTIENTS


def test_a_dask_cluster_gives_the_same_results(cluster):
    with connected(parse_workers(f"dask://{cluster}")):
        assert list(in_parallel(divmod, iter(CALLS))) == QUOTIENTS
        assert sorted(in_parallel(divmod, CALLS, ordered=False)) == sorted(QUOTIENTS)
    assert joblib.parallel.get_active_backend()[0].__class__.__name__ == "LokyBackend"


def test_an_error_of_the_work_keeps_its_code(cluster):
    with pytest.raises(ColorCNNError) as raised, connected(parse_workers(f"dask://{cluster}")):
        list(in_parallel(parse_workers, [("slurm",)]))
    assert raised.value.code == "unknown-workers"
    assert raised.value.parts == {"workers": "slurm"}


def test_a_function_is_sent_to_a_cluster_once(cluster):
    function = Counted()
    with connected(parse_workers(f"dask://{cluster}")):
        assert list(in_parallel(function, [(number,) for number in range(30)])) == list(range(30))
    assert Counted.pickled < 10, "a few times, and not with each of 30 calls"


class Counted:
    pickled = 0

    def __call__(self, number):
        return number

    def __getstate__(self):
        Counted.pickled += 1
        return {}


def closed_port():
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return some.getsockname()[1]


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(parallel, "CONNECT_SECONDS", 0.3)
    address = f"127.0.0.1:{closed_port()}"
    with pytest.raises(ColorCNNError) as raised, connected(parse_workers(f"dask://{address}")):
        pass
    assert raised.value.code == "unreachable"
    assert raised.value.parts["address"] == address


def test_a_scheduler_without_workers_is_named(monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(parallel, "WORKER_SECONDS", 0.2)
    scheduler = {"cls": distributed.Scheduler, "options": {"host": "127.0.0.1", "dashboard": False}}
    with distributed.SpecCluster(workers={}, scheduler=scheduler) as empty:
        address = empty.scheduler_address.removeprefix("tcp://")
        with pytest.raises(ColorCNNError) as raised, connected(parse_workers(f"dask://{address}")):
            pass
    assert raised.value.code == "no-workers"


def test_workers_of_another_version_are_refused(cluster, monkeypatch):
    monkeypatch.setattr(parallel, "_version", lambda: "0.0.1")
    with pytest.raises(ColorCNNError) as raised, connected(parse_workers(f"dask://{cluster}")):
        pass
    assert raised.value.code == "other-version"


@pytest.mark.parametrize(("text", "module"), [("dask://a:1", "distributed"), ("ray", "ray")])
def test_a_missing_package_is_named(text, module, monkeypatch):
    monkeypatch.setattr(parallel.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as raised, connected(parse_workers(text)):
        pass
    assert raised.value.code == "missing-package"
    assert raised.value.parts["package"].startswith(module[:4].replace("dist", "dask"))


def test_a_ray_cluster_that_does_not_answer_is_named(monkeypatch):
    pytest.importorskip("ray")
    address = f"127.0.0.1:{closed_port()}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ColorCNNError) as raised, connected(parse_workers("ray")):
        pass
    assert raised.value.code == "unreachable"
    assert raised.value.parts["address"] == address


@pytest.fixture
def photos(tmp_path):
    """Pictures of two classes, named by a relative path."""
    random = np.random.default_rng(0)
    for number in range(24):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(256, size=(9, 12, 3), dtype=np.uint8)).save(path)
    return tmp_path


def stores(folder, workers):
    """Build a store here and one by workers; returns the files of both."""
    found = []
    for name, options in (("here", []), ("there", ["--parallel", workers])):
        command = ["dcq", "build", "photos", "-o", name, "--recipe", "paper", "--clusters", "2"]
        assert main([*command, "--refine-steps", "2", *options]) == 0
        found.append({path.name: path.read_bytes() for path in (folder / name).glob("*")})
    return found


def test_dcq_build_gives_the_same_bytes_on_dask(cluster, photos, monkeypatch):
    monkeypatch.chdir(photos)
    here, there = stores(photos, f"dask://{cluster}")
    assert here == there
    assert any(name.endswith(".dcq") for name in here)


@pytest.mark.slow
def test_dcq_build_gives_the_same_bytes_in_processes(photos, monkeypatch):
    monkeypatch.chdir(photos)
    here, there = stores(photos, "2")
    assert here == there


@pytest.mark.parametrize("results", [ImitationTargets, StartPalettes])
def test_a_cluster_computes_the_results_of_classical_quantizers(results, cluster, tmp_path):
    pixels = np.random.default_rng(1).integers(256, size=(9, 8, 6, 3), dtype=np.uint8)
    split, index = ImageSplit(pixels, np.arange(9)), torch.arange(9)
    here = results(split, [2, 5], "wu", tmp_path / "here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("colorcnn.data.classical._CHUNK_PIXELS", 2 * 8 * 6)
        there = results(split, [2, 5], "wu", tmp_path / "there", workers=parse_workers(f"dask://{cluster}"))
    for size in (2, 5):
        assert torch.equal(here.lookup(index, size), there.lookup(index, size))


def test_the_trainer_takes_workers_for_tasks_that_quantize_first():
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, parallel="3")
    assert trainer.workers == Workers("processes", 3)
    with pytest.raises(UsageError) as raised:
        Task.check_trainer(ClassifierTask("resnet9", 2, [0.5] * 3, [0.5] * 3), trainer)
    assert "ClassifierTask" in str(raised.value)


def test_fit_hands_the_workers_to_the_trainer():
    words = prepare_arguments(["fit", "--config", "mine.yaml", "--parallel", "dask://node:8786"])
    assert words == ["fit", "--config", "mine.yaml", "--trainer.parallel=dask://node:8786"]
    with pytest.raises(UsageError) as raised:
        prepare_arguments(["fit", "--parallel=slurm"])
    assert raised.value.code == "unknown-workers"


def quantized(folder, capsys, *options):
    """Quantize all photos and return the files, the status and what was printed."""
    command = ["quantize", "photos", "--recursive", "--colors", "3", "--out-dir", "few", "--force", *options]
    status = main(command)
    printed = capsys.readouterr()
    return status, {path.name: path.read_bytes() for path in (folder / "few").glob("*/*")}, printed


@pytest.mark.parametrize(
    "options", [["--method", "wu"], ["--method", "k-means", "--shared-palette"], ["--palette", "colors.hex"]]
)
def test_quantize_gives_the_same_files_and_lines_on_dask(options, cluster, photos, monkeypatch, capsys):
    monkeypatch.chdir(photos)
    (photos / "colors.hex").write_text("000000\nff0000\n00ff00\n")
    (photos / "photos" / "a" / "bad.png").write_bytes(b"no picture")
    options = options if "--palette" not in options else options[:2]
    here = quantized(photos, capsys, *options)
    there = quantized(photos, capsys, *options, "--parallel", f"dask://{cluster}")
    assert here[0] == there[0] == 1, "one is no picture"
    assert len(here[1]) == 24
    assert here[1] == there[1]
    assert here[2].out == there[2].out
    assert "bad.png" in there[2].err


def test_a_network_is_not_sent_to_workers(photos, capsys, monkeypatch):
    monkeypatch.chdir(photos)
    status, files, printed = quantized(photos, capsys, "--method", "palette-attention", "--parallel", "2")
    assert (status, files) == (2, {})
    assert "--parallel" in printed.err


def test_threads_and_workers_exclude_each_other(capsys):
    assert main(["dcq", "build", "photo-digits", "-o", "out", "--jobs", "2", "--parallel", "2"]) == 2
    assert "--jobs" in capsys.readouterr().err


def test_the_command_refuses_unknown_workers(capsys):
    assert main(["dcq", "build", "photo-digits", "-o", "out", "--parallel", "slurm"]) == 2
    assert "--parallel is 'slurm'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(
    "RAY_TESTS" not in os.environ, reason="RAY_TESTS is not set: a local Ray takes 30 seconds"
)
def test_a_ray_cluster_gives_the_same_results(photos, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.chdir(photos)
    with connected(parse_workers("ray")):
        assert list(in_parallel(divmod, iter(CALLS))) == QUOTIENTS
        with pytest.raises(ColorCNNError) as raised:
            list(in_parallel(parse_workers, [("slurm",)]))
        assert raised.value.code == "unknown-workers"
        here, there = stores(photos, "ray")
    assert here == there

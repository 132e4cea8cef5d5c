"""Hostile surroundings: full disks, folders without rights, signals, closed pipes and a second writer.

Each costs a sentence and a status, and no file is half written.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from colorcnn.cli import main

resource = pytest.importorskip("resource", reason="needs limits as POSIX has them")

COMMANDS = {
    "quantize": ["quantize", "good.png", "--colors", "4", "--method", "wu", "-o", "OUT/a.png"],
    "quantize a folder": ["quantize", "images", "--colors", "4", "--suffix=-{ext}", "--out-dir", "OUT"],
    "dcq build": ["dcq", "build", "data", "--method", "median-cut", "--jobs", "1", "-o", "OUT"],
    "dcq export": ["dcq", "export", "store", "--jobs", "1", "-o", "OUT"],
    "dcq recode": ["dcq", "recode", "data", "--format", "png", "--jobs", "1", "-o", "OUT"],
    "evaluate": ["evaluate", "data", "--classifier", "checkpoints/toy-net", "--colors", "2", "-o", "OUT"],
    "report": ["report", "records", "-o", "OUT/page.html"],
    "compress": ["compress", "good.png", "--model", "checkpoints/toy-codec", "-o", "OUT/a.cvq"],
    "decompress": ["decompress", "a.cvq", "--model", "checkpoints/toy-codec", "-o", "OUT/a.png"],
    "publish": ["publish", "last.ckpt", "OUT/net"],
    "init": ["init", "data", "--out-dir", "OUT"],
    "reproduce": ["reproduce", "conf/experiment.yaml", "-o", "OUT"],
}
"""The commands that write, with a place for their results. Those of Lightning have tests of their own."""

COMMANDS["quantize a folder"][4:4] = ["--method", "median-cut"]
COMMANDS["evaluate"][4:4] = ["--methods", "median-cut"]
FAILURES = "colorcnn: 0 written, 8 failed."  # of a folder with as many pictures that can be read
QUICK = [name for name in COMMANDS if name != "reproduce"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Intact inputs of every kind."""
    tools = str(Path(__file__).parents[2] / "tools")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tools)
        from fuzz_cases import prepare
    prepare(home := tmp_path_factory.mktemp("inputs"))
    return home


@pytest.fixture(autouse=True)
def home(inputs, tmp_path, monkeypatch):
    """The current folder, with the inputs."""
    shutil.copytree(inputs, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


def run(name, capsys, out="out"):
    """Run a command; return its status and its last message, which is a sentence of ours."""
    try:
        status = main([word.replace("OUT", out) for word in COMMANDS[name]])
    finally:
        messages = capsys.readouterr().err.splitlines()
    assert "Traceback" not in "\n".join(messages)
    return status, next((line for line in reversed(messages) if line.startswith("colorcnn: ")), "")


def files(folder="out"):
    return [path for path in Path(folder).rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_told_and_leaves_nothing_half_written(name, capsys):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, before[1]))  # every longer write fails
    try:
        status, message = run(name, capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert status == 1
    if name == "quantize a folder":
        assert message == FAILURES
    else:
        assert message.startswith("colorcnn: error: ")
        assert "File too large" in message
        assert "free" in message
    assert not files()


@pytest.mark.skipif(not os.path.isdir("/sys/kernel"), reason="needs a folder that nobody may write to")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_that_nobody_may_write_to_is_named(name, capsys):
    status, message = run(name, capsys, "/sys/kernel")
    assert status == 1
    if name == "quantize a folder":
        assert message == FAILURES
    else:
        assert message.startswith("colorcnn: error: ")
        assert "/sys/kernel" in message


@pytest.mark.parametrize("name", QUICK)
def test_ctrl_c_while_a_file_is_written_leaves_no_half_of_it(name, capsys, monkeypatch):
    usual = os.fdopen

    def stop(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        return usual(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr("colorcnn.files.os.fdopen", stop)
        status, message = run(name, capsys)
    assert (status, message) == (130, "colorcnn: interrupted")
    assert not files()
    if name not in ("evaluate", "report"):  # which take seconds, and have tests of their own
        assert run(name, capsys)[0] == 0


@pytest.mark.parametrize(
    ("name", "count"),
    [("quantize", 1), ("quantize a folder", 8), ("dcq build", 4), ("dcq recode", 5), ("evaluate", 4)],
)
def test_a_reader_that_has_gone_costs_no_result(name, count, capsys, monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with monkeypatch.context() as patch, os.fdopen(writing, "w", buffering=1) as pipe:
        patch.setattr(sys, "stdout", pipe)
        status, message = run(name, capsys)
    assert status == 141
    assert "error" not in message
    assert len(files()) == count


@pytest.mark.parametrize("name", ["dcq build", "evaluate"])
def test_a_second_writer_is_refused_until_the_first_has_ended(name, capsys):
    lock = Path("out/.lock").resolve()
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps({"machine": "another", "process": 1}))
    status, message = run(name, capsys)
    assert status == 2
    assert "another process" in message.lower()
    assert files() == [Path("out/.lock")]
    if name == "dcq build":
        lock.unlink()
        assert run(name, capsys)[0] == 0
        assert not lock.exists()

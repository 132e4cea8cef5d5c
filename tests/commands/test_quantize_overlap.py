"""`colorcnn quantize` of many images: work overlaps, reports keep their order, memory has a limit."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colorcnn.cli import main
from colorcnn.commands.quantize import session
from colorcnn.commands.quantize.in_order import in_order

WAIT = 20  # seconds after which a test fails instead of waiting for ever


class TestInOrder:
    def test_results_come_in_order_whichever_is_ready_first(self):
        last_done = threading.Event()

        def first():
            assert last_done.wait(WAIT), "the last call must run beside the first"
            return "first"

        def last():
            last_done.set()
            return "last"

        calls = [("a", 1, first), ("b", 1, lambda: "middle"), ("c", 1, last)]
        assert [(key, get()) for key, get in in_order(calls, 3)] == [
            ("a", "first"), ("b", "middle"), ("c", "last"),
        ]  # fmt: skip

    @pytest.mark.parametrize("workers", [1, 3])
    def test_an_error_belongs_to_its_call(self, workers):
        def fail():
            raise ValueError("broken")

        found = []
        for key, get in in_order([(0, 1, lambda: 10), (1, 1, fail), (2, 1, lambda: 30)], workers):
            try:
                found.append((key, get()))
            except ValueError as error:
                found.append((key, str(error)))
        assert found == [(0, 10), (1, "broken"), (2, 30)]

    def test_calls_are_read_a_few_ahead_only(self):
        read = []

        def calls():
            for number in range(40):
                read.append(number)
                yield number, 1, lambda: None

        for key, get in in_order(calls(), 3):
            get()
            assert len(read) <= key + 1 + 2 * 3
        assert len(read) == 40

    def test_the_pixels_in_work_are_limited_and_a_larger_image_is_alone(self):
        lock, now, most = threading.Lock(), [0], [0]

        def work(pixels):
            with lock:
                now[0] += pixels
                most[0] = max(most[0], now[0])
            with lock:
                now[0] -= pixels
            return pixels

        sizes = [3, 4, 5, 30, 3, 3, 3]
        calls = [(number, size, lambda size=size: work(size)) for number, size in enumerate(sizes)]
        held = []
        for _, get in in_order(calls, 4, most_pixels=10):
            held.append(get())
        assert held == sizes
        assert most[0] <= 30

    def test_what_has_not_started_never_starts_after_an_interrupt(self):
        started, go = [], threading.Event()

        def work(number):
            started.append(number)
            assert go.wait(WAIT)

        def interrupted():
            for key, _ in in_order(((n, 1, lambda n=n: work(n)) for n in range(100)), 2):
                go.set()
                raise KeyboardInterrupt(key)

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert len(started) <= 4


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Nine images, of which number 4 is broken, and number 7 an animation."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for number in range(9):
        height, width = random.integers(5, 40, 2)
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"{number}.png")
    Path("4.png").write_bytes(Path("4.png").read_bytes()[:60])
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (250, 130, 10)]
    frames[0].save("7.gif", save_all=True, append_images=frames[1:])


def results(workers, folder, monkeypatch, capsys, *options, method="wu"):
    """The exit status, the reports and the files of a run with some threads."""
    monkeypatch.setattr(session.os, "cpu_count", lambda: workers)
    words = ["--method", method, "--colors", "4", "--json", "--out-dir", folder, "--all-frames", *options]
    status = main(["quantize", ".", *words])
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for report in reports:
        report.pop("seconds", None)
        report.pop("output", None)
    return status, reports, {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("wu", ()),
        ("median-cut+ordered", ("--strip",)),
        ("octree", ("--shared-palette",)),
        ("wu", ("--shared-palette", "--dither")),
        ("colorcnn-plus:toy-plus", ()),
    ],
)
@pytest.mark.usefixtures("pictures", "checkpoints")
def test_threads_change_neither_files_nor_reports_nor_their_order(method, options, monkeypatch, capsys):
    one = results(1, "one", monkeypatch, capsys, *options, method=method)
    many = results(4, "many", monkeypatch, capsys, *options, method=method)
    assert many == one
    status, reports, files = one
    assert status == 1
    failed = [report["input"] for report in reports if "error" in report]
    assert failed == ["4.png"]
    names = [report["input"] for report in reports if "error" not in report]
    assert names == sorted(names)
    assert len(names) == 11
    assert len(files) == 11 * (2 if "--strip" in options else 1)


@pytest.mark.usefixtures("pictures")
def test_results_that_exist_are_reported_in_their_place(monkeypatch, capsys):
    results(4, "out", monkeypatch, capsys)
    os.remove("out/3-c4.png")
    status, reports, _ = results(4, "out", monkeypatch, capsys, "--skip-existing")
    assert status == 1
    assert [report.get("skipped", "error" if "error" in report else "written") for report in reports] == [
        *["exists"] * 3, "written", "error", *["exists"] * 5,
    ]  # fmt: skip


@pytest.mark.usefixtures("pictures", "checkpoints")
def test_a_network_works_on_one_image_at_a_time(monkeypatch, capsys):
    lock, overlaps = threading.Lock(), []
    usual = session.reduce

    def alone(*arguments):
        overlaps.append(not lock.acquire(blocking=False))
        try:
            return usual(*arguments)
        finally:
            lock.release()

    monkeypatch.setattr(session, "reduce", alone)
    results(4, "out", monkeypatch, capsys, method="colorcnn-plus:toy-plus")
    assert overlaps
    assert not any(overlaps)

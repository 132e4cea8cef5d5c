"""The plan for half an hour on a GPU, rehearsed on a CPU."""

import json
import sys

import pytest

from colorcnn.records import read_record
from colorcnn.reporting.tables.benchmarks import prediction_table


@pytest.fixture
def plan(import_tool, monkeypatch):
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        monkeypatch.setenv(f"{name}_NUM_THREADS", "1")  # as the benchmark sets it, and does not undo
    return import_tool("gpu_plan")


def script(tmp_path, text):
    path = tmp_path / "work.py"
    path.write_text(text)
    return [sys.executable, "-I", "-S", str(path)]  # starts in no time


COUNTER = """
import pathlib, sys, time
done = pathlib.Path("done")
count = int(done.read_text()) if done.exists() else 0
print("goes on behind", count, flush=True)
try:
    while count < 3:
        count += 1
        done.write_text(str(count))
        if count == 2 and "first" not in pathlib.Path("calls").read_text():
            pathlib.Path("calls").write_text("first")
            time.sleep(60)
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_a_piece_that_is_cut_off_goes_on_and_leaves_a_record(plan, tmp_path, monkeypatch):
    (tmp_path / "calls").write_text("none")
    command = script(tmp_path, COUNTER)
    piece = plan.Piece("counting", "for the test", lambda _: command)
    monkeypatch.setattr(plan, "GRACE", 20.0)
    assert not plan.run_piece(piece, tmp_path, 4)
    assert "cut off" in plan.list_pieces([piece], tmp_path)
    assert plan.run_piece(piece, tmp_path, 60)
    record = json.loads((tmp_path / "counting" / "record.json").read_text())
    assert record["metrics"]["status"] == "done"
    assert record["metrics"]["runs"] == 2
    assert record["metrics"]["result"][-1] == "goes on behind 2"


def test_pieces_wait_for_what_they_need_and_are_done_once(plan, tmp_path):
    made = script(tmp_path, "open('made', 'w'); open('calls', 'a').write('x')")
    first = plan.Piece("first", "", lambda _: made)
    second = plan.Piece("second", "", lambda _: made, needs=("made",))
    third = plan.Piece("third", "", lambda _: made, needs=("never",))
    missing = plan.Piece("missing", "", lambda _: made, config=tmp_path / "no.yaml")
    assert "needs made" in plan.list_pieces([second], tmp_path)
    assert "there is no no.yaml" in plan.list_pieces([missing], tmp_path)
    every = [first, second, third, missing]
    assert plan.run_plan(every, tmp_path, 10, 5) == ["first", "second"]
    assert plan.run_plan(every, tmp_path, 10, 5) == []
    assert (tmp_path / "calls").read_text() == "xx"


def test_a_failure_is_told_and_tried_again(plan, tmp_path):
    piece = plan.Piece("broken", "", lambda _: script(tmp_path, "import sys; sys.exit(3)"))
    assert not plan.run_piece(piece, tmp_path, 60)
    assert "failed (3)" in plan.list_pieces([piece], tmp_path)


@pytest.mark.slow
def test_the_rehearsal_trains(plan, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLORCNN_CACHE", str(tmp_path / "cache"))
    arguments = ["run", "--quick", "--folder", str(tmp_path)]
    for name in ("environment", "judge"):
        assert plan.main([*arguments, "--only", name]) == 0
        assert "done" in capsys.readouterr().out, (tmp_path / name / "output.log").read_text()
    record = json.loads((tmp_path / "judge" / "record.json").read_text())
    assert record["metrics"]["result"]["epochs"] == 2
    assert "needs runs/judge" not in plan.list_pieces(plan.pieces(quick=True)[:5], tmp_path)
    assert plan.main([*arguments, "--only", "nothing"]) == 2
    assert plan.main([*arguments, "--minutes", "0.5"]) == 2


def test_the_real_plan_is_whole(plan, tmp_path):
    """Every configuration that exists is named rightly; trainings resume where there is a checkpoint."""
    pieces = {piece.name: piece for piece in plan.pieces()}
    assert list(pieces)[:3] == ["environment", "tests", "benchmark"]
    assert pieces["cifar10-jpeg_resnet18"].config.exists()
    assert pieces["paper"].config.exists()
    assert "--ckpt_path" not in pieces["paper"].command(tmp_path)
    (tmp_path / "runs" / "paper" / "checkpoints").mkdir(parents=True)
    assert pieces["paper"].command(tmp_path)[-2:] == ["--force", "true"]
    (tmp_path / "runs" / "paper" / "checkpoints" / "last.ckpt").touch()
    assert pieces["paper"].command(tmp_path)[-2:] == ["--ckpt_path", "last"]
    for piece in pieces.values():
        assert all(isinstance(word, str) for word in piece.command(tmp_path))


def test_the_prediction_follows_its_assumptions(import_tool, plan):
    prediction = import_tool("gpu_prediction")
    slow = prediction.Assumptions(launch=1.0)
    found = [
        prediction.predict(epochs=1, images=256, networks="tiny", assumptions=assumed)
        for assumed in (prediction.Assumptions(), slow)
    ]
    assert found[0]["steps"] == 2
    assert found[1]["minutes"] == pytest.approx(2 * found[1]["counted"]["operations"] / 60, abs=0.1)
    step = found[0]["step_milliseconds"]
    device = step["multiplications"] + step["memory"]
    assert step["step"] == pytest.approx(max(device, step["host"]), abs=2e-3)
    assert found[0]["counted"]["teraflops"] > 0


def test_a_prediction_is_recorded_and_shown(plan, import_tool, tmp_path, monkeypatch, capsys):
    prediction = import_tool("gpu_prediction")
    tiny = prediction.predict(epochs=1, images=256, networks="tiny")
    monkeypatch.setattr(prediction, "predict", lambda: tiny)
    assert plan.main(["predict", "--folder", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["gpu_prediction"]["steps"] == 2
    shown = prediction_table(read_record(tmp_path / "prediction.json"))
    assert "2 steps" in shown
    assert "TFLOP at 30% of 989 TFLOP a second" in shown

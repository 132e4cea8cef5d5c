"""Work of the host beside a GPU: in order, complete, and with its errors."""

import threading

import pytest
import torch

from colorcnn.evaluation import background, passes
from colorcnn.evaluation.background import Background, overlaps
from colorcnn.evaluation.passes import QuantizerPass
from colorcnn.quantizers import QUANTIZERS


@pytest.mark.parametrize("on", [False, True])
def test_calls_are_done_in_order(on):
    done, line = [], Background(on)
    for number in range(30):
        line.submit(done.append, (number, threading.current_thread() is threading.main_thread()))
    line.wait()
    assert [number for number, _ in done] == list(range(30))


def test_the_main_thread_goes_on_until_too_much_waits(monkeypatch):
    monkeypatch.setattr(background, "_MOST_PENDING", 2)
    line, gate = Background(True), threading.Event()
    for _ in range(2):
        line.submit(gate.wait)
    threading.Timer(0.05, gate.set).start()
    line.submit(gate.wait)
    assert gate.is_set(), "the third call has to wait for the first"
    line.wait()


def test_an_error_is_raised_where_results_are_asked_for():
    line = Background(True)
    line.submit(int, "no number")
    with pytest.raises(ValueError, match="no number"):
        line.wait()


def test_a_cpu_has_nothing_to_overlap():
    assert not overlaps(torch.device("cpu"))
    assert overlaps(torch.device("cuda"))


class Answers:
    """A classifier set whose answers are made up."""

    def ask(self, pixels, labels):
        return {"judge": torch.nn.functional.one_hot(labels, 4).float()}


def test_a_pass_measures_the_same_beside_a_gpu(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randint(256, (5, 3, 9, 8), dtype=torch.uint8, generator=generator) for _ in range(3)]
    states = []
    for on in (False, True):
        monkeypatch.setattr(passes, "overlaps", lambda _, on=on: on)
        run = QuantizerPass("median-cut", QUANTIZERS["median-cut"](), [2, 5], torch.device("cpu"))
        for batch in batches:
            run.step(Answers(), batch, torch.arange(5) % 4)
        states.append(run.state()["tallies"])
    torch.testing.assert_close(states[1], states[0], rtol=0, atol=0, equal_nan=True)

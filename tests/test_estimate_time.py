"""The expected times of experiments at the scale `paper`: the arithmetic, and the texts in the files."""

import pytest

from colorcnn.reproduce.places import experiment_files
from colorcnn.reproduce.reading import read_experiment


@pytest.fixture
def tool(import_tool):
    return import_tool("estimate_time")


def test_operations_of_a_step_are_counted(tool):
    """Two operations for each multiplication with an addition: 555 M of them in ResNet18 at 32x32."""
    operations = tool._classifier_operations("resnet18", "{}", 32)
    assert operations / 2 == pytest.approx(555.4e6, rel=1e-3)


def test_a_step_takes_the_larger_of_two_times(tool, monkeypatch):
    """300 epochs of 351 batches of the quantizer, and 60 of its classifier."""
    steps = 300 * 351 + 60 * 351
    assert tool.estimate_hours("soft-hard") == pytest.approx(steps * tool.SECONDS_PER_STEP / 3600, rel=0.01)
    before = tool.estimate_hours("soft-hard")
    monkeypatch.setattr(tool, "SECONDS_PER_STEP", 0.0)
    fast = tool.estimate_hours("soft-hard")
    assert 0 < fast < before
    monkeypatch.setattr(tool, "OPERATIONS_PER_SECOND", tool.OPERATIONS_PER_SECOND / 2)
    assert tool.estimate_hours("soft-hard") == pytest.approx(2 * fast)


def test_hours_are_told_in_words(tool):
    assert tool.words(31.4).startswith("estimated at 31 hours a seed")
    assert tool.words(3.14).startswith("estimated at 3.1 hours a seed")
    assert tool.words(0.25).startswith("estimated at 15 minutes a seed")
    assert tool.words(None).startswith("not estimated")


@pytest.mark.slow
@pytest.mark.parametrize("name", experiment_files())
def test_the_files_state_what_the_tool_computes(name, tool):
    scales = read_experiment(experiment_files()[name]).scales
    if "paper" in scales:
        assert scales["paper"].time == tool.words(tool.estimate_hours(name))

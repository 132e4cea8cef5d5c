"""A fixed slice of the damaged inputs of tools/fuzz.py: no traceback, no lost output, nothing slow or fat."""

import pytest


@pytest.mark.slow
def test_damaged_inputs_cost_a_sentence_each(import_tool, tmp_path, capsys):
    fuzz = import_tool("fuzz")
    kinds = [kind for kind in fuzz.KINDS if kind != "fits"]  # a training takes seconds
    found = fuzz.fuzz(100, 0, kinds, 2)
    assert len(found) == 100
    assert {case["kind"] for case in found} == set(kinds)
    assert {case["number"]: (case["failures"], case["argv"]) for case in found if case["failures"]} == {}
    assert "| all | 100 | 0 | 0 | 0 | 0 | 0 | 0 |" in fuzz.table(found)


def test_a_case_is_made_of_its_number_and_the_seed(import_tool):
    fuzz = import_tool("fuzz")
    counts = [fuzz.kind_of(number, list(fuzz.KINDS)) for number in range(100)]
    assert {kind: counts.count(kind) for kind in fuzz.KINDS} == {
        name: kind.share for name, kind in fuzz.KINDS.items()
    }

"""The tool that measures the memory which grows with the number of images."""

import os
import sys

import pytest

from colorcnn.records import read_record
from colorcnn.reproduce.pages import rendered


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the tool reads /proc")
def test_the_memory_of_two_numbers_of_images_and_the_line_through_them(tmp_path, import_tool, monkeypatch):
    tool = import_tool("memory_per_image")
    assert tool.own_memory(os.getpid()) > 2**20
    asked = []

    def measure(command, folder):
        asked.append(command[0])
        return 2**28 + 300 * len(list((folder / "images").rglob("*.png")))

    monkeypatch.setattr(tool, "measure", measure)
    monkeypatch.setattr(sys, "argv", ["memory_per_image", str(tmp_path / "out"), "20", "60"])
    assert tool.main() == 0
    assert tool.main() == 0, "nothing is measured again"
    assert asked == ["fit", "fit", "evaluate", "dcq"] * 2
    record = read_record(tmp_path / "out" / "results.json")
    assert record.n == 60
    found = record.metrics["memory_per_image"]["evaluate"]
    assert [row["images"] for row in found["rows"]] == [20, 60]
    assert found["per_image"] == pytest.approx(300)
    page = rendered("<!-- table: results -->\n<!-- end -->\n", tmp_path / "out")
    assert "| evaluate | 256.0 MiB | 256.0 MiB | 300 |" in page
    for name in ("data set", "data set, cache false"):
        assert record.metrics["memory_per_image"][name]["rows"][1]["peak_bytes"] > 0


def test_the_classifier_of_the_tool_has_fixed_weights(import_tool):
    tool = import_tool("memory_per_image")
    one, other = tool.classifier(), tool.classifier()
    assert all((one.state_dict()[name] == value).all() for name, value in other.state_dict().items())

"""The tool that measures how long the explorer's answers take, on tiny pictures."""

import io

import pytest
from PIL import Image

from colorcnn.errors import ColorCNNError
from colorcnn.explorer.explorer import Explorer
from colorcnn.records import Clock
from colorcnn.reporting.tables.benchmarks import explorer_table


@pytest.fixture
def tool(import_tool, monkeypatch):
    tool = import_tool("explorer_times")
    monkeypatch.setattr(tool, "COLORS", (2, 4))
    return tool


@pytest.fixture
def files():
    files = []
    for shade in (10, 200):
        file = io.BytesIO()
        Image.linear_gradient("L").resize((8, 6)).point(lambda value, shade=shade: value ^ shade).save(
            file, "png"
        )
        files.append(file.getvalue())
    return {"8 x 6": files}


def test_every_method_and_number_of_colours_is_measured(tool, files):
    rows = tool.measured(Explorer(None, ["wu", "octree"]), files)
    assert [(row["picture"], row["method"]) for row in rows] == [("8 x 6", "wu"), ("8 x 6", "octree")]
    for row in rows:
        assert set(row["median_ms"]) == {"2", "4"}
        assert all(0 < row["median_ms"][count] <= row["longest_ms"][count] for count in ("2", "4"))
    record = Clock().record(
        "test", n=2, config={"classifier": "tiny", "colors": [2, 4]}, metrics={"explorer_times": rows}
    )
    assert "| 8 x 6 | octree |" in explorer_table(record)


def test_an_answer_that_fails_is_an_error(tool):
    with pytest.raises(ColorCNNError):
        tool.measured(Explorer(None, ["wu"]), {"none": [b"no picture"]})

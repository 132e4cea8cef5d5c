"""The notebooks in examples/ run from the first cell to the last, and are committed without outputs."""

import json
from pathlib import Path

import pytest
from running import Running

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]


def test_there_is_a_notebook_for_each_subject():
    assert NAMES == ["own_quantizer", "quantize", "results_from_records", "train_on_own_images"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_is_committed_without_outputs(path):
    code = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert code
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_runs(path, tmp_path):
    pytest.importorskip("IPython")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    folders = {name: str(tmp_path / name) for name in ("COLORCNN_CACHE", "IPYTHONDIR")}
    process = Running(run_cells, cells, cwd=tmp_path, env={**folders, "MPLBACKEND": "Agg"})
    told = process.told()
    assert process.returncode == 0, told


def run_cells(cells):
    """Run code as a notebook does."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}))
    for cell in cells:
        shell.run_cell(cell).raise_error()

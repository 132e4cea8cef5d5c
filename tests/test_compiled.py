"""Compiled kernels where nothing can be kept on the disk, and where what was kept is damaged."""

import os
import subprocess
import sys

import pytest

import colorcnn

CODE = """
import numpy as np
from colorcnn.compiled import njit
exec(compile(open({path!r}).read(), {path!r}, "exec"))
print(add(np.arange(4)))
"""
KERNEL = """
@njit
def add(values):
    total = 0
    for value in values:
        total += value
    return total
"""


@pytest.fixture
def kernel(tmp_path):
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "kernel.py").write_text(KERNEL)
    return folder


def run(kernel, tmp_path, **variables):
    code = CODE.format(path=str(kernel / "kernel.py"))
    home = os.path.dirname(os.path.dirname(colorcnn.__file__))
    environment = {**os.environ, "PYTHONPATH": home, "TMPDIR": str(tmp_path), **variables}
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", code], env=environment, capture_output=True, text=True
    )


def test_without_a_writable_folder_kernels_run_and_one_warning_says_so(kernel, tmp_path):
    wall = tmp_path / "wall"
    wall.touch()  # a file in the place of a folder: not even root can write below it
    (kernel / "__pycache__").touch()
    places = {"HOME": str(wall / "home"), "XDG_CACHE_HOME": str(wall / "cache")}
    done = run(kernel, tmp_path, **places)
    assert (done.returncode, done.stdout) == (0, "6\n"), done.stderr
    assert done.stderr.count("RuntimeWarning") == 1, done.stderr
    kept = list((tmp_path / f"colorcnn-numba-{os.getuid()}").rglob("*.nbi"))
    assert kept, "the code is kept among the temporary files"


def test_where_nothing_at_all_can_be_kept_kernels_still_run(kernel, tmp_path):
    wall = tmp_path / "wall"
    wall.touch()
    (kernel / "__pycache__").touch()
    (tmp_path / f"colorcnn-numba-{os.getuid()}").touch()
    done = run(kernel, tmp_path, HOME=str(wall / "home"), XDG_CACHE_HOME=str(wall / "cache"))
    assert (done.returncode, done.stdout) == (0, "6\n"), done.stderr
    assert "compiles again" in done.stderr


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_a_truncated_cache_file_is_made_anew(kernel, tmp_path, ending):
    cache = tmp_path / "cache"
    assert run(kernel, tmp_path, NUMBA_CACHE_DIR=str(cache)).returncode == 0
    (file,) = cache.rglob(f"*.{ending}")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    done = run(kernel, tmp_path, NUMBA_CACHE_DIR=str(cache))
    assert (done.returncode, done.stdout) == (0, "6\n"), done.stderr
    assert all(len(found.read_bytes()) > len(whole) // 2 for found in cache.rglob(f"*.{ending}"))


def test_compiling_is_told_once_and_not_where_the_code_is_found(kernel, tmp_path):
    cache = tmp_path / "cache"
    (kernel / "sitecustomize.py").write_text("import logging\nlogging.basicConfig(level='INFO')\n")
    home = os.path.dirname(os.path.dirname(colorcnn.__file__))
    places = {"PYTHONPATH": f"{kernel}{os.pathsep}{home}", "NUMBA_CACHE_DIR": str(cache)}
    told = []
    for _ in range(2):
        done = run(kernel, tmp_path, **places)
        assert (done.returncode, done.stdout) == (0, "6\n"), done.stderr
        told.append(done.stderr.count("note: compiling"))
    assert told == [1, 0]

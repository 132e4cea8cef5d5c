"""Surroundings of all tests: a cache folder of their own, real images if there are some, and Ctrl-C."""

import importlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from toy_checkpoints import publish_all


def pytest_configure() -> None:
    """Use one thread a process: tests are small, and several processes run them."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


@pytest.fixture
def real_data() -> str:
    """The folder of real images; tests that ask for it are skipped where there is none."""
    folder = os.environ.get("COLORCNN_DATA", "")
    if not folder:
        pytest.skip("COLORCNN_DATA is not set")
    return folder


@pytest.fixture
def checkpoints(tmp_path, monkeypatch) -> Path:
    """The folder that names are looked up in: it has toy-plus, toy-two and toy-net."""
    root = publish_all(tmp_path / "checkpoints")
    monkeypatch.setenv("COLORCNN_CHECKPOINTS", str(root))
    return root


@pytest.fixture
def import_tool(monkeypatch) -> Callable[[str], ModuleType]:
    """Imports a script of tools/ by its name."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "tools"))
    return importlib.import_module


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Keep what is decoded and computed out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLORCNN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def interruptible():
    """A shell starts background jobs with SIGINT ignored, and children inherit that: some tests send it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)

"""The page of the explorer in a real browser, where there is one."""

import re
import shutil
import subprocess

import pytest

from colorcnn.explorer.app import App
from colorcnn.explorer.serving import serving, take_port

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--virtual-time-budget=8000",
    "--enable-logging=stderr",
)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_shows_the_results(explorer, tmp_path):
    with take_port(0) as listener, serving(App(explorer), listener):
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        done = subprocess.run(
            [
                CHROMIUM,
                *FLAGS,
                f"--user-data-dir={tmp_path / 'profile'}",
                "--dump-dom",
                f"{address}#picture=data-1&colors=4&methods=wu,toy-two&view=map",
            ],
            capture_output=True,
            text=True,
            timeout=90,
        )
    assert re.findall(r"<h2>([^<]+)</h2>", done.stdout) == ["Original", "Wu", "toy-two"]
    assert done.stdout.count('type="radio" name="palette-wu"') == 4
    assert "made for 2" in done.stdout
    assert "b.png" in done.stdout
    assert "CONSOLE" not in done.stderr

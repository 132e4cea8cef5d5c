"""The page of the explorer in a real browser, where there is one."""

import re
import shutil
import subprocess

import pytest
from explorer_samples import noise, png

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


pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]


def browse(explorer, options, tmp_path):
    """Open the page with options in its address; return the finished browser, whose output is the page."""
    with take_port(0) as listener, serving(App(explorer), listener):
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/#{options}"
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        command = [CHROMIUM, *FLAGS, profile, "--dump-dom", address]
        return subprocess.run(command, capture_output=True, text=True, timeout=90)


def test_a_browser_shows_the_results(explorer, tmp_path):
    done = browse(explorer, "picture=data-1&colors=4&methods=wu,toy-two&view=map", tmp_path)
    assert re.findall(r"<h2>([^<]+)</h2>", done.stdout) == ["Original", "Wu", "toy-two"]
    assert done.stdout.count('type="radio" name="palette-wu"') == 4
    assert "made for 2" in done.stdout
    assert "b.png" in done.stdout
    assert "CONSOLE" not in done.stderr


def test_a_picture_that_was_added_is_there_after_a_reload(explorer, tmp_path):
    added = explorer.add("mine.png", png(noise()))
    done = browse(explorer, f"picture={added.id}&colors=4&methods=wu", tmp_path)
    assert "mine.png" in done.stdout
    assert re.findall(r"<h2>([^<]+)</h2>", done.stdout) == ["Original", "Wu"]
    gone = browse(explorer, "picture=added-999&colors=4&methods=wu", tmp_path)
    assert "no longer in memory" in gone.stdout
    assert "CONSOLE" not in done.stderr + gone.stderr

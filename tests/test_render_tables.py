"""The tables of the READMEs say what the committed records say."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_tables_agree_with_their_records():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "render_tables.py", "--check"], capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()

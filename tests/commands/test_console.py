"""The standard streams of a command: closed, full, or a terminal."""

import os
import signal
import subprocess
import sys

import pytest

from colorcnn import cli
from colorcnn.commands.console import Results, printable, say, sigterm_interrupts

POSIX = pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX")


def test_control_characters_of_names_are_escaped():
    assert printable("a\x1b[31mb\x9bc\td\né\udcff") == "a\\x1b[31mb\\x9bc\td\né\udcff"


def test_an_error_shows_no_control_characters(capsys):
    assert cli.main(["\x1b[31mred"]) == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["quantize", "a.png", "--colours", "4"], "did you mean --colors?"),
        (["quantize", "a.png", "--colors=4", "--dihter=ordered"], "did you mean --dither?"),
        (["dcq", "build", "photos", "--colours", "4"], "`colorcnn dcq build --help` lists the options"),
        (["init"], "required: FOLDER; `colorcnn init --help` lists the options"),
        (["dcq", "bild"], "`colorcnn dcq --help` lists the options"),
    ],
)
def test_wrong_options_cost_one_sentence(argv, told, capsys):
    try:
        status = cli.main(argv)
    except SystemExit as ended:
        status = ended.code
    error = capsys.readouterr().err
    assert status == 2
    assert told in error
    assert error.count("\n") == 1


def test_words_behind_two_dashes_are_no_options(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["quantize", "--colors", "4", "--", "--none.png"]) in (1, 2)
    assert "Unknown option" not in capsys.readouterr().err


def test_a_message_that_nobody_can_receive_is_dropped(monkeypatch):
    with open(os.devnull) as closed:
        pass
    monkeypatch.setattr(sys, "stderr", closed)
    say("nobody hears this")


def test_a_result_that_nobody_can_receive_is_told_at_the_end(monkeypatch):
    results = Results()
    with open(os.devnull) as closed:
        pass
    monkeypatch.setattr(sys, "stdout", closed)
    results.print("a.png")
    results.print("b.png")
    with pytest.raises(OSError, match="closed"):
        results.finish()


@POSIX
@pytest.mark.parametrize(
    ("closed", "status"), [("<&-", 0), (">&-", 1), ("2>&-", 0), ("<&- 2>&-", 0), ("<&- >&- 2>&-", 1)]
)
def test_closed_streams_give_no_traceback(closed, status, tmp_path):
    code = "import sys; from colorcnn.cli import main; sys.exit(main(['--version']))"
    command = f"'{sys.executable}' -c \"{code}\" {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.returncode == status, done.stderr


@POSIX
def test_sigterm_ends_a_command_with_its_status_and_cleans_up(monkeypatch, capsys):
    cleaned = []

    def work(argv):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            cleaned.append(True)

    module = type(sys)("toy_command")
    module.main = work
    monkeypatch.setitem(sys.modules, "toy_command", module)
    monkeypatch.setitem(cli.COMMANDS, "toy", cli.Command("toy_command", "a toy"))
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main(["toy"]) == 143
    assert cleaned == [True]
    assert capsys.readouterr().err == "colorcnn: terminated\n"
    assert signal.getsignal(signal.SIGTERM) == before


def test_without_a_signal_nothing_changes():
    before = signal.getsignal(signal.SIGTERM)
    with sigterm_interrupts():
        pass
    assert signal.getsignal(signal.SIGTERM) == before

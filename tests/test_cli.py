import importlib.util
import subprocess
import sys
import warnings

import pytest

from colorcnn import __version__, cli
from colorcnn.errors import ColorCNNError, UsageError


@pytest.fixture
def command(monkeypatch):
    """Registers a command `toy` that does what it is told, and returns the arguments it was given."""
    calls = []

    def register(action, passes_name=False):
        def main(argv):
            calls.append(argv)
            return action()

        module = type(sys)("toy_command")
        module.main = main
        monkeypatch.setitem(sys.modules, "toy_command", module)
        monkeypatch.setitem(cli.COMMANDS, "toy", cli.Command("toy_command", "a toy", passes_name))
        return calls

    return register


def fail(error):
    def action():
        raise error

    return action


def test_a_command_gets_its_arguments_and_gives_the_status(command):
    calls = command(lambda: 3)
    assert cli.main(["toy", "a", "--help"]) == 3
    assert calls == [["a", "--help"]]


def test_a_command_may_be_told_its_name(command):
    calls = command(lambda: 0, passes_name=True)
    assert cli.main(["toy", "-x"]) == 0
    assert calls == [["toy", "-x"]]


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ColorCNNError("The disk is full."), 1, "colorcnn: error: The disk is full.\n"),
        (UsageError("No such thing."), 2, "colorcnn: error: No such thing.\n"),
        (KeyboardInterrupt(), 130, "colorcnn: interrupted\n"),
        (SystemExit(2), 2, ""),
        (SystemExit(), 0, ""),
        (SystemExit("text"), 1, ""),
    ],
)
def test_what_goes_wrong_becomes_a_sentence_and_a_status(command, capsys, error, status, message):
    command(fail(error))
    assert cli.main(["toy"]) == status
    captured = capsys.readouterr()
    assert captured.err == message
    assert captured.out == ""


def test_warnings_are_shown_without_code(command, capsys, monkeypatch):
    monkeypatch.setattr(
        warnings, "showwarning", lambda *told: sys.stderr.write(warnings.formatwarning(*told[:4]))
    )
    command(lambda: warnings.warn("Two files are left out.", stacklevel=2) or 0)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert cli.main(["toy"]) == 0
    assert capsys.readouterr().err == "colorcnn: warning: Two files are left out.\n"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device"), "The output could not be read or written (No space left"),
        (FileNotFoundError(2, "No such file", "some.txt"), "some.txt could not be read or written (No such"),
    ],
)
def test_what_the_system_refuses_becomes_a_sentence(command, capsys, error, told):
    command(fail(error))
    assert cli.main(["toy"]) == 1
    assert capsys.readouterr().err.startswith(f"colorcnn: error: {told}")


def test_errors_of_ours_are_not_hidden(command):
    command(fail(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(["toy"])


def test_help_lists_every_command(capsys):
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    for name, command in cli.COMMANDS.items():
        assert f"  {name} " in out
        assert command.help in out


def test_no_command_prints_the_help_and_fails(capsys):
    assert cli.main([]) == 2
    assert "commands:" in capsys.readouterr().err


def test_unknown_commands_and_options_are_refused(capsys):
    assert cli.main(["quantise"]) == 2
    assert "Unknown command 'quantise' (did you mean quantize?): choose one of" in capsys.readouterr().err
    assert cli.main(["--colour"]) == 2


def test_the_version_is_printed(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"colorcnn {__version__}\n"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_its_module(name):
    assert importlib.util.find_spec(cli.COMMANDS[name].module) is not None


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []])
def test_help_loads_nothing_heavy(arguments):
    code = (
        f"import sys; from colorcnn.cli import main; main({arguments!r}); "
        "print(sorted({'torch', 'numpy', 'PIL', 'lightning', 'pytorch_lightning'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_package_can_be_run_as_a_module():
    done = subprocess.run([sys.executable, "-m", "colorcnn", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"colorcnn {__version__}\n")


def test_a_reader_that_goes_away_is_no_error():
    code = (
        "import sys; sys.argv = ['colorcnn']; from colorcnn import cli; import types; "
        "module = types.ModuleType('chatty'); "
        "module.main = lambda argv: [print('line ' * 100) for _ in range(10000)] and 0; "
        "sys.modules['chatty'] = module; cli.COMMANDS['chatty'] = cli.Command('chatty', ''); "
        "sys.exit(cli.main(['chatty']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == cli.BROKEN_PIPE

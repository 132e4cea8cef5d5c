import os
import stat

import pytest

from colorcnn.errors import ColorCNNError, UsageError, unknown_name
from colorcnn.files import refuse_existing, write_atomically


def test_writes_the_whole_file_and_makes_its_folder(tmp_path):
    path = tmp_path / "new" / "folder" / "file.bin"
    assert write_atomically(path, b"content") == path
    assert path.read_bytes() == b"content"
    assert os.listdir(path.parent) == ["file.bin"]


def test_a_file_has_the_rights_that_the_umask_leaves(tmp_path):
    old = os.umask(0o027)
    try:
        path = write_atomically(tmp_path / "file", b"")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_an_existing_file_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"mine")
    with pytest.raises(ColorCNNError, match=r"exists already.*--force"):
        write_atomically(path, b"yours", overwrite=False)
    with pytest.raises(ColorCNNError, match="exists already"):
        refuse_existing(path)
    assert path.read_bytes() == b"mine"
    write_atomically(path, b"yours")
    assert path.read_bytes() == b"yours"


def test_a_failing_disk_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ColorCNNError, match=r"could not be written \(No space left on device\)"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ColorCNNError, match="folder could not be written"):
        write_atomically(tmp_path / "folder", b"")
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's devices")
def test_devices_are_written_to_and_never_replaced():
    write_atomically("/dev/null", b"gone", overwrite=False)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(ColorCNNError, match="No space left"):
        write_atomically("/dev/full", b"x" * 100_000)


def test_errors_know_their_exit_code_and_list_the_alternatives():
    error = unknown_name("fruit", "pear", ["fig", "apple"])
    assert str(error) == "Unknown fruit 'pear': choose one of apple, fig."
    assert isinstance(error, UsageError)
    assert isinstance(error, ValueError)
    assert (error.exit_code, ColorCNNError().exit_code) == (2, 1)

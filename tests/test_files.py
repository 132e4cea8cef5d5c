import errno
import multiprocessing
import os
import pickle
import stat
import sys

import pytest

from colorcnn.errors import ColorCNNError, UsageError, unknown_name
from colorcnn.files import FileExists, make_folder, refuse_existing, write_atomically

LINKS = pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")


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
    with pytest.raises(ColorCNNError, match=r"exists already: choose another name, or allow overwriting"):
        write_atomically(path, b"yours", overwrite=False)
    with pytest.raises(ColorCNNError, match="exists already"):
        refuse_existing(path)
    assert path.read_bytes() == b"mine"
    write_atomically(path, b"yours")
    assert path.read_bytes() == b"yours"


def _write_often(number, folder, barrier, results):
    won = 0
    for race in range(50):
        barrier.wait(60)
        try:
            write_atomically(f"{folder}/{race}", bytes([number]) * 1000, overwrite=False)
            won |= 1 << race
        except FileExists:
            pass
    results.put(won)


def test_of_two_processes_that_write_one_file_exactly_one_succeeds(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    writers = [
        context.Process(target=_write_often, args=(number, str(tmp_path), barrier, results), daemon=True)
        for number in (1, 2)
    ]
    for writer in writers:
        writer.start()
    first, second = results.get(timeout=120), results.get(timeout=120)
    for writer in writers:
        writer.join(60)
    assert (first ^ second, first & second) == (2**50 - 1, 0)
    assert len(os.listdir(tmp_path)) == 50, "no temporary file is left"
    assert all(len(set((tmp_path / str(race)).read_bytes())) == 1 for race in range(50))


def test_a_disk_without_links_is_written_to_and_protects_files_as_well(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "file"
    write_atomically(path, b"mine", overwrite=False)
    monkeypatch.setattr("colorcnn.files.refuse_existing", lambda path: None)  # another writer came in between
    with pytest.raises(FileExists):
        write_atomically(path, b"yours", overwrite=False)
    assert path.read_bytes() == b"mine"
    assert os.listdir(tmp_path) == ["file"]


@LINKS
def test_a_link_to_nothing_is_kept_and_written_through_when_asked(tmp_path):
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to("target")
    with pytest.raises(FileExists) as caught:
        write_atomically(link, b"content", overwrite=False)
    assert caught.value.path == link
    assert not target.exists()
    write_atomically(link, b"content")
    assert link.is_symlink()
    assert target.read_bytes() == b"content"


@LINKS
def test_replacing_keeps_the_access_rights_and_the_links(tmp_path):
    link, target = tmp_path / "link", tmp_path / "target"
    target.write_bytes(b"old")
    target.chmod(0o600)
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


@LINKS
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_link_to_itself_is_told_in_a_sentence(tmp_path, overwrite):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ColorCNNError, match="is a link that leads to itself: remove it"):
        write_atomically(tmp_path / "loop", b"", overwrite=overwrite)
    assert os.listdir(tmp_path) == ["loop"]


@pytest.mark.parametrize(
    ("name", "advice"),
    [("x" * 300, "choose a shorter name"), ("a\0b", "choose a name without a null byte")],
)
def test_names_that_no_file_can_have_get_a_cure_of_their_own(tmp_path, name, advice):
    with pytest.raises(ColorCNNError, match=advice):
        write_atomically(tmp_path / name, b"", overwrite=False)
    with pytest.raises(ColorCNNError, match=advice):
        make_folder(tmp_path / name)


def test_the_error_survives_a_process():
    error = pickle.loads(pickle.dumps(FileExists.at("a.png")))
    assert str(error).startswith("a.png exists already")


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
    assert (error.exit_code, ColorCNNError("x").exit_code) == (2, 1)

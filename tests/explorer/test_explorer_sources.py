"""Pictures of data sets, folders and files."""

import pytest
from explorer_samples import noise
from PIL import Image

from colorcnn.data import open_data
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.explorer.opening import open_source
from colorcnn.explorer.splits import open_dataset


def names(source):
    return [source.name(position) for position in range(len(source))]


@pytest.fixture
def classes(tmp_path):
    """Two classes of ten pictures of several sizes."""
    for label in ("cat", "dog"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for number in range(10):
            Image.fromarray(noise(8 + number, 9)).save(tmp_path / "pets" / label / f"{number}.png")
    return tmp_path / "pets"


def test_a_folder_of_pictures_is_one_list(folder):
    source = open_source([str(folder)])
    assert names(source) == ["a.png", "b.png", "c.png"]
    assert source.label(0) is None
    assert source.read(2).mode == "RGBA"


@pytest.mark.parametrize("split", ["train", "val", "test", "all"])
def test_a_folder_of_classes_has_the_splits_of_every_command(classes, split):
    source = open_source([str(classes)], split=split)
    reference = getattr(open_data(str(classes), image_size=8), split)
    assert names(source) == [reference.name(position) for position in range(len(reference))]
    assert [source.label(position) for position in range(len(source))] == [
        ("cat", "dog")[int(label)] for label in reference.labels
    ]


def test_a_tree_of_classes_is_shown_as_a_whole_unless_it_has_test_images(classes):
    assert len(open_source([str(classes)])) == 20
    (classes.parent / "split").mkdir()
    for part in ("train", "test"):
        (classes.parent / "split" / part).symlink_to(classes)
    found = open_source([str(classes.parent / "split")])
    assert (found.title, len(found)) == ("split, test", 20)


def test_several_files_and_folders_are_joined(folder, classes):
    source = open_source([str(folder / "a.png"), str(classes)])
    assert len(source) == 21
    assert source.read(0).size == (24, 24)


def test_a_data_set_has_labels():
    sizes = {"train_size": 10, "validation_size": 10, "test_size": 10}
    source = open_dataset("photo-digits", "val", **sizes)
    assert (source.title, len(source), source.read(0).size) == ("photo-digits, val", 10, (32, 32))
    assert source.label(3) in set("0123456789")


def test_no_names_are_no_pictures():
    assert open_source([]) is None


def test_what_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        open_source(["nowhere"])
    with pytest.raises(UsageError, match="does not exist"):
        open_source([str(tmp_path), str(tmp_path / "none.png")])
    with pytest.raises(ColorCNNError, match="holds no image"):
        open_source([str(tmp_path)])


def test_a_corrupt_file_is_told_when_it_is_shown(folder):
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:200])
    source = open_source([str(folder)])
    with pytest.raises(ColorCNNError, match=r"b\.png is corrupt"):
        source.read(1)

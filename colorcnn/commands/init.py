"""``colorcnn init``: configurations that train a classifier and a quantizer on a folder of images."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

from colorcnn.commands.console import Parser
from colorcnn.errors import FileExists, UsageError, check_at_least

DESCRIPTION = """\
Write two configurations for the images in FOLDER, with comments: NAME-classifier.yaml trains a classifier,
and NAME-quantizer.yaml a ColorCNN+ against it. FOLDER holds train/CLASS/*.jpg and test/CLASS/*.jpg, or
CLASS/*.jpg.
"""
EXAMPLES = """\
examples:
  colorcnn init photos
      writes photos-classifier.yaml and photos-quantizer.yaml
  colorcnn fit --config photos-classifier.yaml
  colorcnn fit --config photos-quantizer.yaml
  colorcnn quantize photos/test --recursive --colors 4 --method runs/photos-quantizer --out-dir small

exit status: 0 when both files were written, 1 when one exists or the work failed, 2 for a wrong option.
"""
_LOOKED_AT = 200  # images whose size is read
_LARGEST_SIDE = 64  # images of more pixels are brought to this side: more takes long on a CPU
_BATCH = 128

CLASSIFIER = """\
# A classifier for the images in {folder}: {found}.
# colorcnn fit --config {classifier_file}
kind: fit
seed_everything: 1
model:
  class_path: ClassifierTask
  init_args:
    network: resnet9  # colorcnn fit --model.help ClassifierTask describes this and all other options
    network_kwargs: {{width: 24}}  # 64 is the full network: better with many images, and slower
    augment: {{crop: eighth, flip: true}}  # flip: false where left and right matter, as in letters
    optimizer: sgd
    learning_rate: 0.05  # lower it when the loss does not fall
    weight_decay: 5.0e-4
    schedule: onecycle
{data}trainer:
  max_epochs: 24
  precision: auto  # bfloat16 where the device computes it natively
"""
QUANTIZER = """\
# A ColorCNN+ for the images in {folder}: {found}.
# Train the classifier first: colorcnn fit --config {classifier_file}
# colorcnn fit --config {quantizer_file}
kind: fit
seed_everything: 1
model:
  class_path: ColorCNNTask
  init_args:
    classifiers: [{run}]  # a run, a checkpoint folder, a pretrained name, timm:NAME or module:function
    architecture: colorcnn-plus
    quantizer_kwargs:
      backbone: unet
      backbone_kwargs: {{width: 16, depth: 3, decoder: narrow}}
    sizes: [2, 4, 8, 16, 32, 64]  # the numbers of colours that are trained
    imitation: {{method: wu}}
    augmentation: {{after: {{crop: eighth}}}}
    optimization: {{optimizer: adamw, learning_rate: 2.0e-3, weight_decay: 0.01, schedule: onecycle}}
{data}trainer:
  max_epochs: 30
  precision: auto
"""
DATA = """\
data:
  class_path: ImageFolder
  init_args:
    path: {path}
{size}    batch_size: {batch}{test}
"""


@dataclass(frozen=True)
class Found:
    """The images of a folder.

    Attributes:
        images: number of them in the training split, before a validation split is cut from it.
        classes: their names.
        side: of the square that images are brought to; None where all are of one small size.
        has_test: the folder has images set aside for testing.
    """

    images: int
    classes: tuple[str, ...]
    side: int | None
    has_test: bool


def main(argv: list[str]) -> int:
    """Run the command.

    Args:
        argv: its arguments.

    Returns:
        0.

    Raises:
        UsageError: the folder holds no classes of images, or an option is invalid.
        ColorCNNError: a file exists already, or cannot be written.
    """
    options = _parse(argv)
    from colorcnn.files import is_taken, write_atomically

    found = _look(options.folder, options.image_size)
    files = {
        options.out_dir / f"{options.name}-{part}.yaml": text
        for part, text in write_configurations(options.folder, options.name, options.out_dir, found).items()
    }
    for path in files:
        if is_taken(path) and not options.force:
            raise FileExists.at(path)
    for path, text in files.items():
        print(write_atomically(path, text.encode(), overwrite=options.force))
    return 0


def write_configurations(folder: Path, name: str, out_dir: Path, found: Found) -> dict[str, str]:
    """Return the texts of both configurations.

    Args:
        folder: of the images.
        name: what the names of both files begin with.
        out_dir: the folder that they will lie in.
        found: the images in the folder.

    Returns:
        ``classifier`` and ``quantizer`` -> text.
    """
    import json

    batch = _BATCH
    while batch > 8 and batch * 8 > found.images:  # at least eight steps an epoch
        batch //= 2
    side = "" if found.side is None else f"    image_size: {found.side}  # the side of the images, cropped\n"
    test = "" if found.has_test else "\n    test_size: 0.2  # there is no test/ folder: set a part aside"
    data = DATA.format(path=json.dumps(str(folder), ensure_ascii=False), size=side, batch=batch, test=test)
    words = {
        "folder": shown(str(folder)),
        "found": f"{found.images} images of {len(found.classes)} classes to train with",
        "classifier_file": out_dir / f"{name}-classifier.yaml",
        "quantizer_file": out_dir / f"{name}-quantizer.yaml",
        "run": f"runs/{name}-classifier",
        "data": data,
    }
    return {"classifier": CLASSIFIER.format(**words), "quantizer": QUANTIZER.format(**words)}


def shown(text: str) -> str:
    """Return a text for a comment: one line of printable characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _look(folder: Path, image_size: int | None) -> Found:
    """Find the images of a folder, as training will."""
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}: name one that holds a folder of images a class.")
    if not any(path.is_dir() and not path.name.startswith(".") for path in folder.iterdir()):
        raise UsageError(
            f"{folder} has no class folders: give a folder of <class>/<image> files, or one with "
            "train/<class>/<image>."
        )
    from colorcnn.data.folders import ImageFolder
    from colorcnn.errors import ColorCNNError
    from colorcnn.images import read_image

    data = ImageFolder(str(folder), root=".")
    files = (data.list_split("train") or ([], []))[0]
    if len(data.class_names) < 2:
        raise UsageError(f"{folder} has one class: a classifier needs images of two or more.")
    sizes = set()
    for file in files[:: max(1, len(files) // _LOOKED_AT)]:
        try:
            sizes.add(read_image(file).size)
        except ColorCNNError:
            continue  # training names files that cannot be read
    small = len(sizes) == 1 and max(next(iter(sizes))) <= _LARGEST_SIDE
    side = image_size or (None if small else _LARGEST_SIDE)
    return Found(len(files), data.class_names, side, "test" in data.parts)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="colorcnn init",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("folder", metavar="FOLDER", type=Path, help="images in one folder a class")
    add("--name", help="what the names of the files and runs begin with (default: that of FOLDER)")
    add("--out-dir", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)")
    add(
        "--image-size",
        type=int,
        metavar="N",
        help="side of the images in training (default: theirs where all have one of at most "
        f"{_LARGEST_SIDE}, else {_LARGEST_SIDE})",
    )
    add("--force", action="store_true", help="replace files that exist (default: refuse)")
    options = parser.parse_args(argv)
    check_at_least(8, image_size=options.image_size)
    if options.name is None:
        options.name = re.sub(r"[^\w.-]+", "-", options.folder.resolve().name).strip("-.") or "images"
    elif not re.fullmatch(r"\w[\w.-]*", options.name):
        raise UsageError(f"--name {options.name!r} is no plain name: use letters, digits, dots and dashes.")
    return options

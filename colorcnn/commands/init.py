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
and NAME-quantizer.yaml trains a ColorCNN+ for it. FOLDER holds train/CLASS/*.jpg and test/CLASS/*.jpg, or
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
_LOOKED_AT = 200  # number of images whose size is read
_LARGEST_SIDE = 64  # larger images are scaled to this side, because training on a CPU is slow
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
    augment: {{crop: eighth, flip: true}}  # use flip: false if left and right differ, as in letters
    optimizer: sgd
    learning_rate: 0.05  # lower it if the loss does not fall
    weight_decay: 5.0e-4
    schedule: onecycle
{data}trainer:
  max_epochs: 24
  precision: auto  # bfloat16 if the device supports it
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
        images: number of images in the training split, including the later validation split.
        classes: names of the classes.
        side: side of the square that images are scaled to; None if all have the same small size.
        has_test: True if the folder has test images.
    """

    images: int
    classes: tuple[str, ...]
    side: int | None
    has_test: bool


def main(argv: list[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments of the command.

    Returns:
        0.

    Raises:
        UsageError: the folder holds no classes of images, or an option is invalid.
        ColorCNNError: a file exists already, or cannot be written.
    """
    options = _parse(argv)
    from colorcnn.files import is_taken, write_atomically

    found = _find(options.folder, options.image_size)
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
        folder: the folder of the images.
        name: beginning of the names of both files.
        out_dir: the folder of both files.
        found: the images in the folder.

    Returns:
        ``classifier`` and ``quantizer`` -> text.
    """
    import json

    batch = _BATCH
    while batch > 8 and batch * 8 > found.images:  # at least eight steps per epoch
        batch //= 2
    side = "" if found.side is None else f"    image_size: {found.side}  # the side of the images, cropped\n"
    test = "" if found.has_test else "\n    test_size: 0.2  # there is no test/ folder: a part is set aside"
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


def _find(folder: Path, image_size: int | None) -> Found:
    """Find the images of a folder in the same way as training."""
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}: give one with a folder of images for each class.")
    if not any(path.is_dir() and not path.name.startswith(".") for path in folder.iterdir()):
        raise UsageError(
            f"{folder} has no class folders: give a folder of <class>/<image> files, or one with "
            "train/<class>/<image>."
        )
    from colorcnn.data.class_folders import ClassFolders
    from colorcnn.errors import ColorCNNError
    from colorcnn.images import read_image

    data = ClassFolders(folder)
    files = (data.list_split("train") or ([], []))[0]
    if len(data.classes) < 2:
        raise UsageError(f"{folder} has one class: a classifier needs images of two or more.")
    sizes = set()
    for file in files[:: max(1, len(files) // _LOOKED_AT)]:
        try:
            sizes.add(read_image(file).size)
        except ColorCNNError:
            continue  # training reports files that cannot be read
    small = len(sizes) == 1 and max(next(iter(sizes))) <= _LARGEST_SIDE
    side = image_size or (None if small else _LARGEST_SIDE)
    return Found(len(files), data.classes, side, "test" in data.parts)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="colorcnn init",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add("folder", metavar="FOLDER", type=Path, help="images, in one folder for each class")
    add("--name", help="beginning of the names of files and runs (default: the name of FOLDER)")
    add("--out-dir", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)")
    add(
        "--image-size",
        type=int,
        metavar="N",
        help="side of the images in training (default: their own if all have the same side of "
        f"at most {_LARGEST_SIDE}, else {_LARGEST_SIDE})",
    )
    add("--force", action="store_true", help="replace files that exist (default: refuse)")
    options = parser.parse_args(argv)
    check_at_least(8, image_size=options.image_size)
    if options.name is None:
        options.name = re.sub(r"[^\w.-]+", "-", options.folder.resolve().name).strip("-.") or "images"
    elif not re.fullmatch(r"\w[\w.-]*", options.name):
        raise UsageError(f"--name {options.name!r} is not allowed: use letters, digits, dots and dashes.")
    return options

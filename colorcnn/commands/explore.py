"""``colorcnn explore``: a local page of pictures in few colours, and a classifier's answers to them."""

from __future__ import annotations

import argparse
import contextlib
import logging
import socket
import threading
import webbrowser
from typing import TYPE_CHECKING

from colorcnn.commands.console import Parser, add_device_option, add_root_options, check_seed
from colorcnn.commands.messages import data_cures
from colorcnn.errors import UsageError, check_at_least
from colorcnn.evaluation.config import SPLITS
from colorcnn.explorer.protocol import MOST_SIDE

if TYPE_CHECKING:
    from colorcnn.explorer.explorer import Explorer

_log = logging.getLogger(__name__)

DESCRIPTION = """\
Serve a local page: choose a picture or drop your own, set methods side by side, move the number of colours,
see the palette, its use, the index map, the bytes of the file, and the classifier's likeliest classes with
the places that speak for them. The page is served to this computer alone and loads nothing from the network.
Its address goes to standard output. Ctrl-C ends the command.
"""
EXAMPLES = """\
examples:
  colorcnn explore
      pictures that are dropped into the page; they stay in memory and are never written
  colorcnn explore cifar10 --classifier resnet9-cifar10
  colorcnn explore photos/ --methods k-means,wu,octree
  colorcnn explore a.png b.jpg --classifier torchvision:resnet18
  colorcnn explore cifar10 --classifier mine.ckpt --methods median-cut,palette-attention:runs/mine --port 0
      0 takes any free port

exit status: 130 after Ctrl-C, 1 when the work failed, 2 for a wrong option.
"""
CURES = {
    **data_cures(lambda name: f"--{name.replace('_', '-')}", originals="originals in a configuration"),
    "port-in-use": "choose another one with --port, or --port 0 for any free port",
}
PORT = 8765
FIRST = ("palette-attention", "k-means", "median-cut")
"""Methods that the page begins with unless some are named."""


def main(argv: list[str]) -> int:
    """Run the command until it is interrupted.

    Args:
        argv: its arguments.

    Returns:
        0 if the server ends by itself.

    Raises:
        UsageError: the options are invalid.
        ColorCNNError: the port is taken, or the data, the classifier or a method is damaged.
    """
    options = _parse(argv)
    methods = _methods(options)
    _check_names(options)
    listener = _take_port(options.port)
    with contextlib.closing(listener):
        explorer = _open(options, methods)
        from colorcnn.explorer.app import App
        from colorcnn.explorer.serving import serving

        with serving(App(explorer), listener) as server:
            address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            print(address, flush=True)
            _log.info("the page is open until Ctrl-C.")
            threading.Thread(target=explorer.warm_up, daemon=True).start()
            if not options.no_browser:
                webbrowser.open(address)
            while server.is_alive():  # a join without an end cannot be interrupted on every system
                server.join(1)
    return 0


def _take_port(port: int) -> socket.socket:
    from colorcnn.explorer.serving import take_port

    return take_port(port)


def _open(options: argparse.Namespace, methods: list[str]) -> Explorer:
    from colorcnn.explorer.classifying import load_picture_classifier
    from colorcnn.explorer.explorer import Explorer
    from colorcnn.explorer.opening import open_source
    from colorcnn.pretrained import find_device

    device = find_device(options.device)
    source = open_source(
        options.pictures,
        split=options.split,
        root=options.root,
        image_size=options.image_size,
        download=options.download,
    )
    classifier = None
    if options.classifier is not None:
        classifier = load_picture_classifier(options.classifier, source, device)
    return Explorer(source, methods, classifier, device, options.seed, options.image_size)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="colorcnn explore",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add(
        "pictures",
        nargs="*",
        metavar="DATA|IMAGE",
        help="a known data set, found below the data root, a folder, or image files (default: none)",
    )
    add(
        "--classifier",
        metavar="NAME",
        help="a pretrained name, a checkpoint folder, a Lightning .ckpt, torchvision:NAME, timm:NAME, or "
        "module:function for one's own (default: none)",
    )
    add(
        "--methods",
        metavar="NAME[:CHECKPOINT][+DITHER],...",
        help="the methods that the page offers, as --method of colorcnn quantize; it begins with the first "
        "three (default: all classical and pretrained ones)",
    )
    add(
        "--split",
        choices=SPLITS,
        help="of a data set or a folder of classes; all is every image (default: test, or all of a folder "
        "without test images)",
    )
    add_root_options(parser)
    add(
        "--image-size",
        type=int,
        metavar="N",
        help="begin with pictures of N x N; the page can change it (default: their own size)",
    )
    add_device_option(parser)
    add("--seed", type=int, default=0, metavar="N", help="for random methods (default: 0)")
    add("--port", type=int, default=PORT, metavar="N", help=f"0 is any free port (default: {PORT})")
    add("--no-browser", action="store_true", help="print the address only (default: open a browser, too)")
    options = parser.parse_args(argv)
    check_at_least(1, **{"--image-size": options.image_size})
    if (options.image_size or 0) > MOST_SIDE:
        raise UsageError(f"--image-size is {options.image_size}: choose at most {MOST_SIDE}.")
    check_seed(options.seed)
    if not 0 <= options.port < 1 << 16:
        raise UsageError(f"--port is {options.port}: choose a whole number from 0 to 65535.")
    return options


def _methods(options: argparse.Namespace) -> list[str]:
    """Return the methods that the page offers, checked."""
    from colorcnn.methods import DEFAULTS, parse_method
    from colorcnn.pretrained import available
    from colorcnn.quantizers.registry import QUANTIZERS

    if options.methods is None:
        there = available()
        learned = [name for name, checkpoint in DEFAULTS.items() if checkpoint in there]
        first = [name for name in FIRST if name in {*learned, *QUANTIZERS}]
        return list(dict.fromkeys([*first, *QUANTIZERS, *learned]))
    names = [name.strip() for name in options.methods.split(",") if name.strip()]
    if not names:
        raise UsageError(f"--methods is {options.methods!r}: name at least one, such as median-cut.")
    for name in names:
        parse_method(name)
    return list(dict.fromkeys(names))


def _check_names(options: argparse.Namespace) -> None:
    """Refuse unknown data, files and classifiers before anything heavy is imported."""
    from colorcnn.explorer.opening import check_pictures
    from colorcnn.pretrained import check_classifier

    check_pictures(options.pictures, options.root)
    if options.classifier is not None:
        check_classifier(options.classifier)

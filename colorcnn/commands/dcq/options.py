"""The options of ``colorcnn dcq``. The defaults of a build come from the recipe."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from colorcnn.commands.console import add_device_option, add_parallel_option, add_root_options
from colorcnn.errors import UsageError

if TYPE_CHECKING:
    from colorcnn.dcq.settings import Settings


def add_jobs_option(parser: argparse.ArgumentParser) -> None:
    """Add --jobs."""
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="number of parallel jobs (default: one per core)"
    )


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the images."""
    add = parser.add_argument
    add("data", metavar="DATA", help="a known data set, found below the data root, or a folder of images")
    add_root_options(parser)
    add(
        "--test-size",
        type=float,
        metavar="N|SHARE",
        help="set images of a folder without test/ aside, a number or a share (default: none)",
    )
    add("--image-size", type=int, metavar="N", help="scale images to N x N first (default: their own size)")
    add(
        "--shorter-side",
        type=int,
        metavar="N",
        help="scale larger images to this shorter side first, such as 256 (default: their own size)",
    )
    add(
        "--prune",
        metavar="NAME",
        help="keep only some of the images: random, entropy, forgetting, el2n, aum, ccs-aum, ccs-forgetting "
        "or ccs-el2n",
    )
    add("--kept-images", type=float, metavar="SHARE", help="share of the images that --prune keeps")
    add(
        "--dynamics",
        type=Path,
        metavar="FILE",
        help="dynamics.npz of a training run, which the callback TrainingDynamics writes, or its folder",
    )
    add(
        "--dropped",
        type=float,
        metavar="SHARE",
        help="share of the hardest images that ccs drops (default: 0)",
    )
    add("--seed", type=int, default=0, metavar="N", help="seed of everything random (default: 0)")


def add_build_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``build``."""
    add_data_options(parser)
    add = parser.add_argument
    add("-o", "--out", type=Path, required=True, metavar="DIR", help="the folder of the store")
    add("--force", action="store_true", help="replace a store, or an unfinished build, in that folder")
    add(
        "--recipe",
        metavar="NAME",
        help="super: a palette for each image, of colours from one larger palette, and smoothed index maps; "
        "paper: palettes shared by clusters of images; pixels: as paper, without a classifier (default: "
        "super, but paper if --classifier, --method, --palettes own or shared, or an option of the steps "
        "below is given)",
    )
    add("--bits", type=int, metavar="Q", help="palettes of 2^Q colours, Q from 1 to 8 (default: 2)")
    add(
        "--palettes",
        metavar="KIND",
        help="shared by a cluster, own of each image, or super: own ones with colours of one larger palette "
        "(default: the recipe's; own with --method and the recipe paper)",
    )
    add("--super-colors", type=int, metavar="N", help="colours of that larger palette (default: 256)")
    add(
        "--method",
        metavar="NAME[:CHECKPOINT][+DITHER]",
        help="design palettes with this method, as --method of colorcnn quantize (default: k-means)",
    )
    add("--space", metavar="NAME", help="colour space for distances (default: cielab)")
    add("--smoothing", type=float, metavar="W", help="squared colour distance accepted for each equal "
        "neighbour, in squared units of --space: fewer bytes, less detail (default: 40 for the recipe "
        "super, chosen in CIELAB, else 0)")  # fmt: skip
    _add_stage_options(parser)
    add(
        "--classifier",
        metavar="NAME",
        help="network for features and attention: a pretrained name, a checkpoint folder, a Lightning .ckpt "
        "or module:function (default: none; the recipe paper then uses pixel statistics)",
    )
    add("--classifier-size", type=int, metavar="N", help="side of the images it sees (default: their own, "
        "or 224 if they differ)")  # fmt: skip
    add_device_option(parser, several=True)
    add_jobs_option(parser)
    add_parallel_option(parser, "work on parts of the data set")


def _add_stage_options(parser: argparse.ArgumentParser) -> None:
    stages = parser.add_argument_group(
        "steps of palettes that clusters of images share (recipes paper, pixels)"
    )
    add = stages.add_argument
    add("--clusters", type=int, metavar="N", help="groups of images that share a palette (default: 20)")
    add(
        "--features",
        metavar="NAME",
        help="features for the clusters: shallow, middle1, middle2, final or a module of the classifier, "
        "statistics, histogram, image, pca, coherence, cooccurrence, label, random (default: shallow)",
    )
    add("--pool", type=int, metavar="N", help="average feature maps to N x N; 1: mean and deviation; 0: none "
        "(default: 4)")  # fmt: skip
    add("--standardise", action="store_true", default=None, help="scale features to mean 0 and variance 1")
    add(
        "--attention",
        metavar="NAME",
        help="attention that chooses pixels: gradcam++, gradcam, layercam, rise, none (default: gradcam++)",
    )
    add("--attention-layer", metavar="NAME", help="layer of the attention, as --features (default: final)")
    add(
        "--predicted",
        action="store_true",
        default=None,
        help="attention for the predicted class (default: the label)",
    )
    add("--kept", type=float, metavar="SHARE", help="share of pixels that attention keeps (default: 0.5)")
    add("--unique", action="store_true", default=None, help="count every distinct colour once")
    add("--pixels", type=int, metavar="N", help="maximum number of pixels for a palette (default: 1000000)")
    add("--refine", action=argparse.BooleanOptionalAction, default=None, help="optimize palettes so that "
        "edges are kept (default: yes)")  # fmt: skip
    add("--refine-steps", type=int, metavar="N", help="number of steps (default: 200)")
    add("--refine-rate", type=float, metavar="RATE", help="learning rate in units of L* (default: 0.5)")
    add("--refine-color", type=float, metavar="W", help="weight of the colour error; the paper uses 0 "
        "(default: 0.1)")  # fmt: skip
    add("--refine-soft", action="store_true", default=None, help="let gradients pass through the assignment")


_REFINEMENT = {
    "refine_steps": "steps",
    "refine_rate": "learning_rate",
    "refine_color": "color_weight",
    "refine_soft": "soft",
}


def build_settings(options: argparse.Namespace) -> Settings:
    """Return the settings that the options describe.

    Raises:
        UsageError: a value is invalid.
    """
    from colorcnn.dcq.settings import Settings, implied_recipe, settings_of

    names = {field.name for field in dataclasses.fields(Settings)} - {"refinement"}
    given: dict[str, object] = {
        name: value for name, value in vars(options).items() if name in names and value is not None
    }
    refinement = {
        own: getattr(options, name) for name, own in _REFINEMENT.items() if getattr(options, name) is not None
    }
    if refinement:
        given["refinement"] = refinement
    if options.classifier is None and options.classifier_size is not None:
        raise UsageError("--classifier-size needs --classifier: add it, or remove --classifier-size.")
    name, asking = options.recipe, ""
    if name is None:
        name, asking = implied_recipe(given, classifier=options.classifier is not None)
    settings, idle = settings_of(name, given)
    # An option without an effect is an error, so that nobody relies on it.
    if idle:
        asking = next((name for name in ("palettes", "method") if name in given), asking)
        blamed = asking and asking not in idle
        because = f", which {_typed(asking, options)} asks for" if blamed else " with these options"
        problem = f"{_typed(idle[0], options)} changes nothing for {settings.palettes} palettes"
        raise UsageError(f"{problem}{because}: leave it out.")
    return settings


def _typed(choice: str, options: argparse.Namespace) -> str:
    """Return an option as it was typed."""
    if choice == "refinement":
        choice = next(name for name in _REFINEMENT if getattr(options, name) is not None)
    if choice == "refine" and not options.refine:
        choice = "no_refine"
    return f"--{choice.replace('_', '-')}"

"""The damaged inputs of tools/fuzz.py: intact files of every kind, and what changes them."""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

_REPOSITORY = Path(__file__).resolve().parent.parent
_NASTY: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**40, 10**30, -0.5, 1e308, float("nan"), float("inf"), "", "x", "x" * 5000,
    "\0", "\x1b[2J", "../../etc/passwd", "/dev/zero", [], [[]], {}, [None], {"a": {"b": [1]}}, "${name}",
    {"class_path": "subprocess.Popen", "init_args": {"args": "touch harm", "shell": True}}, "1e400", "٣",
)  # fmt: skip
_WORDS = (
    *(
        "-1",
        "0",
        "nan",
        "inf",
        "1e400",
        "99999999999999999999",
        "",
        "\0",
        "x\0y",
        "--",
        "-",
        "é",
        "a" * 300,
        "/",
    ),
    *("/dev/zero", "..", "rgb(300,0,0)", "1,2,3", "256", "257", "٣", "true", "None", "auto", "{}", "[1]"),
)


def prepare(home: Path) -> None:
    """Make one intact input of every kind."""
    import numpy as np
    import torch
    import yaml
    from PIL import Image

    from colorcnn.cli import main
    from colorcnn.models import MODELS
    from colorcnn.weights import Config, save_pretrained

    draws = np.random.default_rng(0)
    pixels = draws.integers(256, size=(12, 16, 3), dtype=np.uint8)
    (home / "images").mkdir()
    for suffix in ("png", "jpg", "gif", "bmp", "tiff", "webp", "ppm", "tga", "ico"):
        Image.fromarray(pixels).save(home / "images" / f"a.{suffix}")
    Image.fromarray(pixels).save(home / "good.png")
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (home / "data" / split / name).mkdir(parents=True)
            for number in range(2):
                picture = Image.fromarray(draws.integers(256, size=(8, 8, 3), dtype=np.uint8))
                picture.save(home / "data" / split / name / f"{number}.png")
    (home / "palettes").mkdir()
    colors = [(0, 0, 0), (255, 0, 0), (255, 255, 255)]
    gimp = "".join(f"{r} {g} {b} name\n" for r, g, b in colors)
    (home / "palettes" / "a.gpl").write_text(f"GIMP Palette\nName: a\n#\n{gimp}")
    (home / "palettes" / "a.hex").write_text("".join(f"{r:02x}{g:02x}{b:02x}\n" for r, g, b in colors))
    jasc = "".join(f"{r} {g} {b}\n" for r, g, b in colors)
    (home / "palettes" / "a.pal").write_text(f"JASC-PAL\n0100\n{len(colors)}\n{jasc}")
    (home / "palettes" / "a.act").write_bytes(bytes(v for c in colors for v in c).ljust(768, b"\0"))
    torch.manual_seed(0)
    unet = {"width": 4, "depth": 1}
    plus = {"backbone_kwargs": unet, "bottleneck": 4, "feature_channels": 32, "trained_sizes": [2, 4]}
    codec = {"trade_off": 0.01, "method": "uq-ste", "options": None, "width": 8, "channels": 8}
    for name, kind, architecture, kwargs in (
        ("toy-plus", "quantizer", "colorcnn-plus", plus),
        ("toy-net", "classifier", "resnet9", {"num_classes": 2, "width": 4}),
        ("toy-codec", "compressor", "factorized-prior", codec),
    ):
        model = MODELS[architecture](**kwargs)
        save_pretrained(model, home / "checkpoints" / name, Config(kind, architecture, kwargs))
    state = {
        f"classifier.{key}": value
        for key, value in MODELS["resnet9"](num_classes=2, width=4).state_dict().items()
    }
    options = {"network": "resnet9", "num_classes": 2, "network_kwargs": {"width": 4}}
    torch.save({"state_dict": state, "hyper_parameters": options}, home / "last.ckpt")
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        codec_folder = str(home / "checkpoints" / "toy-codec")
        made = [main(["dcq", "build", str(home / "data"), "-o", str(home / "store"), "--jobs", "1"])]
        made.append(
            main(["compress", str(home / "good.png"), "-o", str(home / "a.cvq"), "--model", codec_folder])
        )
    assert made == [0, 0], made
    (home / "records").mkdir()
    for path in sorted(
        (_REPOSITORY / "experiments" / "results").glob("*.json"), key=lambda p: p.stat().st_size
    )[:6]:
        shutil.copy(path, home / "records")
    conf = _REPOSITORY / "tests" / "conf"
    shutil.copytree(conf, home / "conf")
    fit = yaml.safe_load((conf / "classifier.yaml").read_text())
    fit["trainer"] |= {"fast_dev_run": True}
    (home / "fit.yaml").write_text(yaml.safe_dump(fit))


def _damaged_bytes(draw: random.Random, data: bytes) -> bytes:
    """Change, cut, repeat or add some bytes."""
    content = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 5, 20))):
        place = draw.randrange(len(content) + 1)
        kind = draw.randrange(6)
        if kind == 0 and content:
            content[place % len(content)] = draw.randrange(256)
        elif kind == 1:
            del content[place:]
        elif kind == 2:
            content[place:place] = draw.randbytes(draw.choice((1, 4, 100)))
        elif kind == 3:
            content[place : place + 4] = draw.choice((b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\xff" * 4))
        elif kind == 4:
            content[place:place] = content[place : place + draw.randrange(1, 200)]
        else:
            del content[place : place + draw.randrange(1, 50)]
    return bytes(content)


def _damaged_values(draw: random.Random, content: Any) -> Any:
    """Replace, remove or wrap one value in nested lists and mappings."""
    places = list(_places(content))
    if not places:
        return draw.choice(_NASTY)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        inner, key = draw.choice(places)
        kind = draw.randrange(8)
        with contextlib.suppress(LookupError, TypeError):
            if kind == 0:
                del inner[key]
            elif kind == 1:
                for _ in range(draw.choice((3, 70, 200))):
                    inner[key] = [inner[key]]
            elif kind == 2 and isinstance(inner, dict):
                inner[draw.choice(("extra", "class_path", "x" * 500, ""))] = inner.pop(key)
            else:
                inner[key] = draw.choice(_NASTY)
    return content


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    items = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for key, value in list(items):
        yield content, key
        yield from _places(value)


def _damage_json(draw: random.Random, path: Path) -> None:
    if draw.random() < 0.3:
        path.write_bytes(_damaged_bytes(draw, path.read_bytes()))
    else:
        path.write_text(json.dumps(_damaged_values(draw, json.loads(path.read_text()))))


def _damage_yaml(draw: random.Random, path: Path) -> None:
    import yaml

    kind = draw.random()
    if kind < 0.3:
        path.write_bytes(_damaged_bytes(draw, path.read_bytes()))
    elif kind < 0.33:
        rows = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
        path.write_text("a0: &a0 [x]\n" + rows + path.read_text())
    else:
        content = _damaged_values(draw, yaml.safe_load(path.read_text()))
        try:
            path.write_text(yaml.safe_dump(content))
        except RecursionError:  # JSON, which YAML contains, has a writer that goes deeper
            path.write_text(json.dumps(content))


def _images(draw: random.Random, home: Path) -> tuple[list[str], list[str]]:
    path = draw.choice(sorted((home / "images").iterdir()))
    bad = home / f"bad{path.suffix}"
    bad.write_bytes(_damaged_bytes(draw, path.read_bytes()))
    method = draw.choice(("median-cut", "octree", "max-coverage"))
    argv = [
        "quantize",
        str(bad),
        str(home / "good.png"),
        "--colors",
        "4",
        "--method",
        method,
        "--out-dir",
        str(home / "o"),
    ]
    return argv, ["o/good-c4.png"]


def _palettes(draw: random.Random, home: Path) -> tuple[list[str], list[str]]:
    path = draw.choice(sorted((home / "palettes").iterdir()))
    path.write_bytes(_damaged_bytes(draw, path.read_bytes()))
    return ["quantize", str(home / "good.png"), "--palette", str(path), "--out-dir", str(home / "o")], []


def _checkpoints(draw: random.Random, home: Path) -> tuple[list[str], list[str]]:
    folder = home / "checkpoints" / draw.choice(("toy-plus", "toy-net"))
    if draw.random() < 0.3:
        path = home / "last.ckpt"
        path.write_bytes(_damaged_bytes(draw, path.read_bytes()))
        return [
            "quantize",
            str(home / "good.png"),
            "--colors",
            "2",
            "--method",
            f"colorcnn:{path}",
            "-o",
            str(home / "o.png"),
        ], []
    if draw.random() < 0.7:
        _damage_json(draw, folder / "config.json")
    else:
        weights = folder / "model.safetensors"
        weights.write_bytes(_damaged_bytes(draw, weights.read_bytes()))
    argv = ["quantize", str(home / "good.png"), "--colors", "2", "--method", f"colorcnn-plus:{folder}"]
    return [*argv, "-o", str(home / "o.png")], []


def _stores(draw: random.Random, home: Path) -> tuple[list[str], list[str]]:
    store = home / "store"
    if draw.random() < 0.6:
        _damage_json(draw, store / "store.json")
    else:
        path = draw.choice(sorted(store.glob("*.dcq")))
        path.write_bytes(_damaged_bytes(draw, path.read_bytes()))
    if draw.random() < 0.5:
        return ["dcq", "verify", str(store)], []
    return ["dcq", "export", str(store), "-o", str(home / "exported")], []


def _bitstreams(draw: random.Random, home: Path) -> tuple[list[str], list[str]]:

    path = home / "a.cvq"
    data = _damaged_bytes(draw, path.read_bytes())
    if draw.random() < 0.7:  # with a right checksum, so that what lies behind it is met
        data = data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "big")
    path.write_bytes(data)
    model = str(home / "checkpoints" / "toy-codec")
    return ["decompress", str(path), "-o", str(home / "o.png"), "--model", model], []


def _records(draw: random.Random, home: Path) -> tuple[list[str], list[str]]:
    bad, _, *others = draw.sample(sorted((home / "records").iterdir()), 6)
    for path in others:  # a page with six records takes seconds to draw
        path.unlink()
    _damage_json(draw, bad)
    return ["report", str(home / "records"), "-o", str(home / "page.html")], ["page.html"]


def _experiments(draw: random.Random, home: Path) -> tuple[list[str], list[str]]:
    path = home / "conf" / draw.choice(("experiment.yaml", "experiment-vq.yaml"))
    _damage_yaml(draw, draw.choice((path, path, path, *sorted((home / "conf").iterdir()))))
    if draw.random() < 0.5:
        return ["reproduce", str(path), "--dry-run", "-o", str(home / "runs")], []
    return ["reproduce", str(path), "--list", "--results", str(home / "results")], []


def _fits(draw: random.Random, home: Path) -> tuple[list[str], list[str]]:
    _damage_yaml(draw, home / "fit.yaml")
    return ["fit", "--config", str(home / "fit.yaml")], []


_OPTIONS = {
    "quantize": "colors method dither seed quality space keep palette suffix background alpha max-pixels "
    "output out-dir device",
    "evaluate": "classifier methods colors split root image-size limit batch-size attack epsilon "
    "attack-steps device seed published out",
    "dcq": "bits palettes super-colors method space smoothing clusters pool kept pixels refine-steps "
    "refine-rate refine-color seed prune kept-images dynamics image-size classifier out",
    "report": "out title",
    "decompress": "model device max-pixels output",
}


def _command_lines(draw: random.Random, home: Path) -> tuple[list[str], list[str]]:
    for path in sorted((home / "records").iterdir())[1:]:
        path.unlink()
    data, net = str(home / "data"), str(home / "checkpoints" / "toy-net")
    words = draw.choice(
        (
            [
                "quantize",
                str(home / "good.png"),
                "--colors",
                "4",
                "--method",
                "wu",
                "-o",
                str(home / "o.png"),
            ],
            [
                "evaluate",
                data,
                "--classifier",
                net,
                "--methods",
                "wu",
                "--colors",
                "2",
                "-o",
                str(home / "e"),
            ],
            ["dcq", "build", data, "-o", str(home / "s"), "--jobs", "1", "--refine-steps", "5"],
            ["report", str(home / "records"), "-o", str(home / "page.html")],
            ["decompress", str(home / "a.cvq"), "-o", str(home / "o.png")],
        )
    )
    options = _OPTIONS[words[0]].split()
    for _ in range(draw.choice((1, 1, 2))):
        words += [f"--{draw.choice(options)}", draw.choice(_WORDS)]
    if draw.random() < 0.1:
        words[draw.randrange(len(words))] = draw.choice(_WORDS)
    return words, []


class Kind(NamedTuple):
    """A kind of case.

    Attributes:
        make: damages an input; returns the command line, and the outputs that it must have.
        share: how many of a hundred cases are of this kind.
        parts: the intact files and folders that a case needs.
    """

    make: Callable[[random.Random, Path], tuple[list[str], list[str]]]
    share: int
    parts: tuple[str, ...]


KINDS: dict[str, Kind] = {
    "images": Kind(_images, 24, ("images", "good.png")),
    "palettes": Kind(_palettes, 10, ("palettes", "good.png")),
    "checkpoints": Kind(_checkpoints, 14, ("checkpoints", "last.ckpt", "good.png")),
    "stores": Kind(_stores, 20, ("store",)),
    "bitstreams": Kind(_bitstreams, 10, ("a.cvq", "checkpoints")),
    "records": Kind(_records, 6, ("records",)),
    "experiments": Kind(_experiments, 8, ("conf",)),
    "fits": Kind(_fits, 1, ("fit.yaml",)),
    "commands": Kind(_command_lines, 7, ("data", "checkpoints", "good.png", "records", "a.cvq")),
}


def copy_parts(kind: str, intact: Path, home: Path) -> None:
    """Copy the intact inputs that a case of this kind needs.

    Args:
        kind: a key of :data:`KINDS`.
        intact: the folder that :func:`prepare` filled.
        home: the folder of the case; it is made.
    """
    home.mkdir()
    for part in KINDS[kind].parts:
        if (intact / part).is_dir():
            shutil.copytree(intact / part, home / part)
        else:
            shutil.copy(intact / part, home / part)


def kind_of(number: int, kinds: list[str]) -> str:
    """Return the kind of a case; kinds follow each other in a fixed order of their shares."""
    turns = [name for turn in range(24) for name in kinds if turn < KINDS[name].share]
    return turns[number % len(turns)]

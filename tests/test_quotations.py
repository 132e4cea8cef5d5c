"""No error repeats more than 200 characters of a file, wherever in the file a long text stands."""

import copy
import json
from itertools import islice
from pathlib import Path

import pytest
import torch
import yaml

from colorcnn.cli import main
from colorcnn.errors import ColorCNNError
from colorcnn.records import Clock, showing
from colorcnn.reproduce.plan import Plan
from colorcnn.reproduce.reading import read_experiment

CONF = Path(__file__).parent / "conf"
LONG = ("é" * 5000, "é " * 2500)  # a letter that none of our own messages has


def places(content):
    """Each mapping or list in nested values, with each of its keys or positions."""
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        yield content, key
        if isinstance(value, dict | list) and value:
            yield from places(value)


def damaged(content, every=1):
    """Copies of nested values: at one place each, a long text as the value, or as the key.

    Args:
        content: lists and mappings.
        every: return one of so many copies.
    """
    yield from islice(_damaged(content), 0, None, every)


def _damaged(content):
    for number in range(sum(1 for _ in places(content))):
        for text in LONG:
            inner, key = list(places(again := copy.deepcopy(content)))[number]
            inner[key] = text
            yield again
        inner, key = list(places(again := copy.deepcopy(content)))[number]
        if isinstance(inner, dict):
            inner[LONG[0]] = inner.pop(key)
            yield again


def check(argv, capsys):
    """Run a command: what it says quotes little, and is no traceback."""
    status = main([str(word) for word in argv])
    messages = capsys.readouterr().err
    assert status in (0, 1, 2)
    assert messages.count("é") <= 200, messages[:2000]
    assert max(map(len, messages.splitlines()), default=0) <= 1000
    return status


def test_a_checkpoint(checkpoints, tmp_path, capsys):
    from PIL import Image

    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    path = checkpoints / "toy-plus" / "config.json"
    argv = ["quantize", tmp_path / "a.png", "--colors", 2, "-o", tmp_path / "o.png", "--force"]
    statuses = set()
    for content in damaged(json.loads(path.read_text()), 5):
        path.write_text(json.dumps(content))
        statuses.add(check([*argv, "--method", f"colorcnn-plus:{path.parent}"], capsys))
    assert 1 in statuses


def test_a_lightning_checkpoint(tmp_path, capsys):
    from PIL import Image

    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    options = {"architecture": "colorcnn-plus", "sizes": [2], "quantizer_kwargs": {"bottleneck": 4}}
    for content in damaged({"hyper_parameters": options, "state_dict": {"quantizer.a": torch.zeros(1)}}):
        torch.save(content, path := tmp_path / "a.ckpt")
        argv = ["quantize", tmp_path / "a.png", "--colors", 2, "-o", tmp_path / "o.png"]
        assert check([*argv, "--method", f"colorcnn-plus:{path}"], capsys) != 0


def test_a_record(tmp_path, capsys):
    record = Clock().record("other", n=3, metrics={"rate": {"a": [1.5]}}, seeds={"seed": 1})
    for content in damaged(json.loads(record.to_json()), 9):
        (tmp_path / "a.json").write_text(json.dumps(content))
        check(["report", tmp_path / "a.json", "-o", tmp_path / "page.html", "--force"], capsys)
    with pytest.raises(ColorCNNError) as caught, showing("a.json"):
        raise KeyError(LONG[0])
    assert str(caught.value).count("é") <= 200


@pytest.mark.parametrize("name", ["experiment.yaml", "experiment-vq.yaml"])
def test_an_experiment(tmp_path, name):
    content = yaml.safe_load((CONF / name).read_text())
    for scales in (content.get("scales"), content.get("sizes")):
        for scale in list(scales or {}):
            if scale != "cpu":
                del scales[scale]
    problems = []
    for number, each in enumerate(damaged(content, 13)):
        (path := tmp_path / f"{number % 7}.yaml").write_text(yaml.safe_dump(each))
        try:
            Plan(read_experiment(path), "cpu", None, tmp_path / "runs", None)
        except ColorCNNError as error:
            problems.append(str(error))
    assert len(problems) > 5
    assert max(problem.count("é") for problem in problems) <= 200


@pytest.mark.parametrize(
    "place",
    [
        ("model", "class_path"),
        ("model", "init_args", "network"),
        ("model", "init_args", "network_kwargs", "width"),
        ("model", "init_args", LONG[1]),
        ("trainer", "accelerator"),
        ("trainer", LONG[0]),
        (LONG[0],),
    ],
)
def test_a_training(tmp_path, capsys, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    section = config = yaml.safe_load((CONF / "classifier.yaml").read_text())
    for name in place[:-1]:
        section = section.setdefault(name, {})
    section[place[-1]] = LONG[1]
    (tmp_path / "fit.yaml").write_text(yaml.safe_dump(config))
    assert check(["fit", "--config", "fit.yaml"], capsys) != 0

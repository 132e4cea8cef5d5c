from __future__ import annotations

import json
import math
import subprocess

import pytest

from colorcnn import records
from colorcnn.errors import ColorCNNError
from colorcnn.records import Clock, Record, read_record


def make() -> Record:
    return Clock().record("colorcnn evaluate x", n=3, metrics={"accuracy": 0.5}, seeds={"seed": 1})


def test_a_record_says_what_ran_where_and_how_long():
    record = make()
    assert {"python", "torch", "torchvision", "lightning", "pillow", "colorcnn"} == set(record.versions)
    assert record.device
    assert record.wall_seconds >= 0
    assert record.cpu_seconds >= 0
    assert record.date.endswith("+00:00")
    assert record.seeds == {"seed": 1}


def test_a_record_comes_back_as_written(tmp_path):
    record = make()
    path = record.write(tmp_path / "deep" / "record.json")
    assert read_record(path) == record


def test_numbers_that_are_not_finite_become_null(tmp_path):
    record = Clock().record("x", n=1, metrics={"a": math.nan, "b": [math.inf, 1.0], 2: {"c": -math.inf}})
    content = json.loads(record.to_json())
    assert content["metrics"] == {"a": None, "b": [None, 1.0], "2": {"c": None}}


def test_an_existing_record_is_not_overwritten_unasked(tmp_path):
    path = make().write(tmp_path / "record.json")
    with pytest.raises(ColorCNNError, match="exists already"):
        make().write(path, overwrite=False)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', '{"format": 1, "other": 2}'])
def test_what_is_no_record_is_refused_in_a_sentence(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(
        ColorCNNError,
        match=r"x\.json (is not valid JSON|is not a JSON object|holds no record)",
    ) as caught:
        read_record(path)
    assert caught.value.code == ("no-record" if content.startswith("{") else "failed")


@pytest.mark.parametrize(("field", "value"), [("metrics", None), ("n", "many"), ("date", 3), ("config", [])])
def test_a_field_of_another_type_is_named(tmp_path, field, value):
    path = make().write(tmp_path / "x.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(ColorCNNError, match=rf"x\.json is invalid \({field}: "):
        read_record(path)


def test_a_missing_record_is_named(tmp_path):
    with pytest.raises(ColorCNNError, match="could not be read"):
        read_record(tmp_path / "none.json")


def test_a_later_format_is_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"format": 99}')
    with pytest.raises(ColorCNNError, match="update colorcnn"):
        read_record(path)


def test_the_revision_is_that_of_the_source_not_of_where_it_is_called(tmp_path, monkeypatch):
    package = tmp_path / "site" / "colorcnn"
    package.mkdir(parents=True)
    (package / "records.py").write_text("")
    monkeypatch.setattr(records, "__file__", str(package / "records.py"))
    assert records.source_revision() is None  # no repository

    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(("git", "-C", tmp_path, *identity, *arguments), check=True, capture_output=True)

    git("init", "-q")
    assert records.source_revision() is None  # a repository that does not track it
    git("add", ".")
    git("commit", "-q", "-m", "first")
    revision = records.source_revision()
    assert revision is not None
    assert len(revision["commit"]) == 40
    assert revision["dirty"] is False
    (package / "records.py").write_text("# changed")
    assert records.source_revision()["dirty"] is True

"""Files from outside against a schema: one sentence for whatever is wrong."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from colorcnn import schema
from colorcnn.errors import ColorCNNError, shortened


@dataclass
class Inner:
    width: schema.Positive
    rate: float = 0.5


@dataclass
class Outer:
    name: str
    inner: Inner
    others: list[Inner] = field(default_factory=list)
    free: dict[str, Any] = field(default_factory=dict)


def read(data):
    return schema.convert(schema.parse_json(data, "a.json", "mend it"), Outer, "a.json", "mend it")


def test_a_valid_file_is_an_object_of_its_schema_and_unknown_keys_are_ignored():
    found = read(b'{"name": "n", "inner": {"width": 3}, "free": {"a": [1]}, "later": 1}')
    assert found == Outer("n", Inner(3), [], {"a": [1]})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "is not valid JSON"),
        (b"{", "is not valid JSON"),
        (b"\xff\xfe", "is not valid JSON"),
        (b'{"a": "\xff"}', "is not valid JSON"),
        (b'{"a": NaN}', "is not valid JSON"),
        (b"[]", "is not a JSON object"),
        (b"3", "is not a JSON object"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "is nested more than 64 levels deep"),
        (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "is nested more than 64 levels deep"),
        (b'{"a":' + b"9" * 5000 + b"}", "is not valid JSON"),
        (b"{}", "is invalid (object missing required field name)"),
        (b'{"name": 3}', "is invalid (name: "),
        (b'{"name": "n", "inner": {"width": 0}}', "is invalid (inner.width: "),
        (b'{"name": "n", "inner": {"width": 1.5}}', "is invalid (inner.width: "),
        (
            b'{"name": "n", "inner": {"width": 1}, "others": [{"width": "x"}]}',
            "is invalid (others[0].width: ",
        ),
    ],
)
def test_an_error_names_the_file_the_key_and_the_problem(text, problem):
    with pytest.raises(ColorCNNError) as caught:
        read(text)
    message = str(caught.value)
    assert message.startswith(f"a.json {problem}")
    assert message.endswith(": mend it.")
    assert len(message) < 250


def test_files_are_read_up_to_their_budget(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"12345")
    assert schema.read_file(path, "mend it", 5) == b"12345"
    with pytest.raises(ColorCNNError, match="5 bytes, more than 4: mend it"):
        schema.read_file(path, "mend it", 4)
    with pytest.raises(ColorCNNError, match="is not a file"):
        schema.read_file(tmp_path, "mend it")
    with pytest.raises(FileNotFoundError):
        schema.read_file(tmp_path / "none", "mend it")
    with pytest.raises(FileNotFoundError):
        schema.read_file(path / "below", "mend it")
    with pytest.raises(ColorCNNError, match="could not be read"):
        schema.read_file(tmp_path / "a\0b", "mend it")


def test_values_of_a_file_are_never_quoted_at_length():
    assert shortened("x" * 500) == "x" * 77 + "..."
    assert shortened("a\x1b[1m\nb") == "a [1m b"
    assert shortened(10**5000) == "int"
    assert len(shortened({str(key): key for key in range(1000)})) <= 80

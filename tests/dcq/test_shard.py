from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colorcnn.dcq.packing import LAYOUTS, pack, packed_length, unpack
from colorcnn.dcq.predict import context_table, from_differences, from_ranks, to_differences, to_ranks
from colorcnn.dcq.shard import BLOCK, SIGNATURE, VERSION, Shard
from colorcnn.dcq.shard_writer import ShardContent, encode_shard
from colorcnn.errors import ColorCNNError

many = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def contents(draw: st.DrawFn) -> ShardContent:
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    bits, count = draw(st.integers(1, 8)), draw(st.integers(1, 12))
    size = st.tuples(st.integers(1, 40), st.integers(1, 40))
    sizes = draw(
        st.lists(size, min_size=count, max_size=count)
        if draw(st.booleans())
        else size.map(lambda s: [s] * count)
    )
    colors = 1 << draw(st.integers(0, bits))
    palettes = draw(st.sampled_from([1, 3, 300, count]))
    shared = palettes != count or draw(st.booleans())
    labels = random.integers(0, draw(st.sampled_from([2, 300, 70_000])), count)
    if draw(st.booleans()):
        labels = random.integers(0, 2, (count, draw(st.integers(1, 20))))
    rows = np.sort(random.permutation(1000)[:count]) if draw(st.booleans()) else 7 + np.arange(count)
    return ShardContent(
        bits,
        [random.integers(0, colors, one).astype(np.uint8) for one in sizes],
        random.integers(0, 256, (palettes, 1 << bits, 3)).astype(np.uint8),
        random.integers(0, palettes, count) if shared else np.arange(count),
        labels,
        rows,
    )


def written(content: ShardContent, folder: Path) -> Path:
    path = folder / "shard-00000.dcq"
    path.write_bytes(encode_shard(content))
    return path


def plain(bits: int = 2, count: int = 5, size: tuple[int, int] = (8, 8)) -> ShardContent:
    random = np.random.default_rng(0)
    return ShardContent(
        bits,
        [random.integers(0, 1 << bits, size).astype(np.uint8) for _ in range(count)],
        random.integers(0, 256, (2, 1 << bits, 3)).astype(np.uint8),
        np.arange(count) % 2,
        np.arange(count) % 3,
        np.arange(count),
    )


@many
@given(content=contents())
def test_decoding_gives_back_bit_for_bit_what_was_encoded(content: ShardContent, tmp_path: Path) -> None:
    shard = Shard(written(content, tmp_path))
    assert (shard.images, shard.bits) == (len(content.indices), content.bits)
    for name in ("palettes", "palette_ids", "labels", "rows"):
        np.testing.assert_array_equal(getattr(shard, name), getattr(content, name))
    for image in np.random.permutation(len(content.indices)):
        np.testing.assert_array_equal(shard.indices(int(image)), content.indices[image])


@many
@given(
    bits=st.integers(1, 8), height=st.integers(1, 9), width=st.integers(1, 9), seed=st.integers(0, 99),
    layout=st.sampled_from(LAYOUTS),
)  # fmt: skip
def test_every_layout_and_the_prediction_invert(
    bits: int, height: int, width: int, seed: int, layout: str
) -> None:
    bits = min(bits, 4) if layout == "paired" else bits
    indices = np.random.default_rng(seed).integers(0, 1 << bits, (height, width)).astype(np.uint8)
    data = pack(indices, bits, layout)
    assert len(data) == packed_length(height, width, bits, layout)
    back = unpack(np.frombuffer(data, np.uint8), height, width, bits, layout)
    np.testing.assert_array_equal(back, indices)
    differences = to_differences(indices, bits)
    assert differences.max() < 1 << bits
    from_differences(differences, bits)
    np.testing.assert_array_equal(differences, indices)


@many
@given(bits=st.integers(1, 4), depth=st.integers(2, 4), seed=st.integers(0, 99))
def test_ranks_in_a_table_of_contexts_invert(bits: int, depth: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    colors, contexts = 1 << bits, 1 << min(bits * depth, 12)
    table = np.tile(np.arange(colors, dtype=np.uint8), (1 << bits * depth, 1))
    table[:contexts] = random.permuted(table[:contexts], axis=1)
    indices = random.integers(0, colors, random.integers(1, 9, 2)).astype(np.uint8)
    ranks = to_ranks(indices, bits, table)
    from_ranks(ranks, bits, table)
    np.testing.assert_array_equal(ranks, indices)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5])
def test_contexts_make_predictable_images_smaller_and_come_back(bits: int, tmp_path: Path) -> None:
    ramp = np.add.outer(np.arange(64), np.arange(64)) // 5
    random = np.random.default_rng(0)
    images = [((ramp + shift) % (1 << bits)).astype(np.uint8) for shift in random.integers(0, 99, 640)]
    content = ShardContent(
        bits,
        images,
        np.zeros((1, 1 << bits, 3), np.uint8),
        np.zeros(640, int),
        np.zeros(640, int),
        np.arange(640),
    )
    table = context_table(images, bits)
    assert table is not None
    assert np.mean([to_ranks(image, bits, table).mean() for image in images]) < 0.15 * (1 << bits)
    shard = Shard(written(content, tmp_path))
    for image in (0, 639):
        np.testing.assert_array_equal(shard.indices(image), images[image])


def test_a_table_is_made_only_for_enough_pixels() -> None:
    assert context_table([np.zeros((8, 8), np.uint8)], 3) is None


def test_packed_bits_come_highest_first() -> None:
    assert pack(np.array([[1, 2, 3, 0, 1]], np.uint8), 2) == bytes([0b01101100, 0b01000000])
    assert pack(np.array([[5, 2, 7]], np.uint8), 3) == bytes([0b10101011, 0b10000000])


def test_frames_hold_at_most_512_kib_and_an_image_may_need_several(tmp_path: Path) -> None:
    content = plain(8, 2, (1100, 1000))
    shard = Shard(written(content, tmp_path))
    assert shard.frames_of(0) == range(3)
    assert max(len(shard.frame(number)) for number in range(shard.frames)) <= BLOCK
    np.testing.assert_array_equal(shard.indices(1), content.indices[1])


def test_whole_images_lie_in_a_frame_where_they_fit(tmp_path: Path) -> None:
    shard = Shard(written(plain(8, 600, (32, 32)), tmp_path))
    assert {len(shard.frames_of(image)) for image in range(600)} == {1}
    assert shard.frames > 1


@pytest.mark.parametrize("seed", range(30))
def test_a_changed_byte_is_found(tmp_path: Path, seed: int) -> None:
    path = written(plain(count=40), tmp_path)
    data = bytearray(path.read_bytes())
    place = int(np.random.default_rng(seed).integers(len(data)))
    data[place] ^= 1 << seed % 8
    path.write_bytes(data)

    def read() -> None:
        shard = Shard(path)
        for image in range(shard.images):
            shard.indices(image)

    with pytest.raises(ColorCNNError, match=r"shard-00000\.dcq"):
        read()


@pytest.mark.parametrize("share", [0.0, 0.005, 0.1, 0.5, 0.99, 1.01])
def test_a_truncated_or_longer_file_is_refused_when_it_is_opened(tmp_path: Path, share: float) -> None:
    path = written(plain(count=40), tmp_path)
    data = path.read_bytes()
    path.write_bytes((data + data)[: int(share * len(data))])
    with pytest.raises(ColorCNNError, match=r"shard-00000\.dcq"):
        Shard(path)


def test_foreign_later_and_missing_files_are_told_apart(tmp_path: Path) -> None:
    path = written(plain(), tmp_path)
    data = path.read_bytes()
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data[8:])
    with pytest.raises(ColorCNNError, match="not a shard"):
        Shard(path)
    path.write_bytes(SIGNATURE + struct.pack("<H", VERSION + 1) + data[10:])
    with pytest.raises(ColorCNNError, match="update colorcnn"):
        Shard(path)
    path.unlink()
    with pytest.raises(ColorCNNError, match="missing"):
        Shard(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("bits", 3), ("bits", 0), ("images", 4), ("images", -1), ("size", [8, 9]), ("size", "8x8"),
     ("layout", "x"), ("images", 2**40), ("size", [2**30, 2**30]), ("size", [65535, 65535]),
     ("arrays", []), ("arrays", None), ("first", None), ("first", 2**70), ("classes", 2**40)],
)  # fmt: skip
def test_a_header_that_contradicts_itself_is_refused(tmp_path: Path, key: str, value: object) -> None:
    path = written(plain(), tmp_path)
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    header = json.loads(data[20 : 20 + length]) | {key: value}
    text = json.dumps(header).encode()
    path.write_bytes(data[:12] + struct.pack("<II", len(text), zlib.crc32(text)) + text + data[20 + length :])
    with pytest.raises(ColorCNNError, match=r"shard-00000\.dcq is damaged"):
        Shard(path)


def test_columns_that_claim_much_memory_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = written(plain(), tmp_path)
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    header = json.loads(data[20 : 20 + length])
    labels = next(array for array in header["arrays"] if array["name"] == "labels")
    labels["shape"], labels["block"], labels["frames"] = [2**29], 1 << 19, [1] * 1024
    text = json.dumps(header).encode()
    path.write_bytes(data[:12] + struct.pack("<II", len(text), zlib.crc32(text)) + text + data[20 + length :])
    with pytest.raises(ColorCNNError, match="arrays claim more than"):
        Shard(path)

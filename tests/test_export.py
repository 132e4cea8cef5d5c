"""Exported graphs give what the networks give, in ONNX Runtime and as PyTorch's programs."""

import io
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from test_start_up import run
from toy_checkpoints import CLASSES, publish

import colorcnn
from colorcnn.checkpoint_config import Config, read_config
from colorcnn.cli import main
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.export import export_graph
from colorcnn.graphs import KEY, PARTS, plan_graph
from colorcnn.methods import load_quantizer
from colorcnn.models import create_model
from colorcnn.quantizers.onnx_graph import open_graph, shrunk

PLAIN = {"backbone": "dncnn", "backbone_kwargs": {"width": 4, "depth": 2}}
REFINED = {
    **PLAIN, "bottleneck": 4, "feature_channels": 32, "trained_sizes": [4, 8],
    "own_heads": True, "refine_steps": 2, "refine_from": 8,
}  # fmt: skip
NEAREST = {"kind": "quantizer", "architecture": "nearest", "start": "wu", "trained_sizes": [2, 4]}


def pictures(height, width, count=2):
    generator = np.random.default_rng(height)
    coarse = generator.integers(0, 256, (count, 3, 3, 3), dtype=np.uint8)
    small = [Image.fromarray(each).resize((width, height), Image.Resampling.BICUBIC) for each in coarse]
    noise = generator.integers(-9, 10, (count, height, width, 3))
    return torch.from_numpy(
        (np.stack([np.asarray(each) for each in small]) + noise).clip(0, 255).astype(np.uint8)
    )


def lively(model):
    """Give a network weights that decide something: layers that start at 0 are drawn."""
    torch.manual_seed(3)
    for name, weight in model.named_parameters():
        if name.startswith("queries") and weight.ndim > 1:
            torch.nn.init.normal_(weight)
    return model.eval()


def write(folder, model, name, num_colors=None, part=None):
    path = folder / name
    path.write_bytes(export_graph(model, plan_graph(model.config, num_colors, part)))
    return path


def nearest_colors(path, about=NEAREST):
    """Write a small graph by hand, which gives each pixel the nearest colour of its input ``start``."""
    from onnx import TensorProto, helper

    node, constant = helper.make_node, onnx.numpy_helper.from_array
    nodes = [
        node("Cast", ["start"], ["bytes"], to=TensorProto.FLOAT),
        node("Div", ["bytes", "most"], ["palette"]),
        node("Reshape", ["images", "flat"], ["pixels"]),
        node("MatMul", ["palette", "pixels"], ["product"]),
        node("Mul", ["palette", "palette"], ["squares"]),
        node("ReduceSum", ["squares", "last"], ["sums"], keepdims=1),
        node("Mul", ["product", "two"], ["twice"]),
        node("Sub", ["twice", "sums"], ["scores"]),
        node("ArgMax", ["scores"], ["chosen"], axis=1, keepdims=0),
        node("Shape", ["images"], ["sides"], start=2),
        node("Concat", ["one", "sides"], ["map"], axis=0),
        node("Reshape", ["chosen", "map"], ["whole"]),
        node("Cast", ["whole"], ["indices"], to=TensorProto.UINT8),
    ]
    constants = {
        "most": np.float32(255), "two": np.float32(2), "last": np.array([2]), "one": np.array([1]),
        "flat": np.array([1, 3, -1]),
    }  # fmt: skip
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "nearest",
        [info("images", 1, [1, 3, "H", "W"]), info("start", TensorProto.UINT8, [1, "C", 3])],
        [info("indices", TensorProto.UINT8, [1, "H", "W"]), info("palette", 1, [1, "C", 3])],
        [constant(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if about is not None:
        helper.set_model_props(model, {KEY: about if isinstance(about, str) else json.dumps(about)})
    onnx.save(model, path)
    return path


@pytest.fixture
def nearest(tmp_path):
    return nearest_colors(tmp_path / "nearest.onnx")


ALMOST = 1 - 1e-4
"""Share of equal pixels. Two sums in another order can decide a tie between two colours otherwise."""


def same(graph, model, images, num_colors):
    ours = model.quantize(images, num_colors, channels_last=True).render(torch.uint8)
    theirs = graph(images, num_colors, channels_last=True).render(torch.uint8)
    # One pixel of a tie can move the mean of its colour over a half, and so all its pixels by one level.
    return float(((ours.int() - theirs.int()).abs() <= 1).all(dim=1).double().mean())


@pytest.fixture(scope="module")
def attention(tmp_path_factory):
    """The pretrained palette attention and its graph."""
    model = colorcnn.from_pretrained("palette-attention-cifar10")
    return model, write(tmp_path_factory.mktemp("attention"), model, "attention.onnx")


@pytest.mark.slow
def test_palette_attention_is_one_graph_for_all_sizes_and_numbers_of_colours(attention):
    model, path = attention
    quantizer = load_quantizer(str(path))
    for shape, num_colors in (((32, 20), 4), ((1, 1), 1), ((7, 90), 2), ((461, 340), 37), ((24, 24), 256)):
        assert same(quantizer, model, pictures(*shape), num_colors) > ALMOST
    few = torch.zeros(1, 5, 6, 3, dtype=torch.uint8)  # one colour where eight are asked for
    assert same(quantizer, model, few, 8) > ALMOST
    assert not torch.equal(
        quantizer(pictures(32, 20), 4, channels_last=True).indices,
        load_quantizer("wu")(pictures(32, 20), 4, channels_last=True).indices,
    ), "the network decides something"
    told = open_graph(path)[1]
    assert told == plan_graph(model.config)
    assert (told.start, told.num_colors, told.trained_sizes) == ("wu", None, (2, 4, 8, 16, 32, 64))


@pytest.mark.data
@pytest.mark.slow
def test_photographs_get_the_index_map_of_pytorch(attention, real_data):
    """Near ties may fall the other way where a runtime adds in another order: one pixel in 20,000 at most."""
    kodak = sorted((Path(real_data) / "kodak").glob("*.png"))[:3]
    if not kodak:
        pytest.skip("no Kodak photographs")
    model, graph = attention
    quantizer = load_quantizer(str(graph))
    for path in kodak:
        pixels = torch.from_numpy(np.array(Image.open(path).convert("RGB")))[None]
        for num_colors in (4, 16):
            ours = model.quantize(pixels, num_colors, channels_last=True).indices
            theirs = quantizer(pixels, num_colors, channels_last=True).indices
            assert float((ours != theirs).double().mean()) <= 1 / 20_000


@pytest.mark.slow
def test_a_network_that_sees_the_whole_image_gives_the_same_index_map(tmp_path):
    model = lively(create_model("colorcnn-plus", **REFINED))
    quantizer = load_quantizer(str(write(tmp_path, model, "plus.onnx", 8)))
    for shape in ((32, 20), (1, 1), (461, 340)):
        assert same(quantizer, model, pictures(*shape), 8) > ALMOST
    with pytest.raises(UsageError, match="exported for 8 colours"):
        quantizer(pictures(8, 8), 9, channels_last=True)


@pytest.mark.slow
def test_a_classifier_gives_the_same_logits(tmp_path):
    net = create_model("resnet9", **CLASSES).eval()
    session, told = open_graph(write(tmp_path, net, "net.onnx"))
    images = torch.rand(3, 3, 50, 35)
    with torch.no_grad():
        assert np.abs(session.run(None, {"images": images.numpy()})[0] - net(images).numpy()).max() < 1e-4
    assert told.kind == "classifier"


def test_a_program_of_pytorch_gives_the_same(tmp_path):
    publish(tmp_path, "net", "resnet9", CLASSES, "classifier")
    assert main(["export", str(tmp_path / "net"), "--format", "torch", "-o", str(tmp_path / "net.pt2")]) == 0
    about = {KEY: ""}
    program = torch.export.load(io.BytesIO((tmp_path / "net.pt2").read_bytes()), extra_files=about)
    images = torch.rand(3, 3, 17, 29)
    with torch.no_grad():
        expected = colorcnn.from_pretrained(tmp_path / "net")(images)
    assert torch.allclose(program.module()(images), expected, atol=1e-5)
    told = json.loads(about[KEY])
    assert (told["kind"], told["architecture"]) == ("classifier", "resnet9")
    assert told["sha256"] == read_config(tmp_path / "net").sha256


def test_a_file_is_a_method_without_torch(nearest, tmp_path):
    Image.fromarray(pictures(40, 30, 1)[0].numpy()).save(tmp_path / "a.png")
    options = ["quantize", "a.png", "--colors", "5", "--force", "--method"]
    cases = [
        [*options, "nearest.onnx"],
        [*options, "nearest.onnx+floyd-steinberg", "-o", "b.png"],
        [*options, "nearest.onnx", "--keep", "red", "-o", "c.png"],
    ]
    done = run(cases, ("torch", "onnx", "onnxscript", "pytorch_lightning"), cwd=tmp_path)
    assert [status for _, status, *_ in done] == [0, 0, 0], done
    assert all(imported == [] for *_, imported in done)
    assert "trained for 2, 4 colours" in done[0][3]
    written = np.asarray(Image.open(tmp_path / "a-c5.png").convert("RGB"))
    expected = colorcnn.quantize(tmp_path / "a.png", 5, method="wu")
    assert np.array_equal(written, np.asarray(expected))
    assert np.array_equal(written, np.asarray(colorcnn.quantize(tmp_path / "a.png", 5, method=str(nearest))))


@pytest.mark.parametrize(
    ("about", "problem"),
    [
        ("{", "is not valid JSON"),
        ({"kind": "quantizer"}, "is invalid"),
        ({"kind": "classifier", "architecture": "x"}, "name one of a quantizer"),
        ({**NEAREST, "num_colors": 999}, "is invalid"),
        ({**NEAREST, "start": "none"}, "unknown method 'none'"),
        ({**NEAREST, "graph_version": 9}, "update colorcnn"),
        (None, "of another program"),
    ],
)
def test_the_description_of_a_file_is_checked_at_the_door(tmp_path, about, problem):
    path = nearest_colors(tmp_path / "other.onnx", about)
    with pytest.raises(ColorCNNError, match=problem):
        load_quantizer(str(path))


def test_files_that_are_no_graphs_are_told_in_a_sentence(nearest, tmp_path, capsys):
    (tmp_path / "text.onnx").write_text("no graph")
    (tmp_path / "cut.onnx").write_bytes(nearest.read_bytes()[:300])
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    for name, status in (("text.onnx", 1), ("cut.onnx", 1), ("none.onnx", 2)):
        argv = ["quantize", str(tmp_path / "a.png"), "--colors", "2", "--method", str(tmp_path / name)]
        assert main(argv) == status
        message = capsys.readouterr().err
        assert name in message
        assert message.count("\n") == 1
    wrong = nearest_colors(tmp_path / "wrong.onnx", {**NEAREST, "start": None, "num_colors": 2})
    with pytest.raises(ColorCNNError, match="could not be run"):  # it wants an input that it does not tell of
        load_quantizer(str(wrong))(pictures(4, 4), 2, channels_last=True)


def test_requests_that_do_not_fit_a_network_are_refused_before_work(tmp_path, capsys):
    (tmp_path / "here.onnx").write_text("mine")
    for arguments, problem in (
        (["colorcnn-plus-cifar10"], "--colors"),
        (["colorcnn-1bit-cifar10", "--colors", "4"], "made for 2 colours"),
        (["palette-attention-cifar10", "--colors", "4"], "every number of colours: omit --colors"),
        (["resnet9-cifar10", "--colors", "4"], "omit --colors"),
        (["resnet9-cifar10", "--part", "encoder"], "omit --part"),
        (["factorized-prior-tiny-imagenet"], "--part encoder"),
        (["colorcnn-plus-cifar10", "--colors", "999"], "from 1 to 256"),
        (["resnet9-cifar10", "-o", str(tmp_path / "net.pt2")], "end in .onnx"),
        (["none"], "no pretrained model"),
        ([str(tmp_path / "none.ckpt")], "does not exist"),
    ):
        assert main(["export", *arguments]) == 2
        assert problem in capsys.readouterr().err
    assert main(["export", "resnet9-cifar10", "-o", str(tmp_path / "here.onnx")]) == 1
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "here.onnx").read_text() == "mine"
    with pytest.raises(UsageError, match="not exported"):
        plan_graph(Config("vector compressor", "residual-transform"))


def test_a_part_that_cannot_be_exported_is_told():
    class Stubborn(torch.nn.Module):
        def forward(self, images):
            return images if float(images.sum()) > 0 else -images

    with pytest.raises(ColorCNNError, match="cannot be exported"):
        export_graph(Stubborn(), plan_graph(Config("classifier", "resnet9")), "torch")


@pytest.mark.parametrize("shape", [(512, 768), (131, 40), (300, 1), (24, 24), (5, 7)])
def test_the_small_copy_is_pytorchs_area_mean(shape):
    images = pictures(*shape, 1).permute(0, 3, 1, 2).float() / 255
    size = shrunk(images.numpy(), 24).shape[2:]
    expected = torch.nn.functional.interpolate(images, size, mode="area").numpy()
    assert max(size) <= 24
    assert np.abs(shrunk(images.numpy(), 24) - expected).max() < 2e-5  # PyTorch adds in float32


@pytest.mark.data
@pytest.mark.slow
def test_photographs_pass_through_the_transforms_of_the_codec(tmp_path, real_data):
    codec = colorcnn.from_pretrained("factorized-prior-tiny-imagenet")
    photograph = next((Path(real_data) / "kodak").glob("*.png"), None)
    if photograph is None:
        pytest.skip("no Kodak photographs")
    pixels = torch.from_numpy(np.array(Image.open(photograph).convert("RGB"))).permute(2, 0, 1)[None] / 255
    encoder, decoder = (open_graph(write(tmp_path, codec, f"{part}.onnx", part=part))[0] for part in PARTS)
    with torch.no_grad():
        latent = codec.latent(pixels)
        quantized = codec.quantizer(latent)
        expected = codec.reconstruct(quantized.latent, pixels.shape)
    found = torch.from_numpy(encoder.run(None, {"images": pixels.numpy()})[0])
    assert (codec.quantizer(found).indices != quantized.indices).double().mean() <= 1e-3
    back = decoder.run(None, {"latent": quantized.latent.numpy()})[0][
        ..., : pixels.shape[2], : pixels.shape[3]
    ]
    assert np.abs(back - expected.numpy()).max() < 1e-3

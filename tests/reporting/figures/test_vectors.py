"""Figures of trained compressors, and the numbers behind them."""

import pytest
import torch

from colorcnn.errors import UsageError
from colorcnn.reporting.figures.canvas import to_png
from colorcnn.reporting.figures.vectors import (
    cells_figure,
    mappings_figure,
    rate_distortion_figure,
    vector_figure,
)
from colorcnn.reporting.view import CompressorView
from colorcnn.vq.analysis import analytic_gradients, encoder_gradients, quantization_cells, scalar_mapping
from colorcnn.vq.compressor import VectorCompressor
from colorcnn.vq.rates import RDPoint


def scalar(method="sphere"):
    torch.manual_seed(0)
    options = None if method.startswith("uq") else {"size": 7}
    made = VectorCompressor(1, 8.0, method, options, width=8, depth=1)
    if options:
        with torch.no_grad():
            made.quantizer.codebook.copy_(torch.linspace(-2, 2, 7).view(1, 7, 1))
            made.quantizer.prior.logits.copy_(-torch.linspace(-2, 2, 7).square().view(1, 7))
    return made


@pytest.mark.parametrize("method", ["uq-aun", "sphere"])
def test_mean_gradients_tend_to_their_analytic_form(method):
    made = scalar(method)
    with torch.no_grad():  # at the optimum there would be little but noise to compare
        made.decoder.body[-1].bias.add_(0.5)
    latent, mean = encoder_gradients(made, count=81, num_samples=2000)
    at, analytic = analytic_gradients(made, count=81)
    assert torch.equal(latent, at)
    assert (mean - analytic).norm() < 0.05 * analytic.norm()
    assert made.training


def test_methods_without_an_analytic_form_have_none():
    assert analytic_gradients(scalar("vq-ste")) is None


def test_boundaries_lie_between_the_codewords_of_an_identity():
    found = scalar_mapping(scalar(), limit=3)
    middles = (torch.linspace(-2, 2, 7)[1:] + torch.linspace(-2, 2, 7)[:-1]) / 2
    assert torch.allclose(found.boundaries, middles, atol=2e-3)
    assert torch.allclose(found.centers[:, 0], torch.linspace(-2, 2, 7))
    assert torch.equal(found.source, found.latent), "an untrained transform is the identity"


def test_cells_of_a_plane_have_their_centres():
    made = VectorCompressor(2, 8.0, "vq-ste", {"dimension": 2, "size": 5, "search": "nearest"}, width=8)
    with torch.no_grad():
        made.quantizer.codebook.copy_(torch.tensor([[[0, 0], [1, 1], [-1, 1], [1, -1], [-1, -1.0]]]))
    cells = quantization_cells(made, (-2, 2, -2, 2), 101)
    assert len(cells.centers) == 5
    assert torch.equal(cells.centers[cells.labels[50, 50]], torch.zeros(2))
    assert torch.equal(cells.centers[cells.labels[100, 0]], torch.tensor([-1.0, 1.0]))


@pytest.mark.parametrize("dark", [False, True])
def test_figures_are_drawn(dark):
    plane = VectorCompressor(2, 8.0, "sphere", {"dimension": 2, "size": 9}, width=8)
    points = [RDPoint(rate, 2.0 ** (-2 * rate)) for rate in (1, 2, 3)]
    figures = [
        mappings_figure({name: scalar(name) for name in ("sphere", "uq-ste", "uq-aun")}, draws=2, dark=dark),
        cells_figure({"sphere-2d": plane}, dark=dark),
        rate_distortion_figure({"sphere": points}, published={"ecvq": [(1.1, 8.4), (1.9, 13.7)]}, dark=dark),
    ]
    assert all(to_png(figure).startswith(b"\x89PNG") for figure in figures)


def test_a_figure_of_another_dimension_is_refused():
    with pytest.raises(UsageError, match="use one with 2"):
        cells_figure({"scalar": scalar()})


@pytest.mark.parametrize(("loss", "scale"), [(1.1, "linear"), (3.0, "symlog")])
def test_a_training_that_broke_down_leaves_the_others_readable(loss, scale):
    point = {"rate": 1.0, "decibels": 3.0}
    metrics = {
        "rows": {"sphere": {"8": {**point, "loss": loss}}, "vq-ste": {"8": {**point, "loss": 1.01}}},
        "references": {"ecvq": {"8": {**point, "loss": 1.0}}},
    }
    assert vector_figure(CompressorView(metrics)).axes[1].get_yscale() == scale

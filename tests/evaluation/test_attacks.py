"""Attacks against closed forms, gradients worked out another way, and another library."""

from __future__ import annotations

import importlib.util

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from colorcnn.data.datasets import Batch
from colorcnn.errors import UsageError
from colorcnn.evaluation.attacks import (
    Attack,
    Attacked,
    fgsm,
    parse_attack,
    pgd,
    through_codec,
    through_quantizer,
)
from colorcnn.evaluation.codecs import Codec
from colorcnn.evaluation.evaluate import evaluate
from colorcnn.evaluation.robustness import Defence, measure_robustness
from colorcnn.evaluation.scores import unpack_bits
from colorcnn.evaluation.square import margin, square
from colorcnn.models.assignment import soft_palette, soft_render
from colorcnn.models.colorcnn import ColorCNN, OneForEach
from colorcnn.paletted import from_bytes
from colorcnn.quantizers import Dithered
from colorcnn.quantizers.median_cut import MedianCut

SIDE = 6


def linear(classes: int = 2, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, classes))


def curved(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 8), nn.Tanh(), nn.Linear(8, 3))


def pixels(count: int = 4, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)


def corner(network: nn.Sequential, images: torch.Tensor, labels: torch.Tensor, epsilon: float):
    """Return the point of the largest loss of two linear classes: as far from the true class as allowed."""
    weight = network[1].weight.detach()
    direction = (weight[1 - labels] - weight[labels]).sign().reshape(images.shape)
    return (images + epsilon * direction).clamp(0, 1)


def test_fgsm_of_a_linear_classifier_is_its_closed_form():
    network, images, labels = linear(), from_bytes(pixels()), torch.tensor([0, 1, 1, 0])
    assert torch.equal(fgsm(network, images, labels, 8 / 255), corner(network, images, labels, 8 / 255))


@pytest.mark.parametrize("generator", [None, torch.Generator().manual_seed(0)])
def test_pgd_of_a_linear_classifier_ends_in_the_same_corner(generator):
    network, images, labels = linear(), from_bytes(pixels()), torch.tensor([0, 1, 1, 0])
    found = pgd(network, images, labels, 4 / 255, generator=generator)
    assert torch.allclose(found, corner(network, images, labels, 4 / 255), atol=1e-6)


def test_pgd_finds_more_than_fgsm_and_stays_in_the_ball():
    network, images, labels = curved(), from_bytes(pixels(32)), torch.arange(32) % 3
    one, many = (attack(network, images, labels, 0.1) for attack in (fgsm, pgd))
    losses = [F.cross_entropy(network(found), labels).item() for found in (images, one, many)]
    assert losses[0] < losses[1] <= losses[2]
    assert (many - images).abs().max() <= 0.1 + 1e-6
    assert many.min() >= 0
    assert many.max() <= 1


def test_several_labels_are_attacked_by_their_own_loss():
    network, images = linear(3), from_bytes(pixels(1))
    labels = torch.tensor([[1.0, 0.0, 1.0]])
    weight = network[1].weight.detach()
    slope = network(images).sigmoid().detach() - labels
    expected = (images + 0.01 * (slope @ weight).sign().reshape(images.shape)).clamp(0, 1)
    assert torch.equal(fgsm(network, images, labels, 0.01), expected)


def test_square_needs_no_gradient_and_stays_in_the_ball():
    """The logits are steps, which have no gradient. The attack lowers the margins."""
    network, images = curved(), from_bytes(pixels(32))

    def steps(given):
        return (network(given).detach() * 50).round()

    labels = steps(images).argmax(dim=1)
    before = margin(steps(images), labels)
    few, many = (
        square(steps, images, labels, 0.1, queries=each, generator=torch.Generator().manual_seed(0))
        for each in (1, 150)
    )
    assert (before > 0).float().mean() > 0.8
    assert (margin(steps(many), labels) <= margin(steps(few), labels)).all()
    assert (margin(steps(many), labels) <= 0).sum() > (margin(steps(few), labels) <= 0).sum()
    assert (many - images).abs().max() <= 0.1 + 1e-6
    assert many.min() >= 0
    assert many.max() <= 1


def test_square_asks_no_more_about_images_that_are_lost():
    asked = []

    def network(given):
        asked.append(len(given))
        return torch.stack([given[:, 0, 0, 0] - 1, torch.zeros(len(given))], dim=1)  # label 0 is never right

    square(network, from_bytes(pixels(5)), torch.tensor([0, 0, 0, 1, 1]), 0.02, queries=4)
    assert asked == [5, 2, 2, 2]


def test_margins_follow_the_kind_of_labels():
    logits = torch.tensor([[3.0, 1.0, 2.0], [0.0, 1.0, 5.0]])
    assert margin(logits, torch.tensor([0, 1])).tolist() == [1, -4]
    assert margin(logits, torch.tensor([[1, 1, 1], [0, 1, 1]])).tolist() == [1, 0]
    masks = torch.tensor([[[0, 255]], [[2, 1]]])
    per_pixel = logits[:, :, None, None].expand(2, 3, 1, 2)
    assert margin(per_pixel, masks).tolist() == [1, 0]  # of the first only one pixel counts; (4 - 4) / 2
    many = torch.zeros(1, 300)
    many[0, 255] = 2.0
    assert margin(many, torch.tensor([255])).item() == 2, "class 255 is a class, where labels are no masks"


def test_a_broken_logit_leaves_its_image_alone():
    images = from_bytes(pixels(2))

    def network(given):
        logits = given.flatten(1)[:, :2]
        return torch.cat([logits[:1] * torch.nan, logits[1:]])

    found = fgsm(network, images, torch.tensor([0, 1]), 0.1)
    assert torch.equal(found[0], images[0])
    assert not torch.equal(found[1], images[1])


def gradient_by_hand(network, quantized, labels):
    quantized = quantized.clone().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(network(quantized), labels, reduction="sum"), quantized)[0]


@pytest.mark.parametrize("quantizer", [MedianCut(), Dithered(MedianCut())])
def test_an_adaptive_attack_takes_the_gradient_at_the_quantized_image(quantizer):
    network, images, labels = curved(), from_bytes(pixels()), torch.tensor([0, 1, 2, 0])
    hard = quantizer.quantize_many(images, [2])[2].render()
    expected = (images + 0.05 * gradient_by_hand(network, hard, labels).sign()).clamp(0, 1)
    assert torch.equal(fgsm(through_quantizer(network, quantizer, 2), images, labels, 0.05), expected)


@pytest.mark.parametrize("several", [False, True])
def test_a_soft_attack_takes_the_gradient_of_the_soft_image(several):
    torch.manual_seed(0)
    model = ColorCNN(2, backbone_kwargs={"width": 4, "depth": 1}).eval()
    quantizer = OneForEach([model]).eval() if several else model
    network, images, labels = curved(), from_bytes(pixels()), torch.tensor([0, 1, 2, 0])
    inside = images.clone().requires_grad_()
    assignment = model.soft(inside, 2)
    soft = soft_render(soft_palette(inside, assignment), assignment)
    outer = gradient_by_hand(network, model.quantize(images, 2).render(), labels)
    (slope,) = torch.autograd.grad(soft, inside, outer)
    found = fgsm(through_quantizer(network, quantizer, 2, soft=True), images, labels, 0.05)
    assert torch.equal(found, (images + 0.05 * slope.sign()).clamp(0, 1))


def test_a_classical_quantizer_has_no_soft_image():
    with pytest.raises(UsageError, match="has no soft image"):
        through_quantizer(linear(), MedianCut(), 2, soft=True)


def test_a_codec_is_attacked_at_the_decoded_image():
    network, images, labels = curved(), from_bytes(pixels()), torch.tensor([0, 1, 2, 0])
    decoded = from_bytes(Codec("jpeg", 20)(pixels())[0])
    expected = (images + 0.05 * gradient_by_hand(network, decoded, labels).sign()).clamp(0, 1)
    found = fgsm(through_codec(network, Codec("jpeg", 20)), images, labels, 0.05)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("name", ["pgd", "square"])
def test_attacked_images_are_bytes_within_epsilon_and_always_the_same(name):
    batches = [Batch(pixels(3), torch.tensor([0, 1, 2]), torch.arange(3))]
    attack, network = parse_attack(name, queries=20, seed=5), curved()
    with torch.inference_mode():  # as in the evaluator
        (one,), (two,) = (list(Attacked(batches, attack, network, 3)) for _ in range(2))
    (other,) = Attacked(batches, Attack(name, queries=20, seed=6), network, 3)
    assert one.images.dtype == torch.uint8
    assert torch.equal(one.images, two.images)
    assert not torch.equal(one.images, other.images)
    assert (one.images.int() - pixels(3).int()).abs().max() == 3
    assert torch.equal(next(iter(Attacked(batches, attack, network, 0))).images, pixels(3))


@pytest.mark.parametrize("text", ["cw", "fgsm:magic", "pgd:", "square:soft", ""])
def test_unknown_attacks_are_refused(text):
    with pytest.raises(UsageError, match="choose one of"):
        parse_attack(text)


@pytest.mark.parametrize(("name", "budget"), [("pgd", {"steps": 0}), ("square", {"queries": 0})])
def test_an_attack_takes_at_least_one_step_or_query(name, budget):
    with pytest.raises(UsageError, match="at least 1"):
        parse_attack(name, **budget)


def robustness(attacks=("fgsm", "fgsm:adaptive", "fgsm:soft"), epsilons=(12,)):
    network = curved()
    images = pixels(8)
    labels = network(from_bytes(images)).argmax(dim=1)  # right on the originals
    batches = [
        Batch(images[:5], labels[:5], torch.arange(5)),
        Batch(images[5:], labels[5:], torch.arange(5, 8)),
    ]
    methods, codecs = {"median-cut": MedianCut()}, {"png": Codec("png")}
    clean = evaluate(methods, network, batches, [2, 4], codecs=codecs, progress=False)
    defence = Defence(network, batches, methods, codecs, options={"progress": False})
    return clean, measure_robustness(
        defence, [parse_attack(text) for text in attacks], list(epsilons), clean
    ).to_json()


def test_every_method_gets_a_curve_over_epsilon():
    clean, found = robustness()
    assert found["epsilons"] == [0, 12]
    assert list(found["results"]) == ["fgsm", "fgsm:adaptive", "fgsm:soft"]
    bare = found["results"]["fgsm"]
    assert bare["original"]["0"]["accuracy"] == 1
    assert bare["original"]["12"]["accuracy"] < 1
    assert bare["codecs"]["png"] == bare["original"]  # lossless files defend nothing
    for result in found["results"].values():
        assert set(result["methods"]["median-cut"]) == {"2", "4"}
        score = clean.scores["median-cut"][4]
        cell = result["methods"]["median-cut"]["4"]["0"]
        assert cell["accuracy"] == score.accuracy
        assert (unpack_bits(cell["correct"], 8) == score.correct).all()
        assert result["original"] == bare["original"]
    # A lossless file is no obstacle, so the attack through it is the attack on the bare classifier.
    assert found["results"]["fgsm:adaptive"]["codecs"] == bare["codecs"]
    # A classical quantizer has no soft image: the identity's gradient serves both.
    assert found["results"]["fgsm:soft"]["methods"] == found["results"]["fgsm:adaptive"]["methods"]


def test_what_has_no_soft_image_is_not_attacked_twice(monkeypatch):
    targets = []
    measure = Defence.measure
    monkeypatch.setattr(Defence, "measure", lambda *args: targets.append(args[-1]) or measure(*args))
    both = robustness()[1]["results"]
    through = ["median-cut at 2 colours", "median-cut at 4 colours", "png"]
    assert targets == ["", *through]
    alone = robustness(attacks=("fgsm:soft",))[1]["results"]
    assert targets == ["", *through] * 2
    assert alone["fgsm:soft"] == both["fgsm:soft"]


def test_square_is_measured_alone_and_through_the_quantizer():
    found = robustness(attacks=["square:adaptive"], epsilons=[12])[1]
    assert list(found["results"]) == ["square", "square:adaptive"]
    assert found["queries"] == 200
    alone, through = (found["results"][name]["methods"]["median-cut"]["4"]["12"] for name in found["results"])
    assert through["accuracy"] <= alone["accuracy"]


def test_an_adaptive_attack_is_measured_with_the_bare_one():
    found = robustness(attacks=["pgd:adaptive"], epsilons=[4])[1]
    assert list(found["results"]) == ["pgd", "pgd:adaptive"]
    assert found["steps"] == 10
    assert found["epsilons"] == [0, 4]


@pytest.mark.parametrize(
    ("attacks", "epsilons"), [([], [1]), (["fgsm"], []), (["fgsm"], [256]), (["fgsm"], [-1])]
)
def test_nothing_to_attack_is_refused(attacks, epsilons):
    with pytest.raises(UsageError):
        robustness(attacks, epsilons)


@pytest.mark.skipif(importlib.util.find_spec("foolbox") is None, reason="foolbox is not installed")
@pytest.mark.parametrize("epsilon", [2 / 255, 0.1])
def test_attacks_are_those_of_foolbox(epsilon):
    import foolbox

    network, images, labels = curved().eval(), from_bytes(pixels(8)), torch.arange(8) % 3
    model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    theirs = foolbox.attacks.LinfFastGradientAttack(random_start=False)
    _, expected, _ = theirs(model, images, labels, epsilons=epsilon)
    assert torch.allclose(fgsm(network, images, labels, epsilon), expected, atol=1e-6)
    theirs = foolbox.attacks.LinfPGD(rel_stepsize=None, abs_stepsize=epsilon / 4, steps=7, random_start=False)
    _, expected, _ = theirs(model, images, labels, epsilons=epsilon)
    found = pgd(network, images, labels, epsilon, steps=7, step_size=epsilon / 4)
    assert torch.allclose(found, expected, atol=1e-6)

"""Images that a ColorCNN's training shows its classifiers: soft, hard, and on the way between."""

from types import SimpleNamespace

import pytest
import torch
from toy_checkpoints import PLUS, publish

from colorcnn.data.datasets import Batch
from colorcnn.errors import UsageError
from colorcnn.losses import confidence_entropy, information_entropy
from colorcnn.models.assignment import hard_indices, hard_palette, one_hot, soft_palette, soft_render
from colorcnn.tasks.colorcnn import ColorCNNTask


def make(step=0, **options):
    """A task in the middle of ten epochs of ten steps."""
    network = {"backbone_kwargs": {"width": 4, "depth": 1}}
    options = {"quantizer_kwargs": network, "sizes": [4], **options}
    task = ColorCNNTask(["tiny:classifier"], 10, [0.5] * 3, [0.25] * 3, **options)
    task._trainer = SimpleNamespace(
        max_epochs=10, current_epoch=step // 10, global_step=step, estimated_stepping_batches=100
    )
    return task


def schedules(**options):
    return make(**options)._schedules


@pytest.fixture
def images():
    return torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def assignment():
    scores = torch.randn(2, 4, 6, 5, generator=torch.Generator().manual_seed(2))
    return scores.softmax(dim=1).requires_grad_()


def test_the_soft_image_is_shown_until_the_straight_through_share_begins(images, assignment):
    soft = soft_render(soft_palette(images, assignment), assignment)
    torch.testing.assert_close(make(step=69, straight_through=0.3).render(images, assignment), soft)
    assert not torch.allclose(make(step=70, straight_through=0.3).render(images, assignment), soft)


def test_soft_training_is_soft_where_only_the_number_of_steps_is_given(images, assignment):
    soft = soft_render(soft_palette(images, assignment), assignment)
    task = make(step=99)
    task._trainer.max_epochs = -1  # Lightning's value for max_steps without max_epochs
    torch.testing.assert_close(task.render(images, assignment), soft)


@pytest.mark.parametrize("planned", [{"max_epochs": 4}, {"max_epochs": -1, "max_steps": 20}])
def test_restarts_count_the_epochs_of_the_data(planned):
    task = make(restart_epochs=2)
    task._trainer = SimpleNamespace(
        estimated_stepping_batches=20, num_training_batches=10, accumulate_grad_batches=2, **planned
    )
    schedule = task.configure_optimizers()["lr_scheduler"]["scheduler"]
    assert schedule.T_0 == 10


def test_a_run_that_goes_on_within_an_epoch_draws_its_number_of_colours(images, monkeypatch):
    task = make(sizes=[2, 4], size_weights=[0, 1], imitation_weight=0.0)
    monkeypatch.setattr(task, "log", lambda *_, **__: None)
    monkeypatch.setattr(task, "log_dict", lambda *_: None)
    task.training_step(Batch(images, torch.zeros(2, dtype=torch.long), torch.arange(2)), 7)
    assert task.num_colors == 4


def test_straight_through_shows_the_hard_image_and_passes_the_gradient_on(images, assignment):
    indices = hard_indices(assignment)
    expected = soft_render(hard_palette(images, indices, 4), one_hot(indices, 4))
    shown = make(straight_through=1.0).render(images, assignment)
    torch.testing.assert_close(shown, expected)
    shown.square().sum().backward()
    assert (assignment.grad.abs() > 0).all()


def test_hardening_goes_from_the_soft_image_to_the_hard_one(images, assignment):
    indices = hard_indices(assignment)
    hard = soft_render(hard_palette(images, indices, 4), one_hot(indices, 4))
    soft = soft_render(soft_palette(images, assignment), assignment)
    torch.testing.assert_close(make(step=0, hardening=0.5).render(images, assignment), soft)
    half = make(step=25, hardening=0.5).render(images, assignment)
    assert not torch.allclose(half, soft)
    assert not torch.allclose(half, hard)
    torch.testing.assert_close(make(step=50, hardening=0.5).render(images, assignment), hard)


@pytest.mark.parametrize("scale", [2.0, [2.0]])
def test_score_noise_rises_from_0_to_its_scale(scale, images, monkeypatch):
    task, noises = make(score_noise=scale), []
    soft = task.quantizer.soft
    monkeypatch.setattr(
        task.quantizer, "soft", lambda *given: noises.append(given[3]) or soft(*given), raising=False
    )
    monkeypatch.setattr(task, "log", lambda *_, **__: None)
    monkeypatch.setattr(task, "log_dict", lambda *_: None)
    for step in (0, 50, 100):
        task._trainer.global_step = step
        task.training_step(Batch(images, torch.zeros(2, dtype=torch.long), torch.arange(2)), 0)
    assert noises == [0.0, 1.0, 2.0]


def test_several_sizes_share_the_pass_through_the_backbone(images, monkeypatch):
    options = {"sizes": [2, 4, 8], "size_weights": [1.0, 1.0, 0.0], "imitation_weight": 0.0}
    task, passes, sizes, logged = make(sizes_per_batch=2, **options), [], [], {}
    task.quantizer.backbone.register_forward_hook(lambda *_: passes.append(1))
    soft = task.quantizer.soft
    monkeypatch.setattr(
        task.quantizer, "soft", lambda *given, **known: sizes.append(given[1]) or soft(*given, **known)
    )
    monkeypatch.setattr(task, "log", lambda *_, **__: None)
    monkeypatch.setattr(task, "log_dict", logged.update)
    monkeypatch.setattr("colorcnn.tasks.colorcnn.random_flip", lambda *images: images)
    monkeypatch.setattr(task, "_recognition", lambda seen, *_: {"recognition": seen.square().mean()})
    task.train()
    task.training_step(Batch(images, torch.zeros(2, dtype=torch.long), torch.arange(2)), 0)
    assert len(passes) == 1
    assert sorted(sizes) == [2, 4]
    features = task.quantizer.encode(images)
    alone = [task.quantizer.soft(images, size, features=features) for size in (2, 4)]
    shown = [soft_render(soft_palette(images, each), each).square().mean() for each in alone]
    torch.testing.assert_close(logged["train/recognition"], sum(shown) / 2)


@pytest.mark.parametrize("several", [0, 3])
def test_more_sizes_a_batch_than_are_drawn_are_refused(several):
    with pytest.raises(UsageError, match=f"sizes_per_batch is {several}: choose 1 to 2"):
        make(
            sizes=[2, 4, 8],
            size_weights=[1.0, 1.0, 0.0],
            sizes_per_batch=several,
            imitation_weight=0.0,
        )


def test_sizes_that_share_a_batch_imitate_nothing():
    with pytest.raises(UsageError, match="sizes_per_batch above 1 has no imitation targets"):
        make(sizes=[2, 4], sizes_per_batch=2)


def test_reinmax_shows_a_hard_image(images, assignment):
    torch.manual_seed(0)
    shown = make(straight_through=1.0, stand_in="reinmax").render(images, assignment)
    assert len(shown[0].flatten(1).mT.unique(dim=0)) <= 4
    shown.square().sum().backward()
    assert assignment.grad.abs().sum() > 0


def test_stand_in_the_palette_keeps_the_soft_indices(images, assignment):
    palette = hard_palette(images, hard_indices(assignment), 4)
    shown = make(straight_through=1.0, stand_in="palette").render(images, assignment)
    torch.testing.assert_close(shown, soft_render(palette, assignment))


@pytest.mark.parametrize(
    ("step", "given", "expected"), [(0, 0.01, 1.0), (50, 0.01, 0.1), (100, [0.3, 0.03], 0.03)]
)
def test_the_temperature_falls_geometrically_to_its_end(step, given, expected, images, monkeypatch):
    task, seen = make(step=step, temperature=given), []
    scores = task.quantizer.logits(task.quantizer.encode(images), 4)
    assign = task.quantizer.assign
    monkeypatch.setattr(task.quantizer, "assign", lambda given: seen.append(given) or assign(given))
    monkeypatch.setattr(task, "log", lambda *_, **__: None)
    monkeypatch.setattr(task, "log_dict", lambda *_: None)
    monkeypatch.setattr("colorcnn.tasks.colorcnn.random_flip", lambda *images: images)
    task.training_step(Batch(images, torch.zeros(2, dtype=torch.long), torch.arange(2)), 0)
    torch.testing.assert_close(seen[0], scores / expected)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"temperature": 0.0}, "temperature is 0.0: choose a number above 0"),
        ({"temperature": [0.3, 0.0]}, "temperature is .*: choose a number above 0"),
        ({"temperature": [1.0, 0.3, 0.1]}, r"give one number or \[start, end\]"),
        ({"jitter_contrast": 0.0}, "jitter_contrast is 0.0: choose a number above 0"),
        ({"imitation_pixels": 0.0}, "imitation_pixels is 0.0"),
        ({"distillation": 1.5}, "distillation is 1.5: choose a share"),
        ({"imitation_until": -0.1}, "imitation_until is -0.1: choose a share"),
        ({"imitation_until": [0.5, 1.1]}, "imitation_until is .*: choose a share"),
        ({"size_weights": [1.0, 2.0]}, "size_weights is .* for each of the sizes"),
        ({"size_weights": [0.0]}, "not all 0"),
        ({"task_batches": 0}, "task_batches is 0"),
        ({"score_noise": -1.0}, "score_noise is -1.0: choose 0 or more"),
        ({"imitation_weight": [-3.0]}, "imitation_weight is .*: choose 0 or more"),
        ({"sizes": [0]}, "0"),
        ({"sizes": [300]}, "300"),
        ({"sizes": [2, 2]}, "give each number of colours once"),
        ({"size_weights": [float("nan")]}, "size_weights is"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options, told):
    with pytest.raises(UsageError, match=told):
        make(**options)


def test_a_training_without_judges_is_refused():
    with pytest.raises(UsageError, match="classifiers is empty"):
        ColorCNNTask([], 10, [0.5] * 3, [0.25] * 3)


def test_the_confidence_weight_rises_over_its_warmup_and_fades_with_the_colours(assignment):
    options = {"confidence_weight": 8.0, "confidence_schedule": "sigmoid", "imitation_weight": 0.0}
    full = make(step=100, **options)._regularizers(assignment, None, 16)["confidence"]
    quarter = make(step=25, confidence_warmup=0.5, **options)._regularizers(assignment, None, 16)[
        "confidence"
    ]
    torch.testing.assert_close(full, 8 * 0.5 * confidence_entropy(assignment))
    torch.testing.assert_close(quarter, full / 2)


def test_a_list_of_imitation_weights_holds_one_for_each_size():
    found = schedules(sizes=[2, 4, 64], imitation_weight=[0.0, 5.0, 8.0])
    assert [found.imitation_weight(size) for size in (2, 4, 64)] == [0.0, 5.0, 8.0]
    with pytest.raises(UsageError, match="one for each of the sizes"):
        make(sizes=[2, 4, 64], imitation_weight=[5.0, 8.0])
    with pytest.raises(UsageError, match="score_noise is"):
        make(sizes=[2, 4, 64], score_noise=[1.0])


def test_imitation_ends_where_its_share_of_the_training_is_over():
    options = {"sizes": [2, 4, 64], "imitation_weight": [0.0, 5.0, 8.0], "imitation_until": [1.0, 0.3, 1.0]}
    assert [schedules(**options).imitates(size, 0.29) for size in (2, 4, 64)] == [False, True, True]
    assert [schedules(**options).imitates(size, 0.30) for size in (2, 4, 64)] == [False, False, True]
    assert schedules().imitates(4, 0.99)
    with pytest.raises(UsageError, match=r"imitation_until is .* one for each of the sizes"):
        make(sizes=[2, 4, 64], imitation_until=[0.5, 1.0])


def test_entropies_divided_by_the_number_of_colours(assignment):
    options = {"imitation_weight": 0.0, "regularization_weight": 0.5, "information_weight": 3.0}
    plain = make(**options)._regularizers(assignment, None, 4)
    divided = make(entropy_scale="colors", **options)._regularizers(assignment, None, 4)
    torch.testing.assert_close(divided["information"], 0.5 * 3 / 4 * information_entropy(assignment))
    torch.testing.assert_close(divided["confidence"], 0.5 / 4 * confidence_entropy(assignment))
    assert divided["color"] == plain["color"]


def test_the_jitter_goes_by_the_colours_where_that_is_asked_for(images):
    def seen(size, **options):
        torch.manual_seed(3)
        return make(imitation_weight=0.0, **options)._jittered(images, size)

    moved = (seen(4, jitter_schedule="colors") - (0.5 + (images - 0.5) / 4)) / 0.25
    torch.testing.assert_close(moved, moved[0, 0, 0, 0].expand_as(moved))
    assert not torch.allclose(seen(4), seen(4, jitter_schedule="colors"))
    assert torch.equal(seen(4), seen(16)), "the paper's does not"


def test_the_perceptual_term_is_the_distance_of_last_features(images):
    task = make(perceptual_weight=2.0, augment={}, jitter=0.0, jitter_contrast=1.0, imitation_weight=0.0)
    quantized = images.round().requires_grad_()
    terms = task._recognition(quantized, images, torch.tensor([0, 1]), 4)
    network = task.judges[0].network

    def features(values):
        return network.features(network.normalize(values))

    expected = 2 * (features(quantized) - features(images)).square().mean()
    torch.testing.assert_close(terms["perceptual"], expected)
    assert torch.autograd.grad(terms["perceptual"], quantized)[0].abs().sum() > 0
    assert set(make(imitation_weight=0.0)._recognition(quantized, images, torch.tensor([0, 1]), 4)) == {
        "recognition"
    }


def test_a_training_goes_on_from_weights_of_the_same_network(tmp_path):
    folder = publish(tmp_path, "toy-plus", "colorcnn-plus", PLUS)
    network = {name: value for name, value in PLUS.items() if name != "trained_sizes"}
    options = {"start_from": str(folder), "sizes": [2, 4]}
    same, several = (make(quantizer_kwargs={**network, "own_heads": own}, **options) for own in (False, True))
    begun = several.quantizer.own["4"].features.weight
    torch.testing.assert_close(begun, same.quantizer.features.weight)
    task = make(quantizer_kwargs=network, frozen_backbone=True, **options)
    frozen = task.quantizer
    for _ in range(2):
        assert not any(module.training for module in frozen.backbone.modules())
        task.train()
    assert frozen.bottleneck.training
    learning = {name.partition(".")[0] for name, value in frozen.named_parameters() if value.requires_grad}
    assert learning == {"bottleneck", "features"}
    with pytest.raises(UsageError, match="give trained ones with start_from"):
        make(frozen_backbone=True)
    with pytest.raises(UsageError, match="has another architecture"):
        make(quantizer_kwargs={**network, "bottleneck": 3}, **options)

"""Options that speed up a training do not change its result."""

from types import SimpleNamespace

import pytest
import torch

from colorcnn.data.datasets import Batch
from colorcnn.tasks import trainer
from colorcnn.tasks.colorcnn import ColorCNNTask
from colorcnn.tasks.finite import FiniteCheck

STEPS, BATCH, SIDE = 50, 8, 12
NETWORK = {"backbone_kwargs": {"width": 4, "depth": 1}, "feature_channels": 64}
LIGHT = {
    "optimizer": "adamw",
    "temperature": 0.1,
    "score_noise": 0.5,
    "imitation_pixels": 0.5,
    "jitter": 0.0,
    "jitter_contrast": 1.0,
    "contrast": 0.3,
    "brightness": 0.1,
}
RECIPES = {"paper": {}, "light": LIGHT, "hardened": {"hardening": 0.8, "straight_through": 0.2}}


class Targets:
    """Imitation targets that cost nothing."""

    def of(self, images, index, num_colors):
        generator = torch.Generator().manual_seed(int(index[0]))
        return torch.randint(num_colors, (len(index), SIDE, SIDE), dtype=torch.uint8, generator=generator)


def trained(dtype=torch.float32, steps=STEPS, rate=2e-4, **options):
    """The quantizer's weights and the loss of the last of 50 steps."""
    torch.manual_seed(0)
    task = ColorCNNTask(
        ["tiny:classifier"], 10, [0.5] * 3, [0.25] * 3, quantizer_kwargs=NETWORK, sizes=[16, 32], **options
    ).to(dtype)
    task._trainer = SimpleNamespace(
        max_epochs=1, current_epoch=0, global_step=0, estimated_stepping_batches=steps
    )
    task.targets = Targets()
    task.log = task.log_dict = lambda *_, **__: None
    optimizer = torch.optim.SGD(task.trained().parameters(), rate, momentum=0.9)
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        task._trainer.global_step = step
        images = torch.rand(BATCH, 3, SIDE, SIDE, generator=generator).to(dtype)
        batch = Batch(images, torch.arange(BATCH) % 10, torch.full((BATCH,), step))
        optimizer.zero_grad()
        loss = task.training_step(batch, step)
        loss.backward()
        optimizer.step()
    weights = torch.cat([weights.detach().flatten() for weights in task.trained().parameters()])
    return weights, loss.detach()


@pytest.mark.parametrize(
    ("recipe", "dtype", "rate", "tolerance"),
    [
        ("paper", torch.float32, 2e-4, 1e-4),
        ("light", torch.float32, 2e-4, 1e-4),
        ("light", torch.float64, 1e-2, 1e-9),
        ("hardened", torch.float64, 1e-2, 1e-9),
    ],
)
def test_fifty_steps_of_sparse_and_dense_assignments_agree(recipe, dtype, rate, tolerance):
    """In float32 a rounding error can decide a near tie, from where two trainings part slowly."""
    dense, sparse = (
        trained(dtype, rate=rate, assignment_form=form, **RECIPES[recipe]) for form in ("dense", "sparse")
    )
    torch.testing.assert_close(sparse, dense, rtol=0, atol=tolerance)
    begun = trained(dtype, 1, rate, **RECIPES[recipe])
    assert (dense[0] - begun[0]).abs().max() > 10 * tolerance, "50 steps move the weights"


def test_on_a_cpu_the_sparse_form_is_used_for_many_colours(monkeypatch):
    used = []

    def made(form, size):
        task = ColorCNNTask(
            ["tiny:classifier"], 10, [0.5] * 3, [0.25] * 3, quantizer_kwargs=NETWORK, assignment_form=form
        )
        return type(task._assign(torch.rand(1, 3, 8, 8), size, 1.0, 0.0, torch.arange(1))).__name__

    used = [made(form, size) for form in ("auto", "dense", "sparse") for size in (4, 8, 16)]
    tensor, sparse = "Tensor", "SparseAssignment"
    assert used == [tensor, tensor, sparse, tensor, tensor, tensor, tensor, sparse, sparse]


def test_a_bad_loss_is_found_at_once_on_a_cpu():
    check = FiniteCheck(every=3)
    assert check.note(torch.tensor(1.0), 0) is None
    found = check.note(torch.tensor(torch.inf), 1)
    assert found == (torch.inf, 1)
    assert check.check() == found


def test_the_first_of_several_bad_losses_is_found_every_so_many_steps():
    check = FiniteCheck(every=3)
    losses = [
        SimpleNamespace(device=torch.device("cuda"), detach=lambda v=v: torch.tensor(v))
        for v in (1.0, torch.inf, torch.nan, 1.0)
    ]
    found = [check.note(loss, 10 + step) for step, loss in enumerate(losses)]
    assert found == [None, None, (torch.inf, 11), None]
    assert check.check() == (torch.inf, 11)


@pytest.mark.parametrize(
    ("options", "benchmark"), [({}, True), ({"deterministic": True}, False), ({"benchmark": False}, False)]
)
def test_cudnn_chooses_by_speed_unless_results_are_to_repeat(options, benchmark, monkeypatch):
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda *_, **__: None)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", not benchmark)
    trainer.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, **options)
    assert torch.backends.cudnn.benchmark is benchmark


@pytest.mark.slow
def test_networks_are_compiled_in_place(monkeypatch):
    """The names of the weights stay, and the results agree; the compiler is one that needs no C++."""
    monkeypatch.setattr("colorcnn.tasks.colorcnn.COMPILER", "aot_eager")
    images = torch.rand(2, 3, 8, 8)
    outputs = []
    for compiled in (False, True):
        torch.manual_seed(0)
        task = ColorCNNTask(
            ["tiny:classifier"],
            10,
            [0.5] * 3,
            [0.25] * 3,
            quantizer_kwargs=NETWORK,
            compile=compiled,
            imitation_weight=0.0,
        )
        names = list(task.state_dict())
        task._trainer = SimpleNamespace(world_size=1, is_global_zero=True, datamodule=None)
        task.on_fit_start()
        assert list(task.state_dict()) == names
        assert (task.quantizer.backbone._compiled_call_impl is not None) is compiled
        soft = task.quantizer.soft(images, 4)
        outputs.append((soft.detach(), task.judges[0](images)))
    torch.testing.assert_close(outputs[1], outputs[0], rtol=0, atol=1e-5)

"""Updates, rates and clipping are PyTorch's, from the same state."""

import numpy as np
import pytest

from jitgraph import Tensor, optim

torch = pytest.importorskip("torch")

SHAPES = ((4, 3), (3,), (2, 2, 2))
OPTIMIZERS = {
    "SGD": [{"lr": 0.1}, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "dampening": 0.2},
            {"lr": 0.05, "momentum": 0.8, "nesterov": True}],
    "Adam": [{}, {"lr": 0.1, "weight_decay": 0.2, "betas": (0.8, 0.95)}, {"amsgrad": True}],
    "AdamW": [{}, {"lr": 0.1, "weight_decay": 0.3, "amsgrad": True}],
    "RMSprop": [{}, {"momentum": 0.9, "centered": True, "weight_decay": 0.1}, {"alpha": 0.8}],
    "Adagrad": [{}, {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.5}],
}  # fmt: skip
CASES = [(name, options) for name, every in OPTIMIZERS.items() for options in every]
TOLERANCE = {np.float64: 1e-12, np.float32: 2e-6}


def pairs(dtype):
    rng = np.random.default_rng(0)
    start = [rng.standard_normal(s).astype(dtype) for s in SHAPES]
    mine = [Tensor(a.copy(), requires_grad=True) for a in start]
    theirs = [torch.tensor(a.copy(), requires_grad=True) for a in start]
    return mine, theirs, rng


def give_gradients(mine, theirs, rng) -> None:
    for m, t in zip(mine, theirs, strict=True):
        g = rng.standard_normal(m.shape).astype(m.dtype)
        m.grad, t.grad = Tensor(g.copy()), torch.tensor(g.copy())


def same(mine, theirs, tolerance=1e-12) -> None:
    for m, t in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(m.data, t.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{n} {o}" for n, o in CASES])
def test_updates(name, options, dtype) -> None:
    mine, theirs, rng = pairs(dtype)
    ours = getattr(optim, name)(mine, **options)
    pytorchs = getattr(torch.optim, name)(theirs, **options)
    for step in range(5):
        give_gradients(mine, theirs, rng)
        if step == 2:
            mine[0].grad = theirs[0].grad = None  # which is then left as it is
        ours.step()
        pytorchs.step()
        same(mine, theirs, TOLERANCE[dtype])


def test_groups_have_options_of_their_own() -> None:
    mine, theirs, rng = pairs(np.float64)
    ours, pytorchs = (
        library.SGD([{"params": p[:1], "lr": 0.5}, {"params": p[1:]}], lr=0.1, momentum=0.9)
        for library, p in ((optim, mine), (torch.optim, theirs))
    )
    for _ in range(3):
        give_gradients(mine, theirs, rng)
        ours.step()
        pytorchs.step()
    same(mine, theirs)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Lion"])
def test_another_optimiser_goes_on_from_the_state(name) -> None:
    whole, _, rng = pairs(np.float64)
    halves, theirs, _ = pairs(np.float64)
    options = {"momentum": 0.9} if name == "SGD" else {}
    first, second = (getattr(optim, name)(p, lr=0.1, **options) for p in (whole, halves))
    for step in range(6):
        if step == 3:
            state = second.state_dict()
            second = getattr(optim, name)(halves, lr=7.0)
            second.load_state_dict(state)
        give_gradients(whole, theirs, rng)
        for a, b in zip(whole, halves, strict=True):
            b.grad = Tensor(a.grad.data.copy())
        first.step()
        second.step()
    for a, b in zip(whole, halves, strict=True):
        np.testing.assert_array_equal(a.data, b.data)


SCHEDULERS = [
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.01}),
    ("LinearLR", {"start_factor": 0.2, "total_iters": 4}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 14}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 14, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 14, "cycle_momentum": False}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), SCHEDULERS, ids=[n for n, _ in SCHEDULERS])
def test_rates(name, options) -> None:
    mine, theirs, _ = pairs(np.float64)
    ours, pytorchs = optim.SGD(mine, lr=0.1), torch.optim.SGD(theirs, lr=0.1)
    rates = getattr(optim, name)(ours, **options)
    wanted = getattr(torch.optim.lr_scheduler, name)(pytorchs, **options)
    for _ in range(14):
        assert rates.get_last_lr() == pytest.approx(wanted.get_last_lr(), rel=1e-12)
        momenta = [o.param_groups[0]["momentum"] for o in (ours, pytorchs)]
        assert momenta[0] == pytest.approx(momenta[1], rel=1e-12)
        pytorchs.step()
        rates.step()
        wanted.step()


def test_a_cycle_of_adam() -> None:
    """The rate and the first of its betas change from step to step, in one program."""
    mine, theirs, rng = pairs(np.float64)
    ours, pytorchs = optim.Adam(mine), torch.optim.Adam(theirs)
    cycle = optim.OneCycleLR(ours, 0.1, 9)
    wanted = torch.optim.lr_scheduler.OneCycleLR(pytorchs, 0.1, 9)
    for _ in range(9):
        for a, b in zip(mine, theirs, strict=True):
            gradient = rng.standard_normal(a.shape)
            a.grad, b.grad = Tensor(gradient), torch.tensor(gradient)
        for each in (ours, pytorchs, cycle, wanted):
            each.step()
        assert ours.param_groups[0]["betas"] == pytest.approx(pytorchs.param_groups[0]["betas"])
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-10)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_rates_that_go_down_where_nothing_gets_better(mode) -> None:
    mine, theirs, rng = pairs(np.float64)
    ours, pytorchs = optim.SGD(mine, lr=0.1), torch.optim.SGD(theirs, lr=0.1)
    options = {"mode": mode, "patience": 2, "cooldown": 1, "factor": 0.5, "min_lr": 0.02}
    rates = optim.ReduceLROnPlateau(ours, **options)
    wanted = torch.optim.lr_scheduler.ReduceLROnPlateau(pytorchs, **options)
    for measure in np.abs(rng.standard_normal(40)) + 1:
        rates.step(measure)
        wanted.step(measure)
        assert ours.lr == pytest.approx(pytorchs.param_groups[0]["lr"], rel=1e-12)


@pytest.mark.parametrize("kind", [2.0, 1.0, 3.0, np.inf])
@pytest.mark.parametrize("limit", [0.5, 1e3])
def test_clipping_by_norm(kind, limit) -> None:
    mine, theirs, rng = pairs(np.float64)
    give_gradients(mine, theirs, rng)
    norm = optim.clip_grad_norm_(mine, limit, kind)
    assert norm == pytest.approx(float(torch.nn.utils.clip_grad_norm_(theirs, limit, kind)))
    same([p.grad for p in mine], [p.grad for p in theirs])


def test_clipping_by_value() -> None:
    mine, theirs, rng = pairs(np.float64)
    give_gradients(mine, theirs, rng)
    optim.clip_grad_value_(mine, 0.3)
    torch.nn.utils.clip_grad_value_(theirs, 0.3)
    same([p.grad for p in mine], [p.grad for p in theirs])

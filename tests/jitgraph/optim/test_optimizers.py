"""A step is one program; what optimisers and schedulers refuse."""

import numpy as np
import pytest

from jitgraph import Tensor, optim


def parameters():
    rng = np.random.default_rng(0)
    found = [Tensor(rng.standard_normal(s), requires_grad=True) for s in ((4, 3), (3,))]
    for p in found:
        p.grad = Tensor(rng.standard_normal(p.shape))
    return found


def test_lion_by_its_recurrence() -> None:
    (p, _) = given = parameters()
    x, m = p.data.copy(), np.zeros((4, 3))
    optimizer = optim.Lion(given, lr=0.1, weight_decay=0.2)
    for k in range(4):
        g = p.grad.data * (k - 1)
        p.grad = Tensor(g)
        optimizer.step()
        x = x - 0.1 * (np.sign(0.9 * m + 0.1 * g) + 0.2 * x)
        m = 0.99 * m + 0.01 * g
        np.testing.assert_allclose(p.data, x, rtol=1e-13)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Lion"])
def test_a_step_is_one_program_for_all_rates(name) -> None:
    optimizer = getattr(optim, name)(parameters(), lr=0.1)
    arrays = [p.data for p in optimizer.param_groups[0]["params"]]
    before = type(optimizer)._program().cache_info()
    for rate in (0.1, 0.05, 0.01, 0.005):
        optimizer.lr = rate
        optimizer.step()
    after = type(optimizer)._program().cache_info()
    assert after.captures - before.captures <= 2  # the first step of some differs
    assert after.fallbacks == before.fallbacks
    now = [p.data for p in optimizer.param_groups[0]["params"]]
    assert all(a is b for a, b in zip(now, arrays, strict=True))


ERRORS = {
    "no parameters": (lambda: optim.SGD([]), ValueError, "got no parameters"),
    "no tensors": (lambda: optim.SGD([np.ones(3)]), TypeError, "takes Tensors"),
    "a rate": (lambda: optim.SGD(parameters(), lr=-1.0), ValueError, "is negative"),
    "betas": (lambda: optim.Adam(parameters(), betas=(1.0, 0.9)), ValueError, "lie in"),
    "nesterov": (lambda: optim.SGD(parameters(), nesterov=True), ValueError, "Nesterov"),
    "an option": (
        lambda: optim.SGD([{"params": parameters(), "eps": 1.0}]), ValueError, "no option 'eps'"
    ),
    "twice": (lambda: optim.SGD([{"params": p} for p in [parameters()] * 2]), ValueError, "in two"),
    "another state": (
        lambda: optim.SGD(parameters()).load_state_dict(optim.SGD(parameters()[:1]).state_dict()),
        ValueError, r"groups of \[1\] parameters",
    ),
    "a cycle's end": (
        lambda: [s.step() for s in [optim.OneCycleLR(optim.SGD(parameters()), 0.1, 2)] * 3],
        ValueError, "step 3 of a cycle of 2 steps",
    ),
    "no momentum": (
        lambda: optim.OneCycleLR(optim.Adagrad(parameters()), 0.1, 2),
        ValueError, "cycle_momentum=False",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors_say_what_to_do(name) -> None:
    call, kind, match = ERRORS[name]
    with pytest.raises(kind, match=match):
        call()

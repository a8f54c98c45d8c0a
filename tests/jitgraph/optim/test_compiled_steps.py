"""Training steps as one program: forward, loss, backward, clipping, update, as in dynamic mode."""

import copy

import numpy as np
import pytest

import jitgraph
from jitgraph import nn, no_grad, optim
from jitgraph.nn import functional as F

RNG = np.random.default_rng(0)
BATCHES = [
    (RNG.standard_normal((n, 6)).astype("f4"), RNG.integers(0, 3, n)) for n in (8, 8, 8, 8, 5)
]
OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, 0.1),
    "momentum": lambda p: optim.SGD(p, 0.1, momentum=0.9, dampening=0.1, weight_decay=1e-2),
    "nesterov": lambda p: optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, 1e-2, weight_decay=1e-2, amsgrad=True),
    "adamw": lambda p: optim.AdamW(p, 1e-2),
    "rmsprop": lambda p: optim.RMSprop(p, 1e-2, momentum=0.5, centered=True),
    "adagrad": lambda p: optim.Adagrad(p, 1e-2, lr_decay=0.1),
    "lion": lambda p: optim.Lion(p, 1e-2),
}


def small() -> nn.Module:
    jitgraph.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 3))


def train(model, optimizer, x, y):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss


def assert_alike(mine: nn.Module, other: nn.Module, atol: float = 2e-6) -> None:
    state, expected = mine.state_dict(), other.state_dict()
    assert state.keys() == expected.keys()
    for name in state:
        np.testing.assert_allclose(state[name], expected[name], rtol=1e-5, atol=atol, err_msg=name)
    for p, q in zip(mine.parameters(), other.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:
            assert type(p.grad) is jitgraph.Tensor
            np.testing.assert_allclose(p.grad.data, q.grad.data, rtol=1e-5, atol=1e-6)


def run_both(step, model, optimizer_of, batches=BATCHES, between=lambda *args: None, **options):
    """Steps compiled and op by op, from the same state; gives the compiled function."""
    other = copy.deepcopy(model)
    mine, others = optimizer_of(model.parameters()), optimizer_of(other.parameters())
    compiled = jitgraph.compile(step, strict=True)
    for k, (x, y) in enumerate(batches):
        jitgraph.manual_seed(k)
        loss = compiled(model, mine, x, y)
        drawn = jitgraph.get_rng_state()
        jitgraph.manual_seed(k)
        expected = step(other, others, x, y)
        assert type(loss) is type(expected) and jitgraph.get_rng_state() == drawn
        np.testing.assert_allclose(_plain(loss), _plain(expected), rtol=1e-5)
        assert_alike(model, other, **options)
        between(k, mine, others)
    return compiled


def _plain(value):
    return value.data if isinstance(value, jitgraph.Tensor) else value


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_in_one_program_for_all_sizes_of_batches(name: str) -> None:
    compiled = run_both(train, small(), OPTIMIZERS[name])
    info = compiled.cache_info()
    assert (info.captures, info.fallbacks) == (1, 0)


def test_what_a_program_of_a_step_is() -> None:
    model, (x, y) = small(), BATCHES[0]
    compiled = run_both(train, model, OPTIMIZERS["adamw"])
    optimizer = OPTIMIZERS["adamw"](model.parameters())
    text = compiled.explain(model, optimizer, x, y)
    assert "static graph" in text and "Python  " not in text
    graph = compiled.graph(model, optimizer, x, y)
    graph.verify()
    assert len(graph.writes) == 3 * 4  # parameters, means and squares
    updates = [s for s in text.details["steps"] if "sqrt" in str(s.get("operations"))]
    assert len(updates) == 4  # a kernel for each parameter, which stores three arrays
    for _ in range(4):
        compiled(model, optimizer, x, y)
    assert "in machine code" in compiled.explain(model, optimizer, x, y)


def test_batches_of_tensors_go_through_machine_code() -> None:
    model = small()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    compiled = jitgraph.compile(train, strict=True)
    for x, y in BATCHES:
        loss = compiled(model, optimizer, jitgraph.Tensor(x), jitgraph.Tensor(y))
        assert type(loss) is jitgraph.Tensor and not loss.requires_grad
    x, y = map(jitgraph.Tensor, BATCHES[0])
    assert "in machine code" in compiled.explain(model, optimizer, x, y)


def test_a_model_that_is_only_asked() -> None:
    model, (x, _) = small(), BATCHES[0]
    compiled = jitgraph.compile(model)
    with no_grad():
        for _ in range(5):
            np.testing.assert_allclose(compiled(x).data, model(x).data, rtol=1e-6)
        assert "in machine code" in compiled.explain(x)
    compiled(x).sum().backward()  # where gradients are recorded it is another program
    assert model[0].weight.grad is not None
    with no_grad():
        model[0].weight = nn.Parameter(np.zeros((7, 6), "f4"))
        np.testing.assert_allclose(compiled(x).data, model(x).data, rtol=1e-6)


def test_layers_with_buffers_and_random_numbers() -> None:
    model = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3)
    )
    compiled = run_both(train, model, OPTIMIZERS["momentum"], atol=1e-5)
    assert compiled.cache_info().captures == 1
    assert int(model[1].num_batches_tracked.data) == len(BATCHES)


def test_a_sequence_model() -> None:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            self.words, self.state = nn.Embedding(10, 4), nn.GRU(4, 5, batch_first=True)
            self.head = nn.Linear(5, 3)

        def forward(self, tokens):
            states, _ = self.state(self.words(tokens))
            return self.head(states[:, -1])

    batches = [(RNG.integers(0, 10, (n, 4)), RNG.integers(0, 3, n)) for n in (4, 4, 3)]
    compiled = run_both(train, Tagger(), OPTIMIZERS["adam"], batches)
    assert compiled.cache_info().captures == 1


@pytest.mark.parametrize("clip", [
    lambda parameters: optim.clip_grad_norm_(parameters, 0.05),
    lambda parameters: optim.clip_grad_norm_(parameters, 100.0),
    lambda parameters: optim.clip_grad_norm_(parameters, 0.05, float("inf")),
    lambda parameters: optim.clip_grad_value_(parameters, 0.01),
])  # fmt: skip
def test_clipping(clip) -> None:
    def step(model, optimizer, x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        clip(model.parameters())
        optimizer.step()
        return loss.item()

    assert run_both(step, small(), OPTIMIZERS["sgd"]).cache_info().captures == 1


def test_options_and_states_may_change_between_steps() -> None:
    def between(k, *optimizers):
        for optimizer in optimizers:
            optimizer.lr = 0.1 / (k + 1)
            if k == 2:
                optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))

    compiled = run_both(train, small(), OPTIMIZERS["momentum"], between=between)
    assert compiled.cache_info().captures == 1


def test_gradients_add_up_until_they_are_forgotten() -> None:
    def step(model, optimizer, x, y):
        for part in (slice(0, 2), slice(2, None)):
            F.cross_entropy(model(x[part]), y[part], reduction="sum").backward()
        optimizer.step()
        return F.cross_entropy(model(x), y)

    run_both(step, small(), OPTIMIZERS["sgd"], BATCHES[:3])

    def forgetting(model, optimizer, x, y):
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()

    compiled = jitgraph.compile(forgetting, strict=True)
    model = small()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    for x, y in BATCHES[:3]:
        compiled(model, optimizer, x, y)
        assert all(p.grad is None for p in model.parameters())
    assert compiled.cache_info().captures == 1


def test_groups_and_frozen_parameters() -> None:
    def by_group(parameters):
        first, *others = [p for p in parameters if p.requires_grad]
        return optim.AdamW([{"params": [first], "lr": 0.1}, {"params": others}], 1e-3)

    model = small()
    model[0].bias.requires_grad_(False)
    before = model[0].bias.data.copy()
    compiled = run_both(train, model, by_group, BATCHES[:3])
    np.testing.assert_array_equal(model[0].bias.data, before)
    assert compiled.cache_info().captures == 1


def test_what_is_computed_under_no_grad_is_a_constant() -> None:
    def step(model, optimizer, x, y):
        with no_grad():
            target = F.softmax(model(x), 1)
        optimizer.zero_grad()
        loss = ((F.softmax(model(x), 1) - 0.9 * target) ** 2).sum()
        loss.backward()
        optimizer.step()
        with no_grad():
            for p in model.parameters():
                p.data *= 0.999
        return loss

    assert run_both(step, small(), OPTIMIZERS["sgd"]).cache_info().captures == 1


def test_another_mode_of_the_model_is_another_program() -> None:
    model = nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.5))
    optimizer, (x, y) = OPTIMIZERS["sgd"](model.parameters()), BATCHES[0]
    compiled = jitgraph.compile(train, strict=True)
    for mode, captures in ((True, 1), (True, 1), (False, 2), (True, 2)):
        model.train(mode)
        compiled(model, optimizer, x, y)
        assert compiled.cache_info().captures == captures


def test_a_step_that_closes_over_its_model_and_has_no_source() -> None:
    text = """
def step(x, y):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss
"""
    losses = []
    for compiled in (False, True):
        model = small()
        space = {"F": F, "model": model, "optimizer": OPTIMIZERS["adam"](model.parameters())}
        exec(text, space)
        step = jitgraph.compile(space["step"]) if compiled else space["step"]
        losses.append([step(x, y).item() for x, y in BATCHES])
    np.testing.assert_allclose(*losses, rtol=1e-5)


@pytest.mark.parametrize(
    ("loss_of", "message"),
    [
        (lambda model, x: model(x), "starts from a single number"),
        (lambda model, x: model(x).detach().sum(), "nothing to differentiate"),
        (lambda model, x: np.argmax(model(x).data, axis=1).sum(), "gradient"),
    ],
)
def test_backward_of_what_has_no_gradient(loss_of, message: str) -> None:
    def step(model, x):
        loss_of(model, x).backward()

    model = small()
    with pytest.raises(jitgraph.GradientError, match=message):
        jitgraph.compile(step, strict=True)(model, BATCHES[0][0])
    assert all(p.grad is None for p in model.parameters())


def test_a_step_that_fails_counts_for_nothing() -> None:
    model = nn.Embedding(4, 3)
    optimizer = OPTIMIZERS["adam"](model.parameters())
    compiled = jitgraph.compile(train)
    good, bad = np.array([0, 1, 2]), np.array([0, 9, 2])
    y = np.array([0, 1, 2])
    for _ in range(4):
        compiled(model, optimizer, good, y)
    before, steps = model.weight.data.copy(), optimizer.state[model.weight]["step"]
    with pytest.raises(IndexError):
        compiled(model, optimizer, bad, y)
    np.testing.assert_array_equal(model.weight.data, before)
    assert optimizer.state[model.weight]["step"] == steps == 4


def parameters(*values) -> list:
    return [nn.Parameter(np.array(v, "f4")) for v in values]


def detached(a, b):
    return (a * a.detach()).sum() + (b.detach() * a).sum()


def of_its_data(a, b):
    return (a * a.data).sum() + (np.tanh(b.data) * a).sum()


def of_a_results_data(a, b):
    h = a * 2
    return (h * h.data).sum() + (h.detach() * b).sum()


def of_an_earlier_gradient(a, b):
    (a * a).sum().backward()
    return (a.grad * a).sum()


def written_in_between(a, b):
    a.data[0] = 5.0
    a.data *= 2
    return (a * a).sum() + (b * a.data).sum()


CONSTANTS = [
    detached, of_its_data, of_a_results_data, of_an_earlier_gradient, written_in_between,
]  # fmt: skip


def pulling(loss_of, a, b):
    def step():
        a.grad = b.grad = None
        loss = loss_of(a, b)
        loss.backward()
        return loss

    return step


@pytest.mark.parametrize("loss_of", CONSTANTS, ids=lambda f: f.__name__)
def test_what_is_detached_is_a_constant(loss_of) -> None:
    found = []
    for compiled in (False, True):
        a, b = parameters([1, 2, 3], [4, 5, 6])
        step = pulling(loss_of, a, b)
        run = jitgraph.compile(step, strict=True) if compiled else step
        losses = [run().item() for _ in range(5)]
        grads = [None if p.grad is None else p.grad.tolist() for p in (a, b)]
        found.append((losses, grads, a.tolist()))
    assert found[0] == found[1]


def test_two_parameters_on_the_same_memory() -> None:
    def step(x):
        a.grad = b.grad = None
        loss = (a * x).sum() + (b * x * 10).sum()
        loss.backward()
        return loss

    a, b = parameters([1, 2, 3], [1, 1, 1])
    b.data = a.data
    compiled = jitgraph.compile(step)
    for _ in range(4):
        compiled(np.ones(3, "f4"))
        assert a.grad.tolist() == [1] * 3 and b.grad.tolist() == [10] * 3
    with pytest.raises(jitgraph.CaptureError, match=r"same memory \(.*\.py:\d+\).*copy"):
        jitgraph.compile(step, strict=True)(np.ones(3, "f4"))


def with_a_scheduler(w):
    optimizer = optim.SGD([w], 0.1)
    scheduler = optim.StepLR(optimizer, 2, 0.5)
    return lambda x: (_descend(w, optimizer, x), scheduler.step())[0]


def with_an_optimizer_of_its_own(w):
    return lambda x: _descend(w, optim.SGD([w], 0.1, momentum=0.9), x)


def with_a_state_that_is_loaded(w):
    optimizer = optim.SGD([w], 0.1, momentum=0.9)
    state = optimizer.state_dict()
    return lambda x: (_descend(w, optimizer, x), optimizer.load_state_dict(state))[0]


def _descend(w, optimizer, x):
    optimizer.zero_grad()
    loss = (w * x).sum()
    loss.backward()
    optimizer.step()
    return loss


@pytest.mark.parametrize(
    "make", [with_a_scheduler, with_an_optimizer_of_its_own, with_a_state_that_is_loaded]
)
def test_what_is_done_outside_is_refused_inside(make) -> None:
    x, losses = np.ones(3, "f4"), []
    for compiled in (False, True):
        (w,) = parameters([1, 1, 1])
        step = make(w)
        run = jitgraph.compile(step) if compiled else step
        losses.append([run(x).item() for _ in range(6)])
    assert losses[0] == losses[1]
    with pytest.raises(jitgraph.CaptureError, match="do it outside of it"):
        jitgraph.compile(step, strict=True)(x)


def descending(a, b, optimizer):
    def step(x):
        optimizer.zero_grad()
        loss = (a * x).sum() + (b * x * 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    return step


def test_a_parameter_as_an_argument_is_left_to_python() -> None:
    def step(w, x):
        w.grad = None
        loss = (w * x).sum()
        loss.backward()
        return loss

    (w,), x = parameters([1, 1, 1]), np.ones(3, "f4")
    compiled = jitgraph.compile(step)
    for _ in range(3):
        assert compiled(w, x).item() == 3 and w.grad.tolist() == [1, 1, 1]
    with pytest.raises(jitgraph.CaptureError, match="an argument is to collect gradients"):
        jitgraph.compile(step, strict=True)(w, x)


@pytest.mark.parametrize("what", ["freeze", "clear"])
def test_states_that_others_change_between_steps(what: str) -> None:
    found = []
    for compiled in (False, True):
        a, b = parameters([0, 1, 2], [1, 1, 1])
        optimizer = optim.Adam([a, b], 0.1)
        step = descending(a, b, optimizer)
        run = jitgraph.compile(step) if compiled else step
        for k in range(8):
            if what == "freeze":
                a.requires_grad = k not in (3, 4)
            elif k == 3:
                optimizer.state.clear()
            run(np.ones(3, "f4"))
        counts = [state["step"] for state in optimizer.state.values()]
        found.append((counts, np.round(a.data, 5).tolist(), np.round(b.data, 5).tolist()))
    assert found[0] == found[1]

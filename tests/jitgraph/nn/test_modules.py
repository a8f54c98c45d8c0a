"""Modules: what is found in them, saved and loaded, switched and hooked."""

import numpy as np
import pytest

import jitgraph
from jitgraph import Tensor, nn


class Model(nn.Module):
    def __init__(self) -> None:
        self.layers = nn.ModuleList([nn.Linear(4, 3), nn.BatchNorm1d(3)])
        self.heads = nn.ModuleDict({"a": nn.Linear(3, 2, bias=False), "b": nn.Linear(3, 1)})
        self.scale = nn.Parameter(np.ones(3, np.float32))
        self.register_buffer("shift", Tensor(np.zeros(3, np.float32)))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        x = x * self.scale + self.shift
        return self.heads["a"](x), self.heads["b"](x)


NAMES = [
    "scale", "layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias",
    "heads.a.weight", "heads.b.weight", "heads.b.bias",
]  # fmt: skip
BUFFERS = ["shift"] + [
    f"layers.1.{n}" for n in ("running_mean", "running_var", "num_batches_tracked")
]


def test_parameters_buffers_and_modules_by_name() -> None:
    model = Model()
    assert [n for n, _ in model.named_parameters()] == NAMES
    assert [n for n, _ in model.named_buffers()] == BUFFERS
    assert [n for n, _ in model.named_modules()] == [
        "", "layers", "layers.0", "layers.1", "heads", "heads.a", "heads.b"
    ]  # fmt: skip
    assert len(list(model.modules())) == 7
    shared = nn.Sequential(model.heads["a"], model.heads["a"])
    assert len(list(shared.parameters())) == 1
    assert "(layers): ModuleList(" in repr(model)


def test_states_are_saved_and_loaded() -> None:
    model, other = Model(), Model()
    model(Tensor(np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)))
    state = model.state_dict()
    assert sorted(state) == sorted(NAMES + BUFFERS)
    other.load_state_dict(state)
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(value.data, state[name].data)
        assert value.data is not state[name].data or not value.ndim
    before = other.scale.data.copy()
    with pytest.raises(ValueError, match=r"lacks \['scale'\]; it has \['more'\]"):
        other.load_state_dict({k if k != "scale" else "more": v for k, v in state.items()})
    with pytest.raises(ValueError, match=r"shift is of shape \(2,\), not \(3,\)"):
        other.load_state_dict(state | {"shift": np.ones(2), "scale": np.full(3, 7.0)})
    np.testing.assert_array_equal(other.scale.data, before)
    other.load_state_dict({"scale": np.full(3, 7.0)}, strict=False)
    np.testing.assert_array_equal(other.scale.data, [7.0, 7.0, 7.0])


def test_what_is_done_with_all_of_it() -> None:
    model = Model()
    seen = []
    model.apply(lambda m: seen.append(type(m).__name__))
    assert seen[-1] == "Model" and seen.count("Linear") == 3
    assert not model.eval().layers[1].training
    assert model.train().layers[1].training
    assert {p.dtype for p in model.double().parameters()} == {np.dtype(np.float64)}
    assert model.layers[1].num_batches_tracked.dtype == np.int64
    model.requires_grad_(False)
    assert [n for n, p in model.named_parameters() if p.requires_grad] == []
    assert [n for n, _ in model.named_parameters()] == NAMES


def test_hooks_see_and_change_what_goes_in_and_out() -> None:
    layer = nn.Linear(2, 2)
    x = Tensor(np.ones((1, 2), np.float32))
    plain = layer(x).data
    before = layer.register_forward_pre_hook(lambda module, args: args[0] * 2)
    after = layer.register_forward_hook(lambda module, args, result: result + 1)
    changed = layer(x).data
    np.testing.assert_allclose(changed, 2 * plain - layer.bias.data + 1, rtol=1e-6)
    before.remove()
    after.remove()
    np.testing.assert_array_equal(layer(x).data, plain)


def test_dropout() -> None:
    jitgraph.manual_seed(0)
    x = Tensor(np.ones((200, 100)), requires_grad=True)
    layer = nn.Dropout(0.3)
    result = layer(x)
    kept = result.data != 0
    assert kept.mean() == pytest.approx(0.7, abs=0.02)
    np.testing.assert_allclose(result.data[kept], 1 / 0.7)
    result.sum().backward()
    np.testing.assert_array_equal(x.grad.data != 0, kept)
    assert layer.eval()(x) is x
    assert not nn.Dropout(1.0)(x).data.any()
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        nn.Dropout(1.5)


INITS = {
    "uniform_": ({"a": -1.0, "b": 3.0}, 1.0, 4 / np.sqrt(12)),
    "normal_": ({"mean": 2.0, "std": 0.5}, 2.0, 0.5),
    "trunc_normal_": ({}, 0.0, 0.88),
    "constant_": ({"value": 3.0}, 3.0, 0.0),
    "zeros_": ({}, 0.0, 0.0),
    "ones_": ({}, 1.0, 0.0),
    "xavier_uniform_": ({}, 0.0, np.sqrt(2 / 500)),
    "xavier_normal_": ({"gain": 2.0}, 0.0, 2 * np.sqrt(2 / 500)),
    "kaiming_uniform_": ({"nonlinearity": "relu"}, 0.0, np.sqrt(2 / 300)),
    "kaiming_normal_": ({"mode": "fan_out", "nonlinearity": "relu"}, 0.0, np.sqrt(2 / 200)),
}


@pytest.mark.parametrize("name", INITS)
def test_initial_values(name) -> None:
    jitgraph.manual_seed(1)
    options, mean, deviation = INITS[name]
    weight = Tensor(np.full((200, 300), np.nan))
    assert getattr(nn.init, name)(weight, **options) is weight
    assert weight.data.mean() == pytest.approx(mean, abs=0.01)
    assert weight.data.std() == pytest.approx(deviation, abs=0.01)


def test_orthogonal_initial_values() -> None:
    for shape in ((5, 3), (3, 5), (4, 2, 2)):
        w = nn.init.orthogonal_(Tensor(np.zeros(shape)), gain=2.0).data.reshape(shape[0], -1)
        small = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
        np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-12)


def test_bad_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="no 3 equal groups"):
        nn.GroupNorm(3, 4)
    with pytest.raises(ValueError, match="is given an array of shape"):
        nn.BatchNorm2d(4)(Tensor(np.ones((2, 4))))
    with pytest.raises(ValueError, match="larger than"):
        nn.Conv1d(2, 2, 5)(Tensor(np.ones((1, 2, 3), np.float32)))
    with pytest.raises(ValueError, match="a convolution of 2 channels is given 3"):
        nn.Conv1d(2, 2, 1)(Tensor(np.ones((1, 3, 3), np.float32)))

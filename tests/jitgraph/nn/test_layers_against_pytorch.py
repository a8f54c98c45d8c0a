"""Layers give PyTorch's outputs and gradients from the same parameters, op by op and compiled."""

import numpy as np
import pytest

import jitgraph
from jitgraph import Tensor, nn

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((6, 8))
SEQUENCE = RNG.standard_normal((5, 3, 8))  # length, n, width
SIGNAL, IMAGE = RNG.standard_normal((2, 6, 11)), RNG.standard_normal((2, 6, 9, 8))

LAYERS = {
    "Linear": [((8, 5), {}, ROWS), ((8, 5), {"bias": False}, SEQUENCE)],
    "ReLU": [((), {}, ROWS)], "Tanh": [((), {}, ROWS)], "Sigmoid": [((), {}, ROWS)],
    "SiLU": [((), {}, ROWS)], "Softplus": [((), {}, ROWS)], "ELU": [((0.7,), {}, ROWS)],
    "LeakyReLU": [((0.2,), {}, ROWS)],
    "GELU": [((), {}, ROWS), ((), {"approximate": "tanh"}, ROWS)],
    "Softmax": [((), {"dim": 1}, ROWS)], "LogSoftmax": [((), {"dim": 1}, ROWS)],
    "Identity": [((), {}, ROWS)], "Flatten": [((), {}, IMAGE), ((0, 1), {}, SEQUENCE)],
    "LayerNorm": [((8,), {}, SEQUENCE), (((3, 8),), {"eps": 0.1}, SEQUENCE),
                  ((8,), {"elementwise_affine": False}, ROWS), ((8,), {"bias": False}, ROWS)],
    "RMSNorm": [((8,), {}, SEQUENCE), ((8,), {"eps": 0.1}, ROWS)],
    "GroupNorm": [((3, 6), {}, IMAGE), ((2, 8), {}, ROWS)],
    "BatchNorm1d": [((8,), {}, ROWS), ((6,), {"momentum": 0.3}, SIGNAL),
                    ((8,), {"track_running_stats": False}, ROWS)],
    "BatchNorm2d": [((6,), {}, IMAGE), ((6,), {"affine": False}, IMAGE)],
    "Conv1d": [((6, 4, 3), {}, SIGNAL), ((6, 4, 3), {"stride": 2, "padding": 1}, SIGNAL),
               ((6, 4, 2), {"dilation": 2, "groups": 2, "bias": False}, SIGNAL)],
    "Conv2d": [((6, 4, 3), {}, IMAGE), ((6, 6, (3, 2)), {"stride": (2, 1), "padding": 1}, IMAGE),
               ((6, 12, 3), {"groups": 6, "dilation": 2}, IMAGE)],
    "MaxPool1d": [((2,), {}, SIGNAL), ((3,), {"stride": 2, "padding": 1}, SIGNAL)],
    "MaxPool2d": [((2,), {}, IMAGE), ((3,), {"stride": 2, "padding": 1}, IMAGE)],
    "AvgPool1d": [((2,), {}, SIGNAL)],
    "AvgPool2d": [((2,), {}, IMAGE), ((3,), {"stride": 1, "padding": 1}, IMAGE)],
    "AdaptiveAvgPool1d": [((3,), {}, SIGNAL)], "AdaptiveAvgPool2d": [(((3, 5),), {}, IMAGE)],
    "RNN": [((8, 4), {}, SEQUENCE), ((8, 4, 2), {"bidirectional": True}, SEQUENCE)],
    "GRU": [((8, 4, 2), {"batch_first": True}, SEQUENCE), ((8, 4), {"bias": False}, SEQUENCE)],
    "LSTM": [((8, 4), {}, SEQUENCE), ((8, 4, 2), {"bidirectional": True}, SEQUENCE)],
    "TransformerEncoderLayer": [
        ((8, 2, 16), {"dropout": 0.0}, SEQUENCE),
        ((8, 4, 16), {"dropout": 0.0, "norm_first": True, "activation": "gelu",
                      "batch_first": True}, SEQUENCE),
    ],
}  # fmt: skip
CASES = [(name, *case) for name, cases in LAYERS.items() for case in cases]
EVERY = pytest.mark.parametrize(
    ("name", "args", "options", "x"), CASES, ids=[f"{c[0]}{c[1]} {c[2]}" for c in CASES]
)


def both(name, args, options):
    """A layer of ours and PyTorch's with the same parameters."""
    mine = getattr(nn, name)(*args, **options).double()
    theirs = getattr(torch.nn, name)(*args, **options).double()
    names = [n for n, _ in theirs.named_parameters()]
    assert sorted(n for n, _ in mine.named_parameters()) == sorted(names)
    state = {n: RNG.standard_normal(t.shape) if t.ndim else t.numpy() + 0
             for n, t in theirs.state_dict().items()}  # fmt: skip
    for kept in (n for n in state if n.endswith("running_var")):
        state[kept] = np.abs(state[kept]) + 0.5
    mine.load_state_dict(state)
    theirs.load_state_dict({n: torch.tensor(v) for n, v in state.items()})
    return mine, theirs


def first(value):
    return value[0] if isinstance(value, tuple) else value


def same(mine, theirs, tolerance=1e-10) -> None:
    got = mine.data if isinstance(mine, Tensor) else mine
    np.testing.assert_allclose(got, theirs.detach().numpy(), rtol=tolerance, atol=tolerance)


@EVERY
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluating"])
def test_outputs_gradients_and_buffers(name, args, options, x, training) -> None:
    mine, theirs = both(name, args, options)
    mine.train(training)
    theirs.train(training)
    own, given = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    result, wanted = first(mine(own)), first(theirs(given))
    same(result, wanted)
    weight = RNG.standard_normal(result.shape)
    (result * weight).sum().backward()
    (wanted * torch.tensor(weight)).sum().backward()
    same(own.grad, given.grad)
    gradients = {n: p.grad for n, p in theirs.named_parameters()}
    for parameter, p in mine.named_parameters():
        same(p.grad, gradients[parameter])
    for buffer, value in mine.named_buffers():
        same(value, dict(theirs.named_buffers())[buffer])


@EVERY
def test_compiled_on_arrays(name, args, options, x) -> None:
    mine, theirs = both(name, args, options)
    mine.eval()
    theirs.eval()
    result = first(jitgraph.compile(lambda v: first(mine(v)), strict=True)(x))
    same(result, first(theirs(torch.tensor(x))))


def test_states_of_recurrent_layers_go_in_and_out() -> None:
    for name in ("RNN", "GRU", "LSTM"):
        mine, theirs = both(name, (8, 4, 2), {})
        start = RNG.standard_normal((2, 2, 3, 4))
        states = [tuple(kind(s) for s in start) for kind in (Tensor, torch.tensor)]
        given = states if name == "LSTM" else [s[0] for s in states]
        _, after = mine(Tensor(SEQUENCE), given[0])
        _, wanted = theirs(torch.tensor(SEQUENCE), given[1])
        pairs = zip(after, wanted, strict=True) if name == "LSTM" else [(after, wanted)]
        for got, want in pairs:
            same(got, want)


MASKS = {
    "none": {},
    "causal": {"attn_mask": np.triu(np.ones((5, 5), bool), 1)},
    "added": {"attn_mask": RNG.standard_normal((5, 5))},
    "padding": {"key_padding_mask": np.array([[False] * 5, [False] * 3 + [True] * 2, [False] * 5])},
    "of each head": {"attn_mask": RNG.standard_normal((6, 5, 5))},
}


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("mask", MASKS)
def test_attention(mask, batch_first) -> None:
    mine, theirs = both("MultiheadAttention", (8, 2), {"batch_first": batch_first})
    x = np.swapaxes(SEQUENCE, 0, 1) if batch_first else SEQUENCE
    y = x * 0.5 + 1
    own = {k: Tensor(v) for k, v in MASKS[mask].items()}
    pytorchs = {k: torch.tensor(v) for k, v in MASKS[mask].items()}
    result = mine(Tensor(x), Tensor(y), Tensor(y * 2), **own)
    wanted = theirs(torch.tensor(x), torch.tensor(y), torch.tensor(y * 2), **pytorchs)
    for got, want in zip(result, wanted, strict=True):
        same(got, want)


def test_embeddings() -> None:
    positions = RNG.integers(0, 7, (4, 5))
    for padding in (None, 2):
        mine, theirs = both("Embedding", (7, 3), {"padding_idx": padding})
        result, wanted = mine(positions), theirs(torch.tensor(positions))
        same(result, wanted)
        (result**2).sum().backward()
        (wanted**2).sum().backward()
        same(mine.weight.grad, theirs.weight.grad)
    with pytest.raises(TypeError, match="must be integers"):
        mine(np.ones(3))


@pytest.mark.parametrize("causal", [True, False])
def test_attention_as_a_function(causal) -> None:
    q, k, v = RNG.standard_normal((3, 2, 4, 5, 6))
    mine = nn.functional.scaled_dot_product_attention(*map(Tensor, (q, k, v)), is_causal=causal)
    theirs = torch.nn.functional.scaled_dot_product_attention(
        *map(torch.tensor, (q, k, v)), is_causal=causal
    )
    same(mine, theirs)


def test_initial_values_have_pytorchs_spread() -> None:
    jitgraph.manual_seed(0)
    torch.manual_seed(0)
    for name, args in (("Linear", (64, 200)), ("Conv2d", (16, 50, 3)), ("GRU", (40, 64))):
        theirs = dict(getattr(torch.nn, name)(*args).named_parameters())
        for parameter, value in getattr(nn, name)(*args).named_parameters():
            wanted = theirs[parameter].detach().numpy()
            assert value.data.std() == pytest.approx(wanted.std(), rel=0.2)
            assert np.abs(value.data).max() == pytest.approx(np.abs(wanted).max(), rel=0.2)

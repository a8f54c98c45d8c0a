"""`jitgraph.numpy`: the array API standard's names on arrays, Tensors and traced values."""

import numpy as np
import pytest

import jitgraph
import jitgraph.numpy as jnp
from support import assert_same

STANDARD = """
    abs acos acosh add all any arange argmax argmin argsort asarray asin asinh astype atan atan2
    atanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor
    bool broadcast_arrays broadcast_to can_cast ceil clip complex128 complex64 concat conj copysign
    cos cosh count_nonzero cumulative_prod cumulative_sum diff divide e empty empty_like equal exp
    expand_dims expm1 eye finfo flip float32 float64 floor floor_divide from_dlpack full full_like
    greater greater_equal hypot iinfo imag inf int16 int32 int64 int8 isdtype isfinite isinf isnan
    less less_equal linspace log log10 log1p log2 logaddexp logical_and logical_not logical_or
    logical_xor matmul matrix_transpose max maximum mean meshgrid min minimum moveaxis multiply nan
    negative newaxis nextafter nonzero not_equal ones ones_like permute_dims pi positive pow prod
    real reciprocal remainder repeat reshape result_type roll round searchsorted sign signbit sin
    sinh sort sqrt square squeeze stack std subtract sum take take_along_axis tan tanh tensordot
    tile tril triu trunc uint16 uint32 uint64 uint8 unique_all unique_counts unique_inverse
    unique_values unstack var vecdot where zeros zeros_like
"""
LINALG = """
    cholesky cross det diagonal eigh eigvalsh inv matmul matrix_norm matrix_power matrix_rank
    matrix_transpose outer pinv qr slogdet solve svd svdvals tensordot trace vecdot vector_norm
"""
FFT = "fft ifft fftn ifftn rfft irfft rfftn irfftn hfft ihfft fftfreq rfftfreq fftshift ifftshift"


def test_the_standards_names_are_there() -> None:
    assert [n for n in STANDARD.split() if not hasattr(jnp, n)] == []
    assert [n for n in LINALG.split() if not hasattr(jnp.linalg, n)] == []
    assert [n for n in FFT.split() if not hasattr(jnp.fft, n)] == []
    assert jnp.__array_api_version__ == "2024.12" and "sum" in dir(jnp)
    assert "complex64" in jnp.__array_namespace_info__().dtypes()
    with pytest.raises(AttributeError, match=r"jitgraph\.numpy"):
        jnp.no_such_name  # noqa: B018


X = np.linspace(-2, 3, 12).reshape(3, 4)
CALLS = {
    "elementwise": lambda x: (jnp.exp(x), jnp.pow(x, 2.0), jnp.atan2(x, x + 1), jnp.conj(x)),
    "reduce": lambda x: (jnp.sum(x, axis=0), jnp.std(x), jnp.argmax(x, axis=1), jnp.any(x > 2)),
    "shape": lambda x: (jnp.permute_dims(x, (1, 0)), jnp.concat([x, x]), jnp.matrix_transpose(x),
                        jnp.roll(x, 1), jnp.tile(x, (1, 2)), jnp.repeat(x, 2, axis=0)),
    "select": lambda x: (jnp.where(x > 0, x, 0.0), jnp.clip(x, -1, 1), jnp.take(x, np.array([2]))),
    "products": lambda x: (jnp.matmul(x, x.T), jnp.vecdot(x, x), jnp.tensordot(x, x.T, axes=1)),
    "search": lambda x: (jnp.sort(x), jnp.unique_values(x), jnp.count_nonzero(x > 0)),
    "scan": lambda x: (jnp.cumulative_sum(x, axis=1), jnp.diff(x)),
    "linalg": lambda x: (jnp.linalg.inv(x @ x.T + jnp.eye(3)), jnp.linalg.vector_norm(x)),
    "dtype": lambda x: (jnp.astype(x, jnp.float32), jnp.asarray(x, dtype=jnp.int32)),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_one_text_for_arrays_tensors_and_traces(name: str) -> None:
    function = CALLS[name]
    expected = function(X)
    compiled = jitgraph.compile(function, strict=True)(X)
    eager = function(jitgraph.from_numpy(X))
    for want, got, tensor in zip(expected, compiled, eager, strict=True):
        assert_same(got, want, ulps=64, atol=1e-13)
        assert isinstance(tensor, jitgraph.Tensor)
        assert_same(tensor.data, want, ulps=64, atol=1e-13)


def test_arrays_know_their_namespace_and_share_memory() -> None:
    x = jitgraph.tensor([1.0, 2.0])
    assert x.__array_namespace__() is jnp and x.__array_namespace__(api_version="2024.12") is jnp
    with pytest.raises(ValueError, match="not known"):
        x.__array_namespace__(api_version="1999.12")
    shared = jnp.from_dlpack(x)
    shared[0] = 5
    assert x.data[0] == 5 and x.device == "cpu" and x.to_device("cpu") is x
    assert jitgraph.compile(lambda x: x.__array_namespace__().exp(x), strict=True)(X).shape == (
        3,
        4,
    )


def test_questions_about_dtypes() -> None:
    x = jitgraph.tensor([1.0])
    assert jnp.result_type(x, 1.0) == np.float32 and jnp.result_type("i4", "f8") == np.float64
    assert jnp.can_cast(x, np.float64) and not jnp.can_cast(np.float64, np.int32)
    assert jnp.isdtype(x.dtype, "real floating") and jnp.finfo(jnp.float32).bits == 32

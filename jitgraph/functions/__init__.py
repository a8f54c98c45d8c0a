"""NumPy's functions on NumPy arrays, Tensors and tracers alike.

Each is written in operations of the table, so it runs eagerly, records on the tape, and is
captured.  Decorated with the NumPy function it stands for, so that `np.mean(x)` of a Tensor or a
tracer arrives here.
"""

from . import creation as _creation  # noqa: F401 - registers NumPy's creation functions
from . import elementwise, products, rearranging, reductions, scans, views
from . import fft as _fft  # noqa: F401
from . import linalg as _linalg  # noqa: F401
from .elementwise import *
from .products import *
from .rearranging import *
from .reductions import *
from .scans import *
from .views import *

__all__ = [
    *elementwise.__all__,
    *products.__all__,
    *rearranging.__all__,
    *reductions.__all__,
    *scans.__all__,
    *views.__all__,
]

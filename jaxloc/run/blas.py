"""Limit BLAS, which eigendecompositions on the CPU call, to one thread.

OpenBLAS's threads wait for one another by spinning. Where other work holds the cores, the decomposition of a 512 ×
512 matrix takes two to three times as long with them (``benchmarks/busy_cores.py``), and seconds in some processes;
on an idle machine a second thread gains 2 ms of 20. One thread also makes the last bits of a fit the same on machines
of different numbers of cores.
"""

import scipy.linalg  # noqa: F401  # loads the library that jaxlib calls, so that it can be limited
from threadpoolctl import threadpool_limits


def one_blas_thread() -> threadpool_limits:
    """Limit BLAS and LAPACK to one thread within the context; block on results before leaving it."""
    return threadpool_limits(limits=1, user_api="blas")

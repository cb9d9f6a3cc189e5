"""Shared fixtures and settings."""

import os
import signal

# A shell that runs the tests in its background has them ignore Ctrl-C, and so would every process that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Before numpy and torch are loaded: `make test` runs several processes, and small matrices gain nothing from threads.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import pytest
from hypothesis import settings

settings.register_profile("scalefit", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("scalefit")


@pytest.fixture(scope="session")
def chinchilla():
    """All 245 rows of the Chinchilla data, where SCALEFIT_DATA names a folder that has them."""
    if not os.environ.get("SCALEFIT_DATA"):
        pytest.skip("the Chinchilla data are not at hand: set SCALEFIT_DATA")
    import scalefit as sf

    return sf.load("chinchilla")

"""Theory: what laws of loss follow from the data alone. Its names load on first use, as `scalefit.theory.regime`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

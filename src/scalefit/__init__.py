"""scalefit: tables of training runs in, scaling laws out.

The whole vocabulary is importable from here; names load on first use, so `import scalefit` stays light.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"

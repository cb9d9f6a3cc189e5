"""scaletrain: a lean trainer of small transformers that writes the loss tables scalefit reads.

Names load on first use, so `import scaletrain` loads neither torch nor networkx.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

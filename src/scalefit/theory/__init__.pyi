from . import baseline as baseline
from . import language as language

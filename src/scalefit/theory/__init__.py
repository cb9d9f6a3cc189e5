"""Theory: what laws of loss follow from the data alone."""

from . import baseline as baseline

"""Theory: what laws of loss follow from the data alone."""

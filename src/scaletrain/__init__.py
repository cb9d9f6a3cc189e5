"""scaletrain: a lean trainer of small transformers that writes the loss tables scalefit reads."""

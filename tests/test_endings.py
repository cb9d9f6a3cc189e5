"""How commands end: out of memory is a message, a defect is not hidden."""

import pytest
import typer

from scaletrain.endings import one_message

torch = pytest.importorskip("torch")
import numpy as np


@pytest.mark.parametrize(
    "ask",
    [lambda: np.empty(2**50), lambda: torch.empty(2**50), lambda: torch.empty(2**60)],
    ids=["numpy", "torch", "torch, beyond all addresses"],
)
def test_too_little_memory_is_one_message(ask, capsys):
    with pytest.raises(typer.Exit) as ended, one_message():
        ask()
    assert ended.value.exit_code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: there is too little memory (")
    assert said.count("\n") == 1


def test_other_faults_of_torch_are_not_hidden():
    with pytest.raises(RuntimeError, match="must match"), one_message():
        torch.ones(2) + torch.ones(3)

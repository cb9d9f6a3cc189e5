"""Four runs as a frame and as a table, and what a refusal says: shared by the tests of the table."""

import pandas as pd
import pytest

from scalefit.table import LossTable

FRAME = pd.DataFrame(
    {
        "params": [1e8, 1e9, 1e10, 1e8],
        "tokens": [2e9, 2e10, 2e11, 4e9],
        "loss": [3.2, 2.6, 2.3, 3.1],
        "lr": [1e-3, 3e-4, 1e-4, 1e-3],
        "dataset": ["c4", "c4", "pile", "NA"],
        "kept": [True, True, False, True],
    }
)
TABLE = LossTable.from_frame(FRAME)


def frame_with(**columns):
    return FRAME.assign(**columns)


def refusal(function, *args, **kwargs):
    with pytest.raises(ValueError, match=r"\S") as error:
        function(*args, **kwargs)
    return str(error.value)


def missing_words(message, *words):
    return [word for word in words if word not in message]

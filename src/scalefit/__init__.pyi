from .datasets import DATASETS as DATASETS
from .datasets import load as load
from .fitting import fit as fit
from .fitting import fit_curves as fit_curves
from .fitting import read_fit as read_fit
from .intervals import Doubt as Doubt
from .intervals import Interval as Interval
from .laws import (
    BESIROGLU_2024 as BESIROGLU_2024,
)
from .laws import (
    HOFFMANN_2022 as HOFFMANN_2022,
)
from .laws import (
    HOFFMANN_2022_UNROUNDED as HOFFMANN_2022_UNROUNDED,
)
from .laws import (
    Chinchilla as Chinchilla,
)
from .laws import (
    Exponential as Exponential,
)
from .laws import (
    Law as Law,
)
from .laws import (
    PowerLaw as PowerLaw,
)
from .laws import (
    SeparableLaw as SeparableLaw,
)
from .laws import (
    Term as Term,
)
from .objective import Absolute as Absolute
from .objective import Huber as Huber
from .objective import Squared as Squared
from .parametric import LawRegressor as LawRegressor
from .plotting import plot_curves as plot_curves
from .plotting import plot_fit as plot_fit
from .plotting import plot_residuals as plot_residuals
from .resampled import Bootstrap as Bootstrap
from .resampling import bootstrap as bootstrap
from .result import Curves as Curves
from .result import Fit as Fit
from .schemes import Pairs as Pairs
from .schemes import Wild as Wild
from .schemes import wild_bca as wild_bca
from .simulation import grid as grid
from .simulation import simulate as simulate
from .status import Status as Status
from .table import LossTable as LossTable

__version__: str

# The tuner's public names and where they live: type checkers read this, and so does `__init__.py`.

from tdsl.autotune.knobs import (
    KnobError as KnobError,
    KnobInt as KnobInt,
    Knobs as Knobs,
)
from tdsl.autotune.lookup import (
    NotTuned as NotTuned,
    tuned_schedule as tuned_schedule,
)
from tdsl.autotune.measure import Limits as Limits
from tdsl.autotune.models import model_tasks as model_tasks
from tdsl.autotune.results import (
    Listener as Listener,
    TaskResult as TaskResult,
)
from tdsl.autotune.search import SearchKind as SearchKind
from tdsl.autotune.session import Options as Options
from tdsl.autotune.space import Space as Space
from tdsl.autotune.tasks import (
    Task as Task,
    task_of as task_of,
)
from tdsl.autotune.template import (
    Template as Template,
    template as template,
)
from tdsl.autotune.tuning import tune as tune

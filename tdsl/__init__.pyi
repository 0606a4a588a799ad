# The public names and where they live: type checkers read this, and so does `__init__.py`.

from tdsl import autotune as autotune, graph as graph, schedules as schedules
from tdsl.api import (
    Kernel as Kernel,
    build as build,
    export_library as export_library,
)
from tdsl.autotune.template import (
    template as template,
)
from tdsl.dtypes import (
    bfloat16 as bfloat16,
    bool_ as bool_,
    float16 as float16,
    float32 as float32,
    float64 as float64,
    int8 as int8,
    int16 as int16,
    int32 as int32,
    int64 as int64,
    uint8 as uint8,
    uint16 as uint16,
    uint32 as uint32,
    uint64 as uint64,
)
from tdsl.errors import (
    DeclarationError as DeclarationError,
    FormatError as FormatError,
    InternalError as InternalError,
    LoweringError as LoweringError,
    ScheduleError as ScheduleError,
    Span as Span,
    TdslError as TdslError,
    TypeMismatch as TypeMismatch,
    Witness as Witness,
)
from tdsl.graph.library import (
    export_model as export_model,
)
from tdsl.graph.session import (
    Session as Session,
)
from tdsl.lang.compute import (
    compute as compute,
)
from tdsl.lang.extern import (
    extern as extern,
    extern_function as extern_function,
)
from tdsl.lang.extern_kernel import (
    extern_kernel as extern_kernel,
)
from tdsl.lang.fixed_point import (
    absd as absd,
    halving_add as halving_add,
    mul_shift_right as mul_shift_right,
    rounding_halving_add as rounding_halving_add,
    rounding_mul_shift_right as rounding_mul_shift_right,
    rounding_shift_right as rounding_shift_right,
    saturating_add as saturating_add,
    saturating_cast as saturating_cast,
    saturating_sub as saturating_sub,
    widening_add as widening_add,
    widening_mul as widening_mul,
    widening_sub as widening_sub,
)
from tdsl.lang.func import (
    Func as Func,
    func as func,
)
from tdsl.lang.instruction import (
    instruction as instruction,
)
from tdsl.lang.mathfns import (
    abs as abs,
    acos as acos,
    asin as asin,
    atan as atan,
    atan2 as atan2,
    ceil as ceil,
    clz as clz,
    cos as cos,
    cosh as cosh,
    erf as erf,
    exp as exp,
    exp2 as exp2,
    expm1 as expm1,
    floor as floor,
    fmod as fmod,
    isinf as isinf,
    isnan as isnan,
    log as log,
    log1p as log1p,
    log2 as log2,
    log10 as log10,
    popcount as popcount,
    pow as pow,
    round as round,
    rsqrt as rsqrt,
    sigmoid as sigmoid,
    sin as sin,
    sinh as sinh,
    sqrt as sqrt,
    tan as tan,
    tanh as tanh,
    trunc as trunc,
)
from tdsl.lang.reduce import (
    all as all,
    any as any,
    argmax as argmax,
    argmin as argmin,
    max as max,
    min as min,
    prod as prod,
    reducer as reducer,
    sum as sum,
)
from tdsl.lang.reference import (
    reference as reference,
)
from tdsl.lang.scan import (
    scan as scan,
)
from tdsl.lang.sugar import (
    einsum as einsum,
    pad as pad,
    reshape as reshape,
)
from tdsl.lang.tensor import (
    Axis as Axis,
    Tensor as Tensor,
    inout as inout,
    placeholder as placeholder,
    reduce_axis as reduce_axis,
    scan_axis as scan_axis,
    unchecked as unchecked,
)
from tdsl.lang.update import (
    update as update,
)
from tdsl.lang.value import (
    Size as Size,
    Value as Value,
    cast as cast,
    maximum as maximum,
    minimum as minimum,
    select as select,
    sizes as sizes,
)
from tdsl.schedules.default import (
    DefaultSchedule as DefaultSchedule,
    default_schedule as default_schedule,
)
from tdsl.scheduling import (
    Schedule as Schedule,
    combinator as combinator,
    load_schedule as load_schedule,
)
from tdsl.target import (
    Target as Target,
    target as target,
)

__version__: str

"""The C header of kernels: the structs of ABI v1, and a function of plain pointers for each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from string import Template

from tdsl.dtypes import DType, int64
from tdsl.runtime.abi import VERSION, ErrorCode
from tdsl.runtime.signature import Param, Role, Signature

_WORDS = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl const
constexpr const_cast continue decltype default delete do double dynamic_cast else enum explicit
export extern false float for friend goto if inline int long main mutable namespace new noexcept
not not_eq nullptr operator or or_eq private protected public register reinterpret_cast restrict
return short signed sizeof static static_assert static_cast struct switch template this
thread_local throw true try typedef typeid typename union unsigned using virtual void volatile
wchar_t while xor xor_eq
"""
KEYWORDS = frozenset(_WORDS.split())
"""What C and C++ keep for themselves."""

_TYPES = {"float32": "float", "float64": "double", "float16": "uint16_t", "bfloat16": "uint16_t"}

_HEADER = Template("""\
/* $title
 *
 * Made by tdsl $version for $target. Link with $library and -lpthread.
 */
#ifndef TDSL_${guard}_H
#define TDSL_${guard}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef TDSL_ABI_VERSION
#define TDSL_ABI_VERSION $abi

/* What a kernel returns. */
enum {
$codes
};

/* An array; strides are in elements. */
typedef struct {
    void *data;
    const int64_t *shape;
    const int64_t *strides;
    int32_t dtype, rank, device, flags;
    int64_t reserved;
} tdsl_buffer;

/* What a call tells a kernel, and how a kernel tells what went wrong: error_info holds the number
 * of a broken assumption, or the access, index, extent and dimension of an index out of range.
 */
typedef struct {
    int32_t version, num_threads, error_code, reserved;
    int64_t error_info[4];
} tdsl_context;

/* Threads of parallel loops, the calling one included: TDSL_NUM_THREADS in the environment, or one
 * for each CPU that the process may use, unless this sets another number, 1 .. 1024.
 */
void tdsl_set_num_threads(int32_t count);
int32_t tdsl_num_threads(void);
#endif
$functions
#ifdef __cplusplus
}
#endif
#endif
""")

_FUNCTION = Template("""
/* $signature
 *
$notes
 */
int32_t $symbol(const tdsl_buffer *args, int32_t count, tdsl_context *context);

static inline int32_t $name($parameters)
{
    tdsl_context context = {TDSL_ABI_VERSION, 0, 0, 0, {0, 0, 0, 0}};
    tdsl_buffer args[] = {
$arguments
    };
    context.num_threads = tdsl_num_threads();
    return $symbol(args, $count, &context);
}
""")


def c_header(
    kernels: Mapping[str, Signature], *, version: str, target: str, library: str, guard: str
) -> str:
    """The text of a header.

    Args:
        kernels: signatures by the C name of the function; the first is what the header is of.
        version: of tdsl.
        target: what the code was compiled for.
        library: the file name of the static library.
        guard: a C name for the guard against a second inclusion.
    """
    return _HEADER.substitute(
        title=str(next(iter(kernels.values()))),
        version=version,
        target=target,
        library=library,
        guard=guard.upper(),
        abi=VERSION,
        codes=",\n".join(f"    TDSL_{code.name} = {code.value}" for code in ErrorCode),
        functions="".join(_function(name, signature) for name, signature in kernels.items()),
    )


def abi_symbol(name: str) -> str:
    """The symbol of the ABI function behind a C function."""
    return f"{name}_abi"


def is_c_name(name: str) -> bool:
    """Whether a C or C++ program can call a function so."""
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is not None and name not in KEYWORDS


def _function(name: str, signature: Signature) -> str:
    names = _argument_names(signature)
    parameters, arguments = [], []
    for param, own in zip(signature.params, names, strict=False):
        const = "const " if param.role is Role.IN else ""
        parameters.append(f"{const}{_type(param.element)} *{own}")
        strides = "0"
        if param.any_strides:
            strides = f"{own}_strides"
            parameters.append(f"const int64_t *{strides}")
        arguments.append(_buffer(own, strides, param.element.code, len(param.shape)))
    for own in names[len(signature.params) :]:
        parameters.append(f"int64_t {own}")
        arguments.append(_buffer(f"&{own}", "0", int64.code, 0))
    return _FUNCTION.substitute(
        signature=_safe(str(signature)),
        notes="\n".join(f" * {line}" for line in _notes(signature, names)),
        symbol=abi_symbol(name),
        name=name,
        parameters=", ".join(parameters) or "void",
        arguments=",\n".join(arguments),
        count=len(names),
    )


def _buffer(data: str, strides: str, dtype: int, rank: int) -> str:
    return f"        {{(void *){data}, 0, {strides}, {dtype}, {rank}, 0, 0, 0}}"


def _notes(signature: Signature, names: Sequence[str]) -> list[str]:
    """What a caller must know of each argument."""
    lines = ["Arrays are contiguous in row-major order; those written overlap with no other."]
    for param, own in zip(signature.params, names, strict=False):
        lines.append(f"{own}: {_described(param)}")
    if signature.assume:
        lines.append("Returns TDSL_ASSUMPTION_VIOLATED unless " + ", ".join(signature.assume))
    return [_safe(line) for line in lines]


def _described(param: Param) -> str:
    extents = "".join(f"[{dim}]" for dim in param.shape)
    bits = ", as bits" if param.element.is_float and param.element.bits == 16 else ""
    strides = "; strides in elements" if param.any_strides else ""
    kind = {Role.IN: "read", Role.OUT: "written", Role.INOUT: "read and written"}[param.role]
    return f"{param.dtype}{extents}{bits}, {kind}{strides}"


def _safe(text: str) -> str:
    """A text that does not end the comment that it stands in."""
    return text.replace("*/", "* /")


def _type(dtype: DType) -> str:
    if dtype.is_bool:
        return "uint8_t"
    return _TYPES.get(dtype.name, f"{dtype.name}_t")


def _argument_names(signature: Signature) -> list[str]:
    """Names of parameters and sizes that C takes, each once."""
    taken = {"args", "context", "count"}
    names: list[str] = []
    for given in (*(param.name for param in signature.params), *signature.sizes):
        name = re.sub(r"\W", "_", given, flags=re.ASCII)
        if not name or name[0].isdigit():
            name = f"_{name}"
        while name in taken or name in KEYWORDS:
            name += "_"
        taken |= {name, f"{name}_strides"}
        names.append(name)
    return names

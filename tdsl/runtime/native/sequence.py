"""The native entry of whole models: it runs a list of kernels one after the other."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

from tdsl.cache import content_key, default_cache
from tdsl.runtime.native.compiler import compile_ir, llvm_version
from tdsl.runtime.native.loader import LoadedObject, load_object

SYMBOL = "tdsl_run_sequence"
STEP_FORMAT = "=QQii"
"""A step for `struct`: the kernel's address, its arguments, their number, 0."""

# Stamps are pairs of 64-bit numbers, seconds and nanoseconds, one before each step and one at the
# end. The number of the step that failed is left in the context's reserved field.
_TEXT = f"""
%step = type {{ ptr, ptr, i32, i32 }}
declare i32 @clock_gettime(i32, ptr)

define i32 @{SYMBOL}(ptr %steps, i64 %count, ptr %context, ptr %stamps) {{
entry:
  %timed = icmp ne ptr %stamps, null
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %done ]
  br i1 %timed, label %stamp, label %test
stamp:
  %at = getelementptr [16 x i8], ptr %stamps, i64 %i
  %ignored = call i32 @clock_gettime(i32 1, ptr %at)
  br label %test
test:
  %more = icmp slt i64 %i, %count
  br i1 %more, label %body, label %end
body:
  %step = getelementptr %step, ptr %steps, i64 %i
  %kernel = load ptr, ptr %step
  %args.at = getelementptr %step, ptr %step, i64 0, i32 1
  %args = load ptr, ptr %args.at
  %n.at = getelementptr %step, ptr %step, i64 0, i32 2
  %n = load i32, ptr %n.at
  %code = call i32 %kernel(ptr %args, i32 %n, ptr %context)
  %ok = icmp eq i32 %code, 0
  br i1 %ok, label %done, label %failed
done:
  %next = add i64 %i, 1
  br label %head
failed:
  %where = getelementptr i8, ptr %context, i64 12
  %number = trunc i64 %i to i32
  store i32 %number, ptr %where
  ret i32 %code
end:
  ret i32 0
}}
"""


@lru_cache(maxsize=1)
def _loaded() -> LoadedObject:
    cache = default_cache()
    key = content_key("sequence", _TEXT, llvm_version())
    entry = cache.load(key)
    if entry is not None:
        return load_object(entry.code, SYMBOL)
    code = compile_ir(_TEXT)
    cache.store(key, code, {"what": "sequence"})
    return load_object(code, SYMBOL)


@lru_cache(maxsize=1)
def sequence_runner() -> Any:
    """``i32 run(steps, count, context, stamps or NULL)``; the call releases the GIL."""
    pointer = ctypes.c_void_p
    kind = ctypes.CFUNCTYPE(ctypes.c_int32, pointer, ctypes.c_int64, pointer, pointer)
    return kind(_loaded()[SYMBOL])

; Large outputs come from tdsl_alloc, through numpy's own interface for allocators (NEP 49): their
; pages are not touched for the first time in every call. Freed arrays go back to the free lists.

; Pointers into numpy, filled in from Python: PyArray_Empty, PyDataMem_SetHandler, Py_DecRef, and the
; capsule with the four functions below.
@tdsl_numpy = global [4 x ptr] zeroinitializer

declare ptr @memcpy(ptr, ptr, i64)
declare ptr @memset(ptr, i32, i64)
declare { i64, i1 } @llvm.umul.with.overflow.i64(i64, i64)

define ptr @tdsl_numpy_malloc(ptr %unused, i64 %bytes) {
  %block = call ptr @tdsl_alloc(i64 %bytes)
  ret ptr %block
}

define ptr @tdsl_numpy_calloc(ptr %unused, i64 %count, i64 %size) {
entry:
  %pair = call { i64, i1 } @llvm.umul.with.overflow.i64(i64 %count, i64 %size)
  %bytes = extractvalue { i64, i1 } %pair, 0
  %overflow = extractvalue { i64, i1 } %pair, 1
  br i1 %overflow, label %none, label %get
get:
  %block = call ptr @tdsl_alloc(i64 %bytes)
  %failed = icmp eq ptr %block, null
  br i1 %failed, label %none, label %clear
clear:
  call ptr @memset(ptr %block, i32 0, i64 %bytes)
  ret ptr %block
none:
  ret ptr null
}

define ptr @tdsl_numpy_realloc(ptr %unused, ptr %old, i64 %bytes) {
entry:
  %block = call ptr @tdsl_alloc(i64 %bytes)
  %failed = icmp eq ptr %block, null
  %nothing = icmp eq ptr %old, null
  %stop = or i1 %failed, %nothing
  br i1 %stop, label %done, label %copy
copy:
  %base = getelementptr i8, ptr %old, i64 -64
  %class = load i64, ptr %base
  %capacity = call i64 @class_bytes(i64 %class)
  %fits = icmp ult i64 %bytes, %capacity
  %count = select i1 %fits, i64 %bytes, i64 %capacity
  call ptr @memcpy(ptr %block, ptr %old, i64 %count)
  call void @tdsl_free(ptr %old)
  br label %done
done:
  ret ptr %block
}

define void @tdsl_numpy_free(ptr %unused, ptr %block, i64 %bytes) {
  call void @tdsl_free(ptr %block)
  ret void
}

; PyArray_Empty with our allocator in force.
define ptr @tdsl_numpy_empty(i32 %rank, ptr %shape, ptr %dtype, i32 %fortran) {
entry:
  %empty = load ptr, ptr @tdsl_numpy
  %exchange = load ptr, ptr getelementptr (i8, ptr @tdsl_numpy, i64 8)
  %release = load ptr, ptr getelementptr (i8, ptr @tdsl_numpy, i64 16)
  %ours = load ptr, ptr getelementptr (i8, ptr @tdsl_numpy, i64 24)
  %before = call ptr %exchange(ptr %ours)
  %failed = icmp eq ptr %before, null
  br i1 %failed, label %without, label %with
with:
  %array = call ptr %empty(i32 %rank, ptr %shape, ptr %dtype, i32 %fortran)
  %again = call ptr %exchange(ptr %before)
  call void %release(ptr %before)
  %lost = icmp eq ptr %again, null
  br i1 %lost, label %done, label %settle
settle:
  call void %release(ptr %again)
  br label %done
done:
  ret ptr %array
without:                                          ; cannot happen; numpy's error stays for the caller
  call void %release(ptr %dtype)
  ret ptr null
}

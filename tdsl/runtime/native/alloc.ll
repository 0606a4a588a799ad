; tdsl_alloc / tdsl_free: 64-byte aligned blocks from size-class free lists.
;
; A class is one of four sizes per power of two. A freed block goes to its class's list and keeps its
; pages, so that a temporary touched by every call page-faults only in the first. The 64 bytes before a
; block hold its class and, while it is free, the next block of the list. Lists keep at most
; @keep_limit bytes in all; what is freed beyond goes back to the C library.

@free_lists  = internal global [256 x ptr] zeroinitializer, align 64
@alloc_lock  = internal global i32 0, align 64
@kept_bytes  = internal global i64 0, align 8
@keep_limit  = internal global i64 1073741824, align 8

declare i32 @posix_memalign(ptr, i64, i64)
declare void @free(ptr)
declare i32 @madvise(ptr, i64, i32)
declare i32 @sched_yield()
declare i64 @llvm.ctlz.i64(i64, i1)
declare i64 @llvm.umax.i64(i64, i64)

define void @tdsl_alloc_acquire() {
entry:
  br label %attempt
attempt:
  %spins = phi i32 [ 0, %entry ], [ %more, %wait ], [ 0, %yield ]
  %pair = cmpxchg ptr @alloc_lock, i32 0, i32 1 acquire monotonic
  %got = extractvalue { i32, i1 } %pair, 1
  br i1 %got, label %done, label %busy
busy:
  %long = icmp ugt i32 %spins, 200
  br i1 %long, label %yield, label %wait
wait:
  call void @relax()
  %more = add i32 %spins, 1
  br label %attempt
yield:                                            ; the holder may have lost its core
  call i32 @sched_yield()
  br label %attempt
done:
  ret void
}

define void @tdsl_alloc_release() {
  store atomic i32 0, ptr @alloc_lock release, align 4
  ret void
}

; Index of the smallest class that holds %bytes.
define internal i64 @class_of(i64 %bytes) alwaysinline {
  %at_least = call i64 @llvm.umax.i64(i64 %bytes, i64 64)
  %last = sub i64 %at_least, 1
  %zeros = call i64 @llvm.ctlz.i64(i64 %last, i1 true)
  %power = sub i64 63, %zeros
  %shift = sub i64 %power, 2
  %top = lshr i64 %last, %shift                   ; 4..7
  %step = sub i64 %top, 4
  %base = mul i64 %power, 4
  %class = add i64 %base, %step
  ret i64 %class
}

define internal i64 @class_bytes(i64 %class) alwaysinline {
  %power = lshr i64 %class, 2
  %step = and i64 %class, 3
  %shift = sub i64 %power, 2
  %top = add i64 %step, 5
  %bytes = shl i64 %top, %shift
  ret i64 %bytes
}

; A new block from the C library, header included; huge pages for large ones.
define internal ptr @new_block(i64 %class) {
entry:
  %place = alloca ptr
  %bytes = call i64 @class_bytes(i64 %class)
  %total = add i64 %bytes, 64
  %large = icmp uge i64 %bytes, 4194304
  %align = select i1 %large, i64 2097152, i64 64
  %code = call i32 @posix_memalign(ptr %place, i64 %align, i64 %total)
  %ok = icmp eq i32 %code, 0
  br i1 %ok, label %have, label %none
have:
  %base = load ptr, ptr %place
  br i1 %large, label %advise, label %ready
advise:
  call i32 @madvise(ptr %base, i64 %total, i32 14)  ; MADV_HUGEPAGE; refusal does no harm
  br label %ready
ready:
  store i64 %class, ptr %base
  %block = getelementptr i8, ptr %base, i64 64
  ret ptr %block
none:
  ret ptr null
}

define ptr @tdsl_alloc(i64 %bytes) {
entry:
  %absurd = icmp ugt i64 %bytes, 70368744177664   ; 2^46, also every negative number
  br i1 %absurd, label %none, label %look
look:
  %class = call i64 @class_of(i64 %bytes)
  %list = getelementptr [256 x ptr], ptr @free_lists, i64 0, i64 %class
  call void @tdsl_alloc_acquire()
  %base = load ptr, ptr %list
  %empty = icmp eq ptr %base, null
  br i1 %empty, label %fresh, label %reuse
reuse:
  %link = getelementptr i8, ptr %base, i64 8
  %next = load ptr, ptr %link
  store ptr %next, ptr %list
  %size = call i64 @class_bytes(i64 %class)
  %kept = load i64, ptr @kept_bytes
  %left = sub i64 %kept, %size
  store i64 %left, ptr @kept_bytes
  call void @tdsl_alloc_release()
  %block = getelementptr i8, ptr %base, i64 64
  ret ptr %block
fresh:
  call void @tdsl_alloc_release()
  %new = call ptr @new_block(i64 %class)
  ret ptr %new
none:
  ret ptr null
}

define void @tdsl_free(ptr %block) {
entry:
  %nothing = icmp eq ptr %block, null
  br i1 %nothing, label %done, label %some
some:
  %base = getelementptr i8, ptr %block, i64 -64
  %class = load i64, ptr %base
  %size = call i64 @class_bytes(i64 %class)
  %link = getelementptr i8, ptr %base, i64 8
  %list = getelementptr [256 x ptr], ptr @free_lists, i64 0, i64 %class
  call void @tdsl_alloc_acquire()
  %kept = load i64, ptr @kept_bytes
  %total = add i64 %kept, %size
  %limit = load i64, ptr @keep_limit
  %over = icmp ugt i64 %total, %limit
  br i1 %over, label %give_back, label %keep
keep:
  store i64 %total, ptr @kept_bytes
  %head = load ptr, ptr %list
  store ptr %head, ptr %link
  store ptr %base, ptr %list
  call void @tdsl_alloc_release()
  br label %done
give_back:
  call void @tdsl_alloc_release()
  call void @free(ptr %base)
  br label %done
done:
  ret void
}

; Bytes that wait in the free lists.
define i64 @tdsl_alloc_kept() {
  %kept = load atomic i64, ptr @kept_bytes monotonic, align 8
  ret i64 %kept
}

define void @tdsl_alloc_set_limit(i64 %bytes) {
  call void @tdsl_alloc_acquire()
  store i64 %bytes, ptr @keep_limit
  call void @tdsl_alloc_release()
  ret void
}

; Return every free block to the C library.
define void @tdsl_alloc_trim() {
entry:
  call void @tdsl_alloc_acquire()
  br label %class
class:
  %index = phi i64 [ 0, %entry ], [ %following, %emptied ]
  %list = getelementptr [256 x ptr], ptr @free_lists, i64 0, i64 %index
  %head = load ptr, ptr %list
  store ptr null, ptr %list
  br label %block
block:
  %base = phi ptr [ %head, %class ], [ %next, %release ]
  %end = icmp eq ptr %base, null
  br i1 %end, label %emptied, label %release
release:
  %link = getelementptr i8, ptr %base, i64 8
  %next = load ptr, ptr %link
  call void @free(ptr %base)
  br label %block
emptied:
  %following = add i64 %index, 1
  %last = icmp eq i64 %following, 256
  br i1 %last, label %done, label %class
done:
  store i64 0, ptr @kept_bytes
  call void @tdsl_alloc_release()
  ret void
}

; What the pool and the allocator need in a program without Python, which nobody sets up: when the
; program starts, the pool gets TDSL_NUM_THREADS threads, or one for each CPU that the process may use.

@variable = internal constant [17 x i8] c"TDSL_NUM_THREADS\00"
@llvm.global_ctors = appending global [1 x { i32, ptr, ptr }] [
  { i32, ptr, ptr } { i32 65535, ptr @set_up, ptr null }
]

declare ptr @getenv(ptr)
declare i64 @strtol(ptr, ptr, i32)
declare i32 @sched_getaffinity(i32, i64, ptr)
declare i32 @pthread_atfork(ptr, ptr, ptr)
declare i64 @llvm.ctpop.i64(i64)

define internal void @set_up() {
  %count = call i32 @wanted_threads()
  call void @tdsl_set_num_threads(i32 %count)
  %ignored = call i32 @pthread_atfork(
    ptr @tdsl_alloc_acquire, ptr @tdsl_alloc_release, ptr @start_anew)
  ret void
}

; In a forked child no other thread is left, neither to run loops nor to hold locks.
define internal void @start_anew() {
  call void @tdsl_alloc_release()
  call void @tdsl_pool_forget_threads()
  ret void
}

define internal i32 @wanted_threads() {
entry:
  %text = call ptr @getenv(ptr @variable)
  %unset = icmp eq ptr %text, null
  br i1 %unset, label %ask, label %read
read:
  %number = call i64 @strtol(ptr %text, ptr null, i32 10)
  %shifted = sub i64 %number, 1
  %sane = icmp ult i64 %shifted, 1024             ; 1 .. 1024
  %given = trunc i64 %number to i32
  br i1 %sane, label %chosen, label %ask
chosen:
  ret i32 %given
ask:
  %cpus = call i32 @usable_cpus()
  ret i32 %cpus
}

; The CPUs that the process may run on: 1024 bits, as in glibc's cpu_set_t.
define internal i32 @usable_cpus() {
entry:
  %mask = alloca [16 x i64], align 8
  call void @llvm.memset.p0.i64(ptr align 8 %mask, i8 0, i64 128, i1 false)
  %code = call i32 @sched_getaffinity(i32 0, i64 128, ptr %mask)
  br label %word
word:
  %index = phi i64 [ 0, %entry ], [ %next, %word ]
  %sum = phi i64 [ 0, %entry ], [ %total, %word ]
  %place = getelementptr [16 x i64], ptr %mask, i64 0, i64 %index
  %bits = load i64, ptr %place
  %ones = call i64 @llvm.ctpop.i64(i64 %bits)
  %total = add i64 %sum, %ones
  %next = add i64 %index, 1
  %last = icmp eq i64 %next, 16
  br i1 %last, label %done, label %word
done:
  %some = call i64 @llvm.smax.i64(i64 %total, i64 1)
  %count = trunc i64 %some to i32
  ret i32 %count
}

; tdsl_parallel_for: one pool of threads for the whole process.
;
; The caller always takes part. A region is published by writing the job, then @state, then bumping
; @generation. A worker that sees the new generation enters the region by taking one of the slots in
; @state. Each thread draws chunks of its own span of the loop, neighbours in memory, so that its caches,
; its prefetchers and its TLB see one stream; then it helps with the other spans until none is left. The
; caller closes the region (no slots) and waits only for workers that have entered: one that sleeps, or
; lost its core, is never waited for.
;
; @state = generation << 32 | free slots << 16 | workers inside. A worker's id is the number of slots it
; found, so ids within a region are distinct and lie in 1 .. limit - 1; the caller is worker 0.
; @busy is held by the caller of the running region. Whoever finds it taken (a nested region, a second
; Python thread) runs its loop alone. Workers spin about 0.2 ms, then sleep on @generation (a futex).

; All that a worker must read to begin lies in one cache line, which halves the cost of a small region.
%region = type { i32, i32, i64, ptr, ptr, i64, i64, i32, i32 }
@region      = internal global %region zeroinitializer, align 128
@generation  = internal alias i32, getelementptr (%region, ptr @region, i64 0, i32 0)  ; the futex word
@state       = internal alias i64, getelementptr (%region, ptr @region, i64 0, i32 2)
@job_fn      = internal alias ptr, getelementptr (%region, ptr @region, i64 0, i32 3)
@job_closure = internal alias ptr, getelementptr (%region, ptr @region, i64 0, i32 4)
@job_n       = internal alias i64, getelementptr (%region, ptr @region, i64 0, i32 5)
@job_chunk   = internal alias i64, getelementptr (%region, ptr @region, i64 0, i32 6)
@job_chunks = internal alias i32, getelementptr (%region, ptr @region, i64 0, i32 7)
@job_spans  = internal alias i32, getelementptr (%region, ptr @region, i64 0, i32 8)

; generation << 32 | chunks drawn, for each span. What another generation left there counts as none drawn,
; so that nobody has to reset them. Neighbours share a cache line: a small region then moves only one.
@drawn      = internal global [64 x i64] zeroinitializer, align 128
@busy       = internal global i32 0, align 128
@limit      = internal global i32 1, align 128    ; threads to use, the caller included
@started    = internal global i32 0               ; worker threads alive
@sleepers   = internal global i32 0, align 128
@owed_ns    = internal global i64 0, align 128    ; work that ran alone because workers slept

declare i64 @syscall(i64, ...)
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_detach(i64)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)
declare i32 @llvm.smin.i32(i32, i32)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

define i32 @tdsl_num_threads() {
  %count = load atomic i32, ptr @limit monotonic, align 4
  ret i32 %count
}

; 1 .. 32767, checked by the caller. Threads start at the next region; surplus ones sleep.
define void @tdsl_set_num_threads(i32 %count) {
  store atomic i32 %count, ptr @limit monotonic, align 4
  ret void
}

; After fork, in the child: the threads are gone, whatever state they were in.
define void @tdsl_pool_forget_threads() {
  store i32 0, ptr @started
  store i32 0, ptr @sleepers
  store i32 0, ptr @busy
  store i64 0, ptr @state
  store i64 0, ptr @owed_ns
  ret void
}

; How many workers sleep, how many are alive; for tests.
define i32 @tdsl_pool_sleepers() {
  %count = load atomic i32, ptr @sleepers monotonic, align 4
  ret i32 %count
}

define i32 @tdsl_pool_started() {
  %count = load atomic i32, ptr @started monotonic, align 4
  ret i32 %count
}

; The next of %count chunks of a span, or -1.
define internal i32 @draw(i32 %span, i32 %count, i64 %tag) {
entry:
  %counter = getelementptr i64, ptr @drawn, i32 %span
  %first = load atomic i64, ptr %counter monotonic, align 8
  br label %look
look:
  %seen = phi i64 [ %first, %entry ], [ %actual, %take ]
  %whose = xor i64 %seen, %tag
  %ours = icmp ult i64 %whose, 4294967296
  %number = trunc i64 %seen to i32
  %drawn = select i1 %ours, i32 %number, i32 0
  %some = icmp slt i32 %drawn, %count
  br i1 %some, label %take, label %none
take:
  %more = add i32 %drawn, 1
  %wide = zext i32 %more to i64
  %new = or i64 %tag, %wide
  %pair = cmpxchg ptr %counter, i64 %seen, i64 %new monotonic monotonic
  %actual = extractvalue { i64, i1 } %pair, 0
  %won = extractvalue { i64, i1 } %pair, 1
  br i1 %won, label %drew, label %look
drew:
  ret i32 %drawn
none:
  ret i32 -1
}

; The first chunk of a span: spans differ by one chunk at most.
define internal i32 @first_chunk(i32 %span, i32 %chunks, i32 %spans) {
  %span_wide = zext i32 %span to i64
  %chunks_wide = zext i32 %chunks to i64
  %spans_wide = zext i32 %spans to i64
  %product = mul i64 %span_wide, %chunks_wide
  %quotient = udiv i64 %product, %spans_wide
  %first = trunc i64 %quotient to i32
  ret i32 %first
}

; Draw the chunks of a worker's own span, then those of the others, until none is left.
define internal void @run_chunks(i32 %worker, i64 %tag) {
entry:
  %fn = load ptr, ptr @job_fn
  %closure = load ptr, ptr @job_closure
  %n = load i64, ptr @job_n
  %chunk = load i64, ptr @job_chunk
  %chunks = load i32, ptr @job_chunks
  %spans = load i32, ptr @job_spans
  br label %span
span:
  %offset = phi i32 [ 0, %entry ], [ %next_offset, %through ]
  %place = add i32 %worker, %offset
  %own = urem i32 %place, %spans
  %first = call i32 @first_chunk(i32 %own, i32 %chunks, i32 %spans)
  %following = add i32 %own, 1
  %last = call i32 @first_chunk(i32 %following, i32 %chunks, i32 %spans)
  %count = sub i32 %last, %first
  br label %draw
draw:
  %drawn = call i32 @draw(i32 %own, i32 %count, i64 %tag)
  %some = icmp sge i32 %drawn, 0
  br i1 %some, label %run, label %through
run:
  %number = add i32 %first, %drawn
  %number_wide = zext i32 %number to i64
  %begin = mul i64 %number_wide, %chunk
  %full = add i64 %begin, %chunk
  %end = call i64 @llvm.smin.i64(i64 %full, i64 %n)
  call void %fn(ptr %closure, i64 %begin, i64 %end, i32 %worker)
  br label %draw
through:
  %next_offset = add i32 %offset, 1
  %more = icmp ult i32 %next_offset, %spans
  br i1 %more, label %span, label %done
done:
  ret void
}

; Take part in the open region, if there is one with a free slot.
define internal void @take_part() {
entry:
  %first = load atomic i64, ptr @state acquire, align 8
  br label %look
look:
  %seen = phi i64 [ %first, %entry ], [ %actual, %enter ]
  %shifted = lshr i64 %seen, 16
  %slots = and i64 %shifted, 65535
  %closed = icmp eq i64 %slots, 0
  br i1 %closed, label %done, label %enter
enter:
  %inside = sub i64 %seen, 65535                  ; one slot fewer, one worker more inside
  %pair = cmpxchg ptr @state, i64 %seen, i64 %inside acq_rel acquire
  %actual = extractvalue { i64, i1 } %pair, 0
  %won = extractvalue { i64, i1 } %pair, 1
  br i1 %won, label %work, label %look
work:
  %worker = trunc i64 %slots to i32
  %tag = and i64 %seen, -4294967296
  call void @run_chunks(i32 %worker, i64 %tag)
  atomicrmw sub ptr @state, i64 1 release
  br label %done
done:
  ret void
}

define internal ptr @worker_main(ptr %unused) {
entry:
  br label %serve
serve:
  %seen = load atomic i32, ptr @generation acquire, align 4
  call void @take_part()
  br label %spin
spin:
  %spins = phi i32 [ 0, %serve ], [ %more, %again ]
  %now = load atomic i32, ptr @generation monotonic, align 4
  %changed = icmp ne i32 %now, %seen
  br i1 %changed, label %serve, label %pause
pause:
  call void @relax()
  %more = add i32 %spins, 1
  %tired = icmp ugt i32 %more, 20000
  br i1 %tired, label %lie_down, label %again
again:
  br label %spin
lie_down:
  atomicrmw add ptr @sleepers, i32 1 seq_cst
  br label %sleep
sleep:
  %current = load atomic i32, ptr @generation seq_cst, align 4
  %woken = icmp ne i32 %current, %seen
  br i1 %woken, label %get_up, label %wait
wait:
  %number = load i64, ptr @futex_number
  call i64 (i64, ...) @syscall(i64 %number, ptr @generation, i32 128, i32 %seen, ptr null, ptr null, i32 0)
  br label %sleep
get_up:
  atomicrmw sub ptr @sleepers, i32 1 seq_cst
  br label %serve
}

; Start threads until %wanted are alive. Signals stay with Python's threads. Called with @busy held.
define internal void @start_workers(i32 %wanted) noinline {
entry:
  %all = alloca [16 x i64], align 8
  %old = alloca [16 x i64], align 8
  %thread = alloca i64, align 8
  call void @llvm.memset.p0.i64(ptr %all, i8 -1, i64 128, i1 false)
  call i32 @pthread_sigmask(i32 2, ptr %all, ptr %old)
  br label %check
check:
  %alive = load i32, ptr @started
  %enough = icmp sge i32 %alive, %wanted
  br i1 %enough, label %done, label %create
create:
  %code = call i32 @pthread_create(ptr %thread, ptr null, ptr @worker_main, ptr null)
  %ok = icmp eq i32 %code, 0
  br i1 %ok, label %created, label %refused
created:
  %id = load i64, ptr %thread
  call i32 @pthread_detach(i64 %id)
  %more = add i32 %alive, 1
  store atomic i32 %more, ptr @started monotonic, align 4
  br label %check
refused:                                          ; the system gives no more: work with what is there
  %count = add i32 %alive, 1
  store atomic i32 %count, ptr @limit monotonic, align 4
  br label %done
done:
  call i32 @pthread_sigmask(i32 2, ptr %old, ptr null)
  ret void
}

; Iterations per chunk: about eight chunks a thread, none below a microsecond of known work.
define internal i64 @chunk_of(i64 %n, i64 %work_ns, i32 %threads) {
entry:
  %wide = zext i32 %threads to i64
  %pieces = mul i64 %wide, 8
  %by_threads = sdiv i64 %n, %pieces
  %known = icmp sgt i64 %work_ns, 0
  br i1 %known, label %measured, label %join
measured:
  %micros = sdiv i64 %work_ns, 1000
  %parts = add i64 %micros, 1
  %by_work = sdiv i64 %n, %parts
  br label %join
join:
  %grain = phi i64 [ 1, %entry ], [ %by_work, %measured ]
  %larger = call i64 @llvm.smax.i64(i64 %by_threads, i64 %grain)
  %chunk = call i64 @llvm.smax.i64(i64 %larger, i64 1)
  ret i64 %chunk
}

; Is the loop too small to be worth waking anybody? True only for known work below 60 us with every
; worker asleep; such work adds up, so that a long run of small loops wakes the workers in the end.
define internal i1 @better_alone(i64 %work_ns, i32 %asleep) {
entry:
  %alive = load atomic i32, ptr @started monotonic, align 4
  %all = icmp sge i32 %asleep, %alive
  %last = sub i64 %work_ns, 1                     ; unknown work (0) wraps to a huge number
  %small = icmp ult i64 %last, 60000
  %candidate = and i1 %all, %small
  br i1 %candidate, label %count, label %no
count:
  %before = atomicrmw add ptr @owed_ns, i64 %work_ns monotonic
  %patient = icmp slt i64 %before, 100000
  ret i1 %patient
no:
  ret i1 false
}

; Publish the job, take part, wait for those who came. Called with @busy held.
define internal void @run_region(ptr %fn, ptr %closure, i64 %n, i64 %work_ns, i32 %threads) {
entry:
  %wanted = sub i32 %threads, 1
  %alive = load i32, ptr @started
  %missing = icmp slt i32 %alive, %wanted
  br i1 %missing, label %start, label %publish
start:
  call void @start_workers(i32 %wanted)
  br label %publish
publish:
  %chunk = call i64 @chunk_of(i64 %n, i64 %work_ns, i32 %threads)
  store ptr %fn, ptr @job_fn
  store ptr %closure, ptr @job_closure
  store i64 %n, ptr @job_n
  store i64 %chunk, ptr @job_chunk
  %before_end = sub i64 %n, 1
  %whole = sdiv i64 %before_end, %chunk
  %chunks_wide = add i64 %whole, 1
  %chunks = trunc i64 %chunks_wide to i32
  store i32 %chunks, ptr @job_chunks
  %spans = call i32 @llvm.smin.i32(i32 %threads, i32 64)
  store i32 %spans, ptr @job_spans
  %old = load i32, ptr @generation
  %new = add i32 %old, 1
  %wrapped = icmp eq i32 %new, 0
  br i1 %wrapped, label %forget, label %open_it
forget:                                           ; no counter may keep a generation that comes again
  call void @llvm.memset.p0.i64(ptr @drawn, i8 0, i64 512, i1 false)
  br label %open_it
open_it:
  %high = zext i32 %new to i64
  %tag = shl i64 %high, 32
  %slots = zext i32 %wanted to i64
  %field = shl i64 %slots, 16
  %open = or i64 %tag, %field
  store atomic i64 %open, ptr @state release, align 8
  atomicrmw add ptr @generation, i32 1 seq_cst
  %asleep = load atomic i32, ptr @sleepers seq_cst, align 4
  %any = icmp sgt i32 %asleep, 0
  %last = sub i64 %work_ns, 1
  %large = icmp uge i64 %last, 20000              ; below, those awake will do
  %all = icmp sge i32 %asleep, %wanted
  %worth = or i1 %large, %all
  %call_them = and i1 %any, %worth
  br i1 %call_them, label %wake, label %work
wake:
  store atomic i64 0, ptr @owed_ns monotonic, align 8
  %number = load i64, ptr @futex_number
  call i64 (i64, ...) @syscall(i64 %number, ptr @generation, i32 129, i32 %wanted, ptr null, ptr null, i32 0)
  br label %work
work:
  call void @run_chunks(i32 0, i64 %tag)
  %closed = atomicrmw and ptr @state, i64 -4294901761 acq_rel    ; no slots left: ~(0xffff << 16)
  %inside = and i64 %closed, 65535
  %alone = icmp eq i64 %inside, 0
  br i1 %alone, label %done, label %join
join:
  %spins = phi i32 [ 0, %work ], [ %more, %wait ], [ 1000, %yield ]
  %now = load atomic i64, ptr @state acquire, align 8
  %still = and i64 %now, 65535
  %empty = icmp eq i64 %still, 0
  br i1 %empty, label %done, label %busy_wait
busy_wait:
  %long = icmp uge i32 %spins, 1000
  br i1 %long, label %yield, label %wait
wait:
  call void @relax()
  %more = add i32 %spins, 1
  br label %join
yield:                                            ; a worker lost its core: perhaps to this very spin
  call i32 @sched_yield()
  br label %join
done:
  ret void
}

; fn(closure, begin, end, worker) over chunks that cover [0, n); returns when all have run.
define void @tdsl_parallel_for(ptr %fn, ptr %closure, i64 %n, i64 %work_ns) {
entry:
  %empty = icmp sle i64 %n, 0
  br i1 %empty, label %done, label %size
size:
  %threads = load atomic i32, ptr @limit monotonic, align 4
  %one_thread = icmp sle i32 %threads, 1
  %one_step = icmp eq i64 %n, 1
  %last = sub i64 %work_ns, 1                     ; unknown work (0) wraps to a huge number
  %tiny = icmp ult i64 %last, 1000                ; the fork-join itself takes a good part of this
  %a = or i1 %one_thread, %one_step
  %b = or i1 %a, %tiny
  br i1 %b, label %alone, label %look
look:
  %asleep = load atomic i32, ptr @sleepers monotonic, align 4
  %better = call i1 @better_alone(i64 %work_ns, i32 %asleep)
  br i1 %better, label %alone, label %claim
claim:
  %pair = cmpxchg ptr @busy, i32 0, i32 1 acquire monotonic
  %free = extractvalue { i32, i1 } %pair, 1
  br i1 %free, label %region, label %alone
region:
  call void @run_region(ptr %fn, ptr %closure, i64 %n, i64 %work_ns, i32 %threads)
  store atomic i32 0, ptr @busy release, align 4
  ret void
alone:
  call void %fn(ptr %closure, i64 0, i64 %n, i32 0)
  ret void
done:
  ret void
}

; Call a kernel %count times (for timing); stops at the first error and returns it.
define i32 @tdsl_repeat(ptr %kernel, ptr %args, i32 %n, ptr %context, i64 %count) {
entry:
  br label %check
check:
  %index = phi i64 [ 0, %entry ], [ %following, %call ]
  %finished = icmp sge i64 %index, %count
  br i1 %finished, label %done, label %call
call:
  %code = call i32 %kernel(ptr %args, i32 %n, ptr %context)
  %following = add i64 %index, 1
  %failed = icmp ne i32 %code, 0
  br i1 %failed, label %stop, label %check
stop:
  ret i32 %code
done:
  ret i32 0
}

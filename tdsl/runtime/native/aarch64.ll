; What the pool and the allocator need of aarch64 Linux.

@futex_number = internal constant i64 98

declare void @llvm.aarch64.isb(i32)

; isb waits some ten cycles, as x86's pause does; yield is a no-op on most cores.
define internal void @relax() alwaysinline {
  call void @llvm.aarch64.isb(i32 15)
  ret void
}

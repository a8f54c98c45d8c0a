"""The pool of threads, in machine code: parts of a kernel's range, side by side.

A kernel is sequential over a range `[lo, hi)`.  `run_parts` cuts the range into parts.  The caller
and each worker have a run of neighbouring parts of their own, the same ones at every launch, as
these may be in the caches of their core; who is done with them takes those of the others, so that a
thread that comes late, or shares its core with another library's thread, takes fewer.  Workers are
started by the first launch and wait on a futex after a short while.  While the pool is at work,
another caller (a second Python thread, a nested call) runs its kernel alone.

The pool's memory, one field to a cache line where threads compete for it:

    generation  launches so far; what idle workers wait on
    hired       workers that have begun, which numbers them
    active      workers that look at the job
    open        whether there is a job
    sleepers    workers that wait on the futex
    busy        whether a caller owns the pool
    tickets     workers that may still join
    runs        how many runs of parts there are; then, for each, how many of its parts are taken
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from functools import cache

from . import store
from .machine_code import LinkedCode, machine_name, object_code

PARALLEL_WORK = 1 << 18  # additions; below this, waking a thread costs more than it gains
_PART_WORK = 1 << 15  # additions that a part has at least
_PARTS_PER_THREAD = 8
_SPINS = 200  # looks before a thread yields: OpenBLAS wants the cores as well
_YIELDS = 2000  # looks more, for half a millisecond, before a worker sleeps: to wake it takes 20 us
_LINE = 64
_RUNS = 64  # at most
_BYTES = (8 + _RUNS) * _LINE
_FUTEX = {"x86_64": 202, "aarch64": 98}  # the number of the system call
_PAUSE = {
    "x86_64": ("llvm.x86.sse2.pause()", "llvm.x86.sse2.pause()"),
    "aarch64": ("llvm.aarch64.hint(i32)", "llvm.aarch64.hint(i32 1)"),
}  # how it is declared and called

_MODULE = """
declare i64 @syscall(i64, ...)
declare i32 @sched_yield()
declare i32 @pthread_create(ptr, ptr, ptr, ptr)

%pool = type {{
  i32, [60 x i8],                      ; generation
  i64, [56 x i8],                      ; hired
  i32, [60 x i8],                      ; active
  i32, [60 x i8],                      ; open
  i32, [60 x i8],                      ; sleepers
  i32, i32, i64, i64, [40 x i8],       ; busy, tickets, threads, started
  i64, i64, i64, i64, i64, i64, i64, i64, ; kernel, buffers, sizes, extent, parts, grain, runs, -
  [{runs} x [8 x i64]]                 ; taken
}}

; takes parts until none is left, those of one's own run first
define internal void @take_parts(ptr %pool, i64 %number) noinline {{
start:
  %f10 = getelementptr %pool, ptr %pool, i32 0, i32 15
  %f11 = getelementptr %pool, ptr %pool, i32 0, i32 16
  %f12 = getelementptr %pool, ptr %pool, i32 0, i32 17
  %f13 = getelementptr %pool, ptr %pool, i32 0, i32 18
  %f14 = getelementptr %pool, ptr %pool, i32 0, i32 19
  %f15 = getelementptr %pool, ptr %pool, i32 0, i32 20
  %kernel = load i64, ptr %f10
  %entry = inttoptr i64 %kernel to ptr
  %buffers = load i64, ptr %f11
  %sizes = load i64, ptr %f12
  %extent = load i64, ptr %f13
  %parts = load i64, ptr %f14
  %grain = load i64, ptr %f15
  %f16 = getelementptr %pool, ptr %pool, i32 0, i32 21
  %runs = load i64, ptr %f16
  br label %turn
turn:
  %turns = phi i64 [ 0, %start ], [ %turns1, %over ]
  %sum = add i64 %number, %turns
  %run = urem i64 %sum, %runs
  %after = add i64 %run, 1
  %before = mul i64 %run, %parts
  %first = sdiv i64 %before, %runs
  %until = mul i64 %after, %parts
  %last = sdiv i64 %until, %runs
  %taken = getelementptr %pool, ptr %pool, i32 0, i32 23, i64 %run
  br label %look
look:
  %so_far = atomicrmw add ptr %taken, i64 1 seq_cst
  %part = add i64 %first, %so_far
  %more = icmp slt i64 %part, %last
  br i1 %more, label %take, label %over
over:
  %turns1 = add i64 %turns, 1
  %others = icmp slt i64 %turns1, %runs
  br i1 %others, label %turn, label %done
take:
  %lo = mul i64 %part, %grain
  %end = add i64 %lo, %grain
  %within = icmp slt i64 %end, %extent
  %hi = select i1 %within, i64 %end, i64 %extent
  call void %entry(i64 %buffers, i64 %sizes, i64 %lo, i64 %hi)
  br label %look
done:
  ret void
}}

define internal ptr @worker(ptr %pool) {{
start:
  %active = getelementptr %pool, ptr %pool, i32 0, i32 4
  %open = getelementptr %pool, ptr %pool, i32 0, i32 6
  %sleepers = getelementptr %pool, ptr %pool, i32 0, i32 8
  %tickets = getelementptr %pool, ptr %pool, i32 0, i32 11
  %hired = getelementptr %pool, ptr %pool, i32 0, i32 2
  %before = atomicrmw add ptr %hired, i64 1 seq_cst
  %number = add i64 %before, 1
  br label %idle
idle:
  %seen = phi i32 [ 0, %start ], [ %seen, %asleep ], [ %now, %leave ]
  br label %spin
spin:
  %count = phi i32 [ 0, %idle ], [ %looks, %linger ], [ %looks, %give_way ]
  %now = load atomic i32, ptr %pool seq_cst, align 4
  %same = icmp eq i32 %now, %seen
  br i1 %same, label %wait, label %enter
wait:
  %looks = add i32 %count, 1
  %early = icmp slt i32 %looks, {spins}
  br i1 %early, label %linger, label %give_way
linger:
  call void @{pause}
  br label %spin
give_way:
  call i32 @sched_yield()
  %patient = icmp slt i32 %looks, {looks}
  br i1 %patient, label %spin, label %asleep
asleep:
  atomicrmw add ptr %sleepers, i32 1 seq_cst
  call i64 (i64, ...) @syscall(i64 {futex}, ptr %pool, i64 128, i32 %seen, ptr null)
  atomicrmw sub ptr %sleepers, i32 1 seq_cst
  br label %idle
enter:
  atomicrmw add ptr %active, i32 1 seq_cst
  %opened = load atomic i32, ptr %open seq_cst, align 4
  %has_job = icmp ne i32 %opened, 0
  br i1 %has_job, label %join, label %leave
join:
  %ticket = atomicrmw sub ptr %tickets, i32 1 seq_cst
  %wanted = icmp sgt i32 %ticket, 0
  br i1 %wanted, label %help, label %leave
help:
  call void @take_parts(ptr %pool, i64 %number)
  br label %leave
leave:
  atomicrmw sub ptr %active, i32 1 seq_cst
  br label %idle
}}

define void @run_parts(ptr %pool, i64 %kernel, i64 %buffers, i64 %sizes, i64 %extent, i64 %work) {{
start:
  %tid = alloca i64
  %busy = getelementptr %pool, ptr %pool, i32 0, i32 10
  %tickets = getelementptr %pool, ptr %pool, i32 0, i32 11
  %f_threads = getelementptr %pool, ptr %pool, i32 0, i32 12
  %f_started = getelementptr %pool, ptr %pool, i32 0, i32 13
  %entry = inttoptr i64 %kernel to ptr
  %threads = load i64, ptr %f_threads
  %small = icmp slt i64 %work, {parallel_work}
  %single = icmp slt i64 %threads, 2
  %short = icmp slt i64 %extent, 2
  %one = or i1 %small, %single
  %serial = or i1 %one, %short
  br i1 %serial, label %alone, label %own
own:
  %owned = cmpxchg ptr %busy, i32 0, i32 1 seq_cst seq_cst
  %mine = extractvalue {{ i32, i1 }} %owned, 1
  br i1 %mine, label %staff, label %alone
alone:
  call void %entry(i64 %buffers, i64 %sizes, i64 0, i64 %extent)
  ret void
staff:
  %started = load i64, ptr %f_started
  %helpers = sub i64 %threads, 1
  %lacking = icmp slt i64 %started, %helpers
  br i1 %lacking, label %hire, label %share
hire:
  %failed = call i32 @pthread_create(ptr %tid, ptr null, ptr @worker, ptr %pool)
  %more_started = add i64 %started, 1
  store i64 %more_started, ptr %f_started
  %refused = icmp ne i32 %failed, 0
  br i1 %refused, label %share, label %staff
share:
  %most = mul i64 %threads, {per_thread}
  %by_work = sdiv i64 %work, {part_work}
  %p0 = call i64 @llvm.smin.i64(i64 %most, i64 %by_work)
  %p1 = call i64 @llvm.smin.i64(i64 %p0, i64 %extent)
  %over = add i64 %extent, %p1
  %over1 = sub i64 %over, 1
  %exact = sdiv i64 %over1, %p1
  ; parts of long ranges start at cache lines
  %long = icmp sgt i64 %exact, 256
  %up = add i64 %exact, 63
  %round = and i64 %up, -64
  %grain = select i1 %long, i64 %round, i64 %exact
  %cover = add i64 %extent, %grain
  %cover1 = sub i64 %cover, 1
  %parts = sdiv i64 %cover1, %grain
  %f10 = getelementptr %pool, ptr %pool, i32 0, i32 15
  %f11 = getelementptr %pool, ptr %pool, i32 0, i32 16
  %f12 = getelementptr %pool, ptr %pool, i32 0, i32 17
  %f13 = getelementptr %pool, ptr %pool, i32 0, i32 18
  %f14 = getelementptr %pool, ptr %pool, i32 0, i32 19
  %f15 = getelementptr %pool, ptr %pool, i32 0, i32 20
  %f16 = getelementptr %pool, ptr %pool, i32 0, i32 21
  %runs = call i64 @llvm.smin.i64(i64 %threads, i64 {runs})
  br label %clear
clear:
  %cleared = phi i64 [ 0, %share ], [ %cleared1, %clear ]
  %taken = getelementptr %pool, ptr %pool, i32 0, i32 23, i64 %cleared
  store i64 0, ptr %taken
  %cleared1 = add i64 %cleared, 1
  %unclear = icmp slt i64 %cleared1, %runs
  br i1 %unclear, label %clear, label %post
post:
  store i64 %runs, ptr %f16
  store i64 %kernel, ptr %f10
  store i64 %buffers, ptr %f11
  store i64 %sizes, ptr %f12
  store i64 %extent, ptr %f13
  store i64 %parts, ptr %f14
  store i64 %grain, ptr %f15
  %open = getelementptr %pool, ptr %pool, i32 0, i32 6
  %active = getelementptr %pool, ptr %pool, i32 0, i32 4
  %sleepers = getelementptr %pool, ptr %pool, i32 0, i32 8
  %places = trunc i64 %helpers to i32
  store i32 %places, ptr %tickets
  store atomic i32 1, ptr %open seq_cst, align 4
  atomicrmw add ptr %pool, i32 1 seq_cst
  %asleep = load atomic i32, ptr %sleepers seq_cst, align 4
  %nobody = icmp eq i32 %asleep, 0
  br i1 %nobody, label %work_too, label %wake
wake:
  call i64 (i64, ...) @syscall(i64 {futex}, ptr %pool, i64 129, i32 %places)
  br label %work_too
work_too:
  call void @take_parts(ptr %pool, i64 0)
  store atomic i32 0, ptr %open seq_cst, align 4
  br label %wait
wait:
  %looks = phi i32 [ 0, %work_too ], [ %looks1, %pause ], [ 0, %yield ]
  %others = load atomic i32, ptr %active seq_cst, align 4
  %finished = icmp eq i32 %others, 0
  br i1 %finished, label %done, label %pause
pause:
  call void @{pause}
  %looks1 = add i32 %looks, 1
  %patient = icmp slt i32 %looks1, {spins}
  br i1 %patient, label %wait, label %yield
yield:
  call i32 @sched_yield()
  br label %wait
done:
  store atomic i32 0, ptr %busy seq_cst, align 4
  ret void
}}

declare i64 @llvm.smin.i64(i64, i64)
declare void @{declared_pause}
"""


class Pool:
    """The process's pool; `memory` is what the machine code above works on."""

    def __init__(self, threads: int) -> None:
        self._raw = ctypes.create_string_buffer(_BYTES + _LINE)
        start = ctypes.addressof(self._raw)
        self.memory = start + -start % _LINE
        self.threads = threads

    @property
    def threads(self) -> int:
        """How many threads a launch may use, its caller included."""
        return ctypes.c_int64.from_address(self.memory + THREADS).value

    @threads.setter
    def threads(self, count: int) -> None:
        ctypes.c_int64.from_address(self.memory + THREADS).value = count


THREADS = 5 * _LINE + 8  # where the pool has how many threads a launch may use


def _default_threads() -> int:
    given = os.environ.get("JITGRAPH_NUM_THREADS")
    if given is not None:
        try:
            return max(1, int(given))
        except ValueError:
            raise ValueError(f"JITGRAPH_NUM_THREADS={given!r} is no number of threads") from None
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_pool = Pool(_default_threads())


def _renew_pool() -> None:
    """A forked child has none of its parent's threads; stubs know the pool by its address."""
    threads = _pool.threads
    ctypes.memset(_pool.memory, 0, _BYTES)
    _pool.threads = threads


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_pool)


def get_num_threads() -> int:
    """How many threads a compiled function may use."""
    return _pool.threads if is_supported() else 1


def set_num_threads(count: int) -> None:
    """Let compiled functions use up to `count` threads from the next call on.

    The default is `JITGRAPH_NUM_THREADS`, or one thread for each core that the process may run on.
    Raises ValueError for a count below one.
    """
    if count < 1:
        raise ValueError(f"set_num_threads({count}): at least one thread runs")
    _pool.threads = count


def is_supported() -> bool:
    """Whether the pool runs here: it waits by Linux's futex."""
    return sys.platform == "linux" and platform.machine() in _FUTEX


def pool_address() -> int:
    return _pool.memory


@cache
def run_parts() -> int:
    """Address of `void run_parts(pool, kernel, buffers, sizes, extent, work)`."""
    return _code().address


@cache
def _code() -> LinkedCode:
    key = store.key("threads", _text(), machine_name())
    found = store.read(key, "threads")
    data = object_code(_text()) if found is None else found[1]
    if found is None:
        store.write(key, "threads", {}, data)
    return LinkedCode(data, "run_parts", {})


def _text() -> str:
    machine = platform.machine()
    return _MODULE.format(
        declared_pause=_PAUSE[machine][0],
        pause=_PAUSE[machine][1],
        futex=_FUTEX[machine],
        spins=_SPINS,
        looks=_SPINS + _YIELDS,
        runs=_RUNS,
        parallel_work=PARALLEL_WORK,
        per_thread=_PARTS_PER_THREAD,
        part_work=_PART_WORK,
    )

//! An allocator that remembers what a thread has asked for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[global_allocator]
static ALLOCATOR: RecordingAllocator = RecordingAllocator;

thread_local! {
    // Without destructors and without lazy initialisation, or the allocator would call itself.
    static LARGEST: Cell<usize> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
}

/// What a piece of work did with memory.
pub(crate) struct Memory {
    /// The largest block it asked for.
    pub(crate) largest: usize,
    /// Bytes that it took and has not given back.
    pub(crate) held: isize,
}

/// Runs `work`; what it returns, and what it did with memory.
pub(crate) fn memory_of<T>(work: impl FnOnce() -> T) -> (T, Memory) {
    LARGEST.set(0);
    let before = HELD.get();
    let result = work();
    (result, Memory { largest: LARGEST.get(), held: HELD.get() - before })
}

struct RecordingAllocator;

fn taken(size: usize) {
    LARGEST.set(LARGEST.get().max(size));
    HELD.set(HELD.get() + size as isize);
}

fn given_back(size: usize) {
    HELD.set(HELD.get() - size as isize);
}

// SAFETY: every call goes to the system's allocator with the arguments it came with.
#[allow(unsafe_code, reason = "there is no safe way to be an allocator")]
unsafe impl GlobalAlloc for RecordingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        given_back(layout.size());
        taken(size);
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        given_back(layout.size());
        unsafe { System.dealloc(block, layout) }
    }
}

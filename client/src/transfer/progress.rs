//! How far a transfer has come, for whoever shows it.

use std::cell::{Cell, RefCell};

/// What a transfer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Looking at what is there on both sides.
    Looking,
    /// Copying.
    Copying,
    /// Comparing what has come with the original, by hashes.
    Checking,
}

/// How far a transfer has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// The file it is at: below what is transferred, or the name of that. Not to be printed unescaped.
    pub file: Vec<u8>,
    /// Bytes of the whole that are copied; as many again are compared.
    pub done: u64,
    /// Bytes of the whole.
    pub total: u64,
    /// Bytes that an earlier try had copied.
    pub began: u64,
}

/// Counts, and tells.
pub(super) struct Meter<'a> {
    told: &'a dyn Fn(&Progress),
    /// What is transferred.
    name: Vec<u8>,
    at: RefCell<Progress>,
    moved: Cell<u64>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(told: &'a dyn Fn(&Progress), name: &[u8]) -> Self {
        let at = Progress { phase: Phase::Looking, file: Vec::new(), done: 0, total: 0, began: 0 };
        Self { told, name: name.to_vec(), at: RefCell::new(at), moved: Cell::new(0) }
    }

    /// Copying begins, with so many bytes of all there.
    pub(super) fn begin(&self, done: u64, total: u64) {
        self.change(|at| {
            *at = Progress { phase: Phase::Copying, file: Vec::new(), done, total, began: done }
        });
    }

    pub(super) fn file(&self, path: &[u8]) {
        let name = if path.is_empty() { &self.name } else { path };
        self.change(|at| at.file = name.to_vec());
    }

    pub(super) fn copied(&self, bytes: u64) {
        self.moved.set(self.moved.get() + bytes);
        self.change(|at| at.done = at.total.min(at.done + bytes));
    }

    pub(super) fn check(&self) {
        self.change(|at| at.phase = Phase::Checking);
    }

    /// Bytes that were copied by this transfer, in all its tries.
    pub(super) fn moved(&self) -> u64 {
        self.moved.get()
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        let now = {
            let mut at = self.at.borrow_mut();
            change(&mut at);
            at.clone()
        };
        (self.told)(&now);
    }
}

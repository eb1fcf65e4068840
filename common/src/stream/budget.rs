//! What the windows of many streams may hold together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes from which streams borrow their windows beyond the initial one. Budgets nest: what is taken from one is
/// taken from its parent too.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    left: AtomicU64,
    parent: Option<Budget>,
}

impl Budget {
    /// A budget of its own.
    pub fn new(bytes: u64) -> Self {
        Self(Arc::new(Pool { left: AtomicU64::new(bytes), parent: None }))
    }

    /// A budget of at most `bytes` that also draws on `self`.
    pub fn child(&self, bytes: u64) -> Self {
        Self(Arc::new(Pool { left: AtomicU64::new(bytes), parent: Some(self.clone()) }))
    }

    /// Takes `bytes`, all or nothing.
    pub fn take(&self, bytes: u64) -> bool {
        let left = &self.0.left;
        let taken =
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok();
        if taken && self.0.parent.as_ref().is_some_and(|parent| !parent.take(bytes)) {
            left.fetch_add(bytes, Ordering::Relaxed);
            return false;
        }
        taken
    }

    /// Returns what was taken.
    pub fn give_back(&self, bytes: u64) {
        self.0.left.fetch_add(bytes, Ordering::Relaxed);
        if let Some(parent) = &self.0.parent {
            parent.give_back(bytes);
        }
    }

    /// Bytes that can still be taken from this budget, its parents not asked.
    pub fn left(&self) -> u64 {
        self.0.left.load(Ordering::Relaxed)
    }
}

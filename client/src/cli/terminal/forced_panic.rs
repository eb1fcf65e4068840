//! A panic at a moment that a test chooses: in a debug build, the variable `TELEX_PANIC_AFTER` says after how many typed bytes.
//!
//! In a release build nothing of this is left. Must not do anything else: a program that is tested is the program that runs.

#[cfg(debug_assertions)]
pub(super) use debug::{reached, typed};

#[cfg(debug_assertions)]
mod debug {
    use std::env;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    static TYPED: AtomicUsize = AtomicUsize::new(0);
    static REACHED: Notify = Notify::const_new();

    /// So many bytes more were typed.
    pub(crate) fn typed(count: usize) {
        let typed = TYPED.fetch_add(count, Ordering::Relaxed) + count;
        let limit = env::var("TELEX_PANIC_AFTER").ok().and_then(|limit| limit.parse().ok());
        if limit.is_some_and(|limit: usize| typed >= limit) {
            REACHED.notify_one();
        }
    }

    /// Panics once there were as many as that.
    #[expect(clippy::panic, reason = "that is what it is for")]
    pub(crate) async fn reached() {
        REACHED.notified().await;
        panic!("as TELEX_PANIC_AFTER says");
    }
}

/// So many bytes more were typed.
#[cfg(not(debug_assertions))]
pub(super) fn typed(_: usize) {}

/// Waits for ever.
#[cfg(not(debug_assertions))]
pub(super) async fn reached() {
    std::future::pending().await
}

//! Cuts off everything that a server has under way and that can go on later, for a moment in which nothing moves: then another
//! program can take its place, or it goes on itself.
//!
//! ```text
//!   under way ──begin──► cut off, one by one ──take──► nothing moves
//!       ▲                        │
//!       └───────── give up ──────┘   who is cut off after that goes on at once
//! ```

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::job::Paused;

/// Whether there is a pause, and who was cut off by it.
#[derive(Debug, Default)]
pub(crate) struct Pause(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// That of the next pause, or the present one.
    token: CancellationToken,
    /// `None` while there is no pause.
    cut_off: Option<Vec<Paused>>,
}

impl Pause {
    /// What is cancelled when the next pause begins.
    pub(crate) fn token(&self) -> CancellationToken {
        self.lock().token.clone()
    }

    /// Everything is cut off from now on.
    pub(crate) fn begin(&self) {
        let mut state = self.lock();
        state.cut_off.get_or_insert_default();
        state.token.cancel();
    }

    /// Ends the pause. What was cut off.
    pub(crate) fn end(&self) -> Vec<Paused> {
        mem::take(&mut *self.lock()).cut_off.unwrap_or_default()
    }

    /// Leaves a job that was cut off; gives it back if there is no pause any more.
    pub(crate) fn lay_down(&self, job: Paused) -> Option<Paused> {
        match &mut self.lock().cut_off {
            Some(cut_off) => {
                cut_off.push(job);
                None
            }
            None => Some(job),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

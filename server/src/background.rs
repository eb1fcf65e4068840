//! Work that may take as long as somebody else likes, such as writing to a pipe that nobody reads: done at once where that is
//! sure to be quick, and else by a thread, for which nobody waits. Knows nothing of what is done.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::SigSet;
use thiserror::Error;
use tokio::sync::oneshot;

/// How long the end of a program may be put off by what is still to be done. A server has 500 ms left of its 10 s then.
const FAREWELL: Duration = Duration::from_millis(400);

/// What is done to one thing after another.
pub(crate) trait Work<T>: Send + 'static {
    /// Does it if that cannot block; gives `thing` back if it could.
    fn try_now(&mut self, thing: T) -> Result<(), T>;

    /// Does it, however long that takes.
    fn run(&mut self, thing: T);
}

/// Does one thing after another. The thread is there from the first time on that something could block.
///
/// When it is dropped it finishes what was offered, and is left behind if that takes longer than 400 ms.
pub(crate) struct Background<T, W> {
    name: &'static str,
    capacity: usize,
    shared: Arc<Shared<T, W>>,
}

struct Shared<T, W> {
    state: Mutex<State<T, W>>,
    /// Something for the thread, or for who waits for its end.
    changed: Condvar,
}

struct State<T, W> {
    /// `None` while the thread is at it.
    work: Option<W>,
    waiting: VecDeque<T>,
    has_thread: bool,
    finished: bool,
}

/// Why something is not done.
#[derive(Debug, Error)]
pub enum NotTaken {
    /// As much is waiting already as may.
    #[error("too much is waiting to be written")]
    Full,
    /// Nothing is taken any more.
    #[error("its writer has ended")]
    Over,
    /// There can be no thread.
    #[error("its writer cannot be started: {0}")]
    NoThread(io::Error),
}

impl<T: Send + 'static, W: Work<T>> Background<T, W> {
    /// What does `work` to each thing that is offered; at most `capacity` of them wait.
    pub(crate) fn new(name: &'static str, capacity: usize, work: W) -> Self {
        let state = State { work: Some(work), waiting: VecDeque::new(), has_thread: false, finished: false };
        Self {
            name,
            capacity,
            shared: Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }),
        }
    }

    /// Has `thing` be worked on after all that was offered before. Does not wait.
    ///
    /// # Errors
    /// [`NotTaken`]; it never will be then.
    pub(crate) fn offer(&self, thing: T) -> Result<(), NotTaken> {
        let mut state = self.shared.lock();
        if state.finished {
            return Err(NotTaken::Over);
        }
        if state.waiting.len() >= self.capacity {
            return Err(NotTaken::Full);
        }
        let is_next = state.waiting.is_empty();
        let later = match state.work.as_mut().filter(|_| is_next) {
            Some(work) => work.try_now(thing),
            None => Err(thing),
        };
        let Err(thing) = later else { return Ok(()) };
        if !state.has_thread {
            self.start_thread().map_err(NotTaken::NoThread)?;
            state.has_thread = true;
        }
        state.waiting.push_back(thing);
        self.shared.changed.notify_all();
        Ok(())
    }

    fn start_thread(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let body = move || {
            // They are the main thread's.
            SigSet::all().thread_block().ok();
            shared.work_off();
        };
        thread::Builder::new().name(self.name.to_owned()).spawn(body).map(drop)
    }
}

impl<T, W: Work<T>> Shared<T, W> {
    /// What the thread does.
    fn work_off(&self) {
        let mut state = self.lock();
        loop {
            let Some(thing) = state.waiting.pop_front() else {
                if state.finished {
                    break;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let Some(mut work) = state.work.take() else { break };
            drop(state);
            work.run(thing);
            state = self.lock();
            state.work = Some(work);
            self.changed.notify_all();
        }
        state.has_thread = false;
        self.changed.notify_all();
    }
}

impl<T, W> Shared<T, W> {
    fn lock(&self) -> MutexGuard<'_, State<T, W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, W> Background<T, W> {
    /// Waits until everything is done that was offered, for 400 ms at most; what is offered later is taken.
    pub(crate) fn settle(&self) {
        let state = self.shared.lock();
        let is_busy = |state: &mut State<T, W>| state.work.is_none() || !state.waiting.is_empty();
        drop(self.shared.changed.wait_timeout_while(state, FAREWELL, is_busy));
    }

    /// Takes nothing more, and waits until everything is done, for 400 ms at most.
    pub(crate) fn finish(&self) {
        let mut state = self.shared.lock();
        state.finished = true;
        self.shared.changed.notify_all();
        // Lateness is of no use to anyone.
        drop(self.shared.changed.wait_timeout_while(state, FAREWELL, |state| state.has_thread));
    }
}

impl<T, W> Drop for Background<T, W> {
    fn drop(&mut self) {
        self.finish();
    }
}

impl<T, W> fmt::Debug for Background<T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Does `work` once, on a thread of its own that ends with it.
///
/// # Errors
/// The system's, if there can be no such thread; then nothing was done. tokio's own threads for this would panic then.
pub(crate) async fn aside<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    #[cfg(test)]
    if crate::job::stage::Stage::present().is_some() {
        // Nothing that a history consists of happens beside it.
        return Ok(work());
    }
    let (answer, answered) = oneshot::channel();
    let body = move || {
        SigSet::all().thread_block().ok();
        // Who does not wait for it any more does without.
        answer.send(work()).ok();
    };
    thread::Builder::new().name(name.to_owned()).spawn(body)?;
    answered.await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Instant;

    use super::*;

    /// Works at once as long as it may, and else only when it is told to; tells what it has worked on.
    struct Held {
        at_once: usize,
        may_go: Receiver<()>,
        done: Sender<u32>,
    }

    impl Work<u32> for Held {
        fn try_now(&mut self, thing: u32) -> Result<(), u32> {
            self.at_once = self.at_once.checked_sub(1).ok_or(thing)?;
            self.done.send(thing).unwrap();
            Ok(())
        }

        fn run(&mut self, thing: u32) {
            self.may_go.recv().ok();
            self.done.send(thing).ok();
        }
    }

    fn held(capacity: usize, at_once: usize) -> (Background<u32, Held>, Sender<()>, Receiver<u32>) {
        let (go, may_go) = channel();
        let (done, results) = channel();
        (Background::new("test", capacity, Held { at_once, may_go, done }), go, results)
    }

    #[test]
    fn what_cannot_block_is_done_when_it_was_offered() {
        let (background, _go, results) = held(8, 3);
        for thing in 0..3 {
            background.offer(thing).unwrap();
            assert_eq!(results.try_recv(), Ok(thing));
        }
        assert!(!background.shared.lock().has_thread);
    }

    #[test]
    fn everything_is_done_in_order_before_the_end() {
        let (background, go, results) = held(8, 1);
        for thing in 0..8 {
            background.offer(thing).unwrap();
        }
        for _ in 1..8 {
            go.send(()).unwrap();
        }
        background.finish();
        assert_eq!(results.try_iter().collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
        assert!(matches!(background.offer(8), Err(NotTaken::Over)));
    }

    #[test]
    fn who_waits_for_what_was_offered_finds_it_done_and_offers_more() {
        let (background, go, results) = held(8, 0);
        for round in 0..50 {
            for thing in 0..2 {
                background.offer(2 * round + thing).unwrap();
                go.send(()).unwrap();
            }
            background.settle();
            let done: Vec<_> = results.try_iter().collect();
            assert_eq!(done, [2 * round, 2 * round + 1]);
        }
    }

    #[test]
    fn who_offers_too_much_is_told_and_never_waits() {
        let (background, go, results) = held(2, 0);
        // One is being worked on at some point, and two wait.
        let taken = (0..1000).filter(|thing| background.offer(*thing).is_ok()).count();
        assert!((2..=3).contains(&taken), "{taken}");
        assert!(matches!(background.offer(0), Err(NotTaken::Full)));
        drop(go);
        drop(background);
        assert_eq!(results.iter().count(), taken);
    }

    #[test]
    fn a_thread_that_is_stuck_puts_the_end_off_for_a_short_time_only() {
        let (background, go, _results) = held(1, 0);
        background.offer(1).unwrap();
        let begun = Instant::now();
        background.finish();
        assert!(begun.elapsed() >= FAREWELL);
        drop(go);
    }
}

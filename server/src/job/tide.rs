//! How far a job's output has come, for whoever must not be ahead of it. Who reads a stream answers for it; no descriptor is known
//! here.
//!
//! ```text
//!   who waits: settle ──► asked = n ····················► both have reached n
//!   who reads:             asked ──► what is there: k bytes ──► read, or nothing left ──► reached = n
//! ```
//!
//! Only what was there when it was asked is waited for: what is written without end holds nobody up.

use tokio::sync::watch;

/// A stream that has come to its end has reached everything.
const OVER: u64 = u64::MAX;

/// How far the two streams of a job are read.
#[derive(Debug, Default)]
pub(super) struct Tide {
    /// How often it was asked.
    asked: watch::Sender<u64>,
    /// For which of these times all that was there is read.
    reached: [watch::Sender<u64>; 2],
}

impl Tide {
    /// Waits until everything is read that was written before. One waits at a time; safe to drop.
    pub(super) async fn settle(&self) {
        self.asked.send_modify(|round| *round += 1);
        let round = *self.asked.borrow();
        for stream in &self.reached {
            // The sender is ours, so there is always something to wait for.
            stream.subscribe().wait_for(|reached| *reached >= round).await.ok();
        }
    }

    /// For those who read stdout and stderr.
    pub(super) fn readers(&self) -> [Ebb<'_>; 2] {
        self.reached
            .each_ref()
            .map(|reached| Ebb(Some(Followed { asked: self.asked.subscribe(), reached, owed: None })))
    }
}

/// What one who reads a stream owes to whoever waits.
#[derive(Debug, Default)]
pub(super) struct Ebb<'a>(Option<Followed<'a>>);

#[derive(Debug)]
struct Followed<'a> {
    asked: watch::Receiver<u64>,
    reached: &'a watch::Sender<u64>,
    /// For which time, and how many bytes are still to be read.
    owed: Option<(u64, usize)>,
}

impl Ebb<'_> {
    /// Waits until it is asked how far it is: the answer is [`Ebb::owe`]. Without end, if nobody asks. Safe to drop.
    pub(super) async fn asked(&mut self) {
        let asked = match &mut self.0 {
            Some(followed) => followed.asked.changed().await,
            None => return std::future::pending().await,
        };
        if asked.is_err() {
            // Who would ask is gone.
            std::future::pending::<()>().await;
        }
    }

    /// So many bytes are there to be read, or fewer.
    pub(super) fn owe(&mut self, bytes: usize) {
        if let Some(followed) = &mut self.0 {
            let round = *followed.asked.borrow();
            followed.owed = Some((round, bytes));
        }
        self.read(0);
    }

    /// So many were read, and can be found.
    pub(super) fn read(&mut self, count: usize) {
        let Some(followed) = &mut self.0 else { return };
        match &mut followed.owed {
            Some((_, bytes)) if *bytes > count => *bytes -= count,
            Some((round, _)) => {
                followed.reached.send_replace(*round);
                followed.owed = None;
            }
            None => {}
        }
    }

    /// There is nothing left to be read at present.
    pub(super) fn read_all(&mut self) {
        self.read(usize::MAX);
    }

    /// There never will be again.
    pub(super) fn end(&mut self) {
        if let Some(followed) = &mut self.0 {
            followed.reached.send_replace(OVER);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Poll;

    use super::*;

    async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
        poll_fn(|task| Poll::Ready(future.as_mut().poll(task))).await
    }

    #[tokio::test]
    async fn who_waits_goes_on_when_what_was_there_is_read_and_no_later() {
        let tide = Tide::default();
        let [mut stdout, mut stderr] = tide.readers();
        stdout.read(1000);
        let mut settling = std::pin::pin!(tide.settle());
        assert!(poll_once(settling.as_mut()).await.is_pending());
        stdout.asked().await;
        stdout.owe(100);
        stderr.asked().await;
        stderr.owe(0);
        stdout.read(99);
        assert!(poll_once(settling.as_mut()).await.is_pending());
        stdout.read(4000);
        assert_eq!(poll_once(settling.as_mut()).await, Poll::Ready(()));
        // An earlier answer is none to a later question.
        let mut settling = std::pin::pin!(tide.settle());
        stdout.read_all();
        stderr.end();
        assert!(poll_once(settling.as_mut()).await.is_pending());
        stdout.asked().await;
        stdout.owe(4096);
        stdout.read_all();
        assert_eq!(poll_once(settling.as_mut()).await, Poll::Ready(()));
    }

    #[tokio::test]
    async fn where_nobody_asks_nothing_is_owed() {
        let mut ebb = Ebb::default();
        ebb.owe(5);
        ebb.read(5);
        ebb.end();
        assert!(poll_once(std::pin::pin!(ebb.asked())).await.is_pending());
    }
}

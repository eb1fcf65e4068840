//! Keeps what a job's client does not have yet: in memory up to a window, part of which is borrowed from a budget; and while
//! nobody is attached, behind that, in a spool with a quota.

mod handed;

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use common::limits;
use common::stream::{Budget, Retained};
use tokio::sync::Notify;
use tracing::warn;

use super::spool::{Spool, Spools};
use super::{Closed, Read, Room};

/// What is borrowed beyond the initial window.
const EXTRA: u64 = limits::STREAM_WINDOW - limits::INITIAL_WINDOW;

/// How much may wait here to be sent to a client that is attached. Nothing is gained by more: it waits as well in the pipe.
const UNSENT: u64 = limits::DATA_PAYLOAD as u64;

/// An output stream of a job whose server keeps it.
#[derive(Debug)]
pub(crate) struct Buffer {
    state: Mutex<State>,
    /// Something was put in, or will never be.
    grown: Notify,
    /// There may be room.
    drained: Notify,
    /// Nobody wants more. Not said by `drained`, which is said for every byte that is sent.
    closed: Notify,
}

#[derive(Debug)]
struct State {
    retained: Retained,
    /// Nothing will be put in any more.
    ended: bool,
    /// The job's client wants no more.
    closed: bool,
    /// Whether there is always room.
    overwrite: bool,
    /// How far its client was sent, if there is one.
    sent: Option<u64>,
    /// What `retained` had no room for, behind it.
    spool: Option<Spool>,
    /// `None` if there is nowhere to spool to.
    spools: Option<Spools>,
    budget: Budget,
    /// Whether [`EXTRA`] was taken from the budget.
    extra: bool,
}

/// Where what is read is to be found.
enum Found {
    Here(Read),
    InSpool(std::pin::Pin<Box<dyn Future<Output = std::io::Result<Bytes>> + Send>>),
}

impl Buffer {
    /// An empty stream that may borrow from `budget`, and may be spooled.
    pub(crate) fn new(budget: Budget, spools: Option<Spools>) -> Self {
        let state = State {
            retained: Retained::default(),
            ended: false,
            closed: false,
            overwrite: false,
            sent: None,
            spool: None,
            spools,
            budget,
            extra: false,
        };
        Self { state: Mutex::new(state), grown: Notify::new(), drained: Notify::new(), closed: Notify::new() }
    }

    /// A stream of which only the length is known.
    pub(crate) fn ended_at(offset: u64, budget: Budget) -> Self {
        let buffer = Self::new(budget, None);
        buffer.lock().retained = Retained::starting_at(offset);
        buffer.end();
        buffer
    }

    /// Waits until something may be put in; how much, and how.
    ///
    /// # Errors
    /// [`Closed`] once nobody wants more.
    #[cfg(test)]
    pub(crate) async fn room(&self) -> Result<Room, Closed> {
        self.room_for(1).await
    }

    /// Waits until at least so many bytes may be put in; how many, and how.
    ///
    /// # Errors
    /// [`Closed`] once nobody wants more.
    pub(crate) async fn room_for(&self, least: usize) -> Result<Room, Closed> {
        loop {
            // Registered before the look, so that a change between look and wait is not missed.
            let drained = self.drained.notified();
            self.take_back().await;
            let room = self.lock().room();
            match room {
                Ok(room) if room.bytes() < least => drained.await,
                room => return room,
            }
        }
    }

    /// Whether there is no room because what is here was not taken.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().room().is_ok_and(|room| room.bytes() == 0)
    }

    /// Whether nobody wants more.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits until nobody wants more.
    pub(crate) async fn closed(&self) -> Closed {
        loop {
            let closed = self.closed.notified();
            if self.lock().closed {
                return Closed;
            }
            closed.await;
        }
    }

    /// Puts `bytes` in, no more than there is room for.
    pub(crate) fn push(&self, bytes: Bytes) {
        self.lock().push(bytes);
        self.grown.notify_waiters();
    }

    /// Puts `bytes` into the spool, no more than there is room for; if that fails, into memory after all, once nothing that comes
    /// before them is in the spool.
    pub(crate) async fn spill(&self, bytes: Bytes) {
        let Err(error) = self.try_spill(bytes.clone()).await else { return };
        // The quota is for all streams: another one may have been faster.
        if error.kind() != std::io::ErrorKind::QuotaExceeded {
            warn!(%error, "cannot spool output: its command has to wait");
            self.lock().spools = None;
        }
        loop {
            let drained = self.drained.notified();
            self.take_back().await;
            if self.lock().push_behind_spool(&bytes) {
                break self.grown.notify_waiters();
            }
            drained.await;
        }
    }

    /// Takes what is left in the spool back into memory, if there is a client and little is left. A spool goes as a whole, and until
    /// then nothing of it can be used again; a client tells how far it has got only now and then.
    async fn take_back(&self) {
        let Some((from, read)) = self.lock().remainder() else { return };
        // If it cannot be read, whoever is to be sent it finds out.
        if let Ok(bytes) = read.await {
            self.lock().put_back(from, bytes);
        }
    }

    async fn try_spill(&self, bytes: Bytes) -> std::io::Result<()> {
        let (begin, end) = {
            let state = self.lock();
            let begin = if state.spool.is_none() { state.spools.clone() } else { None };
            (begin, state.end())
        };
        if let Some(spools) = begin {
            let spool = spools.begin(end).await?;
            self.lock().spool = Some(spool);
        }
        let write = {
            let mut state = self.lock();
            match &state.spool {
                Some(spool) => spool.writer(bytes.clone())?,
                // There is nowhere to spool to.
                None if state.spools.is_none() => return Err(std::io::ErrorKind::Unsupported.into()),
                // The client is back, and had everything before these.
                None => {
                    state.push(bytes);
                    drop(state);
                    self.grown.notify_waiters();
                    return Ok(());
                }
            }
        };
        let written = write.await?;
        {
            let mut state = self.lock();
            match &mut state.spool {
                Some(spool) => spool.add(written),
                // The client is back, and had everything before these.
                None => state.push(bytes),
            }
        }
        self.grown.notify_waiters();
        Ok(())
    }

    /// Nothing more will be put in.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.grown.notify_waiters();
    }

    /// Waits for something at `offset`; at most `most` bytes of it.
    pub(crate) async fn read(&self, offset: u64, most: usize) -> Read {
        loop {
            let grown = self.grown.notified();
            let found = self.lock().find(offset, most);
            match found {
                Some(Found::Here(read)) => return read,
                Some(Found::InSpool(read)) => match read.await {
                    Ok(bytes) => return Read::Bytes(bytes),
                    Err(error) => {
                        warn!(%error, "cannot read spooled output: it is lost");
                        return Read::Skip(self.kept().1);
                    }
                },
                None => grown.await,
            }
        }
    }

    /// What is kept: the oldest offset, and the number of bytes until now.
    pub(crate) fn kept(&self) -> (u64, u64) {
        let state = self.lock();
        (state.base(), state.end())
    }

    /// The job has a client, who was sent everything up to `offset`.
    pub(crate) fn sent(&self, offset: u64) {
        self.lock().sent = Some(offset);
        self.drained.notify_waiters();
    }

    /// The job has no client.
    pub(crate) fn unattended(&self) {
        self.lock().sent = None;
        self.drained.notify_waiters();
    }

    /// The client has everything up to `offset`.
    pub(crate) fn release(&self, offset: u64) {
        self.lock().release(offset);
        self.drained.notify_waiters();
    }

    /// The client wants no more; what is here is dropped.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let end = state.end();
        state.release(end);
        drop(state);
        self.drained.notify_waiters();
        self.closed.notify_waiters();
    }

    /// Nobody is waited for any more: from now on there is always room, and what is oldest makes it.
    pub(crate) fn overwrite(&self) {
        let mut state = self.lock();
        state.overwrite = true;
        // What would have to be made room for first.
        if let Some(spool) = state.spool.take() {
            state.retained = Retained::starting_at(spool.end());
        }
        drop(state);
        self.drained.notify_waiters();
    }

    /// Nobody will ask for what is here.
    pub(crate) fn forget(&self) {
        let mut state = self.lock();
        let end = state.end();
        state.release(end);
        state.give_back();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, bytes: Bytes) {
        self.retained.push(bytes);
        if self.overwrite {
            let kept = self.retained.end().saturating_sub(self.window());
            self.retained.release(kept);
        }
    }

    /// Puts `bytes` into memory, unless there is something in the spool; whether it did.
    fn push_behind_spool(&mut self, bytes: &Bytes) -> bool {
        let free = self.spool.as_ref().is_none_or(Spool::is_empty);
        if free {
            self.spool = None;
            self.push(bytes.clone());
        }
        free
    }

    /// What is left in the spool of which little is left, and where it begins.
    fn remainder(&self) -> Option<(u64, impl Future<Output = std::io::Result<Bytes>> + use<>)> {
        let spool = self.spool.as_ref().filter(|_| self.sent.is_some())?;
        // A client that has taken everything owes the acknowledgement of less than the smallest window.
        let is_little = spool.end().saturating_sub(self.base()) <= self.window();
        let from = self.retained.end();
        is_little.then(|| (from, spool.reader(from, usize::MAX)))
    }

    /// Puts what was left in the spool behind what is in memory, unless the client has it by now.
    fn put_back(&mut self, from: u64, mut bytes: Bytes) {
        if self.spool.take().is_none() {
            return;
        }
        let known = self.retained.end().saturating_sub(from);
        bytes.advance(usize::try_from(known).unwrap_or(usize::MAX).min(bytes.len()));
        if !bytes.is_empty() {
            self.push(bytes);
        }
    }

    fn window(&self) -> u64 {
        if self.extra { limits::STREAM_WINDOW } else { limits::INITIAL_WINDOW }
    }

    /// The oldest byte that is kept.
    fn base(&self) -> u64 {
        self.retained.base()
    }

    /// The number of bytes until now.
    fn end(&self) -> u64 {
        self.spool.as_ref().map_or_else(|| self.retained.end(), Spool::end)
    }

    fn room(&mut self) -> Result<Room, Closed> {
        if self.closed {
            return Err(Closed);
        }
        if self.overwrite {
            return Ok(Room::Memory(limits::DATA_PAYLOAD));
        }
        let held = self.retained.len();
        // A stream that says little needs no more than it has.
        if !self.extra && held >= limits::INITIAL_WINDOW / 2 {
            self.extra = self.budget.take(EXTRA);
        }
        let end = self.end();
        let unsent = self.sent.map_or(u64::MAX, |sent| UNSENT.saturating_sub(end.saturating_sub(sent)));
        let memory = self.window().saturating_sub(held).min(unsent);
        let bytes = |room: u64| usize::try_from(room).unwrap_or(usize::MAX);
        match &self.spools {
            // In their order: behind what is in the spool comes nothing but the spool.
            Some(spools) if self.spool.is_some() || (memory == 0 && self.sent.is_none()) => {
                Ok(Room::Disk(bytes(spools.left().min(unsent).min(UNSENT))))
            }
            _ if self.spool.is_some() => Ok(Room::Disk(0)),
            _ => Ok(Room::Memory(bytes(memory))),
        }
    }

    fn find(&self, offset: u64, most: usize) -> Option<Found> {
        if offset < self.base() {
            return Some(Found::Here(Read::Skip(self.base())));
        }
        let bytes = self.retained.read(offset, most);
        if !bytes.is_empty() {
            return Some(Found::Here(Read::Bytes(bytes)));
        }
        if let Some(spool) = self.spool.as_ref().filter(|spool| offset < spool.end()) {
            return Some(Found::InSpool(Box::pin(spool.reader(offset, most))));
        }
        (self.ended && offset >= self.end()).then_some(Found::Here(Read::End))
    }

    fn release(&mut self, offset: u64) {
        self.retained.release(offset);
        if self.spool.is_some() && offset > self.retained.end() {
            // What follows is in the spool, which is given up as a whole.
            self.retained = Retained::starting_at(offset);
        }
        if self.spool.as_ref().is_some_and(|spool| offset >= spool.end()) {
            self.spool = None;
        }
        if self.ended && self.retained.is_empty() && self.spool.is_none() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if std::mem::take(&mut self.extra) {
            self.budget.give_back(EXTRA);
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PIECE: usize = limits::DATA_PAYLOAD;

    /// What is read from `offset` to `end`, each byte of which is acknowledged.
    async fn take(buffer: &Buffer, mut offset: u64, end: u64) -> Vec<u8> {
        let mut taken = Vec::new();
        while offset < end {
            let Read::Bytes(bytes) = buffer.read(offset, PIECE).await else { panic!("nothing at {offset}") };
            offset += bytes.len() as u64;
            taken.extend_from_slice(&bytes);
            buffer.release(offset);
        }
        taken
    }

    #[tokio::test]
    async fn of_two_streams_that_share_a_quota_the_slower_one_keeps_its_order() {
        let directory = tempfile::tempdir().unwrap();
        let spools = Spools::new(directory.path().join("spools")).of_job();
        let [stream, other] = [(), ()].map(|()| Buffer::new(Budget::new(0), Some(spools.clone())));
        stream.push(Bytes::from(vec![b'a'; PIECE]));
        stream.spill(Bytes::from(vec![b'b'; PIECE])).await;
        // There was room when it was asked; then the other one took it.
        assert!(matches!(stream.room().await, Ok(Room::Disk(1..))));
        while spools.left() > 0 {
            let size = usize::try_from(spools.left()).unwrap().min(PIECE);
            other.spill(Bytes::from(vec![b'o'; size])).await;
        }
        let all = 3 * PIECE as u64;
        let spilling = stream.spill(Bytes::from(vec![b'c'; PIECE]));
        let both = async { tokio::join!(spilling, take(&stream, 0, all)) };
        let ((), taken) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
        let expected = [b'a', b'b', b'c'].map(|byte| vec![byte; PIECE]).concat();
        assert!(taken == expected);
        assert_eq!(stream.kept(), (all, all));
    }

    #[tokio::test]
    async fn a_client_that_has_everything_and_has_not_said_so_does_not_keep_the_command_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let spools = Spools::new(directory.path().join("spools")).of_job();
        let stream = Buffer::new(Budget::new(0), Some(spools.clone()));
        let mut written = 0_u64;
        let piece = |number: u64| Bytes::from(vec![number as u8; PIECE]);
        while !stream.is_full() {
            match stream.room().await.unwrap() {
                Room::Memory(_) => stream.push(piece(written)),
                Room::Disk(_) => stream.spill(piece(written)).await,
            }
            written += 1;
        }
        assert_eq!(spools.left(), 0);
        // It is sent all there is, and owes the acknowledgement of the last pieces.
        let end = written * PIECE as u64;
        let owed = end - limits::INITIAL_WINDOW + 1;
        stream.sent(end);
        assert!(stream.is_full());
        let waiting = async {
            let room = stream.room().await;
            assert!(matches!(room, Ok(Room::Memory(1..))), "{room:?}");
        };
        let releasing = async {
            tokio::task::yield_now().await;
            stream.release(end - 2 * PIECE as u64);
            stream.release(owed);
        };
        let both = async { tokio::join!(waiting, releasing) };
        tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
        assert_eq!((stream.kept(), spools.left()), ((owed, end), 64 * 1024 * 1024));
        let Read::Bytes(last) = stream.read(owed, PIECE).await else { panic!("it is gone") };
        assert!(!last.is_empty() && piece(written - 1).starts_with(&last));
    }
}

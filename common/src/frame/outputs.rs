//! Something for each stream that a command writes. Knows nothing of what.

use super::StreamId;

/// One of something for each stream that a server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outputs<T> {
    /// For [`StreamId::Stdout`].
    pub stdout: T,
    /// For [`StreamId::Stderr`].
    pub stderr: T,
    /// For [`StreamId::Control`].
    pub control: T,
}

impl<T> Outputs<T> {
    /// What `of` makes of each.
    pub fn new(mut of: impl FnMut(StreamId) -> T) -> Self {
        Self { stdout: of(StreamId::Stdout), stderr: of(StreamId::Stderr), control: of(StreamId::Control) }
    }

    /// That of this stream; `None` for one that the client sends.
    pub fn get(&self, stream: StreamId) -> Option<&T> {
        match stream {
            StreamId::Stdin => None,
            StreamId::Stdout => Some(&self.stdout),
            StreamId::Stderr => Some(&self.stderr),
            StreamId::Control => Some(&self.control),
        }
    }

    /// As [`Outputs::get`], to change it.
    pub fn get_mut(&mut self, stream: StreamId) -> Option<&mut T> {
        match stream {
            StreamId::Stdin => None,
            StreamId::Stdout => Some(&mut self.stdout),
            StreamId::Stderr => Some(&mut self.stderr),
            StreamId::Control => Some(&mut self.control),
        }
    }

    /// Each with its stream, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (StreamId, &T)> {
        [
            (StreamId::Stdout, &self.stdout),
            (StreamId::Stderr, &self.stderr),
            (StreamId::Control, &self.control),
        ]
        .into_iter()
    }
}

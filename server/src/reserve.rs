//! Descriptors that are kept back for what must not fail because there are none left.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

/// Descriptors held so that nobody else has them.
#[derive(Debug)]
pub(crate) struct Reserve {
    size: usize,
    held: Vec<OwnedFd>,
}

impl Reserve {
    /// Holds `size` descriptors, or as many as there are.
    pub(crate) fn new(size: usize) -> Self {
        let mut reserve = Self { size, held: Vec::with_capacity(size) };
        reserve.fill();
        reserve
    }

    /// Does `work`, and once more with the reserve given up for it if it fails with what `is_shortage` takes for a want of
    /// descriptors. Others may be faster then, so that may fail, too.
    pub(crate) fn try_with<T, E>(
        &mut self,
        work: impl Fn() -> Result<T, E>,
        is_shortage: impl Fn(&E) -> bool,
    ) -> Result<T, E> {
        let mut result = work();
        if result.as_ref().is_err_and(is_shortage) && !self.held.is_empty() {
            self.held.clear();
            result = work();
        }
        self.fill();
        result
    }

    /// Takes what is missing, as far as there is something.
    fn fill(&mut self) {
        while self.held.len() < self.size {
            let Ok(descriptor) = open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) else { return };
            self.held.push(descriptor);
        }
    }
}

/// Whether an error says that there are no descriptors or memory left, and nothing about the file.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}

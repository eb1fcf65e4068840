//! What is kept of an output stream, for the next program, and from the one before.

use std::io;
use std::iter;

use bytes::Bytes;
use common::stream::{Budget, Retained};

use super::{Buffer, EXTRA, Spool, Spools};
use crate::job::handed::HandedOutlet;
use crate::parcel::{Packing, Unpacking};

impl Buffer {
    /// Leaves it to the next program, if there will be one.
    ///
    /// # Errors
    /// The system's, if memory is short.
    pub(in crate::job) fn hand(&self, packing: &mut Packing<'_>) -> io::Result<HandedOutlet> {
        let state = self.lock();
        let spool = state.spool.as_ref().map(|spool| spool.hand(packing));
        Ok(HandedOutlet {
            base: state.base(),
            retained: packing.bytes(pieces(&state.retained))?,
            spool,
            spools: state.spools.is_some(),
            ended: state.ended,
            closed: state.closed,
            overwrite: state.overwrite,
            extra: state.extra,
        })
    }

    /// Goes on from there. May borrow from `budget`, and be spooled.
    ///
    /// # Errors
    /// The system's, if something of it is not there.
    pub(in crate::job) fn take(
        handed: HandedOutlet,
        budget: &Budget,
        spools: Option<&Spools>,
        unpacking: &mut Unpacking,
    ) -> io::Result<Self> {
        let spools = spools.filter(|_| handed.spools);
        let buffer = Self::new(budget.clone(), spools.cloned());
        {
            let mut state = buffer.lock();
            state.retained = Retained::starting_at(handed.base);
            for piece in unpacking.bytes(handed.retained)? {
                state.retained.push(piece);
            }
            state.spool = match handed.spool {
                Some(spool) => Some(Spool::take(&spool, spools, unpacking)?),
                None => None,
            };
            state.ended = handed.ended;
            state.closed = handed.closed;
            state.overwrite = handed.overwrite;
            state.extra = handed.extra && budget.take(EXTRA);
        }
        Ok(buffer)
    }
}

fn pieces(retained: &Retained) -> impl Iterator<Item = Bytes> {
    let mut offset = retained.base();
    iter::from_fn(move || {
        let piece = retained.read(offset, usize::MAX);
        offset += piece.len() as u64;
        (!piece.is_empty()).then_some(piece)
    })
}

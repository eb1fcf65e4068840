//! What a job is told and reports, for the next program, and from the one before. Its descriptors are its task's.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use common::stream::Budget;

use super::{Commands, Control};
use crate::job::handed::{HandedCommands, HandedOutlet};
use crate::job::outlet::{Buffer, Outlet};
use crate::parcel::{Packing, Unpacking};

impl Control {
    /// What was reported, and what it is to be told by `pipe`, if that is still there.
    ///
    /// # Errors
    /// The system's, if memory is short. [`io::ErrorKind::Unsupported`] for a job that is not this server's own.
    pub(in crate::job) fn hand<'a>(
        &self,
        pipe: Option<&'a Arc<OwnedFd>>,
        packing: &mut Packing<'a>,
    ) -> io::Result<(HandedCommands, HandedOutlet)> {
        let Outlet::Buffer(reports) = &self.reports else { return Err(io::ErrorKind::Unsupported.into()) };
        let pipe = pipe.filter(|_| !self.commands.is_unheard());
        let commands = HandedCommands {
            waiting: packing.bytes([self.commands.waiting()])?,
            pipe: pipe.map(|pipe| packing.descriptor(pipe.as_fd())),
        };
        Ok((commands, reports.hand(packing)?))
    }

    /// Goes on from there; also where it is told.
    ///
    /// # Errors
    /// The system's, if something of it is not there.
    pub(in crate::job) fn take(
        commands: &HandedCommands,
        reports: HandedOutlet,
        budget: &Budget,
        unpacking: &mut Unpacking,
    ) -> io::Result<(Self, Option<Arc<OwnedFd>>)> {
        let pipe = commands.pipe.map(|pipe| unpacking.descriptor(pipe)).transpose()?.map(Arc::new);
        let commands = Commands::going_on(&unpacking.bytes(commands.waiting)?, pipe.is_none());
        let reports = Outlet::Buffer(Buffer::take(reports, budget, None, unpacking)?);
        Ok((Self { commands, reports }, pipe))
    }
}

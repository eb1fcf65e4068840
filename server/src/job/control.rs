//! The control descriptors of a job: what its client tells it, on the way to its descriptor 0, and what it reports on its descriptor
//! 9, on the way to its client. Neither is read for what it means.
//!
//! - [`commands`]: what it is told
//! - [`reports`]: what it reports, each piece with how far its output had come by then

mod commands;
mod handed;
mod reports;

pub(super) use commands::{Commands, NotTaken};
pub(super) use reports::Reports;

use super::outlet::Outlet;

/// The control descriptors of a job, without the descriptors.
#[derive(Debug)]
pub(crate) struct Control {
    pub(super) commands: Commands,
    /// What it reports, as [records](common::control).
    pub(super) reports: Outlet,
}

impl Control {
    /// Those of a new job, whose reports are kept in `reports`.
    pub(crate) fn new(reports: Outlet) -> Self {
        Self { commands: Commands::default(), reports }
    }
}

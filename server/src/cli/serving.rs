//! A server that serves, and what it does when it is told something.

use common::endpoint::Endpoint;
use tracing::{error, info};

use super::arguments::Arguments;
use super::manager::Manager;
use super::report;
use super::serve::load;
use super::signals::{Received, Signals};
use super::succession::Onwards;
use crate::handover::Program;
use crate::logging::Log;
use crate::presence::PresenceFile;
use crate::server::Running;

/// Everything that there is to such a server.
pub(super) struct Serving<'a> {
    pub(super) arguments: Arguments,
    pub(super) signals: Signals,
    pub(super) running: Running,
    pub(super) manager: Manager,
    pub(super) presence: Option<PresenceFile>,
    /// Where its successor will be.
    pub(super) program: Program,
    /// How many programs were before this one in this process.
    pub(super) upgrades: u32,
    pub(super) log: &'a Log,
}

impl Serving<'_> {
    /// Serves until it is told to stop.
    pub(super) async fn serve(mut self, endpoints: &[Endpoint]) {
        let endpoints: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
        let status = format!("listening on {}", endpoints.join(", "));
        self.manager.ready(&status);
        tokio::spawn(self.manager.keep_telling(self.running.settings()));
        loop {
            match self.signals.next().await {
                Received::Stop => break,
                Received::Reload => self.reload(&status),
                Received::Upgrade => match self.upgrade(&status).await {
                    Onwards::Serve => {}
                    Onwards::Stop => break,
                },
            }
        }
        self.manager.stopping();
        self.running.stop().await;
    }

    /// Reads the settings again; those that hold stay if the new ones cannot be used.
    pub(super) fn reload(&self, status: &str) {
        self.manager.reloading("reading the settings again");
        let changed = load(&self.arguments).and_then(|config| self.running.settings().change(config));
        match changed {
            Ok(()) => {
                info!("settings read again");
                self.manager.ready(status);
            }
            Err(error) => {
                error!(%error, advice = report::advice(&error), "settings stay as they were");
                self.manager.ready(&format!("{status}; settings stay as they were: {error}"));
            }
        }
    }
}

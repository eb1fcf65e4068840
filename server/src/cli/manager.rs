//! What the server says of itself to the service manager that has started it.

use std::collections::BTreeSet;

use tokio::time::{self, MissedTickBehavior};

use super::serve::variable;
use crate::listener::Listener;
use crate::server::Settings;
use crate::service_manager::{Notifier, watchdog};

/// Set where a service manager keeps descriptors from one start of a service to the next.
const FDSTORE: &str = "FDSTORE";

/// The service manager, if there is one.
#[derive(Debug)]
pub(super) struct Manager {
    notifier: Notifier,
}

impl Manager {
    /// The one that the environment names. If it keeps descriptors, it keeps the listeners from now on, in place of those that
    /// it has `stored` by these names.
    pub(super) fn new(stored: BTreeSet<String>, listeners: &mut [Listener]) -> Self {
        let notifier = Notifier::from_environment();
        if variable(FDSTORE).is_some() {
            store(&notifier, &stored, listeners);
        }
        Self { notifier }
    }

    /// The server serves.
    pub(super) fn ready(&self, status: &str) {
        self.notifier.ready(status);
    }

    /// The server changes what it goes by, until it is ready.
    pub(super) fn reloading(&self, status: &str) {
        self.notifier.reloading(status);
    }

    /// The server ends.
    pub(super) fn stopping(&self) {
        self.notifier.stopping();
    }

    /// Says that the server is not stuck, if the manager wants to know; for ever.
    pub(super) fn keep_telling(&self, settings: Settings) -> impl Future<Output = ()> + use<> {
        let notifier = self.notifier.clone();
        async move {
            let Some(interval) = watchdog(std::process::id(), variable) else { return };
            let mut ticks = time::interval(interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                settings.pulse();
                notifier.alive();
            }
        }
    }
}

fn store(notifier: &Notifier, stored: &BTreeSet<String>, listeners: &mut [Listener]) {
    // One that is not wanted any more would be bound for ever.
    for name in stored {
        notifier.remove(name);
    }
    for listener in listeners {
        let Some(name) = listener.origin.stored_name() else { continue };
        if notifier.store(listener.descriptors().0, &name) {
            listener.outlives_us();
        }
    }
}

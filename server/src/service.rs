//! What every connection of a server shares: who it runs commands as, what runs, and what may be held.

use common::limits;
use common::stream::Budget;
use tokio_util::sync::CancellationToken;

use crate::job::Registry;
use crate::process::{Account, ProcessTable};

/// What the windows of all connections may hold together, beyond each stream's initial one.
const WINDOWS: u64 = 512 * 1024 * 1024;

/// The state of a server that its connections share.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) account: Account,
    pub(crate) process_table: ProcessTable,
    pub(crate) registry: Registry,
    pub(crate) budget: Budget,
    /// The server is stopping.
    pub(crate) stopping: CancellationToken,
}

impl Service {
    /// A service of this process's account, with nothing running.
    pub(crate) fn new() -> Self {
        Self {
            account: Account::current(std::env::var_os("LANG")),
            process_table: ProcessTable::default(),
            registry: Registry::default(),
            budget: Budget::new(WINDOWS),
            stopping: CancellationToken::new(),
        }
    }

    /// The share of one connection.
    pub(crate) fn connection_budget(&self) -> Budget {
        self.budget.child(limits::CONNECTION_WINDOW)
    }
}

//! Where the jobs are kept that outlast the server.

use std::path::{Path, PathBuf};

use common::config::value::{PathText, Text};
use serde::Deserialize;

/// `[jobs]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobSettings {
    /// The server's own, made when it is needed.
    pub(crate) directory: PathBuf,
}

/// The keys of `[jobs]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawJobs {
    directory: Option<Text<PathText>>,
}

impl RawJobs {
    pub(super) fn typed(self, state_directory: &Path, home: &Path) -> JobSettings {
        let named = self.directory.map(|Text(path)| path.resolve(home));
        JobSettings { directory: named.unwrap_or_else(|| state_directory.join("jobs")) }
    }
}

//! Says in the log that commands wait because the disk with their output is full: their supervisors have nobody to tell. Makes no room.

use std::sync::Arc;
use std::time::Duration;

use common::job::JobId;
use tokio::time;
use tracing::{info, warn};

use super::Supervised;
use super::listing::ANSWER;
use crate::job::waits_for_disk;
use crate::service::Service;

/// How often the disk is looked at.
const EVERY: Duration = Duration::from_secs(5);

/// With more than this nobody waits, so nobody is asked: file systems keep a little back, and the last blocks come and go.
const LITTLE: u64 = 1024 * 1024;

/// Looks after the disk for as long as the server serves.
pub(crate) async fn watch_disk(service: &Arc<Service>) {
    let Some(supervised) = &service.supervised else { return };
    let mut told = false;
    loop {
        time::sleep(EVERY).await;
        if supervised.has_room().await {
            if std::mem::take(&mut told) {
                info!("the disk with the output of jobs has room again");
            }
        } else if !told && let Some(job) = supervised.waiting().await {
            told = true;
            warn!(%job, "the disk is full: commands wait until their output can be written down");
        }
    }
}

impl Supervised {
    /// Whether there is more room than one could wait for.
    async fn has_room(&self) -> bool {
        let store = Arc::clone(&self.store);
        self.on_disk(move || store.room()).await.is_ok_and(|room| room > LITTLE)
    }

    /// One of the jobs that wait for the disk.
    async fn waiting(&self) -> Option<JobId> {
        for (owner, id) in self.watched.all() {
            let answer = time::timeout(ANSWER, self.ask(owner, &id)).await;
            if answer.ok().flatten().is_some_and(|summary| waits_for_disk(&summary)) {
                return Some(id);
            }
        }
        None
    }
}

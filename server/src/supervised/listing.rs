//! Lists jobs with supervisors: what the store says of them, and of those that run, what their supervisors say.

use std::sync::Arc;
use std::time::Duration;

use common::frame::StreamId;
use common::job::{JobId, Outcome};
use common::message::{ClientMessage, JobState, JobSummary, Kept, ServerMessage};
use common::packet::Packet;
use tokio::task::JoinSet;
use tokio::time;
use tracing::warn;

use super::{Supervised, SupervisedError, connect, relay, settle};
use crate::authorize::Owner;
use crate::scope::Scope;
use crate::store::{self, Intent, LogStream, State, Store};

/// How long a supervisor may take to say who is attached: who asks for a list waits for the slowest.
pub(super) const ANSWER: Duration = Duration::from_secs(1);

/// Supervisors that are asked at the same time.
const ASKED_AT_ONCE: usize = 64;

impl Supervised {
    /// The jobs in `scope`, the oldest first; without `all`, those that run. What cannot be read is said in the log, and of those
    /// jobs as much as is known.
    ///
    /// # Errors
    /// [`SupervisedError`] if none can be read.
    pub(crate) async fn list(&self, scope: Scope, all: bool) -> Result<Vec<JobSummary>, SupervisedError> {
        let store = Arc::clone(&self.store);
        let listed = self.on_disk(move || {
            let (found, problems) = store.list(scope)?;
            for problem in problems {
                warn!(error = %problem, "a job cannot be read");
            }
            let runs = |found: &store::Found| matches!(found.state, State::Running { .. });
            let (running, others): (Vec<_>, Vec<_>) = found.into_iter().partition(runs);
            let others = others.into_iter().filter(|_| all).map(|found| past(&store, scope, found));
            let unreadable = store.damaged(scope)?.into_iter().filter(|job| all || job.running.is_some());
            Ok((running, others.chain(unreadable.map(damaged)).collect::<Vec<_>>()))
        });
        let (running, mut summaries) = listed.await?;
        let mut asking = JoinSet::new();
        for found in running {
            // Not all at once: each takes a descriptor.
            if asking.len() >= ASKED_AT_ONCE {
                summaries.extend(asking.join_next().await.and_then(Result::ok).flatten());
            }
            let supervised = self.clone();
            asking.spawn(async move {
                let owner = found.intent.owner;
                let answer = time::timeout(ANSWER, supervised.ask(owner, &found.intent.id)).await;
                let summary = match answer.ok().flatten() {
                    Some(answer) => Some(answer),
                    None => supervised.unanswered(found, all).await,
                };
                summary.map(|summary| scope.show(owner, summary))
            });
        }
        while let Some(asked) = asking.join_next().await {
            summaries.extend(asked.ok().flatten());
        }
        Ok(summaries)
    }

    /// What there is to be said of a job whose supervisor does not answer. It may have ended since it was found.
    async fn unanswered(&self, found: store::Found, all: bool) -> Option<JobSummary> {
        let (store, Intent { owner, id, .. }) = (Arc::clone(&self.store), found.intent.clone());
        let state = self.on_disk(move || store.find(&owner, &id)?.state()).await.ok()?;
        let found = store::Found { state, ..found };
        match found.state {
            State::Running { .. } => {
                let writer = Some("its supervisor does not answer".to_owned());
                Some(JobSummary { writer, ..summary(&found) })
            }
            _ => all.then(|| summary(&found)),
        }
    }

    /// What the supervisor itself says.
    pub(super) async fn ask(&self, owner: Owner, id: &JobId) -> Option<JobSummary> {
        let store = Arc::clone(&self.store);
        let id = id.clone();
        let job = self.on_disk(move || store.find(&owner, &id)).await.ok()?;
        let stream = connect(job.path()).await.ok()?;
        let answer = relay::ask(stream, ClientMessage::List { all: true });
        match answer.await? {
            Packet::Message { message: ServerMessage::Listed(summary), .. } => {
                Some(JobSummary { supervised: true, ..summary })
            }
            _ => None,
        }
    }
}

/// What there is to be said of a job that does not run.
fn past(store: &Store, scope: Scope, found: store::Found) -> JobSummary {
    let Intent { owner, id, .. } = found.intent.clone();
    let job = store.find(&owner, &id);
    // Who is not there to write down how it ended has left that to others.
    let state = job.as_ref().ok().and_then(|job| settle(job).ok());
    let found = store::Found { state: state.unwrap_or_else(|| found.state.clone()), ..found };
    let mut summary = summary(&found);
    for kept in &mut summary.kept {
        let stream = if kept.stream == StreamId::Stderr { LogStream::Stderr } else { LogStream::Stdout };
        let oldest = job.as_ref().ok().and_then(|job| job.log(stream).ok()?.oldest().ok());
        kept.oldest = oldest.unwrap_or(kept.end).min(kept.end);
    }
    scope.show(owner, summary)
}

/// What there is to be said of a job whose files are damaged.
fn damaged(job: store::Damaged) -> JobSummary {
    let lost = Outcome::Lost(format!("{} is damaged", job.path.display()));
    let over = JobState::Over { outcome: lost, ended_unix_ms: job.changed.0 };
    let owner = job.intent.as_ref().map_or_else(|| "not known".to_owned(), |intent| intent.owner.to_string());
    let unreadable = || "(damaged: neither its id nor its command can be read)".to_owned();
    JobSummary {
        id: job.id,
        state: job.running.as_ref().map_or(over, running),
        command: job.intent.as_ref().map_or_else(unreadable, |intent| shown(&intent.command)),
        started_unix_ms: job.intent.map_or(job.changed, |intent| intent.created).0,
        writer: None,
        readers: 0,
        supervised: true,
        owner: (!job.own).then_some(owner),
        kept: Vec::new(),
    }
}

fn shown(command: &store::Command) -> String {
    match command {
        store::Command::Argv(text) | store::Command::Shell(text) => text.clone(),
    }
}

/// What a list says of one that is not known to be over.
fn running(state: &State) -> JobState {
    match state {
        State::Running { started: Some(started) } => JobState::Running { process_id: started.process_id },
        _ => JobState::Starting,
    }
}

/// What a list says of a job that cannot be asked itself.
fn summary(found: &store::Found) -> JobSummary {
    let intent = &found.intent;
    let (state, totals) = match &found.state {
        State::Ended(end) => {
            let totals = [StreamId::Stdout, StreamId::Stderr].map(|stream| (stream, end.ended.total(stream)));
            (JobState::Over { outcome: end.ended.outcome.clone(), ended_unix_ms: end.at.0 }, totals.to_vec())
        }
        state => (running(state), Vec::new()),
    };
    let kept = totals
        .into_iter()
        .map(|(stream, total)| Kept { stream, oldest: 0, end: total.unwrap_or_default() })
        .collect();
    JobSummary {
        id: intent.id.clone(),
        state,
        command: shown(&intent.command),
        started_unix_ms: intent.created.0,
        writer: None,
        readers: 0,
        supervised: true,
        owner: None,
        kept,
    }
}

//! Whether somebody is waited for, for the next program, and from the one before. Connections do not go along.

use std::time::{Duration, Instant};

use common::message::AttachmentId;

use super::{Presence, State, Succession};
use crate::job::handed::HandedPresence;

impl Presence {
    /// How it stands `now`; who is still attached loses their line.
    pub(in crate::job) fn hand(&self, now: Instant) -> HandedPresence {
        let away_until = match self.state {
            State::Vacant => None,
            State::Held => now.checked_add(self.grace),
            State::Away { until } => Some(until),
        };
        HandedPresence {
            away_until: away_until.map(Into::into),
            on_disconnect: self.on_disconnect,
            grace_ms: u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX),
            abandoned: self.abandoned,
        }
    }

    /// Goes on from there.
    pub(in crate::job) fn take(handed: HandedPresence) -> Self {
        let HandedPresence { away_until, on_disconnect, grace_ms, abandoned } = handed;
        let state = away_until.map_or(State::Vacant, |until| State::Away { until: until.into() });
        Self { state, epoch: 0, on_disconnect, grace: Duration::from_millis(grace_ms), abandoned }
    }
}

impl Succession {
    /// Whose place was taken, the youngest last.
    pub(in crate::job) fn hand(&self) -> Vec<u64> {
        self.displaced.iter().map(|client| client.0).collect()
    }

    /// Goes on from there; `client` is in the place.
    pub(in crate::job) fn take(client: Option<u64>, displaced: &[u64]) -> Self {
        let displaced = displaced.iter().map(|client| AttachmentId(*client)).collect();
        Self { client: client.map(AttachmentId), displaced }
    }
}

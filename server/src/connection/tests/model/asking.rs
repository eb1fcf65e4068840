//! What clients do in a history: start jobs, take hold of them, tell them something, and part with them.

use std::sync::Arc;
use std::time::Duration;

use client::{Error, Job, JobId, OnDisconnect, Signal, Stdin};

use super::held::{Fault, Held, Subject, Way};
use super::history::{FIRST_SIGNAL, SUBJECTS, World, YOUTH, in_time, may_order};
use super::steps::amount;

impl World {
    pub(super) async fn start(&mut self, mate: usize, b: u32) -> Result<(), Fault> {
        if self.subjects.len() >= SUBJECTS || self.mates[mate].over {
            return Ok(());
        }
        let id: JobId = format!("job-{}", self.subjects.len()).parse().unwrap();
        let stdin = (b & 1 == 0).then(|| amount(b >> 8) * 2);
        let grace = Duration::from_secs([5, 60][b as usize >> 1 & 1]);
        self.subjects.push(Subject {
            id,
            stdin,
            kept: b >> 2 & 3 == 0,
            supervised: self.store.is_some() && b >> 4 & 1 == 0,
            grace,
            writers: 0,
            starts: 0,
            alone: Duration::ZERO,
            abandoned: false,
            cancelled: false,
            forgotten: false,
            doubt: self.born.elapsed() < YOUTH,
            signal: FIRST_SIGNAL,
        });
        self.ask(mate, self.subjects.len() - 1, Way::Start).await
    }

    /// Another start under an id that was used.
    pub(super) async fn start_again(&mut self, mate: usize, b: u32) -> Result<(), Fault> {
        let Some(at) = (b as usize).checked_rem(self.subjects.len()) else { return Ok(()) };
        if self.mates[mate].over || (self.mortal && !self.subjects[at].supervised) {
            return Ok(());
        }
        // That would be a new one.
        if self.subjects[at].supervised && self.subjects[at].forgotten {
            return Ok(());
        }
        // One that comes before the first would be the first.
        let known = !self.stage.plays(&self.subjects[at].id).is_empty();
        let way = if known && b >> 8 & 3 == 0 { Way::Conflict } else { Way::Start };
        self.ask(mate, at, way).await
    }

    pub(super) async fn ask(&mut self, mate: usize, at: usize, way: Way) -> Result<(), Fault> {
        let (subject, mate) = (&mut self.subjects[at], &mut self.mates[mate]);
        subject.starts += 1;
        let mut command = mate.client.command(if way == Way::Conflict { "other" } else { "command" });
        command.id(subject.id.clone()).grace(subject.grace);
        if subject.stdin.is_some() {
            command.stdin(Stdin::Piped);
        }
        if subject.kept {
            command.on_disconnect(OnDisconnect::Keep);
        }
        command.supervised(subject.supervised);
        match in_time(command.start()).await? {
            Ok(job) => {
                subject.writers += usize::from(way == Way::Start);
                mate.held.push(Held::started(at, way, job, subject.stdin));
                Ok(())
            }
            Err(Error::ServerGone | Error::Closed) if mate.lines.is_closed() => Ok(()),
            Err(error) => Err(format!("cannot start: {error:?}")),
        }
    }

    pub(super) fn hold(&mut self, mate: usize, b: u32) {
        let Some(at) = (b as usize).checked_rem(self.subjects.len()) else { return };
        let (subject, mate) = (&mut self.subjects[at], &mut self.mates[mate]);
        let way = [Way::Attach, Way::Follow, Way::Observe][(b as usize >> 8) % 3];
        subject.writers += usize::from(way == Way::Attach);
        let early = self.stage.plays(&subject.id).is_empty();
        mate.held.push(Held::coming(at, way, &mate.client, &subject.id, early));
    }

    pub(super) fn with_held(&mut self, mate: usize, b: u32, action: impl FnOnce(&mut Held, &mut Subject)) {
        let held = &mut self.mates[mate].held;
        let Some(at) = (b as usize & 0xff).checked_rem(held.len()) else { return };
        let held = &mut held[at];
        let subject = held.subject;
        action(held, &mut self.subjects[subject]);
    }

    pub(super) fn consume(&mut self, mate: usize, count: usize) -> Result<(), Fault> {
        for held in &mut self.mates[mate].held {
            let subject = &self.subjects[held.subject];
            held.consume(count, subject, &self.stage.plays(&subject.id))?;
        }
        Ok(())
    }

    pub(super) fn signal(&mut self, mate: usize, b: u32) {
        let Some(at) = (b as usize).checked_rem(self.mates[mate].held.len()) else { return };
        let held = &mut self.mates[mate].held[at];
        let subject = &mut self.subjects[held.subject];
        let Some(job) = held.job.as_ref().filter(|_| may_order(held.way) && subject.signal <= 64) else {
            return;
        };
        let signal = Signal::from_number(subject.signal).unwrap();
        if job.signal(signal).is_ok() {
            held.signals.push(subject.signal);
            subject.signal += 1;
        }
    }

    pub(super) fn cancel(&mut self, mate: usize, b: u32) {
        let Some(at) = (b as usize).checked_rem(self.mates[mate].held.len()) else { return };
        let held = &mut self.mates[mate].held[at];
        if let Some(job) = held.job.as_ref().filter(|_| may_order(held.way)) {
            self.subjects[held.subject].cancelled = true;
            job.cancel().ok();
        }
    }

    pub(super) fn detach(&mut self, mate: usize, b: u32) {
        let held = &mut self.mates[mate].held;
        let Some(at) = (b as usize).checked_rem(held.len()) else { return };
        if held[at].result.is_some() || !may_order(held[at].way) {
            return;
        }
        let subject = held[at].subject;
        if let Some(job) = held[at].give() {
            // Until it is known to be kept, it may be given up.
            self.mates[mate].detaching.push((subject, tokio::spawn(Job::detach(job))));
        }
    }

    /// Drops a job: one that was started is cancelled.
    pub(super) fn leave(&mut self, mate: usize, b: u32) {
        self.with_held(mate, b, |held, subject| {
            if let Some(job) = held.give() {
                subject.cancelled |= matches!(held.way, Way::Start | Way::Conflict);
                subject.abandoned |= held.way == Way::Attach;
                drop(job);
            }
        });
    }

    pub(super) fn forget(&mut self, mate: usize, b: u32) {
        let Some(at) = (b as usize).checked_rem(self.subjects.len()) else { return };
        if self.subjects[at].supervised && self.subjects[at].starts > 1 {
            // One that was asked for before and arrives afterwards would be a new one.
            return;
        }
        let (client, id) = (Arc::clone(&self.mates[mate].client), self.subjects[at].id.clone());
        self.subjects[at].forgotten = true;
        let forgetting = tokio::spawn(async move { client.job(id).forget().await });
        self.mates[mate].forgetting.push((at, forgetting));
    }
}

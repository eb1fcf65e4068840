//! What has to be true at every step of a history, and that it comes to an end.

use std::time::Duration;

use client::Error;
use common::connection::ConnectionError;
use common::message::ServerMessage;
use tokio::time::sleep;

use super::held::{Fault, now};
use super::history::{Mate, ROUNDS, World, in_time, shown, take};
use crate::job::stage::Cue;

impl World {
    /// Looks whether everything is as it has to be.
    pub(super) fn look(&mut self) -> Result<(), Fault> {
        for subject in &self.subjects {
            let plays = self.stage.plays(&subject.id);
            if plays.len() > 1 {
                return Err(format!("{} was started {} times", subject.id, plays.len()));
            }
            for script in plays.iter().map(|play| play.script()) {
                if script.misread || script.stdin_ended && subject.stdin != Some(script.read) {
                    return Err(format!("{} has read what was not sent: {script:?}", subject.id));
                }
            }
        }
        for mate in &mut self.mates {
            let over = mate.over;
            for held in &mut mate.held {
                let subject = &self.subjects[held.subject];
                held.look(subject, &self.stage.plays(&subject.id))?;
                let gave_up = matches!(held.result, Some(Err(Error::ServerGone | Error::Closed)));
                if gave_up && !over {
                    return Err(format!("{} was given up while there is a connection", subject.id));
                }
            }
            mate.forgetting.retain_mut(|(_, forgetting)| now(forgetting).is_none());
            let mut kept = Vec::new();
            mate.detaching.retain_mut(|(at, detaching)| match now(detaching) {
                Some(Ok(Ok(_))) => {
                    kept.push(*at);
                    false
                }
                Some(_) => false,
                None => true,
            });
            for at in kept {
                // What was given up before is not taken back.
                self.subjects[at].kept |= !self.subjects[at].abandoned;
            }
        }
        Ok(())
    }

    /// Nothing is lost any more: everything comes to its end.
    pub(super) async fn finish(&mut self) -> Result<(), Fault> {
        for server in std::mem::take(&mut self.stale) {
            self.part(None, server, u32::MAX).await;
        }
        for at in 0..self.mates.len() {
            if self.mates[at].over {
                continue;
            }
            self.client_notices(at);
            self.connect(at);
        }
        for server in std::mem::take(&mut self.stale) {
            self.part(None, server, u32::MAX).await;
        }
        let mut told = false;
        for round in 0..ROUNDS {
            let moved = self.round().await?;
            if !moved && !told {
                self.nothing_is_outstanding()?;
                for play in self.subjects.iter().flat_map(|subject| self.stage.plays(&subject.id)) {
                    play.cue(Cue::Exit(3));
                }
                told = true;
            } else if !moved {
                if !self.mates.iter().any(Mate::waits) {
                    return self.orders_have_their_order();
                }
                // Whoever does not end by itself is ended, step by step of the stopped clock.
                sleep(Duration::from_secs(1)).await;
            }
            if round == ROUNDS - 50 {
                // On the stopped clock: longer than any wait that is not for an answer.
                sleep(Duration::from_secs(200)).await;
            }
        }
        Err(format!("a wait does not end: {}", self.waits()))
    }

    /// Brings everybody everything; whether there was something.
    pub(super) async fn round(&mut self) -> Result<bool, Fault> {
        self.settle().await;
        let mut moved = false;
        for play in self.subjects.iter().flat_map(|subject| self.stage.plays(&subject.id)) {
            if play.script().appetite.is_some() {
                play.change(|script| script.appetite = None);
                moved = true;
            }
        }
        for at in 0..self.mates.len() {
            if let Some(server) = &mut self.mates[at].server {
                moved |= take(server, usize::MAX).await?;
            }
            self.settle().await;
            let Some(end) = &self.mates[at].end else { continue };
            while let Some(packet) = end.down.next::<ServerMessage>() {
                moved = true;
                let shown = shown(&packet);
                in_time(end.connection.hear(packet)).await?.map_err(|error: ConnectionError| {
                    format!("to the client, the server breaks a rule: {error} with {shown}")
                })?;
            }
            for held in &self.mates[at].held {
                held.write(u64::from(u16::MAX));
            }
            self.consume(at, usize::MAX)?;
            self.settle().await;
            self.look()?;
        }
        Ok(moved)
    }

    /// Every order of whoever still has hold of a job that runs has reached it, and all of its stdin.
    pub(super) fn nothing_is_outstanding(&self) -> Result<(), Fault> {
        for held in self.mates.iter().filter(|mate| !mate.over).flat_map(|mate| &mate.held) {
            let subject = &self.subjects[held.subject];
            let Some(play) = self.stage.plays(&subject.id).pop() else { continue };
            let script = play.script();
            if held.job.is_none() || held.result.is_some() || script.over.is_some() {
                continue;
            }
            if held.writes_stdin(subject) && !script.stdin_ended && !script.closes_stdin {
                return Err(format!(
                    "{}: of {:?} bytes of stdin not all have arrived: {script:?}",
                    subject.id, subject.stdin
                ));
            }
            let lost = held.signals.iter().find(|signal| !script.signals.contains(signal));
            if let Some(lost) = lost {
                return Err(format!("{}: signal {lost} has not arrived: {:?}", subject.id, script.signals));
            }
        }
        Ok(())
    }

    pub(super) fn orders_have_their_order(&self) -> Result<(), Fault> {
        for held in self.mates.iter().flat_map(|mate| &mate.held) {
            let subject = &self.subjects[held.subject];
            let arrived: Vec<i32> =
                self.stage.plays(&subject.id).iter().flat_map(|play| play.script().signals).collect();
            let own: Vec<_> = arrived.iter().filter(|signal| held.signals.contains(signal)).collect();
            if !own.is_sorted_by(|one, next| one < next) {
                return Err(format!("{}: orders twice, or out of order: {arrived:?}", subject.id));
            }
        }
        Ok(())
    }

    pub(super) fn waits(&self) -> String {
        let waits = self.mates.iter().flat_map(|mate| &mate.held).filter(|held| held.is_open());
        let shown = waits.map(|held| {
            let subject = &self.subjects[held.subject];
            let scripts: Vec<_> = self.stage.plays(&subject.id).iter().map(|play| play.script()).collect();
            format!("{:?} of {subject:?} {scripts:?}", held.way)
        });
        shown.collect::<Vec<_>>().join("; ")
    }
}

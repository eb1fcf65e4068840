//! The jobs of one program, which the next one in this process goes on with: what is written down of them, and how they are made
//! of it again. That they stand still meanwhile is the [pause](crate::pause)'s business.
//!
//! - [`record`]: what is written down, and in which form; [`sample`] has one of each
//! - beside what it is about (`state`, `rules`, `presence`, `orders`, `outlet/buffer`, `registry`): from it and back
//! - here: all of it together, and what a task has of its job

mod record;
mod sample;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use common::record::{Record, RecordError, open, seal};
use thiserror::Error;
use tracing::{error, info};

pub(super) use record::{
    HandedCommands, HandedControl, HandedCourse, HandedEnd, HandedFeed, HandedFeedStage, HandedJob,
    HandedOrders, HandedOutlet, HandedPast, HandedPresence, HandedReading, HandedRules, HandedRung,
    HandedServer, HandedSource, HandedSpool, HandedStage, HandedState,
};

pub(crate) use sample::sample;

use super::control::Control;
use super::input::{self, Feed};
use super::life::{Paused, Stage};
use super::output::Source;
use super::registry::Registry;
use super::rules::Rules;
use super::state::Job;
use super::task::Course;
use crate::parcel::{Packing, Unpacking};
use crate::process::{self, Containment, Process};
use crate::service::Service;

/// Bytes of the length that stands before a record.
const LENGTH: usize = 4;

/// Why jobs are not handed over.
#[derive(Debug, Error)]
pub(crate) enum HandingError {
    /// What is written down of one cannot be written or read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The system's.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// What was written down by the program before.
#[derive(Debug)]
pub(crate) struct Handed {
    server: HandedServer,
    past: Vec<HandedPast>,
    jobs: Vec<(HandedJob, Option<HandedControl>)>,
}

/// Writes down the jobs of `service`, of which those that are under way were cut off.
///
/// # Errors
/// [`HandingError`]; nothing is changed in any case.
pub(crate) fn write<'a>(
    service: &'a Service,
    cut_off: &'a [Paused],
    packing: &mut Packing<'a>,
) -> Result<Vec<u8>, HandingError> {
    let mut state = Vec::new();
    let registry = &service.registry;
    let remembers_since = registry.remembers_since().into();
    add(&mut state, &HandedServer { remembers_since, cgroups: service.containment.hand(packing) })?;
    for past in registry.hand() {
        add(&mut state, &past)?;
    }
    // One that was forgotten is among those that are past.
    for paused in cut_off.iter().filter(|paused| registry.has(&paused.job)) {
        let (job, control) = paused.hand(packing)?;
        add(&mut state, &job)?;
        if let Some(control) = control {
            add(&mut state, &control)?;
        }
    }
    Ok(state)
}

fn add(state: &mut Vec<u8>, record: &impl Record) -> Result<(), RecordError> {
    let bytes = seal(record)?;
    // A record is shorter than that by far.
    state.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    state.extend_from_slice(&bytes);
    Ok(())
}

impl Handed {
    /// What `state` says; `None` if it says nothing, as that of a program does which hands over no jobs.
    ///
    /// # Errors
    /// [`RecordError`] unless all of it can be read.
    pub(crate) fn read(mut state: &[u8]) -> Result<Option<Self>, RecordError> {
        if state.is_empty() {
            return Ok(None);
        }
        let server = open(next(&mut state)?)?;
        let mut handed = Self { server, past: Vec::new(), jobs: Vec::new() };
        while !state.is_empty() {
            let bytes = next(&mut state)?;
            match bytes.get(4) {
                Some(&HandedPast::KIND) => handed.past.push(open(bytes)?),
                Some(&HandedControl::KIND) => handed.add_control(open(bytes)?)?,
                _ => handed.jobs.push((open(bytes)?, None)),
            }
        }
        Ok(Some(handed))
    }

    /// Takes what goes with the job that was read last.
    fn add_control(&mut self, control: HandedControl) -> Result<(), RecordError> {
        match self.jobs.last_mut() {
            Some((job, none @ None)) if (job.owner, &job.id) == (control.owner, &control.id) => {
                *none = Some(control);
                Ok(())
            }
            _ => Err(RecordError::Damaged("control descriptors of no job".to_owned())),
        }
    }

    /// What keeps the processes of its jobs together, and of those to come.
    ///
    /// # Errors
    /// The system's, if it is not there.
    pub(crate) fn containment(&mut self, unpacking: &mut Unpacking) -> io::Result<Arc<Containment>> {
        let containment = match self.server.cgroups.take() {
            Some(cgroups) => Containment::again(cgroups, unpacking)?,
            None => Containment::of_server(),
        };
        containment.expect_strange_children();
        Ok(containment)
    }

    /// Has `service`, which is new, go on with all of it. What is under way is to be [resumed](super::resume).
    pub(crate) fn take(self, service: &Service, unpacking: &mut Unpacking) -> Vec<Paused> {
        let Self { server, past, jobs } = self;
        service.registry.take(server.remembers_since.into(), past);
        let mut cut_off = Vec::new();
        for (handed, control) in jobs {
            let id = handed.id.clone();
            match Paused::take(handed, control, service, unpacking) {
                Ok(paused) => cut_off.push(paused),
                Err(error) => error!(job = %id, %error, "a job of the program before is lost"),
            }
        }
        info!(jobs = cut_off.len(), "going on with the jobs of the program before");
        cut_off
    }
}

/// The next record of `state`, which is shorter by it then.
fn next<'a>(state: &mut &'a [u8]) -> Result<&'a [u8], RecordError> {
    let cut_off = || RecordError::Damaged("it is cut off".to_owned());
    let (length, rest) = state.split_first_chunk::<LENGTH>().ok_or_else(cut_off)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| cut_off())?;
    let (record, rest) = rest.split_at_checked(length).ok_or_else(cut_off)?;
    *state = rest;
    Ok(record)
}

impl Paused {
    fn hand<'a>(&'a self, packing: &mut Packing<'a>) -> io::Result<(HandedJob, Option<HandedControl>)> {
        let control = self.hand_control(packing)?;
        let (rest, stage) = match &self.stage {
            Stage::Running(course, _) => {
                (course.feed.rest.clone(), HandedStage::Running(Box::new(course.hand(packing)?)))
            }
            Stage::Over => {
                let end = self.job.hand_end().ok_or(io::ErrorKind::InvalidData)?;
                (Bytes::new(), HandedStage::Over(end))
            }
        };
        Ok((self.job.hand(rest, stage, packing)?, control))
    }

    fn hand_control<'a>(&'a self, packing: &mut Packing<'a>) -> io::Result<Option<HandedControl>> {
        let Some(control) = &self.job.control else { return Ok(None) };
        let (pipe, source) = match &self.stage {
            Stage::Running(course, _) => {
                let [_, _, reports] = &course.sources;
                (course.commands.as_ref(), hand_source(reports, packing))
            }
            Stage::Over => (None, HandedSource::Ended { left_open: false }),
        };
        let (commands, reports) = control.hand(pipe, packing)?;
        let (owner, id) = (self.job.owner.into(), self.job.id.clone());
        let declined = self.job.orders.hand_declined();
        Ok(Some(HandedControl { owner, id, commands, source, reports, declined }))
    }

    fn take(
        handed: HandedJob,
        control: Option<HandedControl>,
        service: &Service,
        unpacking: &mut Unpacking,
    ) -> io::Result<Self> {
        let (budget, spools) = (service.connection_budget(), service.spools.as_ref());
        let registry: &Registry = &service.registry;
        // First of all: from here on it ends with what goes wrong.
        let process = match &handed.stage {
            HandedStage::Running(course) => {
                let process = course.process.clone();
                Some(Process::take(process, &handed.id, &service.containment, unpacking)?)
            }
            HandedStage::Over(_) => None,
        };
        let declined = control.as_ref().map(|control| control.declined.clone()).unwrap_or_default();
        let (mut job, stage) = Job::take(handed, &declined, &budget, spools, unpacking)?;
        let (mut commands, mut reports) = (None, Source::Over(Ok(false)));
        if let Some(HandedControl { commands: told, source, reports: reported, .. }) = control {
            let (control, pipe) = Control::take(&told, reported, &budget, unpacking)?;
            (commands, reports) = (pipe, take_source(source, unpacking)?);
            job = job.with_control(control);
        }
        let job = Arc::new(job);
        let stage = match (stage, process) {
            (HandedStage::Running(course), Some(process)) => {
                let course = Course::take(*course, process, (commands, reports), unpacking)?;
                if let Some(Ok(size)) = course.feed.terminal().map(process::size) {
                    job.is_on_terminal(size);
                }
                job.runs(course.process.id());
                Stage::Running(Box::new(course), registry.take_running(&job))
            }
            _ => {
                registry.take_over(&job);
                Stage::Over
            }
        };
        Ok(Self { job, connection: None, stage })
    }
}

impl Course {
    fn hand<'a>(&'a self, packing: &mut Packing<'a>) -> io::Result<HandedCourse> {
        let [stdout, stderr, _] = &self.sources;
        let sources = [hand_source(stdout, packing), hand_source(stderr, packing)];
        Ok(HandedCourse {
            process: self.process.hand(packing)?,
            sources,
            feed: self.feed.hand(packing),
            rules: self.rules.hand(),
            stops_reading: self.stops_reading,
            failure: self.failure.clone(),
            since: self.since.into(),
        })
    }

    fn take(
        handed: HandedCourse,
        process: Process,
        (commands, reports): (Option<Arc<OwnedFd>>, Source),
        unpacking: &mut Unpacking,
    ) -> io::Result<Self> {
        let HandedCourse { sources, feed, rules, stops_reading, failure, since, .. } = handed;
        let [stdout, stderr] = sources;
        Ok(Self {
            process,
            sources: [take_source(stdout, unpacking)?, take_source(stderr, unpacking)?, reports],
            commands,
            feed: Feed::take(&feed, unpacking)?,
            rules: Rules::take(rules),
            stops_reading,
            failure,
            since: Instant::from(since),
            again: true,
        })
    }
}

fn hand_source<'a>(source: &'a Source, packing: &mut Packing<'a>) -> HandedSource {
    match source {
        Source::Open(pipe) => HandedSource::Open(packing.descriptor(pipe.as_fd())),
        Source::Over(Ok(left_open)) => HandedSource::Ended { left_open: *left_open },
        Source::Over(Err(error)) => HandedSource::Failed(error.clone()),
    }
}

fn take_source(handed: HandedSource, unpacking: &mut Unpacking) -> io::Result<Source> {
    Ok(match handed {
        HandedSource::Open(pipe) => Source::Open(unpacking.descriptor(pipe)?),
        HandedSource::Ended { left_open } => Source::Over(Ok(left_open)),
        HandedSource::Failed(error) => Source::Over(Err(error)),
    })
}

impl Feed {
    fn hand<'a>(&'a self, packing: &mut Packing<'a>) -> HandedFeed {
        let gauge = self.gauge.as_ref().map(|gauge| packing.descriptor(gauge.as_fd()));
        let stage = match self.stage {
            input::Stage::New => HandedFeedStage::New,
            input::Stage::Probing => HandedFeedStage::Probing,
            input::Stage::Feeding => HandedFeedStage::Feeding,
            input::Stage::Over => HandedFeedStage::Over,
        };
        HandedFeed { stage, written: self.written, gauge }
    }

    /// What was taken from the stream before is in it again.
    fn take(handed: &HandedFeed, unpacking: &mut Unpacking) -> io::Result<Self> {
        let descriptor = handed.gauge.map(|gauge| unpacking.descriptor(gauge)).transpose()?;
        let stage = match handed.stage {
            HandedFeedStage::New => input::Stage::New,
            HandedFeedStage::Probing => input::Stage::Probing,
            HandedFeedStage::Feeding => input::Stage::Feeding,
            HandedFeedStage::Over => input::Stage::Over,
        };
        Ok(Self::going_on(stage, handed.written, descriptor))
    }
}

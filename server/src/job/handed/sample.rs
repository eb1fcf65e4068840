//! One of each record: what the next program must be able to read before this one lets anything go, and what is compared byte by
//! byte in the tests. No program takes them for jobs: the descriptors of which they speak are not there.

use common::frame::StreamId;
use common::job::{Digest, Ended, JobId, OnDisconnect, Outcome, PeakMemory, Signal, StreamTotal, Usage};
use common::record::RecordError;
use common::stream::{Budget, Inbound};

use super::add;
use super::record::*;
use crate::parcel::{Descriptor, Moment, Stretch};
use crate::process::{HandedCgroups, HandedGroup, HandedProcess};

/// All of them, as [`write`](super::write) writes them.
///
/// # Errors
/// [`RecordError`]; there is no reason for one.
pub(crate) fn sample() -> Result<Vec<u8>, RecordError> {
    let mut state = Vec::new();
    add(&mut state, &server())?;
    add(&mut state, &past()?)?;
    for job in jobs()? {
        add(&mut state, &job)?;
    }
    add(&mut state, &control()?)?;
    Ok(state)
}

pub(super) fn server() -> HandedServer {
    let cgroups = HandedCgroups { base: Descriptor(1), name: "telex.7".to_owned() };
    HandedServer { remembers_since: Moment(0x0a0b), cgroups: Some(cgroups) }
}

pub(super) fn past() -> Result<HandedPast, RecordError> {
    Ok(HandedPast {
        owner: HandedOwner::Key([0xcc; 32]),
        id: id()?,
        digest: digest(),
        command: "make".to_owned(),
        requested: 1,
        since: Moment(2),
        end: end(),
        forgotten: true,
    })
}

/// Between them they have every kind of part.
pub(super) fn jobs() -> Result<[HandedJob; 4], RecordError> {
    let ending = HandedState::Ending {
        outcome: Outcome::TimedOut,
        since: Moment(30),
        kill_after_ms: 10_000,
        sent: HandedRung::Term,
        killed_at: Some(Moment(31)),
        look_at: Moment(32),
    };
    let draining = |reading| HandedState::Draining { outcome: Outcome::Exited(3), reading };
    let open = || [HandedSource::Open(Descriptor(5)), HandedSource::Open(Descriptor(6))];
    let half = [HandedSource::Ended { left_open: true }, HandedSource::Failed("why".to_owned())];
    let feed = |stage| HandedFeed { stage, written: 7, gauge: Some(Descriptor(7)) };
    Ok([
        job(running(HandedState::Running, open(), feed(HandedFeedStage::Probing)))?,
        job(running(ending, half, HandedFeed { gauge: None, ..feed(HandedFeedStage::Over) }))?,
        job(running(draining(HandedReading::Until(Moment(33))), open(), feed(HandedFeedStage::Feeding)))?,
        job(HandedStage::Over(end()))?,
    ])
}

/// That of the last job.
pub(super) fn control() -> Result<HandedControl, RecordError> {
    Ok(HandedControl {
        owner: HandedOwner::User(1000),
        id: id()?,
        commands: HandedCommands { waiting: Stretch { at: 13, length: 14 }, pipe: Some(Descriptor(9)) },
        source: HandedSource::Open(Descriptor(10)),
        reports: outlet(None),
        declined: vec![(1, 3)],
    })
}

fn outlet(spool: Option<HandedSpool>) -> HandedOutlet {
    HandedOutlet {
        base: 4,
        retained: Stretch { at: 5, length: 6 },
        spool,
        spools: true,
        ended: false,
        closed: true,
        overwrite: false,
        extra: true,
    }
}

fn job(stage: HandedStage) -> Result<HandedJob, RecordError> {
    let spool = HandedSpool { file: Descriptor(8), start: 10, end: 12 };
    let away_until = Some(Moment(20));
    Ok(HandedJob {
        owner: HandedOwner::User(1000),
        id: id()?,
        digest: digest(),
        command: "make".to_owned(),
        requested: 1,
        since: Moment(2),
        takes_stdin: true,
        stdin: Inbound::new(Budget::new(0)).progress().0,
        undelivered: Stretch { at: 0, length: 0 },
        outlets: [outlet(Some(spool)), outlet(None)],
        orders: HandedOrders { cancel: true, signals: 1, client: Some(1), applied: vec![(1, 2)] },
        presence: HandedPresence {
            away_until,
            on_disconnect: OnDisconnect::Keep,
            grace_ms: 60_000,
            abandoned: false,
        },
        displaced: vec![3],
        settled: false,
        stage,
    })
}

fn running(state: HandedState, sources: [HandedSource; 2], feed: HandedFeed) -> HandedStage {
    let group = HandedGroup {
        directory: Descriptor(4),
        name: "2".to_owned(),
        limited: true,
        used_before: 3,
        spoilt: true,
    };
    let process = HandedProcess {
        id: 7,
        descriptor: Descriptor(3),
        started: Moment(2),
        seen: Stretch { at: 11, length: 12 },
        group: Some(group),
    };
    let rules = HandedRules {
        state,
        wait_output: false,
        timeout_at: Some(Moment(40)),
        outputs_ended: Some(true),
        exited: true,
        told: Some(Signal::HUP),
    };
    HandedStage::Running(Box::new(HandedCourse {
        process,
        sources,
        feed,
        rules,
        stops_reading: true,
        failure: Some("why".to_owned()),
        since: Moment(1),
    }))
}

fn end() -> HandedEnd {
    let usage = Usage { cpu_us: 4, peak_memory: PeakMemory::AtMost(6) };
    let totals = vec![StreamTotal { stream: StreamId::Stdout, bytes: 5 }];
    let ended = Ended { totals, usage: Some(usage), ..Ended::without_output(Outcome::Exited(3)) };
    HandedEnd { process_id: Some(7), ended, at: 8 }
}

fn id() -> Result<JobId, RecordError> {
    "build".parse().map_err(|_| RecordError::Damaged("no id".to_owned()))
}

fn digest() -> Digest {
    Digest::from_bytes([0xdd; 32])
}

//! Supervisors that are no processes of their own: for tests on a [`Stage`], where everything else of them is as it always is.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;

use common::job::Extras;
use common::message::Start;
use tokio::net::UnixStream;

use super::launch::{self, Gone};
use crate::job::stage::Stage;
use crate::process::Containment;
use crate::store::Custody;
use crate::supervisor::{Charge, listen, stay};

/// As [`launch::Raised`], but maybe on a stage.
#[derive(Debug)]
pub(super) enum Raised {
    Process(launch::Raised),
    OnStage(Stage, Box<(Start, Extras)>),
}

/// As [`launch::raise`], but on this thread's stage, if there is one.
pub(super) fn raise(
    place: &Path,
    asked: (&Start, &Extras),
    keeps: bool,
    containment: &Containment,
) -> io::Result<Raised> {
    match Stage::present() {
        Some(stage) => Ok(Raised::OnStage(stage, Box::new((asked.0.clone(), asked.1.clone())))),
        None => launch::raise(place, asked, keeps, containment).map(Raised::Process),
    }
}

impl Raised {
    /// As [`launch::Raised::charge`].
    pub(super) fn charge(self, custody: &Custody) -> Result<Charged, (Self, io::Error)> {
        match self {
            Self::Process(raised) => {
                let charged = raised.charge(custody).map(Charged::Process);
                charged.map_err(|(raised, error)| (Self::Process(raised), error))
            }
            Self::OnStage(stage, asked) => {
                enter(&stage, &asked, custody).map_err(|error| (Self::OnStage(stage, asked), error))
            }
        }
    }

    /// As [`launch::Raised::dismiss`].
    pub(super) async fn dismiss(self) {
        match self {
            Self::Process(raised) => raised.dismiss().await,
            Self::OnStage(..) => {}
        }
    }
}

/// As [`launch::Charged`], but maybe on a stage.
pub(super) enum Charged {
    Process(launch::Charged),
    OnStage(UnixStream, Gone),
}

impl Charged {
    /// As [`launch::Charged::permit`].
    pub(super) fn permit(self) -> (UnixStream, Gone) {
        match self {
            Self::Process(charged) => charged.permit(),
            Self::OnStage(connection, gone) => {
                rustix::io::write(&connection, b"\0").ok();
                (connection, gone)
            }
        }
    }

    /// As [`launch::Charged::dismiss`].
    pub(super) async fn dismiss(self) {
        if let Self::Process(charged) = self {
            charged.dismiss().await;
        }
    }
}

fn enter(stage: &Stage, (start, extras): &(Start, Extras), custody: &Custody) -> io::Result<Charged> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let (id, path, lock) =
        (start.id.clone(), custody.job().path(), custody.lock().as_fd().try_clone_to_owned()?);
    let custody = Custody::inherit(path, lock).map_err(io::Error::other)?;
    let (start, extras) = (start.clone(), extras.clone());
    let charge = Charge { connection: theirs, listener: listen(path)?, custody, start, extras };
    let service = stage.supervisor();
    let serving = service.clone();
    let staying = tokio::spawn(async move { stay(charge, &serving).await });
    stage.stays(id, service, staying.abort_handle());
    let gone = async move {
        staying.await.ok();
    };
    Ok(Charged::OnStage(UnixStream::from_std(ours)?, Box::pin(gone)))
}

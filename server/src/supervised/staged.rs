//! Supervisors that are no processes of their own: for tests on a [`Stage`], where everything else of them is as it always is.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;

use common::message::Start;
use tokio::net::UnixStream;

use super::launch::{self, Gone};
use super::supervisor::{Charge, listen, stay};
use crate::job::stage::Stage;
use crate::process::Containment;
use crate::store::Custody;

/// As [`launch::launch`], but on this thread's stage, if there is one.
pub(super) fn launch(
    custody: &Custody,
    start: &Start,
    keeps: bool,
    containment: &Containment,
) -> io::Result<(UnixStream, Gone)> {
    let Some(stage) = Stage::present() else { return launch::launch(custody, start, keeps, containment) };
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let (path, lock) = (custody.job().path(), custody.lock().as_fd().try_clone_to_owned()?);
    let charge = Charge {
        connection: theirs,
        listener: listen(path)?,
        custody: Custody::inherit(path, lock).map_err(io::Error::other)?,
        start: start.clone(),
        has_cgroups: false,
        keeps,
    };
    let service = stage.supervisor();
    let serving = service.clone();
    let staying = tokio::spawn(async move { stay(charge, &serving).await });
    stage.stays(start.id.clone(), service, staying.abort_handle());
    let gone = async move {
        staying.await.ok();
    };
    Ok((UnixStream::from_std(ours)?, Box::pin(gone)))
}

//! `attach`: goes on with a job as if `run` had started it here.

use super::args::{AttachOptions, Beginning, Options};
use super::call::{Call, tell_last};
use super::connection::Connection;
use super::exit_code;
use super::failure::Failure;
use super::input::Input;
use super::json::{Event, Narrator};
use super::report::Reporter;
use super::signals::Signals;
use crate::{From, Position};

/// Attaches to the job; the exit code.
pub(crate) async fn attach(options: &Options, attach: &AttachOptions, reporter: &Reporter) -> u8 {
    let narrator = attach.shown.json.then(Narrator::new);
    match find(options, attach, reporter).await {
        Ok(call) => call.follow(narrator).await,
        Err(failure) => {
            reporter.say(&failure);
            tell_last(narrator, &Event::Error { message: failure.to_string() }).await;
            exit_code::FAILED
        }
    }
}

async fn find<'a>(
    options: &Options,
    attach: &'a AttachOptions,
    reporter: &'a Reporter,
) -> Result<Call<'a>, Failure> {
    let input = if attach.no_stdin || attach.read_only { Input::Nothing } else { Input::own()? };
    let connection = Connection::open(options, reporter.program()).await?;
    let known = connection.client.job(attach.job.clone());
    let from = from(attach.from);
    let found = if attach.read_only { known.follow(from).await } else { known.attach(from).await };
    let job = match found {
        Ok(job) => job,
        Err(error) => {
            connection.end().await;
            return Err(error.into());
        }
    };
    // Who only looks on leaves as any program does.
    let signals = if attach.read_only { Signals::none() } else { Signals::install()? };
    Ok(Call {
        connection,
        job,
        input,
        stdin_began: 0,
        signals,
        shown: &attach.shown,
        timeout: None,
        late: attach.from == Beginning::Oldest,
        read_only: attach.read_only,
        terminal: None,
        reporter,
    })
}

/// A number is one of stdout's; where stderr was then, nobody knows.
fn from(beginning: Beginning) -> From {
    match beginning {
        Beginning::Oldest => From::Oldest,
        Beginning::Now => From::Newest,
        Beginning::At(offset) => From::Each { stdout: Position::At(offset), stderr: Position::Oldest },
    }
}

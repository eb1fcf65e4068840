//! Telex for those who speak: run commands on another machine and learn the truth about them.
//!
//! A library in the image of `std::process`, asynchronous, for a tokio runtime:
//!
//! ```no_run
//! # async fn example() -> Result<(), client::Error> {
//! let client = client::Client::connect(&"db1".parse()?).await?;
//! let output = client.command("uname").arg("-a").output().await?;
//! assert!(output.outcome.is_success());
//! # Ok(())
//! # }
//! ```
//!
//! [`cli`] and the REPL are its first users and use little that is not public here.
//!
//! - [`Client`]: a connection
//! - [`Access`]: the key that proves who this side is, and the servers that are trusted
//! - [`Command`]: what to run, argv or shell string
//! - [`Job`]: a command that runs; [`JobStdin`] and [`JobOutput`] are its streams
//! - [`KnownJob`]: a job that is there already, by its id ([`Client::job`], [`Client::jobs`])
//! - [`Transfer`]: files and directories, to the server and back
//! - [`Line`]: whether there is a connection, and for how long jobs are kept without one
//! - [`Error`]: what failed, and whose fault it is
//! - [`Target`], [`JobId`], [`Signal`], [`Outcome`], [`Bytes`]: what these take and give

mod access;
pub mod cli;
mod client;
mod clock;
mod command;
mod config;
mod dial;
mod error;
mod hold;
mod job;
mod job_stream;
mod known_job;
mod line;
#[cfg(feature = "model")]
pub mod model;
mod reconnect;
mod repl;
mod router;
mod stdin;
mod times;
mod transfer;
mod unsaid;

// For the fuzz target.
#[doc(hidden)]
pub use repl::syntax;

pub use access::{Access, UnknownHosts};
pub use client::Client;
pub use command::{Command, Output, Stdin};
pub use error::{Attempt, Denied, Distrust, Error, Untrusted};
pub use job::{Finished, Job};
pub use job_stream::{JobOutput, JobStdin, Written};
pub use known_job::{Event, Events, From, KnownJob, Offsets};
pub use router::Line;
pub use transfer::{ListingError, Moved, Phase, Progress, Side, Transfer, TransferError};

pub use bytes::Bytes;
pub use common::endpoint::{Endpoint, Target};
pub use common::frame::StreamId;
pub use common::invitation::Invitation;
pub use common::job::{
    JobId, OnDisconnect, Outcome, PeakMemory, Signal, StartFailure, Terminal, TerminalMode, Usage, WindowSize,
};
pub use common::keys::known_hosts::HostName;
pub use common::keys::{Fingerprint, PublicKey};
pub use common::message::{JobState, JobSummary, Kept, Position, Refusal};
pub use common::tls::Identity;

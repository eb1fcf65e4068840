//! Telex for those who listen: takes connections, runs jobs, reports what became of them.
//!
//! From the outside in:
//!
//! - [`cli`]: arguments, signals, exit codes; the only place that prints
//! - [`Config`] and [`Server`]: what to listen on; the accept loop, with its limits and its end
//! - `service`: what the connections share
//! - `connection`: one client: greeting, authorisation, the packets of its jobs
//! - `job`: the rules of one job, and the task that keeps them
//! - `audit`: what is recorded of all this
//! - `process`: the operating system: spawning, waiting, signals, pipes

#[cfg_attr(not(test), expect(dead_code, reason = "the accept loop does not ask it yet"))]
mod admission;
#[expect(dead_code, reason = "nothing is recorded yet")]
mod audit;
mod authorize;
pub mod cli;
#[expect(dead_code, reason = "the program does not read its file yet")]
mod config;
mod connection;
mod error;
mod job;
mod listener;
mod logging;
mod process;
mod server;
mod service;

pub use config::Config;
pub use error::StartError;
pub use server::Server;

//! The tools that Telex is compared with, as far as they are installed.

mod openssh;
mod socat;

use std::env;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;

use anyhow::{Context, Result};

pub(crate) use openssh::OpenSsh;
pub(crate) use socat::Socat;

use crate::report::Report;

/// What is there of a peer; says so if it is nothing.
pub(crate) fn installed<T>(name: &str, peer: Result<T>, report: &Report) -> Option<T> {
    peer.inspect_err(|error| report.note(&format!("{name} is left out: {error:#}"))).ok()
}

/// Finds a program in PATH, and where daemons are kept.
fn find(program: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
    let mut files = places.map(|place| place.join(program));
    files.find(|file| file.is_file()).with_context(|| format!("{program} is not installed"))
}

/// A port that nobody has right now, for programs that cannot choose one and say which.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Whether somebody answers there.
fn answers(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

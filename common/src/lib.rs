//! What Telex says on the wire, for both sides.
//!
//! Knows no process, no terminal and no command line. From the bottom up:
//!
//! - [`limits`]: the sizes and times of the protocol, each with its reason; a limit that one file keeps stands there
//! - [`reason`], [`escape`], [`json`]: the system's words for its errors, and anybody's words on one line
//! - [`endpoint`], [`network`]: where a server is, and where somebody may come from
//! - [`keys`]: who is who, and the files that say so
//! - [`invitation`]: the line that brings a new client to a server
//! - [`calendar`]: moments as they are written
//! - [`duration`], [`suggestion`], [`config`]: what people write into files, and what they may have meant
//! - [`buffer`]: large buffers, used again
//! - [`frame`]: the fixed header and its numbers; bytes to frames and back
//! - [`greeting`]: HELLO, WELCOME and CLOSE, coded by hand because strangers reach them
//! - [`job`]: ids, specifications, signals and outcomes
//! - `encoding`: the one place that knows the serialisation
//! - [`message`]: requests and responses
//! - [`control`]: what a job with control descriptors reports
//! - [`record`]: the same for what is kept in files
//! - [`packet`]: what a frame means, typed by the direction it travels in
//! - [`stream`]: the rules of offsets, acknowledgements and windows, and the queues that obey them
//! - [`connection`]: a reader and a writer over any byte stream
//! - [`tls`]: encryption, and proof of both sides' keys
//! - [`transport`]: TCP and Unix sockets
//!
//! The wire itself is described in `docs/protocol.md`.

pub mod buffer;
pub mod calendar;
pub mod config;
pub mod connection;
pub mod control;
pub mod duration;
mod encoding;
pub mod endpoint;
pub mod escape;
pub mod frame;
pub mod greeting;
pub mod invitation;
pub mod job;
pub mod json;
pub mod keys;
pub mod limits;
pub mod message;
pub mod network;
pub mod packet;
pub mod reason;
pub mod record;
pub mod stream;
pub mod suggestion;
pub mod tls;
pub mod transport;

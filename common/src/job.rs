//! What a job is, for both sides: its id, what it is asked to be, what can be sent to it, and what became of it.
//!
//! Plain values with their checks; no process and no clock.

mod byte_string;
mod digest;
mod extras;
mod id;
mod keeping;
mod outcome;
mod resources;
mod signal;
mod spec;
mod terminal;
pub mod terminal_modes;

pub use byte_string::ByteString;
pub(crate) use byte_string::bounded;
pub use digest::Digest;
pub use extras::{Extra, Extras, RepeatedExtra};
pub use id::{JobId, JobIdError};
pub use keeping::{DEFAULT_GRACE, Keeping, OnDisconnect};
pub use outcome::{Ended, Outcome, StartFailure, StreamTotal};
pub use resources::{PeakMemory, Resource, ResourceLimits, Usage};
pub use signal::{Signal, SignalError};
pub use spec::{Program, Spec, SpecError, Variable};
pub use terminal::{Terminal, TerminalMode, WindowSize};

//! One client, from its arrival to its end.
//!
//! ```text
//!   Arrival ──TLS──► Stranger ──HELLO, login──► Session ──► gone
//!       │                │                          │
//!       └────────────────┴── refused, too late, ────┘ revoked, stopping, end of the stream
//!                            evicted, a violation
//! ```
//!
//! Each state is a type of its own, and can do no more than the state may: a [`Stranger`] can read one HELLO, by its header,
//! and nothing behind it. A [`Session`] is made of a [`Principal`], which only a login makes.
//!
//! Three kinds of task: this one reads and never waits for a job; one writes; one sends the output of each job that the client has
//! hold of. All of them have ended when [`serve`] returns. The jobs themselves are not a connection's: it can be lost without
//! them.

mod arrival;
mod departure;
mod jobs;
mod record;
mod session;
mod signs;
mod stranger;

use std::sync::Arc;

use common::connection::{ConnectionError, PacketReader, PacketSender};
use common::greeting::{Close, CloseCode};
use common::limits;
use common::message::{ClientMessage, ServerMessage};
use common::packet::Packet;
use common::transport::ReadHalf;
use tokio::task::JoinHandle;
use tokio::time;
use tracing::{debug, warn};

pub(crate) use arrival::Arrival;

use crate::service::Service;

/// Name and version that WELCOME carries.
const SOFTWARE: &str = concat!("telex-server/", env!("CARGO_PKG_VERSION"));

type Reader = PacketReader<ReadHalf, ClientMessage>;
type Sender = PacketSender<ServerMessage>;
type Writer = JoinHandle<Result<(), ConnectionError>>;

/// Serves one connection until it ends.
pub(crate) async fn serve(service: Arc<Service>, arrival: Arrival) {
    let Some(stranger) = arrival.secure(&service).await else { return };
    // On the heap, so that a session has no room for its login.
    if let Some(session) = Box::pin(stranger.log_in(&service)).await {
        session.serve(&service).await;
    }
}

/// Says goodbye to a client that broke the rules, and writes down why; `aloud` in every log, and else for those who look
/// for it.
fn send_close(error: &ConnectionError, sender: &Sender, aloud: bool) {
    let code = match error {
        ConnectionError::GreetingTimeout { .. } => CloseCode::TimedOut,
        error if error.is_violation() => CloseCode::Violation,
        error => return debug!(%error, "connection lost"),
    };
    if aloud {
        warn!(reason = %error, "closing");
    } else {
        debug!(reason = %error, "closing");
    }
    // With a full queue the client is not reading, and does without the reason.
    sender.try_send_control(Packet::Close(Close::new(code, error.to_string()))).ok();
}

/// Lets the writer say what is queued, for a short time. Every sender must be gone.
async fn finish_writing(mut writer: Writer) {
    match time::timeout(limits::CLOSE_FLUSH, &mut writer).await {
        Ok(Ok(Err(error))) => debug!(%error, "writing failed"),
        Ok(_) => {}
        Err(_) => writer.abort(),
    }
}

#[cfg(test)]
mod tests;

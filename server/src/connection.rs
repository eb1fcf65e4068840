//! One client: greeting, authorisation, and the packets of its jobs.
//!
//! Three kinds of task: this one reads and never waits for a job; one writes; one runs each job. All of them have ended
//! when [`serve`] returns.

mod jobs;

use std::sync::Arc;

use common::connection::{ConnectionError, PacketReader, PacketSender, packet_queue};
use common::frame::Kind;
use common::greeting::{Close, CloseCode, VERSION, Welcome};
use common::limits;
use common::message::{ClientMessage, ServerMessage};
use common::packet::Packet;
use common::transport::{ReadHalf, Transport};
use tokio::time;
use tracing::{debug, info, warn};

use crate::authorize::{Peer, authorize};
use crate::service::Service;
use jobs::Jobs;

/// Name and version that WELCOME carries.
const SOFTWARE: &str = concat!("telex-server/", env!("CARGO_PKG_VERSION"));

type Reader = PacketReader<ReadHalf, ClientMessage>;
type Sender = PacketSender<ServerMessage>;

/// Serves one connection until it ends, and its jobs until they do.
pub(crate) async fn serve(service: Arc<Service>, transport: Transport, peer: Peer) {
    let stall = transport.write_stall();
    let (read, write) = transport.split();
    let (sender, queue) = packet_queue();
    let writer = tokio::spawn(queue.run(write, stall));
    let mut reader = Reader::new(read);
    converse(&service, peer, &mut reader, &sender).await;
    drop(sender);
    finish_writing(writer).await;
}

/// Greets, and serves whoever may go on.
async fn converse(service: &Arc<Service>, peer: Peer, reader: &mut Reader, sender: &Sender) {
    let greeting = time::timeout(limits::GREETING_TIMEOUT, greet(service, peer, reader, sender));
    // A silent peer must not keep a server from stopping.
    let Some(greeting) = service.stopping.run_until_cancelled(greeting).await else { return };
    match greeting.unwrap_or(Err(ConnectionError::GreetingTimeout)) {
        Ok(true) => info!("connected"),
        Ok(false) => return,
        Err(error) => return send_close(&error, sender),
    }
    let mut jobs = Jobs::new(Arc::clone(service), sender.clone());
    if let Err(error) = route(service, reader, sender, &mut jobs).await {
        // Before the jobs are ended, so that a client takes their ends for what they are: a consequence.
        send_close(&error, sender);
    }
    jobs.abandon().await;
    debug!("disconnected");
}

/// Whether the client may go on. Nothing behind HELLO is looked at before.
async fn greet(
    service: &Service,
    peer: Peer,
    reader: &mut Reader,
    sender: &Sender,
) -> Result<bool, ConnectionError> {
    let hello = match reader.next_of(&[Kind::Hello]).await? {
        None => return Ok(false),
        Some(Packet::Hello(hello)) => hello,
        Some(_) => return Err(ConnectionError::Violation("the first frame was no greeting")),
    };
    let accepted = match hello.common_version() {
        Some(version) => authorize(peer, &hello, &service.account).map(|()| version),
        None => {
            let text = format!(
                "this server speaks version {VERSION}, the client {}–{}",
                hello.lowest, hello.highest
            );
            Err(Close::new(CloseCode::Version, text))
        }
    };
    match accepted {
        Ok(version) => {
            let welcome = Welcome { version, software: SOFTWARE.to_owned() };
            Ok(sender.send_control(Packet::Welcome(welcome)).await.is_ok())
        }
        Err(close) => {
            warn!(reason = close.text, "refused");
            // A client that is gone already does without the reason.
            sender.send_control(Packet::Close(close)).await.ok();
            Ok(false)
        }
    }
}

/// Takes packets until the client ends, or until the server stops and the client's jobs are over.
async fn route(
    service: &Service,
    reader: &mut Reader,
    sender: &Sender,
    jobs: &mut Jobs,
) -> Result<(), ConnectionError> {
    let mut told = false;
    loop {
        let packet = tokio::select! {
            packet = reader.next() => packet?,
            () = sender.closed() => return Ok(()),
            () = service.stopping.cancelled(), if !told => {
                told = true;
                jobs.stop_accepting().await;
                continue;
            }
            () = jobs.all_over(), if told => {
                let close = Close::new(CloseCode::GoingAway, "the server is stopping");
                // In order, behind the reports of the jobs.
                sender.send(Packet::Close(close)).await.ok();
                return Ok(());
            }
        };
        let Some(packet) = packet else { return Ok(()) };
        match packet {
            Packet::Ping(echo) => {
                if sender.send_control(Packet::Pong(echo)).await.is_err() {
                    return Ok(());
                }
            }
            Packet::Pong(_) => return Err(ConnectionError::Violation("a pong without its ping")),
            Packet::Hello(_) | Packet::Welcome(_) => {
                return Err(ConnectionError::Violation("a second greeting"));
            }
            Packet::Close(Close { code, text }) => return Err(ConnectionError::ClosedByPeer { code, text }),
            packet => jobs.handle(packet)?,
        }
    }
}

/// Says goodbye to a client that broke the rules, and writes down why.
fn send_close(error: &ConnectionError, sender: &Sender) {
    let code = match error {
        ConnectionError::GreetingTimeout => CloseCode::TimedOut,
        error if error.is_violation() => CloseCode::Violation,
        error => return debug!(%error, "connection lost"),
    };
    warn!(reason = %error, "closing");
    // With a full queue the client is not reading, and does without the reason.
    sender.try_send_control(Packet::Close(Close::new(code, error.to_string()))).ok();
}

async fn finish_writing(mut writer: tokio::task::JoinHandle<Result<(), ConnectionError>>) {
    match time::timeout(limits::CLOSE_FLUSH, &mut writer).await {
        Ok(Ok(Err(error))) => debug!(%error, "writing failed"),
        Ok(_) => {}
        Err(_) => writer.abort(),
    }
}

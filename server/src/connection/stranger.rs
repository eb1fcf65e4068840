//! A peer that has proven who it is, and has not been let in. It can say HELLO, once; no other frame is decoded, and what
//! is behind HELLO in the buffer stays there unread.

use std::time::SystemTime;

use common::connection::{ConnectionError, packet_queue};
use common::frame::Kind;
use common::greeting::{Features, Hello, Method, VERSION, Welcome};
use common::packet::Packet;
use common::transport::Transport;
use tokio::time::{self, Instant};
use tracing::{info, warn};

use super::departure::Path;
use super::record;
use super::session::Session;
use super::{Reader, SOFTWARE, Sender, Writer, finish_writing, send_close};
use crate::admission::{ConnectionId, Ending};
use crate::authorize::{Peer, Principal, Remote};
use crate::background::aside;
use crate::gate::Visitor;
use crate::login::{Answer, Door, LoginRefusal};
use crate::service::Service;

/// A connection before its login.
#[derive(Debug)]
pub(super) struct Stranger {
    peer: Peer,
    visitor: Visitor,
    deadline: Instant,
    reader: Reader,
    sender: Sender,
    writer: Writer,
}

impl Stranger {
    pub(super) fn new(transport: Transport, peer: Peer, visitor: Visitor, deadline: Instant) -> Self {
        let stall = transport.write_stall();
        let (read, write) = transport.split();
        let (sender, queue) = packet_queue();
        let writer = tokio::spawn(queue.run(write, stall));
        Self { peer, visitor, deadline, reader: Reader::new(read), sender, writer }
    }

    /// Hears HELLO, and lets its sender in or not.
    pub(super) async fn log_in(mut self, service: &Service) -> Option<Session> {
        if let Err(refusal) = service.door.listen_to(&self.peer) {
            return self.refuse(service, None, &refusal).await;
        }
        let evicted = self.visitor.evicted.clone();
        let hello = tokio::select! {
            hello = time::timeout_at(self.deadline, hear_hello(&mut self.reader)) => hello,
            // Whoever makes room must not keep it until it has read why.
            () = evicted.cancelled() => return self.leave().await,
            // A silent peer must not keep a server from stopping.
            () = service.stopping.cancelled() => return self.leave().await,
        };
        let within = service.live().config.limits.login_timeout;
        match hello.unwrap_or(Err(ConnectionError::GreetingTimeout { within })) {
            Ok(Some(hello)) => self.judge(service, &hello).await,
            Ok(None) => {
                self.visitor.ends(Ending::NoAuthentication);
                self.leave().await
            }
            Err(error) => {
                self.visitor.ends(ending(&error));
                let aloud = service.gate.may_tell();
                if aloud && error.is_violation() {
                    record::violation(service, self.visitor.id(), self.peer.remote(), &error.to_string());
                }
                send_close(&error, &self.sender, aloud);
                self.leave().await
            }
        }
    }

    async fn judge(self, service: &Service, hello: &Hello) -> Option<Session> {
        match knock(service, self.visitor.id(), self.peer, hello).await {
            Ok(principal) => {
                record::login(service, self.visitor.id(), &self.peer, Some(hello), None);
                self.welcome(service, principal, hello).await
            }
            Err(refusal) => self.refuse(service, Some(hello), &refusal).await,
        }
    }

    /// Says no, and why as far as the peer may know; to one without a greeting before it has said anything.
    async fn refuse(
        mut self,
        service: &Service,
        hello: Option<&Hello>,
        refusal: &LoginRefusal,
    ) -> Option<Session> {
        record::login(service, self.visitor.id(), &self.peer, hello, Some(refusal));
        let failed = refusal.is_failed_authentication();
        self.visitor.ends(if failed { Ending::AuthenticationFailed } else { Ending::NoAuthentication });
        warn!(reason = %refusal, advice = refusal.advice(), "refused");
        // A client that is gone already does without the reason.
        self.sender.send_control(Packet::Close(refusal.close())).await.ok();
        self.leave().await
    }

    async fn welcome(mut self, service: &Service, principal: Principal, hello: &Hello) -> Option<Session> {
        let welcome = Packet::Welcome(Welcome {
            version: VERSION,
            software: SOFTWARE.to_owned(),
            features: Features::KNOWN,
        });
        if !self.visitor.authenticated() || self.sender.send_control(welcome).await.is_err() {
            return self.leave().await;
        }
        info!("connected");
        let peer = self.peer.remote();
        let (path, client) = match hello.address {
            own if !service.is_supervisor => (Path::to(peer, own), peer),
            // What a server says of its client.
            Some(address) => (Path::Relayed, Remote::Tcp(address)),
            None => (Path::Relayed, peer),
        };
        Some(Session::new(
            principal,
            (client, hello.features),
            path,
            self.visitor,
            self.reader,
            self.sender,
            self.writer,
        ))
    }

    /// Says what is still to be said.
    async fn leave(self) -> Option<Session> {
        let Self { visitor, reader, sender, writer, .. } = self;
        drop(sender);
        finish_writing(writer).await;
        drop((visitor, reader));
        None
    }
}

/// What comes of asking to be let in.
async fn knock(
    service: &Service,
    connection: ConnectionId,
    peer: Peer,
    hello: &Hello,
) -> Result<Principal, LoginRefusal> {
    let answer = if matches!(hello.method, Method::Invitation(_)) {
        let hello = hello.clone();
        with_door(service, move |door| door.let_in(peer, &hello, SystemTime::now())).await?
    } else {
        service.door.let_in(peer, hello, SystemTime::now())?
    };
    match answer {
        Answer::In(principal) => Ok(principal),
        Answer::Invited(invited) => {
            if let Err(refusal) = record::enrolment(service, connection, &invited).await {
                service.door.invitations.give_back(invited.invitation);
                return Err(refusal.into());
            }
            with_door(service, move |door| door.enrol(&invited, SystemTime::now())).await
        }
    }
}

/// Does something that writes files, where that delays nobody.
async fn with_door<T: Send + 'static>(
    service: &Service,
    ask: impl FnOnce(&Door) -> Result<T, LoginRefusal> + Send + 'static,
) -> Result<T, LoginRefusal> {
    let door = service.door.clone();
    aside("login", move || ask(&door))
        .await
        .unwrap_or_else(|error| Err(LoginRefusal::Failed(error.to_string())))
}

/// HELLO; `None` if the peer ended instead.
async fn hear_hello(reader: &mut Reader) -> Result<Option<Hello>, ConnectionError> {
    match reader.next_of(&[Kind::Hello]).await? {
        None => Ok(None),
        Some(Packet::Hello(hello)) => Ok(Some(hello)),
        Some(_) => Err(ConnectionError::Violation("the first frame was no greeting")),
    }
}

fn ending(error: &ConnectionError) -> Ending {
    match error {
        ConnectionError::GreetingTimeout { .. } => Ending::DeadlinePassed,
        error if error.is_violation() => Ending::Violation,
        _ => Ending::NoAuthentication,
    }
}

//! What the audit trail gets to know of a connection.

use common::greeting::{Hello, Method};

use crate::admission::ConnectionId;
use crate::audit::{Authentication, ConnectionChange, Enrolment, Event, Verdict};
use crate::authorize::{Peer, Remote};
use crate::login::{Login, LoginRefusal};
use crate::service::Service;

/// How a login ended, and what became of the invitation if there was one. Without a greeting, nobody wanted to hear it.
pub(super) fn login(
    service: &Service,
    connection: ConnectionId,
    peer: &Peer,
    hello: Option<&Hello>,
    result: Result<&Login, &LoginRefusal>,
) {
    // Who is let in anyway spends nothing, and may show any token.
    let known = result.is_ok_and(|login| !login.enrolled);
    let reason = result.err().map(ToString::to_string);
    let verdict = reason.as_deref().map_or(Verdict::Accepted, Verdict::Refused);
    let fingerprint = peer.key().map(|key| key.fingerprint());
    if let (Some(Hello { method: Method::Invitation(token), .. }), Some(fingerprint)) = (hello, fingerprint)
        && !known
    {
        let invitation = token.id().to_string();
        let enrolment =
            Enrolment { connection, peer: peer.remote(), fingerprint, invitation: &invitation, verdict };
        service.record(&Event::Enrolment(enrolment));
    }
    service.record(&Event::Authentication(Authentication {
        connection,
        peer: peer.remote(),
        method: if fingerprint.is_some() { "public_key" } else { "peer_credentials" },
        fingerprint,
        user: hello.map_or("", |hello| &hello.user),
        verdict,
    }));
}

/// That a client was let in, or that one who was is gone.
pub(super) fn change(service: &Service, connection: ConnectionId, peer: &Peer, change: ConnectionChange<'_>) {
    service.record(&Event::Connection { connection, peer: peer.remote(), change });
}

/// That a peer has sent what no client of ours sends.
pub(super) fn violation(service: &Service, connection: ConnectionId, peer: Remote, reason: &str) {
    service.record(&Event::ProtocolViolation { connection, peer, reason });
}

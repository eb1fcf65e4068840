//! What the audit trail gets to know of a connection.

use std::sync::Arc;

use common::greeting::{Hello, Method};
use common::job::JobId;

use crate::admission::ConnectionId;
use crate::audit::{
    self, Authentication, ConnectionChange, Deed, Enrolment, Event, JobIntervention, Verdict,
};
use crate::authorize::{Owner, Peer, Remote};
use crate::login::{Invited, LoginRefusal};
use crate::service::Service;

/// A client that may do something to jobs of others.
#[derive(Debug, Clone)]
pub(super) struct Actor {
    pub(super) service: Arc<Service>,
    pub(super) connection: ConnectionId,
    pub(super) principal: Owner,
}

impl Actor {
    /// That it has done something to a job of `owner`; nothing is recorded if that is its own.
    pub(super) fn has_done(&self, deed: Deed, owner: Owner, job: &JobId) {
        let (connection, principal) = (self.connection, self.principal);
        if owner != principal {
            let intervention = JobIntervention { connection, job, principal, owner, deed };
            self.service.record(&Event::JobIntervention(intervention));
        }
    }
}

/// That somebody with an invitation is about to be enrolled. They are not if that cannot be recorded.
///
/// # Errors
/// [`audit::Refusal`].
pub(super) async fn enrolment(
    service: &Service,
    connection: ConnectionId,
    invited: &Invited,
) -> Result<(), audit::Refusal> {
    let invitation = invited.invitation.to_string();
    let live = service.live();
    let event = Event::Enrolment(Enrolment {
        connection,
        peer: Remote::Tcp(invited.address),
        fingerprint: invited.key.fingerprint(),
        invitation: &invitation,
        verdict: Verdict::Accepted,
    });
    live.audit.admit(&event).await
}

/// How a login ended, and what an invitation was not good for. Without a greeting, nobody wanted to hear it.
pub(super) fn login(
    service: &Service,
    connection: ConnectionId,
    peer: &Peer,
    hello: Option<&Hello>,
    refusal: Option<&LoginRefusal>,
) {
    let reason = refusal.map(ToString::to_string);
    let verdict = reason.as_deref().map_or(Verdict::Accepted, Verdict::Refused);
    let fingerprint = peer.key().map(|key| key.fingerprint());
    if let (Some(Hello { method: Method::Invitation(token), .. }), Some(fingerprint), Some(_)) =
        (hello, fingerprint, refusal)
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

//! Nothing older than TLS 1.3, no other protocol above it, and no certificates in place of raw keys.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{AlertDescription, ClientConfig, Error, NamedGroup, ServerConfig};

use super::keys::TestKey;
use super::peer::{
    Anyone, Ours, Peer, Stop, client_config, client_config_with, converse, refusal, server_config,
    server_config_with,
};
use crate::tls::identity::certified;
use crate::tls::{Alert, TlsError};

/// An alert of the level "fatal", in plaintext.
fn fatal(description: u8) -> Vec<u8> {
    vec![21, 3, 3, 0, 2, 2, description]
}

/// `bytes` behind their length in two bytes.
fn counted(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

fn extension(number: u16, content: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &counted(content)].concat()
}

/// The hello of a client that knows no version above `version`, and lists `versions` if there are any; with everything
/// else that a server could wish for.
fn hello(version: u16, versions: &[u16], suites: &[u16]) -> Vec<u8> {
    let numbers = |list: &[u16]| list.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
    let mut extensions = [
        extension(10, &counted(&numbers(&[0x001d, 0x0017]))),
        extension(11, &[1, 0]),
        extension(13, &counted(&numbers(&[0x0807, 0x0403, 0x0804]))),
        extension(16, &counted(b"\x07telex/1")),
        extension(19, &[1, 2]),
        extension(20, &[1, 2]),
    ]
    .concat();
    if !versions.is_empty() {
        let list = numbers(versions);
        extensions.extend(extension(43, &[&[list.len() as u8][..], &list].concat()));
    }
    let suites = counted(&numbers(suites));
    let session = [&[32][..], &[5; 32]].concat();
    let body =
        [&version.to_be_bytes()[..], &[9; 32], &session, &suites, &[1, 0], &counted(&extensions)].concat();
    let message = [&[1, 0][..], &counted(&body)].concat();
    [&[22, 3, 1][..], &counted(&message)].concat()
}

#[test]
fn older_versions_are_answered_with_an_alert() {
    // ECDHE with AES-GCM of TLS 1.2, and the first suite of TLS 1.3 beside it.
    let (old, both) = (&[0xc02b, 0xc02f, 0x009c][..], &[0x1301, 0xc02b][..]);
    for (name, hello) in [
        ("TLS 1.2", hello(0x0303, &[], old)),
        ("TLS 1.2, with a suite of TLS 1.3", hello(0x0303, &[], both)),
        ("TLS 1.2, by the extension", hello(0x0303, &[0x0303], both)),
        ("TLS 1.2 and 1.1, by the extension", hello(0x0303, &[0x0303, 0x0302], both)),
        ("TLS 1.1", hello(0x0302, &[], old)),
        ("TLS 1.0", hello(0x0301, &[], old)),
        ("SSL 3", hello(0x0300, &[], old)),
        ("a draft of TLS 1.3", hello(0x0303, &[0x7f1c], both)),
    ] {
        let mut ours = Ours::server();
        let error = ours.feed(&hello).unwrap_err();
        assert!(matches!(error, TlsError::Protocol(Error::PeerIncompatible(_))), "{name}: {error}");
        assert_eq!(ours.take_outgoing(), fatal(70), "{name}");
        assert_eq!(ours.proven(), None);
    }
}

#[test]
fn the_same_hello_is_looked_into_if_it_names_the_version() {
    // What is missing now is a key share, and a server asks for that: so the rows above fail for their version alone.
    let mut ours = Ours::server();
    ours.feed(&hello(0x0303, &[0x0304], &[0x1301])).unwrap_err();
    assert_ne!(ours.take_outgoing(), fatal(70));
}

#[test]
fn a_client_of_another_application_protocol_is_refused() {
    for names in [&[&b"h2"[..], b"http/1.1"][..], &[b"telex/2"], &[b"telex/1x"], &[b"telex/"]] {
        let mut config = client_config(certified(TestKey::client()));
        config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
        let (mut ours, mut peer) = (Ours::server(), Peer::client(config));
        let error = refusal(&mut ours, &mut peer);
        assert!(matches!(error, TlsError::ApplicationProtocol), "{error}");
        // Keys have been agreed upon by then: only the other end can read the alert.
        let told = peer.feed(&ours.take_outgoing());
        assert_eq!(told, Err(Error::AlertReceived(AlertDescription::NoApplicationProtocol)));
    }
}

#[test]
fn a_server_of_another_application_protocol_is_refused() {
    let mut config = server_config(certified(TestKey::server()));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (mut ours, mut peer) = (Ours::client(), Peer::server(config));
    assert!(peer.feed(&ours.take_outgoing()).is_err());
    let error = ours.feed(&peer.take_outgoing()).unwrap_err();
    assert!(matches!(error, TlsError::Refused(Alert::ApplicationProtocol)), "{error}");
}

#[test]
fn no_application_protocol_is_no_better_than_another() {
    let mut config = client_config(certified(TestKey::client()));
    config.alpn_protocols.clear();
    let (mut ours, mut peer) = (Ours::server(), Peer::client(config));
    converse(&mut ours, &mut peer);
    // The library lets it pass.
    assert!(!ours.session.is_handshaking());
    assert!(matches!(ours.session.peer(), Err(TlsError::ApplicationProtocol)));

    let mut config = server_config(certified(TestKey::server()));
    config.alpn_protocols.clear();
    let (mut ours, mut peer) = (Ours::client(), Peer::server(config));
    converse(&mut ours, &mut peer);
    assert!(matches!(ours.session.peer(), Err(TlsError::ApplicationProtocol)));
}

fn single(key: Arc<TestKey>) -> Arc<SingleCertAndKey> {
    Arc::new(SingleCertAndKey::from(certified(key).as_ref().clone()))
}

#[test]
fn who_knows_certificates_only_is_refused() {
    let config = client_config_with(single(TestKey::client()), false);
    let error = refusal(&mut Ours::server(), &mut Peer::client(config));
    assert!(matches!(error, TlsError::Protocol(Error::PeerIncompatible(_))), "{error}");

    let config = server_config_with(single(TestKey::server()), false);
    let (mut ours, mut peer) = (Ours::client(), Peer::server(config));
    assert!(peer.feed(&ours.take_outgoing()).is_err());
    assert!(matches!(ours.feed(&peer.take_outgoing()), Err(TlsError::Refused(_))));
}

#[test]
fn a_server_that_is_offered_raw_keys_and_asked_for_certificates_too_is_refused() {
    // It shows a raw key, and wants a certificate.
    let mut config = server_config(certified(TestKey::server()));
    config.alpn_protocols = vec![b"telex/1".to_vec()];
    let verifier = Anyone { raw: false };
    let mut strange = ServerConfig::builder_with_provider(Arc::clone(config.crypto_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::clone(&config.cert_resolver));
    strange.alpn_protocols = config.alpn_protocols;
    let (mut ours, mut peer) = (Ours::client(), Peer::server(strange));
    match converse(&mut ours, &mut peer) {
        Stop::Quiet => panic!("it was served"),
        Stop::Ours(_) | Stop::Theirs(_) => assert_eq!(ours.proven(), None),
    }
}

#[test]
fn our_own_hello_offers_nothing_weaker() {
    let mut ours = Ours::client();
    let hello = ours.take_outgoing();
    let contains = |part: &[u8]| hello.windows(part.len()).any(|window| window == part);
    assert!(contains(&extension(43, &[2, 3, 4])), "TLS 1.3 alone");
    assert!(contains(&extension(16, &counted(b"\x07telex/1"))), "our protocol alone");
    assert!(contains(&extension(13, &counted(&[8, 7]))), "Ed25519 alone");
    assert!(contains(&extension(20, &[1, 2])), "raw public keys alone");
    assert!(!contains(b"telex.invalid"), "no name");
    assert!(Ours::server().feed(&hello).is_ok());
}

#[test]
fn both_sides_want_the_key_exchange_that_a_quantum_computer_does_not_break() {
    // X25519MLKEM768, then X25519; nothing else is in the list of either side.
    let hello = Ours::client().take_outgoing();
    let groups = extension(10, &counted(&[0x11, 0xec, 0x00, 0x1d]));
    assert!(hello.windows(groups.len()).any(|window| window == groups));

    let mut config = server_config(certified(TestKey::server()));
    config.alpn_protocols = vec![b"telex/1".to_vec()];
    let mut everything = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::new(Anyone { raw: true }))
        .with_cert_resolver(config.cert_resolver);
    everything.alpn_protocols = config.alpn_protocols;
    let (mut ours, mut peer) = (Ours::client(), Peer::server(everything));
    assert!(matches!(converse(&mut ours, &mut peer), Stop::Quiet));
    let chosen = peer.0.negotiated_key_exchange_group().map(|group| group.name());
    assert_eq!(chosen, Some(NamedGroup::X25519MLKEM768));

    let everything = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let mut everything = everything
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone { raw: true }))
        .with_client_cert_resolver(client_config(certified(TestKey::client())).client_auth_cert_resolver);
    everything.alpn_protocols = vec![b"telex/1".to_vec()];
    let (mut ours, mut peer) = (Ours::server(), Peer::client(everything));
    assert!(matches!(converse(&mut ours, &mut peer), Stop::Quiet));
    let chosen = peer.0.negotiated_key_exchange_group().map(|group| group.name());
    assert_eq!(chosen, Some(NamedGroup::X25519MLKEM768));
}

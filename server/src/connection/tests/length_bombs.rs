//! Lengths that lie, in every state: the connection ends at once, and nothing runs. That nothing is allocated for them is
//! shown in `common/tests/hostile_bytes.rs`.

use common::frame::Kind;
use common::greeting::{CloseCode, MAGIC};
use common::job::{Program, Spec, Variable};
use common::message::{self, ClientMessage};

use super::peer::{Peer, request};
use super::world::{World, start};

/// A header that claims `length`, and some bytes.
fn bomb(kind: Kind, length: u32) -> Vec<u8> {
    [&length.to_le_bytes()[..], &[kind as u8, 255], &[0; 14], &[b'x'; 100]].concat()
}

async fn ends(world: &World, greeted: bool, bytes: &[u8], what: &str) {
    let (stream, serving) = world.serve_unix();
    let mut peer = if greeted { Peer::greeted(stream).await } else { Peer::new(stream) };
    peer.say(bytes).await;
    assert_eq!(peer.hear_close().await, Some(CloseCode::Violation), "{what}");
    serving.await.unwrap();
}

#[tokio::test]
async fn a_frame_of_a_length_that_no_frame_has_ends_the_connection_in_every_state() {
    let world = World::new();
    for greeted in [false, true] {
        for kind in Kind::ALL {
            let limit = kind.payload_limit() as u32;
            for length in [0, 15, limit + 17, 1 << 31, u32::MAX] {
                let what = format!("{kind:?} of {length}, greeted: {greeted}");
                ends(&world, greeted, &bomb(kind, length), &what).await;
            }
        }
    }
}

#[tokio::test]
async fn a_length_inside_a_greeting_that_runs_past_its_end_is_refused() {
    let world = World::new();
    let greeting = |rest: &[u8]| {
        let payload = [&MAGIC[..], &[2, 0, 2, 0, 0], rest].concat();
        let length = (16 + payload.len() as u32).to_le_bytes();
        [&length[..], &[Kind::Hello as u8, 255], &[0; 14], &payload].concat()
    };
    for rest in [&[255][..], &[1], &[0, 1, 0, 255, 255], &[0, 9, 9, 0, 128, 7], &[0, 2, 0, 32, 0, 1, 2]] {
        ends(&world, false, &greeting(rest), &format!("{rest:?}")).await;
    }
}

/// A START in which every field that has a length has one, and where in its payload they are.
fn start_with_lengths() -> (ClientMessage, [usize; 8]) {
    let spec = Spec {
        directory: Some("/tmp".into()),
        environment: vec![Variable { name: "A".into(), value: "b".into() }],
        ..Spec::new(Program::Argv(vec!["touch".into(), "x".into()]))
    };
    // The id, words, two words, the directory, variables, a name, a value; 48 bytes without a length are behind the id.
    (start(spec), [4, 96, 104, 117, 127, 139, 147, 156])
}

#[tokio::test]
async fn a_length_inside_a_request_is_not_believed() {
    let world = World::new();
    let (message, places) = start_with_lengths();
    let payload = message::encode(&message).unwrap();
    for (at, expected) in places.into_iter().zip([32_u64, 2, 5, 1, 4, 1, 1, 1]) {
        assert_eq!(payload[at..at + 8], expected.to_le_bytes(), "no length at {at}");
        for claim in [payload.len() as u64, 4_097, 1 << 31, u64::from(u32::MAX), 1 << 32, 1 << 63, u64::MAX] {
            let mut frame = request(1, message.clone());
            let place = frame.len() - payload.len() + at;
            frame[place..place + 8].copy_from_slice(&claim.to_le_bytes());
            ends(&world, true, &frame, &format!("{claim} at {at}")).await;
        }
    }
    assert!(world.records("job_start").await.is_empty());
}

//! A relay between a client that goes and a supervisor, which is played.

use common::greeting::Welcome;
use common::message::{AttachmentId, Role};
use tokio_util::sync::CancellationToken;

use super::*;

/// The supervisor's end: greets, sends some output, and tells whether it hears that the client has left.
async fn hears_farewell(stream: UnixStream) -> bool {
    let transport = Transport::Unix(stream);
    let stall = transport.write_stall();
    let (read, write) = transport.split();
    let (sender, queue) = packet_queue();
    let listening = async {
        let mut reader = PacketReader::<_, ClientMessage>::new(read);
        let welcome = Welcome { version: 1, software: "test".to_owned(), features: Features::default() };
        sender.send_control(Packet::<ServerMessage>::Welcome(welcome)).await.unwrap();
        let (stream, bytes) = (StreamId::Stdout, Bytes::from_static(b"output"));
        sender.send(Packet::Data { job: NUMBER, stream, offset: 0, bytes }).await.unwrap();
        drop(sender);
        let mut left = false;
        while let Ok(Some(packet)) = reader.next().await {
            left |= matches!(packet, Packet::Message { message: ClientMessage::Leave, .. });
        }
        left
    };
    tokio::join!(listening, queue.run(write, stall)).0
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_output_has_left_for_the_supervisor_too() {
    let (sender, queue) = packet_queue::<ServerMessage>();
    let gone = CancellationToken::new();
    let (peer, features) = (Remote::Unix { uid: 1 }, Features::default());
    let link = Link { number: JobNumber(7), sender, peer, features, gone: gone.clone() };
    let (near, far) = UnixStream::pair().unwrap();
    let attach = Attach {
        job: "x".parse().unwrap(),
        attachment: AttachmentId(1),
        role: Role::Writer,
        streams: Vec::new(),
        times: false,
    };
    let relay = Relay::new();
    // Nothing can be sent to it any more, and how it has parted is not known yet.
    drop(queue);
    let ending = async {
        while relay.lock().passed(StreamId::Stdout).is_none_or(|passed| passed.to == 0) {
            tokio::task::yield_now().await;
        }
        relay.depart(Departure::Gone);
        gone.cancel();
    };
    let relaying = relay.run(near, ClientMessage::Attach(attach), &link, &|_| ());
    let (end, (), left) = tokio::join!(relaying, ending, hears_farewell(far));
    assert_eq!((end, left), (RelayEnd::ClientGone, true));
}

//! What is written down, byte by byte; and that what is read again is what was there.

use common::limits;
use common::stream::Budget;

use super::sample::{control, jobs, past, server};
use super::*;
use crate::job::outlet::{Buffer, Read, Room, Spools};
use crate::parcel::Parcel;

mod golden;

/// What the next program gets.
fn unpack(parcel: Parcel<'_>) -> Unpacking {
    Unpacking::new(parcel.descriptors().map(|descriptor| descriptor.try_clone_to_owned().unwrap()).collect())
}

#[test]
fn all_that_is_written_is_read() {
    let state = sample().unwrap();
    let handed = Handed::read(&state).unwrap().unwrap();
    assert_eq!(handed.server, server());
    assert_eq!(handed.past, [past().unwrap()]);
    let [first, second, third, last] = jobs().unwrap();
    let jobs = [(first, None), (second, None), (third, None), (last, Some(control().unwrap()))];
    assert_eq!(handed.jobs, jobs);
    assert!(Handed::read(&[]).unwrap().is_none());
}

#[test]
fn what_is_not_whole_is_not_read() {
    let state = sample().unwrap();
    let mut rest = &state[..];
    let mut ends = vec![0];
    while !rest.is_empty() {
        next(&mut rest).unwrap();
        ends.push(state.len() - rest.len());
    }
    for length in (0..state.len()).filter(|length| !ends.contains(length)) {
        assert!(Handed::read(&state[..length]).is_err(), "{length}");
    }
    for bit in 0..state.len() * 8 {
        let mut flipped = state.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Handed::read(&flipped).is_err(), "{bit}");
    }
    // Control descriptors of another job, or of none.
    for at in 2..ends.len() - 2 {
        let control = &state[ends[ends.len() - 2]..];
        let before = &state[..ends[at]];
        assert_eq!(Handed::read(&[before, control].concat()).is_ok(), at > 2, "{at}");
    }
    assert!(Handed::read(&[&state[..], &state[ends[ends.len() - 2]..]].concat()).is_err());
    // Something else where the server should be.
    assert!(Handed::read(&state[ends[1]..]).is_err());
}

#[tokio::test]
async fn output_is_kept_in_memory_and_on_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let spools = Spools::new(directory.path().to_owned());
    let (budget, window) = (Budget::new(0), usize::try_from(limits::INITIAL_WINDOW).unwrap());
    let content: Vec<u8> = (0..window + 100_000).map(|at| (at % 251) as u8).collect();
    let buffer = Buffer::new(budget.clone(), Some(spools.of_job()));
    buffer.unattended();
    let mut put = 0;
    while put < content.len() {
        let room = buffer.room().await.unwrap();
        let piece = Bytes::copy_from_slice(&content[put..content.len().min(put + room.bytes())]);
        put += piece.len();
        match room {
            Room::Memory(_) => buffer.push(piece),
            Room::Disk(_) => buffer.spill(piece).await,
        }
    }
    buffer.release(1000);
    buffer.end();
    let mut packing = Packing::new().unwrap();
    let handed = buffer.hand(&mut packing).unwrap();
    assert!(handed.spool.is_some());
    let mut unpacking = unpack(packing.finish());
    drop(buffer);
    let buffer = Buffer::take(handed, &budget, Some(&spools.of_job()), &mut unpacking).unwrap();
    assert_eq!(buffer.kept(), (1000, content.len() as u64));
    let mut read = Vec::new();
    while let Read::Bytes(bytes) = buffer.read(1000 + read.len() as u64, usize::MAX).await {
        read.extend_from_slice(&bytes);
    }
    assert!(read == content[1000..]);
}

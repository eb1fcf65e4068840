//! Where a record is between two programs: in memory that has no name, and that nobody can change any more (memfd_create(2)).

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, memfd_create};

use super::HandoverError;
use super::record::Record;

/// Bytes that are read, at most: more than all windows of all jobs.
const MOST: u64 = 1 << 30;

/// What keeps a record as it is.
const SEALS: SealFlags =
    SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::SEAL);

/// Memory with `record` in it, to be read from its beginning. Closes on exec.
///
/// # Errors
/// [`HandoverError`].
pub(crate) fn sealed(record: &Record) -> Result<OwnedFd, HandoverError> {
    let bytes = record.encode()?;
    let write = || {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut memory = File::from(memfd_create("telex handover", flags)?);
        memory.write_all(&bytes)?;
        fcntl_add_seals(&memory, SEALS)?;
        memory.rewind()?;
        Ok(memory.into())
    };
    write().map_err(HandoverError::Memory)
}

/// The record in `memory`, which must be sealed.
///
/// # Errors
/// [`HandoverError`].
pub(crate) fn read_record(memory: OwnedFd) -> Result<Record, HandoverError> {
    let read = || {
        // Only such memory has seals, so it is neither a pipe that never ends nor a file that grows.
        let seals = fcntl_get_seals(&memory)?;
        let size = fstat(&memory).map(|stat| u64::try_from(stat.st_size).unwrap_or(u64::MAX))?;
        if !seals.contains(SEALS) || size > MOST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not sealed, or too long"));
        }
        let mut bytes = Vec::new();
        File::from(memory).take(MOST).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    Record::decode(&read().map_err(HandoverError::Memory)?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_cannot_be_changed() {
        let record = Record::new(Path::new("/x"), false, 1, Vec::new());
        let memory = sealed(&record).unwrap();
        let mut file = File::from(memory.try_clone().unwrap());
        assert!(file.write_all(b"x").is_err());
        assert!(file.set_len(1).is_err());
        assert_eq!(read_record(memory).unwrap(), record);
    }

    #[test]
    fn what_is_not_sealed_is_not_read() {
        let (reader, writer) = io::pipe().unwrap();
        drop(writer);
        for descriptor in [OwnedFd::from(reader), File::open("/dev/zero").unwrap().into()] {
            assert!(matches!(read_record(descriptor), Err(HandoverError::Memory(_))));
        }
        let open = memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap();
        assert!(matches!(read_record(open), Err(HandoverError::Memory(_))));
    }
}

//! The moments between two changes on the disk, by name: so that a test can end the process at each of them.

/// Something that has just happened to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Point {
    DirectoryMade,
    LockTaken,
    EndReserved,
    IntentWritten,
    IntentSynced,
    JobSynced,
    JobNamed,
    JobDurable,
    RecordWritten,
    RecordSynced,
    RecordNamed,
    RecordDurable,
    BytesAppended,
    TimeNoted,
    SegmentMade,
    TimesRemoved,
    SegmentRemoved,
    OutputSynced,
    JobUnnamed,
    FileRemoved,
    JobRemoved,
    SetAside,
}

impl Point {
    /// Every one.
    pub const ALL: [Self; 22] = [
        Self::DirectoryMade,
        Self::LockTaken,
        Self::EndReserved,
        Self::IntentWritten,
        Self::IntentSynced,
        Self::JobSynced,
        Self::JobNamed,
        Self::JobDurable,
        Self::RecordWritten,
        Self::RecordSynced,
        Self::RecordNamed,
        Self::RecordDurable,
        Self::BytesAppended,
        Self::TimeNoted,
        Self::SegmentMade,
        Self::TimesRemoved,
        Self::SegmentRemoved,
        Self::OutputSynced,
        Self::JobUnnamed,
        Self::FileRemoved,
        Self::JobRemoved,
        Self::SetAside,
    ];
}

/// Who is told of every [`Point`]. Nobody, but in tests.
pub(super) type Observer = fn(Point);

/// Tells nobody.
pub(super) fn nobody(_: Point) {}

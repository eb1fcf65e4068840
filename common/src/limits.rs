//! The sizes and times of the protocol that both programs go by, each with its reason.
//!
//! Limits that one program (how many connections a server takes, say) or one file (a file of keys) keeps stand there; those
//! that a peer can meet are listed in `docs/security.md`.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Payload of HELLO and WELCOME: the only frames a stranger can make us decode, so a page and no more.
pub const GREETING_PAYLOAD: usize = 4 * 1024;

/// Payload of CLOSE: a code and one sentence.
pub const CLOSE_PAYLOAD: usize = 1024;

/// Payload of PING and PONG: room for a time stamp or a nonce, too little to be worth amplifying.
pub const PING_PAYLOAD: usize = 64;

/// Payload of a REQUEST. Twice what Linux grants a single argument (128 KiB), so one long shell string and its
/// environment fit, while a connection cannot make a server hold more than this of an unfinished request.
pub const REQUEST_PAYLOAD: usize = 256 * 1024;

/// Payload of a RESPONSE: an outcome and a sentence.
pub const RESPONSE_PAYLOAD: usize = 16 * 1024;

/// Payload of DATA. 256 KiB costs a quarter of the system calls of 64 KiB, and still leaves a 1 Gbit/s line to
/// the next stream after 2 ms.
pub const DATA_PAYLOAD: usize = 256 * 1024;

/// Limit that every stream starts with. Large enough for the output of most commands to need no acknowledgement,
/// small enough that 1,024 jobs whose stdin nobody reads hold 64 MiB together.
pub const INITIAL_WINDOW: u64 = 64 * 1024;

/// How far ahead of its reader a stream may run once it flows: 2 MiB fills a 1 Gbit/s line at 16 ms.
pub const STREAM_WINDOW: u64 = 2 * 1024 * 1024;

/// Sum of what the streams of one connection may hold beyond their initial windows.
pub const CONNECTION_WINDOW: u64 = 16 * 1024 * 1024;

/// Bytes of the name of a kind of terminal. The longest in terminfo(5) has 30, and it becomes a file's name there.
pub const TERMINAL_NAME: usize = 64;

/// Settings of a terminal. RFC 4254, section 8, knows 58.
pub const TERMINAL_MODES: usize = 64;

/// Extras of a job, of which there is one of each kind: more kinds than there will be.
pub const EXTRAS: usize = 8;

/// Bytes that a job has written on its control descriptor and that travel as one record: what a write to a pipe keeps together
/// (`PIPE_BUF`, pipe(7)).
pub const CONTROL_RECORD: usize = 4096;

/// Bytes that a job may be told by its control descriptor before it has read them. As much as one order can carry.
pub const CONTROL_WAITING: usize = REQUEST_PAYLOAD;

/// Words of a command. The request's size is what bounds memory; this bounds the work of looking at them.
pub const ARGUMENTS: usize = 4096;

/// One word, one variable or the shell string: Linux' own `MAX_ARG_STRLEN` less its final NUL (execve(2)).
pub const ARGUMENT_BYTES: usize = 128 * 1024 - 1;

/// Variables that a client may set for a command.
pub const VARIABLES: usize = 1024;

/// Bytes of memory that a job may be limited to. Less than this loads no program; more than this is no limit to a kernel.
pub const JOB_MEMORY: RangeInclusive<u64> = 1024 * 1024..=i64::MAX.unsigned_abs();

/// Processor time that a job may be limited to, in per cent of one processor. Linux takes no less than 1 ms in 100
/// (cpu.max), and has no more than 8,192 processors.
pub const JOB_CPU_PERCENT: RangeInclusive<u32> = 1..=819_200;

/// Processes that a job may be limited to: no more than Linux has ids for.
pub const JOB_PROCESSES: RangeInclusive<u32> = 1..=4_194_304;

/// Niceness of a job (setpriority(2)).
pub const JOB_NICE: RangeInclusive<i8> = -20..=19;

/// Jobs that one connection may have running. Above the 100 that a busy client uses; a client that wants more
/// opens another connection.
pub const JOBS_PER_CONNECTION: usize = 256;

/// Jobs that a server lists at once. Above what one client's jobs may take of the disk; a longer list has no end that is worth
/// waiting for.
pub const JOBS_LISTED: usize = 65_536;

/// Control packets waiting to be written on a connection. When it is full, reading stops: a peer that does not
/// read what it asked for cannot make us remember it.
pub const CONTROL_QUEUE: usize = 256;

/// Packets in stream order waiting to be written on a connection: with [`DATA_PAYLOAD`] this is 1 MiB, enough
/// to fill the gap while the writer is in a system call.
pub const ORDERED_QUEUE: usize = 4;

/// Chunks below this size are gathered into larger ones while they wait, so that a peer that sends single bytes
/// cannot make bookkeeping outweigh its window.
pub const GATHER_BELOW: usize = 16 * 1024;

/// How long a connection may be quiet before one side asks the other for a sign of life.
pub const PING_AFTER: Duration = Duration::from_secs(15);

/// How long a connection may be quiet before it counts as lost: three unanswered pings, the last of them for 10 s. Promised is a
/// minute, and timers and tasks need a little of that.
pub const LOST_AFTER: Duration = Duration::from_secs(55);

/// How long a peer over TCP may leave what we write untaken before it counts as dead. A slow reader is hardly
/// concerned: its windows close before the transport fills up.
pub const WRITE_STALL: Duration = LOST_AFTER;

/// The same for a Unix socket, whose buffers are smaller than a window: a peer that is stopped (Ctrl-Z) may take
/// nothing for long, and the system tells when it is dead.
pub const LOCAL_WRITE_STALL: Duration = Duration::from_secs(24 * 3600);

/// How long the writer may take to flush what is queued when a connection is being closed in good order.
pub const CLOSE_FLUSH: Duration = Duration::from_secs(2);

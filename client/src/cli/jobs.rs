//! `jobs`: the list of jobs, for people or for programs.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::iter;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::calendar::rfc3339;
use common::escape::escape;
use common::frame::StreamId;
use common::job::{JobId, Outcome, Signal};
use rustix::termios::tcgetwinsize;
use serde::Serialize;

use super::args::{JobsOptions, Options};
use super::connection::Connection;
use super::exit_code;
use super::failure::Failure;
use super::json::How;
use super::report::Reporter;
use super::style::{Role, Style};
use crate::{JobState, JobSummary};

/// How much of an id is shown on a terminal, if that is enough.
const SHORT_ID: usize = 12;

/// The least that is shown of a command, however narrow the terminal.
const SHORT_COMMAND: usize = 20;

/// Prints the list; the exit code.
pub(crate) async fn jobs(options: &Options, jobs: &JobsOptions, reporter: &Reporter) -> u8 {
    match print(options, jobs, reporter).await {
        Ok(()) => 0,
        Err(Failure::Stdout(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            exit_code::of_signal(Signal::PIPE)
        }
        Err(failure) => {
            reporter.fail(&failure);
            exit_code::FAILED
        }
    }
}

async fn print(options: &Options, jobs: &JobsOptions, reporter: &Reporter) -> Result<(), Failure> {
    let connection = Connection::open(&options.server, reporter.program()).await?;
    let listed = connection.client.jobs(jobs.all).await;
    connection.end().await;
    let listed = sorted(listed?);
    let text = if jobs.json { json(&listed).map_err(Failure::Stdout)? } else { for_people(&listed) };
    io::stdout().write_all(text.as_bytes()).map_err(Failure::Stdout)
}

/// The list of `jobs` as it belongs on stdout, terminal or not; at the prompt as well.
pub(crate) fn list(jobs: Vec<JobSummary>) -> String {
    for_people(&sorted(jobs))
}

fn sorted(mut jobs: Vec<JobSummary>) -> Vec<JobSummary> {
    jobs.sort_by_key(|job| job.started_unix_ms);
    jobs
}

fn for_people(jobs: &[JobSummary]) -> String {
    let columns = io::stdout().is_terminal().then(|| {
        let columns = tcgetwinsize(rustix::stdio::stdout()).map_or(0, |size| size.ws_col);
        if columns == 0 { 80 } else { columns.into() }
    });
    table(jobs, SystemTime::now(), columns, Style::stdout())
}

/// A line a job below a line of headings; cut to a terminal of this width, if that is where it goes.
fn table(jobs: &[JobSummary], now: SystemTime, columns: Option<usize>, style: Style) -> String {
    let short = columns.is_some() && are_unique(jobs);
    // Only an administrator gets to see jobs of others.
    let of_others = jobs.iter().any(|job| job.owner.is_some());
    let whose = |owner: &str| if of_others { owner.to_owned() } else { String::new() };
    let [id, age, state, command, attached] =
        ["ID", "AGE", "STATE", "COMMAND", "ATTACHED"].map(str::to_owned);
    let mut rows = vec![[id, age, state, command, attached, whose("OWNER")]];
    for job in jobs {
        let id = job.id.as_str();
        let id = if short { id.get(..id.floor_char_boundary(SHORT_ID)).unwrap_or(id) } else { id };
        let age = now.duration_since(moment(job.started_unix_ms)).unwrap_or_default();
        let (age, owner) = (self::age(age), whose(job.owner.as_deref().unwrap_or("-")));
        rows.push([
            id.to_owned(),
            age,
            self::state(&job.state),
            first_line(&job.command),
            self::attached(job),
            owner,
        ]);
    }
    let rows: Vec<_> = rows.iter().map(|row| row.each_ref().map(|cell| escape(cell).into_owned())).collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let [id, age, state, command, attached, owner] = [0, 1, 2, 3, 4, 5].map(width);
    let command = match columns {
        Some(columns) => {
            let others = id + age + state + attached + owner + if of_others { 10 } else { 8 };
            command.min(columns.saturating_sub(others).max(SHORT_COMMAND))
        }
        None => command,
    };
    let mut text = String::new();
    let roles = iter::once(None).chain(jobs.iter().map(|job| Some(role(&job.state))));
    for ([an_id, an_age, a_state, a_command, who, whose], role) in rows.iter().zip(roles) {
        let a_command = cut(a_command, command);
        let a_state = format!("{a_state:state$}");
        let a_state =
            role.flatten().map_or_else(|| a_state.as_str().into(), |role| style.paint(role, &a_state));
        let line =
            format!("{an_id:id$}  {an_age:>age$}  {a_state}  {a_command:command$}  {who:attached$}  {whose}");
        let line = line.trim_end();
        let line = if role.is_none() { style.paint(Role::Heading, line) } else { line.into() };
        // Writing to a string cannot fail.
        writeln!(text, "{line}").ok();
    }
    text
}

fn are_unique(jobs: &[JobSummary]) -> bool {
    let beginning = |id: &JobId| id.as_str().chars().take(SHORT_ID).collect::<String>();
    let mut ids: Vec<_> = jobs.iter().map(|job| beginning(&job.id)).collect();
    ids.sort_unstable();
    ids.windows(2).all(|pair| matches!(pair, [one, other] if one != other))
}

/// Of a command with several lines, the first has to do.
fn first_line(command: &str) -> String {
    command.split_once('\n').map_or_else(|| command.to_owned(), |(first, _)| format!("{first} …"))
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// A length of time in its largest unit: `7s`, `3m`, `5h`, `2d`.
fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn state(state: &JobState) -> String {
    match state {
        JobState::Starting => "starting".to_owned(),
        JobState::Running { .. } => "running".to_owned(),
        JobState::Over { outcome, .. } => match outcome {
            Outcome::Exited(code) => format!("exited {code}"),
            Outcome::Signaled { signal, .. } => format!("killed by {signal}"),
            Outcome::TimedOut => "timed out".to_owned(),
            Outcome::Cancelled => "cancelled".to_owned(),
            Outcome::NotStarted(_) => "not started".to_owned(),
            Outcome::Lost(_) => "lost".to_owned(),
        },
    }
}

/// How a state looks; nothing special about one that nobody needs to look at.
fn role(state: &JobState) -> Option<Role> {
    match state {
        JobState::Starting => None,
        JobState::Running { .. } => Some(Role::Good),
        JobState::Over { outcome, .. } => match outcome {
            Outcome::Exited(0) => None,
            Outcome::Exited(_) | Outcome::Signaled { .. } | Outcome::TimedOut | Outcome::NotStarted(_) => {
                Some(Role::Bad)
            }
            Outcome::Cancelled | Outcome::Lost(_) => Some(Role::Doubtful),
        },
    }
}

/// Who is attached: the job's client, and how many read along.
fn attached(job: &JobSummary) -> String {
    match (&job.writer, job.readers) {
        (None, 0) => "-".to_owned(),
        (Some(writer), 0) => writer.clone(),
        (None, readers) => format!("{readers} reading"),
        (Some(writer), readers) => format!("{writer}, {readers} reading"),
    }
}

fn moment(unix_ms: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms)).unwrap_or(UNIX_EPOCH)
}

/// A job as a program gets to see it. Its shape is a promise: see `docs/cli.md`.
#[derive(Debug, Serialize)]
struct Row<'a> {
    id: &'a JobId,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    process_id: Option<u32>,
    #[serde(flatten)]
    outcome: Option<How>,
    command: &'a str,
    started: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    attached: Option<&'a str>,
    readers: u32,
    supervised: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    stdout: Part,
    stderr: Part,
}

/// What is kept of a stream.
#[derive(Debug, Default, Serialize)]
struct Part {
    oldest: u64,
    end: u64,
}

fn json(jobs: &[JobSummary]) -> io::Result<String> {
    let mut text = String::new();
    for job in jobs {
        text.push_str(&String::from_utf8_lossy(&common::json::line(&row(job))?));
    }
    Ok(text)
}

fn row(job: &JobSummary) -> Row<'_> {
    let (state, process_id, outcome, ended) = match &job.state {
        JobState::Starting => ("starting", None, None, None),
        JobState::Running { process_id } => ("running", Some(*process_id), None, None),
        JobState::Over { outcome, ended_unix_ms } => {
            ("over", None, Some(How::from(outcome)), Some(rfc3339(moment(*ended_unix_ms))))
        }
    };
    let part = |stream| {
        let kept = job.kept.iter().find(|kept| kept.stream == stream);
        kept.map_or_else(Part::default, |kept| Part { oldest: kept.oldest, end: kept.end })
    };
    Row {
        id: &job.id,
        state,
        process_id,
        outcome,
        command: &job.command,
        started: rfc3339(moment(job.started_unix_ms)),
        ended,
        attached: job.writer.as_deref(),
        readers: job.readers,
        supervised: job.supervised,
        owner: job.owner.as_deref(),
        stdout: part(StreamId::Stdout),
        stderr: part(StreamId::Stderr),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str, state: JobState) -> JobSummary {
        JobSummary {
            id: id.parse().unwrap(),
            state,
            command: "sleep 100; echo \x1b[2J".to_owned(),
            started_unix_ms: 1_000,
            writer: None,
            readers: 0,
            supervised: true,
            owner: None,
            kept: vec![crate::Kept { stream: StreamId::Stdout, oldest: 3, end: 7 }],
        }
    }

    fn over(outcome: Outcome) -> JobState {
        JobState::Over { outcome, ended_unix_ms: 2_000 }
    }

    #[test]
    fn a_list_for_people() {
        let mut second = job("0123456789abcdefff", over(Outcome::Exited(3)));
        (second.writer, second.readers) = (Some("10.0.0.1:7".to_owned()), 2);
        let jobs = [job("0123456789aaaa", JobState::Running { process_id: 7 }), second];
        let now = moment(301_000);
        let piped = "ID                  AGE  STATE     COMMAND                  ATTACHED\n\
             0123456789aaaa       5m  running   sleep 100; echo \\x1b[2J  -\n\
             0123456789abcdefff   5m  exited 3  sleep 100; echo \\x1b[2J  10.0.0.1:7, 2 reading\n";
        assert_eq!(table(&jobs, now, None, Style::plain()), piped);
        let narrow = "ID            AGE  STATE     COMMAND               ATTACHED\n\
             0123456789aa   5m  running   sleep 100; echo \\x1…  -\n\
             0123456789ab   5m  exited 3  sleep 100; echo \\x1…  10.0.0.1:7, 2 reading\n";
        assert_eq!(table(&jobs, now, Some(30), Style::plain()), narrow);
        let alike = [job("0123456789aaaa", JobState::Starting), job("0123456789aaab", JobState::Starting)];
        assert!(table(&alike, now, Some(200), Style::plain()).contains("0123456789aaaa "));
        let mut others = job("j2", JobState::Starting);
        others.owner = Some("SHA256:abc".to_owned());
        let owned = "ID  AGE  STATE     COMMAND                  ATTACHED  OWNER\n\
             j1   5m  starting  sleep 100; echo \\x1b[2J  -         -\n\
             j2   5m  starting  sleep 100; echo \\x1b[2J  -         SHA256:abc\n";
        assert_eq!(table(&[job("j1", JobState::Starting), others], now, None, Style::plain()), owned);
    }

    #[test]
    fn ages() {
        let of = |seconds| age(Duration::from_secs(seconds));
        assert_eq!(
            [0, 59, 60, 3599, 3600, 172_799, 172_800].map(of),
            ["0s", "59s", "1m", "59m", "1h", "47h", "2d"]
        );
    }

    #[test]
    fn a_list_for_programs() {
        let text =
            json(&[job("j1", over(Outcome::Exited(3))), job("j2", JobState::Running { process_id: 7 })])
                .unwrap();
        let rest = r#""command":"sleep 100; echo \u001b[2J","started":"1970-01-01T00:00:01.000Z""#;
        let end = r#""attached":null,"readers":0,"supervised":true,"stdout":{"oldest":3,"end":7},"stderr":{"oldest":0,"end":0}}"#;
        let expected = format!(
            "{{\"id\":\"j1\",\"state\":\"over\",\"outcome\":\"exited\",\"code\":3,{rest},\"ended\":\"1970-01-01T00:00:02.000Z\",{end}\n\
             {{\"id\":\"j2\",\"state\":\"running\",\"process_id\":7,{rest},{end}\n"
        );
        assert_eq!(text, expected);
    }
}

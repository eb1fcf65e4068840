//! `ping`: whether the server answers, and how fast.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use common::job::Signal;
use tokio::signal::unix::{self, SignalKind};
use tokio::time::{self, Instant};

use super::args::{Options, PingOptions};
use super::connection::Connection;
use super::exit_code;
use super::failure::Failure;
use super::report::{self, Reporter};
use super::signals;
use crate::Client;

/// How long a pong may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// The exit code when some pongs did not come.
const SOME_LOST: u8 = 1;

/// Pings the server; the exit code.
pub(crate) async fn ping(options: &Options, ping: &PingOptions, reporter: &Reporter) -> u8 {
    match try_ping(options, ping, reporter).await {
        Ok(code) => code,
        Err(failure) => {
            reporter.fail(&failure);
            exit_code::FAILED
        }
    }
}

async fn try_ping(options: &Options, ping: &PingOptions, reporter: &Reporter) -> Result<u8, Failure> {
    let connection = Connection::open(&options.server, reporter.program()).await?;
    connection.client.ready().await?;
    let (mut interrupt, mut terminate) = signals::install(|| {
        Ok((unix::signal(SignalKind::interrupt())?, unix::signal(SignalKind::terminate())?))
    })?;
    let mut statistics = Statistics::default();
    let shown = tokio::select! {
        shown = round_trips(&connection, ping, &mut statistics, reporter) => shown,
        // The summary of what came so far is what the user wants then.
        _ = interrupt.recv() => {
            report::end_echo(Some(Signal::INT));
            Ok(())
        }
        _ = terminate.recv() => Ok(()),
    };
    let shown = shown
        .and_then(|()| show(format_args!("--- {} ping statistics ---\n{statistics}", connection.address)));
    connection.end().await;
    match shown {
        Ok(()) if statistics.is_complete() => Ok(0),
        Ok(()) => Ok(SOME_LOST),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(exit_code::of_signal(Signal::PIPE)),
        Err(error) => Err(Failure::Stdout(error)),
    }
}

async fn round_trips(
    connection: &Connection,
    ping: &PingOptions,
    statistics: &mut Statistics,
    reporter: &Reporter,
) -> io::Result<()> {
    for number in 1..=ping.count {
        let started = Instant::now();
        statistics.sent += 1;
        match pong(&connection.client).await {
            Pong::After(time) => {
                statistics.received(time);
                let time = Milliseconds(time);
                show(format_args!("pong from {}: seq={number} time={time} ms", connection.address))?;
            }
            Pong::TooLate => {
                reporter.say(format_args!("no pong within {} s: seq={number}", PATIENCE.as_secs()));
            }
            Pong::Never(failure) => {
                reporter.fail(&failure);
                return Ok(());
            }
        }
        if number < ping.count {
            time::sleep_until(started + ping.interval).await;
        }
    }
    Ok(())
}

enum Pong {
    After(Duration),
    TooLate,
    Never(Failure),
}

async fn pong(client: &Client) -> Pong {
    match time::timeout(PATIENCE, client.ping()).await {
        Ok(Ok(time)) => Pong::After(time),
        Ok(Err(error)) => Pong::Never(error.into()),
        Err(_) => Pong::TooLate,
    }
}

fn show(line: fmt::Arguments<'_>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// What came so far.
#[derive(Debug, Default)]
struct Statistics {
    sent: u64,
    received: u64,
    least: Duration,
    most: Duration,
    sum: Duration,
}

impl Statistics {
    fn received(&mut self, time: Duration) {
        self.least = if self.received == 0 { time } else { self.least.min(time) };
        self.most = self.most.max(time);
        self.sum += time;
        self.received += 1;
    }

    fn is_complete(&self) -> bool {
        self.received == self.sent
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lost = (self.sent - self.received) * 100;
        let percent = lost.checked_div(self.sent).unwrap_or_default();
        write!(f, "{} sent, {} received, {percent}% lost", self.sent, self.received)?;
        if self.received > 0 {
            let mean = self.sum.div_f64(self.received as f64);
            let (least, most) = (Milliseconds(self.least), Milliseconds(self.most));
            write!(f, "\nrtt min/avg/max = {least}/{}/{most} ms", Milliseconds(mean))?;
        }
        Ok(())
    }
}

struct Milliseconds(Duration);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary() {
        let mut statistics = Statistics::default();
        assert_eq!(statistics.to_string(), "0 sent, 0 received, 0% lost");
        for micros in [140, 101, 125] {
            statistics.sent += 1;
            statistics.received(Duration::from_micros(micros));
        }
        let rtt = "rtt min/avg/max = 0.101/0.122/0.140 ms";
        assert_eq!(statistics.to_string(), format!("3 sent, 3 received, 0% lost\n{rtt}"));
        assert!(statistics.is_complete());
        statistics.sent += 1;
        assert_eq!(statistics.to_string(), format!("4 sent, 3 received, 25% lost\n{rtt}"));
        assert!(!statistics.is_complete());
    }
}

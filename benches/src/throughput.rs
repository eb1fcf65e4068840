//! Bytes from a command to `/dev/null` here, and from a file here to a command there.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use rustix::process::Pid;

use crate::goal::Goal;
use crate::memory_file::MemoryFile;
use crate::options::Options;
use crate::peers::{OpenSsh, Socat, installed};
use crate::race::{Contestant, Course, race};
use crate::report::{Report, Table};
use crate::sandbox::Sandbox;
use crate::system;
use crate::under_test::{Programs, Telex};

/// Which part of the throughput of plain socat Telex must reach, from the command to here.
const GOAL: f64 = 0.55;

/// Seconds of CPU that a GiB from the command to here may cost: the client, the server and the command.
const CPU_GOAL: f64 = 1.2;

const GIB: u64 = 1 << 30;

/// socat copies through a buffer of this size; its own default is 8 KiB, which would be no match.
const SOCAT: [&str; 2] = ["-b", "262144"];

/// A contestant that is much slower takes part in the first round only.
const ONCE: u32 = u32::MAX;

/// A contestant and its server's process.
type Entry = (Contestant, Option<Pid>);

pub(crate) fn measure(options: &Options, programs: &Programs, report: &mut Report) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let telex = Telex::start(programs, &sandbox)?;
    telex.check_client(&sandbox)?;
    // A server of its own, so that its CPU can be told from that of the other.
    let plain_sandbox = Sandbox::new()?;
    let plain = Telex::start(programs, &plain_sandbox)?;
    let ssh = installed("OpenSSH", OpenSsh::start(&sandbox), report);
    let race = Race {
        sandbox: &sandbox,
        telex: &telex,
        plain: &plain,
        ssh: ssh.as_ref(),
        bytes: options.pick(2 * GIB, GIB / 4),
        rounds: options.rounds(5, 2),
    };
    let file = MemoryFile::new(race.bytes)?;
    let source = file.as_ref().map_or_else(
        || format!("head -c {} /dev/zero", race.bytes),
        |file| format!("cat {}", file.path().display()),
    );
    race.download(&source, report)?;
    match &file {
        Some(file) => race.upload(file, report),
        None => {
            report.note("no upload: there is no room for a file in memory");
            Ok(())
        }
    }
}

struct Race<'a> {
    sandbox: &'a Sandbox,
    telex: &'a Telex,
    /// Used over its Unix socket only, where nothing is encrypted.
    plain: &'a Telex,
    ssh: Option<&'a OpenSsh>,
    bytes: u64,
    rounds: u32,
}

impl Race<'_> {
    fn download(&self, source: &str, report: &mut Report) -> Result<()> {
        let socat = Socat::start(self.sandbox, &SOCAT, &format!("EXEC:{source}"));
        let socat = installed("socat", socat, report);
        let piped = self.sandbox.local_shell(&format!("{source} | cat"));
        let run = self.telex.run(self.sandbox, &self.telex.tcp, source);
        let plain = self.plain.run(self.sandbox, &self.plain.unix, source);
        let mut entries = vec![
            (Contestant::new("client run, TCP", run).judged(), Some(self.telex.id())),
            (Contestant::new("client run, Unix socket", plain), Some(self.plain.id())),
            (Contestant::new("local pipe to cat", piped), None),
        ];
        if let Some(socat) = &socat {
            let command = socat.connect(self.sandbox, &["-u", "-b", "262144"], true);
            entries.push((Contestant::new("socat, TCP", command), Some(socat.id())));
        }
        if let Some(ssh) = self.ssh {
            entries.push((Contestant::new("ssh", ssh.run(self.sandbox, source)).every(ONCE), Some(ssh.id())));
        }
        self.run("command -> here", entries, report)
    }

    fn upload(&self, file: &MemoryFile, report: &mut Report) -> Result<()> {
        let sink = "cat >/dev/null";
        let socat = installed("socat", Socat::start(self.sandbox, &SOCAT, &format!("SYSTEM:{sink}")), report);
        let contestant = |name, command| Contestant::new(name, command).stdin(file.path());
        let run = self.telex.run(self.sandbox, &self.telex.tcp, sink);
        let plain = self.plain.run(self.sandbox, &self.plain.unix, sink);
        let mut entries = vec![
            (contestant("client run, TCP", run), Some(self.telex.id())),
            (contestant("client run, Unix socket", plain), Some(self.plain.id())),
        ];
        if let Some(socat) = &socat {
            // Not -u: like all others, it then waits until the other side has taken everything.
            let command = socat.connect(self.sandbox, &["-t", "60", "-b", "262144"], false);
            entries.push((contestant("socat, TCP", command), Some(socat.id())));
        }
        if let Some(ssh) = self.ssh {
            entries.push((contestant("ssh", ssh.run(self.sandbox, sink)).every(ONCE), Some(ssh.id())));
        }
        self.run("here -> command", entries, report)
    }

    fn run(&self, title: &str, entries: Vec<Entry>, report: &mut Report) -> Result<()> {
        let gibibytes = self.bytes as f64 / GIB as f64;
        let (mut contestants, servers): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
        let used_before = cpu_times(&servers);
        race(&mut contestants, Course { rounds: self.rounds, warm_up: 0, pause: Duration::from_millis(50) })?;
        // Until the last children are reaped, their time is not their parents'.
        thread::sleep(Duration::from_millis(50));
        let used: Vec<f64> =
            cpu_times(&servers).iter().zip(&used_before).map(|(after, before)| after - before).collect();
        let rate = |contestant: &Contestant| gibibytes / contestant.wall.median();
        let socat =
            contestants.iter().find(|contestant| contestant.name.starts_with("socat")).map_or(f64::NAN, rate);
        let title = format!("{title}, {gibibytes} GiB, {} rounds", self.rounds);
        let mut table = Table::new(title, &["GiB/s", "x socat", "cli s/GiB", "srv s/GiB", "sum s/GiB"]);
        for (contestant, used) in contestants.iter().zip(used) {
            let ratio = rate(contestant) / socat;
            let server = used / (gibibytes * f64::from(contestant.runs(self.rounds)));
            let client = contestant.cpu.median() / gibibytes;
            let sum = client + server;
            let goals =
                [Goal::at_least(ratio, GOAL, "x socat"), Goal::at_most(sum, CPU_GOAL, "CPU s/GiB in all")];
            let goals = goals.into_iter().filter(|_| contestant.judged);
            table.row(contestant.name, &[rate(contestant), ratio, client, server, sum], goals);
        }
        report.table(table);
        Ok(())
    }
}

fn cpu_times(servers: &[Option<Pid>]) -> Vec<f64> {
    let time = |server: &Option<Pid>| Some(system::cpu_time((*server)?).ok()?.as_secs_f64());
    servers.iter().map(|server| time(server).unwrap_or(f64::NAN)).collect()
}

//! The loop's side of completion: one question at a time is answered, the newest. A question that nobody waits for any more is
//! given up, and its job with it.

use std::ffi::OsStr;
use std::future::pending;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use common::config::Places;
use tokio::sync::watch;
use tokio::{task, time};

use super::answers::Answers;
use super::question::{ANSWER, Answer, Directory, Kind, Name, Question};
use crate::config::ClientConfig;
use crate::repl::shell::Names;
use crate::{Client, Stdin};

const LIST: &str = include_str!("list.sh");

/// How long an answer is waited for that comes too late for the one who asked: the next one may be glad of it.
const LATE: Duration = Duration::from_secs(5);

/// Most files that are looked at in a directory here.
const LOCAL_FILES: usize = 65_536;

/// Where the questions are asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) client: &'a Client,
    /// The session's directory, and its home.
    pub(crate) directory: &'a [u8],
    pub(crate) home: &'a [u8],
}

/// What is being asked.
pub(crate) struct Asking<'a> {
    place: Place<'a>,
    questions: watch::Receiver<Option<Question>>,
    answers: Arc<Answers>,
    /// What the session's shell knows, once it has said so.
    names: Option<Names>,
    /// The question that is being answered.
    question: Option<Question>,
    /// What answers it; `None` while the shell is asked for its names.
    listing: Option<Listing<'a>>,
}

/// An answer on its way; `None` if none is to be had.
type Listing<'a> = Pin<Box<dyn Future<Output = Option<Answer>> + 'a>>;

/// What has to be done for a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// The session's shell has to be asked for its names.
    Names,
    /// Nothing.
    Nothing,
}

impl<'a> Asking<'a> {
    /// Answers what is asked while a person is at the prompt.
    pub(crate) fn new(
        place: Place<'a>,
        questions: watch::Receiver<Option<Question>>,
        answers: Arc<Answers>,
    ) -> Self {
        Self { place, questions, answers, names: None, question: None, listing: None }
    }

    /// Does what there is to do, until the shell has to be asked.
    pub(crate) async fn next(&mut self) -> Need {
        loop {
            tokio::select! {
                Ok(()) = self.questions.changed() => {
                    let question = self.questions.borrow_and_update().clone();
                    if self.begin(question) == Need::Names {
                        return Need::Names;
                    }
                }
                answer = listed(self.listing.as_mut()) => self.finish(answer),
            }
        }
    }

    /// The names that the shell knows.
    pub(crate) fn take_names(&mut self, names: Names) {
        self.names = Some(names);
        let question = self.question.take();
        self.begin(question);
    }

    fn begin(&mut self, question: Option<Question>) -> Need {
        if question.is_some() && question == self.question {
            return Need::Nothing;
        }
        self.listing = None;
        self.question.clone_from(&question);
        let Some(question) = question else { return Need::Nothing };
        let place = self.place;
        let beginning = question.beginning;
        self.listing = Some(match (question.kind, &self.names) {
            (Kind::Commands | Kind::Variables, None) => return Need::Names,
            (Kind::Files(directory), _) => in_time(async move {
                let directory = directory.path(place.home, place.directory);
                list(place.client, "files", &directory, b"", &beginning).await
            }),
            (Kind::LocalFiles(directory), _) => in_time(local_files(directory, beginning)),
            (Kind::Hosts, _) => in_time(hosts(beginning)),
            (Kind::Variables, Some(names)) => {
                let answer = Answer::of(named(&names.variables, &beginning));
                in_time(async { Some(answer) })
            }
            (Kind::Commands, Some(names)) => {
                let (known, path) = (named(&names.commands, &beginning), names.path.clone());
                in_time(async move {
                    let programs = list(place.client, "programs", place.directory, &path, &beginning).await?;
                    Some(programs.and(known))
                })
            }
        });
        Need::Nothing
    }

    fn finish(&mut self, answer: Option<Answer>) {
        self.listing = None;
        if let (Some(question), Some(answer)) = (self.question.take(), answer) {
            self.answers.keep(question, answer);
        }
    }
}

fn in_time<'a>(answer: impl Future<Output = Option<Answer>> + 'a) -> Listing<'a> {
    Box::pin(async { time::timeout(LATE, answer).await.ok().flatten() })
}

async fn listed(listing: Option<&mut Listing<'_>>) -> Option<Answer> {
    match listing {
        Some(listing) => listing.await,
        None => pending().await,
    }
}

fn named(names: &[String], beginning: &str) -> Vec<Name> {
    let names = names.iter().filter(|name| name.starts_with(beginning));
    names.map(|name| Name { text: name.clone(), is_directory: false }).collect()
}

/// What a job lists in `directory`. Dropping this ends the job.
async fn list(client: &Client, kind: &str, directory: &[u8], path: &[u8], beginning: &str) -> Option<Answer> {
    let mut command = client.shell(LIST);
    command.env("kind", kind).env("path", OsStr::from_bytes(path)).env("beginning", beginning);
    command.current_dir(Path::new(OsStr::from_bytes(directory))).stdin(Stdin::Null);
    let mut job = command.start().await.ok()?;
    drop(job.stderr.take());
    let mut listed = Vec::new();
    while let Some(bytes) = next(&mut job.stdout).await {
        listed.extend_from_slice(&bytes);
        if listed.len() > ANSWER {
            // The last one is not whole.
            listed.truncate(listed.iter().rposition(|byte| *byte == 0).unwrap_or_default());
            return Some(Answer::parse(&listed).cut());
        }
    }
    // Of a job that is lost it is not all.
    job.wait().await.is_ok().then(|| Answer::parse(&listed))
}

async fn next(output: &mut Option<crate::JobOutput>) -> Option<bytes::Bytes> {
    output.as_mut()?.next().await
}

/// The servers in the user's settings.
async fn hosts(beginning: String) -> Option<Answer> {
    let read = move || {
        let config = Places::of_user().ok().and_then(|places| ClientConfig::load(&places).ok());
        let names: Vec<_> = config.iter().flat_map(ClientConfig::host_names).collect();
        Answer::of(named(&names, &beginning))
    };
    task::spawn_blocking(read).await.ok()
}

/// What is in a directory here. A file system that does not answer keeps a thread, and nobody waits for it.
async fn local_files(directory: Directory, beginning: String) -> Option<Answer> {
    let read = move || {
        let home = env::home_dir().unwrap_or_default();
        let path = directory.path(home.as_os_str().as_bytes(), b".");
        let Ok(entries) = fs::read_dir(OsStr::from_bytes(&path)) else { return Answer::default() };
        let names = entries.take(LOCAL_FILES).filter_map(|entry| {
            let entry = entry.ok()?;
            let text = entry.file_name().into_string().ok()?;
            let is_listed = text.starts_with(&beginning) && (!beginning.is_empty() || !text.starts_with('.'));
            is_listed.then(|| Name { text, is_directory: entry.path().is_dir() })
        });
        Answer::of(names)
    };
    task::spawn_blocking(read).await.ok()
}

//! What the editor's thread and the loop share: the question that is asked now, and the answers that were given since the last
//! line ran. Neither waits for the other, but for as long as the editor wants to.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use tokio::sync::watch;

use super::question::{Answer, Question};

/// Most answers that are kept: a few directories, with what was asked on the way.
const KEPT: usize = 16;

/// How long an answer is good: files come and go without us.
const GOOD: Duration = Duration::from_secs(10);

/// Answers, and what is asked.
#[derive(Debug)]
pub(crate) struct Answers {
    kept: Mutex<Vec<Kept>>,
    /// The newest question is the only one that somebody still waits for.
    asked: watch::Sender<Option<Question>>,
    /// Readable once an answer has come.
    came: OwnedFd,
}

#[derive(Debug)]
struct Kept {
    question: Question,
    answer: Arc<Answer>,
    since: Instant,
}

/// What ends a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waited {
    /// An answer may have come.
    Answer,
    /// Somebody types.
    Key,
    /// The time is over.
    Over,
}

impl Answers {
    /// None yet, and what hears the questions.
    ///
    /// # Errors
    /// The system's, without descriptors left.
    pub(crate) fn new() -> io::Result<(Arc<Self>, watch::Receiver<Option<Question>>)> {
        let (asked, questions) = watch::channel(None);
        let came = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok((Arc::new(Self { kept: Mutex::default(), asked, came }), questions))
    }

    /// The answer to `question`, if there is one before `wait` is over or a key comes.
    pub(crate) fn answer(&self, question: &Question, wait: Duration) -> Option<Arc<Answer>> {
        let until = Instant::now() + wait;
        if let Some(answer) = self.find(question) {
            return Some(answer);
        }
        self.asked.send_replace(Some(question.clone()));
        // The first one that comes may be of another question.
        while self.wait(until) == Waited::Answer {
            if let Some(answer) = self.find(question) {
                return Some(answer);
            }
        }
        None
    }

    /// One that covers `question` and is still good.
    fn find(&self, question: &Question) -> Option<Arc<Answer>> {
        let kept = self.lock();
        let good = |kept: &&Kept| {
            kept.since.elapsed() < GOOD
                && (kept.question == *question || (!kept.answer.is_cut && kept.question.covers(question)))
        };
        kept.iter().rev().find(good).map(|kept| Arc::clone(&kept.answer))
    }

    /// Keeps an answer, and wakes who waits for it.
    pub(super) fn keep(&self, question: Question, answer: Answer) {
        let mut kept = self.lock();
        kept.retain(|kept| kept.question != question);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(Kept { question, answer: Arc::new(answer), since: Instant::now() });
        drop(kept);
        // It stays readable if there is no room for one more.
        rustix::io::write(&self.came, &1u64.to_ne_bytes()).ok();
    }

    /// A line has run: all may be different.
    pub(crate) fn forget(&self) {
        self.asked.send_replace(None);
        self.lock().clear();
    }

    /// Waits for an answer, a key, or until `until`. Keys come by stdin, which is a terminal.
    fn wait(&self, until: Instant) -> Waited {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        let stdin = rustix::stdio::stdin();
        let mut waited = [PollFd::new(&self.came, PollFlags::IN), PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut waited, Some(&timeout)) {
            Ok(0) => Waited::Over,
            // The next look finds what there is, also after a signal, such as that of a resize.
            Ok(_) if waited.first().is_some_and(|came| came.revents().is_empty()) => Waited::Key,
            Err(_) => Waited::Key,
            Ok(_) => {
                rustix::io::read(&self.came, &mut [0u8; 8]).ok();
                Waited::Answer
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::question::{Kind, Name};
    use super::*;

    fn question(beginning: &str) -> Question {
        Question { kind: Kind::Variables, beginning: beginning.to_owned() }
    }

    fn answer(name: &str) -> Answer {
        Answer::of([Name { text: name.to_owned(), is_directory: false }])
    }

    #[test]
    fn answers_are_found_until_a_line_runs() {
        let (answers, questions) = Answers::new().unwrap();
        assert_eq!(answers.find(&question("a")), None);
        assert_eq!(answers.answer(&question("a"), Duration::ZERO), None);
        assert_eq!(*questions.borrow(), Some(question("a")));
        answers.keep(question("a"), answer("abc"));
        assert_eq!(answers.find(&question("ab")), Some(Arc::new(answer("abc"))));
        assert_eq!(answers.find(&question("b")), None);
        answers.forget();
        assert_eq!(answers.find(&question("a")), None);
        assert_eq!(*questions.borrow(), None);
    }

    #[test]
    fn a_part_of_an_answer_serves_its_own_question_only() {
        let (answers, _questions) = Answers::new().unwrap();
        answers.keep(question("a"), answer("abc").cut());
        assert!(answers.find(&question("a")).is_some());
        assert_eq!(answers.find(&question("ab")), None);
    }

    #[test]
    fn there_are_never_many() {
        let (answers, _questions) = Answers::new().unwrap();
        for number in 0..100 {
            answers.keep(question(&format!("x{number}y")), Answer::default());
        }
        assert_eq!(answers.lock().len(), KEPT);
        assert!(answers.find(&question("x99y")).is_some() && answers.find(&question("x1y")).is_none());
    }

    #[test]
    fn an_answer_ends_a_wait() {
        let (answers, _questions) = Answers::new().unwrap();
        answers.keep(question("a"), Answer::default());
        let minute = Duration::from_secs(60);
        assert_eq!(answers.wait(Instant::now() + minute), Waited::Answer);
        assert!(answers.answer(&question("a"), minute).is_some());
    }
}

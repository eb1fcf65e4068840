//! A server of which nothing is known: only a person at the terminal can say that it is the right one.

use std::sync::Arc;

use common::escape::escape;

use super::failure::Failure;
use super::question::{Answer, QuestionError, ask_yes};
use crate::error::{Error, Untrusted};

/// Asks whether the server may be trusted from now on.
///
/// # Errors
/// [`Error::Untrusted`] if nobody can be asked, [`Failure::NotTrusted`] if the answer is no.
pub(crate) fn ask(server: &Arc<Untrusted>) -> Result<(), Failure> {
    let (host, fingerprint) = (&server.host, server.key.fingerprint());
    let question = format!(
        "the server {host} is not known. Its key is\n  {fingerprint}\nIs that the key that `server key` prints there? (yes/no) "
    );
    let question: Vec<_> = question.split('\n').map(escape).collect();
    match ask_yes(&question.join("\n")) {
        Ok(Answer::Yes) => Ok(()),
        Ok(Answer::No) => Err(Failure::NotTrusted(host.clone())),
        Err(QuestionError::NobodyToAsk(_)) => Err(Error::Untrusted(Arc::clone(server)).into()),
        Err(QuestionError::Terminal(error)) => Err(Failure::Terminal(error)),
    }
}

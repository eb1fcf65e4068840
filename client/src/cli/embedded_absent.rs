//! In place of `embedded` in a build without the server: refuses.

use std::process::ExitCode;

use super::failure::Failure;
use crate::Client;

/// There is none.
#[derive(Debug)]
pub(crate) enum Server {}

impl Server {
    /// # Errors
    /// [`Failure::NoEmbedded`], always.
    pub(crate) fn start(_program: &str) -> Result<(Client, String, Self), Failure> {
        Err(Failure::NoEmbedded)
    }

    #[expect(clippy::unused_async, reason = "the real one waits")]
    pub(crate) async fn wait(self) {
        match self {}
    }
}

/// What the hidden subcommand comes to.
pub(crate) fn serve(program: &str) -> ExitCode {
    super::fail(&super::report::Reporter::new(program), &Failure::NoEmbedded).into()
}

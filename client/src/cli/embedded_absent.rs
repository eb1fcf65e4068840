//! In place of `embedded` in a build without the server: refuses.

use super::exit_code;
use super::failure::Failure;
use super::report::Reporter;
use crate::Client;

/// There is none.
#[derive(Debug)]
pub(crate) enum Server {}

impl Server {
    /// # Errors
    /// [`Failure::NoEmbedded`], always.
    pub(crate) fn start(_program: &str) -> Result<(Client, Self), Failure> {
        Err(Failure::NoEmbedded)
    }

    #[expect(clippy::unused_async, reason = "the real one waits")]
    pub(crate) async fn wait(self) {
        match self {}
    }
}

/// What the hidden subcommand comes to.
#[expect(clippy::unused_async, reason = "the real one waits")]
pub(crate) async fn serve(reporter: &Reporter) -> u8 {
    reporter.fail(&Failure::NoEmbedded);
    exit_code::FAILED
}

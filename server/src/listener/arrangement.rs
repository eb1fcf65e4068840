//! What a server that was given listeners does with them, and where it listens besides. Pure but for the resolving of names,
//! so that a program that has none of them can say what it would do.

use std::net::SocketAddr;
use std::path::PathBuf;

use common::endpoint::Endpoint;

use super::{Origin, resolve, tcp_endpoint};
use crate::error::StartError;

/// A listener that was bound before this program started: `T` is what there is of it.
#[derive(Debug)]
pub(crate) struct Given<T> {
    pub(crate) origin: Origin,
    /// Where it listens.
    pub(crate) endpoint: Endpoint,
    pub(crate) listener: T,
}

/// What becomes of them.
#[derive(Debug)]
pub(crate) struct Arrangement<T> {
    /// These go on, under the origin that they have from now on.
    pub(crate) kept: Vec<Given<T>>,
    /// These are bound.
    pub(crate) missing: Vec<Missing>,
    /// These are closed.
    pub(crate) dropped: Vec<Given<T>>,
}

/// Somewhere to listen where nobody does yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Where a server listens that was told nothing.
    Default,
    /// Addresses that the settings name.
    Tcp {
        /// The name.
        named: Endpoint,
        /// All that the name means.
        addresses: Vec<SocketAddr>,
        /// Those of them that are missing.
        missing: Vec<SocketAddr>,
    },
    /// A Unix socket that the settings name.
    Unix(PathBuf),
}

/// Arranges what was `given` for a server that is told to `listen`: what a service manager has bound is always kept;
/// everything else if the settings still ask for it, by the same name or by another one for the same place. Whatever else
/// they name is missing, and so are the default addresses if they name none and nothing was bound by a service manager.
///
/// # Errors
/// [`StartError::Listen`] for a name that means nothing.
pub(crate) async fn arrange<T>(
    listen: &[Endpoint],
    mut given: Vec<Given<T>>,
) -> Result<Arrangement<T>, StartError> {
    let mut kept = take(&mut given, |given| given.origin.is_foreign());
    let mut missing = Vec::new();
    if listen.is_empty() && kept.is_empty() {
        kept = take(&mut given, |given| given.origin == Origin::Default);
        if kept.is_empty() {
            missing.push(Missing::Default);
        }
    }
    for named in listen {
        let origin = Origin::Named(named.clone());
        kept.extend(take(&mut given, |given| given.origin == origin));
        // Also if the settings name it twice.
        if kept.iter().any(|given| given.origin == origin) {
            continue;
        }
        missing.extend(find(named, &mut given, &mut kept).await?);
    }
    Ok(Arrangement { kept, missing, dropped: given })
}

/// What of `named` is missing when those are kept that listen there already.
async fn find<T>(
    named: &Endpoint,
    given: &mut Vec<Given<T>>,
    kept: &mut Vec<Given<T>>,
) -> Result<Option<Missing>, StartError> {
    let origin = Origin::Named(named.clone());
    let mut listens = |endpoint: &Endpoint| {
        for mut found in take(given, |given| given.endpoint == *endpoint) {
            found.origin = origin.clone();
            kept.push(found);
        }
        kept.iter().any(|given| given.endpoint == *endpoint)
    };
    match named {
        Endpoint::Unix(path) => Ok((!listens(named)).then(|| Missing::Unix(path.clone()))),
        Endpoint::Tcp { host, port } => {
            let addresses = resolve(named, host, *port).await?;
            let mut missing = addresses.clone();
            missing.retain(|address| !listens(&tcp_endpoint(*address)));
            let is_missing = !missing.is_empty() || addresses.is_empty();
            Ok(is_missing.then(|| Missing::Tcp { named: named.clone(), addresses, missing }))
        }
    }
}

/// Takes those out of `given` for which `is_it` holds.
fn take<T>(given: &mut Vec<Given<T>>, is_it: impl Fn(&Given<T>) -> bool) -> Vec<Given<T>> {
    given.extract_if(.., |given| is_it(given)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(origin: &str, endpoint: &str) -> Given<()> {
        let origin = match origin {
            "default" => Origin::Default,
            _ if origin.ends_with(".socket") => Origin::Passed(origin.to_owned()),
            _ => Origin::Named(origin.parse().unwrap()),
        };
        Given { origin, endpoint: endpoint.parse().unwrap(), listener: () }
    }

    /// What is kept, missing and dropped, as texts.
    async fn arranged(listen: &[&str], all: Vec<Given<()>>) -> [Vec<String>; 3] {
        let listen: Vec<Endpoint> = listen.iter().map(|text| text.parse().unwrap()).collect();
        let Arrangement { kept, missing, dropped } = arrange(&listen, all).await.unwrap();
        let endpoints = |list: Vec<Given<()>>| list.iter().map(|given| given.endpoint.to_string()).collect();
        let missing = missing.iter().flat_map(|missing| match missing {
            Missing::Default => vec!["default".to_owned()],
            Missing::Tcp { missing, .. } => missing.iter().map(ToString::to_string).collect(),
            Missing::Unix(path) => vec![path.display().to_string()],
        });
        [endpoints(kept), missing.collect(), endpoints(dropped)]
    }

    fn texts(lists: [&[&str]; 3]) -> [Vec<String>; 3] {
        lists.map(|list| list.iter().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn a_server_that_was_given_nothing_binds_what_it_is_told_or_the_default() {
        assert_eq!(arranged(&[], vec![]).await, texts([&[], &["default"], &[]]));
        let listen = ["127.0.0.1:1", "unix:/s/s"];
        assert_eq!(arranged(&listen, vec![]).await, texts([&[], &["127.0.0.1:1", "/s/s"], &[]]));
    }

    #[tokio::test]
    async fn what_a_service_manager_has_bound_takes_the_place_of_the_default() {
        let passed = || given("telexd.socket", "0.0.0.0:9000");
        assert_eq!(arranged(&[], vec![passed()]).await, texts([&["0.0.0.0:9000"], &[], &[]]));
        let listen = ["127.0.0.1:1", "0.0.0.0:9000"];
        let expected = texts([&["0.0.0.0:9000"], &["127.0.0.1:1"], &[]]);
        assert_eq!(arranged(&listen, vec![passed()]).await, expected);
    }

    #[tokio::test]
    async fn what_is_still_asked_for_is_kept_and_what_is_not_is_closed() {
        let before = || vec![given("127.0.0.1:0", "127.0.0.1:40001"), given("127.0.0.1:7", "127.0.0.1:7")];
        let listen = ["127.0.0.1:0", "127.0.0.1:8"];
        let expected = texts([&["127.0.0.1:40001"], &["127.0.0.1:8"], &["127.0.0.1:7"]]);
        assert_eq!(arranged(&listen, before()).await, expected);
        // The same place by another name.
        let expected = texts([&["127.0.0.1:40001"], &[], &["127.0.0.1:7"]]);
        assert_eq!(arranged(&["127.0.0.1:40001"], before()).await, expected);
        let default = || vec![given("default", "127.0.0.1:9000"), given("default", "unix:/s/s")];
        let expected = texts([&["127.0.0.1:9000", "unix:/s/s"], &[], &[]]);
        assert_eq!(arranged(&[], default()).await, expected);
        let expected = texts([&["unix:/s/s"], &[], &["127.0.0.1:9000"]]);
        assert_eq!(arranged(&["unix:/s/s"], default()).await, expected);
    }
}

//! Listeners that a service manager has bound, and passes on by their numbers (sd_listen_fds(3)).

use std::os::fd::RawFd;

use crate::error::StartError;
use crate::inherited::{FIRST, Inherited};
use crate::listener::{Adopted, Origin, Unusable};

/// Most descriptors that are taken: a server has 64 addresses at most.
const MOST: RawFd = 256;

/// What a descriptor is called that has no name (sd_listen_fds_with_names(3)).
const NAMELESS: &str = "unknown";

/// The listeners that were passed on to this process; `variable` looks up its environment.
///
/// # Errors
/// [`StartError::Passed`] for a descriptor that is no listener; [`StartError::PassedCount`].
pub(crate) fn passed(
    inherited: &mut Inherited,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Adopted>, StartError> {
    announced(std::process::id(), variable)?.into_iter().map(|passed| passed.take(inherited)).collect()
}

/// A descriptor that was announced.
#[derive(Debug, PartialEq, Eq)]
struct Announced {
    number: RawFd,
    name: String,
}

impl Announced {
    fn take(self, inherited: &mut Inherited) -> Result<Adopted, StartError> {
        let Self { number, name } = self;
        let origin = Origin::of_name(&name);
        let taken = inherited.take(number).map_err(Unusable::Unknown);
        let adopted = taken.and_then(|descriptor| Adopted::new(origin, descriptor, None));
        adopted.map_err(|reason| StartError::Passed { number, name, reason })
    }
}

/// What the environment announces to the process `own`. What is for another process, which has passed its environment on, is
/// nothing.
fn announced(own: u32, variable: impl Fn(&str) -> Option<String>) -> Result<Vec<Announced>, StartError> {
    let is_for_us = variable("LISTEN_PID").and_then(|text| text.parse().ok()) == Some(own);
    let Some(count) = variable("LISTEN_FDS").filter(|_| is_for_us) else { return Ok(Vec::new()) };
    let number = count.parse().ok().filter(|number| (0..=MOST).contains(number));
    let number: RawFd = number.ok_or(StartError::PassedCount(count))?;
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    // Fewer or more names than descriptors are no names: nobody knows whose they are.
    let is_named = usize::try_from(number) == Ok(names.len());
    let names = names.into_iter().map(|name| if is_named && !name.is_empty() { name } else { NAMELESS });
    let names = names.chain(std::iter::repeat(NAMELESS));
    let numbers = FIRST..FIRST + number;
    Ok(numbers.zip(names).map(|(number, name)| Announced { number, name: name.to_owned() }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Vec<(RawFd, String)>, StartError> {
        let find = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
        };
        Ok(announced(7, find)?.into_iter().map(|Announced { number, name }| (number, name)).collect())
    }

    #[test]
    fn each_has_its_number_and_its_name() {
        let variables = [("LISTEN_PID", "7"), ("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "a.socket:b")];
        assert_eq!(of(&variables).unwrap(), [(3, "a.socket".to_owned()), (4, "b".to_owned())]);
        for names in ["a", "a:b:c", ""] {
            let variables = [("LISTEN_PID", "7"), ("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", names)];
            let nameless = [(3, NAMELESS.to_owned()), (4, NAMELESS.to_owned())];
            assert_eq!(of(&variables).unwrap(), nameless, "{names:?}");
        }
        assert_eq!(of(&[("LISTEN_PID", "7"), ("LISTEN_FDS", "1")]).unwrap().len(), 1);
        assert!(of(&[("LISTEN_PID", "7"), ("LISTEN_FDS", "0")]).unwrap().is_empty());
    }

    #[test]
    fn what_is_meant_for_another_process_is_nothing() {
        for variables in [
            &[][..],
            &[("LISTEN_FDS", "1")],
            &[("LISTEN_PID", "8"), ("LISTEN_FDS", "1")],
            &[("LISTEN_PID", "/leaked"), ("LISTEN_FDS", "/leaked")],
            &[("LISTEN_PID", "7")],
        ] {
            assert!(of(variables).unwrap().is_empty(), "{variables:?}");
        }
    }

    #[test]
    fn a_count_that_is_none_is_an_error() {
        for count in ["", "-1", "x", "257", "99999999999999999999"] {
            let refused = of(&[("LISTEN_PID", "7"), ("LISTEN_FDS", count)]);
            assert!(matches!(refused, Err(StartError::PassedCount(text)) if text == count));
        }
    }
}

//! What somebody who mistyped a name may have meant.

/// How many letters a name may be off and still be what was meant.
const SLIPS: usize = 2;

/// The candidate nearest to `name`, if one is near enough. One that begins with `name` is nearer than any other: whoever
/// wrote that had only not finished.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = candidates.map(|candidate| {
        let distance = strsim::osa_distance(name, candidate);
        (!is_begun(name, candidate), distance, candidate)
    });
    // A name that is all slips is another name.
    let near = near.filter(|(other, distance, candidate)| {
        !other || (*distance <= SLIPS && candidate.len() > 2 * distance)
    });
    near.min().map(|(_, _, candidate)| candidate)
}

/// Whether more than half of `candidate` is written. Less may be the beginning of many things.
fn is_begun(name: &str, candidate: &str) -> bool {
    candidate.starts_with(name) && candidate.len() < 2 * name.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_slips_is_recognised_and_another_name_is_not() {
        let nearest = |name| nearest(name, ["listen", "level", "to"].into_iter());
        assert_eq!(nearest("lisen"), Some("listen"));
        assert_eq!(nearest("lsiten"), Some("listen"));
        assert_eq!(nearest("levle"), Some("level"));
        assert_eq!(nearest("no"), None);
        assert_eq!(nearest("address"), None);
    }

    #[test]
    fn a_name_that_was_only_begun_is_preferred() {
        let nearest = |name| nearest(name, ["--agent", "--identity", "--id"].into_iter());
        assert_eq!(nearest("--ident"), Some("--identity"));
        assert_eq!(nearest("--i"), Some("--id"));
        assert_eq!(nearest("--agnt"), Some("--agent"));
        assert_eq!(nearest("--"), None);
        assert_eq!(nearest(""), None);
    }
}

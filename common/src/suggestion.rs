//! What somebody who mistyped a name may have meant.

/// How many letters a name may be off and still be what was meant.
const SLIPS: usize = 2;

/// The candidate nearest to `name`, if one is near enough.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = candidates.map(|candidate| (strsim::osa_distance(name, candidate), candidate));
    // A name that is all slips is another name.
    let near = near.filter(|(distance, candidate)| *distance <= SLIPS && candidate.len() > 2 * distance);
    near.min().map(|(_, candidate)| candidate)
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
}

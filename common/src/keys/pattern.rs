//! Patterns with wildcards, and comma-separated lists of patterns in which `!` excludes (ssh_config(5), PATTERNS).
//!
//! Compares text with text; what is compared is for the caller.

/// Whether `pattern`, in which `*` stands for any bytes and `?` for any one, is `text` as a whole.
///
/// Needs at most the product of the two lengths in steps, whatever the pattern.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.as_bytes(), text.as_bytes());
    // Only the last asterisk has to be tried again: what an earlier one could take in addition, the last one can.
    let mut last_asterisk = None;
    loop {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => return true,
            (Some((b'*', behind)), _) => {
                last_asterisk = Some((behind, text));
                pattern = behind;
            }
            (Some((wanted, behind)), Some((found, rest))) if *wanted == b'?' || wanted == found => {
                (pattern, text) = (behind, rest);
            }
            _ => {
                let Some((behind, [_, rest @ ..])) = last_asterisk else { return false };
                last_asterisk = Some((behind, rest));
                (pattern, text) = (behind, rest);
            }
        }
    }
}

/// The items of a list, each with whether it excludes.
pub(super) fn items(list: &str) -> impl Iterator<Item = (bool, &str)> {
    list.split(',').map(|item| item.strip_prefix('!').map_or((false, item), |pattern| (true, pattern)))
}

/// Whether a list lets something in: one of its items matches, and none of those that exclude does. So a list that
/// only excludes lets nothing in.
pub(super) fn admits<P>(items: impl Iterator<Item = (bool, P)>, matches: impl Fn(P) -> bool) -> bool {
    let mut is_admitted = false;
    for (excludes, pattern) in items {
        if matches(pattern) {
            if excludes {
                return false;
            }
            is_admitted = true;
        }
    }
    is_admitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_any_text_and_any_byte() {
        let table = [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "abc", true),
            ("?", "", false),
            ("?", "ab", false),
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("*ab*ab", "abcabdab", true),
            ("*ab*ab", "ab", false),
            ("a?c*", "abc", true),
            ("*.example", "db.example", true),
            ("*.example", ".example.", false),
            ("a*?", "a", false),
            ("A", "a", false),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_asterisks_cost_no_more_than_the_product_of_the_lengths() {
        // With an asterisk tried again inside another, this would outlast the universe.
        let pattern = "*a".repeat(2000) + "b";
        assert!(!matches(&pattern, &"a".repeat(4000)));
    }

    #[test]
    fn an_item_that_excludes_wins_wherever_it_stands() {
        let admits = |list: &str, text: &str| admits(items(list), |pattern| matches(pattern, text));
        let table = [
            ("a,b", "b", true),
            ("a,!b", "b", false),
            ("!b,*", "b", false),
            ("*,!b", "b", false),
            ("*,!b", "c", true),
            ("!b", "c", false),
            ("", "c", false),
            ("!!b,*", "b", true),
        ];
        for (list, text, expected) in table {
            assert_eq!(admits(list, text), expected, "{list} {text}");
        }
    }
}

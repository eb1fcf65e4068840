//! The names that the session's shell knows, put together from what it says one by one. Pure; believes no name to be one.

/// Most bytes of all of them; what is more is left out.
const ALL: usize = 1024 * 1024;

/// Names of things that can be written in a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Where programs are looked for (`$PATH`).
    pub(crate) path: Vec<u8>,
    /// Functions, aliases, builtins and reserved words.
    pub(crate) commands: Vec<String>,
    /// Variables, exported or not.
    pub(crate) variables: Vec<String>,
    bytes: usize,
}

impl Names {
    /// Takes one, in front of which stands what it is; whether it was the end of them.
    pub(super) fn take(&mut self, said: &[u8]) -> bool {
        let Some((kind, name)) = said.split_first() else { return false };
        if *kind == b'P' {
            name.clone_into(&mut self.path);
        }
        self.bytes += name.len();
        if let Some(name) = str::from_utf8(name).ok().filter(|name| !is_ours(name) && self.bytes <= ALL) {
            match kind {
                b'C' => self.commands.push(name.to_owned()),
                b'V' => self.variables.push(name.to_owned()),
                _ => {}
            }
        }
        *kind == b'E'
    }
}

/// Whether `start.sh` has brought it.
fn is_ours(name: &str) -> bool {
    name.starts_with("__telex_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_each_kind() {
        let mut names = Names::default();
        for said in [&b"P/bin:/usr/bin"[..], b"Cll", b"VHOME", b"C__telex_say", b"V\xff", b"Xwhat", b""] {
            assert!(!names.take(said));
        }
        assert!(names.take(b"E"));
        assert_eq!(names.path, b"/bin:/usr/bin");
        assert_eq!(names.commands, ["ll"]);
        assert_eq!(names.variables, ["HOME"]);
    }

    #[test]
    fn what_is_too_much_is_left_out() {
        let mut names = Names::default();
        let long = format!("V{}", "x".repeat(60_000));
        for _ in 0..100 {
            names.take(long.as_bytes());
        }
        assert!(names.variables.len() < 20);
    }
}

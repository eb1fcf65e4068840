//! The bar that says on somebody else's screen that the line is down: what to write so that it is there, and so that it is gone.
//!
//! Pure. The cursor stays where the command has it. Where a full-screen program has the other screen, the last row is taken, which
//! the program paints anew afterwards; elsewhere the row below the cursor, which is made if there is none.

use std::io::{self, Write};

use common::escape::escape;

/// Cursor, colours and letters kept, and the latter as usual; [`BACK`] restores them (DECSC, DECRC).
const KEEP: &str = "\x1b7\x1b[m\x0f\x1b(B";

/// Rows are counted from the top of the screen, and the cursor is there (DECOM); restored as well.
const FROM_TOP: &str = "\x1b[?6l";

const BACK: &str = "\x1b8";

/// A bar that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bar {
    /// In this row, the first is 1.
    Row(u16),
    /// In the one below the cursor.
    Below,
}

impl Bar {
    /// Where it belongs on a screen of so many rows.
    pub(super) fn place(on_other_screen: bool, rows: u16) -> Self {
        if on_other_screen { Self::Row(rows.max(1)) } else { Self::Below }
    }

    /// Makes room for it, before it is drawn for the first time.
    pub(super) fn room(self) -> &'static str {
        match self {
            Self::Row(_) => "",
            // Scrolls if this is the last row; the cursor is in its own again.
            Self::Below => "\n\x1b[A",
        }
    }

    /// Draws it, in place of what was drawn before, cut to the width.
    pub(super) fn draw(self, line: &str, columns: u16) -> String {
        // The last column is left free, where some would wrap the line.
        let width = usize::from(columns.max(2)) - 1;
        let line: String = escape(line).chars().take(width).collect();
        match self {
            Self::Row(row) => format!("{KEEP}{FROM_TOP}\x1b[{row};1H\x1b[7m{line:width$}\x1b[m\x1b[K{BACK}"),
            Self::Below => format!("{KEEP}\r\n{line}\x1b[K{BACK}"),
        }
    }

    /// Clears where it was. Allocates nothing.
    ///
    /// # Errors
    /// Those of `to`.
    pub(super) fn clear(self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Row(row) => write!(to, "{KEEP}{FROM_TOP}\x1b[{row};1H\x1b[2K{BACK}"),
            Self::Below => write!(to, "{KEEP}\r\n\x1b[K{BACK}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_wide_as_the_screen_at_most_and_nothing_in_it_is_carried_out() {
        let drawn = Bar::place(true, 24).draw("down\x1b[2J for long", 10);
        assert!(
            drawn.starts_with("\x1b7") && drawn.ends_with("\x1b8") && !drawn.contains("[2J"),
            "{drawn:?}"
        );
        assert!(drawn.contains("\x1b[24;1H\x1b[7mdown"), "{drawn:?}");
        let text = drawn.split("\x1b[7m").nth(1).and_then(|rest| rest.split('\x1b').next());
        assert_eq!(text.map(|text| text.chars().count()), Some(9), "{drawn:?}");
        for columns in [0, 1, 2] {
            Bar::place(false, 0).draw("down", columns);
        }
        assert_eq!(Bar::place(false, 24).room(), "\n\x1b[A");
    }
}

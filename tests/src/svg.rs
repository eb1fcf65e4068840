//! A screen as a picture: what is on it, in its colours, in the frame of a window. Draws, and decides nothing about what is shown.

use std::fmt::Write;

use vt100::{Cell, Color, Screen};

/// Points that a character takes, and a line; around it all; the bar on top.
const WIDTH: f32 = 8.4;
const HEIGHT: u16 = 18;
const MARGIN: u16 = 16;
const BAR: u16 = 28;

const GROUND: &str = "#1d1f21";
const TEXT: &str = "#d0d0d0";
const COLOURS: [&str; 16] = [
    "#1d1f21", "#e06c75", "#8cc265", "#d5b06b", "#6aa6e8", "#c183d6", "#5ab5b5", "#d0d0d0", "#7f8490",
    "#ff7b85", "#a5e075", "#f0c674", "#8abeff", "#d7a3e8", "#70d0d0", "#ffffff",
];

/// The picture. The same screen makes the same one.
pub fn picture(screen: &Screen) -> String {
    let (_, columns) = screen.size();
    let columns = columns.get();
    let rows: Vec<_> = screen.rows(0, columns).collect();
    let used = rows.iter().rposition(|row| !row.trim_end().is_empty()).map_or(1, |last| last + 1);
    let used = u16::try_from(used).unwrap();
    let (width, height) = (f32::from(columns) * WIDTH + f32::from(2 * MARGIN), BAR + used * HEIGHT + MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height}\" font-size=\"14\" \
         font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{GROUND}\"/>\n"
    );
    for (place, colour) in [(18, 1), (36, 3), (54, 2)] {
        writeln!(svg, "<circle cx=\"{place}\" cy=\"15\" r=\"5\" fill=\"{}\"/>", COLOURS[colour]).unwrap();
    }
    for row in 0..used {
        let y = BAR + (row + 1) * HEIGHT - 4;
        write!(svg, "<text y=\"{y}\" fill=\"{TEXT}\" xml:space=\"preserve\">").unwrap();
        let cells: Vec<_> =
            (0..columns).filter_map(|column| Some((column, screen.cell(row, column)?))).collect();
        for run in cells.chunk_by(|(_, one), (_, other)| style(one) == style(other)) {
            let text: String = run.iter().map(|(_, cell)| shown(cell)).collect();
            if !text.trim().is_empty() {
                let x = f32::from(MARGIN) + f32::from(run[0].0) * WIDTH;
                let (style, text) = (style(run[0].1), escape(text.trim_end()));
                write!(svg, "<tspan x=\"{x:.1}\"{style}>{text}</tspan>").unwrap();
            }
        }
        svg.push_str("</text>\n");
    }
    svg + "</svg>\n"
}

fn shown(cell: &Cell) -> &str {
    match cell.contents() {
        "" if cell.is_wide_continuation() => "",
        "" => " ",
        text => text,
    }
}

fn style(cell: &Cell) -> String {
    let mut style = String::new();
    if let Color::Idx(colour @ 0..16) = cell.fgcolor() {
        write!(style, " fill=\"{}\"", COLOURS[usize::from(colour)]).unwrap();
    }
    if cell.bold() {
        style.push_str(" font-weight=\"bold\"");
    }
    if cell.dim() {
        style.push_str(" opacity=\"0.6\"");
    }
    style
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

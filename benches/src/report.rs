//! The tables on stdout, and which goals were met.

use std::fmt::Write;

use anyhow::Error;

use crate::goal::Goal;

/// Width of a row's name, and of a number.
const NAME: usize = 44;
const NUMBER: usize = 11;

/// Everything that has been said so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    goals: Vec<(String, Goal)>,
    failures: Vec<String>,
}

/// A measurement's results.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    columns: &'static [&'static str],
    rows: Vec<(String, Vec<String>, Vec<Goal>)>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, columns: &'static [&'static str]) -> Self {
        Self { title: title.into(), columns, rows: Vec::new() }
    }

    /// A row; what was not measured (NaN) is shown as a dash.
    pub(crate) fn row(
        &mut self,
        name: impl Into<String>,
        numbers: &[f64],
        goals: impl IntoIterator<Item = Goal>,
    ) {
        let numbers = numbers.iter().map(|number| cell(*number)).collect();
        self.rows.push((name.into(), numbers, goals.into_iter().collect()));
    }

    fn text(&self) -> String {
        let mut text = format!("\n{:<NAME$}", self.title);
        let put = |text: &mut String, cell: &str| write!(text, "{cell:>NUMBER$}").is_ok();
        self.columns.iter().all(|column| put(&mut text, column));
        for (name, numbers, goals) in &self.rows {
            text.push_str(&format!("\n  {name:<0$}", NAME - 2));
            numbers.iter().all(|number| put(&mut text, number));
            let goals: Vec<_> = goals.iter().map(Goal::sentence).collect();
            text.push_str(if goals.is_empty() { "" } else { "   " });
            text.push_str(&goals.join("; "));
        }
        text
    }
}

impl Report {
    pub(crate) fn note(&self, text: &str) {
        println!("{text}");
    }

    /// Prints a table and keeps its goals for the summary.
    pub(crate) fn table(&mut self, table: Table) {
        println!("{}", table.text());
        for (name, _, goals) in table.rows {
            self.goals.extend(goals.into_iter().map(|goal| (format!("{}: {name}", table.title), goal)));
        }
    }

    pub(crate) fn failed(&mut self, what: &str, error: &Error) {
        println!("\n{what} could not be measured: {error:#}");
        self.failures.push(what.to_owned());
    }

    /// The goals once more, one line each.
    pub(crate) fn summarise(&self) {
        println!();
        for (name, goal) in &self.goals {
            println!("{name}: {}", goal.sentence());
        }
    }

    pub(crate) fn all_measured(&self) -> bool {
        self.failures.is_empty()
    }

    pub(crate) fn all_met(&self) -> bool {
        self.all_measured() && self.goals.iter().all(|(_, goal)| goal.is_met())
    }
}

/// Three figures that matter, whatever the size.
fn cell(number: f64) -> String {
    match number {
        _ if number.is_nan() => "-".to_owned(),
        _ if number.abs() >= 100.0 => format!("{number:.0}"),
        _ if number.abs() >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

//! Lines typed before: each once, by its last use, of one server. Where they are kept is up to `file`.

mod file;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use reedline::{
    CommandLineSearch, History, HistoryItem, HistoryItemId, HistorySessionId, ReedlineError,
    ReedlineErrorVariants, SearchDirection, SearchQuery,
};

use self::file::HistoryFile;

/// Most lines that are remembered.
const REMEMBERED: usize = 10_000;

/// Longest line that is remembered, in bytes.
const LONGEST: usize = 64 * 1024;

/// What was typed, the last at the end.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    entries: BTreeMap<i64, Arc<str>>,
    ids: HashMap<Arc<str>, i64>,
    next: i64,
    /// Without one, lines are remembered until the end only.
    file: Option<HistoryFile>,
}

impl Remembered {
    /// What was typed for the server that the user calls `host`, if there is a place for it.
    pub(crate) fn of_host(host: &str) -> Self {
        let Some((file, lines)) = HistoryFile::of_host(host) else { return Self::in_memory() };
        let mut remembered = Self { file: Some(file), ..Self::default() };
        for line in &lines {
            remembered.add(line);
        }
        remembered
    }

    /// Nothing, and nothing stays.
    pub(crate) fn in_memory() -> Self {
        Self::default()
    }

    fn add(&mut self, line: &str) -> i64 {
        let line: Arc<str> = line.into();
        let id = self.next;
        self.next += 1;
        if let Some(before) = self.ids.insert(Arc::clone(&line), id) {
            self.entries.remove(&before);
        }
        self.entries.insert(id, line);
        while self.entries.len() > REMEMBERED {
            if let Some((_, oldest)) = self.entries.pop_first() {
                self.ids.remove(&oldest);
            }
        }
        id
    }
}

/// Whether `line` is worth a place: there is something in it, and nothing that a terminal would obey.
fn is_kept(line: &str) -> bool {
    let is_control = |c: char| c.is_control() && c != '\n' && c != '\t';
    !line.trim().is_empty() && line.len() <= LONGEST && !line.contains(is_control)
}

impl History for Remembered {
    fn save(&mut self, mut item: HistoryItem) -> reedline::Result<HistoryItem> {
        if is_kept(&item.command_line) {
            item.id = Some(HistoryItemId::new(self.add(&item.command_line)));
            // A history that cannot be written now may be the next time; it is no reason to lose the line.
            self.file.as_ref().map(|file| file.append(&item.command_line));
        }
        Ok(item)
    }

    fn load(&self, id: HistoryItemId) -> reedline::Result<HistoryItem> {
        let line = self.entries.get(&id.0);
        line.map(|line| item(id.0, line)).ok_or_else(|| other("there is no such line"))
    }

    fn count(&self, query: SearchQuery) -> reedline::Result<i64> {
        Ok(i64::try_from(self.search(query)?.len()).unwrap_or(i64::MAX))
    }

    fn search(&self, query: SearchQuery) -> reedline::Result<Vec<HistoryItem>> {
        let is_backward = matches!(query.direction, SearchDirection::Backward);
        let bound = |id: Option<HistoryItemId>| id.map_or(Bound::Unbounded, |id| Bound::Excluded(id.0));
        let (first, last) =
            if is_backward { (query.end_id, query.start_id) } else { (query.start_id, query.end_id) };
        if let (Some(first), Some(last)) = (first, last)
            && first >= last
        {
            return Ok(Vec::new());
        }
        let limit = query.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(0));
        let is_wanted = |line: &str| match &query.filter.command_line {
            Some(CommandLineSearch::Prefix(text)) => line.starts_with(text),
            Some(CommandLineSearch::Substring(text)) => line.contains(text),
            Some(CommandLineSearch::Exact(text)) => line == text,
            None => true,
        };
        let found = self.entries.range((bound(first), bound(last)));
        let found = found.filter(|(_, line)| is_wanted(line)).map(|(id, line)| item(*id, line));
        Ok(if is_backward { found.rev().take(limit).collect() } else { found.take(limit).collect() })
    }

    fn update(
        &mut self,
        _id: HistoryItemId,
        _updater: &dyn Fn(HistoryItem) -> HistoryItem,
    ) -> reedline::Result<()> {
        Err(other("lines have nothing to be changed"))
    }

    fn clear(&mut self) -> reedline::Result<()> {
        Err(other("the history is removed by removing its file"))
    }

    fn delete(&mut self, _id: HistoryItemId) -> reedline::Result<()> {
        Err(other("lines are removed in the file"))
    }

    fn sync(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    fn session(&self) -> Option<HistorySessionId> {
        None
    }
}

fn item(id: i64, line: &str) -> HistoryItem {
    let mut item = HistoryItem::from_command_line(line);
    item.id = Some(HistoryItemId::new(id));
    item
}

fn other(reason: &'static str) -> ReedlineError {
    ReedlineError(ReedlineErrorVariants::OtherHistoryError(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered(lines: &[&str]) -> Remembered {
        let mut history = Remembered::in_memory();
        for line in lines {
            history.save(HistoryItem::from_command_line(*line)).unwrap();
        }
        history
    }

    fn lines(found: Vec<HistoryItem>) -> Vec<String> {
        found.into_iter().map(|item| item.command_line).collect()
    }

    fn all(history: &Remembered) -> Vec<String> {
        lines(history.search(SearchQuery::everything(SearchDirection::Forward, None)).unwrap())
    }

    #[test]
    fn a_line_is_there_once_by_its_last_use() {
        let history = remembered(&["a", "b", "a", "c", "c"]);
        assert_eq!(all(&history), ["b", "a", "c"]);
        assert_eq!(history.count_all().unwrap(), 3);
    }

    #[test]
    fn what_is_empty_or_would_be_obeyed_is_not_kept() {
        assert_eq!(all(&remembered(&["a\x1b[2J", "  ", "b\nc\td"])), ["b\nc\td"]);
        assert_eq!(all(&remembered(&[&"x".repeat(LONGEST + 1)])), [""; 0]);
    }

    #[test]
    fn it_has_a_size() {
        let mut history = Remembered::in_memory();
        for number in 0..REMEMBERED + 5 {
            history.add(&number.to_string());
        }
        assert_eq!((history.entries.len(), history.ids.len()), (REMEMBERED, REMEMBERED));
        assert_eq!(all(&history)[0], "5");
    }

    #[test]
    fn one_goes_back_from_line_to_line() {
        let history = remembered(&["git a", "ls", "git b"]);
        let mut seen = Vec::new();
        let mut from = None;
        loop {
            let query = SearchQuery {
                start_id: from,
                limit: Some(1),
                ..SearchQuery::all_that_contain_rev("git".to_owned())
            };
            let Some(found) = history.search(query).unwrap().pop() else { break };
            from = found.id;
            seen.push(found.command_line);
        }
        assert_eq!(seen, ["git b", "git a"]);
        let query = SearchQuery { start_id: from, ..SearchQuery::everything(SearchDirection::Forward, None) };
        assert_eq!(lines(history.search(query).unwrap()), ["ls", "git b"]);
        assert_eq!(history.load(from.unwrap()).unwrap().command_line, "git a");
    }
}

//! The table of events in `docs/config.md` is what is recorded.

use std::collections::BTreeSet;

use super::samples::Samples;
use super::*;

/// The words in code style of a piece of the page.
fn code_words(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The fields of these records, and the words that the promised ones of them can be.
fn fields_and_words(records: &[Json]) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let fields = records.iter().flat_map(|record| record.as_object().unwrap().keys()).map(String::as_str);
    let word = |record: &'static str| records.iter().filter_map(move |json| json[record].as_str());
    let words = ["state", "transport", "result", "outcome", "action"].into_iter().flat_map(word);
    (fields.collect(), words.collect())
}

#[test]
fn the_page_for_operators_has_every_event_with_its_fields() {
    let page = include_str!("../../../../docs/config.md");
    let (before, table) = page.split_once("| `event` | fields |\n").unwrap();
    let common = code_words(before.rsplit("\n\n").nth(1).unwrap());
    assert_eq!(common, BTreeSet::from(["time", "monotonic_ms", "instance", "event"]));
    let table = table.split("\n\n").next().unwrap();
    let rows: Vec<(&str, &str)> =
        table.lines().skip(1).map(|row| row.trim_start_matches("| `").split_once("` | ").unwrap()).collect();

    let samples = Samples::of(b"x");
    let lines =
        samples.events().into_iter().map(|event| event.line(Stamp::now(), true).into_bytes().unwrap());
    let records: Vec<Json> = lines.map(|line| serde_json::from_slice(&line).unwrap()).collect();
    let kinds: Vec<&[Json]> = records.chunk_by(|one, next| one["event"] == next["event"]).collect();
    let names: Vec<&str> = kinds.iter().map(|kind| kind[0]["event"].as_str().unwrap()).collect();
    assert_eq!(rows.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);

    let all_words = code_words(table);
    for (kind, (name, row)) in kinds.into_iter().zip(rows) {
        let (fields, words) = fields_and_words(kind);
        // Samples have as many words as there can be.
        let own = &(&fields - &common) - &BTreeSet::from(["truncated"]);
        let said = code_words(row);
        assert!(said.is_superset(&own), "{name}: {:?} is missing", &own - &said);
        // The words of a field stand where it comes first.
        assert!(all_words.is_superset(&words), "{name}: {:?} is missing", &words - &all_words);
        let examples = BTreeSet::from(["--json", "SHA256:…", "uid 1000"]);
        let known = &(&own | &words) | &examples;
        assert!(known.is_superset(&said), "{name}: there is no {:?}", &said - &known);
        assert!(kind.iter().all(|record| common.iter().all(|field| record.get(field).is_some())), "{name}");
    }
}

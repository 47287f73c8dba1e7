//! Which part of a text is looked up.

use std::collections::HashMap;

/// Characters of a part: as many as tell most texts apart.
const LENGTH: usize = 8;
/// Characters of an entry of the index.
const ENTRY: usize = 3;

type Entry = [char; ENTRY];

/// Whether a text is looked up as a whole.
pub(super) fn is_short(text: &str) -> bool {
    text.chars().count() <= LENGTH
}

/// The part of a text that the fewest of some texts have; among such, the one whose entries are the rarest in them.
pub(super) fn rarest<'a>(text: &'a str, samples: &[&str]) -> &'a str {
    let mut counts: HashMap<Entry, u32> = entries(text).map(|entry| (entry, 0)).collect();
    for entry in samples.iter().copied().flat_map(entries) {
        if let Some(count) = counts.get_mut(&entry) {
            *count += 1;
        }
    }
    let parts = parts(text).map(|part| {
        let texts = samples.iter().filter(|sample| sample.contains(part));
        let sizes = entries(part).map(|entry| f64::from(counts[&entry] + 1).ln());
        (texts.count(), sizes.sum::<f64>(), part)
    });
    let rarest = parts.min_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    rarest.map_or(text, |(_, _, part)| part)
}

/// All parts of a text that is not short.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.char_indices().map(|(at, _)| at);
    let ends = starts.clone().chain([text.len()]).skip(LENGTH);
    starts.zip(ends).map(|(start, end)| &text[start..end])
}

/// A query for texts that have all entries of a part (<https://www.sqlite.org/fts5.html#full_text_query_syntax>).
pub(super) fn all_of(part: &str) -> String {
    let entries = entries(part).map(|entry| {
        let entry: String = entry.iter().collect();
        format!("\"{}\"", entry.replace('"', "\"\""))
    });
    entries.collect::<Vec<_>>().join(" AND ")
}

fn entries(text: &str) -> impl Iterator<Item = Entry> {
    let mut chars = text.chars();
    let mut last = [chars.next(), chars.next()];
    chars.filter_map(move |next| {
        let entry = [last[0]?, last[1]?, next];
        last = [last[1], Some(next)];
        Some(entry)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rarest_part_is_looked_up() {
        let samples = [
            "bad value for restricted picklist field: gold",
            "bad value: gold",
        ];
        let rarest = |text| rarest(text, &samples);
        assert_eq!(rarest("gold"), "gold");
        assert_eq!(rarest("bad value: platinum"), ": platin");
        assert_eq!(rarest("überlänge: bad value"), "überläng");
        assert_eq!(rarest("picklist field: zinc"), "ld: zinc");
        assert_eq!(rarest("-- -- -- --"), "-- -- --");
    }

    #[test]
    fn a_query_holds_all_entries() {
        assert_eq!(all_of("a\"b%"), "\"a\"\"b\" AND \"\"\"b%\"");
        assert_eq!(all_of("größe"), "\"grö\" AND \"röß\" AND \"öße\"");
    }
}

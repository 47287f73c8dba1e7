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

/// The part of a text whose entries are the rarest in some texts.
pub(super) fn rarest<'a>(text: &'a str, samples: impl Iterator<Item = &'a str>) -> &'a str {
    if is_short(text) {
        return text;
    }
    let mut counts: HashMap<Entry, u32> = entries(text).map(|entry| (entry, 0)).collect();
    for entry in samples.flat_map(entries) {
        if let Some(count) = counts.get_mut(&entry) {
            *count += 1;
        }
    }
    let sizes: Vec<f64> = entries(text)
        .map(|entry| match entry.iter().all(|c| c.is_alphanumeric()) {
            true => f64::from(counts[&entry] + 1).ln(),
            // PostgreSQL's index has letters and digits only.
            false => f64::from(u16::MAX).ln(),
        })
        .collect();
    let of_part = LENGTH - ENTRY + 1;
    let sums = sizes
        .windows(of_part)
        .map(|sizes| sizes.iter().sum::<f64>());
    let least = sums.enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
    let start = least.map_or(0, |(start, _)| start);
    let at = |place: usize| {
        text.char_indices()
            .nth(place)
            .map_or(text.len(), |(at, _)| at)
    };
    &text[at(start)..at(start + LENGTH)]
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
        let samples = ["bad value for restricted picklist field", "bad value: gold"];
        let rarest = |text| rarest(text, samples.into_iter());
        assert_eq!(rarest("gold"), "gold");
        assert_eq!(rarest("bad value: platinum"), "platinum");
        assert_eq!(rarest("überlänge: bad value"), "überläng");
        // As good as any: it is verified anyway.
        assert_eq!(rarest("-- -- -- --"), "-- -- --");
    }

    #[test]
    fn a_query_holds_all_entries() {
        assert_eq!(all_of("a\"b%"), "\"a\"\"b\" AND \"\"\"b%\"");
        assert_eq!(all_of("größe"), "\"grö\" AND \"röß\" AND \"öße\"");
    }
}

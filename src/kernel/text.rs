//! Texts made comparable: one way to fold for search, one way to cut.

/// Folds a text for search: lower case, white space collapsed. Done here because SQLite folds ASCII only.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        if word.is_ascii() {
            let start = folded.len();
            folded.push_str(word);
            folded[start..].make_ascii_lowercase();
        } else {
            folded.extend(word.chars().flat_map(char::to_lowercase));
        }
    }
    folded
}

/// Folds several parts into one text to search in; absent parts are skipped.
pub fn fold_all<'a>(parts: impl IntoIterator<Item = Option<&'a str>>) -> String {
    let mut all = String::new();
    for part in parts.into_iter().flatten() {
        // A line feed keeps a search from matching across two parts: a folded search text has none.
        all.push_str(&fold(part));
        all.push('\n');
    }
    all
}

/// A pattern for `LIKE … ESCAPE '\'` that finds `search` anywhere in a folded text.
pub fn like_pattern(search: &str) -> String {
    let escaped = fold(search)
        .replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_");
    format!("%{escaped}%")
}

/// The first `characters` characters of a text.
pub fn cut(text: &str, characters: usize) -> &str {
    match text.char_indices().nth(characters) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// Replaces NUL, which PostgreSQL stores in no text, by the replacement character.
pub fn without_nul(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{FFFD}")
    } else {
        text
    }
}

//! Texts made comparable and fit to be shown: one way to fold for search, one way to cut, one way to be a line.

use std::borrow::Cow;

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

/// The first `characters` characters of a text, in place.
pub fn cut_in_place(text: &mut String, characters: usize) {
    text.truncate(cut(text, characters).len());
}

/// A text of at most `characters` characters; of a longer one its beginning, with an ellipsis.
pub fn shortened(text: &str, characters: usize) -> Cow<'_, str> {
    if cut(text, characters).len() == text.len() {
        return Cow::Borrowed(text);
    }
    let beginning = cut(text, characters.saturating_sub(1));
    Cow::Owned(format!("{}…", beginning.trim_end()))
}

/// A text for people as one line: without line feeds and other control characters, and [`undirected`].
pub fn one_line(text: &str) -> Cow<'_, str> {
    let is_out =
        |c: char| c.is_control() || is_directional(c) || matches!(c, '\u{2028}' | '\u{2029}');
    if !text.contains(is_out) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_whitespace() => {
                if !line.ends_with(' ') {
                    line.push(' ');
                }
            }
            c if is_out(c) => {}
            c => line.push(c),
        }
    }
    Cow::Owned(line)
}

/// A text without the characters that turn the direction of what stands around them, and so make a name or an address look
/// like another (<https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>).
pub fn undirected(text: String) -> String {
    if text.is_ascii() || !text.contains(is_directional) {
        return text;
    }
    text.replace(is_directional, "")
}

fn is_directional(c: char) -> bool {
    matches!(
        c,
        '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
    )
}

/// Replaces NUL, which PostgreSQL stores in no text, by the replacement character.
pub fn without_nul(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{FFFD}")
    } else {
        text
    }
}

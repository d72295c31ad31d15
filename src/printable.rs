//! Which characters a reader can see.
//!
//! In: text from the wire, or a file's name. Out: the same text with every character escaped that a terminal would act on or
//! a reader would not see. Promises: a text without such characters is not copied. Terminal output and JSON documents escape
//! the same characters.

use std::{borrow::Cow, fmt::Write};

/// Returns whether a character is neither a control character, nor invisible, nor changes the direction of what follows.
pub(crate) fn is_printable(character: char) -> bool {
    if character.is_control() {
        return false;
    }
    !matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Escapes what is not printable as `\u{202e}`. The text becomes one line.
pub fn printable(text: &str) -> Cow<'_, str> {
    // Writing into a string cannot fail.
    escaped_with(text, |shown, character| _ = write!(shown, "\\u{{{:x}}}", u32::from(character)))
}

/// Replaces each character that is not printable by what `escape` writes for it.
pub(crate) fn escaped_with(text: &str, escape: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if text.chars().all(is_printable) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_printable(character) {
            shown.push(character);
        } else {
            escape(&mut shown, character);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_escaped() {
        for (text, shown) in [
            ("plain text, größe, 日本, 👍", "plain text, größe, 日本, 👍"),
            ("a\nb\x1b[31m\x7f", "a\\u{a}b\\u{1b}[31m\\u{7f}"),
            ("\u{9b}31m\u{85}", "\\u{9b}31m\\u{85}"),
            ("gpj.\u{202e}exe\u{2066}", "gpj.\\u{202e}exe\\u{2066}"),
            ("a\u{200b}b\u{feff}c\u{ad}d", "a\\u{200b}b\\u{feff}c\\u{ad}d"),
            ("a\u{2028}b\u{e0041}", "a\\u{2028}b\\u{e0041}"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }
}

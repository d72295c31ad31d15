//! Text in columns of a terminal.
//!
//! In: printable text and a width. Out: lines of at most that width. Promises: no character is lost; a word that is longer than
//! a line is broken.

/// Returns how many columns a terminal takes for a text.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// East Asian wide characters and most emoji take two columns.
fn width(character: char) -> usize {
    let is_wide = matches!(
        u32::from(character),
        0x1100..=0x115f
            | 0x2e80..=0xa4cf
            | 0xac00..=0xd7a3
            | 0xf900..=0xfaff
            | 0xfe30..=0xfe6f
            | 0xff00..=0xff60
            | 0xffe0..=0xffe6
            | 0x1f300..=0x1faff
            | 0x20000..=0x3fffd
    );
    if is_wide { 2 } else { 1 }
}

/// The words of a text. A number with what it counts, as `3 × 404`, is one word.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match words.last_mut() {
            Some(last) if word == "×" || last.ends_with(" ×") => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// Breaks a text into lines at its spaces.
pub(super) fn wrapped(text: &str, most: usize) -> Vec<String> {
    let most = most.max(2);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in &words(text) {
        if !line.is_empty() && columns(&line) + 1 + columns(word) > most {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for character in word.chars() {
            if columns(&line) + width(character) > most {
                lines.push(std::mem::take(&mut line));
            }
            line.push(character);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// A text cut to a width. An ellipsis stands where something is missing.
pub(super) fn cut(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += width(character);
        if used > most {
            break;
        }
        shown.push(character);
    }
    shown.push('…');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_long_words_anywhere() {
        for (text, most, lines) in [
            ("one two three", 7, &["one two", "three"][..]),
            ("one  two", 80, &["one two"]),
            ("abcdefgh ij", 3, &["abc", "def", "gh", "ij"]),
            ("of 3 × 404, 3 × 502", 9, &["of", "3 × 404,", "3 × 502"]),
            ("", 5, &[]),
            ("日本語 日本", 6, &["日本語", "日本"]),
            ("日本語", 5, &["日本", "語"]),
        ] {
            assert_eq!(wrapped(text, most), lines, "{text}");
            assert!(wrapped(text, most).iter().all(|line| columns(line) <= most));
        }
        assert_eq!(["short", "much longer", "日本語日本語"].map(|text| cut(text, 6)), ["short", "much …", "日本…"]);
    }
}

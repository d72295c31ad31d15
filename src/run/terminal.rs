//! What is known of the terminal that people read on.
//!
//! In: whether text goes to a terminal, and the environment. Out: the [`Layout`] of text.

use std::env;

use crate::document::{Layout, USUAL_COLUMNS};

/// The narrowest and the widest text.
const COLUMNS: [usize; 2] = [60, 120];

/// The layout of text. Colours are for terminals alone, unless `NO_COLOR` is set or the terminal is said to be dumb.
pub(super) fn layout(is_terminal: bool) -> Layout {
    let variable = |name| env::var(name).ok().filter(|value: &String| !value.is_empty());
    if !is_terminal {
        return Layout::default();
    }
    Layout {
        columns: columns(variable("COLUMNS").as_deref()),
        colour: variable("NO_COLOR").is_none() && variable("TERM").is_some_and(|term| term != "dumb"),
    }
}

/// The width, where a shell exports it.
fn columns(word: Option<&str>) -> usize {
    let [least, most] = COLUMNS;
    word.and_then(|word| word.parse().ok()).map_or(USUAL_COLUMNS, |columns: usize| columns.clamp(least, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_is_the_usual_one_or_what_the_shell_says() {
        for (word, expected) in [(None, 80), (Some("100"), 100), (Some("7"), 60), (Some("9999"), 120), (Some("x"), 80)]
        {
            assert_eq!(columns(word), expected, "{word:?}");
        }
        assert_eq!(layout(false), Layout::default());
    }
}

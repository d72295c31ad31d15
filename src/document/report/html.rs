//! HTML whose structure stays the same, whatever text is put into it.
//!
//! In: markup of this program, and texts from anywhere. Out: a page. Promises: markup is part of the program
//! (`&'static str`); every other text is escaped, and its control characters and changes of direction are made visible.

use std::fmt::Display;

use crate::printable::printable;

/// A page as it grows.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Appends markup.
    pub(super) fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Appends text.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for character in printable(text).chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                character => self.0.push(character),
            }
        }
        self
    }

    /// Appends a text between two pieces of markup.
    pub(super) fn between(&mut self, before: &'static str, text: &str, after: &'static str) -> &mut Self {
        self.markup(before).text(text).markup(after)
    }

    /// Appends an attribute.
    pub(super) fn attribute(&mut self, name: &'static str, value: impl Display) -> &mut Self {
        self.markup(" ").markup(name).markup("=\"").text(&value.to_string()).markup("\"")
    }

    /// Appends a table with a caption, a row of heads and rows of cells. Without rows there is no table.
    pub(super) fn table<const COLUMNS: usize>(
        &mut self,
        caption: &str,
        heads: [&str; COLUMNS],
        rows: impl Iterator<Item = [String; COLUMNS]>,
    ) {
        let mut rows = rows.peekable();
        if rows.peek().is_none() {
            return;
        }
        // A table that is wider than the window is scrolled, also by keyboard.
        self.markup("<div class=\"wide\" role=\"group\" tabindex=\"0\"").attribute("aria-label", caption).markup(">\n");
        self.between("<table>\n<caption>", caption, "</caption>\n<thead><tr>");
        for head in heads {
            self.between("<th scope=\"col\">", head, "</th>");
        }
        self.markup("</tr></thead>\n<tbody>\n");
        for row in rows {
            self.markup("<tr>");
            for cell in row {
                self.between("<td>", &cell, "</td>");
            }
            self.markup("</tr>\n");
        }
        self.markup("</tbody>\n</table>\n</div>\n");
    }

    /// Appends an entry of a list of descriptions. Without a text there is no entry.
    pub(super) fn described(&mut self, term: &'static str, text: Option<impl AsRef<str>>) {
        if let Some(text) = text.filter(|text| !text.as_ref().is_empty()) {
            self.markup("<dt>").markup(term).between("</dt><dd>", text.as_ref(), "</dd>\n");
        }
    }

    /// The page.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

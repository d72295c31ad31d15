//! Payloads: what an attack puts into a target.
//!
//! In: a decoded target in lower case. Out: the class of the payload in it. Promises: one pass over the target finds all marks;
//! a word that people search for is no payload.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::Telltale;

/// Marks of exploits of well-known weaknesses.
const EXPLOITS: &[&[u8]] = &[
    b"${jndi:",
    b"${${",
    b"() { :",
    b"%{(#",
    b"class.module.classloader",
    b"allow_url_include",
    b"auto_prepend_file",
    b"invokefunction",
    b"/bin/sh",
    b"/bin/bash",
    b"oast.",
    b"interact.sh",
    b"burpcollaborator",
    b"oastify.com",
];

/// Marks of steps out of the web root, and of files of the system.
const TRAVERSAL: &[&[u8]] = &[
    b"../",
    b"..\\",
    b"..;/",
    b"/etc/passwd",
    b"/etc/shadow",
    b"/etc/hosts",
    b"/proc/self",
    b"win.ini",
    b"boot.ini",
    b"system32",
    b"php://",
    b"file:///",
    b"data://text",
    b"expect://",
    b"phar://",
    b"zip://",
];

/// Marks of injection that no word of a language has.
const INJECTION: &[&[u8]] = &[
    b"union select",
    b"union all select",
    b"union distinct select",
    b"' or '",
    b"\" or \"",
    b"' or 1",
    b"' and '",
    b"or 1=1",
    b"or '1'='1",
    b"and 1=1",
    b"and 1=2",
    b"sleep(",
    b"benchmark(",
    b"waitfor delay",
    b"pg_sleep",
    b"extractvalue(",
    b"updatexml(",
    b"information_schema",
    b"xp_cmdshell",
    b"load_file(",
    b"into outfile",
    b"into dumpfile",
    b"order by 1",
    b"group by 1",
    b"' --",
    b"'--",
    b"') --",
    b"concat(0x",
    b"concat(",
    b"char(",
    b"chr(",
    b"dbms_pipe",
    b"randomblob(",
    b"||'",
    b"';",
    b"<script",
    b"</script",
    b"javascript:",
    b"onerror=",
    b"onload=",
    b"onmouseover=",
    b"onfocus=",
    b"<svg",
    b"<img ",
    b"<iframe",
    b"<body",
    b"\"><",
    b"'><",
    b"alert(",
    b"prompt(",
    b"{{7*7}}",
    b"${7*7}",
    b"<%=",
    b"#{7*7}",
    b"{{config",
    b"{{self",
    b"$(",
    b"`id`",
    b";id",
    b"|id",
    b"; id",
    b"| id",
    b"&&id",
    b";ls",
    b"|ls",
    b";cat ",
    b"|cat ",
    b"; cat ",
    b"| cat ",
    b"wget http",
    b"curl http",
    b"nslookup ",
    b"ping -c",
    b"ping -n",
    b"phpinfo()",
    b"system(",
    b"passthru(",
    b"eval(",
    b"exec(",
    b"\r\n",
    b"<!entity",
    b"<!doctype",
    b"*)(uid",
    b"*)(|",
    b"<!--#",
    b"__proto__",
    b"$where",
    b"[$ne]",
    b"[$gt]",
];

/// All marks, in the order of their class's rank. `None` cannot happen, as the marks are few and short.
static MARKS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let marks = [EXPLOITS, TRAVERSAL, INJECTION].concat();
    AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(marks).ok()
});

/// Returns the class of the payload in a target.
pub(super) fn class_of(text: &[u8]) -> Option<Telltale> {
    let marked = MARKS
        .as_ref()
        .and_then(|marks| marks.find_overlapping_iter(text).map(|found| found.pattern().as_usize()).min());
    match marked {
        Some(mark) if mark < EXPLOITS.len() => Some(Telltale::KnownExploit),
        Some(mark) if mark < EXPLOITS.len() + TRAVERSAL.len() => Some(Telltale::Traversal),
        Some(_) => Some(Telltale::Injection),
        // Comments in the place of blanks hide words from filters.
        None if compares_numbers(text) || text.split(|byte| *byte == b'?').skip(1).any(hides_words) => {
            Some(Telltale::Injection)
        }
        None => None,
    }
}

/// Returns whether a text compares two equal numbers, as tests for SQL injection do: `and 4729=4729`.
fn compares_numbers(text: &[u8]) -> bool {
    memchr::memchr_iter(b'=', text).any(|at| {
        let before = text[..at].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let after = text[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let word = |name: &[u8]| text[..at - before].trim_ascii_end().ends_with(name);
        before >= 2 && after >= 2 && [&b"and"[..], b"or", b"where", b"when"].into_iter().any(word)
    })
}

/// Returns whether comments stand in the place of blanks.
fn hides_words(query: &[u8]) -> bool {
    memchr::memmem::find(query, b"/**/").is_some()
}

//! Marks of tools by what they do, whatever they call themselves.
//!
//! In: the targets of errors. Out: which tools' habits were seen. Promises: a habit counts only if no browser and no ordinary
//! program has it.

/// A set of habits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Marks(u16);

/// Tells whether a target shows a habit.
type Habit = fn(&[u8]) -> bool;

/// The habits, and the tools that have them.
const TOOLS: [(&str, Habit); 8] = [
    ("gobuster", is_uuid),
    ("feroxbuster", is_long_hexadecimal),
    ("sqlmap", compares_random_numbers),
    ("Wapiti", |target| holds(target, b"wapiti")),
    ("Nikto", |target| holds(target, b"nikto")),
    ("Nuclei", |target| [&b".oast."[..], b"interact.sh"].into_iter().any(|mark| holds(target, mark))),
    ("Burp Suite", |target| [&b"burpcollaborator"[..], b"oastify.com"].into_iter().any(|mark| holds(target, mark))),
    ("Nmap", |target| {
        holds(target, b"nmaplowercheck") || holds(target, b"/nice%20ports%2c") || holds(target, b"/nice ports,")
    }),
];

impl Marks {
    /// Notes the habits that a target shows.
    pub(super) fn note(&mut self, target: &[u8]) {
        let target = target.get(..512).unwrap_or(target);
        for (bit, (_, has)) in TOOLS.iter().enumerate() {
            if self.0 >> bit & 1 == 0 && has(target) {
                self.0 |= 1 << bit;
            }
        }
    }

    pub(super) fn add_all(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// The tool whose habit was seen.
    pub(super) fn tool(self) -> Option<&'static str> {
        TOOLS.iter().enumerate().find(|(bit, _)| self.0 >> bit & 1 != 0).map(|(_, (tool, _))| *tool)
    }
}

fn holds(target: &[u8], mark: &[u8]) -> bool {
    target.len() >= mark.len() && target.windows(mark.len()).any(|window| window.eq_ignore_ascii_case(mark))
}

/// `/` and a UUID: gobuster asks for one first, to see what a missing page looks like.
fn is_uuid(target: &[u8]) -> bool {
    target.len() == 37
        && target.iter().enumerate().all(|(at, byte)| match at {
            0 => *byte == b'/',
            9 | 14 | 19 | 24 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `/` and 32 or 96 hexadecimal digits: feroxbuster asks for such names first.
fn is_long_hexadecimal(target: &[u8]) -> bool {
    matches!(target.len(), 33 | 97) && target[0] == b'/' && target[1..].iter().all(u8::is_ascii_hexdigit)
}

/// `AND 4729=4729`: sqlmap compares random numbers of four digits.
fn compares_random_numbers(target: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count() == 4;
    (holds(target, b"AND%20") || holds(target, b"AND+") || holds(target, b"WHEN%20"))
        && ["=", "%3D", "%3d"].iter().any(|equals| {
            memchr::memmem::find_iter(target, equals).any(|at| {
                let before = target[..at].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
                before == 4 && digits(&target[at + equals.len()..])
            })
        })
}

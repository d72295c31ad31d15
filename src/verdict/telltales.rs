//! Tell-tales: requests that say what their sender looks for.
//!
//! In: a method and a target as sent. Out: the [`Telltale`] class of the request, if it has one. Promises: percent-encoding,
//! also double and triple, and the case of letters are seen through; linear time; a target without a tell-tale costs little and
//! allocates nothing.
//!
//! A path is read by its segments. A segment is a tell-tale by its name (`.env`, `phpmyadmin`), by the segments behind it
//! (`manager/html`), or by its extension (`.bak`). Payloads are found anywhere in the decoded target. The names are in
//! `names`, the payloads in `payloads`; [`Telltale`] says what belongs to each class.

mod names;
mod payloads;

use crate::exchange::{Method, percent_decoded};

/// The classes. The order is that of their rank: of a request with several, the first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Telltale {
    /// Probes for well-known weaknesses: a path or a payload that only an exploit asks for.
    KnownExploit,
    /// Payloads of SQL, script, template and command injection.
    Injection,
    /// Steps out of the web root, and files of the system.
    Traversal,
    /// Shells that intruders leave behind.
    WebShell,
    /// Environment files, keys, passwords, configuration with credentials.
    Secrets,
    /// What version control leaves in a web root.
    VersionControl,
    /// Backups, dumps and editor copies.
    Backup,
    /// Installers and set-up pages.
    Installer,
    /// Status, debug and diagnosis endpoints.
    Debug,
    /// Consoles for administrators, and their log-ins.
    AdminConsole,
    /// Methods that browsers never send: WebDAV, TRACE, TRACK, DEBUG and the like.
    UncommonVerb,
}

impl Telltale {
    /// All classes in order.
    pub const ALL: [Self; 11] = [
        Self::KnownExploit,
        Self::Injection,
        Self::Traversal,
        Self::WebShell,
        Self::Secrets,
        Self::VersionControl,
        Self::Backup,
        Self::Installer,
        Self::Debug,
        Self::AdminConsole,
        Self::UncommonVerb,
    ];

    /// The name in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KnownExploit => "known_exploit",
            Self::Injection => "injection",
            Self::Traversal => "traversal",
            Self::WebShell => "web_shell",
            Self::Secrets => "secrets",
            Self::VersionControl => "version_control",
            Self::Backup => "backup",
            Self::Installer => "installer",
            Self::Debug => "debug",
            Self::AdminConsole => "admin_console",
            Self::UncommonVerb => "uncommon_verb",
        }
    }

    /// Returns whether a success on such a path gives something away that should not be on a server at all.
    pub const fn is_sensitive(self) -> bool {
        matches!(self, Self::WebShell | Self::Secrets | Self::VersionControl | Self::Backup)
    }

    /// Returns whether the request itself is an attack, and not only a look whether something is there.
    pub const fn is_payload(self) -> bool {
        matches!(self, Self::KnownExploit | Self::Injection | Self::Traversal)
    }
}

/// The most bytes of a target that are looked at.
const MOST_BYTES: usize = 4 << 10;
/// How often a target is decoded.
const MOST_LAYERS: usize = 3;

/// Finds the class of a request.
pub fn classify(method: Method, target: &[u8]) -> Option<Telltale> {
    let verb = is_uncommon(method).then_some(Telltale::UncommonVerb);
    let target = target.get(..MOST_BYTES).unwrap_or(target);
    let of_target = if needs_decoding(target) {
        let decoded = decoded(target);
        payloads::class_of(&decoded).into_iter().chain(class_of_path(&decoded)).min()
    } else {
        class_of_path(target)
    };
    of_target.into_iter().chain(verb).min()
}

/// Returns whether a method is one that browsers and ordinary programs do not send.
const fn is_uncommon(method: Method) -> bool {
    !matches!(
        method,
        Method::Get
            | Method::Head
            | Method::Post
            | Method::Put
            | Method::Delete
            | Method::Connect
            | Method::Options
            | Method::Patch
            | Method::Query
            | Method::Pri
            | Method::Purge
            | Method::Ban
            | Method::Unseen
    )
}

/// The bytes without which a target holds no payload and nothing to decode.
const TELLING: [bool; 256] = {
    let mut telling = [false; 256];
    let bytes = b"%'\"<>({`|\\+$;";
    let mut at = 0;
    while at < bytes.len() {
        telling[bytes[at] as usize] = true;
        at += 1;
    }
    telling
};

fn needs_decoding(target: &[u8]) -> bool {
    target.iter().any(|byte| TELLING[usize::from(*byte)]) || memchr::memmem::find(target, b"..").is_some()
        // A query may hold the name of a file, or a whole address.
        || memchr::memchr(b'?', target).is_some()
}

/// Decodes a target as often as something in it is encoded, in lower case. A plus in the query is a blank.
fn decoded(target: &[u8]) -> Vec<u8> {
    let mut text = target.to_vec();
    for _ in 0..MOST_LAYERS {
        if memchr::memchr(b'%', &text).is_none() {
            break;
        }
        text = percent_decoded(&text);
    }
    text.make_ascii_lowercase();
    let query = memchr::memchr(b'?', &text).unwrap_or(text.len());
    text[query..].iter_mut().filter(|byte| **byte == b'+').for_each(|byte| *byte = b' ');
    text
}

/// Finds the class of the segments of a path. What follows the path is not looked at.
fn class_of_path(target: &[u8]) -> Option<Telltale> {
    let end = memchr::memchr2(b'?', b'#', target).unwrap_or(target.len());
    let path = &target[..end];
    let mut found: Option<Telltale> = None;
    let mut start = 0;
    while start < path.len() {
        let length = memchr::memchr2(b'/', b';', &path[start..]).unwrap_or(path.len() - start);
        if length > 0 {
            let class = names::class_of(&path[start..], length);
            found = found.into_iter().chain(class).min();
        }
        start += length + 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(target: &str) -> Option<Telltale> {
        classify(Method::Get, target.as_bytes())
    }

    #[test]
    fn what_scanners_ask_for_has_its_class() {
        use Telltale as T;
        for (target, wanted) in [
            ("/.env", T::Secrets),
            ("/app/.env.production", T::Secrets),
            ("/%2eenv", T::Secrets),
            ("/%252e%2565nv", T::Secrets),
            ("/.ENV", T::Secrets),
            ("/.aws/credentials", T::Secrets),
            ("/wp-config.php.bak", T::Secrets),
            ("/id_rsa", T::Secrets),
            ("/.git/config", T::VersionControl),
            ("/x/.git", T::VersionControl),
            ("/.svn/entries", T::VersionControl),
            ("/index.php.bak", T::Backup),
            ("/index.php~", T::Backup),
            ("/backup.zip", T::Backup),
            ("/db.sql", T::Backup),
            ("/www.tar.gz", T::Backup),
            ("/old/site.tgz", T::Backup),
            ("/phpMyAdmin/", T::AdminConsole),
            ("/admin", T::AdminConsole),
            ("/Admin.php", T::AdminConsole),
            ("/manager/html", T::AdminConsole),
            ("/wp-login.php?redirect_to=x", T::AdminConsole),
            ("/server-status", T::Debug),
            ("/phpinfo.php", T::Debug),
            ("/actuator/heapdump", T::Debug),
            ("/install.php", T::Installer),
            ("/c99.php", T::WebShell),
            ("/uploads/shell.jsp", T::WebShell),
            ("/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php", T::KnownExploit),
            ("/cgi-bin/.%2e/.%2e/.%2e/bin/sh", T::KnownExploit),
            ("/HNAP1/", T::KnownExploit),
            ("/?x=${jndi:ldap://h/a}", T::KnownExploit),
            ("/?x=%24%7Bjndi%3Aldap%3A%2F%2Fh%2Fa%7D", T::KnownExploit),
            ("/a?file=../../../../etc/passwd", T::Traversal),
            ("/a?file=..%252f..%252fetc%252fpasswd", T::Traversal),
            ("/static/..%2f..%2fx", T::Traversal),
            ("/a?f=php://filter/convert.base64-encode/resource=index", T::Traversal),
            ("/a?id=1%27%20OR%20%271%27%3D%271", T::Injection),
            ("/a?id=1+UNION+ALL+SELECT+NULL,NULL--", T::Injection),
            ("/a?id=1)%20AND%204729=4729%20AND%20(1=1", T::Injection),
            ("/a?q=<script>alert(1)</script>", T::Injection),
            ("/a?q=%3CsCrIpT%3Ealert(1)", T::Injection),
            ("/a?q=\"><svg onload=alert(1)>", T::Injection),
            ("/a?q={{7*7}}", T::Injection),
            ("/a?c=;id", T::Injection),
            ("/a?c=$(id)", T::Injection),
        ] {
            assert_eq!(class(target), Some(wanted), "{target}");
        }
    }

    #[test]
    fn what_browsers_ask_for_has_none() {
        for target in [
            "/",
            "/index.html",
            "/products/4711?color=red&size=10",
            "/search?q=union+square+hotel",
            "/search?q=rock+%26+roll",
            "/search?q=O%27Reilly",
            "/search?q=who%20is%20(was)%20he",
            "/environment",
            "/gitlab/project",
            "/administration-of-estates.html",
            "/files/report.zip",
            "/download/app-1.2.tar.gz",
            "/static/app.js?v=1.2.3",
            "/a/b/c.css",
            "/api/v1/items?sort=-name&page=2",
            "/login",
            "/robots.txt",
            "/wiki/C_(language)",
            "/a?x=50%25",
            "/statistics",
            "/%E4%B8%AD%E6%96%87",
            "/a?next=%2Fcart%3Fid%3D1",
            "/.well-known/acme-challenge/abc",
        ] {
            assert_eq!(class(target), None, "{target}");
        }
    }

    #[test]
    fn verbs_of_browsers_are_common() {
        assert_eq!(classify(Method::Get, b"/"), None);
        for verb in [Method::Propfind, Method::Track, Method::Debug, Method::Trace, Method::Other] {
            assert_eq!(classify(verb, b"/"), Some(Telltale::UncommonVerb));
        }
        assert_eq!(classify(Method::Propfind, b"/.env"), Some(Telltale::Secrets));
    }

    proptest::proptest! {
        #[test]
        fn encoding_and_case_change_no_class(at in 0usize..6, letters in proptest::collection::vec(0u8..4, 40)) {
            let target = ["/.env", "/.git/config", "/a?q=<script>x", "/a?f=../../etc/passwd", "/phpmyadmin/", "/dump.sql"][at];
            let mut changed = String::new();
            for (byte, way) in target.bytes().zip(letters.iter().cycle()) {
                match way {
                    _ if matches!(byte, b'?' | b'=') => changed.push(char::from(byte)),
                    0 => changed.push(char::from(byte).to_ascii_uppercase()),
                    1 => changed.push_str(&format!("%{byte:02X}")),
                    2 => changed.push_str(&format!("%25{byte:02x}")),
                    _ => changed.push(char::from(byte)),
                }
            }
            // A path must begin with a slash that was sent as such.
            let changed = format!("/{}", changed.strip_prefix('/').unwrap_or(&changed));
            proptest::prop_assert_eq!(class(&changed), class(target), "{}", changed);
        }

        #[test]
        fn any_bytes_are_read(target in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            classify(Method::Get, &target);
        }
    }
}

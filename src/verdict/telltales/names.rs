//! The names of paths that are tell-tales.
//!
//! In: a segment of a path, and the segments behind it. Out: its class. Promises: the case of letters does not matter.
//!
//! To add a name, add it to the list of its class, in lower case and without the slash before it. A name with slashes needs
//! the segments behind it as well. A name that ends with `*` needs only to be the beginning of its last segment.

use std::sync::LazyLock;

use super::Telltale;

const SECRETS: &[&str] = &[
    ".env",
    ".env.*",
    ".env-*",
    ".env_*",
    ".envrc",
    ".aws/credentials",
    ".aws/config",
    ".ssh",
    ".ssh/*",
    "id_rsa",
    "id_rsa.*",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    ".npmrc",
    ".pypirc",
    ".netrc",
    ".htpasswd",
    ".htaccess",
    ".pgpass",
    ".my.cnf",
    ".docker/config.json",
    ".dockercfg",
    ".dockerenv",
    ".kube/config",
    ".git-credentials",
    ".vault-token",
    ".bash_history",
    ".zsh_history",
    ".mysql_history",
    "wp-config.php*",
    "wp-config.*",
    "wp-config-*",
    "web.config",
    "web.config.*",
    "appsettings.json",
    "appsettings.*",
    "local.settings.json",
    "application.yml",
    "application.properties",
    "database.yml",
    "secrets.yml",
    "secrets.json",
    "credentials",
    "credentials.*",
    "config.php.*",
    "configuration.php.*",
    "settings.py",
    "local_settings.py",
    "parameters.yml",
    "sftp-config.json",
    "ftpconfig",
    ".ftpconfig",
    "private.key",
    "server.key",
    "privatekey.*",
    "passwd",
    "shadow",
    "web-inf/web.xml",
    "terraform.tfstate",
    "docker-compose.yml",
    ".terraform/*",
    "dbconfig.*",
    "config.env",
    "env.js",
    "env.json",
    ".azure/*",
    ".boto",
    ".s3cfg",
    "firebase.json",
    "serviceaccountkey.json",
];

const VERSION_CONTROL: &[&str] = &[
    ".git",
    ".git/*",
    ".gitignore",
    ".gitconfig",
    ".gitmodules",
    ".gitattributes",
    ".svn",
    ".svn/*",
    ".hg",
    ".hg/*",
    ".hgignore",
    ".bzr",
    ".bzr/*",
    "cvs/entries",
    "cvs/root",
    "_darcs/*",
    ".ds_store",
];

const INSTALLERS: &[&str] = &[
    "install.php",
    "install",
    "installer",
    "installer.php",
    "setup.php",
    "setup.cgi",
    "wp-admin/install.php",
    "wp-admin/setup-config.php",
    "installation",
    "upgrade.php",
    "mt-upgrade.cgi",
    "install.asp",
    "setup.aspx",
];

const DEBUG: &[&str] = &[
    "server-status",
    "server-info",
    "phpinfo.php",
    "phpinfo",
    "info.php",
    "php.php",
    "phpversion.php",
    "actuator",
    "actuator/*",
    "heapdump",
    "threaddump",
    "jolokia",
    "jolokia/*",
    "trace.axd",
    "elmah.axd",
    "_profiler",
    "_profiler/*",
    "__debug__",
    "_debugbar",
    "_debugbar/*",
    "nginx_status",
    "status.php",
    "debug",
    "debug/*",
    "_ignition/*",
    "telescope",
    "metrics",
    "test.php",
    "server-status.*",
    "_status",
    "fpm-status",
    "php-fpm-status",
    "api-docs",
    "swagger-ui.html",
    "swagger.json",
    "graphiql",
    "_cat/*",
    "_cluster/*",
    "_all_dbs",
    "v2/_catalog",
    "stub_status",
];

const ADMIN: &[&str] = &[
    "admin",
    "admin.*",
    "admin1",
    "admin2",
    "_admin",
    "administrator",
    "administrator.*",
    "adminer",
    "adminer.php",
    "adminer-*",
    "adminpanel",
    "admincp",
    "admin-console",
    "phpmyadmin",
    "phpmyadmin*",
    "pma",
    "myadmin",
    "mysqladmin",
    "sqladmin",
    "dbadmin",
    "wp-admin",
    "wp-admin/*",
    "wp-login.php",
    "manager/html",
    "manager/status",
    "host-manager/html",
    "cpanel",
    "whm",
    "webmin",
    "plesk",
    "jmx-console",
    "web-console",
    "admin-login",
    "login.action",
    "jenkins",
    "solr/admin",
    "console",
    "typo3",
    "umbraco",
    "sitecore",
    "siteadmin",
    "backend",
    "cms/admin",
    "user/login",
    "admin_login.*",
    "adminlogin.*",
    "controlpanel",
    "kibana",
    "grafana",
    "rundeck",
    "nagios",
    "zabbix",
    "portainer",
];

const WEB_SHELLS: &[&str] = &[
    "shell.*",
    "cmd.php",
    "cmd.asp",
    "cmd.aspx",
    "cmd.jsp",
    "c99.*",
    "r57.*",
    "wso.*",
    "wso2.*",
    "b374k.*",
    "b374k*",
    "alfa.*",
    "alfashell.*",
    "webshell.*",
    "indoxploit.*",
    "c100.*",
    "weevely.*",
    "filesman.*",
    "backdoor.*",
    "eval.php",
    "gel4y.*",
    "minishell.*",
    "antsword.*",
    "behinder.*",
    "godzilla.*",
    "phpspy.*",
    "simple-backdoor.php",
    "wp-content/uploads/shell*",
    "mini.php",
    "leaf.php",
    "wsoyanz.*",
    "upl.php",
    "up.php",
    "symlink.php",
    "marijuana.php",
    "radio.php",
];

const EXPLOITS: &[&str] = &[
    "vendor/phpunit/*",
    "phpunit/*",
    "eval-stdin.php",
    "hnap1",
    "boaform/*",
    "gponform/*",
    "goform/*",
    "cgi-bin/luci*",
    "cgi-bin/%*",
    "cgi-bin/.*",
    "cgi-bin/test-cgi",
    "cgi-bin/php*",
    "cgi-bin/bash",
    "cgi-bin/authlogin.cgi",
    "cgi-bin/config.exp",
    "wls-wsat/*",
    "_async/asyncresponseservice",
    "invoker/jmxinvokerservlet",
    "invoker/ejbinvokerservlet",
    "api/jsonws/invoke",
    "tmui/login.jsp",
    "mgmt/tm/*",
    "mgmt/shared/*",
    "dana-na/*",
    "remote/fgt_lang",
    "remote/login",
    "+cscoe+/*",
    "owa/auth/*",
    "ecp/*",
    "autodiscover/autodiscover.json",
    "autodiscover/*",
    "struts*",
    "struts2-showcase/*",
    "solr/*",
    "telerik.web.ui*",
    "xmlrpc.php",
    "reportserver",
    "druid/index.html",
    "nacos/*",
    "geoserver/web*",
    "geoserver/wfs",
    "confluence/pages/*",
    "setup/setup-s/*",
    "setupwizard.aspx",
    "cf_scripts/*",
    "cfide/*",
    "lucee/*",
    "axis2/*",
    "axis2-admin/*",
    "jbossws/*",
    "seeyon/*",
    "weaver/*",
    "login.cgi",
    "board.cgi",
    "sdk/weblanguage",
    "portal/redlion",
    "ws_ftp/*",
    "aspnet_client/*",
    "vtigercrm/*",
    "thinkphp/*",
    "index.php/portalindex*",
    "containers/json",
    "v1.24/version",
    "wp-content/plugins/wp-file-manager/*",
    "wp-content/plugins/duplicator/*",
    "wp-json/wp/v2/users",
    "api/v4/projects",
    "rest/applinks/*",
    "plugins/servlet/*",
    "sitecore/shell/*",
    "users/sign_in",
    "nice ports,*",
    "nmaplowercheck*",
    "sslvpn/*",
    "vpns/*",
    "vpn/../*",
    "webui/*",
];

/// The extensions of backups and dumps.
const BACKUP_EXTENSIONS: &[&str] = &[
    "bak", "bak1", "bak2", "backup", "old", "orig", "save", "sav", "swp", "swo", "sql", "dump", "mdb", "sqlite",
    "sqlite3", "bkp", "tmp", "copy",
];
/// The extensions of archives, which are backups if their name says so.
const ARCHIVES: &[&str] = &["zip", "tar", "tgz", "gz", "bz2", "xz", "rar", "7z"];
const BACKUP_NAMES: &[&str] = &[
    "backup",
    "bak",
    "dump",
    "db",
    "database",
    "sql",
    "mysql",
    "site",
    "www",
    "web",
    "wwwroot",
    "htdocs",
    "public_html",
    "old",
    "src",
    "html",
    "website",
];

/// A name, and whether it needs only to be the beginning of its last segment.
struct Name {
    name: &'static [u8],
    is_start: bool,
    class: Telltale,
}

/// The names by their first bytes: a search compares a number, and only then a name.
static NAMES: LazyLock<Vec<(u32, Name)>> = LazyLock::new(|| {
    let lists = [
        (SECRETS, Telltale::Secrets),
        (VERSION_CONTROL, Telltale::VersionControl),
        (INSTALLERS, Telltale::Installer),
        (DEBUG, Telltale::Debug),
        (ADMIN, Telltale::AdminConsole),
        (WEB_SHELLS, Telltale::WebShell),
        (EXPLOITS, Telltale::KnownExploit),
    ];
    let named = |(list, class): (&'static [&'static str], Telltale)| {
        list.iter().map(move |text| {
            let (name, is_start) = text.strip_suffix('*').map_or((*text, false), |name| (name, true));
            (first_bytes(name.as_bytes()), Name { name: name.as_bytes(), is_start, class })
        })
    };
    let mut names: Vec<_> = lists.into_iter().flat_map(named).collect();
    names.sort_by_key(|(first, _)| *first);
    names
});

/// The first three bytes in lower case, which every name has.
#[inline]
fn first_bytes(text: &[u8]) -> u32 {
    let byte = |at: usize| u32::from(text.get(at).copied().unwrap_or(0).to_ascii_lowercase());
    byte(0) << 16 | byte(1) << 8 | byte(2)
}

/// Returns the class of the segment with this length at the start of `rest`, which goes on to the path's end.
pub(super) fn class_of(rest: &[u8], length: usize) -> Option<Telltale> {
    let names = &**NAMES;
    let key = first_bytes(&rest[..length]);
    let first = names.partition_point(|(first, _)| *first < key);
    let same = names[first..].iter().take_while(|(first, _)| *first == key);
    let by_name = same.filter(|(_, name)| name.is_at(rest)).map(|(_, name)| name.class).min();
    by_name.into_iter().chain(class_of_extension(&rest[..length])).min()
}

impl Name {
    fn is_at(&self, rest: &[u8]) -> bool {
        let Some((start, after)) = rest.split_at_checked(self.name.len()) else { return false };
        let is_whole = || self.is_start || matches!(after.first(), None | Some(b'/' | b';'));
        start.eq_ignore_ascii_case(self.name) && is_whole()
    }
}

/// Returns [`Telltale::Backup`] for files that their extension tells as backups.
fn class_of_extension(segment: &[u8]) -> Option<Telltale> {
    if segment.last() == Some(&b'~') {
        return Some(Telltale::Backup);
    }
    let dot = memchr::memrchr(b'.', segment)?;
    let is_one_of = |text: &[u8], list: &[&str]| list.iter().any(|one| text.eq_ignore_ascii_case(one.as_bytes()));
    let extension = &segment[dot + 1..];
    if dot > 0 && is_one_of(extension, BACKUP_EXTENSIONS) {
        return Some(Telltale::Backup);
    }
    let words = || segment[..dot].split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
    (is_one_of(extension, ARCHIVES) && words().any(|word| is_one_of(word, BACKUP_NAMES))).then_some(Telltale::Backup)
}

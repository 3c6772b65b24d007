//! The configuration as it is written: every key is optional here, every value remembers its line.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Problem;

/// A value and the line it was written on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Its line, counted from 1.
    pub line: usize,
}

/// `[listen]`
#[derive(Debug, Default)]
pub struct Listen {
    /// `tls`
    pub tls: Option<Located<String>>,
    /// `lab_udp`
    pub lab_udp: Option<Located<String>>,
    /// `lab_tcp`
    pub lab_tcp: Option<Located<String>>,
    /// `lab_beyond_loopback`
    pub lab_beyond_loopback: Option<Located<bool>>,
}

/// `[tls]`
#[derive(Debug, Default)]
pub struct Tls {
    /// `certificate`
    pub certificate: Option<Located<String>>,
    /// `key`
    pub key: Option<Located<String>>,
    /// `client_cas`
    pub client_cas: Option<Located<Vec<String>>>,
    /// `crls`
    pub crls: Option<Located<Vec<String>>>,
    /// `server_cas`
    pub server_cas: Option<Located<Vec<String>>>,
}

/// `[paths]`
#[derive(Debug, Default)]
pub struct Paths {
    /// `data`
    pub data: Option<Located<String>>,
    /// `audit`
    pub audit: Option<Located<String>>,
    /// `keys`
    pub keys: Option<Located<String>>,
    /// `prompts`
    pub prompts: Option<Located<String>>,
}

/// `[sip]`
#[derive(Debug, Default)]
pub struct Sip {
    /// `realm`
    pub realm: Option<Located<String>>,
    /// `advertised_host`
    pub advertised_host: Option<Located<String>>,
}

/// `[media]`
#[derive(Debug, Default)]
pub struct Media {
    /// `rtp_address`
    pub rtp_address: Option<Located<String>>,
    /// `rtp_ports`
    pub rtp_ports: Option<Located<String>>,
    /// `advertised_address`
    pub advertised_address: Option<Located<String>>,
    /// `shards`
    pub shards: Option<Located<i64>>,
}

/// `[limits]`
#[derive(Debug, Default)]
pub struct Limits {
    /// `calls_max`
    pub calls_max: Option<Located<i64>>,
    /// `retrieval_reserved_percent`
    pub retrieval_reserved_percent: Option<Located<i64>>,
    /// `deposits_per_caller_max`
    pub deposits_per_caller_max: Option<Located<i64>>,
    /// `deposits_per_caller_secs`
    pub deposits_per_caller_secs: Option<Located<i64>>,
    /// `requests_per_source_max`
    pub requests_per_source_max: Option<Located<i64>>,
    /// `connections_max`
    pub connections_max: Option<Located<i64>>,
    /// `connections_per_source_max`
    pub connections_per_source_max: Option<Located<i64>>,
    /// `recording_max_secs`
    pub recording_max_secs: Option<Located<i64>>,
    /// `recording_silence_secs`
    pub recording_silence_secs: Option<Located<i64>>,
    /// `drain_secs`
    pub drain_secs: Option<Located<i64>>,
}

/// `[ops]`
#[derive(Debug, Default)]
pub struct Ops {
    /// `listen`
    pub listen: Option<Located<String>>,
    /// `beyond_loopback`
    pub beyond_loopback: Option<Located<bool>>,
}

/// `[log]`
#[derive(Debug, Default)]
pub struct Log {
    /// `format`
    pub format: Option<Located<String>>,
    /// `level`
    pub level: Option<Located<String>>,
}

/// One `[[registration]]`
#[derive(Debug, Default)]
pub struct Registration {
    /// The line of its heading.
    pub line: usize,
    /// `address`
    pub address: Option<Located<String>>,
    /// `registrar`
    pub registrar: Option<Located<String>>,
    /// `outbound_proxy`
    pub outbound_proxy: Option<Located<String>>,
    /// `username`
    pub username: Option<Located<String>>,
    /// `password_file`
    pub password_file: Option<Located<String>>,
    /// `contact_user`
    pub contact_user: Option<Located<String>>,
    /// `expires_secs`
    pub expires_secs: Option<Located<i64>>,
    /// `keep_alive_secs`
    pub keep_alive_secs: Option<Located<i64>>,
    /// `allow_md5`
    pub allow_md5: Option<Located<bool>>,
}

/// The whole file.
#[derive(Debug, Default)]
pub struct Raw {
    /// `[listen]`
    pub listen: Listen,
    /// `[tls]`
    pub tls: Tls,
    /// `[paths]`
    pub paths: Paths,
    /// `[sip]`
    pub sip: Sip,
    /// `[media]`
    pub media: Media,
    /// `[limits]`
    pub limits: Limits,
    /// `[ops]`
    pub ops: Ops,
    /// `[log]`
    pub log: Log,
    /// `[[registration]]`
    pub registrations: Vec<Registration>,
}

/// Reads `text`, adding what is wrong with it to `problems`. What could be read is returned all the same, so that the
/// values can be checked in the same run.
pub fn read(text: &str, problems: &mut Vec<Problem>) -> Raw {
    let lines = Lines::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        problems.push(Problem {
            line: error.span().map(|span| lines.at(span.start)),
            key: String::new(),
            message: format!("not TOML: {}", error.message()),
        });
    }
    let mut raw = Raw::default();
    let mut sections: Vec<_> = table.into_inner().into_iter().collect();
    sections.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in sections {
        let line = lines.at(key.span().start);
        let name = key.get_ref().to_string();
        let value = value.into_inner();
        if name == "registration" {
            read_registrations(line, value, &lines, problems, &mut raw.registrations);
            continue;
        }
        let DeValue::Table(entries) = value else {
            problems.push(Problem {
                line: Some(line),
                key: name,
                message: "stands outside of a section; the sections are [listen], [tls], [paths], [sip], [media], \
                          [limits], [ops], [log] and [[registration]]"
                    .to_owned(),
            });
            continue;
        };
        let mut section = Section { name, entries, lines: &lines, problems };
        match section.name.as_str() {
            "listen" => {
                raw.listen.tls = section.string("tls");
                raw.listen.lab_udp = section.string("lab_udp");
                raw.listen.lab_tcp = section.string("lab_tcp");
                raw.listen.lab_beyond_loopback = section.boolean("lab_beyond_loopback");
            }
            "tls" => {
                raw.tls.certificate = section.string("certificate");
                raw.tls.key = section.string("key");
                raw.tls.client_cas = section.strings("client_cas");
                raw.tls.crls = section.strings("crls");
                raw.tls.server_cas = section.strings("server_cas");
            }
            "paths" => {
                raw.paths.data = section.string("data");
                raw.paths.audit = section.string("audit");
                raw.paths.keys = section.string("keys");
                raw.paths.prompts = section.string("prompts");
            }
            "sip" => {
                raw.sip.realm = section.string("realm");
                raw.sip.advertised_host = section.string("advertised_host");
            }
            "media" => {
                raw.media.rtp_address = section.string("rtp_address");
                raw.media.rtp_ports = section.string("rtp_ports");
                raw.media.advertised_address = section.string("advertised_address");
                raw.media.shards = section.integer("shards");
            }
            "limits" => {
                raw.limits.calls_max = section.integer("calls_max");
                raw.limits.retrieval_reserved_percent =
                    section.integer("retrieval_reserved_percent");
                raw.limits.deposits_per_caller_max = section.integer("deposits_per_caller_max");
                raw.limits.deposits_per_caller_secs = section.integer("deposits_per_caller_secs");
                raw.limits.requests_per_source_max = section.integer("requests_per_source_max");
                raw.limits.connections_max = section.integer("connections_max");
                raw.limits.connections_per_source_max =
                    section.integer("connections_per_source_max");
                raw.limits.recording_max_secs = section.integer("recording_max_secs");
                raw.limits.recording_silence_secs = section.integer("recording_silence_secs");
                raw.limits.drain_secs = section.integer("drain_secs");
            }
            "ops" => {
                raw.ops.listen = section.string("listen");
                raw.ops.beyond_loopback = section.boolean("beyond_loopback");
            }
            "log" => {
                raw.log.format = section.string("format");
                raw.log.level = section.string("level");
            }
            _ => {
                section.problems.push(Problem {
                    line: Some(line),
                    key: section.name.clone(),
                    message: "is not a section that Hushbox knows".to_owned(),
                });
                continue;
            }
        }
        section.finish();
    }
    raw
}

fn read_registrations(
    line: usize,
    value: DeValue<'_>,
    lines: &Lines,
    problems: &mut Vec<Problem>,
    registrations: &mut Vec<Registration>,
) {
    let no_list = |line| Problem {
        line: Some(line),
        key: "registration".to_owned(),
        message: "is a list: write [[registration]], one for each".to_owned(),
    };
    let DeValue::Array(items) = value else { return problems.push(no_list(line)) };
    for item in items {
        let line = lines.at(item.span().start);
        let DeValue::Table(entries) = item.into_inner() else {
            problems.push(no_list(line));
            continue;
        };
        let name = "registration".to_owned();
        let mut section = Section { name, entries, lines, problems };
        registrations.push(Registration {
            line,
            address: section.string("address"),
            registrar: section.string("registrar"),
            outbound_proxy: section.string("outbound_proxy"),
            username: section.string("username"),
            password_file: section.string("password_file"),
            contact_user: section.string("contact_user"),
            expires_secs: section.integer("expires_secs"),
            keep_alive_secs: section.integer("keep_alive_secs"),
            allow_md5: section.boolean("allow_md5"),
        });
        section.finish();
    }
}

/// One section while it is read: each key is taken out once, and what is left at the end is not known.
struct Section<'a, 'text> {
    name: String,
    entries: DeTable<'text>,
    lines: &'a Lines,
    problems: &'a mut Vec<Problem>,
}

impl<'text> Section<'_, 'text> {
    fn string(&mut self, key: &str) -> Option<Located<String>> {
        self.take(key, "a string in quotes", |value| match value {
            DeValue::String(text) => Some(text.into_owned()),
            _ => None,
        })
    }

    fn boolean(&mut self, key: &str) -> Option<Located<bool>> {
        self.take(key, "true or false", |value| value.as_bool())
    }

    fn integer(&mut self, key: &str) -> Option<Located<i64>> {
        self.take(key, "a whole number without quotes", |value| {
            let integer = value.as_integer()?;
            // One that is beyond any range is told that range, like any other that is outside of it.
            let beyond = if integer.as_str().starts_with('-') { i64::MIN } else { i64::MAX };
            Some(i64::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(beyond))
        })
    }

    fn strings(&mut self, key: &str) -> Option<Located<Vec<String>>> {
        self.take(key, "a list of strings, as in [\"a\", \"b\"]", |value| match value {
            DeValue::Array(items) => items
                .into_iter()
                .map(|item| match item.into_inner() {
                    DeValue::String(text) => Some(text.into_owned()),
                    _ => None,
                })
                .collect(),
            _ => None,
        })
    }

    fn take<T>(
        &mut self,
        key: &str,
        wanted: &str,
        read: impl FnOnce(DeValue<'text>) -> Option<T>,
    ) -> Option<Located<T>> {
        let value: Spanned<DeValue<'text>> = self.entries.remove(key)?;
        let line = self.lines.at(value.span().start);
        let found = value.get_ref().type_str();
        let article = if found.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        match read(value.into_inner()) {
            Some(value) => Some(Located { value, line }),
            None => {
                self.problems.push(Problem {
                    line: Some(line),
                    key: format!("{}.{key}", self.name),
                    message: format!("must be {wanted}, and this is {article} {found}"),
                });
                None
            }
        }
    }

    fn finish(self) {
        for (key, _) in self.entries {
            self.problems.push(Problem {
                line: Some(self.lines.at(key.span().start)),
                key: format!("{}.{}", self.name, key.get_ref()),
                message: "is not a key that Hushbox knows".to_owned(),
            });
        }
    }
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        let starts =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(starts).collect())
    }

    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset).max(1)
    }
}

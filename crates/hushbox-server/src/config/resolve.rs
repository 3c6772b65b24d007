//! The configuration as it is meant: defaults filled in, ranges and relations checked, paths absolute.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::raw::{self, Located, Raw};
use super::registration::Registration;
use super::{Problem, Problems};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text an event.
    Text,
    /// One JSON object an event.
    Json,
}

/// The UDP ports for media: a call takes an even one for RTP and the next one for RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpPorts {
    /// The first port.
    pub from: u16,
    /// The last port.
    pub to: u16,
}

impl RtpPorts {
    /// How many calls these ports can carry at once.
    pub fn pairs(self) -> usize {
        let first = u32::from(self.from).next_multiple_of(2);
        (u32::from(self.to) + 1).saturating_sub(first) as usize / 2
    }
}

impl std::str::FromStr for RtpPorts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = text.split_once('-').ok_or("write FROM-TO, as in 16000-19999")?;
        let number =
            |part: &str| part.trim().parse::<u16>().map_err(|_| format!("{part:?} is not a port"));
        let ports = Self { from: number(from)?, to: number(to)? };
        if ports.from < 1024 {
            return Err("the first port must be 1024 or more".to_owned());
        }
        if ports.pairs() == 0 {
            return Err("the range holds no even port followed by an odd one".to_owned());
        }
        Ok(ports)
    }
}

impl std::fmt::Display for RtpPorts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.from, self.to)
    }
}

/// What the server runs by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The configuration file itself.
    pub file: PathBuf,
    /// The TLS listener.
    pub tls: Option<SocketAddr>,
    /// The lab listener for UDP.
    pub lab_udp: Option<SocketAddr>,
    /// The lab listener for TCP.
    pub lab_tcp: Option<SocketAddr>,
    /// Whether lab listeners may be on other addresses than loopback.
    pub lab_beyond_loopback: bool,
    /// Metrics and health over HTTP.
    pub ops: Option<SocketAddr>,
    /// The server's certificate chain, PEM.
    pub certificate: PathBuf,
    /// The server's private key, PEM.
    pub key: PathBuf,
    /// The authorities that sign clients' certificates, PEM.
    pub client_cas: Vec<PathBuf>,
    /// Lists of clients' certificates that were revoked, PEM.
    pub crls: Vec<PathBuf>,
    /// The authorities that sign the certificates of servers that we call, PEM.
    pub server_cas: Vec<PathBuf>,
    /// The data folder.
    pub data: PathBuf,
    /// The audit log's folder.
    pub audit: PathBuf,
    /// The folder of keys.
    pub keys: PathBuf,
    /// The operator's own prompts, if any.
    pub prompts: Option<PathBuf>,
    /// The digest realm.
    pub realm: String,
    /// What stands in Contact instead of the listener's address.
    pub advertised_host: Option<String>,
    /// Where media sockets are bound.
    pub rtp_address: IpAddr,
    /// Their ports.
    pub rtp_ports: RtpPorts,
    /// What stands in SDP instead of `rtp_address`.
    pub advertised_address: Option<IpAddr>,
    /// How many media threads run.
    pub shards: usize,
    /// Calls at once.
    pub calls_max: usize,
    /// Of a hundred of them so many are kept for those who hear messages.
    pub retrieval_reserved_percent: usize,
    /// Messages that one caller may leave in one mailbox in [`Config::deposits_per_caller_window`]; 0 counts none.
    pub deposits_per_caller_max: usize,
    /// The time that they are counted in.
    pub deposits_per_caller_window: Duration,
    /// Requests a second that begin something new, from one address that is no trunk's; 0 counts none.
    pub requests_per_source_max: usize,
    /// TCP and TLS connections at once.
    pub connections_max: usize,
    /// The same, from one address.
    pub connections_per_source_max: usize,
    /// The longest recording.
    pub recording_max: Duration,
    /// The silence that ends a recording.
    pub recording_silence: Duration,
    /// How long live calls may go on after SIGTERM.
    pub drain: Duration,
    /// The PBXs that this server is an extension of.
    pub registrations: Vec<Registration>,
    /// The files that must be there.
    pub files: Vec<NamedFile>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which log lines are written: a `tracing` filter.
    pub log_level: String,
}

/// A file that the configuration names, or that stands where it names none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// Its key.
    pub key: &'static str,
    /// The line that names it.
    pub line: Option<usize>,
    /// Where it is.
    pub path: PathBuf,
}

impl Config {
    /// Looks for every file that must be there; each that can't be read is a mistake like any other.
    pub fn check_files(&self) -> Result<(), LoadError> {
        let unreadable = |file: &NamedFile| {
            let error = std::fs::File::open(&file.path).err()?;
            let message = format!("{}: {error}", file.path.display());
            Some(Problem { line: file.line, key: file.key.to_owned(), message })
        };
        let problems: Vec<Problem> = self.files.iter().filter_map(unreadable).collect();
        if problems.is_empty() {
            return Ok(());
        }
        Err(LoadError::Wrong { path: self.file.clone(), problems: Problems(problems) })
    }

    /// Checks the lab listeners again, after something else than the file has set them.
    pub fn check_lab(&self) -> Result<(), Problems> {
        let listeners = [("listen.lab_udp", self.lab_udp), ("listen.lab_tcp", self.lab_tcp)];
        let beyond = |address: Option<SocketAddr>| {
            !self.lab_beyond_loopback && address.is_some_and(|address| !address.ip().is_loopback())
        };
        let problems: Vec<Problem> = listeners
            .into_iter()
            .filter(|(_, address)| beyond(*address))
            .map(|(key, _)| Problem {
                line: None,
                key: key.to_owned(),
                message: BEYOND_LOOPBACK.to_owned(),
            })
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
    }

    /// The control socket, relative to [`Config::socket_folder`]: a socket's path ends at 107 bytes.
    pub const SOCKET: &str = "control.sock";

    /// The folder that the control socket stands in.
    pub fn socket_folder(&self) -> &Path {
        &self.data
    }

    /// The trial's secrets, beside the configuration.
    pub fn trial_file(&self) -> PathBuf {
        self.file.with_file_name("trial.json")
    }
}

/// Why a configuration could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file says what it must not.
    #[error("{}: {} {}\n{problems}", path.display(), problems.0.len(), if problems.0.len() == 1 { "mistake" } else { "mistakes" })]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problems: Problems,
    },
}

/// Reads and checks the file at `path`.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let absolute = std::path::absolute(path).map_err(unreadable)?;
    parse(&text, &absolute).map_err(|problems| LoadError::Wrong { path: path.to_owned(), problems })
}

/// Checks `text`, the content of the file at `file` (an absolute path): relative paths in it start at its folder.
pub fn parse(text: &str, file: &Path) -> Result<Config, Problems> {
    let mut problems = Vec::new();
    let raw = raw::read(text, &mut problems);
    let config =
        Resolver { problems: &mut problems, folder: file.parent().unwrap_or(Path::new("/")) }
            .config(file, &raw);
    if problems.is_empty() {
        return Ok(config);
    }
    problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
    Err(Problems(problems))
}

const OPS_BEYOND_LOOPBACK: &str = "is not on loopback; metrics are not encrypted and ask nobody who they are: set ops.beyond_loopback = true if that is meant";
const BEYOND_LOOPBACK: &str = "is not on loopback; lab listeners are not encrypted: set lab_beyond_loopback = true if that is meant";

pub(super) struct Resolver<'a> {
    problems: &'a mut Vec<Problem>,
    pub(super) folder: &'a Path,
}

impl Resolver<'_> {
    fn config(&mut self, file: &Path, raw: &Raw) -> Config {
        let tls = self.address("listen.tls", &raw.listen.tls);
        let beyond = raw.listen.lab_beyond_loopback.as_ref().is_some_and(|beyond| beyond.value);
        let lab = |this: &mut Self, key: &str, text| {
            this.loopback_address(key, text, beyond, BEYOND_LOOPBACK)
        };
        let lab_udp = lab(self, "listen.lab_udp", &raw.listen.lab_udp);
        let lab_tcp = lab(self, "listen.lab_tcp", &raw.listen.lab_tcp);
        let ops_beyond = raw.ops.beyond_loopback.as_ref().is_some_and(|beyond| beyond.value);
        let ops =
            self.loopback_address("ops.listen", &raw.ops.listen, ops_beyond, OPS_BEYOND_LOOPBACK);
        // Where the text is no TOML, what seems to be missing may stand behind the mistake.
        let is_whole = self.problems.iter().all(|problem| !problem.key.is_empty());
        let listeners = [&raw.listen.tls, &raw.listen.lab_udp, &raw.listen.lab_tcp];
        if is_whole && listeners.iter().all(|listener| listener.is_none()) {
            self.wrong(None, "listen", "give at least one of tls, lab_udp and lab_tcp");
        }
        let any_ip = tls
            .or(lab_udp)
            .or(lab_tcp)
            .map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip());
        let rtp_address = self.ip("media.rtp_address", &raw.media.rtp_address).unwrap_or(any_ip);
        let advertised_address = self.ip("media.advertised_address", &raw.media.advertised_address);
        if advertised_address.is_some_and(|address| address.is_unspecified()) {
            self.wrong(
                raw.media.advertised_address.as_ref().map(|at| at.line),
                "media.advertised_address",
                "must be an address that callers can send to",
            );
        }
        // A socket of one family can't send to an address of the other.
        if advertised_address.is_some_and(|address| address.is_ipv4() != rtp_address.is_ipv4()) {
            self.wrong(
                raw.media.advertised_address.as_ref().map(|at| at.line),
                "media.advertised_address",
                "must be IPv4 or IPv6 as media.rtp_address is",
            );
        }
        let rtp_ports = self.rtp_ports(raw);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = self.integer("media.shards", &raw.media.shards, 0..=64, 0);
        let data = self.path(&raw.paths.data, "data");
        Config {
            file: file.to_owned(),
            tls,
            lab_udp,
            lab_tcp,
            lab_beyond_loopback: beyond,
            ops,
            certificate: self.path(&raw.tls.certificate, "tls/server.crt"),
            key: self.path(&raw.tls.key, "tls/server.key"),
            server_cas: self.paths(raw.tls.server_cas.as_ref().or(raw.tls.client_cas.as_ref())),
            client_cas: self.paths(raw.tls.client_cas.as_ref()),
            crls: raw.tls.crls.as_ref().map_or_else(Vec::new, |list| {
                list.value.iter().map(|path| self.folder.join(path)).collect()
            }),
            audit: raw
                .paths
                .audit
                .as_ref()
                .map_or_else(|| data.join("audit"), |path| self.folder.join(&path.value)),
            data,
            keys: self.path(&raw.paths.keys, "keys"),
            prompts: raw.paths.prompts.as_ref().map(|path| self.folder.join(&path.value)),
            realm: self.token("sip.realm", &raw.sip.realm).unwrap_or_else(|| "hushbox".to_owned()),
            advertised_host: self.token("sip.advertised_host", &raw.sip.advertised_host),
            rtp_address,
            rtp_ports,
            advertised_address,
            shards: if shards == 0 { cores } else { shards },
            calls_max: self.integer("limits.calls_max", &raw.limits.calls_max, 1..=100_000, 2_000),
            retrieval_reserved_percent: self.integer(
                "limits.retrieval_reserved_percent",
                &raw.limits.retrieval_reserved_percent,
                0..=50,
                5,
            ),
            deposits_per_caller_max: self.integer(
                "limits.deposits_per_caller_max",
                &raw.limits.deposits_per_caller_max,
                0..=100_000,
                30,
            ),
            deposits_per_caller_window: self.seconds(
                "limits.deposits_per_caller_secs",
                &raw.limits.deposits_per_caller_secs,
                1..=86_400,
                600,
            ),
            requests_per_source_max: self.integer(
                "limits.requests_per_source_max",
                &raw.limits.requests_per_source_max,
                0..=100_000,
                200,
            ),
            connections_max: self.integer(
                "limits.connections_max",
                &raw.limits.connections_max,
                1..=100_000,
                1_024,
            ),
            connections_per_source_max: self.integer(
                "limits.connections_per_source_max",
                &raw.limits.connections_per_source_max,
                1..=100_000,
                256,
            ),
            recording_max: self.seconds(
                "limits.recording_max_secs",
                &raw.limits.recording_max_secs,
                5..=3_600,
                180,
            ),
            recording_silence: self.seconds(
                "limits.recording_silence_secs",
                &raw.limits.recording_silence_secs,
                2..=120,
                10,
            ),
            drain: self.seconds("limits.drain_secs", &raw.limits.drain_secs, 0..=3_600, 60),
            registrations: self.registrations(raw),
            files: self.files(raw),
            log_format: self.log_format(&raw.log.format),
            log_level: self.log_level(&raw.log.level),
        }
    }

    pub(super) fn wrong(&mut self, line: Option<usize>, key: &str, message: impl Into<String>) {
        self.problems.push(Problem { line, key: key.to_owned(), message: message.into() });
    }

    fn address(&mut self, key: &str, text: &Option<Located<String>>) -> Option<SocketAddr> {
        let text = text.as_ref()?;
        let address = text.value.parse().ok();
        if address.is_none() {
            self.wrong(
                Some(text.line),
                key,
                format!("{:?} is not an IP:PORT, as in 127.0.0.1:5061 or [::1]:5061", text.value),
            );
        }
        address
    }

    /// What carries no protection at all stays on loopback unless somebody insists.
    fn loopback_address(
        &mut self,
        key: &str,
        text: &Option<Located<String>>,
        beyond: bool,
        otherwise: &str,
    ) -> Option<SocketAddr> {
        let address = self.address(key, text)?;
        if !address.ip().is_loopback() && !beyond {
            self.wrong(text.as_ref().map(|at| at.line), key, otherwise);
        }
        Some(address)
    }

    fn ip(&mut self, key: &str, text: &Option<Located<String>>) -> Option<IpAddr> {
        let text = text.as_ref()?;
        let ip = text.value.parse().ok();
        if ip.is_none() {
            self.wrong(Some(text.line), key, format!("{:?} is not an IP address", text.value));
        }
        ip
    }

    fn rtp_ports(&mut self, raw: &Raw) -> RtpPorts {
        let default = RtpPorts { from: 16_000, to: 19_999 };
        let Some(text) = &raw.media.rtp_ports else { return default };
        text.value.parse().unwrap_or_else(|error: String| {
            self.wrong(Some(text.line), "media.rtp_ports", error);
            default
        })
    }

    fn path(&self, text: &Option<Located<String>>, default: &str) -> PathBuf {
        self.folder.join(text.as_ref().map_or(default, |path| path.value.as_str()))
    }

    /// Authorities; without any, the local one.
    fn paths(&self, list: Option<&Located<Vec<String>>>) -> Vec<PathBuf> {
        match list {
            Some(list) => list.value.iter().map(|path| self.folder.join(path)).collect(),
            None => vec![self.folder.join("tls/ca.crt")],
        }
    }

    /// The files that are read at the start: those of TLS where that is served, and the passwords at PBXs.
    fn files(&self, raw: &Raw) -> Vec<NamedFile> {
        let one = |key, named: &Option<Located<String>>, default| NamedFile {
            key,
            line: named.as_ref().map(|named| named.line),
            path: self.path(named, default),
        };
        let several = |key, named: &Option<Located<Vec<String>>>, paths: Vec<PathBuf>| {
            let line = named.as_ref().map(|named| named.line);
            paths.into_iter().map(move |path| NamedFile { key, line, path })
        };
        let mut files = Vec::new();
        if raw.listen.tls.is_some() {
            let tls = &raw.tls;
            files.push(one("tls.certificate", &tls.certificate, "tls/server.crt"));
            files.push(one("tls.key", &tls.key, "tls/server.key"));
            let client_cas = self.paths(tls.client_cas.as_ref());
            files.extend(several("tls.client_cas", &tls.client_cas, client_cas));
            let named = |list: &Option<Located<Vec<String>>>| {
                list.as_ref().map_or_else(Vec::new, |list| self.paths(Some(list)))
            };
            files.extend(several("tls.server_cas", &tls.server_cas, named(&tls.server_cas)));
            files.extend(several("tls.crls", &tls.crls, named(&tls.crls)));
        }
        for registration in raw.registrations.iter().filter(|one| one.password_file.is_some()) {
            files.push(one("registration.password_file", &registration.password_file, ""));
        }
        files
    }

    /// What goes into a header without quoting: a host or a realm.
    fn token(&mut self, key: &str, text: &Option<Located<String>>) -> Option<String> {
        let text = text.as_ref()?;
        let fine =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if text.value.is_empty() || text.value.len() > 255 || !text.value.chars().all(fine) {
            self.wrong(Some(text.line), key, "must be 1 to 255 letters, digits, dots or hyphens");
        }
        Some(text.value.clone())
    }

    fn integer(
        &mut self,
        key: &str,
        number: &Option<Located<i64>>,
        range: std::ops::RangeInclusive<usize>,
        default: usize,
    ) -> usize {
        let Some(number) = number else { return default };
        match usize::try_from(number.value) {
            Ok(value) if range.contains(&value) => value,
            _ => {
                let (from, to) = (range.start(), range.end());
                self.wrong(
                    Some(number.line),
                    key,
                    format!("{} is outside of {from} to {to}", number.value),
                );
                default
            }
        }
    }

    pub(super) fn seconds(
        &mut self,
        key: &str,
        number: &Option<Located<i64>>,
        range: std::ops::RangeInclusive<usize>,
        default: usize,
    ) -> Duration {
        Duration::from_secs(self.integer(key, number, range, default) as u64)
    }

    fn log_format(&mut self, text: &Option<Located<String>>) -> LogFormat {
        match text.as_ref().map(|text| (text.value.as_str(), text.line)) {
            None | Some(("text", _)) => LogFormat::Text,
            Some(("json", _)) => LogFormat::Json,
            Some((other, line)) => {
                self.wrong(
                    Some(line),
                    "log.format",
                    format!("{other:?} is neither \"text\" nor \"json\""),
                );
                LogFormat::Text
            }
        }
    }

    fn log_level(&mut self, text: &Option<Located<String>>) -> String {
        let Some(text) = text else { return "info".to_owned() };
        // Levels only: a filter by module could switch on the traces of libraries, which print what they carry.
        if !matches!(text.value.as_str(), "error" | "warn" | "info" | "debug") {
            self.wrong(
                Some(text.line),
                "log.level",
                "must be \"error\", \"warn\", \"info\" or \"debug\"",
            );
        }
        text.value.clone()
    }
}

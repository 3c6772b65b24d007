//! Kamailio on the configuration that `config/pbx/kamailio` has, installed as its README says: those files as they
//! are, the trunk's certificate, the phones' table, and an operator's `values.cfg`.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use hushbox_load::client::Plan;
use hushbox_load::digest::{Algorithm, Credentials};
use hushbox_load::transport::{Identity, Transport};
use hushbox_tests::kamailio::Kamailio as Process;
use hushbox_tests::trial::Trial;

pub(crate) const DOMAIN: &str = "clinic.example";
/// Every phone's password here.
pub(crate) const PASSWORD: &str = "phone-password";
/// The extensions that have one.
const PHONES: [&str; 3] = ["1001", "1002", "1003"];
/// How long a phone rings.
const RINGING: Duration = Duration::from_secs(2);

/// Where the recipe stands.
pub(crate) fn recipe() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/pbx/kamailio")
}

/// Whether it is installed, with its TLS module.
pub(crate) fn installed() -> bool {
    let silent = Command::new("kamailio").arg("-v").stdout(Stdio::null()).status();
    silent.is_ok_and(|status| status.success())
}

/// A running Kamailio.
pub(crate) struct Kamailio {
    _process: Process,
    /// Where phones connect to.
    pub(crate) phones: SocketAddr,
    /// Where calls from outside come in.
    pub(crate) outside: SocketAddr,
    ca: PathBuf,
}

impl Kamailio {
    /// Installs and starts it in front of a trial server; `outside_net` may call from outside.
    pub(crate) fn start(trial: &Trial, outside_net: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let [phones, outside] = free_ports();
        install(folder.path(), trial, phones, outside, outside_net);
        let ca = folder.path().join("hushbox-ca.crt");
        Self { _process: Process::start(folder, phones), phones, outside, ca }
    }

    /// A call from outside to this extension.
    pub(crate) fn outside_calls(&self, extension: &str) -> Plan {
        let uri = format!("sip:{extension}@{DOMAIN}");
        let mut plan = Plan::new(Transport::Tls, self.outside, uri);
        plan.from = "+15551234567".into();
        plan.identity = Identity { ca: Some(self.ca.clone()), ..Identity::default() };
        plan
    }

    /// A call by a phone that knows its password.
    pub(crate) fn phone_calls(&self, phone: &str, called: &str) -> Plan {
        let mut plan = self.outside_calls(called);
        plan.address = self.phones;
        plan.from = phone.into();
        plan.identity = self.identity(phone);
        plan
    }

    /// What a phone knows and trusts.
    pub(crate) fn identity(&self, phone: &str) -> Identity {
        let credentials = Credentials {
            username: phone.into(),
            password: PASSWORD.into(),
            algorithm: Some(Algorithm::Md5),
        };
        Identity {
            ca: Some(self.ca.clone()),
            credentials: Some(credentials),
            ..Identity::default()
        }
    }
}

/// What the recipe's README tells an operator to do.
fn install(
    folder: &Path,
    trial: &Trial,
    phones: SocketAddr,
    outside: SocketAddr,
    outside_net: &str,
) {
    for name in ["kamailio.cfg", "tls.cfg"] {
        std::fs::copy(recipe().join(name), folder.join(name)).expect("copied");
    }
    let json = trial.json();
    for (pointer, name) in
        [("/trunk/cert", "trunk.crt"), ("/trunk/key", "trunk.key"), ("/ca", "hushbox-ca.crt")]
    {
        let from = json.pointer(pointer).and_then(|v| v.as_str()).expect("a path");
        std::fs::copy(from, folder.join(name)).expect("copied");
    }
    let table = recipe().join("phones/subscriber");
    let mut table = std::fs::read_to_string(table).expect("the phones' table");
    for phone in PHONES {
        let hash = Algorithm::Md5.hash(&format!("{phone}:{DOMAIN}:{PASSWORD}"));
        writeln!(table, "{phone}:{DOMAIN}:{hash}").expect("written");
    }
    std::fs::create_dir(folder.join("phones")).expect("a folder");
    std::fs::write(folder.join("phones/subscriber"), table).expect("written");
    let values = format!(
        "#!define DOMAIN \"{DOMAIN}\"\n\
         #!define HUSHBOX \"sip:{};transport=tls\"\n\
         #!define HUSHBOX_NET \"127.0.0.1/32\"\n\
         #!define LISTEN_PHONES tls:{phones}\n\
         #!define PHONES_NET \"127.0.0.1/32\"\n\
         #!define LISTEN_OUTSIDE tls:{outside}\n\
         #!define OUTSIDE_NET \"{outside_net}\"\n\
         #!define RING_MSECS {}\n\
         #!define PHONES_DB \"text://{}/phones\"\n",
        trial.address("tls"),
        RINGING.as_millis(),
        folder.display(),
    );
    std::fs::write(folder.join("values.cfg"), values).expect("written");
}

fn free_ports() -> [SocketAddr; 2] {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let listeners = [bind(), bind()];
    listeners.map(|l| l.local_addr().expect("an address"))
}

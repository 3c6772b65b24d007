//! Keys in files.
//!
//! ```text
//! KEYS/root.key         wraps the accounts' keys        KEYS/pepper.key       PIN verifiers
//! KEYS/node.key         signs manifests                 KEYS/service.key      digest secrets
//! KEYS/directory.pub    checks directory rows           DATA/directory.key    signs them; wrapped by the root key
//! ```
//!
//! A key file is text: a line that says what it is and in which version (`hushbox root key 1`), a line of hexadecimal.
//! So it can be printed and typed in again. Secret ones are 0600, and one that others may read is refused.
//!
//! The root key is read for each use and wiped after it. When it is missing or not the one that the data was made
//! with, the server records only ([`RootKeyState`]).

use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use hushbox_policy::Pepper;
use hushbox_store::keys::{KEY_LEN, KeyId, NONCE_LEN, RootKey, ServiceKey, WrappedKey};
use hushbox_store::signing::{DirectoryKey, NodeKey, VerifyingKey};
use hushbox_store::{BoxFuture, KeyError, KeyProvider, KeyReply, KeyRequest, unlock};
use zeroize::Zeroizing;

use crate::error::BackendError;
use crate::files::{read_private, read_public, write_new_private};
use crate::limits;
use crate::volume::folder::Folder;

/// What an operator does about a missing key other than the root key and the pepper.
const RESTORE: &str = "put the file back from your copy of the keys folder";

/// A key file: its name, and what its first line calls it.
struct Kind {
    file: &'static str,
    title: &'static str,
}

const ROOT: Kind = Kind { file: "root.key", title: "hushbox root key 1" };
const PEPPER: Kind = Kind { file: "pepper.key", title: "hushbox pepper 1" };
const NODE: Kind = Kind { file: "node.key", title: "hushbox node key 1" };
const SERVICE: Kind = Kind { file: "service.key", title: "hushbox service key 1" };
const DIRECTORY_PUBLIC: Kind =
    Kind { file: "directory.pub", title: "hushbox directory public key 1" };
const DIRECTORY: Kind =
    Kind { file: "directory.key", title: "hushbox directory signing key, wrapped 1" };

/// Whether messages can be opened.
#[derive(Debug)]
pub enum RootKeyState {
    /// The root key is there and is the data's.
    Usable(KeyId),
    /// It is not there: recording only.
    Missing(PathBuf),
    /// It is there and is another one: recording only.
    Wrong {
        /// The key that is there.
        found: KeyId,
        /// The key that the data was made with.
        expected: KeyId,
    },
    /// It is there and can't be used; the error says why: recording only.
    Unusable(BackendError),
}

impl RootKeyState {
    /// True when messages can't be opened.
    pub fn record_only(&self) -> bool {
        !matches!(self, RootKeyState::Usable(_))
    }
}

impl std::fmt::Display for RootKeyState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RootKeyState::Usable(id) => write!(f, "root key {id}"),
            RootKeyState::Missing(path) => write!(
                f,
                "no root key at {}: messages are recorded and can't be opened until it is back",
                path.display()
            ),
            RootKeyState::Wrong { found, expected } => write!(
                f,
                "root key {found} is not the one that this data was made with ({expected}): messages are recorded \
                 and can't be opened until the right one is back"
            ),
            RootKeyState::Unusable(error) => {
                write!(f, "{error}; until then messages are recorded and can't be opened")
            }
        }
    }
}

/// Keys that were just made; what needs them to begin with takes them from here.
pub struct NewKeys {
    /// Wraps the accounts' keys.
    pub root: RootKey,
    /// Makes PIN verifiers.
    pub pepper: Pepper,
    /// Signs manifests.
    pub node: NodeKey,
    /// Seals digest secrets.
    pub service: ServiceKey,
    /// Signs the directory's rows.
    pub directory: DirectoryKey,
}

/// A keys folder, and the data folder's wrapped directory key.
#[derive(Clone, Debug)]
pub struct KeyFiles {
    keys: PathBuf,
    data: PathBuf,
}

impl KeyFiles {
    /// Keys in these folders. Nothing is read yet.
    pub fn at(keys_folder: &Path, data_folder: &Path) -> KeyFiles {
        KeyFiles { keys: keys_folder.to_owned(), data: data_folder.to_owned() }
    }

    /// Makes every key, from the system's randomness, and writes the files. One that is there is an error: a key that
    /// is overwritten loses messages.
    pub fn create(&self) -> Result<NewKeys, BackendError> {
        Folder::open_or_create(&self.keys)?;
        Folder::open_or_create(&self.data)?;
        let root = self.create_random(&ROOT)?;
        let pepper = self.create_random(&PEPPER)?;
        let service = self.create_random(&SERVICE)?;
        let root = RootKey::from_bytes(&root);
        let node = NodeKey::generate().map_err(|error| self.cipher(&NODE, &error))?;
        self.write(&NODE, node.to_pkcs8())?;
        let directory =
            DirectoryKey::generate().map_err(|error| self.cipher(&DIRECTORY, &error))?;
        let mut nonce = [0; NONCE_LEN];
        self.fill(&mut nonce)?;
        let wrapped =
            directory.wrap(&root, nonce).map_err(|error| self.cipher(&DIRECTORY, &error))?;
        self.write(&DIRECTORY, wrapped.as_bytes())?;
        self.write(&DIRECTORY_PUBLIC, directory.public().as_bytes())?;
        let (pepper, service) = (Pepper::new(*pepper), ServiceKey::from_bytes(&service));
        Ok(NewKeys { root, pepper, node, service, directory })
    }

    /// Compares the root key with the id that the data folder keeps; none is kept before the first start.
    pub fn root_key_state(&self, expected: Option<KeyId>) -> RootKeyState {
        match self.root() {
            Ok(Some(root)) => match (root.id(), expected) {
                (found, Some(expected)) if found != expected => {
                    RootKeyState::Wrong { found, expected }
                }
                (found, _) => RootKeyState::Usable(found),
            },
            Ok(None) => RootKeyState::Missing(self.path(&ROOT)),
            Err(error) => RootKeyState::Unusable(error),
        }
    }

    /// The pepper; none on a node that only records.
    pub fn pepper(&self) -> Result<Option<Pepper>, BackendError> {
        Ok(self.read_symmetric(&PEPPER)?.map(|bytes| Pepper::new(*bytes)))
    }

    /// The key that signs this node's manifests.
    pub fn node_key(&self) -> Result<NodeKey, BackendError> {
        let bytes = self.read(&NODE)?.ok_or_else(|| self.missing(&NODE))?;
        NodeKey::from_pkcs8(&bytes).map_err(|error| self.cipher(&NODE, &error))
    }

    /// The key that seals digest secrets.
    pub fn service_key(&self) -> Result<ServiceKey, BackendError> {
        let bytes = self.read_symmetric(&SERVICE)?.ok_or_else(|| self.missing(&SERVICE))?;
        Ok(ServiceKey::from_bytes(&bytes))
    }

    /// The key that checks directory rows.
    pub fn directory_public_key(&self) -> Result<VerifyingKey, BackendError> {
        let bytes = self.read(&DIRECTORY_PUBLIC)?.ok_or_else(|| self.missing(&DIRECTORY_PUBLIC))?;
        VerifyingKey::from_slice(&bytes)
            .ok_or_else(|| self.damaged(&DIRECTORY_PUBLIC, "it holds no P-256 public key"))
    }

    /// The key that signs directory rows, for one change: it takes the root key.
    pub fn directory_key(&self) -> Result<DirectoryKey, BackendError> {
        let root = self.root()?.ok_or_else(|| self.missing(&ROOT))?;
        let wrapped = self.read(&DIRECTORY)?.ok_or_else(|| self.missing(&DIRECTORY))?;
        DirectoryKey::unwrap(&root, &WrappedKey::from_bytes(wrapped.to_vec()))
            .map_err(|error| self.cipher(&DIRECTORY, &error))
    }

    /// The root key, for one use.
    pub fn root(&self) -> Result<Option<RootKey>, BackendError> {
        Ok(self.read_symmetric(&ROOT)?.map(|bytes| RootKey::from_bytes(&bytes)))
    }

    fn path(&self, kind: &Kind) -> PathBuf {
        // The wrapped key lies with the data that it is for.
        let folder = if kind.file == DIRECTORY.file { &self.data } else { &self.keys };
        folder.join(kind.file)
    }

    fn create_random(&self, kind: &Kind) -> Result<Zeroizing<[u8; KEY_LEN]>, BackendError> {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        self.fill(bytes.as_mut_slice())?;
        self.write(kind, bytes.as_slice())?;
        Ok(bytes)
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), BackendError> {
        rand::fill(bytes).map_err(|_| self.damaged(&ROOT, "the system gave no randomness for it"))
    }

    fn write(&self, kind: &Kind, key: &[u8]) -> Result<(), BackendError> {
        let mut text = Zeroizing::new(String::with_capacity(kind.title.len() + 2 * key.len() + 2));
        let mut digits = Zeroizing::new(vec![0; 2 * key.len()]);
        let encoded = hex::encode_to_slice(key, &mut digits).is_ok();
        let digits = std::str::from_utf8(&digits).ok().filter(|_| encoded);
        let digits = digits.ok_or_else(|| self.damaged(kind, "it can't be written"))?;
        for part in [kind.title, "\n", digits, "\n"] {
            text.push_str(part);
        }
        write_new_private(&self.path(kind), text.as_bytes())
    }

    fn read(&self, kind: &Kind) -> Result<Option<Zeroizing<Vec<u8>>>, BackendError> {
        let path = self.path(kind);
        let secret = kind.file != DIRECTORY_PUBLIC.file;
        let read = if secret { read_private } else { read_public };
        let Some(text) = read(&path, limits::KEY_FILE_BYTES_MAX)? else { return Ok(None) };
        let text = std::str::from_utf8(&text).map_err(|_| self.damaged(kind, "it is no text"))?;
        let mut lines = text.lines().map(str::trim);
        let title = lines.next().unwrap_or_default();
        if title != kind.title {
            return Err(self.other_title(kind, title));
        }
        let digits = lines.next().unwrap_or_default();
        let mut key = Zeroizing::new(vec![0; digits.len() / 2]);
        let decoded = hex::decode_to_slice(digits, &mut key).is_ok();
        if !decoded || lines.any(|line| !line.is_empty()) {
            return Err(self.damaged(kind, "its second line is no hexadecimal, or more follows"));
        }
        Ok(Some(key))
    }

    fn read_symmetric(
        &self,
        kind: &Kind,
    ) -> Result<Option<Zeroizing<[u8; KEY_LEN]>>, BackendError> {
        let Some(bytes) = self.read(kind)? else { return Ok(None) };
        let mut key = Zeroizing::new([0; KEY_LEN]);
        if bytes.len() != KEY_LEN {
            return Err(self.damaged(kind, "it is not of 32 bytes"));
        }
        key.copy_from_slice(&bytes);
        Ok(Some(key))
    }

    fn other_title(&self, kind: &Kind, title: &str) -> BackendError {
        let (name, _) = kind.title.rsplit_once(' ').unwrap_or_default();
        let version = title.strip_prefix(name).and_then(|rest| rest.trim().parse().ok());
        match version {
            Some(version) => BackendError::UnknownVersion { path: self.path(kind), version },
            None => self.damaged(kind, &format!("its first line is not `{}`", kind.title)),
        }
    }

    fn missing(&self, kind: &Kind) -> BackendError {
        BackendError::Missing { path: self.path(kind), what_to_do: RESTORE }
    }

    fn damaged(&self, kind: &Kind, what: &str) -> BackendError {
        BackendError::Damaged { path: self.path(kind), what: what.to_owned() }
    }

    fn cipher(&self, kind: &Kind, error: &KeyError) -> BackendError {
        self.damaged(kind, &error.to_string())
    }
}

impl KeyProvider for KeyFiles {
    fn run(&self, request: KeyRequest) -> BoxFuture<'_, Result<KeyReply, KeyError>> {
        let files = self.clone();
        Box::pin(async move {
            let unlocked = tokio::task::spawn_blocking(move || {
                let root = match files.root() {
                    Ok(Some(root)) => root,
                    Ok(None) => {
                        return Err(KeyError::Missing(files.path(&ROOT).display().to_string()));
                    }
                    Err(error) => return Err(KeyError::Missing(error.to_string())),
                };
                // The root key ends here, and is wiped.
                unlock(&root, request)
            });
            unlocked.await.unwrap_or(Err(KeyError::Cipher))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn made() -> (tempfile::TempDir, KeyFiles) {
        let folder = tempfile::tempdir().unwrap();
        let files = KeyFiles::at(&folder.path().join("keys"), &folder.path().join("data"));
        (folder, files)
    }

    #[test]
    fn keys_read_back_and_their_files_are_private() {
        let (folder, files) = made();
        let new = files.create().unwrap();
        assert_eq!(files.node_key().unwrap().public(), new.node.public());
        assert_eq!(files.directory_public_key().unwrap(), new.directory.public());
        assert_eq!(files.directory_key().unwrap().public(), new.directory.public());
        assert!(files.pepper().unwrap().is_some());
        files.service_key().unwrap();
        let id = new.root.id();
        assert!(
            matches!(files.root_key_state(Some(id)), RootKeyState::Usable(found) if found == id)
        );
        for entry in std::fs::read_dir(folder.path().join("keys")).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(
            std::fs::metadata(folder.path().join("keys")).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn keys_are_never_overwritten() {
        let (_folder, files) = made();
        let id = files.create().unwrap().root.id();
        assert!(files.create().is_err());
        assert!(!files.root_key_state(Some(id)).record_only());
    }

    #[test]
    fn a_missing_or_wrong_root_key_means_recording_only() {
        let (folder, files) = made();
        let id = files.create().unwrap().root.id();
        let root = folder.path().join("keys/root.key");
        std::fs::rename(&root, folder.path().join("away")).unwrap();
        let state = files.root_key_state(Some(id));
        assert!(matches!(state, RootKeyState::Missing(_)) && state.record_only());
        assert!(matches!(files.directory_key(), Err(BackendError::Missing { .. })));
        files.create_random(&ROOT).unwrap();
        let state = files.root_key_state(Some(id));
        assert!(matches!(state, RootKeyState::Wrong { expected, .. } if expected == id));
        assert!(state.to_string().contains("not the one that this data was made with"));
        assert!(files.directory_key().is_err());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_and_the_message_says_what_to_run() {
        let (folder, files) = made();
        files.create().unwrap();
        let root = folder.path().join("keys/root.key");
        std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o640)).unwrap();
        let state = files.root_key_state(None);
        assert!(state.record_only());
        assert!(state.to_string().contains("chmod 600"), "{state}");
    }

    #[test]
    fn damaged_files_and_later_versions_are_named() {
        let (folder, files) = made();
        files.create().unwrap();
        let path = folder.path().join("keys/service.key");
        let text = std::fs::read_to_string(&path).unwrap();
        for (content, version) in [
            (text.replace("key 1", "key 2"), true),
            (text.replace("service", "root"), false),
            (text.replace('\n', ""), false),
            (text[..text.len() - 3].to_owned(), false),
            (format!("{text}00\n"), false),
            (String::new(), false),
        ] {
            std::fs::write(&path, &content).unwrap();
            let error = files.service_key().map(|_| ()).unwrap_err();
            assert_eq!(matches!(error, BackendError::UnknownVersion { version: 2, .. }), version);
            assert!(error.to_string().contains("service.key"), "{error}");
        }
    }

    #[test]
    fn a_printed_key_typed_in_again_with_other_line_ends_is_read() {
        let (folder, files) = made();
        let id = files.create().unwrap().root.id();
        let path = folder.path().join("keys/root.key");
        let text = std::fs::read_to_string(&path)
            .unwrap()
            .to_uppercase()
            .replace("HUSHBOX ROOT KEY", "hushbox root key");
        std::fs::write(&path, text.replace('\n', "\r\n\r\n").replacen("\r\n\r\n", "\r\n", 1))
            .unwrap();
        assert!(!files.root_key_state(Some(id)).record_only());
    }
}

//! The one who changes the directory: keys to sign with, one change at a time, and everybody told of the new one.

use std::fmt;
use std::sync::Arc;

use hushbox_backend::BackendError;
use hushbox_backend::key_files::KeyFiles;
use hushbox_policy::Pepper;
use hushbox_store::keys::{RootKey, ServiceKey};
use hushbox_store::signing::{DirectoryKey, VerifyingKey};
use hushbox_store::{CertificateOwner, Directory};
use tokio::sync::{Mutex, MutexGuard, mpsc};

use crate::client_certificates::ClientCertificates;
use crate::exceptions;
use crate::records::CertificateRecords;
use crate::services::Services;
use crate::signalling::ToSignallingTask;

/// What changes need and whom they concern.
pub struct DirectoryWriter {
    keys: KeyFiles,
    realm: String,
    clients: Option<Arc<ClientCertificates<CertificateOwner>>>,
    signalling: mpsc::UnboundedSender<ToSignallingTask>,
    one: Mutex<()>,
}

/// The secrets of one change. They are read for it and wiped after it.
pub struct ChangeKeys {
    /// Wraps accounts' keys.
    pub root: RootKey,
    /// Makes PIN verifiers.
    pub pepper: Pepper,
    /// Seals digest secrets.
    pub service: ServiceKey,
    /// Signs rows.
    pub directory: DirectoryKey,
}

impl fmt::Debug for DirectoryWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectoryWriter").field("realm", &self.realm).finish_non_exhaustive()
    }
}

impl DirectoryWriter {
    /// With these keys. `clients` are the TLS listener's, if there is one.
    pub fn new(
        keys: KeyFiles,
        realm: String,
        clients: Option<Arc<ClientCertificates<CertificateOwner>>>,
        signalling: mpsc::UnboundedSender<ToSignallingTask>,
    ) -> Self {
        Self { keys, realm, clients, signalling, one: Mutex::new(()) }
    }

    /// Waits for its turn: changes are made one after the other.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.one.lock().await
    }

    /// The realm of digest secrets.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// Reads the secrets of one change; none where the server only records.
    pub fn keys(&self) -> Result<Option<ChangeKeys>, BackendError> {
        let (Some(root), Some(pepper)) = (self.keys.root()?, self.keys.pepper()?) else {
            return Ok(None);
        };
        let (service, directory) = (self.keys.service_key()?, self.keys.directory_key()?);
        Ok(Some(ChangeKeys { root, pepper, service, directory }))
    }

    /// What checks rows.
    pub fn public_key(&self) -> Result<VerifyingKey, BackendError> {
        self.keys.directory_public_key()
    }

    /// Tells everybody of the directory of the moment: commands, the TLS listener, signalling, and by it live calls.
    pub fn publish(&self, services: &Services, directory: Directory) {
        let directory = Arc::new(directory);
        let before = exceptions::of_directory(&services.directory());
        let now = exceptions::of_directory(&directory);
        exceptions::announce(now.into_iter().filter(|one| !before.contains(one)));
        services.set_directory(Arc::clone(&directory));
        if let Some(clients) = &self.clients {
            clients.set_records(Arc::new(CertificateRecords(Arc::clone(&directory))));
        }
        if self.signalling.send(ToSignallingTask::Directory(directory)).is_err() {
            tracing::debug!("the directory changed while the server was stopping");
        }
    }
}

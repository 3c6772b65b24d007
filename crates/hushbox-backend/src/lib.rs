//! What store and audit of a voicemail server ask for, for real: SQLite, folders, files, key providers.
//!
//! Nothing here decides who may do what, and nothing here sees a message's audio unsealed: bytes come in sealed, and a
//! private key leaves [`key_files`] only inside the store's `OpenMailbox`. What can be lost by a crash is written so
//! that [`volume::sim`] can show it is not.

pub mod audit_file;
pub mod error;
mod files;
pub mod folder_lock;
pub mod index;
pub mod key_files;
pub mod limits;
pub mod lockout_file;
pub mod memory;
pub mod objects;
pub mod spool;
pub mod volume;

pub use audit_file::{AuditFile, AuditOptions, AuditReader, AuditSpace};
pub use error::BackendError;
pub use folder_lock::FolderLock;
pub use index::sqlite::SqliteIndex;
pub use key_files::{KeyFiles, RootKeyState};
pub use lockout_file::LockoutFile;
pub use memory::{MemoryIndex, MemoryObjects};
pub use objects::FolderObjects;
pub use spool::{Spool, SpoolOptions};
pub use volume::folder::Folder;

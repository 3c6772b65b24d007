//! A data folder as version 1 wrote it: `tests/golden/1` stays readable for ever, and its message is heard.
//!
//! Its keys are of no other use. `HUSHBOX_WRITE_GOLDEN=1 cargo test -p hushbox-backend golden` makes another; do that for
//! a new version only, beside the old one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hushbox_audit::Verifier;
use hushbox_backend::lockout_file::LOCKOUT_FILE;
use hushbox_backend::{Folder, LockoutFile};
use hushbox_policy::lockout::{CounterRow, Hold, LockKey};
use hushbox_policy::{DeviceId, PersonId};

use crate::support::sound;
use crate::whole_path::{House, quickstart};

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/1")
}

fn counter() -> CounterRow {
    let key = LockKey::Pair(PersonId::from_bytes([1; 16]), DeviceId::from_bytes([2; 16]));
    CounterRow {
        key,
        failures: 10,
        locks: 1,
        numbers: 0,
        hold: Hold::Locked(Duration::from_secs(900)),
    }
}

fn copy(from: &Path, to: &Path, wanted: &dyn Fn(&str) -> bool) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let (source, target) = (entry.path(), to.join(&name));
        if !wanted(&name) {
            continue;
        }
        if source.is_dir() {
            copy(&source, &target, wanted);
        } else {
            fs::copy(&source, &target).unwrap();
            // Git keeps no permissions, and a key that others may read is refused.
            fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

async fn write() {
    let dir = tempfile::tempdir().unwrap();
    quickstart(dir.path()).await;
    let mut house = House::open(dir.path()).await;
    house.record(1, 3, true).await;
    drop(house);
    let mut house = House::open(dir.path()).await;
    house.deliver(usize::MAX).await;
    let data = dir.path().join("data");
    let (mut lockout, _) = LockoutFile::open(&Folder::open_or_create(&data).unwrap()).unwrap();
    lockout.write(&[counter()]).unwrap();
    house.close().await;
    // What follows the first slots are zeros.
    fs::File::options().write(true).open(data.join(LOCKOUT_FILE)).unwrap().set_len(5 * 64).unwrap();
    copy(dir.path(), &golden(), &|name| name != "spool" && name != "lock");
}

#[tokio::test]
async fn a_data_folder_of_version_1_opens_and_its_message_is_heard() {
    if std::env::var_os("HUSHBOX_WRITE_GOLDEN").is_some() {
        write().await;
    }
    let dir = tempfile::tempdir().unwrap();
    copy(&golden(), dir.path(), &|_| true);
    let mut house = House::open(dir.path()).await;
    let open = house.log_in().await;
    let rows = house.messages(&open).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(house.heard(&open, &rows[0]).await, sound(1, 3));
    assert_eq!(house.audit().verify(Verifier::new()).unwrap().count, 3);
    house.directory_key();
    let folder = Folder::open_or_create(&dir.path().join("data")).unwrap();
    let (mut lockout, loaded) = LockoutFile::open(&folder).unwrap();
    assert_eq!((loaded.rows, loaded.damaged), (vec![counter()], 0));
    lockout.write(&[CounterRow { failures: 11, ..counter() }]).unwrap();
}

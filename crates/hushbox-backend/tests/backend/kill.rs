//! Real processes, really killed: what was said to be durable is there.
//!
//! The test starts itself as another process that records, delivers and says what is durable; it is killed in the middle
//! of that, and whatever it said must hold.

#![expect(clippy::disallowed_methods, reason = "a test composes what the server composes")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use hushbox_audit::{Event, EventName, Log, Verifier, Who};
use hushbox_backend::{AuditFile, AuditOptions, Folder, Spool, SpoolOptions, SqliteIndex};
use hushbox_policy::MessageId;
use hushbox_store::{Index, IndexReply, IndexRequest, Recovery};

use crate::support::{Installation, MAILBOX, NODE, message, now, recorded, sound, start};

const FOLDER: &str = "HUSHBOX_TEST_KILLED_IN";
const OPTIONS: SpoolOptions = SpoolOptions { segment_bytes: 1 << 17 };

fn open_audit(data: &Path) -> (AuditFile, hushbox_audit::Resume) {
    let folder = Arc::new(Folder::open_or_create(&data.join("audit")).unwrap());
    let options = AuditOptions { segment_bytes: 4096, ..AuditOptions::default() };
    let (file, opened) = AuditFile::open(folder, NODE, options).unwrap();
    (file, opened.resume)
}

/// Records, writes down and indexes messages for ever, and says what of it is durable.
async fn work(data: &Path) {
    let (mut spool, _) = Spool::open(data, 0, OPTIONS).unwrap();
    let (mut audit, resume) = open_audit(data);
    let mut log = Log::new(NODE, resume, now());
    let index = SqliteIndex::create(data).await.unwrap();
    let mut house = Installation::new();
    let public_key = house.public_key(MAILBOX);
    let say = |what: &str, byte: u8| {
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "\n{what} {byte}").unwrap();
        stdout.flush().unwrap();
    };
    for byte in 1..=u8::MAX {
        let mut last = None;
        for record in recorded(&start(byte, MAILBOX, public_key), 20) {
            last = Some(spool.append(&record).unwrap());
        }
        spool.sync();
        while Some(spool.synced().await.synced) < last {}
        say("saved", byte);
        log.append_event(now(), Event::new(EventName::ALL[0], Who::System));
        let batch = log.take_batch().unwrap();
        audit.append(&batch).unwrap();
        say("written", byte);
        let row = house.delivered(byte, MAILBOX, 1).0;
        index.run(IndexRequest::InsertMessage(Box::new(row))).await.unwrap();
        say("indexed", byte);
        if byte.is_multiple_of(3) {
            say("freeing", byte);
            spool.delivered(message(byte)).unwrap();
            spool.synced().await;
        }
    }
}

/// Kills the worker after so many lines; what it had said by then, and in the moment.
fn said_before_the_kill(data: &Path, lines: usize) -> Vec<(String, u8)> {
    let mut worker = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::what_was_said_to_be_durable_survives_kill_9", "--nocapture"])
        .env(FOLDER, data)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    let mut output = BufReader::new(worker.stdout.take().unwrap()).lines();
    while let Some(Ok(line)) = output.next() {
        if let Some((what, byte)) = line.split_once(' ')
            && let Ok(byte) = byte.parse()
        {
            said.push((what.to_owned(), byte));
        }
        if said.len() == lines {
            // SIGKILL on Unix.
            worker.kill().unwrap();
        }
    }
    worker.wait().unwrap();
    assert!(said.len() >= lines, "the worker ended by itself after {said:?}");
    said
}

fn messages(said: &[(String, u8)], wanted: &str) -> BTreeSet<MessageId> {
    said.iter().filter(|(what, _)| what == wanted).map(|(_, byte)| message(*byte)).collect()
}

#[tokio::test]
async fn what_was_said_to_be_durable_survives_kill_9() {
    if let Some(data) = std::env::var_os(FOLDER) {
        return work(&PathBuf::from(data)).await;
    }
    for lines in [1, 2, 3, 5, 9, 11, 20, 33] {
        let data = tempfile::tempdir().unwrap();
        let said = said_before_the_kill(data.path(), lines);
        let (spool, recovered) = Spool::open(data.path(), 0, OPTIONS).unwrap();
        let found: BTreeSet<MessageId> = recovered.messages.iter().map(|one| one.message).collect();
        let freed = messages(&said, "freeing");
        for saved in messages(&said, "saved").difference(&freed) {
            assert!(found.contains(saved), "{saved} of {said:?} is gone");
            let mut recovery = Recovery::new();
            let records = spool.reader(*saved).unwrap().read().unwrap();
            records.iter().for_each(|record| recovery.record(record));
            let whole = recovery.finish().messages.remove(0);
            assert!(whole.last.is_some() && !whole.damaged);
        }
        assert_eq!((recovered.holes, recovered.headless), (0, vec![]));
        let (audit, resume) = open_audit(data.path());
        let written = messages(&said, "written").len() as u64;
        assert!(
            (written..=written + 1).contains(&resume.next_seq),
            "{} of {written}",
            resume.next_seq
        );
        assert_eq!(audit.reader().verify(Verifier::new()).unwrap().count, resume.next_seq);
        let index = SqliteIndex::open(data.path()).await.unwrap();
        for indexed in messages(&said, "indexed") {
            let reply = index.run(IndexRequest::Message(indexed)).await.unwrap();
            assert!(matches!(reply, IndexReply::Message(Some(_))), "{indexed} of {said:?} is gone");
        }
        let mut bytes = Vec::new();
        crate::whole_path::every_byte(data.path(), &mut bytes);
        assert!(!crate::whole_path::holds(&bytes, &sound(1, 1)[..64]), "sound in clear");
    }
}

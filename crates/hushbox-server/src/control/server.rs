//! The server's end of the control socket.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{Reply, Request};
use crate::limits;
use crate::operator::Operator;

/// Replies that wait for a slow command.
const REPLIES_QUEUE: usize = 16;

/// Serves commands until the task is dropped.
pub async fn serve(listener: UnixListener, operator: Operator) {
    let slots = Arc::new(Semaphore::new(limits::CONTROL_CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                    tracing::warn!("a command was turned away: too many at once");
                    continue;
                };
                let operator = operator.clone();
                tokio::spawn(async move {
                    if let Err(error) = connection(stream, &operator).await {
                        tracing::debug!(%error, "a command went away");
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "no command can be taken");
                tokio::time::sleep(limits::ACCEPT_REST).await;
            }
        }
    }
}

async fn connection(stream: UnixStream, operator: &Operator) -> std::io::Result<()> {
    // The kernel's word, not the peer's.
    let uid = stream.peer_cred()?.uid();
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read.take(0));
    loop {
        read.get_mut().set_limit(limits::CONTROL_LINE_BYTES as u64);
        let mut line = Zeroizing::new(Vec::new());
        let count = match timeout(limits::CONTROL_IDLE, read.read_until(b'\n', &mut line)).await {
            Ok(count) => count?,
            Err(_) => return Ok(()),
        };
        if count == 0 {
            return Ok(());
        }
        let request = match serde_json::from_slice::<Request>(&line) {
            Ok(request) => request,
            // Not the text of the error: it may quote a PIN.
            Err(_) => {
                write_line(
                    &mut write,
                    &Reply::Refused("this server does not know that request".to_owned()),
                )
                .await?;
                return Ok(());
            }
        };
        answer(request, uid, operator, &mut write).await?;
    }
}

async fn answer(
    request: Request,
    uid: u32,
    operator: &Operator,
    write: &mut (impl AsyncWriteExt + Unpin),
) -> std::io::Result<()> {
    let (replies, queue) = mpsc::channel(REPLIES_QUEUE);
    let doing = async move {
        let done = operator.run(request, uid, &replies).await;
        drop(replies);
        done
    };
    let writing = async {
        // Moved in: when writing fails the queue closes, and what was being done ends.
        let mut queue = queue;
        while let Some(reply) = queue.recv().await {
            timeout(limits::WRITE_MAX, write_line(write, &reply)).await??;
        }
        Ok::<_, std::io::Error>(())
    };
    let (done, written) = tokio::join!(doing, writing);
    written?;
    match done {
        Ok(()) => write_line(write, &Reply::End).await,
        Err(error) => write_line(write, &Reply::Refused(error.to_string())).await,
    }
}

async fn write_line(
    write: &mut (impl AsyncWriteExt + Unpin),
    reply: &Reply,
) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    write.write_all(&line).await?;
    write.flush().await
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::path::Path;

    use hushbox_audit::{Event, EventName};
    use hushbox_backend::key_files::KeyFiles;
    use hushbox_policy::{MessageId, Profile};
    use hushbox_store::{IndexRequest, MessageRow, MessageState, ObjectKey, SignedManifest};

    use super::*;
    use crate::config::Config;
    use crate::control::client::{self, ControlError};
    use crate::control::socket::{SocketPath, bind};
    use crate::control::{InTheNameOf, Secret};
    use crate::directory_writer::DirectoryWriter;
    use crate::operator::Status;
    use crate::server::data::tests::open_trial;
    use crate::services::Services;
    use crate::trial::Trial;

    /// A trial whose commands are served, without calls.
    async fn serving(parent: &Path) -> Config {
        serving_with(parent).await.0
    }

    async fn serving_with(parent: &Path) -> (Config, Arc<Services>) {
        let (config, services) = open_trial(parent).await;
        let listener = bind(config.socket_folder(), Config::SOCKET).expect("bound");
        let status = Status { sip: crate::trial::Sip::default(), record_only: false };
        let keys = KeyFiles::at(&config.keys, &config.data);
        let (says, _) = tokio::sync::mpsc::unbounded_channel();
        let writer = DirectoryWriter::new(keys, config.realm.clone(), None, says.clone());
        let operator = Operator::new(Arc::clone(&services), Arc::new(writer), says, status);
        tokio::spawn(serve(listener, operator));
        (config, services)
    }

    /// Puts a message into a mailbox of the clinic that nobody can open.
    async fn garbage(services: &Services, number: &str, byte: u8) -> MessageId {
        let directory = services.directory();
        let mailbox = directory.mailboxes().find(|m| m.number.as_str() == number).expect("there");
        let id = MessageId::from_parts(1, [byte; 10]);
        let row = MessageRow {
            id,
            account: mailbox.account,
            mailbox: mailbox.id,
            epoch: mailbox.epoch,
            profile: Profile::Hipaa,
            state: MessageState::New,
            previous_state: None,
            received_at: jiff::Timestamp::UNIX_EPOCH,
            samples: 8_000,
            sample_rate: 8_000,
            truncated: false,
            sealed_key: vec![byte; 114],
            sealed_envelope: vec![byte; 60],
            manifest: SignedManifest { bytes: b"none".to_vec(), signature: vec![0; 64] },
            audit_seq: 0,
            object_key: ObjectKey::of_message(id),
            remaining: None,
        };
        services.index.run(IndexRequest::InsertMessage(Box::new(row))).await.expect("inserted");
        id
    }

    /// What the audit log has, by name, with the mailbox and the message.
    async fn audited(config: &Config, services: &Services, name: EventName) -> Vec<Event> {
        // Once this is written down, everything before it is.
        ask(config, &Request::MailboxList).expect("rows");
        let records = (0..).map_while(|seq| services.audit_reader.record(seq).expect("readable"));
        records.map(|record| record.event).filter(|event| event.name == name).collect()
    }

    fn by_7900(config: &Config) -> InTheNameOf {
        let trial = Trial::read(&config.trial_file()).expect("readable");
        InTheNameOf {
            person: "7900".to_owned(),
            pin: Secret::new(trial.accounts[0].staff[0].pin.expose().to_owned()),
            reason: "a test".to_owned(),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_message_that_does_not_open_is_shown_without_its_caller_and_hides_no_other() {
        let parent = tempfile::tempdir().expect("a folder");
        let (config, services) = serving_with(parent.path()).await;
        let bad = [garbage(&services, "1001", 1).await, garbage(&services, "1001", 2).await];
        let reveal = Request::MessageList { mailbox: None, reveal: Some(by_7900(&config)) };
        let rows = ask(&config, &reveal).expect("every row is shown");
        let errors: Vec<_> = rows.iter().map(|row| row["caller_error"].clone()).collect();
        assert_eq!(errors, ["damaged", "damaged"]);
        assert!(rows.iter().all(|row| row["caller_number"].is_null()));
        let written = audited(&config, &services, EventName::IntegrityFailure).await;
        assert_eq!(written.iter().filter_map(|event| event.message).collect::<Vec<_>>(), bad);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_export_of_a_damaged_message_is_written_down_and_says_what_to_do() {
        let parent = tempfile::tempdir().expect("a folder");
        let (config, services) = serving_with(parent.path()).await;
        let bad = garbage(&services, "1001", 1).await;
        let export = Request::MessageExport { id: bad.to_string(), by: by_7900(&config) };
        let said = refusal(&config, &export);
        assert!(said.contains("backup") && said.contains("docs/operations.md"), "{said}");
        let written = audited(&config, &services, EventName::IntegrityFailure).await;
        assert_eq!(written.iter().filter_map(|event| event.message).collect::<Vec<_>>(), [bad]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_refused_reveal_is_written_down_once_a_mailbox_as_a_refused_export_is() {
        let parent = tempfile::tempdir().expect("a folder");
        let (config, services) = serving_with(parent.path()).await;
        let message = garbage(&services, "2001", 1).await;
        garbage(&services, "2001", 2).await;
        let reveal = Request::MessageList { mailbox: None, reveal: Some(by_7900(&config)) };
        let rows = ask(&config, &reveal).expect("rows without callers");
        assert!(rows.iter().all(|row| row["caller_number"].is_null()));
        let written = audited(&config, &services, EventName::AccessRefused).await;
        assert_eq!(written.len(), 1, "once, and not for each message");
        assert!(written[0].mailbox.is_some() && written[0].message.is_none());
        assert!(written[0].rule.is_some() && written[0].uid.is_some());

        let export = Request::MessageExport { id: message.to_string(), by: by_7900(&config) };
        assert!(refusal(&config, &export).contains("refused"));
        let written = audited(&config, &services, EventName::AccessRefused).await;
        assert_eq!(written.last().and_then(|event| event.message), Some(message));
    }

    fn ask(config: &Config, request: &Request) -> Result<Vec<serde_json::Value>, ControlError> {
        tokio::task::block_in_place(|| client::rows(config, request))
    }

    fn refusal(config: &Config, request: &Request) -> String {
        match ask(config, request) {
            Err(ControlError::Refused(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn listings_are_answered_row_by_row() {
        let parent = tempfile::tempdir().expect("a folder");
        let config = serving(parent.path()).await;
        let rows = ask(&config, &Request::MailboxList).expect("rows");
        let numbers: Vec<&str> = rows.iter().filter_map(|row| row["number"].as_str()).collect();
        assert_eq!(numbers, ["1001", "1002", "1099", "2001"]);
        assert_eq!((&rows[0]["account"], &rows[0]["new"]), (&"clinic".into(), &0.into()));
        let list = |mailbox: &str| Request::MessageList {
            mailbox: Some(mailbox.to_owned()),
            reveal: None,
        };
        assert!(ask(&config, &list("clinic/1001")).expect("rows").is_empty());
        assert!(refusal(&config, &list("trial/1001")).contains("no mailbox"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_person_is_asked_for_the_pin_and_ten_wrong_ones_lock() {
        let parent = tempfile::tempdir().expect("a folder");
        let config = serving(parent.path()).await;
        let trial = Trial::read(&config.trial_file()).expect("readable");
        let by = |pin: &str| Request::MessageList {
            mailbox: None,
            reveal: Some(InTheNameOf {
                person: "7900".to_owned(),
                pin: Secret::new(pin.to_owned()),
                reason: "a test".to_owned(),
            }),
        };
        let right = trial.accounts[0].staff[0].pin.clone();
        assert!(ask(&config, &by(right.expose())).expect("rows").is_empty());
        for pin in ["00000000", "not digits", ""].iter().cycle().take(10) {
            assert!(refusal(&config, &by(pin)).contains("not right"));
        }
        assert!(
            refusal(&config, &by(right.expose())).contains("too many"),
            "also for the right one"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_not_a_request_is_refused_without_being_repeated() {
        let parent = tempfile::tempdir().expect("a folder");
        let config = serving(parent.path()).await;
        let answer = tokio::task::block_in_place(|| {
            let at = SocketPath::new(config.socket_folder(), Config::SOCKET).expect("a path");
            let mut stream = std::os::unix::net::UnixStream::connect(at.path()).expect("connected");
            stream.write_all(b"{\"open_everything\":{\"pin\":\"73519264\"}}\n").expect("written");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("read");
            answer
        });
        assert!(answer.contains("refused") && !answer.contains("73519264"), "{answer}");
    }
}

//! `message export`

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hushbox_audit::{AuditError, AuditReply, AuditRequest, Authorised, EventExtra};
use hushbox_media::recording::Decoder;
use hushbox_policy::Export;
use hushbox_store::{
    Directory, KeyReply, KeyRequest, MailboxKeys, MessageRow, ObjectsReply, ObjectsRequest, Player,
};

use super::unopened::Unopened;
use super::{Operator, OperatorError, Replies, reason, send};
use crate::control::{InTheNameOf, Reply};
use crate::decisions;

/// Samples a second of everything that is exported.
const SAMPLE_RATE: u32 = 8_000;

impl Operator {
    pub(super) async fn message_export(
        &self,
        uid: u32,
        id: &str,
        by: &InTheNameOf,
        replies: &Replies,
    ) -> Result<(), OperatorError> {
        let reason = reason(&by.reason)?;
        let proved = self.prove(by, uid).await?;
        let row = self.row_of(id).await?;
        let directory = self.services.directory();
        let permit =
            decisions::export(proved.0, &reason, &row, &directory, self.services.clock.now())
                .inspect_err(|denied| self.refused(&proved, uid, &row, *denied))?;
        let AuditReply::Export(authorised) =
            self.services.audit.write(AuditRequest::Export(permit), EventExtra::default()).await?
        else {
            return Err(AuditError::Unavailable.into());
        };
        let sent = self.open_and_send(authorised, &row, &directory, replies).await;
        sent.map_err(|error| match self.unopened(&proved, uid, &row, &error) {
            Some(Unopened::Damaged) => OperatorError::Damaged(error.to_string()),
            Some(Unopened::Unreadable | Unopened::Key) => {
                OperatorError::Unreadable(error.to_string())
            }
            None => error,
        })
    }

    async fn open_and_send(
        &self,
        authorised: Authorised<Export>,
        row: &MessageRow,
        directory: &Directory,
        replies: &Replies,
    ) -> Result<(), OperatorError> {
        let opening = self.services.opening.as_ref().ok_or(OperatorError::RecordOnly)?;
        let keys = MailboxKeys::in_directory(directory, row.mailbox)
            .ok_or_else(|| OperatorError::Unknown("the message's mailbox is gone".to_owned()))?;
        let KeyReply::Export(export) =
            opening.keys.run(KeyRequest::Export { authorised, keys }).await?
        else {
            return Err(OperatorError::RecordOnly);
        };
        let audited = self.services.audited_manifest(row.id, row.audit_seq).await?;
        let player = export.open(row, directory, audited)?;
        self.send_audio(player, replies).await
    }

    async fn send_audio(&self, mut player: Player, replies: &Replies) -> Result<(), OperatorError> {
        let mut decoder = Decoder::default();
        let mut announced = false;
        loop {
            let frames = player.next_frames()?;
            // Nothing is said before the whole object was found to be what was recorded.
            if player.verified() && !announced {
                send(replies, Reply::AudioFormat { sample_rate: SAMPLE_RATE }).await?;
                announced = true;
            }
            match frames {
                Some(frames) => {
                    decoder.push(&frames)?;
                    send_samples(&mut decoder, replies).await?;
                }
                None => {
                    let Some(range) = player.wanted() else { break };
                    let key = player.object_key().clone();
                    match self.services.objects.run(ObjectsRequest::Get { key, range }).await? {
                        ObjectsReply::Bytes(bytes) => player.push(&bytes)?,
                        _ => {
                            return Err(OperatorError::Unknown(
                                "the object store answered something else".to_owned(),
                            ));
                        }
                    }
                }
            }
        }
        decoder.finish();
        send_samples(&mut decoder, replies).await
    }
}

async fn send_samples(decoder: &mut Decoder, replies: &Replies) -> Result<(), OperatorError> {
    loop {
        let samples = decoder.pull();
        if samples.is_empty() {
            return Ok(());
        }
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        send(replies, Reply::Audio(STANDARD.encode(bytes))).await?;
    }
}

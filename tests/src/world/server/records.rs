//! The audit log.

use hushbox_audit::{
    AuditError, AuditReply, AuditRequest, Durable, EventExtra, FrameReader, Record,
};
use hushbox_call::call;
use hushbox_policy::{CallId, MessageId, Now};
use hushbox_store::Audited;

use super::{Reply, Server};
use crate::world::{AUDIT_DELAY, Agenda, Happening};

impl Server {
    pub(super) fn audit(
        &mut self,
        now: Now,
        id: CallId,
        request: AuditRequest,
        agenda: &mut Agenda,
    ) {
        if self.audit_fails {
            self.call(now, id, call::Input::Audit(Err(AuditError::Unavailable)), agenda);
            return;
        }
        let extra = EventExtra { call: Some(id), ..EventExtra::default() };
        let pending = self.log.submit(now, request, extra);
        self.pending.push((Some(id), pending));
        agenda.plan(now.monotonic + AUDIT_DELAY, Happening::Server(Reply::AuditSynced));
    }

    pub(super) fn audit_synced(&mut self, now: Now, agenda: &mut Agenda) {
        let Some(durable) = self.sync_log() else { return };
        for (id, pending) in std::mem::take(&mut self.pending) {
            let reply: AuditReply = pending.confirmed(&durable).expect("in this batch");
            if let Some(id) = id {
                self.call(now, id, call::Input::Audit(Ok(reply)), agenda);
            }
        }
    }

    fn sync_log(&mut self) -> Option<Durable> {
        let batch = self.log.take_batch()?;
        self.installation.audit.extend_from_slice(batch.bytes());
        for record in read_log(batch.bytes()) {
            self.notes.push_back(format!("audit   {}", record.event.name));
            self.records.push(record);
        }
        Some(batch.synced())
    }
}

/// Every record in some frames of the log.
pub(super) fn read_log(bytes: &[u8]) -> Vec<Record> {
    let mut reader = FrameReader::new();
    reader.push(bytes);
    let mut records = Vec::new();
    while let Some(frame) = reader.next_frame().expect("whole frames") {
        records.push(Record::from_bytes(frame.record).expect("a record"));
    }
    records
}

pub(super) fn audited(records: &[Record], message: MessageId) -> Option<Audited> {
    records.iter().filter_map(Audited::in_record).find(|(id, _)| *id == message).map(|(_, a)| a)
}

//! From the spool to the index.

use hushbox_policy::{MessageId, Now};
use hushbox_store::{Delivery, Recovery, Step, StepDone};

use super::Server;
use super::records::audited;
use crate::world::Agenda;
use crate::world::installation::NODE;

impl Server {
    /// Delivers what an earlier run left in the spool, and tells the lamps that it left.
    pub fn recover(&mut self, now: Now, agenda: &mut Agenda) {
        for found in std::mem::take(&mut self.recovered) {
            let how = if found.finished { "a finished" } else { "an unfinished" };
            self.notes.push_back(format!("server  recovered {how} message"));
            self.saved(now, found.message, agenda);
        }
        self.drain_signalling(now, agenda);
    }

    /// Everything that was appended so far is synced, as the shard's timer does each second.
    pub fn sync_spool(&mut self) {
        self.spool.sync_now();
    }

    pub(super) fn saved(&mut self, now: Now, message: MessageId, agenda: &mut Agenda) {
        let reader = self.spool.reader(message).expect("what was saved is in the spool");
        let mut recovery = Recovery::new();
        for record in reader.read().expect("readable") {
            recovery.record(&record);
        }
        for found in recovery.finish().messages {
            self.deliver(now, found, agenda);
        }
    }

    fn deliver(&mut self, now: Now, message: hushbox_store::SpooledMessage, agenda: &mut Agenda) {
        let known = audited(&self.records, message.message());
        let key = &self.installation.node_key;
        let mut delivery = Delivery::new(message, NODE, key, known).expect("signed");
        loop {
            let done = match delivery.poll_step() {
                Step::PutObject { key, bytes } => {
                    self.installation.objects.insert(key, bytes);
                    StepDone::ObjectPut
                }
                Step::Audit(event) => {
                    let seq = self.log.append_event(now, *event).seq();
                    self.audit_synced(now, agenda);
                    StepDone::Audited { seq }
                }
                Step::InsertRow(row) => {
                    self.notes.push_back(format!("store   indexed, {}", row.state));
                    self.changed.insert(row.mailbox);
                    self.installation.rows.entry(row.id).or_insert(*row);
                    self.tell_changes(now, agenda);
                    StepDone::RowInserted
                }
                Step::FreeSpool(message) => {
                    let record = hushbox_store::spool::Record::delivered(message);
                    self.spool.append(&record).expect("room");
                    StepDone::SpoolFreed
                }
                Step::Quarantined { .. } => {
                    self.notes.push_back("store   quarantined".to_owned());
                    return;
                }
                Step::Done => return,
            };
            delivery.handle(done);
        }
    }
}

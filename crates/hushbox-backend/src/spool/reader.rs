//! Reading a message back, on any thread.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use hushbox_policy::MessageId;
use hushbox_store::spool::{self, Record};

use super::log::Place;
use crate::error::BackendError;
use crate::volume::VolumeFile;

/// Reads one message's records.
#[derive(Debug)]
pub struct MessageReader {
    pub(super) message: MessageId,
    pub(super) path: PathBuf,
    pub(super) records: Vec<(Arc<dyn VolumeFile>, Place)>,
}

impl MessageReader {
    /// Its first record, its chunks and its last record, in the order in which they were appended. This blocks.
    pub fn read(&self) -> Result<Vec<Record>, BackendError> {
        let mut records = Vec::with_capacity(self.records.len());
        for (file, place) in &self.records {
            let mut body = vec![0; place.body_len];
            let offset = place.offset + spool::RECORD_HEAD_LEN as u64;
            let read =
                file.read_at(&mut body, offset).map_err(BackendError::io("read", &self.path))?;
            if read != body.len() {
                return Err(BackendError::Damaged {
                    path: self.path.clone(),
                    what: "a segment became shorter".to_owned(),
                });
            }
            let (kind, index) = (place.kind, place.index);
            records.push(Record { kind, message: self.message, index, body: Bytes::from(body) });
        }
        Ok(records)
    }
}

//! How many chunks a second one shard appends, with one sync for all of them.
//!
//! ```text
//! cargo run -p hushbox-backend --example spool_rate -- FOLDER [CALLS]
//! ```
//!
//! A round is a second of CALLS recordings: a chunk of each, then one sync. FOLDER says which disk is measured.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hushbox_backend::{BackendError, Spool, SpoolOptions};
use hushbox_policy::MessageId;
use hushbox_store::spool::{Record, RecordKind};

/// A second of PCMU with its timing, sealed.
const CHUNK_BYTES: usize = 8_300;
const ROUNDS: u32 = 50;

fn record(kind: RecordKind, call: u64, index: u32) -> Record {
    let message = MessageId::from_parts(call, [1; 10]);
    Record { kind, message, index, body: Bytes::from(vec![0x5a; CHUNK_BYTES]) }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BackendError> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| ".".to_owned()));
    let calls: u64 = arguments.next().and_then(|calls| calls.parse().ok()).unwrap_or(500);
    let folder = folder.join(format!("spool-rate-{}", std::process::id()));
    let (mut spool, _) = Spool::open(&folder, 0, SpoolOptions::default())?;
    let (mut appending, mut syncing, mut longest) =
        (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS {
        let kind = if round == 0 { RecordKind::First } else { RecordKind::Chunk };
        let start = Instant::now();
        let mut last = None;
        for call in 0..calls {
            last = Some(spool.append(&record(kind, call, round))?);
        }
        let appended = start.elapsed();
        spool.sync();
        while Some(spool.synced().await.synced) < last {}
        let synced = start.elapsed().saturating_sub(appended);
        appending += appended;
        syncing += synced;
        longest = longest.max(synced);
    }
    let chunks = calls * u64::from(ROUNDS);
    let mebibytes = chunks * CHUNK_BYTES as u64 / (1 << 20);
    let per_append = appending.as_nanos() / u128::from(chunks);
    let rate = u128::from(chunks) * 1_000_000_000 / (appending + syncing).as_nanos();
    println!("{chunks} chunks, {mebibytes} MiB: {rate} appended and synced a second");
    println!(
        "append {per_append} ns; sync of {calls} chunks {:?}, longest {longest:?}",
        syncing / ROUNDS
    );
    drop(spool);
    // What could not be removed is the operator's to see.
    let _ = std::fs::remove_dir_all(&folder);
    Ok(())
}

//! How a shard keeps up: how late its timers come, how long its disk syncs, how full its queue is.

use std::cell::Cell;
use std::rc::Rc;

use hushbox_call::limits::STRAIN_EVERY;
use hushbox_call::signalling::{Part, Strain};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::{Shared, ToShard};
use crate::signalling::ToSignallingTask;

/// Since when the spool has been syncing; none while it is not.
pub(super) type Syncing = Rc<Cell<Option<Instant>>>;

/// Says so from time to time, for as long as the shard lives. It runs on the shard's own loop: a loop that is late
/// sends its packets late too.
pub(super) async fn watch(
    number: u16,
    shared: Rc<Shared>,
    syncing: Syncing,
    queue: mpsc::WeakSender<ToShard>,
) {
    loop {
        let due = Instant::now() + STRAIN_EVERY;
        sleep_until(due).await;
        let Some(queue) = queue.upgrade() else { return };
        let strain = Strain {
            late: due.elapsed(),
            sync: syncing.get().map(|since| since.elapsed()).unwrap_or_default(),
            queue_percent: filled_percent(queue.capacity(), queue.max_capacity()),
        };
        let says = ToSignallingTask::Strain { part: Part::Shard(number), strain };
        if shared.signalling.send(says).is_err() {
            return;
        }
    }
}

/// How full a queue with so much room left is, of a hundred.
pub(crate) fn filled_percent(left: usize, max: usize) -> u8 {
    let filled = max.saturating_sub(left).saturating_mul(100) / max.max(1);
    u8::try_from(filled.min(100)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_as_full_as_it_has_no_room_left() {
        for (left, max, percent) in [(4096, 4096, 0), (2048, 4096, 50), (0, 4096, 100), (0, 0, 0)] {
            assert_eq!(filled_percent(left, max), percent);
        }
    }
}

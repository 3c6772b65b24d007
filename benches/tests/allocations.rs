//! How often the parser and the writer call the allocator: a count, the same on every machine.

use hushbox_benches::invite;

#[test]
fn an_invite_is_read_and_written_with_at_most_four_allocations() {
    let (ours, theirs) = (invite::ours(), invite::theirs());
    for entry in invite::entries(&ours, &theirs) {
        let allocations = entry.allocations();
        match entry.by {
            "hushbox" => assert!(allocations <= 4, "{}: {allocations}", entry.task),
            // The count counts.
            _ => assert!(allocations > 4, "{} by {}: {allocations}", entry.task, entry.by),
        }
    }
}

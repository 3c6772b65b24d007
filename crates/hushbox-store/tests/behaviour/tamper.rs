//! What is done to a stored message behind the server's back is refused, and nothing of what was changed is heard.

use crate::support::{
    Installation, MAILBOX, OTHER_MAILBOX, played, recorded, second, sound, spooled, start,
};
use hushbox_audit::Hash;
use hushbox_store::signing::NodeKey;
use hushbox_store::{EndKind, IntegrityError, Manifest, MessageRow, MessageState};
use proptest::prelude::*;

/// Plays a row whose manifest was signed anew over the changed object, as one could who holds the node's key: what is
/// left is what the chunks' own seals find.
fn played_with_matching_manifest(
    installation: &mut Installation,
    row: &MessageRow,
    object: &[u8],
) -> (Vec<u8>, Result<(), IntegrityError>) {
    let mut manifest = Manifest::parse(&row.manifest.bytes).unwrap();
    manifest.object_hash = Hash::of(object);
    manifest.object_len = u64::try_from(object.len()).unwrap();
    let signed = manifest.sign(&installation.node).unwrap();
    let row = MessageRow { manifest: signed.clone(), ..row.clone() };
    let open = installation.log_in(row.mailbox);
    let listen = installation.listen(&row);
    let mut player = open.open(listen, &row, &installation.directory, Some(signed.hash())).unwrap();
    played(&mut player, object)
}

/// Where each chunk begins, and where the last one ends.
fn chunks(object: &[u8]) -> Vec<usize> {
    let mut at = 68;
    let mut starts = vec![at];
    while at < object.len() {
        let len = u32::from_be_bytes(object[at..at + 4].try_into().unwrap());
        at += 4 + usize::try_from(len).unwrap();
        starts.push(at);
    }
    starts
}

#[test]
fn a_message_plays_as_it_was_recorded_and_again_after_going_back() {
    let mut installation = Installation::new();
    let (row, object) = installation.delivered(1, MAILBOX, 5);
    let mut player = installation.play(&row).unwrap();
    assert!(!player.finished());
    assert_eq!(played(&mut player, &object), (sound(1, 5), Ok(())));
    assert!(player.finished());
    player.rewind();
    assert!(!player.finished());
    assert_eq!(played(&mut player, &object), (sound(1, 5), Ok(())));
}

#[test]
fn a_long_message_is_asked_for_in_ranges_and_may_come_in_any_pieces() {
    let mut installation = Installation::new();
    let (row, object) = installation.delivered(1, MAILBOX, 400);
    let mut player = installation.play(&row).unwrap();
    let mut heard = Vec::new();
    let mut most = 0;
    loop {
        if let Some(frames) = player.next_frames().unwrap() {
            heard.extend_from_slice(&frames);
            continue;
        }
        let Some(range) = player.wanted() else { break };
        most = most.max(range.end - range.start);
        let from = usize::try_from(range.start).unwrap();
        let piece = 1013.min(object.len() - from);
        player.push(&object[from..from + piece]).unwrap();
    }
    assert_eq!(heard, sound(1, 400));
    assert_eq!(most, hushbox_store::limits::PLAYER_RANGE_BYTES);
}

#[test]
fn a_truncated_message_plays_up_to_its_last_whole_chunk() {
    let mut installation = Installation::new();
    let records = recorded(&start(1, MAILBOX, installation.public_key(MAILBOX)), 5);
    let (row, object) = installation.deliver(spooled(&records[..4]));
    assert!(row.truncated);
    assert_eq!((row.samples, row.state), (24_000, MessageState::New));
    assert_eq!(Manifest::parse(&row.manifest.bytes).unwrap().end, EndKind::Truncated);
    let mut player = installation.play(&row).unwrap();
    assert_eq!(played(&mut player, &object), (sound(1, 3), Ok(())));
}

#[test]
fn two_swapped_chunks_are_not_played() {
    let mut installation = Installation::new();
    let (row, object) = installation.delivered(1, MAILBOX, 4);
    let at = chunks(&object);
    let swapped =
        [&object[..at[1]], &object[at[2]..at[3]], &object[at[1]..at[2]], &object[at[3]..]].concat();
    let mut player = installation.play(&row).unwrap();
    assert_eq!(played(&mut player, &swapped), (vec![], Err(IntegrityError::Hash)));
    let (heard, end) = played_with_matching_manifest(&mut installation, &row, &swapped);
    assert_eq!((heard, end), (second(1, 0), Err(IntegrityError::Chunk(1))));
}

#[test]
fn a_chunk_of_another_message_is_not_played() {
    let mut installation = Installation::new();
    let (row, object) = installation.delivered(1, MAILBOX, 4);
    let (_, other) = installation.delivered(2, MAILBOX, 4);
    let at = chunks(&object);
    let mixed = [&object[..at[2]], &other[at[2]..at[3]], &object[at[3]..]].concat();
    let (heard, end) = played_with_matching_manifest(&mut installation, &row, &mixed);
    assert_eq!((heard, end), (sound(1, 2), Err(IntegrityError::Chunk(2))));
    let (heard, end) = played_with_matching_manifest(&mut installation, &row, &other);
    assert_eq!((heard, end), (vec![], Err(IntegrityError::StreamHeader)));
}

#[test]
fn an_object_cut_at_a_chunk_is_noticed() {
    let mut installation = Installation::new();
    let (row, object) = installation.delivered(1, MAILBOX, 4);
    let at = chunks(&object);
    for cut in [at[4], at[3], at[0], 0] {
        let mut player = installation.play(&row).unwrap();
        let (heard, end) = played(&mut player, &object[..cut]);
        assert_eq!((heard, end), (vec![], Err(IntegrityError::TooShort)), "verified first");
    }
    // Even where manifest and object agree on the length, the missing chunks are missed.
    let (heard, end) = played_with_matching_manifest(&mut installation, &row, &object[..at[3]]);
    assert_eq!((heard, end), (sound(1, 3), Err(IntegrityError::TooShort)));
    let longer = [object.as_slice(), &object[at[3]..at[4]]].concat();
    let (heard, end) = played_with_matching_manifest(&mut installation, &row, &longer);
    assert_eq!((heard, end), (sound(1, 4), Err(IntegrityError::TooLong)));
}

#[test]
fn a_finished_message_does_not_pass_for_a_truncated_one() {
    let mut installation = Installation::new();
    let (row, object) = installation.delivered(1, MAILBOX, 4);
    let mut manifest = Manifest::parse(&row.manifest.bytes).unwrap();
    manifest.truncated = true;
    let signed = manifest.sign(&installation.node).unwrap();
    let row = MessageRow { manifest: signed.clone(), truncated: true, ..row };
    let open = installation.log_in(MAILBOX);
    let listen = installation.listen(&row);
    let mut player = open.open(listen, &row, &installation.directory, Some(signed.hash())).unwrap();
    let (heard, end) = played(&mut player, &object);
    assert_eq!((heard, end), (sound(1, 4), Err(IntegrityError::Chunk(4))));
}

#[test]
fn a_message_plays_only_with_its_manifest_and_the_audit_logs_word() {
    let mut installation = Installation::new();
    let (row, _) = installation.delivered(1, MAILBOX, 2);
    let (other, _) = installation.delivered(2, MAILBOX, 2);
    let open = installation.log_in(MAILBOX);
    let audited = Some(row.manifest.hash());

    let refused = |installation: &mut Installation, row: &MessageRow, audited| {
        let listen = installation.listen(row);
        open.open(listen, row, &installation.directory, audited).err()
    };
    assert_eq!(refused(&mut installation, &row, audited), None);
    assert_eq!(refused(&mut installation, &row, None), Some(IntegrityError::NotInAudit));
    let others = Some(other.manifest.hash());
    assert_eq!(refused(&mut installation, &row, others), Some(IntegrityError::NotInAudit));

    let swapped = MessageRow { manifest: other.manifest.clone(), ..row.clone() };
    let mismatch = Some(IntegrityError::ManifestMismatch("message"));
    assert_eq!(refused(&mut installation, &swapped, others), mismatch);

    let mut forged = row.clone();
    let manifest = Manifest::parse(&row.manifest.bytes).unwrap();
    forged.manifest = manifest.sign(&NodeKey::generate().unwrap()).unwrap();
    assert_eq!(refused(&mut installation, &forged, audited), Some(IntegrityError::Signature));

    let envelope = MessageRow { sealed_envelope: other.sealed_envelope.clone(), ..row.clone() };
    let mismatch = Some(IntegrityError::ManifestMismatch("envelope"));
    assert_eq!(refused(&mut installation, &envelope, audited), mismatch);

    let longer = MessageRow { samples: row.samples + 1, ..row.clone() };
    let mismatch = Some(IntegrityError::ManifestMismatch("length"));
    assert_eq!(refused(&mut installation, &longer, audited), mismatch);

    let key = MessageRow { sealed_key: other.sealed_key.clone(), ..row.clone() };
    assert_eq!(refused(&mut installation, &key, audited), Some(IntegrityError::SealedKey));

    let epoch = MessageRow { epoch: 2, ..row };
    assert_eq!(refused(&mut installation, &epoch, audited), Some(IntegrityError::Epoch(2)));
}

#[test]
fn an_open_mailbox_opens_no_message_of_another_one() {
    let mut installation = Installation::new();
    let (row, _) = installation.delivered(1, OTHER_MAILBOX, 2);
    let open = installation.log_in(MAILBOX);
    let listen = installation.listen(&row);
    let opened = open.open(listen, &row, &installation.directory, Some(row.manifest.hash()));
    assert_eq!(opened.err(), Some(IntegrityError::NotThisMailbox));
}

#[test]
fn an_authorisation_opens_its_own_message_only() {
    let mut installation = Installation::new();
    let (one, _) = installation.delivered(1, MAILBOX, 2);
    let (other, _) = installation.delivered(2, MAILBOX, 2);
    let open = installation.log_in(MAILBOX);
    let listen = installation.listen(&one);
    let opened = open.open(listen, &other, &installation.directory, Some(other.manifest.hash()));
    assert_eq!(opened.err(), Some(IntegrityError::NotThisMessage));
}

#[test]
fn sealed_keys_swapped_between_mailboxes_open_in_neither() {
    let mut installation = Installation::new();
    let (one, _) = installation.delivered(1, MAILBOX, 2);
    let (other, _) = installation.delivered(2, OTHER_MAILBOX, 2);
    let swapped = MessageRow { sealed_key: other.sealed_key.clone(), ..one.clone() };
    assert_eq!(installation.play(&swapped).err(), Some(IntegrityError::SealedKey));
    let swapped = MessageRow { sealed_key: one.sealed_key, ..other };
    assert_eq!(installation.play(&swapped).err(), Some(IntegrityError::SealedKey));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_flipped_bit_is_ever_heard(bits in proptest::collection::vec(any::<prop::sample::Index>(), 24)) {
        let mut installation = Installation::new();
        let (row, object) = installation.delivered(1, MAILBOX, 3);
        for bit in bits {
            let bit = bit.index(object.len() * 8);
            let mut flipped = object.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);

            let mut player = installation.play(&row).unwrap();
            prop_assert_eq!(played(&mut player, &flipped), (vec![], Err(IntegrityError::Hash)));

            // The seals alone: nothing of the chunk with the flipped bit comes out, nor anything behind it.
            let (heard, end) = played_with_matching_manifest(&mut installation, &row, &flipped);
            prop_assert!(end.is_err());
            let whole = chunks(&object).windows(2).take_while(|chunk| chunk[1] * 8 <= bit).count();
            let whole = if bit < 68 * 8 { 0 } else { u64::try_from(whole).unwrap() };
            prop_assert_eq!(heard, sound(1, whole.min(3)));
        }
    }

    #[test]
    fn any_bytes_in_place_of_an_object_are_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        keep in 0..120_usize,
    ) {
        let mut installation = Installation::new();
        let (row, object) = installation.delivered(1, MAILBOX, 2);
        let garbage = [&object[..keep], bytes.as_slice()].concat();
        let (heard, end) = played_with_matching_manifest(&mut installation, &row, &garbage);
        prop_assert!(end.is_err());
        prop_assert!(heard.is_empty());
    }
}

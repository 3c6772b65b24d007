//! What may happen to a row, and that it happens only to the one that was authorised.

use std::time::Duration;

use hushbox_policy::retention::{DELETED_KEPT, QUIET_KEPT};
use hushbox_store::{
    Deposit, Destruction, EndKind, Ending, Listing, MessageRow, MessageState, StateChange,
};

use crate::support::{Installation, MAILBOX, OTHER_MAILBOX, message_ref, second, spooled, start};

fn quiet(installation: &mut Installation) -> MessageRow {
    let start = start(9, MAILBOX, installation.public_key(MAILBOX));
    let (mut deposit, first) = Deposit::begin(&start, [9; 32]).unwrap();
    let mut records = vec![first];
    records.extend(deposit.chunk(&second(9, 0), 8000).unwrap());
    let ending = Ending { samples: 8000, end: EndKind::Silence, quiet: true };
    records.push(deposit.finish(ending).unwrap());
    installation.deliver(spooled(&records)).0
}

#[test]
fn a_new_message_that_was_heard_is_heard() {
    let mut installation = Installation::new();
    let (mut row, _) = installation.delivered(1, MAILBOX, 1);
    assert_eq!((row.state, row.remaining), (MessageState::New, None));
    let change = StateChange::heard(installation.save(&row));
    assert!(change.apply(&mut row));
    assert_eq!((row.state, row.remaining), (MessageState::Heard, None));
    assert!(change.apply(&mut row));
    assert_eq!(row.state, MessageState::Heard);
}

#[test]
fn a_deleted_message_waits_and_comes_back_as_what_it_was() {
    let mut installation = Installation::new();
    let (new, _) = installation.delivered(1, MAILBOX, 1);
    let mut heard = new.clone();
    StateChange::heard(installation.save(&heard)).apply(&mut heard);
    for before in [new, heard] {
        let mut row = before.clone();
        let delete = StateChange::deleted(installation.delete(&row));
        assert!(delete.apply(&mut row));
        assert_eq!((row.state, row.remaining), (MessageState::Deleted, Some(DELETED_KEPT)));
        row.remaining = Some(Duration::from_secs(60));
        assert!(delete.apply(&mut row));
        assert_eq!(row.remaining, Some(Duration::from_secs(60)), "a second time changes nothing");
        assert!(StateChange::undeleted(installation.undelete(&row)).apply(&mut row));
        assert_eq!(row, before);
    }
}

#[test]
fn a_quiet_message_waits_unless_somebody_saves_it() {
    let mut installation = Installation::new();
    let mut row = quiet(&mut installation);
    assert_eq!((row.state, row.remaining), (MessageState::Quiet, Some(QUIET_KEPT)));
    assert!(StateChange::heard(installation.save(&row)).apply(&mut row));
    assert_eq!(row.state, MessageState::Quiet, "hearing that there is nothing keeps nothing");
    assert!(StateChange::saved(installation.save(&row)).apply(&mut row));
    assert_eq!((row.state, row.remaining), (MessageState::Heard, None));
}

#[test]
fn saving_a_deleted_message_does_not_bring_it_back() {
    let mut installation = Installation::new();
    let (mut row, _) = installation.delivered(1, MAILBOX, 1);
    StateChange::deleted(installation.delete(&row)).apply(&mut row);
    StateChange::saved(installation.save(&row)).apply(&mut row);
    assert_eq!(row.state, MessageState::Deleted);
}

#[test]
fn a_change_touches_the_message_that_was_authorised_and_no_other() {
    let mut installation = Installation::new();
    let (one, _) = installation.delivered(1, MAILBOX, 1);
    let (mut other, _) = installation.delivered(2, MAILBOX, 1);
    let before = other.clone();
    let change = StateChange::deleted(installation.delete(&one));
    assert_eq!(change.message(), message_ref(1));
    assert!(!change.apply(&mut other));
    assert_eq!(other, before);
    // The same id in another mailbox is another message.
    let mut moved = MessageRow { mailbox: OTHER_MAILBOX, ..one };
    assert!(!change.apply(&mut moved));
}

#[test]
fn a_rule_destroys_the_message_whose_time_is_over() {
    let mut installation = Installation::new();
    let mut row = quiet(&mut installation);
    row.remaining = Some(Duration::ZERO);
    let destruction = Destruction::new(installation.destroy(&row));
    assert_eq!(destruction.message(), row.message_ref());
}

#[test]
fn a_listing_is_of_the_open_mailbox_or_of_what_was_authorised() {
    let mut installation = Installation::new();
    let open = installation.log_in(MAILBOX);
    let listing = Listing::opened(&open, [MessageState::New, MessageState::Heard]);
    assert_eq!(listing.mailbox(), Some(MAILBOX));
    assert!(!listing.states().contains(&MessageState::Deleted));
    let listing = Listing::authorised(installation.list_all());
    assert_eq!(listing.mailbox(), None);
    assert_eq!(listing.states().len(), MessageState::ALL.len());
}

#[test]
fn a_reveal_shows_the_caller_and_an_export_plays_the_message() {
    use hushbox_store::{IntegrityError, KeyReply, KeyRequest, MailboxKeys, unlock};

    let mut installation = Installation::new();
    let (row, object) = installation.delivered(1, MAILBOX, 2);
    let (other, _) = installation.delivered(2, MAILBOX, 2);
    let keys = MailboxKeys::in_directory(&installation.directory, MAILBOX).unwrap();

    let reveal = |installation: &mut Installation| {
        let authorised = installation.reveal(&row);
        let request = KeyRequest::Reveal { authorised, keys: keys.clone() };
        match unlock(&installation.root, request).unwrap() {
            KeyReply::Reveal(reveal) => reveal,
            other => panic!("{other:?}"),
        }
    };
    let envelope = reveal(&mut installation).open(&row).unwrap();
    assert_eq!(envelope.caller_number.unwrap().expose(), "+15551234567");
    assert_eq!(envelope.caller_name.unwrap().expose(), "Mary Major");
    let refused = reveal(&mut installation).open(&other).err();
    assert_eq!(refused, Some(IntegrityError::NotThisMessage));

    let authorised = installation.export(&row);
    let request = KeyRequest::Export { authorised, keys };
    let KeyReply::Export(export) = unlock(&installation.root, request).unwrap() else { panic!() };
    let mut player = export.open(&row, &installation.directory, Some(row.manifest.hash())).unwrap();
    assert_eq!(crate::support::played(&mut player, &object).0, crate::support::sound(1, 2));
}

#[test]
fn the_wrong_root_key_and_the_wrong_mailboxs_keys_open_nothing() {
    use hushbox_store::keys::RootKey;
    use hushbox_store::{KeyError, KeyRequest, MailboxKeys, unlock};

    let mut installation = Installation::new();
    let keys = MailboxKeys::in_directory(&installation.directory, MAILBOX).unwrap();
    let other_keys = MailboxKeys::in_directory(&installation.directory, OTHER_MAILBOX).unwrap();

    let authorised = installation.open_authorised(MAILBOX);
    let request = KeyRequest::OpenMailbox { authorised, keys: keys.clone() };
    let stranger = RootKey::from_bytes(&[0x99; 32]);
    assert_eq!(unlock(&stranger, request).err(), Some(KeyError::WrongKey));

    let authorised = installation.open_authorised(MAILBOX);
    let request = KeyRequest::OpenMailbox { authorised, keys: other_keys.clone() };
    assert_eq!(unlock(&installation.root, request).err(), Some(KeyError::NotThisMailbox));

    // Another mailbox's wrapped key under this one's name, or another public key beside it.
    let authorised = installation.open_authorised(MAILBOX);
    let moved = MailboxKeys { wrapped_private_key: other_keys.wrapped_private_key, ..keys.clone() };
    let request = KeyRequest::OpenMailbox { authorised, keys: moved };
    assert_eq!(unlock(&installation.root, request).err(), Some(KeyError::Damaged));
    let authorised = installation.open_authorised(MAILBOX);
    let beside = MailboxKeys { public_key: other_keys.public_key, ..keys };
    let request = KeyRequest::OpenMailbox { authorised, keys: beside };
    assert_eq!(unlock(&installation.root, request).err(), Some(KeyError::Mismatch));
}

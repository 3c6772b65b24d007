//! A small installation: one directory, one audit log, and permits that are asked of policy like any other.

#![expect(clippy::disallowed_methods, reason = "a test composes what the server composes")]

use std::collections::BTreeMap;
use std::time::Instant;

use hushbox_audit::{Authorised, EventExtra, Log, Recorded, Resume};
use hushbox_policy::{
    AccountId, Action, Actor, Binding, Delete, DeviceFacts, DeviceId, EitherProfile, Export, Facts,
    GrantFacts, GrantId, GrantKind, ListMailbox, Listen, MailboxFacts, MailboxId, MessageId,
    MessageRef, NodeId, Now, Number, PersonId, PinVerifier, Profile, Reason, Request, Reveal, Role,
    Save, Surface, Undelete, authorise,
};
use hushbox_policy::{CallerName, CallerNumber, Destroy, OpenMailbox as OpenMailboxAction};
use hushbox_store::hpke::generate_mailbox_keys;
use hushbox_store::keys::{AccountKey, MailboxPublicKey, RootKey};
use hushbox_store::model::{Account, Entity, Grant, Mailbox, MailboxPurpose, Node, Person};
use hushbox_store::signing::{DirectoryKey, NodeKey};
use hushbox_store::spool::Record;
use hushbox_store::{
    Audited, CallFacts, Delivery, Deposit, DepositStart, Directory, DirectoryRow, EndKind, Ending,
    Envelope, KeyReply, KeyRequest, MailboxKeys, MessageRow, OpenMailbox, Player, Recovery,
    SpooledMessage, Step, StepDone, unlock,
};
use jiff::Timestamp;

pub(crate) const ACCOUNT: AccountId = AccountId::from_bytes([0xa0; 16]);
pub(crate) const MAILBOX: MailboxId = MailboxId::from_bytes([0xb1; 16]);
pub(crate) const OTHER_MAILBOX: MailboxId = MailboxId::from_bytes([0xb2; 16]);
pub(crate) const NODE: NodeId = NodeId::from_bytes([0xe0; 16]);
pub(crate) const PERSON: PersonId = PersonId::from_bytes([0xc1; 16]);
const SUPERVISOR: PersonId = PersonId::from_bytes([0xc2; 16]);
const DEVICE: DeviceId = DeviceId::from_bytes([0xd1; 16]);

pub(crate) fn message(byte: u8) -> MessageId {
    MessageId::from_bytes([byte; 16])
}

pub(crate) fn message_ref(byte: u8) -> MessageRef {
    MessageRef { account: ACCOUNT, mailbox: MAILBOX, message: message(byte) }
}

pub(crate) fn utc() -> Timestamp {
    Timestamp::from_second(1_750_000_000).unwrap()
}

/// The keys, the directory and the log of the installation.
pub(crate) struct Installation {
    pub(crate) root: RootKey,
    pub(crate) node: NodeKey,
    pub(crate) directory_key: DirectoryKey,
    pub(crate) rows: Vec<DirectoryRow>,
    pub(crate) directory: Directory,
    pub(crate) log: Log,
    pub(crate) audited: BTreeMap<MessageId, Audited>,
}

impl Installation {
    pub(crate) fn new() -> Installation {
        let root = RootKey::from_bytes(&[0x11; 32]);
        let node = NodeKey::generate().unwrap();
        let directory_key = DirectoryKey::generate().unwrap();
        let entities = entities(&root, &node);
        let rows: Vec<DirectoryRow> = entities
            .iter()
            .map(|entity| DirectoryRow::sign(entity, 1, &directory_key).unwrap())
            .collect();
        let directory = Directory::build(&rows, &directory_key.public()).unwrap();
        let now = now();
        let start = Resume { next_seq: 0, prev_hash: hushbox_audit::Hash::ZERO };
        let log = Log::new(NODE, start, now);
        Installation { root, node, directory_key, rows, directory, log, audited: BTreeMap::new() }
    }

    pub(crate) fn public_key(&self, mailbox: MailboxId) -> MailboxPublicKey {
        self.directory.mailbox(mailbox).unwrap().public_key
    }

    /// A permit of policy, written down and synced.
    pub(crate) fn authorised<A>(&mut self, request: &Request<A>, facts: &Facts) -> Authorised<A>
    where
        A: Action + EitherProfile + Recorded,
    {
        let permit = authorise(request, facts).unwrap();
        let pending = self.log.append(now(), permit, EventExtra::default());
        let durable = self.log.take_batch().unwrap().synced();
        pending.confirmed(&durable).unwrap()
    }

    fn at_phone<A>(&mut self, object: A::Object, facts: Facts) -> Authorised<A>
    where
        A: Action + EitherProfile + Recorded,
    {
        self.authorised(&Request::new(Actor::Person(PERSON), object).device(DEVICE), &facts)
    }

    fn phone_facts(&self, mailbox: MailboxId) -> Facts {
        Facts::new(utc(), Surface::Phone)
            .person(self.directory.person(PERSON).unwrap().facts())
            .pin_verified(PERSON)
            .device(DeviceFacts {
                device: DEVICE,
                account: ACCOUNT,
                bound: Binding::Persons(vec![PERSON]),
            })
            .grants(grants(PERSON, GrantKind::Owner))
            .mailbox(mailbox_facts(mailbox))
    }

    fn command_facts(&self, row: &MessageRow) -> Facts {
        Facts::new(utc(), Surface::Operator)
            .person(self.directory.person(SUPERVISOR).unwrap().facts())
            .pin_verified(SUPERVISOR)
            .grants(grants(SUPERVISOR, GrantKind::Supervisor))
            .mailbox(mailbox_facts(row.mailbox))
            .message(row.facts())
    }

    pub(crate) fn log_in(&mut self, mailbox: MailboxId) -> OpenMailbox {
        let authorised = self.open_authorised(mailbox);
        let keys = MailboxKeys::in_directory(&self.directory, mailbox).unwrap();
        let request = KeyRequest::OpenMailbox { authorised, keys };
        match unlock(&self.root, request).unwrap() {
            KeyReply::Mailbox(open) => open,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn open_authorised(&mut self, mailbox: MailboxId) -> Authorised<OpenMailboxAction> {
        let facts = self.phone_facts(mailbox);
        self.at_phone(mailbox, facts)
    }

    fn of_message<A>(&mut self, row: &MessageRow) -> Authorised<A>
    where
        A: Action<Object = MessageRef> + EitherProfile + Recorded,
    {
        let facts = self.phone_facts(row.mailbox).message(row.facts());
        self.at_phone(row.message_ref(), facts)
    }

    pub(crate) fn listen(&mut self, row: &MessageRow) -> Authorised<Listen> {
        self.of_message(row)
    }

    pub(crate) fn save(&mut self, row: &MessageRow) -> Authorised<Save> {
        self.of_message(row)
    }

    pub(crate) fn delete(&mut self, row: &MessageRow) -> Authorised<Delete> {
        self.of_message(row)
    }

    pub(crate) fn undelete(&mut self, row: &MessageRow) -> Authorised<Undelete> {
        self.of_message(row)
    }

    fn by_command<A>(&mut self, row: &MessageRow) -> Authorised<A>
    where
        A: Action<Object = MessageRef> + EitherProfile + Recorded,
    {
        let reason = Reason::new("a patient asked for a copy").unwrap();
        let request = Request::new(Actor::Person(SUPERVISOR), row.message_ref()).reason(reason);
        let facts = self.command_facts(row);
        self.authorised(&request, &facts)
    }

    pub(crate) fn export(&mut self, row: &MessageRow) -> Authorised<Export> {
        self.by_command(row)
    }

    pub(crate) fn reveal(&mut self, row: &MessageRow) -> Authorised<Reveal> {
        self.by_command(row)
    }

    pub(crate) fn list_all(&mut self) -> Authorised<ListMailbox> {
        let request = Request::new(Actor::Operator { uid: 0 }, None);
        self.authorised(&request, &Facts::new(utc(), Surface::Operator))
    }

    pub(crate) fn destroy(&mut self, row: &MessageRow) -> Authorised<Destroy> {
        let facts = Facts::new(utc(), Surface::Service)
            .mailbox(mailbox_facts(row.mailbox))
            .message(row.facts());
        let rule = row.facts().waiting.unwrap().rule;
        self.authorised(&Request::new(rule.actor(), row.message_ref()), &facts)
    }

    /// Records a message of `seconds` chunks and delivers it; its row and its object.
    pub(crate) fn delivered(
        &mut self,
        byte: u8,
        mailbox: MailboxId,
        seconds: u64,
    ) -> (MessageRow, Vec<u8>) {
        let records = recorded(&start(byte, mailbox, self.public_key(mailbox)), seconds);
        self.deliver(spooled(&records))
    }

    pub(crate) fn deliver(&mut self, message: SpooledMessage) -> (MessageRow, Vec<u8>) {
        let mut delivery = Delivery::new(message, NODE, &self.node, None).unwrap();
        let (mut row, mut object) = (None, None);
        loop {
            match delivery.poll_step() {
                Step::PutObject { bytes, .. } => {
                    object = Some(bytes.to_vec());
                    delivery.handle(StepDone::ObjectPut);
                }
                Step::Audit(event) => {
                    let seq = self.log.append_event(now(), *event).seq();
                    let hash = delivery.manifest().hash();
                    self.audited.insert(delivery.message(), Audited { seq, manifest: hash });
                    delivery.handle(StepDone::Audited { seq });
                }
                Step::InsertRow(inserted) => {
                    row = Some(*inserted);
                    delivery.handle(StepDone::RowInserted);
                }
                Step::FreeSpool(_) => delivery.handle(StepDone::SpoolFreed),
                Step::Done => return (row.unwrap(), object.unwrap()),
                step @ Step::Quarantined { .. } => panic!("{step:?}"),
            }
        }
    }

    /// Opens a message for listening, in its own mailbox.
    pub(crate) fn play(
        &mut self,
        row: &MessageRow,
    ) -> Result<Player, hushbox_store::IntegrityError> {
        let open = self.log_in(row.mailbox);
        let authorised = self.listen(row);
        let audited = self.audited.get(&row.id).map(|audited| audited.manifest);
        open.open(authorised, row, &self.directory, audited)
    }
}

pub(crate) fn now() -> Now {
    Now { monotonic: Instant::now(), utc: utc() }
}

fn mailbox_facts(mailbox: MailboxId) -> MailboxFacts {
    MailboxFacts { mailbox, account: ACCOUNT, profile: Profile::Hipaa }
}

fn grants(person: PersonId, kind: GrantKind) -> Vec<GrantFacts> {
    [MAILBOX, OTHER_MAILBOX]
        .into_iter()
        .map(|mailbox| GrantFacts {
            grant: GrantId::from_bytes([0x91; 16]),
            person,
            mailbox,
            kind,
            from: utc(),
            until: None,
        })
        .collect()
}

/// One account with two mailboxes, a person, a supervisor, a grant and a node.
pub(crate) fn entities(root: &RootKey, node: &NodeKey) -> Vec<Entity> {
    let account_key = AccountKey::from_bytes(&[0x22; 32]);
    let mailbox = |id, number: &str, nonce| {
        let (public_key, private) = generate_mailbox_keys().unwrap();
        let wrapped = account_key.wrap_mailbox_key(ACCOUNT, id, 1, &private, [nonce; 12]).unwrap();
        Entity::Mailbox(Mailbox {
            id,
            account: ACCOUNT,
            number: Number::new(number).unwrap(),
            time_zone: "America/New_York".into(),
            epoch: 1,
            public_key,
            wrapped_private_key: wrapped,
            purpose: MailboxPurpose::Normal,
        })
    };
    let person = |id, number: &str, role| {
        Entity::Person(Person {
            id,
            account: ACCOUNT,
            number: Number::new(number).unwrap(),
            verifier: PinVerifier::decoy([7; 16]),
            roles: [role].into(),
            disabled: false,
        })
    };
    vec![
        Entity::Account(Account {
            id: ACCOUNT,
            name: "clinic".into(),
            profile: Profile::Hipaa,
            domain: "clinic.example".into(),
            wrapped_key: root.wrap_account_key(ACCOUNT, &account_key, [1; 12]).unwrap(),
            baa: None,
        }),
        mailbox(MAILBOX, "1001", 2),
        mailbox(OTHER_MAILBOX, "1002", 3),
        person(PERSON, "7001", Role::User),
        person(SUPERVISOR, "7900", Role::Supervisor),
        Entity::Grant(Grant {
            id: GrantId::from_bytes([0x91; 16]),
            mailbox: MAILBOX,
            person: PERSON,
            kind: GrantKind::Owner,
            from: utc(),
            until: None,
            approver: "quickstart".into(),
            reason: "own mailbox".into(),
        }),
        Entity::Node(Node { id: NODE, public_key: node.public() }),
    ]
}

pub(crate) fn start(byte: u8, mailbox: MailboxId, public_key: MailboxPublicKey) -> DepositStart {
    DepositStart {
        message: message(byte),
        account: ACCOUNT,
        mailbox,
        epoch: 1,
        profile: Profile::Hipaa,
        public_key,
        received_at: utc(),
        envelope: Envelope {
            caller_number: CallerNumber::new("+15551234567").ok(),
            caller_name: CallerName::new("Mary Major").ok(),
            facts: CallFacts::default(),
        },
        frame_format: 1,
        sample_rate: 8000,
    }
}

/// What a second of a message sounds like: different in every message and second.
pub(crate) fn second(byte: u8, second: u64) -> Vec<u8> {
    (0..400_u64).map(|at| byte ^ u8::try_from((at + second * 7) % 256).unwrap()).collect()
}

pub(crate) fn sound(byte: u8, seconds: u64) -> Vec<u8> {
    (0..seconds).flat_map(|at| second(byte, at)).collect()
}

pub(crate) fn ending(seconds: u64) -> Ending {
    Ending { samples: seconds * 8000, end: EndKind::CallerHungUp, quiet: false }
}

/// Every record of a message that was recorded to its end.
pub(crate) fn recorded(start: &DepositStart, seconds: u64) -> Vec<Record> {
    let byte = start.message.as_bytes()[0];
    let (mut deposit, first) = Deposit::begin(start, [byte; 32]).unwrap();
    let mut records = vec![first];
    for at in 0..seconds {
        records.extend(deposit.chunk(&second(byte, at), (at + 1) * 8000).unwrap());
    }
    records.push(deposit.finish(ending(seconds)).unwrap());
    records
}

pub(crate) fn spooled(records: &[Record]) -> SpooledMessage {
    let mut recovery = Recovery::new();
    records.iter().for_each(|record| recovery.record(record));
    recovery.finish().messages.remove(0)
}

/// Feeds a player from an object and gives what came out, up to the error if there was one.
pub(crate) fn played(
    player: &mut Player,
    object: &[u8],
) -> (Vec<u8>, Result<(), hushbox_store::IntegrityError>) {
    let mut heard = Vec::new();
    loop {
        match player.next_frames() {
            Ok(Some(frames)) => heard.extend_from_slice(&frames),
            Ok(None) => {
                let Some(range) = player.wanted() else { return (heard, Ok(())) };
                let from = usize::try_from(range.start).unwrap().min(object.len());
                let to = usize::try_from(range.end).unwrap().min(object.len());
                if let Err(error) = player.push(&object[from..to]) {
                    return (heard, Err(error));
                }
            }
            Err(error) => return (heard, Err(error)),
        }
    }
}

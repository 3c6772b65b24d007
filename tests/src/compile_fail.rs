//! What must not compile: proofs that nobody gave, audio without them, and on `hipaa` what only `standard` knows.
//!
//! Each case stands beside a twin that differs in the forgery alone and does compile, so that a case cannot fail for
//! another reason; a nightly compiler (or `RUSTC_BOOTSTRAP=1`) also checks the error's code. They are doc tests: they
//! need nothing built besides the crates, and no compiler's exact words.

/// A permit is made by policy alone: what it stands on can be known by everybody.
///
/// ```
/// use hushbox_policy::{Denied, Facts, Grounds, Listen, MessageRef, Permit, Request, authorise};
///
/// fn permit(request: &Request<Listen>, facts: &Facts) -> Result<Permit<Listen>, Denied> {
///     authorise(request, facts)
/// }
///
/// fn known(permit: Permit<Listen>) -> (Box<Grounds>, MessageRef) {
///     permit.into_parts()
/// }
/// ```
///
/// ```compile_fail,E0624
/// use hushbox_policy::{Grounds, Listen, MessageRef, Permit};
///
/// fn forged(grounds: Grounds, object: MessageRef) -> Permit<Listen> {
///     Permit::new(grounds, object)
/// }
/// ```
///
/// ```compile_fail,E0451
/// use std::marker::PhantomData;
///
/// use hushbox_policy::{Grounds, Listen, MessageRef, Permit};
///
/// fn forged(grounds: Box<Grounds>, object: MessageRef) -> Permit<Listen> {
///     Permit { grounds, object, action: PhantomData }
/// }
/// ```
mod a_permit_cannot_be_forged {}

/// ```
/// use hushbox_policy::{Listen, Permit};
///
/// fn moved(permit: Permit<Listen>) -> Permit<Listen> {
///     permit
/// }
/// ```
///
/// ```compile_fail,E0308
/// use hushbox_policy::{Listen, Permit};
///
/// fn copied(permit: &Permit<Listen>) -> Permit<Listen> {
///     permit.clone()
/// }
/// ```
///
/// ```compile_fail,E0599
/// use hushbox_policy::{Listen, Permit};
///
/// fn out_of_nothing() -> Permit<Listen> {
///     Permit::default()
/// }
/// ```
///
/// ```compile_fail,E0308
/// use hushbox_audit::Authorised;
/// use hushbox_policy::Listen;
///
/// fn copied(authorised: &Authorised<Listen>) -> Authorised<Listen> {
///     authorised.clone()
/// }
/// ```
mod a_proof_cannot_be_copied {}

/// ```
/// use hushbox_audit::{Authorised, EventExtra, Log, Pending};
/// use hushbox_policy::{Listen, Now, Permit};
///
/// fn appended(log: &mut Log, now: Now, permit: Permit<Listen>) -> Pending<Listen> {
///     log.append(now, permit, EventExtra::default())
/// }
/// ```
///
/// ```compile_fail,E0308
/// use hushbox_audit::{Authorised, EventExtra, Log};
/// use hushbox_policy::{Listen, Now, Permit};
///
/// fn appended(log: &mut Log, now: Now, permit: Permit<Listen>) -> Authorised<Listen> {
///     log.append(now, permit, EventExtra::default())
/// }
/// ```
///
/// ```compile_fail,E0382
/// use hushbox_audit::{EventExtra, Log, Pending};
/// use hushbox_policy::{Listen, Now, Permit};
///
/// fn twice(log: &mut Log, now: Now, permit: Permit<Listen>) -> [Pending<Listen>; 2] {
///     [log.append(now, permit, EventExtra::default()), log.append(now, permit, EventExtra::default())]
/// }
/// ```
mod what_is_appended_is_not_yet_authorised {}

/// ```
/// use hushbox_audit::{Authorised, Durable, Pending};
/// use hushbox_policy::Listen;
///
/// fn confirmed(pending: Pending<Listen>, durable: &Durable) -> Option<Authorised<Listen>> {
///     pending.confirmed(durable).ok()
/// }
/// ```
///
/// ```compile_fail,E0616
/// use hushbox_audit::{Authorised, Pending};
/// use hushbox_policy::Listen;
///
/// fn opened(pending: Pending<Listen>) -> Authorised<Listen> {
///     pending.0
/// }
/// ```
///
/// ```compile_fail,E0451
/// use hushbox_audit::Durable;
/// use hushbox_policy::NodeId;
///
/// fn everything(node: NodeId) -> Durable {
///     Durable { node, generation: 0, from: 0, upto: u64::MAX }
/// }
/// ```
///
/// ```compile_fail,E0451
/// use std::marker::PhantomData;
///
/// use hushbox_audit::{Authorised, Position};
/// use hushbox_policy::{Grounds, Listen, MessageRef};
///
/// fn forged(grounds: Box<Grounds>, object: MessageRef, position: Position) -> Authorised<Listen> {
///     Authorised { grounds, object, position, at: jiff::Timestamp::UNIX_EPOCH, action: PhantomData }
/// }
/// ```
mod only_a_synced_batch_authorises {}

/// ```
/// use hushbox_audit::{Authorised, Hash};
/// use hushbox_policy::Listen;
/// use hushbox_store::{Directory, IntegrityError, MessageRow, OpenMailbox, Player};
///
/// fn hear(
///     mailbox: &OpenMailbox,
///     proof: Authorised<Listen>,
///     row: &MessageRow,
///     directory: &Directory,
///     audited: Option<Hash>,
/// ) -> Result<Player, IntegrityError> {
///     mailbox.open(proof, row, directory, audited)
/// }
/// ```
///
/// A permit is not enough:
///
/// ```compile_fail,E0308
/// use hushbox_audit::Hash;
/// use hushbox_policy::{Listen, Permit};
/// use hushbox_store::{Directory, IntegrityError, MessageRow, OpenMailbox, Player};
///
/// fn hear(
///     mailbox: &OpenMailbox,
///     proof: Permit<Listen>,
///     row: &MessageRow,
///     directory: &Directory,
///     audited: Option<Hash>,
/// ) -> Result<Player, IntegrityError> {
///     mailbox.open(proof, row, directory, audited)
/// }
/// ```
///
/// Nor is what was authorised for something else:
///
/// ```compile_fail,E0308
/// use hushbox_audit::{Authorised, Hash};
/// use hushbox_policy::Save;
/// use hushbox_store::{Directory, IntegrityError, MessageRow, OpenMailbox, Player};
///
/// fn hear(
///     mailbox: &OpenMailbox,
///     proof: Authorised<Save>,
///     row: &MessageRow,
///     directory: &Directory,
///     audited: Option<Hash>,
/// ) -> Result<Player, IntegrityError> {
///     mailbox.open(proof, row, directory, audited)
/// }
/// ```
///
/// And it is used up:
///
/// ```compile_fail,E0382
/// use hushbox_audit::{Authorised, Hash};
/// use hushbox_policy::Listen;
/// use hushbox_store::{Directory, IntegrityError, MessageRow, OpenMailbox, Player};
///
/// fn hear(
///     mailbox: &OpenMailbox,
///     proof: Authorised<Listen>,
///     row: &MessageRow,
///     directory: &Directory,
///     audited: Option<Hash>,
/// ) -> Result<Player, IntegrityError> {
///     mailbox.open(proof, row, directory, audited)?;
///     mailbox.open(proof, row, directory, audited)
/// }
/// ```
mod audio_cannot_be_had_without_its_proof {}

/// ```
/// use hushbox_audit::Authorised;
/// use hushbox_policy::OpenMailbox;
/// use hushbox_store::{KeyRequest, MailboxKeys};
///
/// fn key(authorised: Authorised<OpenMailbox>, keys: MailboxKeys) -> KeyRequest {
///     KeyRequest::OpenMailbox { authorised, keys }
/// }
/// ```
///
/// ```compile_fail,E0308
/// use hushbox_policy::{OpenMailbox, Permit};
/// use hushbox_store::{KeyRequest, MailboxKeys};
///
/// fn key(authorised: Permit<OpenMailbox>, keys: MailboxKeys) -> KeyRequest {
///     KeyRequest::OpenMailbox { authorised, keys }
/// }
/// ```
///
/// ```compile_fail,E0308
/// use hushbox_audit::Authorised;
/// use hushbox_policy::Listen;
/// use hushbox_store::{KeyRequest, MailboxKeys};
///
/// fn caller(authorised: Authorised<Listen>, keys: MailboxKeys) -> KeyRequest {
///     KeyRequest::Reveal { authorised, keys }
/// }
/// ```
mod a_mailbox_cannot_be_opened_without_its_proof {}

/// On `standard`, account and message, there is a way to ask:
///
/// ```
/// use hushbox_policy::{
///     Denied, EmailAudio, Facts, Permit, Request, Strictness, Transcribe, authorise_on_standard,
/// };
///
/// fn transcribe(
///     request: &Request<Transcribe>,
///     facts: &Facts,
/// ) -> Option<Result<Permit<Transcribe>, Denied>> {
///     match facts.strictness() {
///         Strictness::Standard(standard) => Some(authorise_on_standard(request, &standard)),
///         Strictness::Hipaa(_) => None,
///     }
/// }
/// ```
///
/// On `hipaa` there is none:
///
/// ```compile_fail,E0308
/// use hushbox_policy::{
///     Denied, Facts, Permit, Request, Strictness, Transcribe, authorise_on_standard,
/// };
///
/// fn transcribe(
///     request: &Request<Transcribe>,
///     facts: &Facts,
/// ) -> Option<Result<Permit<Transcribe>, Denied>> {
///     match facts.strictness() {
///         Strictness::Standard(_) => None,
///         Strictness::Hipaa(hipaa) => Some(authorise_on_standard(request, &hipaa)),
///     }
/// }
/// ```
///
/// ```compile_fail,E0277
/// use hushbox_policy::{Denied, Facts, Permit, Request, Transcribe, authorise};
///
/// fn transcribe(
///     request: &Request<Transcribe>,
///     facts: &Facts,
/// ) -> Result<Permit<Transcribe>, Denied> {
///     authorise(request, facts)
/// }
/// ```
///
/// ```compile_fail,E0277
/// use hushbox_policy::{Denied, EmailAudio, Facts, Permit, Request, authorise};
///
/// fn mail(
///     request: &Request<EmailAudio>,
///     facts: &Facts,
/// ) -> Result<Permit<EmailAudio>, Denied> {
///     authorise(request, facts)
/// }
/// ```
///
/// ```compile_fail,E0451
/// use hushbox_policy::{Facts, Standard};
///
/// fn witness(facts: &Facts) -> Standard<'_> {
///     Standard { facts }
/// }
/// ```
///
/// And the log has no event that it could be written down as:
///
/// ```compile_fail,E0277
/// use hushbox_audit::{EventExtra, Log, Pending};
/// use hushbox_policy::{Now, Permit, Transcribe};
///
/// fn appended(log: &mut Log, now: Now, permit: Permit<Transcribe>) -> Pending<Transcribe> {
///     log.append(now, permit, EventExtra::default())
/// }
/// ```
mod what_only_standard_knows_cannot_be_asked_for_on_hipaa {}

/// ```
/// use hushbox_policy::{Listen, MessageRef, Target};
///
/// fn target(object: &MessageRef) -> Target {
///     use hushbox_policy::Action;
///
///     Listen::target(object)
/// }
/// ```
///
/// ```compile_fail,E0277
/// use hushbox_policy::{Action, MessageRef, Target};
///
/// #[derive(Debug)]
/// enum Peek {}
///
/// impl Action for Peek {
///     type Object = MessageRef;
///     const NAME: &'static str = "listen";
///
///     fn target(object: &MessageRef) -> Target {
///         Target::Message(*object)
///     }
/// }
/// ```
mod no_action_can_be_added {}

/// ```
/// use hushbox_policy::{CallerNumber, Number};
///
/// fn shown(number: &Number) -> String {
///     format!("{number}")
/// }
/// ```
///
/// ```compile_fail,E0277
/// use hushbox_policy::Pin;
///
/// fn shown(pin: &Pin) -> String {
///     format!("{pin}")
/// }
/// ```
///
/// ```compile_fail,E0277
/// use hushbox_policy::CallerNumber;
///
/// fn shown(number: &CallerNumber) -> String {
///     format!("{number}")
/// }
/// ```
///
/// ```compile_fail,E0277
/// use hushbox_policy::CallerName;
///
/// fn shown(name: &CallerName) -> String {
///     format!("{name}")
/// }
/// ```
///
/// ```compile_fail,E0277
/// use hushbox_policy::Pin;
///
/// fn stored(pin: &Pin) -> String {
///     serde_json::to_string(pin).expect("it cannot be serialised")
/// }
/// ```
///
/// Nor can text that somebody chose get into the log as a word:
///
/// ```
/// use hushbox_audit::Detail;
///
/// fn said() -> Detail {
///     Detail::new().with("end", "caller-hung-up")
/// }
/// ```
///
/// ```compile_fail,E0521
/// use hushbox_audit::Detail;
///
/// fn said(by_caller: &str) -> Detail {
///     Detail::new().with("end", by_caller)
/// }
/// ```
mod secrets_and_callers_cannot_be_printed {}

//! What a call hears: answers to its requests and news, in one queue; and the worker that asks index, objects and keys
//! for it, one request after the other.

use std::sync::Arc;

use bytes::Bytes;
use hushbox_audit::{AuditError, AuditReply, Hash};
use hushbox_call::call::{Input, LogInReply, SpoolReply};
use hushbox_call::setup::FromSignalling;
use hushbox_policy::MessageId;
use hushbox_store::{
    Directory, IndexError, IndexReply, IndexRequest, KeyError, KeyReply, KeyRequest, ObjectsError,
    ObjectsReply, ObjectsRequest,
};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::services::Services;

/// Something for a call, owned, so that it can wait.
pub(super) enum News {
    Signalling(FromSignalling),
    Spool(SpoolReply),
    Audit(Result<AuditReply, AuditError>),
    AuditedManifest(Result<Option<Hash>, AuditError>),
    LogIn(LogInReply),
    Key(Result<KeyReply, KeyError>),
    Index(Result<IndexReply, IndexError>),
    Object(Result<Bytes, ObjectsError>),
    Directory(Arc<Directory>),
    ShutDown,
}

impl News {
    pub(super) fn into_input(self) -> Input<'static> {
        match self {
            Self::Signalling(says) => Input::Signalling(says),
            Self::Spool(reply) => Input::Spool(reply),
            Self::Audit(reply) => Input::Audit(reply),
            Self::AuditedManifest(hash) => Input::AuditedManifest(hash),
            Self::LogIn(reply) => Input::LogIn(reply),
            Self::Key(reply) => Input::Key(reply),
            Self::Index(reply) => Input::Index(reply),
            Self::Object(reply) => Input::Object(reply),
            Self::Directory(directory) => Input::Directory(directory),
            Self::ShutDown => Input::ShutDown,
        }
    }
}

/// The way to a call. What waits is bounded by what the call has asked for and what signalling says to it.
#[derive(Clone)]
pub(super) struct Inbox(mpsc::UnboundedSender<News>);

impl Inbox {
    /// A new one, and its other end.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<News>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    pub(super) fn send(&self, news: News) {
        // A call that has ended wants no answers.
        let _ended = self.0.send(news);
    }

    pub(super) fn signalling(&self, says: FromSignalling) {
        self.send(News::Signalling(says));
    }

    pub(super) fn spool(&self, reply: SpoolReply) {
        self.send(News::Spool(reply));
    }

    pub(super) fn directory(&self, directory: Arc<Directory>) {
        self.send(News::Directory(directory));
    }

    pub(super) fn shut_down(&self) {
        self.send(News::ShutDown);
    }
}

/// A request that is awaited off the shard's thread.
pub(super) enum Asked {
    Index(IndexRequest),
    Object(ObjectsRequest),
    Key(KeyRequest),
    AuditedManifest { message: MessageId, seq: u64 },
}

/// Asks for one call. Answers come in the order of the requests.
pub(super) struct Worker(Option<mpsc::UnboundedSender<Asked>>);

impl Worker {
    /// Nothing is started before something is asked: a deposit asks nothing.
    pub(super) const fn new() -> Self {
        Self(None)
    }

    pub(super) fn ask(
        &mut self,
        asked: Asked,
        runtime: &Handle,
        services: &Arc<Services>,
        inbox: &Inbox,
    ) {
        let worker = self.0.get_or_insert_with(|| {
            let (sender, requests) = mpsc::unbounded_channel();
            runtime.spawn(work(requests, Arc::clone(services), inbox.clone()));
            sender
        });
        // The worker lives as long as this sender.
        let _gone = worker.send(asked);
    }
}

async fn work(mut requests: mpsc::UnboundedReceiver<Asked>, services: Arc<Services>, inbox: Inbox) {
    while let Some(asked) = requests.recv().await {
        inbox.send(match asked {
            Asked::Index(request) => News::Index(services.index.run(request).await),
            Asked::Object(request) => News::Object(match services.objects.run(request).await {
                Ok(ObjectsReply::Bytes(bytes)) => Ok(bytes),
                Ok(_) => Err(ObjectsError::Unavailable(
                    "it answered something else than it was asked".to_owned(),
                )),
                Err(error) => Err(error),
            }),
            Asked::Key(request) => News::Key(match &services.opening {
                Some(opening) => opening.keys.run(request).await,
                None => Err(KeyError::Missing("this server only records".to_owned())),
            }),
            Asked::AuditedManifest { message, seq } => {
                News::AuditedManifest(services.audited_manifest(message, seq).await)
            }
        });
    }
}

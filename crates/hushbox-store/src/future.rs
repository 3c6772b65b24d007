//! The shape of what the shell awaits.

use std::future::Future;
use std::pin::Pin;

/// A future that the shell awaits; boxed, since the engine is chosen at run time. Nothing in this crate awaits it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

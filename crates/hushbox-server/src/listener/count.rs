//! How many connections there are: in all, and from each address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hushbox_sip::rate::Source;

use crate::limits;

/// Counts connections and refuses those above the limits.
#[derive(Clone, Debug)]
pub struct Connections {
    max: usize,
    strangers_max: usize,
    per_source_max: usize,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    strangers: usize,
    by_source: BTreeMap<Source, usize>,
}

/// One admitted connection: it counts until this is dropped.
#[derive(Debug)]
pub struct Admitted {
    source: Source,
    stranger: bool,
    strangers_max: usize,
    open: Arc<Mutex<Open>>,
}

/// What a connection takes up.
#[derive(Debug)]
pub enum Place {
    /// One of those that others may open.
    Theirs(Admitted),
    /// One of ours: signalling counts them.
    Ours,
}

impl Connections {
    /// Limits for all listeners together.
    pub fn new(max: usize, per_source_max: usize) -> Self {
        let strangers_max = max - max / limits::KEPT_FOR_KNOWN;
        Self { max, strangers_max, per_source_max, open: Arc::default() }
    }

    /// Admits a connection from `source`, or not.
    pub fn admit(&self, source: IpAddr) -> Option<Admitted> {
        let source = Source::from(source);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let from_source = open.by_source.get(&source).copied().unwrap_or(0);
        if open.all >= self.max || from_source >= self.per_source_max {
            return None;
        }
        open.all += 1;
        open.by_source.insert(source, from_source + 1);
        Some(Admitted {
            source,
            stranger: false,
            strangers_max: self.strangers_max,
            open: Arc::clone(&self.open),
        })
    }
}

impl Admitted {
    /// No certificate says who this is: it may stay unless strangers hold all but what is kept for known peers.
    pub fn stay_as_stranger(&mut self) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.stranger && open.strangers < self.strangers_max {
            open.strangers += 1;
            self.stranger = true;
        }
        self.stranger
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        if self.stranger {
            open.strangers -= 1;
        }
        if let Some(count) = open.by_source.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                open.by_source.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_cannot_take_every_connection_and_gives_back_what_it_closes() {
        let connections = Connections::new(3, 2);
        let (a, b) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let first = connections.admit(a);
        let second = connections.admit(a);
        assert!(first.is_some() && second.is_some() && connections.admit(a).is_none());
        let third = connections.admit(b);
        assert!(third.is_some() && connections.admit(b).is_none(), "three in all");
        drop(first);
        assert!(connections.admit(a).is_some());
        drop((second, third));
        assert!(connections.open.lock().expect("a lock").by_source.is_empty());
    }

    #[test]
    fn strangers_leave_a_quarter_to_peers_with_a_certificate() {
        let connections = Connections::new(4, 4);
        let source = IpAddr::from([192, 0, 2, 1]);
        let mut strangers: Vec<Admitted> =
            (0..4).map(|_| connections.admit(source).expect("admitted")).collect();
        let stay: Vec<bool> = strangers.iter_mut().map(Admitted::stay_as_stranger).collect();
        assert_eq!(stay, [true, true, true, false]);
        strangers.pop();
        let mut another = connections.admit(source).expect("a place for a known peer");
        assert!(!another.stay_as_stranger());
        strangers.pop();
        assert!(another.stay_as_stranger(), "a stranger has gone");
    }

    #[test]
    fn an_ipv4_address_counts_the_same_when_it_arrives_mapped() {
        let connections = Connections::new(3, 1);
        let _first = connections.admit(IpAddr::from([192, 0, 2, 1])).expect("admitted");
        assert!(connections.admit("::ffff:192.0.2.1".parse().expect("an address")).is_none());
    }
}

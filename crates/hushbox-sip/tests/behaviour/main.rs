//! What the endpoint does on the wire, in virtual time. The caller's side is written out as
//! messages, so that both ends cannot share a mistake.

mod answering;
mod cancel;
mod checks;
mod dialog;
mod elsewhere;
mod hanging_up;
mod on_the_wire;
mod outgoing;
mod reaching;
mod reinvite;
mod session_timer;
mod sources;
mod streams;
mod subscribing;
mod tap;
mod timers;
mod transactions;
mod update;
mod world;

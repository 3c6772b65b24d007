//! Requests of our own outside of the calls: RFC 3263 §4.3, RFC 5923, RFC 5626 §4.4.1.

use crate::world::{SECOND, Sent, World, address, opened, request, response, seconds, tls};
use hushbox_sip::{
    ConnectionId, Destination, Event, Flow, Outgoing, OwnContact, RequestId, Transport, Undelivered,
};

const FIRST: &str = "192.0.2.7:5060";
const SECOND_ONE: &str = "192.0.2.8:5060";

fn over_udp(remotes: &[&str]) -> Vec<Destination> {
    remotes.iter().map(|r| Destination::new(Transport::Udp, address(r), None)).collect()
}

fn over_tls(remote: &str) -> Destination {
    Destination::new(Transport::Tls, address(remote), Some("pbx.example.com".to_owned()))
}

fn notify(destinations: Vec<Destination>) -> Outgoing {
    Outgoing::new(
        "NOTIFY",
        "sip:pbx.example.com",
        "<sip:voicemail@vm.example.com>",
        "<sip:pbx.example.com>",
        destinations,
    )
}

fn from_peer(of: Flow) -> Flow {
    Flow { remote: of.remote, ..of }
}

fn status_of(world: &mut World, request: RequestId) -> u16 {
    match world.events.pop() {
        Some(Event::Answered { request: of, response }) if of == request => response.status,
        other => panic!("{other:?}"),
    }
}

fn why_of(world: &mut World, request: RequestId) -> Undelivered {
    match world.events.pop() {
        Some(Event::Unanswered { request: of, why }) if of == request => why,
        other => panic!("{other:?}"),
    }
}

fn reply(world: &mut World, to: &Sent, status: u16) {
    world.receive(from_peer(to.flow), &response(to, status));
}

#[test]
fn a_request_has_what_every_request_needs_and_its_answer_is_told_once() {
    let mut world = World::new();
    let mut outgoing = notify(over_udp(&[FIRST]));
    outgoing.contact = Some(OwnContact::voicemail());
    outgoing.headers.push(("Event".to_owned(), "message-summary".to_owned()));
    outgoing.body = Some(("application/simple-message-summary".to_owned(), "ok".into()));
    let id = world.send(outgoing);
    let sent = world.only_sent();
    assert_eq!(sent.flow.remote, address(FIRST));
    assert!(sent.text.starts_with("NOTIFY sip:pbx.example.com SIP/2.0\r\n"), "{}", sent.text);
    assert_eq!(sent.header("Max-Forwards"), Some("70"));
    assert_eq!(sent.header("CSeq"), Some("1 NOTIFY"));
    assert_eq!(sent.header("Contact"), Some("<sip:voicemail@vm.example.com:5060;transport=udp>"));
    assert_eq!(sent.header("Content-Length"), Some("2"));
    assert!(sent.header("From").is_some_and(|from| from.contains(">;tag=")), "{}", sent.text);
    assert!(sent.header("Call-ID").is_some_and(|id| id.len() >= 32));
    reply(&mut world, &sent, 200);
    reply(&mut world, &sent, 200);
    assert_eq!(status_of(&mut world, id), 200);
    assert!(world.events.is_empty(), "told once");
    world.advance(6 * SECOND);
    world.assert_empty();
}

#[test]
fn a_request_inside_a_dialog_keeps_its_tags_call_id_number_and_route() {
    let mut world = World::new();
    let mut outgoing = notify(over_udp(&[FIRST]));
    outgoing.from = b"<sip:1001@vm.example.com>;tag=ours".to_vec();
    outgoing.to = b"<sip:phone@pbx.example.com>;tag=theirs".to_vec();
    outgoing.call_id = Some(b"call@pbx".to_vec());
    outgoing.cseq = Some(17);
    outgoing.route = vec![b"<sip:proxy.example.com;lr>".to_vec()];
    world.send(outgoing);
    let sent = world.only_sent();
    assert_eq!(sent.header("From"), Some("<sip:1001@vm.example.com>;tag=ours"));
    assert_eq!(sent.header("To"), Some("<sip:phone@pbx.example.com>;tag=theirs"));
    assert_eq!(sent.header("Call-ID"), Some("call@pbx"));
    assert_eq!(sent.header("CSeq"), Some("17 NOTIFY"));
    assert_eq!(sent.header("Route"), Some("<sip:proxy.example.com;lr>"));
}

#[test]
fn a_destination_that_says_503_is_passed_over_for_the_next() {
    let mut world = World::new();
    let id = world.send(notify(over_udp(&[FIRST, SECOND_ONE])));
    let first = world.only_sent();
    reply(&mut world, &first, 503);
    let second = world.only_sent();
    assert_eq!(second.flow.remote, address(SECOND_ONE));
    // RFC 3263 §4.3: a new transaction.
    assert_ne!(first.header("Via"), second.header("Via"));
    assert_eq!(first.header("Call-ID"), second.header("Call-ID"));
    assert!(world.events.is_empty());
    reply(&mut world, &second, 404);
    assert_eq!(status_of(&mut world, id), 404);
}

#[test]
fn when_every_destination_says_503_the_last_of_them_is_the_answer() {
    let mut world = World::new();
    let id = world.send(notify(over_udp(&[FIRST, SECOND_ONE])));
    for _ in 0..2 {
        let sent = world.only_sent();
        reply(&mut world, &sent, 503);
    }
    assert_eq!(status_of(&mut world, id), 503);
}

#[test]
fn a_destination_that_says_nothing_for_32_s_is_passed_over() {
    let mut world = World::new();
    let id = world.send(notify(over_udp(&[FIRST, SECOND_ONE])));
    world.advance(32 * SECOND);
    let sent = world.take_sent();
    let (second, first): (Vec<_>, Vec<_>) =
        sent.into_iter().partition(|s| s.flow.remote == address(SECOND_ONE));
    let at = [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5];
    assert_eq!(seconds(&first), at, "timer E");
    assert_eq!(seconds(&second), [32.0], "timer F");
    world.advance(32 * SECOND);
    assert_eq!(why_of(&mut world, id), Undelivered::Timeout);
    // The first destination wakes up at last: nobody listens any more.
    reply(&mut world, &first[0], 200);
    assert!(world.events.is_empty());
    world.assert_empty();
}

#[test]
fn without_a_destination_that_can_be_reached_nothing_is_sent() {
    let mut world = World::new();
    let id = world.send(notify(Vec::new()));
    assert_eq!(why_of(&mut world, id), Undelivered::NoDestination);
    // No listener of ours has IPv6.
    let id = world.send(notify(over_udp(&["[2001:db8::1]:5060"])));
    assert_eq!(why_of(&mut world, id), Undelivered::NoDestination);
    assert!(world.sent.is_empty());
    world.assert_empty();
}

#[test]
fn what_is_too_large_for_a_datagram_goes_by_tcp_if_the_peer_takes_that() {
    let large = || {
        let mut outgoing = notify(over_udp(&[FIRST]));
        outgoing.body = Some(("text/plain".to_owned(), vec![b'x'; 1300].into()));
        outgoing
    };
    let mut world = World::new();
    world.send(large());
    assert!(world.sent.is_empty());
    let tcp = Flow { transport: Transport::Tcp, ..opened(9) };
    let destination = world.connect(Some(tcp));
    assert_eq!((destination.transport, destination.remote), (Transport::Tcp, address(FIRST)));
    assert_eq!(world.only_sent().flow.transport, Transport::Tcp);
    let mut world = World::new();
    world.send(large());
    world.connect(None);
    assert_eq!(world.only_sent().flow.transport, Transport::Udp, "better than not at all");
}

#[test]
fn requests_to_one_destination_share_one_connection() {
    let mut world = World::new();
    world.send(notify(vec![over_tls("192.0.2.7:5061")]));
    world.send(notify(vec![over_tls("192.0.2.7:5061")]));
    assert!(world.sent.is_empty(), "not before the connection is there");
    assert_eq!(world.connect(Some(opened(9))).name.as_deref(), Some("pbx.example.com"));
    assert_eq!(world.take_sent().len(), 2);
    let id = world.send(notify(vec![over_tls("192.0.2.7:5061")]));
    assert!(world.attempts.is_empty(), "RFC 5923: it is open");
    let sent = world.only_sent();
    assert_eq!(sent.flow.connection, Some(ConnectionId(9)));
    assert!(
        sent.header("Via").is_some_and(|via| via.starts_with("SIP/2.0/TLS vm.example.com:5061"))
    );
    reply(&mut world, &sent, 200);
    assert_eq!(status_of(&mut world, id), 200);
    // Another name at the same address may be another server.
    let mut other = over_tls("192.0.2.7:5061");
    other.name = Some("other.example.com".to_owned());
    world.send(notify(vec![other]));
    assert_eq!(world.attempts.len(), 1);
}

#[test]
fn a_connection_that_cannot_be_opened_or_breaks_leads_to_the_next_destination() {
    let mut world = World::new();
    let id = world.send(notify(vec![over_tls("192.0.2.7:5061"), over_tls("192.0.2.8:5061")]));
    world.connect(None);
    assert_eq!(world.connect(Some(opened(9))).remote, address("192.0.2.8:5061"));
    assert_eq!(world.take_sent().len(), 1);
    world.close(opened(9));
    assert_eq!(why_of(&mut world, id), Undelivered::NoConnection);
    world.assert_empty();
}

#[test]
fn a_connection_that_opens_too_slowly_is_not_waited_for() {
    let mut world = World::new();
    let id = world.send(notify(vec![over_tls("192.0.2.7:5061")]));
    world.advance(10 * SECOND);
    assert_eq!(why_of(&mut world, id), Undelivered::NoConnection);
    world.connect(Some(opened(9)));
    assert_eq!(world.disconnected.len(), 1, "nobody waits for it");
    world.assert_empty();
}

#[test]
fn a_reused_connection_that_turns_out_dead_is_opened_anew() {
    let mut world = World::new();
    world.send(notify(vec![over_tls("192.0.2.7:5061")]));
    world.connect(Some(opened(9)));
    let first = world.only_sent();
    reply(&mut world, &first, 200);
    let id = world.send(notify(vec![over_tls("192.0.2.7:5061")]));
    world.close(opened(9));
    world.sent.clear();
    world.connect(Some(opened(10)));
    let again = world.only_sent();
    reply(&mut world, &again, 200);
    assert_eq!(status_of(&mut world, id), 200);
}

#[test]
fn a_connection_of_ours_without_use_closes() {
    let mut world = World::new();
    world.send(notify(vec![over_tls("192.0.2.7:5061")]));
    world.connect(Some(opened(9)));
    let sent = world.only_sent();
    reply(&mut world, &sent, 200);
    world.advance(119 * SECOND);
    assert!(world.disconnected.is_empty());
    world.advance(SECOND);
    assert_eq!(world.disconnected.len(), 1);
    world.events.clear();
    world.assert_empty();
}

#[test]
fn a_call_keeps_the_connection_that_it_came_by() {
    let mut world = World::new();
    world.send(notify(vec![over_tls("192.0.2.7:5061")]));
    world.connect(Some(opened(9)));
    let sent = world.only_sent();
    reply(&mut world, &sent, 200);
    world.events.clear();
    let (session, _) = world.established(opened(9));
    world.advance(1000 * SECOND);
    assert!(world.disconnected.is_empty());
    world.hang_up(session);
    let bye = world.only_sent();
    assert_eq!(bye.flow.connection, Some(ConnectionId(9)));
}

#[test]
fn a_kept_connection_is_asked_and_closed_when_its_peer_stops_answering() {
    let mut world = World::new();
    world.send(notify(vec![over_tls("192.0.2.7:5061")]));
    world.connect(Some(opened(9)));
    let sent = world.only_sent();
    reply(&mut world, &sent, 200);
    world.events.clear();
    world.keep_alive(opened(9), 100 * SECOND, false);
    world.advance(100 * SECOND);
    let ping = world.only_sent();
    assert_eq!(ping.text, "\r\n\r\n");
    assert!(ping.at >= 80 * SECOND && ping.at <= 100 * SECOND, "{:?}", ping.at);
    // A peer that has never answered is not expected to.
    world.advance(200 * SECOND);
    assert!(world.disconnected.is_empty());
    let pings = world.take_sent().len();
    assert!((1..=3).contains(&pings), "{pings}");
    // One that has is.
    world.receive(opened(9), "\r\n");
    assert!(world.sent.is_empty(), "an answer is not answered");
    world.advance(120 * SECOND);
    assert_eq!(world.disconnected.len(), 1);
    world.assert_empty();
}

#[test]
fn a_peer_that_asks_and_never_answers_is_answered_and_keeps_its_connection() {
    let mut world = World::new();
    world.send(notify(vec![over_tls("192.0.2.7:5061")]));
    world.connect(Some(opened(9)));
    let sent = world.only_sent();
    reply(&mut world, &sent, 200);
    world.keep_alive(opened(9), 100 * SECOND, false);
    for _ in 0..10 {
        world.advance(150 * SECOND);
        world.sent.clear();
        world.receive(opened(9), "\r\n\r\n");
        assert_eq!(world.only_sent().text, "\r\n");
    }
    assert!(world.disconnected.is_empty());
}

#[test]
fn a_peer_that_answers_keeps_its_connection() {
    let mut world = World::new();
    world.send(notify(vec![over_tls("192.0.2.7:5061")]));
    world.connect(Some(opened(9)));
    let sent = world.only_sent();
    reply(&mut world, &sent, 200);
    world.keep_alive(opened(9), 100 * SECOND, true);
    for _ in 0..100 {
        world.advance(SECOND * 9);
        if world.take_sent().iter().any(|s| s.text == "\r\n\r\n") {
            world.receive(opened(9), "\r\n");
        }
    }
    assert!(world.disconnected.is_empty());
}

#[test]
fn a_peers_own_connection_does_only_where_its_certificate_is_known_and_it_offers_that() {
    let send = |identified: bool, via: &str, identity| {
        let mut world = World::new();
        let flow = tls(4);
        if identified {
            world.endpoint.identify(ConnectionId(4), 77);
        }
        world.receive(flow, &request(flow, "OPTIONS", 1).via(via).text());
        world.sent.clear();
        let mut destination = over_tls("192.0.2.1:5061");
        destination.identity = identity;
        world.send(notify(vec![destination]));
        world.sent.len()
    };
    let alias = "SIP/2.0/TLS pbx.example.com;alias";
    assert_eq!(send(true, alias, Some(77)), 1);
    assert_eq!(send(false, alias, Some(77)), 0, "nobody knows whose connection it is");
    assert_eq!(send(true, alias, None), 0, "not meant for it");
    assert_eq!(send(true, alias, Some(78)), 0, "somebody else's");
    assert_eq!(send(true, "SIP/2.0/TLS pbx.example.com", Some(77)), 0, "not offered");
    assert_eq!(send(true, "SIP/2.0/TLS pbx.example.com:5071;alias", Some(77)), 0, "another port");
}

#[test]
fn too_many_requests_at_once_are_refused_and_the_others_live() {
    let mut world = World::new();
    for _ in 0..hushbox_sip::limits::MAX_REQUESTS {
        world.send(notify(over_udp(&[FIRST])));
    }
    let id = world.send(notify(over_udp(&[FIRST])));
    assert_eq!(why_of(&mut world, id), Undelivered::TooMany);
    let first = world.take_sent().swap_remove(0);
    reply(&mut world, &first, 200);
    assert_eq!(world.events.len(), 1);
}

#[test]
fn nothing_of_a_request_shows_in_debug() {
    let mut world = World::new();
    let outgoing = notify(over_udp(&[FIRST]));
    assert_eq!(format!("{outgoing:?}"), "Outgoing(NOTIFY, 1 destinations)");
    world.send(outgoing);
    let sent = world.only_sent();
    reply(&mut world, &sent, 200);
    let shown = format!("{:?}", world.events);
    assert!(shown.starts_with("[Answered(") && !shown.contains("example"), "{shown}");
}

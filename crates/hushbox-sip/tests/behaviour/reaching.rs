//! Peers whose connection is gone: NOTIFY, BYE and refreshes go on in their dialog by a connection that we open (RFC 3261
//! §12.2.1.1, §18.1.1, RFC 5923).

use crate::world::{SECOND, World, address, invite, opened, request, response, seconds, tls};
use hushbox_sip::{ConnectionId, Destination, Sending, Session, Subscription, Transport, Usage};

fn over_tls(remote: &str) -> Destination {
    Destination::new(Transport::Tls, address(remote), Some("pbx.example.com".to_owned()))
}

/// A subscription that came over a connection which is gone.
fn gone(world: &mut World, routes: &str) -> Subscription {
    let mut subscribe = request(tls(1), "SUBSCRIBE", 1).header("Event: message-summary");
    if !routes.is_empty() {
        subscribe = subscribe.header(&format!("Record-Route: {routes}"));
    }
    world.receive(tls(1), &subscribe.header("Expires: 600").text());
    let (asked, _) = world.subscribed();
    let subscription = world.accept_subscribe(asked, 600);
    world.take_sent();
    world.close(tls(1));
    assert_eq!(world.notify(subscription, 1), Sending::NoWay);
    subscription
}

#[test]
fn a_notify_goes_on_in_its_dialog_by_a_connection_of_ours() {
    let mut world = World::new();
    let subscription = gone(&mut world, "");
    let hop = world.endpoint.next_hop(subscription).expect("a Contact");
    // It names no transport: what began over TLS goes on so.
    assert_eq!((hop.host(), hop.transport()), ("192.0.2.1", Some(Transport::Tls)));
    // The first takes none, datagrams are no way, the third does.
    let of_udp = Destination::new(Transport::Udp, address("192.0.2.7:5060"), None);
    let destinations = vec![over_tls("192.0.2.6:5061"), of_udp, over_tls("192.0.2.7:5061")];
    world.reach(subscription, destinations);
    world.reach(subscription, Vec::new());
    assert_eq!(world.connect(None).remote, address("192.0.2.6:5061"));
    assert_eq!(world.events.len(), 0);
    let asked = world.connect(Some(opened(7)));
    assert_eq!(asked.name.as_deref(), Some("pbx.example.com"), "what it must prove to be");
    assert_eq!(
        format!("{:?}", world.events.remove(0)),
        format!("Reached({:?}, true)", Usage::from(subscription))
    );
    assert_eq!(world.notify(subscription, 1), Sending::Sent);
    let notify = world.only_sent();
    assert_eq!(notify.flow.connection, Some(ConnectionId(7)));
    assert!(notify.text.starts_with("NOTIFY sip:jane@192.0.2.1"), "{}", notify.text);
    world.receive(opened(7), &response(&notify, 200));
    assert_eq!(world.event_names(), ["Notified Taken"]);
    // A refresh may come by it, and one that is open already is found at once.
    world.reach(subscription, vec![over_tls("192.0.2.7:5061")]);
    assert_eq!(world.event_names(), ["Reached"]);
    world.endpoint.forget_subscription(subscription);
    world.advance(SECOND * 64);
    world.events.clear();
    world.close(opened(7));
    world.assert_empty();
}

#[test]
fn with_a_route_that_is_the_next_hop() {
    for route in ["<sip:proxy.example.com;lr>", "<sip:proxy.example.com>"] {
        let mut world = World::new();
        let subscription = gone(&mut world, &format!("{route}, <sip:inner.example.com;lr>"));
        let hop = world.endpoint.next_hop(subscription).expect("a route");
        assert_eq!(hop.host(), "proxy.example.com", "{route}");
    }
}

#[test]
fn where_nobody_takes_a_connection_that_is_said_once_and_nothing_is_left() {
    let mut world = World::new();
    let subscription = gone(&mut world, "");
    world.reach(subscription, vec![over_tls("192.0.2.6:5061")]);
    world.connect(None);
    assert_eq!(
        format!("{:?}", world.events.remove(0)),
        format!("Reached({:?}, false)", Usage::from(subscription))
    );
    world.reach(subscription, Vec::new());
    assert_eq!(world.event_names(), ["Reached"]);
    // One that ends meanwhile is no more to be reached.
    world.reach(subscription, vec![over_tls("192.0.2.6:5061")]);
    world.endpoint.forget_subscription(subscription);
    world.connect(Some(opened(8)));
    assert_eq!(world.event_names(), ["Unsubscribed Revoked"]);
    world.reach(subscription, vec![over_tls("192.0.2.6:5061")]);
    world.advance(SECOND * 64);
    assert!(world.events.is_empty());
    world.close(opened(8));
    world.assert_empty();
}

/// An answered call of a known peer whose connection is gone: its session and our tag.
fn call_gone(world: &mut World, more: &str) -> (Session, String) {
    world.endpoint.identify(ConnectionId(1), 1);
    let mut first = invite(tls(1));
    if !more.is_empty() {
        first = first.header(more);
    }
    world.receive(tls(1), &first.text());
    let (session, _) = world.invited();
    world.answer(session);
    let tag = world.sent.last().expect("a 200").to_tag();
    world.receive(tls(1), &request(tls(1), "ACK", 1).tagged(&tag).branch("ack").text());
    assert_eq!(world.event_names(), ["Acknowledged"]);
    world.take_sent();
    world.close(tls(1));
    assert!(world.events.is_empty(), "the call goes on without its connection");
    (session, tag)
}

#[test]
fn a_bye_goes_by_a_connection_of_ours_where_that_of_the_call_is_gone() {
    let mut world = World::new();
    let (session, tag) = call_gone(&mut world, "Record-Route: <sip:proxy.example.com;lr>");
    world.hang_up(session);
    assert_eq!(world.event_names(), ["NoWay"]);
    let hop = world.endpoint.next_hop(session).expect("a route");
    assert_eq!(hop.host(), "proxy.example.com");
    // What began over TLS does not go on in the clear.
    let clear = Destination::new(Transport::Tcp, address("192.0.2.6:5060"), None);
    world.reach(session, vec![clear, over_tls("192.0.2.7:5061")]);
    assert_eq!(world.connect(Some(opened(7))).remote, address("192.0.2.7:5061"));
    assert_eq!(world.event_names(), ["Reached"]);
    let bye = world.only_sent();
    assert_eq!(bye.flow.connection, Some(ConnectionId(7)));
    assert!(bye.text.starts_with("BYE sip:jane@192.0.2.1"), "{}", bye.text);
    assert_eq!(bye.header("Route"), Some("<sip:proxy.example.com;lr>"));
    assert!(bye.header("From").is_some_and(|from| from.ends_with(&tag)));
    world.receive(opened(7), &response(&bye, 200));
    assert_eq!(world.event_names(), ["Terminated"]);
    world.close(opened(7));
    world.advance(SECOND * 64);
    world.assert_empty();
}

#[test]
fn a_bye_that_nobody_can_be_connected_to_for_ends_the_session_all_the_same() {
    let mut world = World::new();
    let (session, _) = call_gone(&mut world, "");
    world.hang_up(session);
    assert_eq!(world.event_names(), ["NoWay"]);
    world.reach(session, vec![over_tls("192.0.2.7:5061")]);
    world.connect(None);
    assert_eq!(world.event_names(), ["Reached", "Terminated"]);
    world.advance(SECOND * 64);
    world.assert_empty();
    // And where nobody says where the peer is.
    let mut world = World::new();
    let (session, _) = call_gone(&mut world, "");
    world.hang_up(session);
    world.advance(SECOND * 31);
    assert_eq!(world.event_names(), ["NoWay"]);
    world.advance(SECOND * 2);
    assert_eq!(world.event_names(), ["Terminated"]);
    world.assert_empty();
}

#[test]
fn a_bye_that_waits_goes_out_when_the_peer_comes_by_itself() {
    let mut world = World::new();
    let (session, tag) = call_gone(&mut world, "");
    world.hang_up(session);
    world.reach(session, vec![over_tls("192.0.2.7:5061")]);
    world.event_names();
    world.endpoint.identify(ConnectionId(2), 1);
    world.receive(tls(2), &request(tls(2), "OPTIONS", 2).tagged(&tag).text());
    assert_eq!(world.event_names(), ["Reached"]);
    let sent = world.take_sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].status(), 200);
    assert!(sent[1].text.starts_with("BYE "));
    assert_eq!(sent[1].flow.connection, Some(ConnectionId(2)));
    world.receive(tls(2), &response(&sent[1], 200));
    assert_eq!(world.event_names(), ["Terminated"]);
    // What was asked for comes too late, and closes when nobody has used it.
    world.connect(Some(opened(7)));
    world.close(tls(2));
    world.advance(SECOND * 300);
    assert_eq!(world.disconnected, [opened(7)]);
    world.assert_empty();
}

#[test]
fn a_bye_whose_connection_breaks_before_the_answer_is_sent_once_more() {
    let mut world = World::new();
    world.endpoint.identify(ConnectionId(1), 1);
    let (session, _) = world.established(tls(1));
    world.hang_up(session);
    let first = world.only_sent();
    world.close(tls(1));
    assert_eq!(world.event_names(), ["NoWay"]);
    world.reach(session, vec![over_tls("192.0.2.7:5061")]);
    world.connect(Some(opened(7)));
    let again = world.only_sent();
    assert!(again.text.starts_with("BYE "));
    assert_ne!(again.header("Via"), first.header("Via"), "a transaction of its own");
    assert_eq!(again.header("Reason"), first.header("Reason"));
    world.close(opened(7));
    assert_eq!(world.event_names(), ["Reached", "Terminated"]);
    world.advance(SECOND * 64);
    world.assert_empty();
}

#[test]
fn a_refresh_goes_by_a_connection_of_ours_and_requests_may_come_by_it() {
    let timer = "Supported: timer\r\nAllow: INVITE, UPDATE\r\nSession-Expires: 180;refresher=uas";
    let mut world = World::new();
    let (session, tag) = call_gone(&mut world, timer);
    world.advance(SECOND * 90);
    assert_eq!(world.event_names(), ["NoWay"]);
    world.reach(session, vec![over_tls("192.0.2.7:5061")]);
    // Nobody there: the call goes on, and it is tried again while there is time.
    world.connect(None);
    assert_eq!(world.event_names(), ["Reached"]);
    world.advance(SECOND * 10);
    assert_eq!(world.event_names(), ["NoWay"]);
    world.reach(session, vec![over_tls("192.0.2.7:5061")]);
    world.connect(Some(opened(7)));
    assert_eq!(world.event_names(), ["Reached"]);
    let update = world.only_sent();
    assert_eq!(seconds(std::slice::from_ref(&update)), [100.0]);
    assert!(update.text.starts_with("UPDATE "), "{}", update.text);
    // A connection that breaks before the answer: the same again.
    world.close(opened(7));
    world.advance(SECOND * 10);
    assert_eq!(world.event_names(), ["NoWay"]);
    world.reach(session, vec![over_tls("192.0.2.7:5061")]);
    world.connect(Some(opened(8)));
    let update = world.only_sent();
    world.receive(opened(8), &response(&update, 200));
    world.advance(SECOND * 60);
    assert_eq!(world.event_names(), ["Reached"]);
    world.receive(opened(8), &request(opened(8), "BYE", 2).tagged(&tag).text());
    assert_eq!(world.event_names(), ["Bye", "Terminated"]);
    world.close(opened(8));
    world.advance(SECOND * 64);
    world.assert_empty();
}

#[test]
fn a_session_that_nobody_can_be_connected_to_for_ends_when_it_was_to_end() {
    let timer = "Supported: timer\r\nAllow: INVITE, UPDATE\r\nSession-Expires: 180;refresher=uas";
    let mut world = World::new();
    let (session, _) = call_gone(&mut world, timer);
    world.advance(SECOND * 90);
    world.reach(session, Vec::new());
    assert_eq!(world.event_names(), ["NoWay", "Reached"]);
    // Each time that it is owed it is asked for once, the BYE at the end included.
    world.advance(SECOND * 58);
    assert_eq!(world.event_names(), ["NoWay", "Failed SessionExpired"]);
    world.reach(session, Vec::new());
    assert_eq!(world.event_names(), ["Reached", "Terminated"]);
    assert!(world.sent.is_empty());
    world.assert_empty();
}

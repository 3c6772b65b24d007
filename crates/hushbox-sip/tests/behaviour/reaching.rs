//! Subscribers whose connection is gone: NOTIFYs go on in their dialog by a connection that we open (RFC 3261 §18.1.1,
//! RFC 5923).

use crate::world::{SECOND, World, address, opened, request, response, tls};
use hushbox_sip::{ConnectionId, Destination, Sending, Subscription, Transport};

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
    assert_eq!((hop.user(), hop.host()), (Some("jane"), "192.0.2.1"));
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
        format!("Reached({}, true)", subscription.0)
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
        format!("Reached({}, false)", subscription.0)
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

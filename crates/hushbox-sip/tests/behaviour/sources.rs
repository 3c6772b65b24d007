//! How often a source may ask, and what neighbours are told of overload (RFC 7339).

use super::world::*;
use hushbox_sip::{ConnectionId, Flow, Limits, OverloadControl, Transport};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

fn few() -> Limits {
    Limits { requests_per_source: Some(5), error_replies_per_source: 2, ..Limits::default() }
}

fn options(flow: Flow, number: u32) -> String {
    request(flow, "OPTIONS", number).call_id(&format!("ping{number}")).text()
}

fn from(ip: &str, flow: Flow) -> Flow {
    Flow { remote: SocketAddr::new(ip.parse().expect("an address"), 5070), ..flow }
}

#[test]
fn a_source_that_asks_too_often_is_answered_503_on_a_stream_and_soon_nothing_on_udp() {
    for (flow, expected) in [(tls(1), &[503, 503, 503, 503][..]), (udp(), &[503, 503])] {
        let mut world = World::with_limits(few());
        for number in 1..=9 {
            world.receive(flow, &options(flow, number));
        }
        let statuses = world.statuses();
        assert_eq!(statuses[..5], [200; 5], "{flow:?}");
        assert_eq!(&statuses[5..], expected, "{flow:?}");
        let other = from("192.0.2.9", udp());
        world.receive(other, &options(other, 10));
        assert_eq!(world.statuses(), [200], "another source is not touched");
        world.advance(SECOND);
        world.receive(flow, &options(flow, 11));
        assert_eq!(world.statuses(), [200], "and this one may again");
    }
}

#[test]
fn what_belongs_to_a_call_is_never_counted() {
    let mut world = World::with_limits(few());
    let (_, tag) = world.established(udp());
    for number in 2..12 {
        let options = request(udp(), "OPTIONS", number).tagged(&tag);
        world.receive(udp(), &options.text());
    }
    assert_eq!(world.statuses(), [200; 10]);
    for number in 20..30 {
        world.receive(udp(), &options(udp(), number));
    }
    world.take_sent();
    world.receive(udp(), &request(udp(), "BYE", 40).tagged(&tag).text());
    assert_eq!(world.statuses(), [200], "though the source has used up what it may ask");
}

#[test]
fn a_neighbour_may_ask_as_often_as_it_likes() {
    let mut world = World::with_limits(few());
    world.endpoint.add_neighbour(ConnectionId(1));
    world.endpoint.set_neighbour_addresses(BTreeSet::from([address("192.0.2.7:1").ip()]));
    let lab = from("::ffff:192.0.2.7", udp());
    for number in 0..20 {
        world.receive(tls(1), &options(tls(1), number));
        world.receive(lab, &options(lab, number));
    }
    assert_eq!(world.statuses(), [200; 40]);
    // An address proves nothing on TLS, where a certificate would.
    let stranger = Flow { connection: Some(ConnectionId(2)), ..from("192.0.2.7", tls(2)) };
    for number in 0..6 {
        world.receive(stranger, &options(stranger, number));
    }
    assert_eq!(world.statuses(), [200, 200, 200, 200, 200, 503]);
    world.close(tls(1));
    world.close(stranger);
    world.assert_empty();
}

#[test]
fn a_stream_on_which_nothing_sensible_comes_is_closed_unless_it_is_a_neighbours() {
    for is_neighbour in [false, true] {
        let mut world = World::with_limits(few());
        if is_neighbour {
            world.endpoint.add_neighbour(ConnectionId(1));
        }
        let broken = request(tls(1), "OPTIONS", 1).text().replace("Call-ID: ", "Call-ID: @ @");
        for _ in 0..3 {
            world.receive(tls(1), &broken);
        }
        assert_eq!(world.statuses(), [400, 400]);
        assert_eq!(world.disconnected.is_empty(), is_neighbour);
    }
}

/// The topmost Via of what a neighbour that takes part is answered, from where it says that it does.
fn told(world: &mut World, flow: Flow, offered: &str) -> String {
    let via = format!("SIP/2.0/TLS p1.example.net;branch=z9hG4bK2d4790.1{offered}");
    let text = request(flow, "OPTIONS", 1).text();
    let line = text.lines().find(|line| line.starts_with("Via: ")).expect("a Via").to_owned();
    let behind = "Via: SIP/2.0/TLS p0.example.net;branch=z9hG4bK1;oc;oc-algo=\"loss\"";
    world.receive(flow, &text.replace(&line, &format!("Via: {via}\r\n{behind}")));
    let sent = world.only_sent();
    let vias = sent.headers("Via");
    assert_eq!(vias[1], behind.trim_start_matches("Via: "), "only the topmost is ours to fill");
    vias[0].to_owned()
}

#[test]
fn a_neighbour_that_takes_part_is_told_how_much_to_keep_to_itself() {
    let mut world = World::new();
    world.endpoint.add_neighbour(ConnectionId(1));
    // RFC 7339 §8: nothing is asked, then a fifth.
    assert_eq!(
        told(&mut world, tls(1), ";oc;oc-algo=\"loss,A\""),
        "SIP/2.0/TLS p1.example.net;branch=z9hG4bK2d4790.1;received=192.0.2.1;oc=0;oc-algo=\"loss\";\
         oc-validity=0;oc-seq=0.000"
    );
    world.endpoint.set_overload(OverloadControl {
        loss_percent: 20,
        validity: Duration::from_millis(1000),
        sequence: (1_282_321_615, 782),
    });
    assert_eq!(
        told(&mut world, tls(1), ";oc;oc-algo=\"loss,A\""),
        "SIP/2.0/TLS p1.example.net;branch=z9hG4bK2d4790.1;received=192.0.2.1;oc=20;\
         oc-algo=\"loss\";oc-validity=1000;oc-seq=1282321615.782"
    );
}

#[test]
fn who_is_no_neighbour_or_does_not_take_part_is_told_nothing() {
    let mut world = World::new();
    world.endpoint.add_neighbour(ConnectionId(1));
    world.endpoint.set_overload(OverloadControl { loss_percent: 50, ..OverloadControl::default() });
    for (flow, offered) in [
        (tls(1), ""),
        (tls(1), ";oc;oc-algo=\"rate\""),
        (tls(2), ";oc;oc-algo=\"loss\""),
        (Flow { transport: Transport::Tcp, ..tls(3) }, ";oc;oc-algo=\"loss\""),
    ] {
        let via = told(&mut world, flow, offered);
        assert!(via.contains(offered) && !via.contains("oc=") && !via.contains("oc-seq"), "{via}");
    }
}

#[test]
fn an_invented_tag_is_counted_like_any_stranger_and_nothing_is_kept_of_it() {
    let mut world = World::with_limits(few());
    for number in 1..=9 {
        let invite = invite(tls(1)).tagged("invented").call_id(&format!("call{number}"));
        world.receive(tls(1), &invite.text());
    }
    assert_eq!(world.statuses(), [481, 481, 481, 481, 481, 503, 503, 503, 503]);
    assert_eq!(world.endpoint.load().transactions, 0);
    world.advance(2 * SECOND);
    world.receive(udp(), &invite(udp()).tagged("invented").text());
    world.advance(33 * SECOND);
    assert_eq!(world.statuses(), [481], "a forged source is told once");
    world.close(tls(1));
    world.assert_empty();
}

#[test]
fn strangers_leave_a_share_of_the_transactions_to_who_is_known() {
    let mut world = World::with_limits(Limits { transactions_max: 8, ..Limits::default() });
    let call =
        |flow, number| invite(flow).call_id(&format!("call{number}")).branch(&format!("b{number}"));
    for number in 0..7 {
        world.receive(tls(1), &call(tls(1), number).text());
    }
    assert_eq!(world.statuses(), [100, 100, 100, 100, 100, 100, 503]);
    world.endpoint.identify(ConnectionId(2), 7);
    world.receive(tls(2), &call(tls(2), 8).text());
    assert_eq!(world.statuses(), [100]);
}

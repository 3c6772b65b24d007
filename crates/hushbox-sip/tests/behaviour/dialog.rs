//! Requests inside a dialog, route sets and targets (RFC 3261 §12).

use super::world::*;
use hushbox_sip::Flow;
use std::time::Duration;

fn bye_after(invite: Request) -> Sent {
    let mut world = World::new();
    world.receive(udp(), &invite.text());
    let (session, _) = world.invited();
    world.answer(session);
    let tag = world.take_sent().pop().expect("a 200").to_tag();
    world.receive(udp(), &request(udp(), "ACK", 1).tagged(&tag).text());
    world.hang_up(session);
    world.only_sent()
}

// RFC 3261 §12.1.1, §12.2.1.1.
#[test]
fn our_bye_follows_the_recorded_route_in_order() {
    let bye = bye_after(
        invite(udp())
            .header("Record-Route: <sip:p1.example.com;lr>, \"P2\" <sip:p2.example.com;lr>;x=y")
            .header("Record-Route: <sip:p3.example.com;lr=on>"),
    );
    assert!(bye.text.starts_with("BYE sip:jane@192.0.2.1:5070 SIP/2.0"));
    let routes = [
        "<sip:p1.example.com;lr>",
        "\"P2\" <sip:p2.example.com;lr>;x=y",
        "<sip:p3.example.com;lr=on>",
    ];
    assert_eq!(bye.headers("Route"), routes);
}

/// RFC 3261 section 12.2.1.1: a proxy that stays between gets what we send, wherever the INVITE came from.
#[test]
fn by_udp_our_bye_goes_to_the_first_route_where_that_is_an_address() {
    let by = |route: &str| {
        let mut world = World::new();
        let call = invite(udp()).header(&format!("Record-Route: {route}"));
        world.receive(udp(), &call.text());
        let (session, _) = world.invited();
        world.answer(session);
        let tag = world.sent.last().expect("a 200").to_tag();
        assert_eq!(
            world.sent.last().expect("a 200").flow,
            udp(),
            "responses go where it came from"
        );
        world.receive(udp(), &request(udp(), "ACK", 1).tagged(&tag).branch("ack").text());
        world.sent.clear();
        world.hang_up(session);
        let bye = world.only_sent();
        assert_eq!(bye.flow.local, udp().local);
        bye.flow.remote.to_string()
    };
    let source = udp().remote.to_string();
    assert_eq!(by("<sip:192.0.2.8:5080;lr>, <sip:192.0.2.9;lr>"), "192.0.2.8:5080");
    assert_eq!(by("<sip:192.0.2.8;transport=UDP;lr>"), "192.0.2.8:5060");
    assert_eq!(by("<sip:192.0.2.8>"), "192.0.2.8:5060", "a strict router");
    // Nothing that this socket can send to.
    assert_eq!(by("<sip:[2001:db8::8];lr>"), source);
    assert_eq!(by("<sip:192.0.2.8;transport=tcp;lr>"), source);
    assert_eq!(by("<sips:192.0.2.8;lr>"), source);
    assert_eq!(by("<sip:proxy.example.com;lr>"), source);
}

#[test]
fn a_strict_router_gets_itself_as_request_uri_and_the_target_last() {
    let bye = bye_after(
        invite(udp())
            .header("Record-Route: <sip:strict.example.com>")
            .header("Record-Route: <sip:p2.example.com;lr>"),
    );
    assert!(bye.text.starts_with("BYE sip:strict.example.com SIP/2.0"), "{}", bye.text);
    assert_eq!(bye.headers("Route"), ["<sip:p2.example.com;lr>", "<sip:jane@192.0.2.1:5070>"]);
}

#[test]
fn without_a_contact_our_bye_goes_to_from() {
    let text = invite(udp()).text().replace("Contact: <sip:jane@192.0.2.1:5070>\r\n", "");
    let mut world = World::new();
    world.receive(udp(), &text);
    let (session, _) = world.invited();
    world.answer(session);
    let tag = world.take_sent().pop().expect("a 200").to_tag();
    world.receive(udp(), &request(udp(), "ACK", 1).tagged(&tag).text());
    world.hang_up(session);
    assert!(world.only_sent().text.starts_with("BYE sip:jane@pbx.example.com SIP/2.0"));
}

#[test]
fn a_contact_that_is_no_sip_uri_is_refused() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).contact("<mailto:jane@example.com>").text());
    assert_eq!(world.statuses(), [400]);
}

#[test]
fn a_sips_call_gets_a_sips_contact() {
    let mut world = World::new();
    world.receive(tls(1), &invite(tls(1)).uri("sips:1001@vm.example.com").text());
    let (session, _) = world.invited();
    world.answer(session);
    let ok = world.take_sent().pop().expect("a 200");
    assert_eq!(ok.header("Contact"), Some("<sips:voicemail@vm.example.com:5061>"));
}

#[test]
fn a_peer_without_rport_is_answered_at_its_sent_by_and_known_by_its_source() {
    let source = Flow { remote: address("192.0.2.1:33000"), ..udp() };
    let mut world = World::new();
    let via = "SIP/2.0/UDP 192.0.2.1:5070";
    world.receive(source, &invite(udp()).via(via).text());
    let (session, _) = world.invited();
    world.answer(session);
    let ok = world.take_sent().pop().expect("a 200");
    assert_eq!(ok.flow.remote, address("192.0.2.1:5070"));
    world.receive(source, &request(udp(), "ACK", 1).via(via).tagged(&ok.to_tag()).text());
    world.hang_up(session);
    assert_eq!(world.only_sent().flow.remote, address("192.0.2.1:5070"));
    world.receive(source, &request(udp(), "BYE", 2).via(via).tagged(&ok.to_tag()).text());
    assert_eq!(world.statuses(), [200]);
}

#[test]
fn another_connection_of_the_same_identity_counts_and_is_used_from_then_on() {
    let mut world = World::new();
    world.endpoint.identify(tls(1).connection.expect("a connection"), 42);
    let (session, tag) = world.established(tls(1));
    world.close(tls(1));
    assert!(world.events.is_empty(), "the call outlives its connection");
    world.endpoint.identify(tls(2).connection.expect("a connection"), 43);
    world.receive(tls(2), &request(tls(2), "OPTIONS", 2).tagged(&tag).text());
    assert_eq!(world.event_names(), ["Elsewhere"]);
    world.endpoint.identify(tls(3).connection.expect("a connection"), 42);
    world.receive(tls(3), &request(tls(3), "OPTIONS", 2).tagged(&tag).text());
    assert_eq!(world.statuses(), [200]);
    world.hang_up(session);
    assert_eq!(world.only_sent().flow, tls(3));
}

#[test]
fn a_call_of_a_lost_connection_ends_by_another_of_its_identity_or_asks_for_one() {
    let mut world = World::new();
    world.endpoint.identify(tls(1).connection.expect("a connection"), 42);
    let (session, _) = world.established(tls(1));
    world.close(tls(1));
    world.hang_up(session);
    assert!(world.sent.is_empty());
    assert_eq!(world.event_names(), ["NoWay"]);

    let mut world = World::new();
    world.endpoint.identify(tls(1).connection.expect("a connection"), 42);
    let (session, _) = world.established(tls(1));
    world.close(tls(1));
    world.receive(tls(2), "\r\n");
    world.endpoint.identify(tls(2).connection.expect("a connection"), 42);
    world.hang_up(session);
    assert_eq!(world.only_sent().flow, tls(2));
}

#[test]
fn late_requests_get_500_and_gaps_are_fine() {
    let mut world = World::new();
    let (_, tag) = world.established(udp());
    world.receive(udp(), &request(udp(), "OPTIONS", 900).tagged(&tag).text());
    world.receive(udp(), &request(udp(), "OPTIONS", 5).tagged(&tag).text());
    world.receive(udp(), &request(udp(), "INVITE", 6).tagged(&tag).sdp().text());
    assert_eq!(world.statuses(), [200, 500, 500]);
    world.receive(udp(), &request(udp(), "BYE", 0x7fff_ffff).tagged(&tag).text());
    assert_eq!(world.statuses(), [200]);
    assert_eq!(world.event_names(), ["Bye", "Terminated"]);
}

#[test]
fn options_inside_a_dialog_leave_it_alone() {
    let mut world = World::new();
    let (_, tag) = world.established(udp());
    world.receive(udp(), &request(udp(), "OPTIONS", 2).tagged(&tag).text());
    assert_eq!(world.statuses(), [200]);
    assert!(world.events.is_empty());
    assert_eq!(world.endpoint.load().sessions, 1);
}

#[test]
fn the_same_call_id_with_another_tag_is_another_dialog() {
    let mut world = World::new();
    let (_, tag) = world.established(udp());
    let bye = request(udp(), "BYE", 2).tagged(&tag).from("<sip:jane@pbx.example.com>;tag=other");
    world.receive(udp(), &bye.text());
    assert_eq!(world.statuses(), [481]);
    world.receive(udp(), &request(udp(), "BYE", 2).tagged(&tag).call_id("other").text());
    assert_eq!(world.statuses(), [481]);
}

// RFC 3261 §12.2.2 refuses what is lower; a BYE that forgot to count must still end the call.
#[test]
fn a_number_that_comes_again_is_late_for_a_reinvite_and_good_enough_for_a_bye() {
    let mut world = World::new();
    let (_, tag) = world.established(udp());
    world.receive(udp(), &request(udp(), "INVITE", 1).branch("again").tagged(&tag).sdp().text());
    assert_eq!(world.statuses(), [500]);
    world.receive(udp(), &request(udp(), "BYE", 1).tagged(&tag).text());
    assert_eq!(world.statuses(), [200]);
    assert_eq!(world.event_names(), ["Bye", "Terminated"]);
}

#[test]
fn the_latest_connection_of_a_peer_is_the_dialogs() {
    let mut world = World::new();
    world.endpoint.identify(tls(1).connection.expect("a connection"), 42);
    world.endpoint.identify(tls(2).connection.expect("a connection"), 42);
    let (session, tag) = world.established(tls(1));
    world.receive(tls(2), &request(tls(2), "OPTIONS", 2).tagged(&tag).text());
    world.sent.clear();
    world.hang_up(session);
    assert_eq!(world.only_sent().flow, tls(2));
    world.close(tls(1));
    assert!(world.events.is_empty(), "what was left behind is of no matter");
    world.close(tls(2));
    assert_eq!(world.event_names(), ["NoWay"]);
    world.advance(40 * SECOND);
    assert_eq!(world.event_names(), ["Terminated"]);
    world.assert_empty();
}

#[test]
fn what_a_request_in_a_dialog_requires_and_is_not_there_gets_420() {
    for method in ["OPTIONS", "BYE"] {
        let mut world = World::new();
        let (_, tag) = world.established(udp());
        let request = request(udp(), method, 2).tagged(&tag).header("Require: foo");
        world.receive(udp(), &request.text());
        let refusal = world.only_sent();
        assert_eq!(
            (refusal.status(), refusal.header("Unsupported")),
            (420, Some("foo")),
            "{method}"
        );
        assert!(world.events.is_empty());
    }
}

/// RFC 3261 section 19.1.1: a Request-URI has no header part.
#[test]
fn the_header_part_of_a_contact_is_left_out_of_our_request_uri() {
    let bye = bye_after(invite(udp()).contact("<sip:jane@192.0.2.1:5070?Subject=x>"));
    assert!(bye.text.starts_with("BYE sip:jane@192.0.2.1:5070 SIP/2.0\r\n"), "{}", bye.text);
}

/// RFC 3261 section 12.1.1: the topmost Record-Route decides, and Contact where there is none.
#[test]
fn a_peer_that_is_reached_by_sips_gets_a_sips_contact() {
    for (extra, expected) in [
        (invite(tls(1)).contact("<sips:jane@192.0.2.1>"), "<sips:"),
        (invite(tls(1)).header("Record-Route: <sips:p.example.com;lr>"), "<sips:"),
        (
            invite(tls(1)).contact("<sips:j@x>").header("Record-Route: <sip:p.example.com;lr>"),
            "<sip:",
        ),
    ] {
        let mut world = World::new();
        world.receive(tls(1), &extra.text());
        let (session, _) = world.invited();
        world.answer(session);
        let ok = world.take_sent().pop().expect("a 200");
        assert!(ok.header("Contact").is_some_and(|c| c.starts_with(expected)), "{}", ok.text);
    }
}

// RFC 3261 §13.3.1.4, §18.2.2.
#[test]
fn a_200_is_repeated_where_its_caller_is_now() {
    let mut world = World::new();
    let first = tls(1);
    world.endpoint.identify(first.connection.expect("a connection"), 42);
    world.receive(first, &invite(first).text());
    let (session, _) = world.invited();
    world.answer(session);
    world.sent.clear();
    world.receive(tls(2), "\r\n");
    world.endpoint.identify(tls(2).connection.expect("a connection"), 42);
    world.close(first);
    world.advance(Duration::from_millis(500));
    let again = world.only_sent();
    assert_eq!((again.status(), again.flow), (200, tls(2)));
}

//! A name server of a few records, written as its messages, and what is found with it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use hushbox_sip::resolution::Target;
use hushbox_sip::{Destination, OwnedUri, Transport};
use tokio::net::UdpSocket;

use super::Finder;

const NAPTR: u16 = 35;
const SRV: u16 = 33;
const A: u16 = 1;

/// A name on the wire.
fn name(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        out.push(u8::try_from(label.len()).expect("a label"));
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out
}

fn string(text: &str) -> Vec<u8> {
    let mut out = vec![u8::try_from(text.len()).expect("short")];
    out.extend_from_slice(text.as_bytes());
    out
}

fn naptr(order: u16, service: &str, replacement: &str) -> Vec<u8> {
    [
        &order.to_be_bytes()[..],
        &10_u16.to_be_bytes(),
        &string("S"),
        &string(service),
        &string(""),
        &name(replacement),
    ]
    .concat()
}

fn srv(priority: u16, port: u16, target: &str) -> Vec<u8> {
    [&priority.to_be_bytes()[..], &[0, 0], &port.to_be_bytes(), &name(target)].concat()
}

type Zone = BTreeMap<(String, u16), Vec<Vec<u8>>>;

/// Answers one question (RFC 1035 §4.1): the records of the zone, or that there are none.
fn answer(zone: &Zone, query: &[u8]) -> Vec<u8> {
    let mut labels = Vec::new();
    let mut at = 12;
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_ascii_lowercase());
        at = end;
    }
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let question = &query[12..at + 5];
    let records = zone.get(&(labels.join("."), kind)).map_or(&[][..], Vec::as_slice);
    let count = u16::try_from(records.len()).expect("few").to_be_bytes();
    let mut reply = [&query[..2], &[0x85, 0x80, 0, 1], &count, &[0, 0, 0, 0], question].concat();
    for data in records {
        let length = u16::try_from(data.len()).expect("short").to_be_bytes();
        reply.extend_from_slice(&[0xc0, 12]);
        reply.extend_from_slice(&kind.to_be_bytes());
        reply.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
        reply.extend_from_slice(&length);
        reply.extend_from_slice(data);
    }
    reply
}

async fn name_server(zone: Zone) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
    let address = socket.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let reply = answer(&zone, &buffer[..length]);
            socket.send_to(&reply, from).await.expect("sent");
        }
    });
    address
}

fn zone() -> Zone {
    let mut zone = Zone::new();
    let mut add = |of: &str, kind, data| {
        zone.entry((of.to_owned(), kind)).or_default().push(data);
    };
    add("pbx.example", NAPTR, naptr(20, "SIP+D2U", "_sip._udp.pbx.example"));
    add("pbx.example", NAPTR, naptr(10, "SIPS+D2T", "_sips._tcp.pbx.example"));
    add("_sips._tcp.pbx.example", SRV, srv(20, 5071, "b.pbx.example"));
    add("_sips._tcp.pbx.example", SRV, srv(10, 5061, "a.pbx.example"));
    add("_sip._udp.pbx.example", SRV, srv(10, 5060, "a.pbx.example"));
    add("a.pbx.example", A, vec![192, 0, 2, 7]);
    add("b.pbx.example", A, vec![192, 0, 2, 8]);
    zone
}

async fn found(uri: &str, transports: &[Transport]) -> Vec<String> {
    let finder = Finder::by(name_server(zone()).await, transports.to_vec()).expect("a finder");
    let target = Target::of(&OwnedUri::parse(uri).expect("a URI")).expect("a target");
    let shown = |d: &Destination| format!("{:?} {} {:?}", d.transport, d.remote, d.name);
    finder.find(target).await.iter().map(shown).collect()
}

const ALL: [Transport; 3] = [Transport::Tls, Transport::Tcp, Transport::Udp];

#[tokio::test]
async fn a_domain_leads_by_naptr_and_srv_to_addresses_in_their_order() {
    let expected =
        ["Tls 192.0.2.7:5061 Some(\"pbx.example\")", "Tls 192.0.2.8:5071 Some(\"pbx.example\")"];
    assert_eq!(found("sip:pbx.example", &ALL).await, expected);
}

#[tokio::test]
async fn nothing_is_sent_in_the_clear_because_the_dns_says_so() {
    // The zone has a service by UDP, too.
    assert_eq!(found("sip:pbx.example", &ALL).await.len(), 2);
    let meant = found("sip:pbx.example;transport=udp", &ALL).await;
    assert_eq!(meant, ["Udp 192.0.2.7:5060 None"]);
    let lab = found("sip:pbx.example", &[Transport::Udp]).await;
    assert_eq!(lab, ["Udp 192.0.2.7:5060 None"], "where there is nothing but lab");
}

#[tokio::test]
async fn a_name_that_is_not_there_leads_nowhere() {
    assert!(found("sip:nobody.example", &ALL).await.is_empty());
}

/// The whole way by which a request goes out: questions, destinations, connections, the next one where one fails.
mod fail_over {
    use std::time::Duration;

    use hushbox_sip::{
        Config, Endpoint, Event, HostPort, Input, Limits, Listener, Outgoing, Output,
    };
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::super::Connector;
    use super::*;
    use crate::listener::{Arrival, Numbering, WriteQueue};

    #[tokio::test]
    async fn a_registrar_that_refuses_connections_is_passed_over_for_the_next_of_its_srv_records() {
        let closed = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let closed_port = closed.local_addr().expect("an address").port();
        drop(closed);
        let open = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let open_port = open.local_addr().expect("an address").port();
        let mut zone = Zone::new();
        let service = ("_sip._tcp.pbx.example".to_owned(), SRV);
        let records =
            vec![srv(1, closed_port, "h.pbx.example"), srv(2, open_port, "h.pbx.example")];
        zone.insert(service, records);
        zone.insert(("h.pbx.example".to_owned(), A), vec![vec![127, 0, 0, 1]]);
        let finder = Finder::by(name_server(zone).await, ALL.to_vec()).expect("a finder");
        let uri = OwnedUri::parse("sip:pbx.example;transport=tcp").expect("a URI");
        let destinations = finder.find(Target::of(&uri).expect("a target")).await;
        assert_eq!(destinations.len(), 2);

        let peer = tokio::spawn(async move {
            let (mut stream, _) = open.accept().await.expect("a connection");
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.expect("a request");
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let copied = |line: &&str| {
                ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|n| line.starts_with(n))
            };
            let lines: Vec<&str> = request.split("\r\n").filter(copied).collect();
            let reply =
                format!("SIP/2.0 200 OK\r\n{}\r\nContent-Length: 0\r\n\r\n", lines.join("\r\n"));
            stream.write_all(reply.as_bytes()).await.expect("sent");
            request
        });

        let (arrivals, mut arrived) = mpsc::channel(8);
        let connector = Connector { secure: None, numbering: Numbering::default(), arrivals };
        let local = "127.0.0.1:5060".parse().expect("an address");
        let mut endpoint = Endpoint::new(
            Config {
                product: "Hushbox/test".to_owned(),
                listeners: vec![Listener {
                    transport: Transport::Tcp,
                    local,
                    advertised: HostPort::from(local),
                }],
                limits: Limits::default(),
            },
            [9; 32],
        );
        let now = || tokio::time::Instant::now().into_std();
        let outgoing =
            Outgoing::new("OPTIONS", "sip:pbx.example", "<sip:a@b>", "<sip:c@d>", destinations);
        endpoint.send(now(), outgoing);
        let mut writer = None::<WriteQueue>;
        let answered = async {
            loop {
                match endpoint.poll_output() {
                    Output::Connect { attempt, destination } => {
                        connector.open(attempt, destination);
                    }
                    Output::Transmit { bytes, .. } => {
                        let writer = writer.as_ref().expect("a connection");
                        assert!(writer.send(bytes));
                    }
                    Output::Event(Event::Answered { response, .. }) => return response.status,
                    Output::Event(event) => panic!("{event:?}"),
                    Output::Disconnect { .. } => panic!("closed"),
                    Output::Timeout(_) => match arrived.recv().await.expect("an arrival") {
                        Arrival::Unconnected { attempt } => {
                            endpoint.handle_input(now(), Input::Unconnected { attempt });
                        }
                        Arrival::Opened { flow, writer: queue, attempt, .. } => {
                            writer = Some(queue);
                            let attempt = attempt.expect("ours");
                            endpoint.handle_input(now(), Input::Connected { attempt, flow });
                        }
                        Arrival::Data { flow, bytes } => {
                            let input = Input::StreamData { flow, bytes: &bytes };
                            endpoint.handle_input(now(), input);
                        }
                        Arrival::Datagram { .. } | Arrival::Closed { .. } => panic!("not here"),
                    },
                }
            }
        };
        let status = timeout(Duration::from_secs(20), answered).await.expect("in time");
        assert_eq!(status, 200);
        assert!(peer.await.expect("no panic").starts_with("OPTIONS sip:pbx.example SIP/2.0\r\n"));
    }
}

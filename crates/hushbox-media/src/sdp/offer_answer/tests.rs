use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::sdp::PayloadMeaning;

const CM: &str = "AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
const GCM: &str =
    "AEAD_AES_256_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKis=";

fn random() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([1; 32])
}

fn negotiation(srtp_only: bool) -> Negotiation {
    Negotiation::new("192.0.2.9".parse().unwrap(), 4000, srtp_only, &mut random())
}

fn sdp(media: &str) -> String {
    let media = media.replace('\n', "\r\n");
    format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{media}\r\n")
}

fn secure(crypto: &str) -> String {
    sdp(&format!("m=audio 5000 RTP/SAVP 0 8 101\na=rtpmap:101 telephone-event/8000\n{crypto}"))
}

fn answer(srtp_only: bool, offer: &str) -> Result<(Agreed, String), OfferError> {
    let (agreed, sdp) = negotiation(srtp_only).answer(offer.as_bytes(), &mut random())?;
    Ok((agreed, String::from_utf8(sdp.to_vec()).unwrap()))
}

fn media_lines(sdp: &str) -> Vec<&str> {
    sdp.lines().filter(|line| line.starts_with("m=")).collect()
}

#[test]
fn gcm_is_preferred_and_the_answer_has_its_tag_and_a_key_of_our_own() {
    let offer = secure(&format!("a=crypto:1 {CM}\na=crypto:7 {GCM}"));
    let (agreed, answer) = answer(true, &offer).unwrap();
    assert_eq!(agreed.suite(), Some(Suite::AeadAes256Gcm));
    let crypto: Vec<_> = answer.lines().filter(|line| line.starts_with("a=crypto")).collect();
    assert_eq!(crypto.len(), 1);
    assert!(crypto[0].starts_with("a=crypto:7 AEAD_AES_256_GCM inline:"));
    let keys = agreed.keys.unwrap();
    assert_ne!(keys.inbound.master, keys.outbound);
    assert_eq!(agreed.remote_rtp, Some("192.0.2.1:5000".parse().unwrap()));
    assert_eq!(agreed.remote_rtcp, Some("192.0.2.1:5001".parse().unwrap()));
}

#[test]
fn the_answer_reads_as_it_should() {
    let (_, answer) = answer(
        false,
        &sdp("m=audio 5000 RTP/AVP 8 0 96\na=rtpmap:96 telephone-event/8000\na=rtcp-mux"),
    )
    .unwrap();
    let id = answer.split_ascii_whitespace().nth(2).unwrap().to_owned();
    let expected = format!(
        "v=0\no=- {id} 1 IN IP4 192.0.2.9\ns=-\nc=IN IP4 192.0.2.9\nt=0 0\n\
         m=audio 4000 RTP/AVP 8 0 96\na=rtpmap:8 PCMA/8000\na=rtpmap:0 PCMU/8000\n\
         a=rtpmap:96 telephone-event/8000\na=fmtp:96 0-15\na=ptime:20\na=sendrecv\na=rtcp-mux\n"
    );
    assert_eq!(answer, expected.replace('\n', "\r\n"));
}

/// The part of protocols' negative pack that is about descriptions.
#[test]
fn what_is_not_secure_enough_gets_488() {
    let key = "inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
    let cm = "AES_CM_128_HMAC_SHA1_80";
    for crypto in [
        String::new(),
        format!("a=crypto:1 NULL_HMAC_SHA1_80 {key}"),
        format!("a=crypto:1 F8_128_HMAC_SHA1_80 {key}"),
        format!("a=crypto:1 {CM} UNENCRYPTED_SRTP"),
        format!("a=crypto:1 {CM} UNENCRYPTED_SRTCP"),
        format!("a=crypto:1 {CM} UNAUTHENTICATED_SRTP"),
        format!("a=crypto:0 {CM}"),
        format!("a=crypto:1 {CM}\na=crypto:1 {GCM}"),
        format!("a=crypto:123456789012 {CM}"),
        format!("a=crypto:1 {cm} inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1c"),
        format!("a=crypto:1 {cm} {key}AAAA"),
        format!("a=crypto:1 {CM} MUST_KNOW=1"),
        format!("a=crypto:1 {CM} KDR=3"),
    ] {
        let error = answer(true, &secure(&crypto)).unwrap_err();
        assert_eq!((error, error.status()), (OfferError::NoSecurity, 488), "{crypto}");
    }
    let plain = sdp("m=audio 5000 RTP/AVP 0");
    assert_eq!(answer(true, &plain).unwrap_err(), OfferError::NoSecurity);
    let with_keys = sdp(&format!("m=audio 5000 RTP/AVP 0\na=crypto:1 {CM}"));
    assert_eq!(answer(true, &with_keys).unwrap_err(), OfferError::NoSecurity);
    let dtls = sdp("m=audio 5000 UDP/TLS/RTP/SAVP 0\na=fingerprint:sha-1 AA");
    assert_eq!(answer(true, &dtls).unwrap_err(), OfferError::Transport);
    assert!(answer(false, &plain).is_ok());
}

#[test]
fn a_lab_offer_with_keys_on_avp_is_srtp() {
    let offer = sdp(&format!("m=audio 5000 RTP/AVP 0\na=crypto:1 {CM}"));
    let (agreed, answer) = answer(false, &offer).unwrap();
    assert_eq!(agreed.suite(), Some(Suite::AesCm128HmacSha1_80));
    assert!(answer.contains("m=audio 4000 RTP/AVP 0\r\na=crypto:1 "));
}

#[test]
fn keys_on_avp_are_accepted_again_and_can_not_be_left_out() {
    let offer = sdp(&format!("m=audio 5000 RTP/AVP 0\na=crypto:1 {CM}"));
    let mut negotiation = negotiation(false);
    negotiation.answer(offer.as_bytes(), &mut random()).unwrap();
    let (agreed, _) = negotiation.answer(offer.as_bytes(), &mut random()).unwrap();
    assert_eq!(agreed.suite(), Some(Suite::AesCm128HmacSha1_80));
    let plain = sdp("m=audio 5000 RTP/AVP 0");
    let refused = negotiation.answer(plain.as_bytes(), &mut random()).unwrap_err();
    assert_eq!(refused, OfferError::NoSecurity);
}

#[test]
fn m_lines_keep_their_order_and_the_secure_audio_is_taken() {
    let offer = sdp(&format!(
        "m=audio 5000 RTP/AVP 0\nm=video 6000 RTP/AVP 31 32\nm=audio 5002 RTP/SAVP 0\na=crypto:1 {CM}\n\
         m=application 9 UDP/X 7\nm=audio 5004 RTP/SAVP 0\na=crypto:1 {CM}"
    ));
    for srtp_only in [true, false] {
        let (agreed, answer) = answer(srtp_only, &offer).unwrap();
        assert_eq!(agreed.remote_rtp.unwrap().port(), 5002);
        assert_eq!(
            media_lines(&answer),
            [
                "m=audio 0 RTP/AVP 0",
                "m=video 0 RTP/AVP 31 32",
                "m=audio 4000 RTP/SAVP 0",
                "m=application 0 UDP/X 7",
                "m=audio 0 RTP/SAVP 0",
            ]
        );
    }
}

#[test]
fn refusals_name_their_reason() {
    let reason = |media: &str| answer(false, &sdp(media)).unwrap_err();
    assert_eq!(reason("m=video 5000 RTP/AVP 31"), OfferError::NoAudio);
    assert_eq!(reason("m=audio 0 RTP/AVP 0"), OfferError::NoAudio);
    assert_eq!(reason("m=audio 5000 RTP/AVP 9 18"), OfferError::NoCommonFormat);
    assert_eq!(
        reason("m=audio 5000 RTP/AVP 101\na=rtpmap:101 telephone-event/8000"),
        OfferError::NoCommonFormat
    );
    assert_eq!(reason("m=audio 5000 RTP/AVP 0\na=rtpmap:0 G722/8000"), OfferError::NoCommonFormat);
    assert_eq!(reason("m=audio 5000 RTP/AVP 0\nc=IN IP4 phone.example"), OfferError::Address);
    assert_eq!(reason("m=audio 5000 RTP/AVP 0\nc=IN IP6 ::1"), OfferError::Address);
    assert_eq!(reason("m=audio 5000 RTP/AVP 0\nc=IN IP4 224.0.0.1/127"), OfferError::Address);
    let no_address = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio 5000 RTP/AVP 0\r\n";
    assert_eq!(answer(false, no_address).unwrap_err().status(), 400);
}

#[test]
fn dynamic_payload_types_follow_the_offer() {
    let offer = sdp("m=audio 5000 RTP/AVP 97 8 98 99\na=rtpmap:97 opus/48000/2\n\
        a=rtpmap:98 telephone-event/48000\na=rtpmap:99 telephone-event/8000");
    let (agreed, answer) = answer(false, &offer).unwrap();
    assert_eq!(media_lines(&answer), ["m=audio 4000 RTP/AVP 8 99"]);
    assert_eq!(agreed.receive.meaning(99), Some(PayloadMeaning::TelephoneEvent));
    assert_eq!(agreed.codec, Codec::Pcma);
}

/// RFC 5761 §4: their packets would look like RTCP.
#[test]
fn payload_types_that_collide_with_rtcp_are_not_taken() {
    let offer = sdp("m=audio 5000 RTP/AVP 72 0\na=rtpmap:72 PCMU/8000\na=rtcp-mux");
    assert_eq!(media_lines(&answer(false, &offer).unwrap().1), ["m=audio 4000 RTP/AVP 0"]);
}

#[test]
fn hold_is_answered_by_its_counterpart() {
    for (line, ours, may_send) in [
        ("a=sendonly", "a=recvonly", false),
        ("a=inactive", "a=inactive", false),
        ("a=recvonly", "a=sendonly", true),
        ("a=sendrecv", "a=sendrecv", true),
        ("c=IN IP4 0.0.0.0", "a=recvonly", false),
    ] {
        let offer = sdp(&format!("m=audio 5000 RTP/AVP 0\n{line}"));
        let (agreed, answer) = answer(false, &offer).unwrap();
        assert!(answer.contains(ours), "{line}: {answer}");
        assert_eq!(agreed.may_send, may_send, "{line}");
    }
}

#[test]
fn rtcp_goes_where_the_peer_says() {
    let rtcp = |line: &str| {
        let offer = sdp(&format!("m=audio 5000 RTP/AVP 0\n{line}"));
        answer(false, &offer).unwrap().0.remote_rtcp.map(|to| to.to_string())
    };
    assert_eq!(rtcp("a=rtcp:6001").as_deref(), Some("192.0.2.1:6001"));
    assert_eq!(rtcp("a=rtcp:6001 IN IP4 192.0.2.7").as_deref(), Some("192.0.2.7:6001"));
    assert_eq!(rtcp("a=rtcp-mux").as_deref(), Some("192.0.2.1:5000"));
}

#[test]
fn an_unchanged_re_offer_changes_nothing_and_the_version_stays() {
    let offer = secure(&format!("a=crypto:1 {GCM}"));
    let mut negotiation = negotiation(true);
    let mut random = random();
    let (first, said) = negotiation.answer(offer.as_bytes(), &mut random).unwrap();
    let (second, again) = negotiation.answer(offer.as_bytes(), &mut random).unwrap();
    assert_eq!(first, second);
    assert_eq!(said, again);
    // Hold keeps the keys, and the version goes up by one.
    let held = secure(&format!("a=crypto:1 {GCM}\na=sendonly"));
    let (held, said) = negotiation.answer(held.as_bytes(), &mut random).unwrap();
    assert_eq!(held.keys, first.keys);
    assert!(std::str::from_utf8(&said).unwrap().contains(" 2 IN IP4 192.0.2.9\r\n"));
}

#[test]
fn a_moved_peer_gets_a_new_key() {
    let offer = secure(&format!("a=crypto:1 {GCM}"));
    let mut negotiation = negotiation(true);
    let mut random = random();
    let (first, _) = negotiation.answer(offer.as_bytes(), &mut random).unwrap();
    let moved = offer.replace("c=IN IP4 192.0.2.1", "c=IN IP4 192.0.2.2");
    let (second, _) = negotiation.answer(moved.as_bytes(), &mut random).unwrap();
    assert_ne!(first.keys.unwrap().outbound, second.keys.unwrap().outbound);
}

#[test]
fn a_re_offer_that_breaks_the_session_leaves_it_as_it_was() {
    let offer = secure(&format!("a=crypto:1 {GCM}\nm=video 0 RTP/AVP 31"));
    let mut negotiation = negotiation(false);
    let mut random = random();
    let (_, said) = negotiation.answer(offer.as_bytes(), &mut random).unwrap();
    let fewer = secure(&format!("a=crypto:1 {GCM}"));
    let plain = sdp("m=audio 5000 RTP/AVP 0\nm=video 0 RTP/AVP 31");
    let reused = offer.replace("a=rtpmap:101 telephone-event/8000", "a=rtpmap:101 opus/48000/2");
    for (bad, expected) in [
        (fewer.as_str(), OfferError::Discontinuous("fewer m-lines than before")),
        (plain.as_str(), OfferError::NoSecurity),
        (reused.as_str(), OfferError::Discontinuous("payload type with a new meaning")),
    ] {
        let error = negotiation.answer(bad.as_bytes(), &mut random).unwrap_err();
        assert_eq!((error, error.status()), (expected, 488));
    }
    assert_eq!(negotiation.answer(offer.as_bytes(), &mut random).unwrap().1, said);
}

#[test]
fn our_offer_has_every_suite_and_its_answer_is_matched() {
    let mut ours = negotiation(true);
    let mut random = random();
    let offer = ours.offer(&mut random);
    let text = std::str::from_utf8(&offer).unwrap();
    assert_eq!(media_lines(text), ["m=audio 4000 RTP/SAVP 0 8 101"]);
    assert!(
        text.contains("a=crypto:1 AEAD_AES_256_GCM ") && text.contains("a=crypto:2 AES_CM_128")
    );
    for bad in [
        sdp("m=audio 5000 RTP/SAVP 0"),
        sdp("m=audio 5000 RTP/AVP 0"),
        sdp(&format!("m=audio 5000 RTP/SAVP 0\na=crypto:1 {CM}")),
        sdp(&format!("m=audio 5000 RTP/SAVP 0\na=crypto:3 {GCM}")),
        sdp(&format!("m=audio 0 RTP/SAVP 0\na=crypto:1 {GCM}")),
        sdp(&format!("m=audio 5000 RTP/SAVP 9\na=crypto:1 {GCM}")),
    ] {
        assert_eq!(ours.take_answer(bad.as_bytes()).unwrap_err().status(), 488, "{bad}");
    }
    let answer = sdp(&format!("m=audio 5000 RTP/SAVP 8\na=crypto:2 {CM}"));
    let agreed = ours.take_answer(answer.as_bytes()).unwrap();
    assert_eq!(agreed.suite(), Some(Suite::AesCm128HmacSha1_80));
    assert_eq!(agreed.codec, Codec::Pcma);
    assert!(ours.take_answer(answer.as_bytes()).is_err(), "only once");
}

#[test]
fn both_ends_of_this_crate_agree() {
    let mut random = random();
    let (mut one, mut other) = (negotiation(true), negotiation(true));
    let offer = one.offer(&mut random);
    let (theirs, answer) = other.answer(&offer, &mut random).unwrap();
    let ours = one.take_answer(&answer).unwrap();
    assert_eq!(theirs.suite(), Some(Suite::AeadAes256Gcm));
    let (ours, theirs) = (ours.keys.unwrap(), theirs.keys.unwrap());
    assert_eq!(ours.outbound, theirs.inbound.master);
    assert_eq!(ours.inbound.master, theirs.outbound);
}

#[test]
fn a_secure_session_on_avp_stays_both_in_our_offer() {
    let offer = sdp(&format!("m=audio 5000 RTP/AVP 0\na=crypto:1 {CM}"));
    let mut negotiation = negotiation(false);
    let mut random = random();
    negotiation.answer(offer.as_bytes(), &mut random).unwrap();
    let text = negotiation.offer(&mut random);
    assert!(std::str::from_utf8(&text).unwrap().contains("m=audio 4000 RTP/AVP 0 8 101\r\n"));
    let plain = sdp("m=audio 5000 RTP/AVP 0");
    assert_eq!(negotiation.take_answer(plain.as_bytes()), Err(OfferError::NoSecurity));
    let answer = sdp(&format!("m=audio 5000 RTP/AVP 0\na=crypto:2 {CM}"));
    assert!(negotiation.take_answer(answer.as_bytes()).unwrap().keys.is_some());
}

#[test]
fn an_offerless_re_invite_gets_all_formats_and_suites_again() {
    let offer = sdp(&format!(
        "m=video 0 RTP/AVP 31\nm=audio 5000 RTP/SAVP 8 96\na=rtpmap:96 telephone-event/8000\na=crypto:1 {CM}"
    ));
    let mut negotiation = negotiation(true);
    let mut random = random();
    negotiation.answer(offer.as_bytes(), &mut random).unwrap();
    let text = negotiation.offer(&mut random);
    let text = std::str::from_utf8(&text).unwrap();
    assert_eq!(media_lines(text), ["m=video 0 RTP/AVP 31", "m=audio 4000 RTP/SAVP 8 96 0"]);
    assert_eq!(text.matches("a=crypto").count(), 2);
}

proptest! {
    #[test]
    fn changed_offers_never_panic_and_never_weaken(at in 0usize..600, octets in proptest::collection::vec(any::<u8>(), 0..4)) {
        let offer = secure(&format!("a=crypto:1 {CM}\na=crypto:2 {GCM}|2^31|1:1"));
        let mut bytes = offer.into_bytes();
        let at = at % bytes.len();
        let end = (at + octets.len()).min(bytes.len());
        bytes.splice(at..end, octets);
        if let Ok((agreed, _)) = negotiation(true).answer(&bytes, &mut random()) {
            prop_assert!(agreed.keys.is_some());
        }
        let mut offering = negotiation(true);
        offering.offer(&mut random());
        let _ = offering.take_answer(&bytes);
    }
}

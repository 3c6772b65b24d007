//! Offers in the shape that known telephones and exchanges give them.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

const KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
const KEY_44: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKis=";
const KEY_46: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLQ==";

fn answer(srtp_only: bool, media: &str) -> Result<(Agreed, String), OfferError> {
    let offer = format!("v=0\no=- 3862847348 3862847349 IN IP4 192.0.2.1\ns=call\n{media}\n");
    let offer = offer.replace("KEY_44", KEY_44).replace("KEY_46", KEY_46).replace("KEY", KEY);
    let mut random = ChaCha20Rng::from_seed([1; 32]);
    let local = "192.0.2.9".parse().unwrap();
    let mut negotiation = Negotiation::new(local, 4000, srtp_only, &mut random);
    let (agreed, sdp) = negotiation.answer(offer.replace('\n', "\r\n").as_bytes(), &mut random)?;
    Ok((agreed, String::from_utf8(sdp.to_vec()).unwrap()))
}

#[test]
fn baresip_with_sdes() {
    let (agreed, answer) = answer(
        true,
        "c=IN IP4 192.0.2.1\nt=0 0\na=tool:baresip 1.0.0\nm=audio 17298 RTP/SAVP 0 101\n\
         a=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\na=rtcp:17299\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:KEY\na=sendrecv\na=label:1\na=rtcp-rsize\n\
         a=ssrc:935239182 cname:sip:a@192.0.2.1\na=ptime:20",
    )
    .unwrap();
    assert_eq!(agreed.suite(), Some(Suite::AesCm128HmacSha1_80));
    assert_eq!(agreed.remote_rtcp.unwrap().port(), 17299);
    assert!(answer.contains("m=audio 4000 RTP/SAVP 0 101\r\n"));
    assert!(!answer.contains("rtcp-mux"));
}

#[test]
fn linphone_with_many_suites_and_its_own_names() {
    let (agreed, answer) = answer(
        true,
        "c=IN IP4 192.0.2.1\nt=0 0\na=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss\n\
         m=audio 7078 RTP/SAVP 96 97 98 0 8 18 101 99 100\na=rtpmap:96 opus/48000/2\n\
         a=fmtp:96 useinbandfec=1\na=rtpmap:97 speex/16000\na=rtpmap:98 speex/8000\n\
         a=fmtp:18 annexb=yes\na=rtpmap:101 telephone-event/48000\n\
         a=rtpmap:99 telephone-event/16000\na=rtpmap:100 telephone-event/8000\n\
         a=crypto:1 AES_CM_256_HMAC_SHA1_80 inline:KEY_46\n\
         a=crypto:2 AES_256_CM_HMAC_SHA1_32 inline:KEY_46\n\
         a=crypto:3 AES_CM_128_HMAC_SHA1_32 inline:KEY\n\
         a=crypto:4 AES_CM_128_HMAC_SHA1_80 inline:KEY UNENCRYPTED_SRTP\n\
         a=crypto:5 AES_CM_128_HMAC_SHA1_80 inline:KEY",
    )
    .unwrap();
    assert!(answer.contains("m=audio 4000 RTP/SAVP 0 8 100\r\n"));
    assert!(answer.contains("a=crypto:5 AES_CM_128_HMAC_SHA1_80 inline:"));
    assert_eq!(agreed.codec, Codec::Pcmu);
}

#[test]
fn a_desk_phone_with_lifetime_and_mki_and_a_plain_copy() {
    let (agreed, answer) = answer(
        true,
        "c=IN IP4 192.0.2.1\nt=0 0\nm=audio 11780 RTP/AVP 8 0 101\na=rtpmap:101 telephone-event/8000\n\
         m=audio 11780 RTP/SAVP 8 0 101\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^31|1:1\n\
         a=rtpmap:8 PCMA/8000\na=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000\na=ptime:30",
    )
    .unwrap();
    let inbound = agreed.keys.unwrap().inbound;
    assert_eq!(inbound.lifetime, Some(1 << 31));
    assert_eq!(inbound.mki.unwrap().octets(), [1]);
    assert_eq!(agreed.codec, Codec::Pcma);
    assert!(answer.contains("m=audio 0 RTP/AVP 8 0 101\r\nm=audio 4000 RTP/SAVP 8 0 101\r\n"));
}

#[test]
fn an_exchange_that_prefers_gcm_and_sends_savpf_and_video() {
    let (agreed, answer) = answer(
        true,
        "c=IN IP4 192.0.2.1\nb=AS:84\nt=0 0\na=msid-semantic:WMS *\nm=video 0 RTP/SAVPF 97\n\
         m=audio 30000 RTP/SAVPF 9 8 101\na=rtpmap:9 G722/8000\na=rtpmap:8 PCMA/8000\n\
         a=rtpmap:101 telephone-event/8000\na=crypto:1 AEAD_AES_256_GCM inline:KEY_44\n\
         a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:KEY\na=rtcp-mux\na=maxptime:10",
    )
    .unwrap();
    assert_eq!(agreed.suite(), Some(Suite::AeadAes256Gcm));
    assert_eq!(agreed.remote_rtcp, agreed.remote_rtp);
    assert!(answer.contains("m=video 0 RTP/SAVPF 97\r\nm=audio 4000 RTP/SAVPF 8 101\r\n"));
    assert!(answer.contains("a=ptime:10\r\n") && answer.contains("a=rtcp-mux\r\n"));
}

#[test]
fn a_browser_is_told_that_its_transport_is_not_spoken() {
    let refused = answer(
        true,
        "t=0 0\na=group:BUNDLE 0\nm=audio 9 UDP/TLS/RTP/SAVPF 111 0 8\nc=IN IP4 0.0.0.0\n\
         a=fingerprint:sha-256 00:11\na=setup:actpass\na=rtcp-mux",
    );
    assert_eq!(refused.unwrap_err(), OfferError::Transport);
}

#[test]
fn sipp_in_the_lab() {
    let (agreed, answer) =
        answer(false, "c=IN IP4 192.0.2.1\nt=0 0\nm=audio 6000 RTP/AVP 0\na=rtpmap:0 PCMU/8000")
            .unwrap();
    assert_eq!(agreed.suite(), None);
    assert!(!answer.contains("crypto"));
}

#[test]
fn an_ipv6_peer_of_an_ipv6_server() {
    let offer = "v=0\r\no=- 1 1 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\n\
        m=audio 6000 RTP/AVP 0\r\n";
    let mut random = ChaCha20Rng::from_seed([1; 32]);
    let local = "2001:db8::9".parse().unwrap();
    let mut negotiation = Negotiation::new(local, 4000, false, &mut random);
    let (agreed, sdp) = negotiation.answer(offer.as_bytes(), &mut random).unwrap();
    assert_eq!(agreed.remote_rtp, Some("[2001:db8::1]:6000".parse().unwrap()));
    let text = std::str::from_utf8(&sdp).unwrap();
    assert!(text.contains("c=IN IP6 2001:db8::9\r\n"));
}

//! Nonces and verdicts.

use super::algorithm::{Algorithm, Hashed};
use super::authorization::Authorization;
use super::challenge::Challenge;
use super::replay::Replay;
use crate::limits;
use crate::message::uri::Uri;
use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::VecDeque;
use std::fmt;

/// What credentials are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are right.
    Valid,
    /// They would be right, but the nonce has expired, is of before a restart, or was used with
    /// that count before: challenge anew with `stale`, count no failure.
    Stale,
    /// They are wrong, or there is no such user: the same for both, and as long to find out.
    Wrong,
    /// They are for another realm: as no credentials.
    NotOurs,
}

/// Makes challenges and judges credentials, for one realm.
pub struct Authenticator {
    realm: String,
    key: hmac::Key,
    /// RFC 7616 §3.3. It says nothing, and many clients do not give it back: nothing is made of it.
    opaque: String,
    next_serial: u64,
    replay: Replay,
    /// When nonces were made, by first serial number of a second: what may be forgotten.
    issued: VecDeque<(u64, u64)>,
}

struct Nonce {
    issued: u64,
    serial: u64,
    offered: u8,
}

const NONCE_BYTES: usize = 17;
const MAC_BYTES: usize = 16;

impl Authenticator {
    /// An authenticator for a realm. The key must be fresh at each start: nonces of before a
    /// restart are stale by it, and what was remembered of their use is gone.
    pub fn new(realm: &str, key: [u8; 32]) -> Self {
        let fits = |c: &char| !c.is_control() && !matches!(c, '"' | '\\');
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        // No nonce signs a text of this length: what is shown here forges none.
        let opaque = hmac::sign(&key, b"opaque");
        let opaque: Vec<u8> = opaque.as_ref().iter().copied().take(MAC_BYTES).collect();
        Authenticator {
            realm: realm.chars().filter(fits).collect(),
            key,
            opaque: URL_SAFE_NO_PAD.encode(opaque),
            next_serial: 1,
            replay: Replay::default(),
            issued: VecDeque::new(),
        }
    }

    /// The realm.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// A challenge for each algorithm, the best first, all with one nonce. `stale` tells the
    /// peer to try again without asking its user.
    pub fn challenges(
        &mut self,
        unix_secs: u64,
        algorithms: &[Algorithm],
        stale: bool,
    ) -> Vec<Challenge> {
        let mut algorithms = algorithms.to_vec();
        algorithms.sort();
        algorithms.dedup();
        let offered = algorithms.iter().fold(0, |mask, a| mask | a.bit());
        let nonce = self.make_nonce(unix_secs, offered);
        let challenge =
            |a: &Algorithm| Challenge::new(*a, &self.realm, &nonce, &self.opaque, stale);
        algorithms.iter().map(challenge).collect()
    }

    /// Judges credentials. `ha1` gives a user's H(A1) for an algorithm (see [`super::ha1`]), or
    /// `None` where there is no such user or that algorithm will not do for it here.
    pub fn check(
        &mut self,
        unix_secs: u64,
        authorization: &Authorization,
        method: &str,
        request_uri: &str,
        ha1: impl Fn(Algorithm) -> Option<Vec<u8>>,
    ) -> Verdict {
        if authorization.realm != self.realm {
            return Verdict::NotOurs;
        }
        let Some(algorithm) = authorization.algorithm else { return Verdict::Wrong };
        let Some(count) = count(&authorization.nc) else { return Verdict::Wrong };
        let fits = authorization.qop.as_deref().is_some_and(|q| q.eq_ignore_ascii_case("auth"))
            && !authorization.cnonce.is_empty()
            && same_uri(&authorization.uri, request_uri);
        // An unknown user costs what a known one does.
        let secret = ha1(algorithm);
        let known = secret.is_some();
        let secret = secret.unwrap_or_else(|| algorithm.hash(&[b"nobody"]));
        let expected = response(algorithm, &secret, authorization, method);
        let right = constant_time::verify_slices_are_equal(&expected, &authorization.response);
        if right.is_err() || !known || !fits {
            return Verdict::Wrong;
        }
        let Some(nonce) = self.read_nonce(&authorization.nonce) else { return Verdict::Stale };
        // A weaker algorithm than was offered is a downgrade, not an old nonce.
        if nonce.offered & algorithm.bit() == 0 {
            return Verdict::Wrong;
        }
        let age = unix_secs.checked_sub(nonce.issued);
        if age.is_none_or(|age| age > limits::NONCE_LIFETIME.as_secs()) {
            return Verdict::Stale;
        }
        if self.replay.take(nonce.serial, count, limits::MAX_NONCES) {
            Verdict::Valid
        } else {
            Verdict::Stale
        }
    }

    fn make_nonce(&mut self, unix_secs: u64, offered: u8) -> String {
        self.forget_expired(unix_secs);
        let serial = self.next_serial;
        self.next_serial += 1;
        if self.issued.back().is_none_or(|(second, _)| *second < unix_secs) {
            self.issued.push_back((unix_secs, serial));
        }
        let mut bytes = Vec::with_capacity(NONCE_BYTES + MAC_BYTES);
        bytes.extend_from_slice(&unix_secs.to_be_bytes());
        bytes.extend_from_slice(&serial.to_be_bytes());
        bytes.push(offered);
        let mac = hmac::sign(&self.key, &bytes);
        bytes.extend(mac.as_ref().iter().take(MAC_BYTES));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read_nonce(&self, text: &str) -> Option<Nonce> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (content, mac) = bytes.split_at_checked(NONCE_BYTES)?;
        let expected = hmac::sign(&self.key, content);
        let expected = expected.as_ref().get(..MAC_BYTES)?;
        constant_time::verify_slices_are_equal(expected, mac).ok()?;
        Some(Nonce {
            issued: u64::from_be_bytes(content.get(..8)?.try_into().ok()?),
            serial: u64::from_be_bytes(content.get(8..16)?.try_into().ok()?),
            offered: *content.get(16)?,
        })
    }

    fn forget_expired(&mut self, unix_secs: u64) {
        let lifetime = limits::NONCE_LIFETIME.as_secs();
        // The entry after one says where that second's serial numbers end.
        while let Some((_, next_first)) = self.issued.get(1).copied()
            && let Some((second, _)) = self.issued.front()
            && second.saturating_add(lifetime) < unix_secs
        {
            self.replay.forget_before(next_first);
            self.issued.pop_front();
        }
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").field("realm", &self.realm).finish_non_exhaustive()
    }
}

/// RFC 7616 §3.4: eight hexadecimal digits.
fn count(nc: &str) -> Option<u32> {
    let fits = nc.len() == 8 && nc.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| u32::from_str_radix(nc, 16).ok()).flatten()
}

/// RFC 7616 §3.4.6: the `uri` must mean the Request-URI; phones write it with other parameters.
fn same_uri(digest_uri: &str, request_uri: &str) -> bool {
    if digest_uri == request_uri {
        return true;
    }
    match (Uri::parse(digest_uri.as_bytes()), Uri::parse(request_uri.as_bytes())) {
        (Ok(a), Ok(b)) => a.same_resource(&b),
        _ => false,
    }
}

/// RFC 7616 §3.4.1, with `qop=auth`.
fn response(algorithm: Algorithm, ha1: &[u8], a: &Authorization, method: &str) -> Vec<u8> {
    let qop = a.qop.as_deref().unwrap_or_default();
    let counted = Some((a.nc.as_str(), a.cnonce.as_str(), qop));
    let hashed = Hashed { nonce: &a.nonce, uri: &a.uri, method, counted };
    super::algorithm::response(algorithm, ha1, &hashed)
}

#[cfg(test)]
mod tests {
    use super::super::ha1;
    use super::*;

    const URI: &str = "sip:2001@trial.example";

    fn secret(algorithm: Algorithm) -> Option<Vec<u8>> {
        Some(ha1(algorithm, "phone1", "hushbox", "open sesame"))
    }

    fn credentials(challenge: &Challenge, nc: &str, password: &str) -> Authorization {
        let value = challenge.value();
        let nonce = value.split("nonce=\"").nth(1).and_then(|r| r.split('"').next());
        let algorithm = challenge.algorithm();
        let mut authorization = Authorization {
            username: "phone1".to_owned(),
            realm: "hushbox".to_owned(),
            nonce: nonce.expect("a nonce").to_owned(),
            uri: URI.to_owned(),
            response: Vec::new(),
            algorithm: Some(algorithm),
            cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ".to_owned(),
            qop: Some("auth".to_owned()),
            nc: nc.to_owned(),
        };
        let secret = ha1(algorithm, "phone1", "hushbox", password);
        authorization.response = response(algorithm, &secret, &authorization, "INVITE");
        authorization
    }

    #[test]
    fn responses_are_those_of_rfc_7616_section_3_9_1() {
        let mut authorization = Authorization::parse(
            b"Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
              nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
              cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, \
              response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\", \
              opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\", algorithm=SHA-256",
        )
        .expect("valid");
        let (user, realm, password) = ("Mufasa", "http-auth@example.org", "Circle of Life");
        let expect = |a: &Authorization, algorithm| {
            response(algorithm, &ha1(algorithm, user, realm, password), a, "GET")
        };
        assert_eq!(expect(&authorization, Algorithm::Sha256), authorization.response);
        authorization.algorithm = Some(Algorithm::Md5);
        assert_eq!(
            hex::encode(expect(&authorization, Algorithm::Md5)),
            "8ca523f5e9506fed4657c9700eebdbec"
        );
    }

    #[test]
    fn every_algorithm_opens_with_the_right_password_only() {
        let mut auth = Authenticator::new("hushbox", [7; 32]);
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512_256, Algorithm::Md5] {
            let challenge = auth.challenges(1000, &[algorithm], false).remove(0);
            let right = credentials(&challenge, "00000001", "open sesame");
            assert_eq!(auth.check(1001, &right, "INVITE", URI, secret), Verdict::Valid);
            let wrong = credentials(&challenge, "00000002", "open barley");
            assert_eq!(auth.check(1001, &wrong, "INVITE", URI, secret), Verdict::Wrong);
            let unknown = credentials(&challenge, "00000003", "open sesame");
            assert_eq!(auth.check(1001, &unknown, "INVITE", URI, |_| None), Verdict::Wrong);
        }
    }

    #[test]
    fn who_knows_what_unknown_users_are_compared_with_gains_nothing() {
        let mut auth = Authenticator::new("hushbox", [7; 32]);
        let challenge = auth.challenges(1000, &[Algorithm::Sha256], false).remove(0);
        let mut forged = credentials(&challenge, "00000001", "");
        let nobody = Algorithm::Sha256.hash(&[b"nobody"]);
        forged.response = response(Algorithm::Sha256, &nobody, &forged, "INVITE");
        assert_eq!(auth.check(1000, &forged, "INVITE", URI, |_| None), Verdict::Wrong);
    }

    #[test]
    fn challenges_have_an_opaque_that_need_not_come_back() {
        let mut auth = Authenticator::new("hushbox", [7; 32]);
        let challenges = auth.challenges(1000, &[Algorithm::Sha256, Algorithm::Md5], false);
        let later = auth.challenges(2000, &[Algorithm::Sha256], true);
        let opaque = |challenge: &Challenge| {
            let after = challenge.value().split_once(", opaque=\"").expect("an opaque").1;
            after.split_once('"').expect("an end").0.to_owned()
        };
        let all: Vec<String> = challenges.iter().chain(&later).map(opaque).collect();
        assert!(!all[0].is_empty() && all.iter().all(|one| *one == all[0]));
        assert_ne!(
            opaque(
                &Authenticator::new("hushbox", [8; 32]).challenges(0, &[Algorithm::Md5], false)[0]
            ),
            all[0]
        );
        for (nc, back) in [("00000001", String::new()), ("00000002", all[0].clone())] {
            let made = credentials(&challenges[0], nc, "open sesame");
            let text = format!(
                "Digest username=\"phone1\", realm=\"hushbox\", nonce=\"{}\", uri=\"{URI}\", \
                 response=\"{}\", algorithm=SHA-256, cnonce=\"{}\", qop=auth, nc={nc}{}",
                made.nonce,
                hex::encode(&made.response),
                made.cnonce,
                if back.is_empty() { String::new() } else { format!(", opaque=\"{back}\"") },
            );
            let shown = Authorization::parse(text.as_bytes()).expect("valid");
            assert_eq!(auth.check(1001, &shown, "INVITE", URI, secret), Verdict::Valid);
        }
    }

    #[test]
    fn a_replayed_count_is_stale() {
        let mut auth = Authenticator::new("hushbox", [7; 32]);
        let challenge = auth.challenges(1000, &[Algorithm::Sha256], false).remove(0);
        let first = credentials(&challenge, "00000001", "open sesame");
        assert_eq!(auth.check(1000, &first, "INVITE", URI, secret), Verdict::Valid);
        assert_eq!(auth.check(1000, &first, "INVITE", URI, secret), Verdict::Stale);
        let second = credentials(&challenge, "00000002", "open sesame");
        assert_eq!(auth.check(1000, &second, "INVITE", URI, secret), Verdict::Valid);
    }

    #[test]
    fn an_old_nonce_and_one_of_before_a_restart_are_stale() {
        let mut auth = Authenticator::new("hushbox", [7; 32]);
        let challenge = auth.challenges(1000, &[Algorithm::Sha256], false).remove(0);
        let first = credentials(&challenge, "00000001", "open sesame");
        assert_eq!(auth.check(1301, &first, "INVITE", URI, secret), Verdict::Stale);
        assert_eq!(auth.check(999, &first, "INVITE", URI, secret), Verdict::Stale);
        let mut restarted = Authenticator::new("hushbox", [8; 32]);
        assert_eq!(restarted.check(1000, &first, "INVITE", URI, secret), Verdict::Stale);
        let wrong = credentials(&challenge, "00000001", "open barley");
        assert_eq!(restarted.check(1000, &wrong, "INVITE", URI, secret), Verdict::Wrong);
    }

    #[test]
    fn an_algorithm_that_was_not_offered_is_wrong() {
        let mut auth = Authenticator::new("hushbox", [7; 32]);
        let challenge = auth.challenges(1000, &[Algorithm::Sha256], false).remove(0);
        let mut weak = credentials(&challenge, "00000001", "open sesame");
        weak.algorithm = Some(Algorithm::Md5);
        let secret_md5 = ha1(Algorithm::Md5, "phone1", "hushbox", "open sesame");
        weak.response = response(Algorithm::Md5, &secret_md5, &weak, "INVITE");
        assert_eq!(auth.check(1000, &weak, "INVITE", URI, secret), Verdict::Wrong);
    }

    #[test]
    fn another_method_uri_or_realm_does_not_pass() {
        let mut auth = Authenticator::new("hushbox", [7; 32]);
        let challenge = auth.challenges(1000, &[Algorithm::Sha256], false).remove(0);
        let first = credentials(&challenge, "00000001", "open sesame");
        assert_eq!(auth.check(1000, &first, "BYE", URI, secret), Verdict::Wrong);
        let other = "sip:2002@trial.example";
        assert_eq!(auth.check(1000, &first, "INVITE", other, secret), Verdict::Wrong);
        let with_param = "sip:2001@TRIAL.example;transport=tls";
        assert_eq!(auth.check(1000, &first, "INVITE", with_param, secret), Verdict::Valid);
        let mut elsewhere = first.clone();
        elsewhere.realm = "elsewhere".to_owned();
        assert_eq!(auth.check(1000, &elsewhere, "INVITE", URI, secret), Verdict::NotOurs);
    }

    #[test]
    fn without_qop_or_with_a_strange_count_credentials_are_wrong() {
        let mut auth = Authenticator::new("hushbox", [7; 32]);
        let challenge = auth.challenges(1000, &[Algorithm::Sha256], false).remove(0);
        let good = credentials(&challenge, "00000001", "open sesame");
        for change in [
            |a: &mut Authorization| a.qop = None,
            |a: &mut Authorization| a.nc = "1".to_owned(),
            |a: &mut Authorization| a.nc = "+0000001".to_owned(),
            |a: &mut Authorization| a.cnonce.clear(),
        ] {
            let mut bad = good.clone();
            change(&mut bad);
            let secret_sha256 = ha1(Algorithm::Sha256, "phone1", "hushbox", "open sesame");
            bad.response = response(Algorithm::Sha256, &secret_sha256, &bad, "INVITE");
            assert_eq!(auth.check(1000, &bad, "INVITE", URI, secret), Verdict::Wrong);
        }
    }

    #[test]
    fn challenges_stand_best_first_and_tell_staleness() {
        let mut auth = Authenticator::new("hush\"box\r\n", [7; 32]);
        let all = [Algorithm::Md5, Algorithm::Sha512_256, Algorithm::Sha256];
        let challenges = auth.challenges(1000, &all, true);
        let order: Vec<_> = challenges.iter().map(Challenge::algorithm).collect();
        assert_eq!(order, [Algorithm::Sha256, Algorithm::Sha512_256, Algorithm::Md5]);
        assert!(challenges.iter().all(|c| c.value().contains("stale=true")));
        assert!(challenges.iter().all(|c| c.value().starts_with("Digest realm=\"hushbox\"")));
    }

    #[test]
    fn what_is_remembered_of_nonces_is_forgotten_when_they_expire() {
        let mut auth = Authenticator::new("hushbox", [7; 32]);
        for second in 0..2000 {
            let challenge = auth.challenges(second, &[Algorithm::Sha256], false).remove(0);
            let good = credentials(&challenge, "00000001", "open sesame");
            assert_eq!(auth.check(second, &good, "INVITE", URI, secret), Verdict::Valid);
        }
        assert!(auth.issued.len() <= 303, "{}", auth.issued.len());
    }
}

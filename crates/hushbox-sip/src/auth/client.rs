//! The other side of digest: answering the challenges of a registrar (RFC 3261 §22.2, §22.3).

use super::algorithm::{Algorithm, Hashed, ha1, response};
use crate::invite::Headers;
use crate::limits;
use crate::message::lex::{self, Cursor};
use crate::message::params::Params;
use std::fmt;

/// A user name and a password of ours. Neither is ever printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// Why a challenge is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unanswerable {
    /// There is no challenge that can be read, or none by an algorithm that we have.
    NotUnderstood,
    /// There are challenges, but only by algorithms that are not allowed here.
    TooWeak,
    /// What we answered was not right.
    Wrong,
}

/// Answers challenges with one pair of credentials, as long as their nonces hold.
pub struct DigestClient {
    credentials: Credentials,
    /// By realm, and whether it is a proxy's.
    spaces: Vec<Space>,
    /// Challenges that were answered since the request began, whoever asked.
    rounds: u32,
}

/// A protection space, with the last challenge for it.
struct Space {
    is_proxy: bool,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// RFC 2069 had no `qop`; some PBXs still live there.
    has_qop: bool,
    is_stale: bool,
    /// How often it was answered since the request began.
    tries: u32,
    count: u32,
}

impl DigestClient {
    /// A client that has not been challenged yet.
    pub fn new(credentials: Credentials) -> Self {
        DigestClient { credentials, spaces: Vec::new(), rounds: 0 }
    }

    /// Takes the challenges of a 401 or 407. After that, [`DigestClient::fields`] answers them.
    pub fn challenged(
        &mut self,
        headers: &Headers,
        allowed: &[Algorithm],
    ) -> Result<(), Unanswerable> {
        let mut offered = Vec::new();
        let mut is_weak = false;
        for (name, is_proxy) in [("WWW-Authenticate", false), ("Proxy-Authenticate", true)] {
            for value in headers.all(name).take(limits::MAX_CHALLENGES) {
                match Space::parse(value, is_proxy) {
                    Some(space) if allowed.contains(&space.algorithm) => offered.push(space),
                    Some(_) => is_weak = true,
                    None => {}
                }
            }
        }
        // RFC 8760 §2.4 lets the server say which it likes best; of what it offers we take the
        // best that is allowed, so that nobody on the way can talk us into less.
        offered.sort_by_key(|space| space.algorithm);
        let mut chosen: Vec<Space> = Vec::new();
        for space in offered {
            if !chosen.iter().any(|other| other.is_same(&space)) {
                chosen.push(space);
            }
        }
        if chosen.is_empty() {
            return Err(if is_weak { Unanswerable::TooWeak } else { Unanswerable::NotUnderstood });
        }
        // One that asks in ever other names is not followed for ever.
        if self.rounds >= limits::MAX_CHALLENGE_ROUNDS {
            self.spaces.clear();
            return Err(Unanswerable::Wrong);
        }
        self.rounds += 1;
        for new in &mut chosen {
            let old = self.spaces.iter().find(|old| old.is_same(new));
            let tries = old.map_or(0, |old| old.tries);
            if tries >= if new.is_stale { limits::MAX_STALE } else { 1 } {
                self.spaces.clear();
                return Err(Unanswerable::Wrong);
            }
            new.tries = tries + 1;
        }
        self.spaces.retain(|old| !chosen.iter().any(|new| new.is_same(old)));
        self.spaces.extend(chosen);
        let beyond = self.spaces.len().saturating_sub(limits::MAX_CHALLENGES);
        self.spaces.drain(..beyond);
        Ok(())
    }

    /// The credentials were taken: the next request carries them from the start.
    pub fn accepted(&mut self, headers: &Headers) {
        self.begin();
        // RFC 7616 §3.5: the nonce for the next request.
        if let Some(value) = headers.first("Authentication-Info")
            && let Some([next]) = fields(value, ["nextnonce"])
            && let Some(next) = next.filter(|next| is_quotable(next))
            && let [space] = self.spaces.as_mut_slice()
        {
            space.nonce = next;
            space.count = 0;
        }
    }

    /// A new request begins: it may be challenged once more.
    pub fn begin(&mut self) {
        self.rounds = 0;
        self.spaces.iter_mut().for_each(|space| space.tries = 0);
    }

    /// Whether what is used for any server here is weaker than it should be.
    pub fn is_weak(&self) -> bool {
        self.spaces.iter().any(|space| space.algorithm == Algorithm::Md5)
    }

    /// The header fields that answer what was asked last; none before the first challenge.
    pub fn fields(&mut self, method: &str, uri: &str, cnonce: [u8; 16]) -> Vec<(String, String)> {
        let cnonce = hex::encode(cnonce);
        let credentials = &self.credentials;
        let answer = |space: &mut Space| {
            let name = if space.is_proxy { "Proxy-Authorization" } else { "Authorization" };
            (name.to_owned(), space.answer(credentials, method, uri, &cnonce))
        };
        self.spaces.iter_mut().map(answer).collect()
    }
}

impl fmt::Debug for DigestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DigestClient({} spaces)", self.spaces.len())
    }
}

impl Space {
    fn is_same(&self, other: &Space) -> bool {
        (self.is_proxy, &self.realm) == (other.is_proxy, &other.realm)
    }

    fn parse(value: &[u8], is_proxy: bool) -> Option<Self> {
        let names = ["realm", "nonce", "opaque", "algorithm", "qop", "stale"];
        let [realm, nonce, opaque, algorithm, qop, stale] = fields(value, names)?;
        // RFC 7616 §3.3: absent means MD5.
        let algorithm = Algorithm::from_name(algorithm.as_deref().unwrap_or("MD5"))?;
        let has_auth =
            |qop: &String| qop.split(',').any(|option| option.trim().eq_ignore_ascii_case("auth"));
        let has_qop = qop.as_ref().is_some_and(has_auth);
        // RFC 7616 §3.3: `qop` must be there. What has none is of RFC 2069, and that knew only MD5.
        let fits = has_qop || qop.is_none() && algorithm == Algorithm::Md5;
        let (realm, nonce) = (realm?, nonce?);
        let is_whole = [Some(&realm), Some(&nonce), opaque.as_ref()]
            .into_iter()
            .flatten()
            .all(|text| is_quotable(text));
        (fits && is_whole).then_some(Space {
            is_proxy,
            realm,
            nonce,
            opaque,
            algorithm,
            has_qop,
            is_stale: stale.is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
            tries: 0,
            count: 0,
        })
    }

    /// RFC 7616 §3.4.
    fn answer(&mut self, by: &Credentials, method: &str, uri: &str, cnonce: &str) -> String {
        self.count += 1;
        let secret = ha1(self.algorithm, &by.username, &self.realm, &by.password);
        let nc = format!("{:08x}", self.count);
        let hashed = Hashed {
            nonce: &self.nonce,
            uri,
            method,
            counted: self.has_qop.then_some((nc.as_str(), cnonce, "auth")),
        };
        let response = hex::encode(response(self.algorithm, &secret, &hashed));
        let Space { realm, nonce, .. } = self;
        let username = by.username.replace('\\', "\\\\").replace('"', "\\\"");
        let mut value = format!(
            "Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", algorithm={}",
            self.algorithm.name()
        );
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(", opaque=\"{opaque}\""));
        }
        if self.has_qop {
            value.push_str(&format!(", qop=auth, nc={nc}, cnonce=\"{cnonce}\""));
        }
        value
    }
}

/// What is written between quotes again as it came.
fn is_quotable(text: &str) -> bool {
    text.len() <= limits::MAX_IDENTIFIER_BYTES
        && text.chars().all(|c| !c.is_control() && !matches!(c, '"' | '\\'))
}

/// The named parameters of a challenge by digest, or of Authentication-Info, which names no scheme.
fn fields<const N: usize>(value: &[u8], names: [&str; N]) -> Option<[Option<String>; N]> {
    let mut cursor = Cursor::new(value);
    cursor.skip_lws();
    let mut after_scheme = cursor.clone();
    if after_scheme.token().is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"Digest")) {
        cursor = after_scheme;
    }
    let mut found = [const { None }; N];
    loop {
        let (name, value) = Params::one(&mut cursor)?;
        let known = names.iter().position(|n| name.eq_ignore_ascii_case(n.as_bytes()));
        if let Some(slot) = known.and_then(|index| found.get_mut(index)) {
            if slot.is_some() {
                return None;
            }
            *slot = Some(String::from_utf8(lex::unquote(value?).into_owned()).ok()?);
        }
        cursor.skip_lws();
        if cursor.at_end() {
            return Some(found);
        }
        if !cursor.eat(b',') {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Authenticator, Authorization, Verdict};
    use super::*;
    use bytes::Bytes;

    const STRONG: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512_256];
    const ALL: [Algorithm; 3] = [Algorithm::Sha256, Algorithm::Sha512_256, Algorithm::Md5];
    const URI: &str = "sip:pbx.example.com";

    fn headers(values: &[&str]) -> Headers {
        let field = |value: &&str| {
            ("WWW-Authenticate".to_owned(), Bytes::copy_from_slice(value.as_bytes()))
        };
        Headers::new(values.iter().map(field).collect())
    }

    fn client() -> DigestClient {
        let credentials =
            Credentials { username: "vm".to_owned(), password: "open sesame".to_owned() };
        DigestClient::new(credentials)
    }

    fn only_field(client: &mut DigestClient) -> String {
        let mut fields = client.fields("REGISTER", URI, [5; 16]);
        assert_eq!(fields.len(), 1);
        let (name, value) = fields.remove(0);
        assert_eq!(name, "Authorization");
        value
    }

    #[test]
    fn our_own_server_side_takes_what_our_client_side_answers() {
        for algorithm in ALL {
            let mut server = Authenticator::new("pbx", [1; 32]);
            let challenge = server.challenges(1000, &[algorithm], false).remove(0);
            let mut client = client();
            assert!(client.fields("REGISTER", URI, [5; 16]).is_empty(), "not before it is asked");
            client.challenged(&headers(&[challenge.value()]), &ALL).unwrap();
            let secret = |a| Some(ha1(a, "vm", "pbx", "open sesame"));
            for _ in 0..3 {
                let value = only_field(&mut client);
                let authorization = Authorization::parse(value.as_bytes()).unwrap();
                let verdict = server.check(1001, &authorization, "REGISTER", URI, secret);
                assert_eq!(verdict, Verdict::Valid, "the count goes up");
            }
        }
    }

    #[test]
    fn the_answer_is_that_of_rfc_7616_section_3_9_1() {
        let challenge = "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", \
             algorithm=SHA-256, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
        let mut space = Space::parse(challenge.as_bytes(), false).unwrap();
        let by =
            Credentials { username: "Mufasa".to_owned(), password: "Circle of Life".to_owned() };
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let answer = space.answer(&by, "GET", "/dir/index.html", cnonce);
        let expected = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";
        assert!(answer.contains(&format!("response=\"{expected}\"")), "{answer}");
        assert!(answer.contains("opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""));
        assert!(answer.contains("nc=00000001") && answer.contains("qop=auth,"));
    }

    #[test]
    fn the_best_of_what_is_offered_is_taken_wherever_it_stands() {
        let md5 = "Digest realm=\"pbx\", nonce=\"n\", algorithm=MD5, qop=\"auth\"";
        let sha = "Digest realm=\"pbx\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"";
        let mut client = client();
        client.challenged(&headers(&[md5, sha]), &ALL).unwrap();
        assert!(only_field(&mut client).contains("algorithm=SHA-256"));
        assert!(!client.is_weak());
    }

    #[test]
    fn md5_alone_is_answered_only_where_it_is_allowed() {
        let md5 = headers(&["Digest realm=\"pbx\", nonce=\"n\", qop=\"auth\""]);
        let mut client = client();
        assert_eq!(client.challenged(&md5, &STRONG), Err(Unanswerable::TooWeak));
        assert!(client.fields("REGISTER", URI, [5; 16]).is_empty());
        client.challenged(&md5, &ALL).unwrap();
        assert!(client.is_weak() && only_field(&mut client).contains("algorithm=MD5"));
    }

    #[test]
    fn a_challenge_of_rfc_2069_is_answered_without_count_by_md5_only() {
        let old = headers(&["Digest algorithm=MD5, realm=\"asterisk\", nonce=\"12ab\""]);
        let mut client = client();
        client.challenged(&old, &ALL).unwrap();
        let value = only_field(&mut client);
        assert!(!value.contains("nc=") && !value.contains("qop"), "{value}");
        let secret = hex::encode(ha1(Algorithm::Md5, "vm", "asterisk", "open sesame"));
        let ha2 = hex::encode(Algorithm::Md5.hash(&[b"REGISTER:", URI.as_bytes()]));
        let joined = format!("{secret}:12ab:{ha2}");
        let expected = hex::encode(Algorithm::Md5.hash(&[joined.as_bytes()]));
        assert!(value.contains(&expected), "{value}");
        let without = headers(&["Digest algorithm=SHA-256, realm=\"pbx\", nonce=\"n\""]);
        assert_eq!(client.challenged(&without, &ALL), Err(Unanswerable::NotUnderstood));
    }

    #[test]
    fn a_second_challenge_means_that_the_password_is_wrong_unless_it_says_stale() {
        let plain =
            headers(&["Digest realm=\"pbx\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\""]);
        let stale =
            "Digest realm=\"pbx\", nonce=\"m\", algorithm=SHA-256, qop=\"auth\", stale=TRUE";
        let stale = headers(&[stale]);
        let mut client = client();
        assert_eq!(client.challenged(&plain, &STRONG), Ok(()));
        assert_eq!(client.challenged(&stale, &STRONG), Ok(()));
        assert_eq!(client.challenged(&plain, &STRONG), Err(Unanswerable::Wrong));
        client.begin();
        assert_eq!(client.challenged(&plain, &STRONG), Ok(()));
        client.accepted(&Headers::default());
        for _ in 0..limits::MAX_STALE {
            assert_eq!(client.challenged(&stale, &STRONG), Ok(()));
        }
        assert_eq!(client.challenged(&stale, &STRONG), Err(Unanswerable::Wrong), "no loop");
    }

    #[test]
    fn a_proxy_and_a_registrar_are_both_answered() {
        let field = |name: &str, realm: &str| {
            let value =
                format!("Digest realm=\"{realm}\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"");
            (name.to_owned(), Bytes::from(value))
        };
        let mut client = client();
        let proxy = Headers::new(vec![field("Proxy-Authenticate", "edge")]);
        client.challenged(&proxy, &STRONG).unwrap();
        let registrar = Headers::new(vec![field("WWW-Authenticate", "pbx")]);
        client.challenged(&registrar, &STRONG).unwrap();
        let names: Vec<_> =
            client.fields("REGISTER", URI, [5; 16]).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["Proxy-Authorization", "Authorization"]);
    }

    #[test]
    fn one_that_asks_in_ever_other_names_is_left() {
        let mut client = client();
        let mut rounds = 0;
        for realm in 0..100 {
            let value =
                format!("Digest realm=\"{realm}\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"");
            if client.challenged(&headers(&[&value]), &STRONG).is_err() {
                break;
            }
            rounds += 1;
        }
        assert_eq!(rounds, limits::MAX_CHALLENGE_ROUNDS);
    }

    #[test]
    fn the_next_nonce_is_used_once_it_was_given() {
        let mut client = client();
        let first = "Digest realm=\"pbx\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"";
        client.challenged(&headers(&[first]), &STRONG).unwrap();
        only_field(&mut client);
        let info = Bytes::from_static(b"nextnonce=\"fresh\", qop=auth");
        client.accepted(&Headers::new(vec![("Authentication-Info".to_owned(), info)]));
        let value = only_field(&mut client);
        assert!(value.contains("nonce=\"fresh\"") && value.contains("nc=00000001"), "{value}");
    }

    #[test]
    fn malformed_and_strange_challenges_are_not_answered() {
        for value in [
            "Basic realm=\"pbx\"",
            "Digest realm=\"pbx\"",
            "Digest realm=\"p\\\"x\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"",
            "Digest realm=\"pbx\", nonce=\"n\", algorithm=SHA-256-sess, qop=\"auth\"",
            "Digest realm=\"pbx\", nonce=\"n\", algorithm=SHA-256, qop=\"auth-int\"",
            "Digest realm=\"pbx\", nonce=\"n\", nonce=\"m\", algorithm=SHA-256, qop=\"auth\"",
            "Digest realm=\"pbx\", nonce=\"n",
            "",
        ] {
            let answered = client().challenged(&headers(&[value]), &ALL);
            assert_eq!(answered, Err(Unanswerable::NotUnderstood), "{value}");
        }
    }

    #[test]
    fn debug_shows_neither_name_nor_password() {
        assert_eq!(format!("{:?}", client().credentials), "Credentials(…)");
        assert_eq!(format!("{:?}", client()), "DigestClient(0 spaces)");
    }
}

//! Names, passwords, listed tokens, proxies and certificates.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// `plain` as it is; the other hashes are of `correct horse`, made by `openssl`, Python's `bcrypt` and `argon2-cffi`.
const SHA256: &str = "$sha256$salt-7$862803886ed73480dc13438a049efc75e95883a4ecbf1a34380bce368440ba9c";
const BCRYPT: &str = "$2b$04$nBqnqi9B1rnzVQDq0sPiqOfLPI5O7b8pllF7SjTobczlea57L.9va";
const ARGON2ID: &str =
    "$argon2id$v=19$m=64,t=1,p=1$5k39r820GtZb2nGw0XzwaA$a8vTJ5Lun1jBQis0ODgnJqirxXNc3aYo1Kci4OIccJM";
const PASSWORD: &str = "correct horse";

fn user(password: Stored) -> User {
    User { password, roles: vec!["operator".into()] }
}

fn users() -> Users {
    let mut users = Users::default();
    users.add("plain", user(Stored::plain(PASSWORD))).unwrap();
    for (name, hash) in [("sha256", SHA256), ("bcrypt", BCRYPT), ("argon2id", ARGON2ID)] {
        users.add(name, user(Stored::hash(hash).unwrap())).unwrap();
    }
    users
}

fn login(name: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{name}:{password}")))
}

#[test]
fn passwords_of_every_kind() {
    let guard = guard("staff", Kind::Basic(users().into()));
    for name in ["plain", "sha256", "bcrypt", "argon2id"] {
        let Verdict::Accepted(session) = verdict(&guard, &login(name, PASSWORD), None) else {
            panic!("{name} is refused");
        };
        assert_eq!((session.identity.as_deref(), session.expires_at_ms), (Some(name), None));
        assert_eq!(session.roles, ["operator"]);
        for wrong in ["", "correct hors", "correct horse ", "Correct horse", PASSWORD.repeat(9).as_str()] {
            let wrong = verdict(&guard, &login(name, wrong), None);
            assert_eq!(wrong, Verdict::Refused(Refusal::Login), "{name}");
        }
    }
    assert_eq!(verdict(&guard, &login("nobody", PASSWORD), None), Verdict::Refused(Refusal::Login));
    assert_eq!(verdict(&guard, "", None), Verdict::Absent);
    assert_eq!(verdict(&guard, "Authorization: Bearer x\r\n", None), Verdict::Absent);
    for bad in ["!", "YQ", "YW5uOmEKYg==", "/////w=="] {
        let bad = verdict(&guard, &format!("Authorization: basic {bad}\r\n"), None);
        assert!(matches!(bad, Verdict::Refused(Refusal::Malformed)), "{bad:?}");
    }
}

/// Nobody learns from the time of an answer whether a name exists.
#[test]
fn names_that_are_unknown_or_have_quick_hashes_take_as_long_as_others() {
    let slow = |users: &Users, name: &str| {
        let login = Login { name: name.into(), password: Secret::new("x") };
        users.comparison(&"staff".into(), login).is_slow()
    };
    let users = users();
    for name in ["bcrypt", "argon2id", "nobody", "plain", "sha256"] {
        assert!(slow(&users, name), "{name}");
    }
    let mut fast = Users::default();
    fast.add("plain", user(Stored::plain("x"))).unwrap();
    assert!(!slow(&fast, "nobody") && !slow(&fast, "plain"));
}

#[test]
fn slow_hashes_that_are_not_alike_are_noticed() {
    let other = |hash: &str, from: &str, to: &str| hash.replacen(from, to, 1);
    let salted = other(ARGON2ID, "5k39", "6k39");
    for (hashes, expected) in [
        (&[BCRYPT, &other(BCRYPT, "2b", "2y"), SHA256][..], false),
        (&[ARGON2ID, &salted], false),
        (&[SHA256], false),
        (&[BCRYPT, &other(BCRYPT, "$04", "$05")], true),
        (&[ARGON2ID, &other(ARGON2ID, "t=1", "t=2")], true),
        (&[ARGON2ID, SHA256, BCRYPT], true),
    ] {
        let mut users = Users::default();
        for (number, hash) in hashes.iter().enumerate() {
            users.add(&number.to_string(), user(Stored::hash(hash).unwrap())).unwrap();
        }
        assert_eq!(users.take_different_times(), expected, "{hashes:?}");
    }
}

#[test]
fn hashes_are_checked_when_they_are_read() {
    for (hash, error) in [
        ("", HashError::Kind),
        ("secret", HashError::Kind),
        ("$1$salt$x", HashError::Kind),
        ("$apr1$salt$x", HashError::Kind),
        ("{SHA}x", HashError::Kind),
        ("$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", HashError::Kind),
        ("$2x$04$abcdefghijklmnopqrstuuu5s2v8Iss3DIiBWHZHyzHbUIYgpEn1m", HashError::Kind),
        ("$sha256$salt", HashError::Malformed),
        ("$sha256$salt$00", HashError::Malformed),
        ("$2b$05$short", HashError::Malformed),
        ("$argon2id$v=19$m=8,t=1,p=1", HashError::Malformed),
        ("$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", HashError::Cost),
        ("$argon2id$v=19$m=64,t=1000,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", HashError::Cost),
    ] {
        assert_eq!(Stored::hash(hash).err(), Some(error), "{hash}");
    }
    assert_eq!(Stored::hash(&BCRYPT.replacen("04", "17", 1)).err(), Some(HashError::Cost));
    assert_eq!(Stored::hash(&BCRYPT.replacen("04", "03", 1)).err(), Some(HashError::Malformed));
}

#[test]
fn files_of_users() {
    let file = format!("# staff\r\nann:{BCRYPT}\r\n\nbob:{SHA256}:operator,viewer admin\n");
    let guard = guard("staff", Kind::Basic(Users::from_file(file.as_bytes()).unwrap().into()));
    let Verdict::Accepted(bob) = verdict(&guard, &login("bob", PASSWORD), None) else { panic!("refused") };
    assert_eq!(bob.roles, ["operator", "viewer", "admin"]);
    assert!(matches!(verdict(&guard, &login("ann", PASSWORD), None), Verdict::Accepted(_)));
    assert!(Users::from_file(b"# nobody\n").unwrap().is_empty());
    // A file ends the name at the first colon, as a login does; a configuration could have one in it.
    assert_eq!(users().add("a:b", user(Stored::plain("x"))), Err(UserProblem::Colon));
    for (file, line, problem) in [
        ("\nann".to_owned(), 2, UserProblem::Shape),
        ("ann:secret".to_owned(), 1, UserProblem::Hash(HashError::Kind)),
        (format!(":{SHA256}"), 1, UserProblem::NoName),
        (format!("a\tb:{SHA256}"), 1, UserProblem::Control),
        (format!("ann:{SHA256}\nann:{SHA256}"), 2, UserProblem::Twice),
    ] {
        assert_eq!(Users::from_file(file.as_bytes()).err(), Some(UsersError { line, problem }), "{file}");
    }
    assert_eq!(Users::from_file(b"\xff").err(), Some(UsersError { line: 1, problem: UserProblem::NotUtf8 }));
}

#[test]
fn listed_tokens() {
    let mut tokens = Tokens::default();
    let holder = |name: &str| Holder { identity: Some(name.into()), roles: vec![name.into()] };
    tokens.add("key-of-ann", holder("ann")).unwrap();
    tokens.add(SHA256, holder("bob")).unwrap();
    tokens.add("key-of-ann", holder("who comes behind her")).unwrap();
    assert_eq!(tokens.add(BCRYPT, holder("x")), Err(HashError::Slow));
    assert_eq!(tokens.add("$sha256$x", holder("x")), Err(HashError::Malformed));
    assert_eq!(tokens.add("", holder("x")), Err(HashError::Malformed));
    let guard = guard("machines", Kind::Tokens(tokens));
    for (token, identity) in [("key-of-ann", "ann"), (PASSWORD, "bob")] {
        let found = verdict(&guard, &format!("authorization: BEARER  {token} \r\n"), None);
        assert!(matches!(found, Verdict::Accepted(session) if session.identity.as_deref() == Some(identity)));
    }
    for token in ["key-of-an", "key-of-ann2", "KEY-OF-ANN", SHA256] {
        let found = verdict(&guard, &format!("Authorization: Bearer {token}\r\n"), None);
        assert_eq!(found, Verdict::Refused(Refusal::UnknownToken), "{token}");
    }
    assert!(!format!("{guard:?}").contains("key-of"), "{guard:?}");
    let twice = "Authorization: Bearer key-of-ann\r\nAuthorization: Bearer key-of-ann\r\n";
    assert_eq!(verdict(&guard, twice, None), Verdict::Refused(Refusal::Malformed));
}

#[test]
fn identities_of_proxies_count_only_from_trusted_ones() {
    let proxy = ProxyIdentity { header: "X-User".into(), roles_header: Some("X-Roles".into()) };
    let guard = guard("proxy", Kind::Identity(proxy));
    let ask = |lines: &str, from_trusted_proxy| {
        let headers = headers(lines);
        let carrier = Carrier { headers: &headers, query: None, protocols: &[] };
        let presented = Presented { carrier, certificate: None, from_trusted_proxy, bound: &[] };
        match guard.authenticate(&presented, None, 0) {
            Step::Done(verdict) => verdict,
            step => panic!("{step:?}"),
        }
    };
    let lines = "x-user: ann\r\nX-ROLES: a, b c\r\n";
    assert_eq!(ask(lines, false), Verdict::Absent);
    assert_eq!(ask("", true), Verdict::Absent);
    assert_eq!(ask("X-User:\r\n", true), Verdict::Absent);
    let Verdict::Accepted(session) = ask(lines, true) else { panic!("refused") };
    assert_eq!((session.identity.as_deref(), session.roles.len()), (Some("ann"), 3));
    for lines in ["X-User: a\r\nx-user: a\r\n", "X-User: a\r\nX-Roles: a\r\nX-Roles: b\r\n"] {
        assert_eq!(ask(lines, true), Verdict::Refused(Refusal::Malformed), "{lines}");
    }
}

#[test]
fn certificates_are_found_by_fingerprint_subject_and_names() {
    let certificate = Certificate {
        subject: "CN=press-7,O=Plant".into(),
        hosts: vec!["press-7.Plant.example".into()],
        emails: vec!["press@evil.plant.example".into()],
        uris: vec!["spiffe://plant/press/7".into()],
        sha256: Some([7; 32]),
        sha1: Some([9; 20]),
        not_after_ms: Some(5),
    };
    let identity = |subject: Match, name: Option<&str>| {
        let mut certificates = Certificates::default();
        let roles = vec!["press".to_owned()];
        certificates.add(Entry { subject, identity: name.map(str::to_owned), roles });
        let guard = guard("plant", Kind::Certificates(certificates));
        let headers = headers("");
        let carrier = Carrier { headers: &headers, query: None, protocols: &[] };
        let presented =
            Presented { carrier, certificate: Some(&certificate), from_trusted_proxy: false, bound: &[] };
        let none = Presented { certificate: None, ..presented };
        assert!(matches!(guard.authenticate(&none, None, 0), Step::Done(Verdict::Absent)));
        match guard.authenticate(&presented, None, 4) {
            Step::Done(Verdict::Accepted(session)) => {
                assert_eq!(session.expires_at_ms, Some(5));
                let later = guard.authenticate(&presented, None, 5);
                assert!(matches!(later, Step::Done(Verdict::Refused(Refusal::Expired))), "{later:?}");
                session.identity
            }
            Step::Done(Verdict::Refused(Refusal::UnknownCertificate)) => None,
            step => panic!("{step:?}"),
        }
    };
    let subject = Some("CN=press-7,O=Plant".to_owned());
    let colons = ["07"; 32].join(":");
    assert_eq!(identity(Match::fingerprint(&colons).unwrap(), Some("seven")).as_deref(), Some("seven"));
    assert_eq!(identity(Match::fingerprint(&"09".repeat(20)).unwrap(), None), subject);
    assert_eq!(identity(Match::fingerprint(&"08".repeat(32)).unwrap(), None), None);
    assert_eq!(identity(Match::Subject("CN=press-*,O=Plant".into()), None), subject);
    assert_eq!(identity(Match::Subject("CN=press-*".into()), None), None, "a star is of one part");
    assert_eq!(identity(Match::Subject("CN=press-*,*".into()), None), subject);
    assert_eq!(identity(Match::Subject("O=Plant".into()), None), None);
    let name = identity(Match::Host("*.PLANT.example".into()), None);
    assert_eq!(name.as_deref(), Some("press-7.Plant.example"));
    assert_eq!(identity(Match::Host("spiffe*".into()), None), None);
    assert_eq!(identity(Match::Host("*evil.plant.example".into()), None), None);
    assert_eq!(identity(Match::Email("*@press".into()), None), None);
    let email = identity(Match::Email("press@*".into()), None);
    assert_eq!(email.as_deref(), Some("press@evil.plant.example"));
    let uri = identity(Match::Uri("spiffe://plant/*".into()), None);
    assert_eq!(uri.as_deref(), Some("spiffe://plant/press/7"));
    // One without a subject names nobody.
    let mut certificates = Certificates::default();
    certificates.add(Entry { subject: Match::Sha1([9; 20]), identity: None, roles: Vec::new() });
    let unnamed = Certificate { subject: String::new(), ..certificate.clone() };
    assert_eq!(certificates.find(&"plant".into(), &unnamed).unwrap().identity, None);
    for bad in ["", "07", "zz", &"0".repeat(63)] {
        assert_eq!(Match::fingerprint(bad), None, "{bad}");
    }
}

#[test]
fn roles_of_certificates_are_known_beforehand() {
    let mut certificates = Certificates::default();
    for (number, roles) in [(1, vec!["read".to_owned()]), (2, Vec::new())] {
        certificates.add(Entry { subject: Match::Sha1([number; 20]), identity: None, roles });
    }
    let kind = Kind::Certificates(certificates);
    assert_eq!(kind.known_roles(), Some(vec![vec!["read".to_owned()], Vec::new()]));
}

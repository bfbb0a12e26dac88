//! What is answered to whom.

use super::*;
use crate::handshake::RejectOptions;

fn session(roles: &[&str]) -> Verdict {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    Verdict::Accepted(Session::unlimited("g".into(), Some("ann".into()), roles))
}

fn demand(guard: usize, roles: &[&str]) -> Demand {
    Demand { guard, roles: roles.iter().map(|role| (*role).to_owned()).collect() }
}

/// One guard of each type: `jwt`, `basic`, `tls`, `cookie`, `identity`, `flow`.
fn guards() -> Vec<Guard> {
    let jwt = guard("staff", Kind::Jwt(JwtOptions::default()));
    let basic =
        Guard { realm: "the \"old\" plant\r\n".into(), ..guard("old", Kind::Basic(Users::default().into())) };
    let proxy = ProxyIdentity { header: "x".to_owned(), roles_header: None };
    vec![
        jwt,
        basic,
        guard("tls", Kind::Certificates(Certificates::default())),
        guard("browser", Kind::Cookie),
        guard("proxy", Kind::Identity(proxy)),
        guard("gate", Kind::Flow),
    ]
}

/// Status, label and `WWW-Authenticate` headers of the answer.
fn answer(demands: &[Demand], verdicts: &[Verdict], invalid: u16) -> (u16, &'static str, Vec<String>) {
    let denial = decide(demands, |guard| &verdicts[guard]).expect_err("this is to be denied");
    let reject = denial.answer(&guards(), invalid);
    let bytes = String::from_utf8(reject.to_bytes(&RejectOptions::default())).unwrap();
    let headers = bytes.lines().filter_map(|line| line.strip_prefix("WWW-Authenticate: "));
    (reject.status, reject.label, headers.map(str::to_owned).collect())
}

#[test]
fn all_guards_have_to_pass() {
    let verdicts = [session(&["a", "b"]), session(&[]), Verdict::Absent];
    let found = decide(&[demand(0, &["a"]), demand(1, &[])], |guard| &verdicts[guard]).unwrap();
    assert_eq!(found.len(), 2);
    assert!(decide(&[], |guard| &verdicts[guard]).unwrap().is_empty());
    assert!(decide(&[demand(0, &["a"]), demand(2, &[])], |guard| &verdicts[guard]).is_err());
    assert!(decide(&[demand(0, &["a", "c"])], |guard| &verdicts[guard]).is_err());
    assert!(decide(&[demand(0, &["A"])], |guard| &verdicts[guard]).is_err());
}

#[test]
fn nothing_shown_asks_for_credentials() {
    let challenges = [
        r#"Bearer realm="staff""#,
        r#"Basic realm="the \"old\" plant", charset="UTF-8""#,
        r#"ClientCertificate realm="tls""#,
        r#"Cookie realm="browser""#,
        r#"Identity realm="proxy""#,
        r#"Flow realm="gate""#,
    ]
    .map(str::to_owned);
    let nothing = vec![Verdict::Absent; 6];
    let demands: Vec<Demand> = (0..6).map(|guard| demand(guard, &["a"])).collect();
    assert_eq!(answer(&demands, &nothing, 403), (401, "no_credentials", challenges.to_vec()));
    // Each of them alone says how, too: RFC 9110 demands it of a 401.
    for (demand, challenge) in demands.into_iter().zip(challenges) {
        assert_eq!(answer(&[demand], &nothing, 403), (401, "no_credentials", vec![challenge]));
    }
}

#[test]
fn whoever_mixes_the_credentials_of_different_people_is_none_of_them() {
    let named = |who: Option<&str>, roles: &[&str]| {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Verdict::Accepted(Session::unlimited("g".into(), who.map(str::to_owned), roles))
    };
    let verdicts = [
        named(Some("ann"), &["a"]),
        named(Some("ann"), &["b"]),
        named(None, &["c"]),
        named(Some("ben"), &["d"]),
    ];
    let asks = |guards: &[usize]| guards.iter().map(|guard| demand(*guard, &[])).collect::<Vec<_>>();
    // One who is named twice, or not at all, goes with the others.
    assert_eq!(decide(&asks(&[0, 1, 2]), |guard| &verdicts[guard]).unwrap().len(), 3);
    assert_eq!(decide(&asks(&[2, 3]), |guard| &verdicts[guard]).unwrap().len(), 2);
    for (guards, which) in [(&[0, 3][..], (0, 3)), (&[2, 3, 1], (3, 1)), (&[0, 1, 2, 3], (0, 3))] {
        let denial = decide(&asks(guards), |guard| &verdicts[guard]).unwrap_err();
        assert_eq!(denial, Denial::Disagreeing { guards: which });
        let said = answer(&asks(guards), &verdicts, 401);
        assert_eq!(said, (403, "other_identity", Vec::new()), "there is nothing to ask for");
    }
    // One that is about something else than who it is goes with anybody, too.
    let Verdict::Accepted(press) = named(Some("press 7"), &[]) else { panic!("is accepted") };
    let press = Verdict::Accepted(Session { gives_identity: false, ..press });
    assert_eq!(decide(&asks(&[0, 1]), |guard| [&press, &verdicts[3]][guard]).unwrap().len(), 2);
    // Which of the roles are missing is nobody's business then; what is unknown goes before.
    assert_eq!(answer(&[demand(0, &["x"]), demand(3, &[])], &verdicts, 401).1, "other_identity");
    let and_unknown = [verdicts[0].clone(), verdicts[3].clone(), Verdict::Absent, Verdict::Undecided];
    assert_eq!(answer(&asks(&[0, 1, 2]), &and_unknown, 401).0, 401);
    assert_eq!(answer(&asks(&[0, 1, 3]), &and_unknown, 401).0, 403, "and this before what may change");
}

#[test]
fn what_renews_nothing_is_told_without_the_roles_of_others() {
    let answer = |why, known_to: &[usize]| {
        let reject = not_renewed(why, known_to, &guards());
        let headers: Vec<_> = reject.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        (reject.status, reject.label, headers)
    };
    let bearer = "WWW-Authenticate: Bearer realm=\"staff\"".to_owned();
    let tls = "WWW-Authenticate: ClientCertificate realm=\"tls\"".to_owned();
    assert_eq!(answer(RenewalError::NoSession, &[0]), (401, "no_session", vec![bearer.clone()]));
    assert_eq!(answer(RenewalError::MissingRole, &[0, 2]), (401, "missing_role", vec![bearer, tls]));
}

#[test]
fn bad_credentials_are_told_so() {
    let verdicts = [Verdict::Refused(TokenError::Expired.into()), session(&[]), Verdict::Undecided];
    let demands = [demand(0, &["a"]), demand(2, &[])];
    let challenge =
        r#"Bearer realm="staff", error="invalid_token", error_description="the token has expired""#;
    let other = r#"ClientCertificate realm="tls""#;
    let challenges = [challenge, other].map(str::to_owned).to_vec();
    assert_eq!(answer(&demands, &verdicts, 401), (401, "expired", challenges));
    assert_eq!(answer(&demands, &verdicts, 403).0, 403);
    let wrong = [Verdict::Absent, Verdict::Refused(Refusal::Login), Verdict::Absent];
    assert_eq!(answer(&[demand(1, &[])], &wrong, 401).1, "wrong_login");
}

#[test]
fn missing_roles_are_named() {
    let verdicts = [session(&["a"]), session(&[]), Verdict::Undecided];
    let demands = [demand(0, &["a", "b", "with space", "\"", "día"]), demand(2, &[])];
    let challenge = r#"Bearer realm="staff", error="insufficient_scope", scope="a b""#;
    assert_eq!(answer(&demands, &verdicts, 401), (403, "missing_role", vec![challenge.to_owned()]));
    assert_eq!(answer(&[demand(1, &["x"])], &verdicts, 401), (403, "missing_role", vec![]));
}

#[test]
fn guards_without_keys_ask_to_come_again() {
    let verdicts = [Verdict::Undecided, session(&[])];
    let denial = decide(&[demand(1, &[]), demand(0, &[])], |guard| &verdicts[guard]).unwrap_err();
    let reject = denial.answer(&guards(), 401);
    assert_eq!((reject.status, reject.label), (503, "guard_unavailable"));
    assert!(reject.headers.iter().any(|(name, value)| name == "Retry-After" && value == "5"));
}

#[test]
fn missing_keys_are_asked_for() {
    let guard = &guards()[0];
    let token = Credential::Token(Secret::new("x"));
    let step = guard.check(token.clone(), None, 0);
    assert!(matches!(step, Step::NeedsKeys { otherwise: Verdict::Undecided }), "{step:?}");
    let step = guard.check(token, Some(&KeySet::default()), 0);
    assert!(matches!(step, Step::Done(Verdict::Refused(Refusal::Token(TokenError::Malformed)))), "{step:?}");
    let file = Json::parse(include_bytes!("tokens.json")).unwrap();
    let unknown = Credential::Token(Secret::new(text(&file, "unknown_kid")));
    let keys = KeySet::from_list(member(&file, "keys").as_list().unwrap()).unwrap();
    let step = guard.check(unknown, Some(&keys), 0);
    let refused = Verdict::Refused(Refusal::Token(TokenError::UnknownKey));
    assert!(matches!(step, Step::NeedsKeys { otherwise } if otherwise == refused));
    let login = Credential::Login(Login { name: "a".into(), password: Secret::new("b") });
    assert!(matches!(guard.check(login, None, 0), Step::Done(Verdict::Refused(Refusal::Malformed))));
}

/// No secret is in what `Debug` shows.
#[test]
fn no_secret_is_shown() {
    let secret = "hunter2hunter2";
    let login = Login { name: "ann".into(), password: Secret::new(secret) };
    let mut users = Users::default();
    users.add("ann", User { password: Stored::plain(secret), roles: vec![] }).unwrap();
    let guard = guard("staff", Kind::Basic(users.clone().into()));
    let comparison = users.comparison(&"staff".into(), login.clone());
    let shown = format!("{login:?} {:?} {guard:?} {comparison:?}", Credential::Token(Secret::new(secret)));
    assert!(!shown.contains("hunter"), "{shown}");
    assert!(shown.contains("ann"));
}

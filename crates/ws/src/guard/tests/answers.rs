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

/// Three guards: `jwt`, `basic`, `tls`.
fn guards() -> Vec<Guard> {
    let jwt = guard("staff", Kind::Jwt(JwtOptions::default()));
    let basic =
        Guard { realm: "the \"old\" plant\r\n".into(), ..guard("old", Kind::Basic(Users::default())) };
    vec![jwt, basic, guard("tls", Kind::Certificates(Certificates::default()))]
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
    let demands = [demand(0, &["a"]), demand(1, &[]), demand(2, &[])];
    let nothing = [Verdict::Absent, Verdict::Absent, Verdict::Absent];
    let challenges = [
        r#"Bearer realm="staff""#.to_owned(),
        r#"Basic realm="the \"old\" plant", charset="UTF-8""#.to_owned(),
    ];
    assert_eq!(answer(&demands, &nothing, 403), (401, "no_credentials", challenges.to_vec()));
}

#[test]
fn bad_credentials_are_told_so() {
    let verdicts = [Verdict::Refused(TokenError::Expired.into()), session(&[]), Verdict::Undecided];
    let demands = [demand(0, &["a"]), demand(2, &[])];
    let challenge =
        r#"Bearer realm="staff", error="invalid_token", error_description="the token has expired""#;
    assert_eq!(answer(&demands, &verdicts, 401), (401, "expired", vec![challenge.to_owned()]));
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
    let guard = guard("staff", Kind::Basic(users.clone()));
    let comparison = users.comparison(&"staff".into(), login.clone());
    let shown = format!("{login:?} {:?} {guard:?} {comparison:?}", Credential::Token(Secret::new(secret)));
    assert!(!shown.contains("hunter"), "{shown}");
    assert!(shown.contains("ann"));
}

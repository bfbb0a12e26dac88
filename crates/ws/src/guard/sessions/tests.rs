use super::{term::MOST_GRANTS, *};
use crate::guard::{Json, Key};

fn session(identity: &str, roles: &[&str], expires_s: u64) -> Session {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    let session = Session::unlimited("staff".into(), Some(identity.to_owned()), roles);
    let expires = expires_s * 1000;
    Session { expires_at_ms: Some(expires), challenge_at_ms: Some(expires - 10), ..session }
}

fn role(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}

#[test]
fn a_fresh_handshake_extends_the_others() {
    let mut sessions = Sessions::default();
    let (first, _) = sessions.open(1, &session("ann", &["a"], 10), &role("a"), true);
    let (apart, _) = sessions.open(2, &session("ann", &["a"], 10), &role("a"), false);
    let (other, _) = sessions.open(3, &session("bob", &["a"], 10), &role("a"), true);
    let (more, _) = sessions.open(4, &session("ann", &["a", "b"], 11), &role("b"), true);
    assert_eq!(first.expires_at_ms(), Some(11_000));
    let (plain, _) = sessions.open(5, &session("ann", &["a"], 20), &[], true);
    assert_eq!((first.expires_at_ms(), first.challenge_at_ms()), (Some(20_000), Some(19_990)));
    assert_eq!(plain.expires_at_ms(), Some(20_000));
    assert_eq!(more.expires_at_ms(), Some(11_000), "the newer one lacks its role");
    assert_eq!((apart.expires_at_ms(), other.expires_at_ms()), (Some(10_000), Some(10_000)));
    let (earlier, _) = sessions.open(6, &session("ann", &["a"], 15), &role("a"), true);
    assert_eq!((first.expires_at_ms(), earlier.expires_at_ms()), (Some(20_000), Some(20_000)));
}

#[test]
fn a_connection_renews_only_its_own_session() {
    let mut sessions = Sessions::default();
    let (term, _) = sessions.open(1, &session("ann", &["a"], 10), &role("a"), true);
    let other_guard = Session { guard: "guests".into(), ..session("ann", &["a"], 20) };
    assert_eq!(sessions.renew(1, &other_guard), Err(RenewalError::NoSession));
    assert_eq!(sessions.renew(2, &session("ann", &["a"], 20)), Err(RenewalError::NoSession));
    assert_eq!(sessions.renew(1, &session("bob", &["a"], 20)), Err(RenewalError::OtherIdentity));
    assert_eq!(sessions.renew(1, &session("ann", &["b"], 20)), Err(RenewalError::MissingRole));
    let nobody = Session { identity: None, ..session("", &["a"], 20) };
    assert_eq!(sessions.renew(1, &nobody), Err(RenewalError::OtherIdentity));
    assert_eq!(term.expires_at_ms(), Some(10_000));
    assert_eq!(sessions.renew(1, &session("ann", &["a"], 20)), Ok(Vec::new()));
    assert_eq!(term.expires_at_ms(), Some(20_000));
    let forever = Session { expires_at_ms: None, challenge_at_ms: None, ..session("ann", &["a"], 1) };
    assert_eq!(sessions.renew(1, &forever), Ok(Vec::new()));
    assert_eq!((term.expires_at_ms(), term.challenge_at_ms()), (None, None));
}

/// A session that the key `kid` vouches for.
fn of_key(kid: &str, expires_s: u64) -> Session {
    let keys = vec![Vouching { guard: "staff".into(), key: Key::of_tests(kid, b'1') }];
    Session { keys, ..session("ann", &["a"], expires_s) }
}

/// The keys that vouch for a connection.
fn keys(stake: &Stake) -> Vec<String> {
    let mut found = Vec::new();
    stake.any_key(|key| {
        found.extend(key.key.kid().map(str::to_owned));
        false
    });
    found
}

#[test]
fn a_connection_goes_by_the_keys_of_what_it_has_brought_itself() {
    let mut sessions = Sessions::default();
    let mut open = |conn, kid: &str, end| sessions.open(conn, &of_key(kid, end), &role("a"), true).0;
    let (first, second, third) = (open(1, "old", 10), open(2, "new", 20), open(3, "old", 20));
    assert_eq!((keys(&first), keys(&second), keys(&third)), (role("old"), role("new"), role("old")));
    assert_eq!(first.expires_at_ms(), Some(20_000), "which others prolong all the same");
    // A message renews its own connection, and prolongs the others.
    assert_eq!(sessions.renew(3, &of_key("fresh", 30)).map(|others| others.len()), Ok(2));
    assert_eq!((keys(&first), keys(&second), keys(&third)), (role("old"), role("new"), role("fresh")));
    // What ends earlier than that by which it stays changes nothing, but others have no say in what that is.
    for (kid, end, goes_by) in [("short", 9, "old"), ("as long", 10, "as long"), ("longer", 15, "longer")] {
        assert_eq!(sessions.renew(1, &of_key(kid, end)), Ok(Vec::new()));
        assert_eq!((keys(&first), first.expires_at_ms()), (role(goes_by), Some(30_000)));
    }
    let (apart, _) = sessions.open(4, &of_key("old", 10), &role("a"), false);
    assert_eq!(sessions.renew(4, &of_key("new", 20)), Ok(Vec::new()));
    assert_eq!((keys(&apart), keys(&first)), (role("new"), role("longer")));
}

#[test]
fn what_a_lost_key_has_prolonged_counts_no_more() {
    let mut sessions = Sessions::default();
    let mut open =
        |conn, kid: &str, end, shares| sessions.open(conn, &of_key(kid, end), &role("a"), shares).0;
    let (own, apart) = (open(1, "own", 10, true), open(2, "own", 10, false));
    let (other, stolen) = (open(3, "other", 15, true), open(4, "stolen", 600, true));
    open(5, "stolen", 20, true);
    let all = [&own, &apart, &other, &stolen];
    let times = || all.map(|stake| (stake.expires_at_ms().unwrap(), stake.challenge_at_ms().unwrap()));
    let is = |end: u64| (end, end - 10);
    assert_eq!(times(), [is(600_000), is(10_000), is(600_000), is(600_000)]);
    assert!(own.take_extended());
    let lost = |lost: &'static [&str]| {
        let is_lost = |key: &Vouching| key.key.kid().is_some_and(|kid| lost.contains(&kid));
        all.iter().for_each(|stake| stake.forget(is_lost));
    };
    lost(&["another"]);
    assert_eq!(times()[0], is(600_000));
    lost(&["stolen"]);
    assert_eq!(times(), [is(15_000), is(10_000), is(15_000), is(600_000)], "the last one ends by its key");
    lost(&["stolen", "other"]);
    assert_eq!(times()[0], is(10_000), "its own");
    // It is told of what prolongs it again, though it has known of a later end.
    assert!(!own.is_extended());
    sessions.renew(3, &of_key("own", 30)).unwrap();
    assert!(own.take_extended() && own.expires_at_ms() == Some(30_000));
}

#[test]
fn a_term_remembers_few_keys_and_a_connection_its_own_in_any_case() {
    let mut sessions = Sessions::default();
    let (first, _) = sessions.open(0, &of_key("0", 10), &role("a"), true);
    for (conn, end) in (1..100).zip(11..) {
        sessions.open(conn, &of_key(&conn.to_string(), end), &role("a"), true);
        sessions.open(conn, &of_key(&conn.to_string(), end - 1), &role("a"), true);
    }
    assert_eq!(first.term.grants.lock().unwrap().len(), MOST_GRANTS);
    first.forget(|key| key.key.kid() == Some("99"));
    assert_eq!(first.expires_at_ms(), Some(108_000));
    first.forget(|key| key.key.kid() != Some("0"));
    assert_eq!((first.expires_at_ms(), first.challenge_at_ms()), (Some(10_000), Some(9_990)));
}

#[test]
fn a_request_vouches_for_all_connections_that_it_renews() {
    let mut sessions = Sessions::default();
    let open = |sessions: &mut Sessions, conn, kid: &str, roles: &[String], shares| {
        sessions.open(conn, &of_key(kid, 10), roles, shares).0
    };
    let renewed = open(&mut sessions, 1, "old", &role("a"), true);
    let lost = open(&mut sessions, 2, "lost", &role("a"), true);
    let apart = open(&mut sessions, 3, "old", &role("a"), false);
    let lacking = open(&mut sessions, 4, "old", &role("b"), true);
    let other = Session { guard: "guests".into(), ..of_key("other", 10) };
    let (of_other_guard, _) = sessions.open(1, &other, &[], true);
    let is_lost = |key: &Vouching| key.key.kid() == Some("lost");
    assert_eq!(sessions.renew_shared(&of_key("new", 20), is_lost).connections.len(), 2);
    assert_eq!((keys(&renewed), keys(&lost)), (role("new"), role("lost")));
    assert_eq!((keys(&apart), keys(&lacking)), (role("old"), role("old")));
    assert_eq!(keys(&of_other_guard), role("other"), "on the same connection");
    // One that ends later is there already; it renews what stays by less.
    let late = sessions.open(5, &of_key("old", 30), &role("a"), true).0;
    assert!(sessions.renew_shared(&of_key("newer", 25), is_lost).extended.is_empty());
    assert_eq!((keys(&renewed), keys(&late)), (role("newer"), role("old")));
}

#[test]
fn a_request_renews_what_is_open() {
    let mut sessions = Sessions::default();
    let nobody = Session { identity: None, ..session("", &[], 10) };
    let (nameless, _) = sessions.open(1, &nobody, &[], true);
    let nobody_either = Session { identity: None, ..session("", &[], 20) };
    let (another, _) = sessions.open(5, &nobody_either, &[], true);
    assert_eq!(another.expires_at_ms(), Some(20_000), "they are not the same");
    sessions.open(2, &session("ann", &["a"], 10), &role("a"), true);
    sessions.open(3, &session("ann", &["a"], 10), &role("a"), true);
    let (kept_apart, _) = sessions.open(4, &session("ann", &["a"], 10), &role("a"), false);
    let mut renew = |end| {
        let mut renewed = sessions.renew_shared(&session("ann", &["a"], end), |_| false);
        renewed.connections.sort_unstable();
        renewed.extended.sort_unstable();
        renewed
    };
    assert_eq!(renew(20), Renewed { connections: vec![2, 3], extended: vec![2, 3], lacking: 0 });
    let again = Renewed { connections: vec![2, 3], ..Renewed::default() };
    assert_eq!(renew(20), again, "nothing ends later than before");
    let lacking = Renewed { lacking: 2, ..Renewed::default() };
    assert_eq!(sessions.renew_shared(&session("ann", &["b"], 30), |_| false), lacking);
    assert_eq!(sessions.renew_shared(&session("bob", &["a"], 20), |_| false), Renewed::default());
    assert_eq!(
        sessions.renew_shared(&Session { identity: None, ..session("", &[], 20) }, |_| false),
        Renewed::default()
    );
    assert_eq!(nameless.expires_at_ms(), Some(10_000));
    assert_eq!(kept_apart.expires_at_ms(), Some(10_000));
}

#[test]
fn nothing_stays_behind() {
    let mut sessions = Sessions::default();
    for conn in 0..10 {
        sessions.open(conn, &session("ann", &["a"], 10), &role("a"), conn % 2 == 0);
        sessions.open(conn, &Session { guard: "b".into(), ..session("ann", &[], 10) }, &[], true);
    }
    for conn in 0..10 {
        assert!(!sessions.sharing.is_empty());
        sessions.leave(conn);
        sessions.leave(conn);
    }
    assert!(sessions.sharing.is_empty() && sessions.of_connection.is_empty());
    assert_eq!(sessions.renew_shared(&session("ann", &["a"], 20), |_| false), Renewed::default());
}

#[test]
fn connections_are_told_once_of_what_others_have_extended() {
    let mut sessions = Sessions::default();
    let (first, others) = sessions.open(1, &session("ann", &["a"], 10), &role("a"), true);
    assert!(others.is_empty() && !first.is_extended());
    let (second, others) = sessions.open(2, &session("ann", &["a"], 20), &role("a"), true);
    assert_eq!(others, [1]);
    assert!(first.is_extended() && !second.is_extended(), "who brings it knows it");
    assert!(first.take_extended() && !first.take_extended() && !first.is_extended());
    let (third, others) = sessions.open(3, &session("ann", &["a"], 15), &role("a"), true);
    assert!(others.is_empty() && !third.is_extended() && third.expires_at_ms() == Some(20_000));
    let mut others = sessions.renew(1, &session("ann", &["a"], 30)).unwrap();
    others.sort_unstable();
    assert_eq!(others, [2, 3]);
    assert!(!first.is_extended() && second.take_extended() && third.take_extended());
    assert_eq!((first.guard(), first.name()), ("staff", Some("ann")));
    sessions.leave(2);
    assert_eq!(sessions.renew(1, &session("ann", &["a"], 40)), Ok(vec![3]));
    let (apart, _) = sessions.open(4, &session("bob", &[], 10), &[], false);
    assert_eq!(sessions.renew(4, &session("bob", &[], 20)), Ok(Vec::new()));
    assert!(!apart.is_extended() && apart.expires_at_ms() == Some(20_000));
}

/// What a connection says at that second.
fn says(stake: &Stake, now_s: u64) -> Vec<String> {
    stake.claims(now_s * 1000).roles.clone()
}

#[test]
fn a_connection_has_the_roles_of_what_it_has_brought_itself() {
    let roles = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let mut sessions = Sessions::default();
    let (stake, _) = sessions.open(1, &session("ann", &["a", "b"], 10), &role("a"), true);
    let (other, _) = sessions.open(2, &session("ann", &["a"], 10), &role("a"), true);
    sessions.renew(1, &session("ann", &["a", "c"], 9)).unwrap();
    assert_eq!(says(&stake, 5), roles(&["a", "b"]), "what ends earlier changes nothing");
    sessions.renew(1, &session("ann", &["a", "c"], 10)).unwrap();
    assert_eq!((says(&stake, 5), says(&other, 5)), (roles(&["a", "c"]), roles(&["a"])));
    // A request speaks for all.
    sessions.renew_shared(&session("ann", &["d", "a"], 20), |_| false);
    assert_eq!((says(&stake, 5), says(&other, 5)), (roles(&["d", "a"]), roles(&["d", "a"])));
    assert_eq!(sessions.claims(1, 5000), [stake.claims(5000)]);
    assert!(sessions.claims(3, 5000).is_empty());
}

#[test]
fn others_give_no_roles_and_take_those_that_they_lack_when_the_own_are_over() {
    let roles = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let mut sessions = Sessions::default();
    let with_site = |site: &str, names: &[&str], end| {
        let attributes = ["team", site].map(|name| (name.to_owned(), Json::Text(name.to_owned())));
        Session { attributes: attributes.to_vec(), ..session("ann", names, end) }
    };
    let (stake, _) = sessions.open(1, &with_site("north", &["a", "b"], 10), &role("a"), true);
    assert_eq!(stake.outlives_ms(), None);
    let by_key = |kid: &str, session: Session| Session { keys: of_key(kid, 1).keys, ..session };
    sessions.open(2, &by_key("two", with_site("south", &["c", "a"], 20)), &role("a"), true);
    assert_eq!(stake.outlives_ms(), Some(10_000));
    assert_eq!(says(&stake, 9), roles(&["a", "b"]));
    assert_eq!(says(&stake, 10), roles(&["a"]));
    let names = |now_ms| -> Vec<String> {
        stake.claims(now_ms).attributes.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!((names(9_999), names(10_000)), (roles(&["team", "north"]), roles(&["team"])));
    // What ends last counts, as long as that is.
    sessions.open(3, &by_key("three", session("ann", &["b", "a"], 30)), &role("a"), true);
    assert_eq!(says(&stake, 10), roles(&["a", "b"]));
    sessions.open(4, &by_key("four", session("ann", &["a"], 40)), &role("a"), true);
    assert_eq!(says(&stake, 39), roles(&["a"]));
    assert_eq!(says(&stake, 40), roles(&["a", "b"]), "nothing keeps it open any more");
}

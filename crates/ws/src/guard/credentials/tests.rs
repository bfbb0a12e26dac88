use super::*;
use crate::guard::tests::headers;

fn places() -> Places {
    let named = |name: &str, template: &str| vec![(name.to_owned(), Template::parse(template).unwrap())];
    Places {
        headers: vec![
            ("Authorization".to_owned(), Template::parse("Bearer {credentials}").unwrap()),
            ("authorization".to_owned(), Template::parse("basic {username}:{password}").unwrap()),
            ("x-api-key".to_owned(), Template::parse("{credentials}").unwrap()),
        ],
        query: named("access_token", "{credentials}"),
        cookies: named("sid", "s:{credentials}!"),
        protocols: vec![Template::parse_protocol("bearer.{credentials}").unwrap()],
    }
}

fn find(lines: &str, query: &str, protocols: &[&str]) -> Result<Option<String>, MalformedCredentials> {
    let headers = headers(lines);
    let protocols: Vec<String> = protocols.iter().map(|offer| (*offer).to_owned()).collect();
    let carrier = Carrier { headers: &headers, query: Some(query), protocols: &protocols };
    let found = places().find(carrier, Wanted::Token)?;
    Ok(found.map(|found| match found {
        Credential::Token(token) => token.expose().to_owned(),
        Credential::Login(login) => panic!("a login: {login:?}"),
    }))
}

fn found(token: &str) -> Result<Option<String>, MalformedCredentials> {
    Ok(Some(token.to_owned()))
}

#[test]
fn the_first_place_wins() {
    let cookie = "Cookie: a=b; sid=s:cookie!\r\n";
    let offers = ["chat", "bearer.cHJvdG9jb2w"];
    let all = format!("{cookie}X-Api-Key: key\r\nAuthorization: Bearer header\r\n");
    assert_eq!(find(&all, "access_token=query", &offers), found("header"));
    let basic = format!("{cookie}X-Api-Key: key\r\nAuthorization: Basic YTpi\r\n");
    assert_eq!(find(&basic, "access_token=query", &offers), found("key"));
    assert_eq!(find(cookie, "a=b&access_token=query", &offers), found("query"));
    assert_eq!(find(cookie, "access_tokens=query&ACCESS_TOKEN=x", &offers), found("cookie"));
    assert_eq!(find("Cookie: xsid=s:no!; sid=no\r\n", "", &offers), found("protocol"));
    assert_eq!(find("", "", &["chat"]), Ok(None));
}

#[test]
fn values_are_decoded_where_their_place_has_a_code() {
    assert_eq!(find("", "access%5Ftoken=a%2Fb+c%25", &[]), found("a/b c%"));
    assert_eq!(find("", "access_token=&x=1", &[]), Ok(None));
    assert_eq!(find("", "access_token", &[]), Ok(None));
    assert_eq!(find("", "access_token=%ff", &[]), Err(MalformedCredentials));
    assert_eq!(find("Cookie: sid=\"s:a b!\"\r\n", "", &[]), found("a b"));
    assert_eq!(find("Cookie: a=b\r\nCookie: sid=s:x!\r\n", "", &[]), found("x"));
    assert_eq!(find("", "", &["bearer.a.b.c", "chat"]), found("a.b.c"));
    assert_eq!(find("", "", &["bearer.!", "chat"]), Err(MalformedCredentials));
    assert_eq!(find("", "", &["bearer._w", "chat"]), Err(MalformedCredentials));
    assert_eq!(find("Authorization: bEaReR   x\r\n", "", &[]), found("x"));
    assert_eq!(find("Authorization: Bearer\r\n", "", &[]), Ok(None));
    assert_eq!(find("Authorization: Bearerx y\r\n", "", &[]), Ok(None));
    assert_eq!(find("Authorization: Bearer \u{e9}\r\n", "", &[]), found("é"));
}

#[test]
fn credentials_that_are_there_twice_are_refused() {
    let twice = Err(MalformedCredentials);
    assert_eq!(find("Authorization: Bearer a\r\nauthorization: Bearer a\r\n", "", &[]), twice);
    assert_eq!(find("", "access_token=a&access%5ftoken=a", &[]), twice);
    assert_eq!(find("Cookie: sid=s:a!; sid=s:b!\r\n", "", &[]), twice);
    assert_eq!(find("Cookie: sid=s:a!\r\nCookie: sid=s:a!\r\n", "", &[]), twice);
    assert_eq!(find("", "", &["bearer.YQ", "bearer.Yg"]), twice);
}

#[test]
fn logins_are_split_at_the_first_colon() {
    use base64::engine::general_purpose::STANDARD;
    let login = |text: &[u8]| {
        let headers = headers(&format!("Authorization: Basic {}\r\n", STANDARD.encode(text)));
        let carrier = Carrier { headers: &headers, query: None, protocols: &[] };
        places().find(carrier, Wanted::Login).map(|found| match found {
            Some(Credential::Login(login)) => (login.name, login.password.expose().to_owned()),
            other => panic!("{other:?}"),
        })
    };
    let ok = |name: &str, password: &str| Ok((name.to_owned(), password.to_owned()));
    assert_eq!(login(b"ann:a:b"), ok("ann", "a:b"));
    assert_eq!(login(b":"), ok("", ""));
    assert_eq!(login("día:é".as_bytes()), ok("día", "é"));
    for bad in [&b"ann"[..], b"ann:\xff", b"ann:a\nb", b"an\0n:a"] {
        assert_eq!(login(bad), Err(MalformedCredentials));
    }
}

#[test]
fn templates_are_checked() {
    for text in ["", "Bearer", "{credential}", "Basic {username}"] {
        assert_eq!(Template::parse(text), Err(TemplateError::Mark), "{text}");
    }
    for text in ["{credentials}{credentials}", "{a}{credentials}", "{credentials}}"] {
        assert_eq!(Template::parse(text), Err(TemplateError::Unknown), "{text}");
    }
    assert_eq!(Template::parse("BASIC {username}:{password}"), Ok(Template::Login));
    for text in ["{credentials}", "Bearer {credentials}", "a/{credentials}", "Basic {username}:{password}"] {
        assert_eq!(Template::parse_protocol(text), Err(TemplateError::Protocol), "{text}");
    }
    let usual = Places::authorization(Wanted::Token);
    assert!(usual.can_hold(Wanted::Token) && !usual.can_hold(Wanted::Login));
    assert!(Places::authorization(Wanted::Login).can_hold(Wanted::Login) && places().can_hold(Wanted::Login));
}

#[test]
fn secrets_are_struck_from_what_is_shown() {
    let places = places();
    for (query, shown) in [
        ("a=b&access_token=secret&c", "a=b&access_token=***&c"),
        ("access%5Ftoken=secret", "access%5Ftoken=***"),
        ("access_token", "access_token=***"),
        ("access_token=a&&access_token=b&", "access_token=***&access_token=***"),
        ("%ff=secret", "%ff=***"),
        ("a=access_token&b=%zz", "a=access_token&b=%zz"),
        ("", ""),
    ] {
        assert_eq!(places.strike_query(query), shown, "{query}");
    }
    let header = |name: &str, value: &str| {
        places
            .strike_header(name, value.as_bytes())
            .map(|shown| String::from_utf8(shown.into_owned()).unwrap())
    };
    assert_eq!(header("AUTHORIZATION", "Digest secret"), None);
    assert_eq!(header("X-API-KEY", "secret"), None);
    assert_eq!(header("cookie", "a=b; sid=secret;c = d"), Some("a=b; c = d".into()));
    assert_eq!(header("Cookie", "sid=secret"), None);
    assert_eq!(header("Cookie", " sid = secret"), None);
    let offers = header("sec-websocket-protocol", "chat, bearer.secret,x");
    assert_eq!(offers, Some("chat, x".into()));
    assert_eq!(header("Sec-WebSocket-Protocol", "bearer.secret"), None);
    assert_eq!(header("User-Agent", "x"), Some("x".into()));
    let none = Places::default();
    assert_eq!(none.strike_query("access_token=x&"), "access_token=x&");
    let mut both = none;
    both.extend(&places);
    assert_eq!(both.strike_query("access_token=x"), "access_token=***");
    let other = Places {
        protocols: vec![Template::parse_protocol("jwt.{credentials}").unwrap()],
        ..Places::default()
    };
    both.extend(&other);
    let offers = ["jwt.secret", "chat", "bearer.secret"].map(str::to_owned);
    assert_eq!(both.real_protocols(&offers), Ok(vec!["chat".to_owned()]), "of whichever guard");
    let shown = both.strike_header("sec-websocket-protocol", b"jwt.secret, chat, bearer.secret");
    assert_eq!(shown.unwrap().as_ref(), b"chat");
}

#[test]
fn a_real_subprotocol_is_needed_beside_credentials() {
    let real = |offers: &[&str]| {
        let offers: Vec<String> = offers.iter().map(|offer| (*offer).to_owned()).collect();
        places().real_protocols(&offers).map_err(|reject| reject.status)
    };
    assert_eq!(real(&["a", "bearer.x", "b"]), Ok(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(real(&[]), Ok(vec![]));
    assert_eq!(real(&["bearer.x"]), Err(400));
    assert_eq!(real(&["bearer."]), Ok(vec!["bearer.".to_owned()]));
}
